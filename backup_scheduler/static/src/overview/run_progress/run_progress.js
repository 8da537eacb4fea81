import { _t } from "@web/core/l10n/translation";

import { Component } from "@odoo/owl";

import { sayWhen, secondsUntil } from "../overview_words";

/** What goes on with a database right now: the stage and how far it is, or that it waits. */
export class RunProgress extends Component {
    static template = "backup_scheduler.RunProgress";
    static props = { run: Object, stages: Object, now: Object, onOpen: Function };

    get isRunning() {
        return this.props.run.status === "running";
    }

    get stage() {
        const { run, stages, now } = this.props;
        if (this.isRunning) {
            return stages[run.stage] || _t("Starting");
        }
        if (run.retry_at && secondsUntil(run.retry_at, now) > 0) {
            return run.attempt
                ? _t("Next attempt %s", sayWhen(run.retry_at, now))
                : _t("Starts %s", sayWhen(run.retry_at, now));
        }
        return _t("Queued");
    }

    get percent() {
        return Math.round(Math.min(100, this.props.run.progress));
    }
}
