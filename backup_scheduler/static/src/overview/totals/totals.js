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

    /** Always the four that people look for; the other where there is any. */
    get tiles() {
        const always = ["protected", "late", "failing", "unprotected"];
        return [...always, "pending"]
            .filter((state) => always.includes(state) || this.props.totals[state])
            .map((state) => ({ ...STATES[state], state, count: this.props.totals[state] }));
    }

    /** @returns {number} tiles a line: in two lines, with those of runs and fires */
    get columns() {
        return Math.ceil((this.tiles.length + 2) / 2);
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
            ["instance_id.active", "=", true],
        ]);
    }

    openJobs() {
        this.links.openList("backup_scheduler.backup_job_action", [
            ["enabled", "=", true],
            ["instance_id.active", "=", true],
        ]);
    }
}
