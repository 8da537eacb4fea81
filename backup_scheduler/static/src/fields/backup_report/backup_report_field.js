import { registry } from "@web/core/registry";
import { _t } from "@web/core/l10n/translation";
import { toLocaleDateTimeString } from "@web/core/l10n/dates";
import { standardFieldProps } from "@web/views/fields/standard_field_props";
import { COMPLETE } from "../../levels";
import { sentencesOf } from "./sentences";

import { Component } from "@odoo/owl";

const TONES = {
    good: { icon: "fa-check text-success", label: _t("Right") },
    bad: { icon: "fa-times text-danger", label: _t("Wrong") },
    note: { icon: "fa-info-circle text-muted", label: _t("Note") },
    open: { icon: "fa-circle-o text-muted", label: _t("Not looked at") },
};

/** The report of a verification in plain words. */
export class BackupReportField extends Component {
    static template = "backup_scheduler.BackupReportField";
    static props = { ...standardFieldProps };

    get run() {
        return this.props.record.data;
    }

    get report() {
        return this.run[this.props.name];
    }

    get level() {
        return Number(this.run.verification_level) || this.report.level || COMPLETE;
    }

    get levels() {
        return this.props.record.fields.verification_level.selection.map(([number, name]) => ({
            number,
            name,
            isReached: Number(number) <= this.level,
        }));
    }

    get when() {
        const { verified_at, drilled_at } = this.run;
        return [
            verified_at && _t("Last read %s.", toLocaleDateTimeString(verified_at)),
            drilled_at && _t("Last restored as a test %s.", toLocaleDateTimeString(drilled_at)),
        ].filter(Boolean);
    }

    get sentences() {
        const report = { ...this.report, level: this.level };
        return sentencesOf(report, this.run.finding).map((sentence) => ({
            ...sentence,
            ...TONES[sentence.tone],
        }));
    }
}

export const backupReportField = {
    component: BackupReportField,
    displayName: _t("Report of a verification"),
    supportedTypes: ["json"],
    fieldDependencies: [
        { name: "verification_level", type: "selection" },
        { name: "verified_at", type: "datetime" },
        { name: "drilled_at", type: "datetime" },
        { name: "finding", type: "json" },
    ],
};

registry.category("fields").add("backup_report", backupReportField);
