import { describe, expect, test } from "@odoo/hoot";

import { readDraft, writeDraft } from "@backup_scheduler/fields/cron_expression/cron_shapes";

describe.current.tags("headless");

// What the builder itself writes: read back, it is the same shape and the same text.
const WRITTEN = [
    ["0 * * * *", { mode: "hourly", every: 1, minute: 0 }],
    ["15 * * * *", { mode: "hourly", every: 1, minute: 15 }],
    ["0 */6 * * *", { mode: "hourly", every: 6, minute: 0 }],
    ["59 */23 * * *", { mode: "hourly", every: 23, minute: 59 }],
    ["0 2 * * *", { mode: "daily", hour: 2, minute: 0 }],
    ["30 23 * * *", { mode: "daily", hour: 23, minute: 30 }],
    ["0 0 * * *", { mode: "daily", hour: 0, minute: 0 }],
    ["0 4 * * mon", { mode: "weekly", hour: 4, weekdays: [1] }],
    ["30 4 * * mon,thu", { mode: "weekly", hour: 4, minute: 30, weekdays: [1, 4] }],
    ["0 4 * * mon-fri", { mode: "weekly", weekdays: [1, 2, 3, 4, 5] }],
    ["0 4 * * sun,sat", { mode: "weekly", weekdays: [0, 6] }],
    ["0 4 * * sun,tue-thu,sat", { mode: "weekly", weekdays: [0, 2, 3, 4, 6] }],
    ["0 3 1 * *", { mode: "monthly", hour: 3, days: [1] }],
    ["0 3 1,15 * *", { mode: "monthly", days: [1, 15] }],
    ["0 3 31 * *", { mode: "monthly", days: [31] }],
    ["0 3 1-5,15,31 * *", { mode: "monthly", days: [1, 2, 3, 4, 5, 15, 31] }],
];

for (const [expression, shape] of WRITTEN) {
    test(`${expression} is read as ${shape.mode} and written as it was`, () => {
        const draft = readDraft(expression);
        expect(draft).toMatchObject({ ...shape, text: expression });
        expect(writeDraft({ ...draft, text: "" })).toBe(expression);
    });
}

// Other spellings with exactly the same meaning.
const RESPELT = [
    ["0 */1 * * *", "0 * * * *"],
    ["05 */06 * * *", "5 */6 * * *"],
    ["\t0  2 *\t* * ", "0 2 * * *"],
    ["00 02 * * *", "0 2 * * *"],
    ["0 2-2 * * *", "0 2 * * *"],
    ["0 2 */1 1-12 0-6", "0 2 * * *"],
    ["0 2 * jan-dec *", "0 2 * * *"],
    ["0 2 * */1 1-7", "0 2 * * *"],
    ["0 2 1-31 * sun-sat", "0 2 * * *"],
    ["0 4 * * 7", "0 4 * * sun"],
    ["0 4 * * 0,7", "0 4 * * sun"],
    ["0 4 * * MON,Thu", "0 4 * * mon,thu"],
    ["0 4 * * 1-5", "0 4 * * mon-fri"],
    ["0 4 * * 5-7", "0 4 * * sun,fri,sat"],
    ["0 4 * * 1/2", "0 4 * * sun,mon,wed,fri"],
    ["0 4 */1 * */2", "0 4 * * sun,tue,thu,sat"],
    ["0 3 */10 * *", "0 3 1,11,21,31 * *"],
    ["0 3 5,1 * *", "0 3 1,5 * *"],
];

for (const [expression, same] of RESPELT) {
    test(`${JSON.stringify(expression)} means ${same}`, () => {
        const draft = readDraft(expression);
        expect(draft.mode).not.toBe("custom");
        expect(draft.text).toBe(expression);
        expect(writeDraft(draft)).toBe(same);
    });
}

// What has no shape, or one that would mean something else: not a character of it is changed.
const CUSTOM = [
    "* * * * *",
    "*/15 * * * *",
    "0,30 * * * *",
    "*/60 * * * *", // begins with *: it follows elapsed time when the clocks change
    "0 */24 * * *", // so does this one, unlike 0 0 * * *
    "0 0,6,12,18 * * *", // and this one does not, unlike 0 */6 * * *
    "30 1-23/6 * * *",
    "0 0-23 * * *",
    "0 2,14 * * *",
    "0 8-18 * * mon-fri",
    "0 */6 * * mon",
    "0 */6 1 * *",
    "0 2 * 1 *",
    "0 2 * jan,jul *",
    "0 2 1 * mon", // either day
    "0 2 */2 * mon", // both
    "0 2 1-31 * mon", // either, so every day
    "0 2 1 * 0-6", // either, so every day
    "0 2 29 2 *",
];

const BROKEN = [
    "",
    "0 2 * *",
    "0 2 * * * *",
    "@daily",
    "60 2 * * *",
    "0 24 * * *",
    "0 2 0 * *",
    "0 2 32 * *",
    "0 2 * 13 *",
    "0 2 * * 8",
    "0 2 * * fri-mon",
    "0 2 * * montag",
    "0 2 L * *",
    "0 2 * * 1#2",
    "0 */0 * * *",
    "0 */6/2 * * *",
    "0 22-2 * * *",
    "0 1- * * *",
    "0 -1 * * *",
    "0 1-2-3 * * *",
    "0 ,2 * * *",
    "0 2.0 * * *",
    "0 ٢ * * *",
    "0 2\n* * *",
    `0 2 * * ${"1,".repeat(300)}1`, // longer than any schedule
];

for (const expression of [...CUSTOM, ...BROKEN]) {
    test(`${JSON.stringify(expression.slice(0, 30))} is custom and stays as it is`, () => {
        const draft = readDraft(expression);
        expect(draft.mode).toBe("custom");
        expect(writeDraft(draft)).toBe(expression);
    });
}

test("no expression is custom, and the other modes have their defaults", () => {
    const draft = readDraft(false);
    expect(draft).toMatchObject({ mode: "custom", text: "", hour: 2, minute: 0, every: 6 });
    expect(writeDraft({ ...draft, mode: "daily" })).toBe("0 2 * * *");
});

const TAKEN_OVER = [
    ["30 4 * * mon,thu", "hourly", "30 */6 * * *"],
    ["30 4 * * mon,thu", "daily", "30 4 * * *"],
    ["30 4 * * mon,thu", "monthly", "30 4 1 * *"],
    ["15 */8 * * *", "daily", "15 2 * * *"],
    ["0 5 1,15 * mon", "weekly", "0 5 * * mon"],
    ["0 5 1,15 * mon", "monthly", "0 5 1,15 * *"],
    ["45 1 * jan *", "daily", "45 1 * * *"],
    ["*/15 8-18 * * mon-fri", "weekly", "0 2 * * mon-fri"],
    ["nonsense", "weekly", "0 2 * * mon"],
];

for (const [expression, mode, written] of TAKEN_OVER) {
    test(`${mode} takes over what it can from ${expression}`, () => {
        expect(writeDraft({ ...readDraft(expression), mode })).toBe(written);
    });
}

test("all days of the week, or of the month, are every day", () => {
    const draft = readDraft("0 4 * * mon");
    expect(writeDraft({ ...draft, weekdays: [0, 1, 2, 3, 4, 5, 6] })).toBe("0 4 * * *");
    const days = Array.from({ length: 31 }, (_none, index) => index + 1);
    expect(writeDraft({ ...draft, mode: "monthly", days })).toBe("0 4 * * *");
});
