import { localization } from "@web/core/l10n/localization";
import { _t } from "@web/core/l10n/translation";

import { Component, useState } from "@odoo/owl";

import { countDays, readStrip } from "../overview_rules";
import { DAY_KINDS } from "../overview_words";

const { DateTime } = luxon;
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 };
const WORDS = Object.fromEntries(Object.values(DAY_KINDS).map((kind) => [kind.name, kind.word]));

/**
 * What became of the backups of a database, a cell a day. One stop of the tab key: the arrows go
 * from day to day (up and down by a week), Enter opens the runs of the day.
 */
export class DayStrip extends Component {
    static template = "backup_scheduler.DayStrip";
    static props = {
        id: String,
        name: String,
        strip: Object,
        days: Array,
        onOpen: Function,
    };

    setup() {
        this.state = useState({ current: -1 });
    }

    readCells() {
        return readStrip(this.props.strip, this.props.days);
    }

    /** Such as: “sales: last 30 days: 28 verified, 1 failed, 1 none planned”. */
    label(cells) {
        const counts = [...countDays(cells)].map(([word, count]) => `${count} ${word}`).join(", ");
        return _t("%(name)s, last %(days)s days: %(counts)s", {
            name: this.props.name,
            days: cells.length,
            counts,
        });
    }

    /** Such as: “Friday, November 20: 1 verified, 2 failed”. */
    tell(cell) {
        const date = DateTime.fromISO(cell.day.date).toLocaleString({
            weekday: "long",
            month: "long",
            day: "numeric",
        });
        const told = Object.entries(WORDS).flatMap(([name, word]) =>
            cell.counts[name] ? [`${cell.counts[name]} ${word}`] : []
        );
        return `${date}: ${told.join(", ") || DAY_KINDS["-"].word}`;
    }

    cellId(number) {
        return `${this.props.id}_day_${number}`;
    }

    onFocus() {
        if (this.state.current < 0) {
            this.state.current = this.props.days.length - 1;
        }
    }

    onBlur() {
        this.state.current = -1;
    }

    onKeydown(ev) {
        const last = this.props.days.length - 1;
        const current = this.state.current < 0 ? last : this.state.current;
        if (ev.key === "Enter" || ev.key === " ") {
            this.props.onOpen(this.props.days[current]);
        } else if (ev.key === "Home" || ev.key === "End") {
            this.state.current = ev.key === "Home" ? 0 : last;
        } else if (ev.key in STEPS) {
            const sideways = ev.key === "ArrowLeft" || ev.key === "ArrowRight";
            const sign = sideways && localization.direction === "rtl" ? -1 : 1;
            this.state.current = Math.min(last, Math.max(0, current + sign * STEPS[ev.key]));
        } else {
            return;
        }
        ev.preventDefault();
    }
}
