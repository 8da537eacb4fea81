import { _t } from "@web/core/l10n/translation";
import { formatDuration } from "../backup_duration/backup_duration_field";
import { formatSize } from "../backup_size/backup_size_field";
import { stageName } from "./stages";

import { Component } from "@odoo/owl";

/**
 * How far a run is: a bar, and beneath it the stage, percent, bytes, speed and time left, as far as
 * they are known. Without a known total the bar moves, and claims no percent.
 */
export class BackupProgress extends Component {
    static template = "backup_scheduler.BackupProgress";
    static props = {
        stage: { type: [String, Boolean], optional: true },
        percent: { type: Number, optional: true },
        received: { type: Number, optional: true },
        speed: { type: Number, optional: true },
        timeLeft: { type: Number, optional: true },
        compact: { type: Boolean, optional: true },
    };
    static defaultProps = { stage: false, percent: 0, received: 0, speed: 0, timeLeft: 0 };

    get isKnown() {
        return this.props.percent >= 1;
    }

    get percent() {
        return Math.min(100, Math.floor(this.props.percent));
    }

    get label() {
        if (this.props.stage === "download" && !this.props.received) {
            return _t("The server makes the archive");
        }
        return stageName(this.props.stage) || _t("Starting");
    }

    get bytes() {
        const { stage, received, percent } = this.props;
        if (stage !== "download" || !received) {
            return "";
        }
        if (!this.isKnown || percent >= 99) {
            return formatSize(received);
        }
        return _t("%(received)s of about %(total)s", {
            received: formatSize(received),
            total: formatSize((received * 100) / percent),
        });
    }

    get speed() {
        return this.props.speed ? _t("%s/s", formatSize(this.props.speed)) : "";
    }

    get timeLeft() {
        const { timeLeft } = this.props;
        return timeLeft ? _t("about %s left", formatDuration(timeLeft)) : "";
    }

    /** What is said beneath the bar; of the compact form the first two. */
    get facts() {
        const percent = this.isKnown ? `${this.percent} %` : "";
        return [percent, this.timeLeft, this.bytes, this.speed].filter(Boolean);
    }

    get sentence() {
        return [this.label, ...this.facts].join(" · ");
    }
}
