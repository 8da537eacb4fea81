import { expect, test } from "@odoo/hoot";
import { clear, fill, press, queryAllTexts, queryOne, setInputRange } from "@odoo/hoot-dom";
import { advanceTime, animationFrame, Deferred, mockSendBeacon } from "@odoo/hoot-mock";
import {
    clickSave,
    contains,
    defineParams,
    mountView,
    pagerNext,
} from "@web/../tests/web_test_helpers";

import {
    asked,
    defineJobs,
    FORM,
    mountSchedule,
    saved,
    settle,
    shownMode,
    switchTo,
    type,
} from "./cron_test_helpers";

defineJobs();

const READ = [
    ["15 */6 * * *", "hourly", { ".o_cron_every": "6", ".o_cron_minute": "15" }],
    ["30 4 * * *", "daily", { ".o_cron_time": "04:30" }],
    ["30 4 * * mon,thu", "weekly", { ".o_cron_time": "04:30" }],
    ["0 3 1,31 * *", "monthly", { ".o_cron_time": "03:00" }],
    ["*/15 8-18 * * *", "custom", { ".o_cron_text": "*/15 8-18 * * *" }],
];

for (const [expression, mode, values] of READ) {
    test(`${expression} opens as ${mode}, and opening changes nothing`, async () => {
        await mountSchedule(expression);
        expect(shownMode()).toBe(mode);
        for (const [selector, value] of Object.entries(values)) {
            expect(queryOne(selector).value).toBe(value);
        }
        expect(".o_cron_description").toHaveText(`Meaning of ${expression}`);
        expect(".o_form_status_indicator_buttons.invisible").toHaveCount(1);
        await settle();
        expect(asked).toEqual([expression]);
    });
}

test("hourly: the slider and both numbers make the expression", async () => {
    await mountSchedule("0 */6 * * *");
    await setInputRange(".o_cron_slider", 8);
    await animationFrame();
    expect(".o_cron_every").toHaveValue(8);
    await contains(".o_cron_minute").edit("45");
    await settle();
    expect(".o_cron_description").toHaveText("Meaning of 45 */8 * * *");
    await contains(".o_cron_every").edit("1");
    expect(".o_cron_slider").toHaveValue(1);
    await clickSave();
    expect(asked).toEqual(["0 */6 * * *", "45 */8 * * *"]);
    expect(saved).toEqual(["45 * * * *"]);
});

test("hourly: what cannot be becomes the nearest number that can", async () => {
    await mountSchedule("30 */6 * * *");
    const cases = [
        [".o_cron_every", "0", 1],
        [".o_cron_every", "24", 23],
        [".o_cron_every", "5.5", 5],
        [".o_cron_every", "", 5],
        [".o_cron_minute", "60", 59],
        [".o_cron_minute", "0", 0],
        [".o_cron_minute", "", 0],
    ];
    for (const [selector, typed, taken] of cases) {
        await contains(selector).edit(typed);
        expect(selector).toHaveValue(taken, { message: `${selector} ${typed}` });
    }
    await clickSave();
    expect(saved).toEqual(["0 */5 * * *"]);
});

test("hourly: hours that do not divide the day are explained", async () => {
    await mountSchedule("0 */6 * * *");
    expect(".o_cron_note").toHaveCount(0);
    await contains(".o_cron_every").edit("5");
    expect(".o_cron_note").toHaveCount(1);
});

test("daily: the time makes the expression", async () => {
    await mountSchedule("0 2 * * *");
    await contains(".o_cron_time").edit("23:05");
    await clickSave();
    expect(saved).toEqual(["5 23 * * *"]);
});

test("weekly: the days are toggles, and one of them stays", async () => {
    await mountSchedule("30 4 * * mon");
    expect(queryAllTexts(".o_cron_days button").slice(0, 3)).toEqual(["Sun", "Mon", "Tue"]);
    expect(".o_cron_days button[aria-pressed=true]").toHaveText("Mon");
    await contains(".o_cron_days button[data-day='1']").click();
    expect(".o_cron_days button[aria-pressed=true]").toHaveText("Mon");
    expect(".o_cron_days button[data-day='1']").toHaveAttribute("aria-disabled", "true");
    await contains(".o_cron_days button[data-day='4']").click();
    await contains(".o_cron_days button[data-day='1']").click();
    await contains(".o_cron_days button[data-day='0']").click();
    await clickSave();
    expect(saved).toEqual(["30 4 * * sun,thu"]);
});

test("weekly: the week begins as in the user's language", async () => {
    defineParams({ lang_parameters: { week_start: 1 } });
    await mountSchedule("30 4 * * 7");
    expect(queryAllTexts(".o_cron_days button")[0]).toBe("Mon");
    expect(queryAllTexts(".o_cron_days button")[6]).toBe("Sun");
    expect(".o_cron_days button[aria-pressed=true]").toHaveText("Sun");
});

