import { BackupProgress } from "@backup_scheduler/fields/backup_progress/backup_progress";
import { _t } from "@web/core/l10n/translation";

import { Component } from "@odoo/owl";

import { sayWhen, secondsUntil } from "../overview_words";

/** What goes on with a database right now: how far it is, or that it waits. */
export class RunProgress extends Component {
    static template = "backup_scheduler.RunProgress";
    static components = { BackupProgress };
    static props = { run: Object, now: Object, onOpen: Function };

    get isRunning() {
        return this.props.run.status === "running";
    }

    get waiting() {
        const { run, now } = this.props;
        if (!run.retry_at || secondsUntil(run.retry_at, now) <= 0) {
            return _t("Queued");
        }
        const when = sayWhen(run.retry_at, now);
        return run.attempt ? _t("Next attempt %s", when) : _t("Starts %s", when);
    }
}
