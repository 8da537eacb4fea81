import { registry } from "@web/core/registry";
import { _t } from "@web/core/l10n/translation";
import { standardFieldProps } from "@web/views/fields/standard_field_props";
import { BackupProgress } from "./backup_progress";

import { Component } from "@odoo/owl";

/** The fields of a run that its progress is made of. */
export const PROGRESS_FIELDS = [
    { name: "status", type: "selection" },
    { name: "stage", type: "selection" },
    { name: "work", type: "selection" },
    { name: "progress", type: "float" },
    { name: "received", type: "float" },
    { name: "speed", type: "float" },
    { name: "time_left", type: "float" },
];

/**
 * @param {Object} run values of the fields above
 * @returns {Object} the props of a BackupProgress
 */
export function progressOf(run) {
    return {
        stage: run.stage,
        percent: run.progress,
        received: run.received,
        speed: run.speed,
        timeLeft: run.time_left,
    };
}

export function isAtWork(run) {
    return run.status === "running" || Boolean(run.work);
}

export class BackupProgressField extends Component {
    static template = "backup_scheduler.BackupProgressField";
    static components = { BackupProgress };
    static props = { ...standardFieldProps, compact: { type: Boolean, optional: true } };

    get isActive() {
        return isAtWork(this.props.record.data);
    }

    get progress() {
        return { ...progressOf(this.props.record.data), compact: this.props.compact };
    }
}

export const backupProgressField = {
    component: BackupProgressField,
    displayName: _t("Progress of a run"),
    supportedTypes: ["float"],
    supportedOptions: [{ label: _t("Compact"), name: "compact", type: "boolean" }],
    fieldDependencies: PROGRESS_FIELDS,
    extractProps: ({ options, viewType }) => ({
        compact: options.compact ?? viewType !== "form",
    }),
};

registry.category("fields").add("backup_progress", backupProgressField);
