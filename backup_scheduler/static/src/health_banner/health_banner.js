import { useService } from "@web/core/utils/hooks";

import { Component } from "@odoo/owl";

// No backup is worse for it.
const WARNINGS = ["alerts", "drill"];

/** What keeps backups from being made, or their alerts from being heard, before everything else. */
export class HealthBanner extends Component {
    static template = "backup_scheduler.HealthBanner";
    static props = {
        problems: {
            type: Array,
            element: {
                type: Object,
                shape: {
                    check: String,
                    problem: String,
                    hint: String,
                    // {model, id, name} of what is to be mended.
                    record: { type: [Object, Boolean], optional: true },
                },
            },
        },
        class: { type: String, optional: true },
    };

    setup() {
        this.action = useService("action");
    }

    color(found) {
        return WARNINGS.includes(found.check) ? "warning" : "danger";
    }

    open({ model, id }) {
        return this.action.doAction({
            type: "ir.actions.act_window",
            res_model: model,
            res_id: id,
            views: [[false, "form"]],
        });
    }
}
