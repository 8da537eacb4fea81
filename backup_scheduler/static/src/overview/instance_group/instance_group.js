import { _t } from "@web/core/l10n/translation";
import { useService } from "@web/core/utils/hooks";

import { Component, useState } from "@odoo/owl";

import { DatabaseRow } from "../database_row/database_row";
import { useLinks } from "../overview_links";
import { activeKey } from "../overview_rules";
import { STATES, sayDuration, sayMoment, secondsUntil } from "../overview_words";

/** One instance: whether it can be reached, how many of its databases stand how, and those. */
export class InstanceGroup extends Component {
    static template = "backup_scheduler.InstanceGroup";
    static components = { DatabaseRow };
    static props = {
        group: Object,
        days: Array,
        rights: Object,
        now: Object,
        active: Object,
        onToggle: Function,
        onUnfold: Function,
        onChanged: Function,
    };

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.links = useLinks();
        this.state = useState({ testing: false });
    }

    get instance() {
        return this.props.group.instance;
    }

    get counts() {
        return Object.entries(this.props.group.counts).map(([state, count]) => ({
            ...STATES[state],
            state,
            count,
        }));
    }

    get rowsId() {
        return `backup_instance_${this.instance.id}`;
    }

    runOf(row) {
        return this.props.active.get(activeKey(this.instance.id, row.name));
    }

    get runningCount() {
        return this.instance.databases.filter((row) => this.runOf(row)?.status === "running").length;
    }

    get isFailing() {
        return this.instance.check_status === "error";
    }

    /** Backups were tried: whether it can be reached is told by what became of them. */
    get wasAsked() {
        return this.instance.databases.some((row) => row.failure || row.last_good_at);
    }

    get reason() {
        return this.instance.check_error.split("\n")[0];
    }

    get version() {
        return this.instance.odoo_version ? _t("Odoo %s", this.instance.odoo_version) : "";
    }

    get checked() {
        const { last_check_at } = this.instance;
        if (!last_check_at) {
            return "";
        }
        return _t("Asked %s ago", sayDuration(-secondsUntil(last_check_at, this.props.now)));
    }

    get checkedMoment() {
        return sayMoment(this.instance.last_check_at);
    }

    async testConnection() {
        this.state.testing = true;
        try {
            const action = await this.orm.call("backup.instance", "action_test_connection", [
                [this.instance.id],
            ]);
            // Without its reload of all that is on the screen: the page loads its own anew.
            this.action.doAction({ ...action, params: { ...action.params, next: undefined } });
            await this.props.onChanged();
        } finally {
            this.state.testing = false;
        }
    }

    async addJob() {
        const wizard = await this.orm.call("backup.overview", "action_set_up", [
            this.instance.id,
            [],
        ]);
        this.links.openWizard(wizard, () => this.props.onChanged());
    }
}
