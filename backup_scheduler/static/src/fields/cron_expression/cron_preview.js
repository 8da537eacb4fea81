import { localization } from "@web/core/l10n/localization";
import { _t } from "@web/core/l10n/translation";

import { Component } from "@odoo/owl";

const { DateTime } = luxon;

/**
 * Write the time zone of a moment as its distance from UTC: UTC+05:30.
 */
function formatOffset(moment) {
    return moment.offset ? `UTC${moment.toFormat("ZZ")}` : "UTC";
}

/**
 * Prepare fires for display: on the wall clock of their own zone, which the offset in each text
 * tells, and never on that of the browser.
 *
 * @param {string[]} texts ISO 8601 with offset
 * @returns {Object[]} `text`, `weekday`, `moment`, `offset` (only where the clocks change between
 *  two of them) and `here` (only where the user's own clock shows another time)
 */
export function formatRuns(texts) {
    const moments = texts.map((text) => DateTime.fromISO(text, { setZone: true }));
    const clocksChange = new Set(moments.map((moment) => moment.offset)).size > 1;
    const time = localization.timeFormat.replace(/:ss/, "");
    const format = `${localization.dateFormat} ${time}`;
    return moments.map((moment, index) => {
        const here = moment.setZone("default");
        const sameDay = here.hasSame(moment.setZone("default", { keepLocalTime: true }), "day");
        return {
            text: texts[index],
            weekday: moment.toFormat("ccc"),
            moment: moment.toFormat(format),
            offset: clocksChange ? formatOffset(moment) : "",
            here: here.offset === moment.offset ? "" : here.toFormat(sameDay ? time : `ccc ${time}`),
        };
    });
}

/** What an expression means, in a sentence and in its next fires, or why that is not known. */
export class CronPreview extends Component {
    static template = "backup_scheduler.CronPreview";
    static props = {
        answer: { type: [Object, { value: null }] },
        loading: Boolean,
        onRetry: Function,
    };

    get runs() {
        return formatRuns(this.props.answer.runs);
    }

    /** Whether some fire has another time on the user's own clock. */
    get hasOtherClock() {
        return this.runs.some((run) => run.here);
    }

    get heading() {
        const { runs, timezone } = this.props.answer;
        const zone = timezone.replaceAll("_", " ");
        const offset = runs.length ? formatOffset(DateTime.fromISO(runs[0], { setZone: true })) : "";
        return offset && offset !== zone
            ? _t("Next runs, %(zone)s (%(offset)s)", { zone, offset })
            : _t("Next runs, %s", zone);
    }
}
