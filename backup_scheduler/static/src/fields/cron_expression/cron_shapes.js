/**
 * What a cron expression looks like to a person, and back: no DOM, no server, no translation.
 *
 * The grammar is that of `engine/cron_expression.py` (Debian's cron). A shape is read out of an
 * expression only where the text that the shape writes means exactly the same: that includes
 * whether hour begins with `*`, which decides what happens when the clocks change.
 */

/**
 * What the builder shows: the mode, and what each mode needs. All of them are kept while the mode
 * changes, so that a time of day survives.
 *
 * @typedef {Object} Draft
 * @property {"hourly" | "daily" | "weekly" | "monthly" | "custom"} mode
 * @property {string} text the expression as it was typed; what “custom” stands for
 * @property {number} every hours between two fires, 1-23, counted from midnight
 * @property {number} hour 0-23
 * @property {number} minute 0-59
 * @property {number[]} weekdays 0 (Sunday) to 6
 * @property {number[]} days of the month, 1-31
 */

export const FIELD_NAMES = ["minute", "hour", "day of month", "month", "day of week"];
export const MAX_EVERY = 23; // hours: every 24th is a time of day
const MAX_LENGTH = 500; // as the server: all fields written out as full lists take 355
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS = [
    { low: 0, high: 59, size: 60, names: [] },
    { low: 0, high: 23, size: 24, names: [] },
    { low: 1, high: 31, size: 31, names: [] },
    { low: 1, high: 12, size: 12, names: MONTHS },
    // Sunday is 0 and 7.
    { low: 0, high: 7, size: 7, names: WEEKDAYS },
];
const DEFAULTS = { every: 6, hour: 2, minute: 0, weekdays: [1], days: [1] };

/** Return the parts of an expression as the server separates them: by spaces and tabs. */
export function splitExpression(expression) {
    return expression.split(/[ \t]+/).filter(Boolean);
}

function parseNumber(token) {
    return /^[0-9]+$/.test(token) ? parseInt(token, 10) : null;
}

function parseValue(field, token) {
    const index = field.names.indexOf(token.toLowerCase());
    const value = index >= 0 ? field.low + index : parseNumber(token);
    return value !== null && value >= field.low && value <= field.high ? value : null;
}

function parseBounds(field, span) {
    if (span === "*") {
        return [field.low, field.high];
    }
    const tokens = span.split("-");
    const first = parseValue(field, tokens[0]);
    const last = parseValue(field, tokens.at(-1));
    const isRange = tokens.length <= 2 && first !== null && last !== null && first <= last;
    return isRange ? [first, last] : null;
}

/** Return the values of one item of a list such as `1-23/6`, or null where there are none. */
function parseItem(field, item) {
    const [span, step, ...rest] = item.split("/");
    const bounds = parseBounds(field, span);
    const pace = step === undefined ? 1 : parseNumber(step);
    if (!bounds || !pace || rest.length) {
        return null;
    }
    const [first] = bounds;
    // n/step is n-max/step.
    const last = step !== undefined && !span.includes("-") ? field.high : bounds[1];
    const values = [];
    for (let value = first; value <= last; value += pace) {
        values.push(value);
    }
    return values;
}

/**
 * @returns {{values: number[], star: boolean, full: boolean, text: string} | null} sorted values;
 *  `star`: the text begins with `*`, which cron treats as a meaning of its own
 */
function parseField(field, text) {
    const items = text.split(",").map((item) => parseItem(field, item));
    if (items.includes(null)) {
        return null;
    }
    const found = items.flat().map((value) => (field.high === 7 ? value % 7 : value));
    const values = [...new Set(found)].sort((a, b) => a - b);
    return { values, star: text[0] === "*", full: values.length === field.size, text };
}

function parseExpression(expression) {
    const texts = splitExpression(expression);
    if (texts.length !== FIELDS.length || expression.length > MAX_LENGTH) {
        return null;
    }
    const fields = texts.map((text, index) => parseField(FIELDS[index], text));
    return fields.includes(null) ? null : fields;
}

/** Return the step of an hour field that is `*` or `*` with a step and nothing else, or 0. */
function hourStep(hour) {
    const match = /^\*(?:\/([0-9]+))?$/.exec(hour.text);
    const step = match ? parseInt(match[1] || "1", 10) : 0;
    return step <= MAX_EVERY ? step : 0;
}

function isOne(field) {
    return !field.star && field.values.length === 1;
}

function modeOf([minute, hour, day, month, weekday]) {
    if (!isOne(minute) || !month.full) {
        return "custom";
    }
    const anyDay = day.full && weekday.full;
    if (hourStep(hour)) {
        return anyDay ? "hourly" : "custom";
    }
    if (!isOne(hour)) {
        return "custom";
    }
    if (anyDay) {
        return "daily";
    }
    if (!day.star && !weekday.star) {
        return "custom"; // Either day will do, so that “1-31 * mon” is every day.
    }
    if (day.full) {
        return "weekly";
    }
    return weekday.full ? "monthly" : "custom";
}

/**
 * Read an expression into what the builder shows. What fits no shape, or is no expression at all,
 * is custom, with as much of it as the other modes can take over.
 *
 * @param {string | false} expression
 * @returns {Draft}
 */
export function readDraft(expression) {
    const text = expression || "";
    const draft = { ...DEFAULTS, mode: "custom", text };
    const fields = parseExpression(text);
    if (!fields) {
        return draft;
    }
    const [minute, hour, day, , weekday] = fields;
    draft.mode = modeOf(fields);
    draft.minute = isOne(minute) ? minute.values[0] : DEFAULTS.minute;
    draft.hour = isOne(hour) ? hour.values[0] : DEFAULTS.hour;
    draft.every = hourStep(hour) || DEFAULTS.every;
    draft.days = day.full ? DEFAULTS.days : day.values;
    draft.weekdays = weekday.full ? DEFAULTS.weekdays : weekday.values;
    return draft;
}

/** Write sorted values as a list, with three or more in a row as a range. */
function writeList(values, size, name = String) {
    if (values.length === size) {
        return "*";
    }
    const spans = [];
    for (const value of [...values].sort((a, b) => a - b)) {
        const span = spans.at(-1);
        if (span && value === span.at(-1) + 1) {
            span.push(value);
        } else {
            spans.push([value]);
        }
    }
    const written = spans.map((span) =>
        span.length > 2 ? `${name(span[0])}-${name(span.at(-1))}` : span.map(name).join(",")
    );
    return written.join(",");
}

/**
 * Write the expression of what the builder shows.
 *
 * @param {Draft} draft
 * @returns {string}
 */
export function writeDraft({ mode, text, every, hour, minute, weekdays, days }) {
    switch (mode) {
        case "hourly":
            return `${minute} ${every === 1 ? "*" : `*/${every}`} * * *`;
        case "daily":
            return `${minute} ${hour} * * *`;
        case "weekly":
            return `${minute} ${hour} * * ${writeList(weekdays, 7, (day) => WEEKDAYS[day])}`;
        case "monthly":
            return `${minute} ${hour} ${writeList(days, 31)} * *`;
        default:
            return text;
    }
}
