import { registry } from "@web/core/registry";
import { _t } from "@web/core/l10n/translation";
import { formatFloat } from "@web/core/utils/numbers";
import { standardFieldProps } from "@web/views/fields/standard_field_props";

import { Component } from "@odoo/owl";

const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

/**
 * Format a number of bytes as people read it, in decimal units: 1.4 GB.
 *
 * @param {number|false} bytes
 * @returns {string} empty when there is nothing
 */
export function formatSize(bytes) {
    if (!bytes) {
        return "";
    }
    let unit = 0;
    while (bytes >= 1000 && unit < UNITS.length - 1) {
        bytes /= 1000;
        unit++;
    }
    return `${formatFloat(bytes, { digits: [16, unit ? 1 : 0] })} ${UNITS[unit]}`;
}

export class BackupSizeField extends Component {
    static template = "backup_scheduler.BackupSizeField";
    static props = { ...standardFieldProps };

    get formatted() {
        return formatSize(this.props.record.data[this.props.name]);
    }
}

export const backupSizeField = {
    component: BackupSizeField,
    displayName: _t("Size in bytes"),
    supportedTypes: ["float", "integer"],
};

registry.category("fields").add("backup_size", backupSizeField);
// Pivot and graph views format their measures by these.
registry.category("formatters").add("backup_size", (value) => formatSize(value) || "0");
