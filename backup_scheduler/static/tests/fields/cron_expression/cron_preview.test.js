import { expect, test } from "@odoo/hoot";
import { mockTimeZone } from "@odoo/hoot-mock";
import { defineParams, makeMockEnv } from "@web/../tests/web_test_helpers";

import { formatRuns } from "@backup_scheduler/fields/cron_expression/cron_preview";
import { readComplaint } from "@backup_scheduler/fields/cron_expression/cron_preview_hook";

defineParams({ lang_parameters: { date_format: "%Y-%m-%d", time_format: "%H:%M:%S" } });

test("fires are shown on the clock of their own zone, whatever the browser's is", async () => {
    mockTimeZone(-8);
    await makeMockEnv();
    const [run] = formatRuns(["2026-01-05T02:00:00+05:30"]);
    expect(run).toEqual({
        text: "2026-01-05T02:00:00+05:30",
        weekday: "Mon",
        moment: "2026-01-05 02:00",
        offset: "",
        here: "Sun 12:30",
    });
});

test("the user's own time is only told where it is another one", async () => {
    mockTimeZone(+1);
    await makeMockEnv();
    const runs = formatRuns(["2026-01-05T02:00:00+01:00", "2026-01-06T02:00:00+00:00"]);
    expect(runs.map((run) => run.here)).toEqual(["", "03:00"]);
});

test("where the clocks change between two fires, each one tells its offset", async () => {
    mockTimeZone(+1);
    await makeMockEnv();
    const runs = formatRuns(["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00"]);
    expect(runs.map((run) => run.moment)).toEqual(["2026-03-28 02:30", "2026-03-29 03:00"]);
    expect(runs.map((run) => run.offset)).toEqual(["UTC+01:00", "UTC+02:00"]);
});

test("an hour that comes twice is shown twice, with what tells them apart", async () => {
    mockTimeZone(+2);
    await makeMockEnv();
    const runs = formatRuns(["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"]);
    expect(runs.map((run) => `${run.moment} ${run.offset}`)).toEqual([
        "2026-10-25 02:00 UTC+02:00",
        "2026-10-25 02:00 UTC+01:00",
    ]);
});

const COMPLAINTS = [
    ["minute: 61 is outside 0-59", "Minute: 61 is outside 0-59", 0],
    ["hour: 24 is outside 0-23", "Hour: 24 is outside 0-23", 1],
    ["day of month: 32 is outside 1-31", "Day of month: 32 is outside 1-31", 2],
    ["month: 'x' is not a whole number in 1-12", "Month: 'x' is not a whole number in 1-12", 3],
    ["day of week: 8 is outside 0-7", "Day of week: 8 is outside 0-7", 4],
    [
        "expression: 3 fields where exactly 5 are needed",
        "3 fields where exactly 5 are needed",
        -1,
    ],
    ["timezone: 'Mars/Base' is not a time zone", "Time zone: 'Mars/Base' is not a time zone", -1],
    ["something else", "Something else", -1],
];

for (const [told, message, field] of COMPLAINTS) {
    test(`“${told}” is a complaint about field ${field}, in words for people`, () => {
        expect(readComplaint(told)).toEqual({ message, field });
    });
}
