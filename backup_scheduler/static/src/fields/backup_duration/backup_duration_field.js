import { registry } from "@web/core/registry";
import { _t } from "@web/core/l10n/translation";
import { standardFieldProps } from "@web/views/fields/standard_field_props";

import { Component } from "@odoo/owl";

/**
 * Format a duration as people read it: 42 s, 3 min 05 s, 2 h 10 min.
 *
 * @param {number|false} seconds
 * @returns {string} empty when there is nothing
 */
export function formatDuration(seconds) {
    if (!seconds) {
        return "";
    }
    seconds = Math.round(seconds);
    const pad = (number) => String(number).padStart(2, "0");
    if (seconds < 60) {
        return _t("%s s", Math.max(seconds, 1));
    }
    if (seconds < 3600) {
        return _t("%(minutes)s min %(seconds)s s", {
            minutes: Math.floor(seconds / 60),
            seconds: pad(seconds % 60),
        });
    }
    return _t("%(hours)s h %(minutes)s min", {
        hours: Math.floor(seconds / 3600),
        minutes: pad(Math.floor((seconds % 3600) / 60)),
    });
}

export class BackupDurationField extends Component {
    static template = "backup_scheduler.BackupDurationField";
    static props = { ...standardFieldProps };

    get formatted() {
        return formatDuration(this.props.record.data[this.props.name]);
    }
}

export const backupDurationField = {
    component: BackupDurationField,
    displayName: _t("Duration in seconds"),
    supportedTypes: ["float", "integer"],
};

registry.category("fields").add("backup_duration", backupDurationField);
// Pivot and graph views format their measures by these.
registry.category("formatters").add("backup_duration", (value) => formatDuration(value) || "0");
