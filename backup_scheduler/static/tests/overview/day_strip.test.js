import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { expect, test } from "@odoo/hoot";
import { animationFrame, press } from "@odoo/hoot-dom";
import { contains, onRpc } from "@web/../tests/web_test_helpers";

import { answer, database, instance, mountOverview } from "./overview_test_helpers";

defineMailModels();

/** The server knows which runs a day has counted. */
function expectRunsOf(databaseId) {
    onRpc("backup.database", "action_open_runs", ({ args, kwargs: { start, end } }) => {
        expect(args).toEqual([[databaseId]]);
        expect.step({ start, end });
        return "the runs";
    });
}

test("it is one stop with a summary, walked by arrows, opened by Enter", async () => {
    const kinds = "v".repeat(27) + "f-v";
    const counts = { 29: { verified: 1, failed: 2 } };
    expectRunsOf(1);
    await mountOverview(() => answer([instance(1, "Shop", [database(1, "sales", { strip: { kinds, counts } })])]));
    expect(".o_backup_strip").toHaveAttribute(
        "aria-label",
        "sales, last 30 days: 28 verified, 1 failed, 1 none planned"
    );
    expect(".o_backup_strip [tabindex]").toHaveCount(0);
    expect(".o_backup_day:last").toHaveClass("o_backup_day_marked");
    expect(".o_backup_strip .o_backup_day:last").toHaveAttribute(
        "aria-label",
        "Monday, June 15: 1 verified, 2 failed"
    );
    await contains(".o_backup_strip").focus();
    expect(".o_backup_day_current").toHaveAttribute("aria-label", /June 15/);
    await press("ArrowLeft");
    await press("ArrowLeft");
    await animationFrame();
    expect(".o_backup_day_current").toHaveAttribute(
        "aria-label",
        "Saturday, June 13: 1 failed"
    );
    await press("Enter");
    await animationFrame();
    expect.verifySteps(["load", { start: "2026-06-13 00:00:00", end: "2026-06-14 00:00:00" }, "the runs"]);
    await press("Home");
    await animationFrame();
    expect(".o_backup_day_current").toHaveAttribute("aria-label", /May 17/);
});

test("a click opens the runs of that day", async () => {
    expectRunsOf(1);
    await mountOverview(() => answer([instance(1, "Shop", [database(1, "sales")])]));
    await contains(".o_backup_strip .o_backup_day:last").click();
    await animationFrame();
    expect.verifySteps(["load", { start: "2026-06-15 00:00:00", end: "2026-06-16 00:00:00" }, "the runs"]);
});
