import { expect, test } from "@odoo/hoot";
import { clear, fill, press, queryAllTexts, queryOne } from "@odoo/hoot-dom";
import { advanceTime, animationFrame, Deferred, mockTimeZone } from "@odoo/hoot-mock";
import { ConnectionLostError, rpc } from "@web/core/network/rpc";
import {
    clickSave,
    contains,
    makeServerError,
    onRpc,
    patchWithCleanup,
} from "@web/../tests/web_test_helpers";

import {
    answerTo,
    asked,
    defineJobs,
    mountSchedule,
    onPreview,
    refusal,
    saved,
    settle,
    shownMode,
    switchTo,
    type,
} from "./cron_test_helpers";

defineJobs();

function refuseHours(expression) {
    if (expression.includes("24")) {
        throw refusal("hour: 24 is outside 0-23");
    }
    return answerTo(expression);
}

// --- what is wrong ------------------------------------------------------------------------------

test("what is wrong is said at the part that is wrong, and no dialog opens", async () => {
    onPreview(refuseHours);
    await mountSchedule("*/15 * * * *");
    expect(".o_cron_text").toHaveAttribute("aria-invalid", "false");
    await type("0 24 * * *");
    expect(".o_cron_complaint[role=alert]").toHaveText("Hour: 24 is outside 0-23");
    expect(".o_cron_text").toHaveAttribute("aria-invalid", "true");
    expect(".o_cron_text").toHaveAttribute("aria-describedby", queryOne(".o_cron_complaint").id);
    expect(queryAllTexts(".o_cron_part_wrong")).toEqual(["24\nhour"]);
    expect(".o_cron_runs").toHaveCount(0);
    expect(".o_dialog, .o_notification").toHaveCount(0);
    await type("0 23,*/5 * * *");
    expect(".o_cron_complaint, .o_cron_part_wrong").toHaveCount(0);
    expect(".o_cron_text").toHaveAttribute("aria-invalid", "false");
    expect(".o_cron_runs li").toHaveCount(5);
});

test("a complaint about the whole marks no part", async () => {
    onPreview(() => {
        throw refusal("expression: 2 fields where exactly 5 are needed");
    });
    await mountSchedule("0 2");
    expect(shownMode()).toBe("custom");
    expect(".o_cron_complaint").toHaveText("2 fields where exactly 5 are needed");
    expect(".o_cron_part_wrong").toHaveCount(0);
    expect(".o_cron_text").toHaveClass("o_cron_invalid");
});

test("what the server refuses to save stays as it was typed", async () => {
    expect.errors(1);
    onPreview(refuseHours);
    onRpc("backup.job", "web_save", () => {
        throw refusal("Schedule: hour: 24 is outside 0-23");
    });
    await mountSchedule("*/15 * * * *");
    await type("0 24 * * *");
    await clickSave();
    await animationFrame();
    expect(".o_dialog").toHaveText(/hour: 24 is outside 0-23/);
    await contains(".o_dialog .btn-primary").click();
    expect(".o_cron_text").toHaveValue("0 24 * * *");
    expect(".o_cron_complaint").toHaveCount(1);
    expect.verifyErrors([/hour: 24 is outside 0-23/]);
});

// --- slow and failing servers -------------------------------------------------------------------

test("a slow server: it is shown that the answer is on its way", async () => {
    const slow = new Deferred();
    onPreview(() => slow);
    await mountSchedule("0 2 * * *");
    expect(".o_cron_preview").toHaveAttribute("aria-busy", "true");
    expect(".o_cron_preview").toHaveText("Computing the next runs…");
    slow.resolve(answerTo("it"));
    await animationFrame();
    expect(".o_cron_preview").toHaveAttribute("aria-busy", "false");
    expect(".o_cron_description").toHaveText("Meaning of it");
});