test("monthly: several days, and a word on those that not every month has", async () => {
    await mountSchedule("0 3 1 * *");
    expect(".o_cron_days button").toHaveCount(31);
    expect(".o_cron_note").toHaveCount(0);
    await contains(".o_cron_days button[data-day='31']").click();
    expect(".o_cron_note").toHaveText("A month that does not have the day is left out.");
    await clickSave();
    expect(saved).toEqual(["0 3 1,31 * *"]);
});

test("custom: what is typed is asked for once the keys are still, and saved", async () => {
    await mountSchedule("*/15 * * * *");
    await contains(".o_cron_text").click();
    await clear();
    await fill("*/20 8 * * *");
    await advanceTime(100);
    expect(asked).toEqual(["*/15 * * * *"]);
    await settle();
    expect(asked).toEqual(["*/15 * * * *", "*/20 8 * * *"]);
    expect(".o_cron_description").toHaveText("Meaning of */20 8 * * *");
    expect(queryAllTexts(".o_cron_part")).toEqual([
        "*/20\nminute",
        "8\nhour",
        "*\nday",
        "*\nmonth",
        "*\nweekday",
    ]);
    await press("alt+s"); // the input still has the focus
    await animationFrame();
    expect(saved).toEqual(["*/20 8 * * *"]);
});

for (const expression of ["00 02 * * *", "*/15 8-18 * * mon-fri", "nonsense"]) {
    test(`going through all modes and back leaves ${expression} as it is`, async () => {
        await mountSchedule(expression);
        const mode = shownMode();
        for (const other of ["hourly", "weekly", "monthly", mode]) {
            await switchTo(other);
        }
        expect(shownMode()).toBe(mode);
        expect(asked.at(-1)).toBe(expression);
        await contains("[name=name] input").edit("Renamed");
        await clickSave();
        expect([expression, undefined]).toInclude(saved[0]);
    });
}

test("a mode takes over the time of day, and custom shows what the mode made", async () => {
    await mountSchedule("30 4 * * *");
    await switchTo("weekly");
    expect(queryOne(".o_cron_time").value).toBe("04:30");
    await contains(".o_cron_days button[data-day='3']").click();
    await switchTo("custom");
    expect(".o_cron_text").toHaveValue("30 4 * * mon,wed");
    await type("15 5 1 * *");
    await switchTo("monthly");
    expect(queryOne(".o_cron_time").value).toBe("05:15");
    await clickSave();
    expect(asked).toEqual([
        "30 4 * * *",
        "30 4 * * mon",
        "30 4 * * mon,wed",
        "15 5 1 * *",
        "15 5 1 * *",
    ]);
    expect(saved).toEqual(["15 5 1 * *"]);
});

test("a new record starts with its default", async () => {
    await mountView({ resModel: "backup.job", type: "form", arch: FORM });
    expect(shownMode()).toBe("daily");
    await switchTo("custom");
    expect(".o_cron_text").toHaveValue("0 2 * * *");
    await clickSave();
    expect(saved).toEqual(["0 2 * * *"]);
});

test("the next record, and what is discarded, are read anew", async () => {
    await mountSchedule("0 2 * * *");
    await switchTo("custom");
    await pagerNext();
    await settle();
    expect(shownMode()).toBe("weekly");
    await contains(".o_cron_time").edit("07:00");
    await contains(".o_form_button_cancel").click();
    await settle();
    expect(queryOne(".o_cron_time").value).toBe("04:30");
    expect(".o_cron_description").toHaveText("Meaning of 30 4 * * mon,thu");
});

test("a record is left for the next one with what was typed last", async () => {
    await mountSchedule("*/15 * * * *");
    await contains(".o_cron_text").click();
    await clear();
    await fill("*/20 * * * *");
    // By its own event: clicking the pager would take the focus, and so end the typing.
    queryOne(".o_pager_next").dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await settle();
    expect(saved).toEqual(["*/20 * * * *"]);
    expect(shownMode()).toBe("weekly");
});

test("what is typed is saved when the page is left in the middle of it", async () => {
    const sent = new Deferred();
    mockSendBeacon((_url, blob) => {
        blob.text().then((text) => sent.resolve(JSON.parse(text).params.args));
        return true;
    });
    await mountSchedule("*/15 * * * *");
    await contains(".o_cron_text").click();
    await clear();
    await fill("*/20 * * * *");
    // By its own event, as above: hoot's unload() ends the typing first.
    window.dispatchEvent(new Event("beforeunload", { cancelable: true }));
    expect(await sent).toEqual([[1], { cron_expression: "*/20 * * * *" }]);
});
