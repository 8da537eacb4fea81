import { registry } from "@web/core/registry";
import { _t } from "@web/core/l10n/translation";
import { standardFieldProps } from "@web/views/fields/standard_field_props";

import { Component, onPatched, onMounted, onWillPatch, useRef } from "@odoo/owl";

// Pixels. Whoever is this near to the end follows it.
const NEAR = 20;

/** A log, oldest line first, which shows its end and stays there while lines are added. */
export class BackupLogField extends Component {
    static template = "backup_scheduler.BackupLogField";
    static props = { ...standardFieldProps, placeholder: { type: String, optional: true } };

    setup() {
        this.log = useRef("log");
        this.follows = true;
        onMounted(() => this.showEnd());
        onWillPatch(() => {
            const { scrollHeight = 0, scrollTop = 0, clientHeight = 0 } = this.log.el || {};
            this.follows = scrollHeight - scrollTop - clientHeight < NEAR;
        });
        onPatched(() => this.follows && this.showEnd());
    }

    get text() {
        return this.props.record.data[this.props.name] || "";
    }

    showEnd() {
        if (this.log.el) {
            this.log.el.scrollTop = this.log.el.scrollHeight;
        }
    }
}

export const backupLogField = {
    component: BackupLogField,
    displayName: _t("Log"),
    supportedTypes: ["text"],
    extractProps: ({ placeholder }) => ({ placeholder }),
};

registry.category("fields").add("backup_log", backupLogField);