test("an answer that comes late does not replace that to a later question", async () => {
    const slow = new Deferred();
    onPreview((expression) => (expression === "1 1 1 1 1" ? slow : answerTo(expression)));
    await mountSchedule("*/15 * * * *");
    await type("1 1 1 1 1");
    await type("2 2 2 2 2");
    expect(".o_cron_description").toHaveText("Meaning of 2 2 2 2 2");
    slow.resolve(answerTo("1 1 1 1 1"));
    await settle();
    expect(".o_cron_description").toHaveText("Meaning of 2 2 2 2 2");
});

test("an answer is stale from the first key on, not only once the next question is sent", async () => {
    const slow = new Deferred();
    onPreview((expression) => (expression === "1 1 1 1 1" ? slow : answerTo(expression)));
    await mountSchedule("*/15 * * * *");
    await type("1 1 1 1 1");
    await clear();
    await fill("2 2 2 2 2");
    slow.reject(refusal("hour: 24 is outside 0-23"));
    await animationFrame();
    expect(".o_cron_complaint").toHaveCount(0);
    await advanceTime(500);
    await animationFrame();
    expect(".o_cron_description").toHaveText("Meaning of 2 2 2 2 2");
});

function expectFailure(said) {
    expect(".o_cron_failed").toHaveText(said);
    expect(".o_cron_complaint, .o_dialog, .o_notification").toHaveCount(0);
}

async function askAgain() {
    await contains(".o_cron_retry").click();
    await animationFrame();
    expect(".o_cron_failed").toHaveCount(0);
    expect(".o_cron_description").toHaveText("Meaning of 0 2 * * *");
}

test("a failing server is told without a dialog, and asked again on request", async () => {
    let failing = true;
    onPreview((expression) => {
        if (failing) {
            throw makeServerError({ errorName: "psycopg2.Error", message: "No room" });
        }
        return answerTo(expression);
    });
    await mountSchedule("0 2 * * *");
    expectFailure(/The next runs are not known: No room/);
    failing = false;
    await askAgain();
    expect(asked).toEqual(["0 2 * * *", "0 2 * * *"]);
});

/** Cut the connection for what the preview asks; return a function that mends it. */
function cutConnection() {
    let isCut = true;
    patchWithCleanup(rpc, {
        _rpc(url) {
            if (isCut && url.includes("preview_cron")) {
                return Promise.reject(new ConnectionLostError(url));
            }
            return super._rpc(...arguments);
        },
    });
    return () => (isCut = false);
}

test("a lost connection is told without a dialog, and tried again on request", async () => {
    const mend = cutConnection();
    await mountSchedule("0 2 * * *");
    expectFailure(/The server does not answer\./);
    mend();
    await askAgain();
});

test("the builder works while the server does not", async () => {
    cutConnection();
    await mountSchedule("0 2 * * *");
    await contains(".o_cron_time").edit("03:00");
    await clickSave();
    expect(saved).toEqual(["0 3 * * *"]);
});

// --- time zones ---------------------------------------------------------------------------------

test("another time zone asks again; without one it is that of the settings", async () => {
    await mountSchedule("0 2 * * *");
    expect(".o_cron_preview").toHaveText(/Next runs, UTC/);
    await contains("[name=timezone] input").click();
    await contains(".o_select_menu_item:contains(Asia/Kolkata)").click();
    await settle();
    expect(asked).toEqual(["0 2 * * *", "0 2 * * *, Asia/Kolkata"]);
    expect(".o_cron_preview").toHaveText(/Next runs, Asia\/Kolkata \(UTC\)/);
    await contains(".o_cron_time").edit("03:00");
    await settle();
    expect(asked.at(-1)).toBe("0 3 * * *, Asia/Kolkata");
});

test("a record without a time zone is previewed in that of the settings", async () => {
    onRpc("backup.job", "default_timezone", () => "America/New_York");
    await mountSchedule("0 2 * * *", {
        timezone: "Europe/Paris",
        arch: `<form><field name="cron_expression" widget="cron_expression"/></form>`,
    });
    expect(asked).toEqual(["0 2 * * *"]);
    expect(".o_cron_preview").toHaveText(/Next runs, America\/New York/);
});

