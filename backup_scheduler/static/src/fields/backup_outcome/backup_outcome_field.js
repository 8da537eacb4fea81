import { registry } from "@web/core/registry";
import { _t } from "@web/core/l10n/translation";
import { standardFieldProps } from "@web/views/fields/standard_field_props";
import { BackupProgress } from "../backup_progress/backup_progress";
import { isAtWork, progressOf, PROGRESS_FIELDS } from "../backup_progress/backup_progress_field";

import { Component } from "@odoo/owl";

const FAILURES = ["failed", "verify_failed"];

/** What a run has come to, in one line of a list: its progress, and later its error or warning. */
export class BackupOutcomeField extends Component {
    static template = "backup_scheduler.BackupOutcomeField";
    static components = { BackupProgress };
    static props = { ...standardFieldProps };

    get run() {
        return this.props.record.data;
    }

    get isAtWork() {
        return isAtWork(this.run);
    }

    get progress() {
        return { ...progressOf(this.run), compact: true };
    }

    get text() {
        return this.run[this.props.name] || this.run.warning || "";
    }

    get tone() {
        if (FAILURES.includes(this.run.status)) {
            return "text-danger";
        }
        return this.run[this.props.name] ? "text-muted" : "text-warning";
    }
}

export const backupOutcomeField = {
    component: BackupOutcomeField,
    displayName: _t("Progress, error or warning of a run"),
    supportedTypes: ["char"],
    fieldDependencies: [...PROGRESS_FIELDS, { name: "warning", type: "text" }],
};

registry.category("fields").add("backup_outcome", backupOutcomeField);
