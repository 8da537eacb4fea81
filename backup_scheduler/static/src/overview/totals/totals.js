import { Component } from "@odoo/owl";

import { useLinks } from "../overview_links";
import { STATES, sayMoment, sayWhen } from "../overview_words";

/** The numbers that matter. Those of databases filter the page; the others lead to records. */
export class Totals extends Component {
    static template = "backup_scheduler.Totals";
    static props = {
        totals: Object,
        running: Number,
        queued: Number,
        now: Object,
        state: String,
        onFilter: Function,
    };

    setup() {
        this.links = useLinks();
    }

    /** Always the four that people look for; the others where there are any. */
    get tiles() {
        const always = ["protected", "late", "failing", "unprotected"];
        const order = [...always, "pending", "absent"];
        return order
            .filter((state) => always.includes(state) || this.props.totals[state])
            .map((state) => ({ ...STATES[state], state, count: this.props.totals[state] }));
    }

    get next() {
        const { totals, now } = this.props;
        return totals.next_run_at ? sayWhen(totals.next_run_at, now) : "";
    }

    get nextMoment() {
        return sayMoment(this.props.totals.next_run_at);
    }

    openActive() {
        this.links.openList("backup_scheduler.backup_run_action", [
            ["status", "in", ["queued", "running"]],
        ]);
    }

    openJobs() {
        this.links.openList("backup_scheduler.backup_job_action", [["enabled", "=", true]]);
    }
}