test("who lives in another zone is told the own time too, and nobody else", async () => {
    await mountSchedule("0 2 * * *");
    expect(".o_cron_here, .o_cron_clock").toHaveCount(0);
    mockTimeZone(+3);
    await contains(".o_cron_time").edit("03:00");
    await settle();
    expect(".o_cron_here:first").toHaveText("(05:00)");
    expect(".o_cron_clock").toHaveCount(1);
});

test("the next runs are a list of moments that machines can read too", async () => {
    await mountSchedule("0 2 * * *");
    expect(queryAllTexts(".o_cron_runs li")[0]).toBe("Mon\n2026-01-05 02:00");
    expect(".o_cron_runs li:first time").toHaveAttribute("datetime", "2026-01-05T02:00:00+00:00");
});

// --- reading only, lists, keyboard --------------------------------------------------------------

test("who may not change it sees the sentence and the next runs, and no controls", async () => {
    await mountSchedule("0 2 * * *", {
        arch: `<form><field name="cron_expression" widget="cron_expression" readonly="1"/></form>`,
    });
    expect(".o_cron_description").toHaveText("Meaning of 0 2 * * *");
    expect(".o_cron_runs li").toHaveCount(5);
    expect(".o_cron_expression input, .o_cron_expression button").toHaveCount(0);
});

test("a list shows the sentence of the record, without asking the server", async () => {
    await mountSchedule("0 2 * * *", {
        arch: `<list><field name="cron_expression" widget="cron_expression" options="{'description_field': 'schedule_description'}"/></list>`,
    });
    expect(".o_data_row:first .o_cron_sentence").toHaveText("At 02:00, every day");
    expect(".o_data_row:first .o_cron_sentence").toHaveAttribute("title", "At 02:00, every day (0 2 * * *)");
    // A record that has none shows what there is.
    expect(".o_data_row:last .o_cron_sentence").toHaveText("30 4 * * mon,thu");
    expect(asked).toEqual([]);
});

test("in a list that is edited the expression is typed", async () => {
    await mountSchedule("0 2 * * *", {
        arch: `<list editable="bottom"><field name="cron_expression" widget="cron_expression"/><field name="schedule_description"/></list>`,
    });
    expect(".o_data_row:first .o_cron_sentence").toHaveText("At 02:00, every day");
    await contains(".o_data_row:first .o_data_cell").click();
    await contains(".o_data_row [name=cron_expression] input").edit("0 5 * * *");
    await contains(".o_list_button_save").click();
    expect(saved).toEqual(["0 5 * * *"]);
});

test("the days are one stop of the Tab key, and arrow keys move among them", async () => {
    await mountSchedule("0 3 15 * *");
    expect(".o_cron_days button[tabindex='0']").toHaveText("15");
    await contains(".o_cron_days button[data-day='15']").focus();
    const moves = [
        ["ArrowRight", "16"],
        ["ArrowDown", "23"],
        ["ArrowLeft", "22"],
        ["ArrowUp", "15"],
        ["End", "31"],
        ["ArrowRight", "31"],
        ["Home", "1"],
        ["ArrowUp", "1"],
    ];
    for (const [key, day] of moves) {
        await press(key);
        await animationFrame();
        expect(`.o_cron_days button[data-day='${day}']`).toBeFocused({ message: key });
        expect(".o_cron_days button[tabindex='0']").toHaveText(day);
    }
    await press("Enter");
    await animationFrame();
    expect(".o_cron_days button[data-day='1']").toHaveAttribute("aria-pressed", "true");
});

test("modes are a group of radio buttons with a name", async () => {
    await mountSchedule("0 2 * * *");
    expect(".o_cron_modes[role=radiogroup]").toHaveAttribute("aria-label", "Schedule");
    expect(".o_cron_modes input[type=radio]").toHaveCount(5);
    await switchTo("weekly");
    expect(".o_cron_modes input:checked").toHaveCount(1);
    expect(".o_cron_days[role=group]").toHaveAttribute("aria-label", "Days of the week");
});
