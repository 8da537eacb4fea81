import { localization } from "@web/core/l10n/localization";
import { _t } from "@web/core/l10n/translation";

import { Component, useRef, useState } from "@odoo/owl";

/**
 * Days as toggle buttons. They are one stop of the Tab key; arrow keys, Home and End move among
 * them. At least one stays pressed.
 */
export class CronDays extends Component {
    static template = "backup_scheduler.CronDays";
    static props = {
        days: { type: Array, element: Object }, // {value, label, title}
        chosen: { type: Array, element: Number },
        columns: Number,
        label: String,
        onChange: Function,
    };

    setup() {
        this.root = useRef("root");
        this.state = useState({ focused: null });
    }

    get tabStop() {
        const { days, chosen } = this.props;
        const first = days.findIndex((day) => chosen.includes(day.value));
        return this.state.focused ?? Math.max(first, 0);
    }

    isChosen(day) {
        return this.props.chosen.includes(day.value);
    }

    isLast(day) {
        return this.isChosen(day) && this.props.chosen.length === 1;
    }

    titleOf(day) {
        return this.isLast(day) ? _t("%s: at least one day is needed", day.title) : day.title;
    }

    toggle(day) {
        if (this.isLast(day)) {
            return;
        }
        const others = this.props.chosen.filter((value) => value !== day.value);
        const chosen = this.isChosen(day) ? others : [...others, day.value];
        this.props.onChange(chosen.sort((a, b) => a - b));
    }

    onKeydown(ev, index) {
        const forward = localization.direction === "rtl" ? -1 : 1;
        const last = this.props.days.length - 1;
        const targets = {
            ArrowRight: index + forward,
            ArrowLeft: index - forward,
            ArrowDown: index + this.props.columns,
            ArrowUp: index - this.props.columns,
            Home: 0,
            End: last,
        };
        const target = targets[ev.key];
        if (target === undefined || target < 0 || target > last) {
            return;
        }
        ev.preventDefault();
        this.root.el.querySelectorAll("button")[target].focus();
    }
}
