import { _t } from "@web/core/l10n/translation";
import { useService } from "@web/core/utils/hooks";

import { Component, useState } from "@odoo/owl";

import { DayStrip } from "../day_strip/day_strip";
import { Freshness } from "../freshness/freshness";
import { RunProgress } from "../run_progress/run_progress";
import { SizeTrend } from "../size_trend/size_trend";
import { useLinks } from "../overview_links";
import { STATES, sayMoment, sayWhen } from "../overview_words";

/** One database: how it stands, its last days, its age, its size, what comes next. */
export class DatabaseRow extends Component {
    static template = "backup_scheduler.DatabaseRow";
    static components = { DayStrip, Freshness, RunProgress, SizeTrend };
    static props = {
        row: Object,
        instance: Object,
        days: Array,
        rights: Object,
        now: Object,
        run: { type: Object, optional: true },
        onChanged: Function,
    };

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.links = useLinks();
        this.notification = useService("notification");
        this.state = useState({ busy: false });
        this.openRun = this.openRun.bind(this);
        this.openDay = this.openDay.bind(this);
        this.openArchives = this.openArchives.bind(this);
    }

    get badge() {
        return STATES[this.props.row.state];
    }

    get failing() {
        return STATES.failing;
    }

    get failureText() {
        const { error, hint } = this.props.row.failure;
        return [error, hint].filter(Boolean).join(" ");
    }

    /** Of a server that cannot be reached all fail of the same, which is said above them. */
    get showsReason() {
        return this.props.row.failure && this.props.instance.check_status !== "error";
    }

    get next() {
        const { row, now } = this.props;
        return row.next_run_at ? sayWhen(row.next_run_at, now) : "";
    }

    get nextMoment() {
        return sayMoment(this.props.row.next_run_at);
    }

    get canRun() {
        return this.props.rights.operator && this.props.row.job_ids.length > 0;
    }

    get canRestore() {
        return this.props.rights.manager && this.props.row.last_good_run_id;
    }

    get canProtect() {
        return this.props.rights.manager && this.props.row.state === "unprotected";
    }

    // --- links ------------------------------------------------------------------------------

    openRun(id) {
        this.links.openForm("backup.run", id);
    }

    /** Also those without a name, that stand for all databases: the server knows which. */
    async openRuns(options = {}) {
        const action = await this.orm.call(
            "backup.database",
            "action_open_runs",
            [[this.props.row.id]],
            options
        );
        return this.action.doAction(action);
    }

    openDay({ start, end }) {
        return this.openRuns({ start, end });
    }

    openArchives() {
        return this.openRuns({ statuses: ["success", "verified"] });
    }

    openJobs() {
        const ids = this.props.row.job_ids;
        if (ids.length === 1) {
            return this.links.openForm("backup.job", ids[0]);
        }
        return this.links.openList("backup_scheduler.backup_job_action", [["id", "in", ids]]);
    }

    // --- what can be done -------------------------------------------------------------------

    async runNow() {
        this.state.busy = true;
        try {
            await this.orm.call("backup.database", "run_now", [[this.props.row.id]]);
            this.notification.add(_t("The backup of %s begins.", this.props.row.name), {
                type: "success",
            });
            await this.props.onChanged();
        } finally {
            this.state.busy = false;
        }
    }

    async restore() {
        const id = this.props.row.last_good_run_id;
        const action = await this.orm.call("backup.run", "action_restore", [[id]]);
        this.action.doAction({ views: [[false, "form"]], ...action });
    }

    async protect() {
        const wizard = await this.orm.call("backup.overview", "action_set_up", [
            this.props.instance.id,
            [this.props.row.id],
        ]);
        this.links.openWizard(wizard, () => this.props.onChanged());
    }
}
