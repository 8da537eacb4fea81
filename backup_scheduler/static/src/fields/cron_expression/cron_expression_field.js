import { localization } from "@web/core/l10n/localization";
import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { useBus } from "@web/core/utils/hooks";
import { useRecordObserver } from "@web/model/relational_model/utils";
import { standardFieldProps } from "@web/views/fields/standard_field_props";

import { Component, useState } from "@odoo/owl";

import { CronDays } from "./cron_days";
import { CronPreview } from "./cron_preview";
import { useCronPreview } from "./cron_preview_hook";
import { MAX_EVERY, readDraft, splitExpression, writeDraft } from "./cron_shapes";

const { Info } = luxon;
const LIMITS = { every: [1, MAX_EVERY], minute: [0, 59] };

let nextId = 0;

/**
 * A schedule as a cron expression, built by mode or typed, with what it means beneath.
 *
 * The expression in the record changes only by what a person does here: what is read and fits no
 * mode stays as it is, and going through the modes and back gives what was there.
 */
export class CronExpressionField extends Component {
    static template = "backup_scheduler.CronExpressionField";
    static components = { CronDays, CronPreview };
    static props = {
        ...standardFieldProps,
        timezoneField: { type: String, optional: true },
    };

    setup() {
        this.uid = `o_cron_expression_${nextId++}`;
        this.preview = useCronPreview();
        this.state = useState({ draft: readDraft("") });
        // What each mode stood for, as long as only modes were changed.
        this.left = {};
        this.maxEvery = MAX_EVERY;
        useRecordObserver((record, props) => this.observe(record, props));
        const { bus } = this.props.record.model;
        useBus(bus, "NEED_LOCAL_CHANGES", (ev) => ev.detail.proms.push(this.commit()));
        useBus(bus, "WILL_SAVE_URGENTLY", () => this.commit());
    }

    /** Take over what changed in the record, unless it came from here. */
    observe(record, props) {
        const text = record.data[props.name] || "";
        const timezone = record.data[props.timezoneField] || "";
        const isOther = record.id !== this.recordId;
        const isRead = isOther || text !== this.known;
        if (isRead) {
            this.known = text;
            this.state.draft = readDraft(text);
            this.left = {};
        }
        if (isRead || timezone !== this.timezone) {
            this.recordId = record.id;
            this.timezone = timezone;
            this.preview.ask(this.expression, timezone);
        }
    }

    // --- what is shown --------------------------------------------------------------------------

    get modes() {
        return [
            { name: "hourly", label: _t("Hourly") },
            { name: "daily", label: _t("Daily") },
            { name: "weekly", label: _t("Weekly") },
            { name: "monthly", label: _t("Monthly") },
            { name: "custom", label: _t("Custom") },
        ];
    }

    get label() {
        return this.props.record.fields[this.props.name].string;
    }

    get time() {
        const { hour, minute } = this.state.draft;
        return [hour, minute].map((number) => String(number).padStart(2, "0")).join(":");
    }

    /** The days of the week in the user's language, from the day on which the week begins there. */
    get weekdays() {
        const short = Info.weekdays("short");
        const long = Info.weekdays("long");
        const first = localization.weekStart || 7;
        return short.map((_name, index) => {
            const number = (first - 1 + index) % 7; // 0 is Monday
            return { value: (number + 1) % 7, label: short[number], title: long[number] };
        });
    }

    get monthDays() {
        return Array.from({ length: 31 }, (_none, index) => {
            const label = String(index + 1);
            return { value: index + 1, label, title: _t("Day %s", label) };
        });
    }

    /** What people may not expect of the mode that is shown. */
    get note() {
        const { mode, every, days } = this.state.draft;
        if (mode === "hourly" && 24 % every) {
            return _t("Counted from midnight: the last pause of a day is shorter.");
        }
        if (mode === "monthly" && Math.max(...days) > 28) {
            return _t("A month that does not have the day is left out.");
        }
        return "";
    }

    get complaint() {
        const { answer } = this.preview.state;
        return answer?.kind === "invalid" ? answer : null;
    }

    /** The five parts of what is typed, each with its name and whether it is what is wrong. */
    get parts() {
        const names = [_t("minute"), _t("hour"), _t("day"), _t("month"), _t("weekday")];
        const texts = splitExpression(this.state.draft.text);
        return names.map((name, index) => ({
            name,
            text: texts[index] || "–",
            isWrong: this.complaint?.field === index,
        }));
    }

    // --- what people do -------------------------------------------------------------------------

    switchMode(mode) {
        const { draft } = this.state;
        if (mode === draft.mode) {
            return;
        }
        const text = this.expression;
        this.left[draft.mode] = text;
        draft.mode = mode;
        draft.text = this.left[mode] ?? (mode === "custom" ? text : "");
        this.show();
        return this.commit();
    }

    /** Show a change, which is not in the record yet: a slider is still on its way. */
    edit(changes) {
        this.left = {};
        Object.assign(this.state.draft, { text: "" }, changes);
        this.show();
        const { record, name } = this.props;
        if (!record.isValid) {
            record.resetFieldValidity(name);
        }
        record.model.bus.trigger("FIELD_IS_DIRTY", this.expression !== this.known);
    }

    /** Put what is shown into the record. */
    async commit() {
        const text = this.expression.trim();
        if (this.props.readonly || text === this.known) {
            return;
        }
        this.known = text;
        await this.props.record.update({ [this.props.name]: text });
        this.props.record.model.bus.trigger("FIELD_IS_DIRTY", false);
    }

    /** The expression of what is shown: the one that was read, until something is changed. */
    get expression() {
        const { draft } = this.state;
        return draft.text || writeDraft(draft);
    }

    show() {
        this.preview.askSoon(this.expression, this.timezone);
    }

    /** Take over what is typed as the nearest number that can be, and show that one. */
    onNumberInput(key, ev) {
        const [low, high] = LIMITS[key];
        const number = parseInt(ev.target.value, 10);
        if (Number.isNaN(number)) {
            return;
        }
        const nearest = Math.min(Math.max(number, low), high);
        if (nearest !== number) {
            ev.target.value = nearest;
        }
        this.edit({ [key]: nearest });
    }

    onNumberChange(key, ev) {
        // What is no number is not left standing.
        ev.target.value = this.state.draft[key];
        return this.commit();
    }

    onTimeInput(ev) {
        const [hour, minute] = ev.target.value.split(":").map(Number);
        if (ev.target.value) {
            this.edit({ hour, minute });
        }
    }

    onTimeChange(ev) {
        ev.target.value = this.time;
        return this.commit();
    }

    onDaysChange(key, chosen) {
        this.edit({ [key]: chosen });
        return this.commit();
    }

    onTextInput(ev) {
        // The other modes take over what they can of it.
        this.edit({ ...readDraft(ev.target.value), mode: "custom" });
    }
}

export const cronExpressionField = {
    component: CronExpressionField,
    displayName: _t("Schedule"),
    supportedTypes: ["char"],
    supportedOptions: [
        {
            label: _t("Time zone field"),
            name: "timezone_field",
            type: "field",
            availableTypes: ["char", "selection"],
            help: _t("The field with the time zone in which the schedule is meant."),
        },
    ],
    fieldDependencies: ({ options }) =>
        options.timezone_field ? [{ name: options.timezone_field, type: "selection" }] : [],
    extractProps: ({ options }) => ({ timezoneField: options.timezone_field }),
};

registry.category("fields").add("cron_expression", cronExpressionField);
