import { _t } from "@web/core/l10n/translation";

import { Component } from "@odoo/owl";

import { sayDuration, sayMoment, sayPast, secondsUntil } from "../overview_words";

/** The age of the last good archive against what is promised, in words and as a thin meter. */
export class Freshness extends Component {
    static template = "backup_scheduler.Freshness";
    static props = { row: Object, now: Object, onOpen: Function };

    get age() {
        return Math.max(0, -secondsUntil(this.props.row.last_good_at, this.props.now));
    }

    get isLate() {
        return this.props.row.state === "late";
    }

    get headline() {
        if (!this.props.row.last_good_at) {
            // What was made once, as the days show, was deleted since, or is no longer good.
            const wasMade = /[vs]/.test(this.props.row.strip.kinds);
            return wasMade ? _t("No archive left") : _t("No backup yet");
        }
        return _t("%s old", sayDuration(this.age));
    }

    get promised() {
        const { row } = this.props;
        if (this.isLate) {
            return _t("late since %s", sayPast(row.late_at, this.props.now));
        }
        if (!row.promise) {
            return row.state === "unprotected" ? _t("nothing is promised") : "";
        }
        if (row.state === "pending") {
            // Its jobs are new or were switched on again: an archive of before counts for nothing.
            return _t("promised by %s", sayMoment(row.late_at));
        }
        return _t("promised every %s", sayDuration(row.promise));
    }

    get title() {
        return this.props.row.last_good_at
            ? _t("Last good archive: %s", sayMoment(this.props.row.last_good_at))
            : "";
    }

    get color() {
        return { late: "danger", pending: "info" }[this.props.row.state] || "success";
    }

    get hasMeter() {
        return Boolean(this.props.row.promise && this.props.row.last_good_at);
    }

    /** @returns {number} how much of the promised time has passed, in percent */
    get percent() {
        return Math.min(100, Math.round((this.age / this.props.row.promise) * 100));
    }
}
