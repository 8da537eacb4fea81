import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { expect, test } from "@odoo/hoot";
import { animationFrame, Deferred } from "@odoo/hoot-dom";
import { contains, patchWithCleanup } from "@web/../tests/web_test_helpers";

import { SHOP, answer, database, instance, mountOverview, pass } from "./overview_test_helpers";

import { RELOAD_PAUSE } from "@backup_scheduler/overview/overview_loader";

defineMailModels();

const run = (progress) => ({
    id: 9,
    instance_id: 1,
    database: "sales",
    status: "running",
    stage: "download",
    progress,
    received: 1_000_000,
    attempt: 1,
    retry_at: false,
});

test("progress alone is asked for alone, once for all that is told", async () => {
    let progress = 10;
    const { tell } = await mountOverview(
        () => answer([SHOP()], { active: [run(progress)], running: 1 }),
        () => ({ active: [run(progress)], running: 1, queued: 0 })
    );
    progress = 50;
    tell([9]);
    tell([9]);
    await pass(RELOAD_PAUSE - 500);
    expect.verifySteps(["load"]);
    await pass(1000);
    expect(".o_backup_going").toHaveText(/50 %/);
    expect.verifySteps(["active"]);
});

test("a run that ends brings the whole page anew", async () => {
    let done = false;
    const { tell } = await mountOverview(
        () => (done ? answer([SHOP()]) : answer([SHOP()], { active: [run(90)], running: 1 })),
        () => ({ active: [], running: 0, queued: 0 })
    );
    expect(".o_backup_going").toHaveCount(1);
    done = true;
    tell([9]);
    await pass(RELOAD_PAUSE);
    await animationFrame();
    expect(".o_backup_going").toHaveCount(0);
    expect.verifySteps(["load", "active", "load"]);
});

test("a run that is not among those shown brings the whole page anew", async () => {
    const { tell } = await mountOverview(() => answer([SHOP()]));
    tell([77]);
    await pass(RELOAD_PAUSE);
    expect.verifySteps(["load", "active", "load"]);
});

test("a reload that fails says so, and keeps what is shown", async () => {
    let broken = false;
    const { tell } = await mountOverview(() => {
        if (broken) {
            throw new Error("It broke.");
        }
        return answer([SHOP()]);
    });
    broken = true;
    tell([77]);
    await pass(RELOAD_PAUSE);
    expect(".alert-warning").toHaveText(/What is shown could not be refreshed/);
    expect(".o_backup_database").toHaveCount(4);
    broken = false;
    await contains(".alert-warning button").click();
    await animationFrame();
    expect(".alert-warning").toHaveCount(0);
    expect.verifySteps(["load", "active", "load"]);
});

test("a page that could not be loaded at all says so, and can be asked again", async () => {
    let broken = true;
    await mountOverview(() => {
        if (broken) {
            throw new Error("It broke.");
        }
        return answer([SHOP()]);
    });
    expect(".alert-warning").toHaveText(/The overview could not be loaded/);
    broken = false;
    await contains(".alert-warning button").click();
    await animationFrame();
    expect(".o_backup_database").toHaveCount(4);
    expect.verifySteps(["load", "load"]);
});

test("ages are told anew each minute, without asking the server", async () => {
    await mountOverview(() => answer([instance(1, "Shop", [database(1, "sales", {
        last_good_at: "2026-06-15 11:30:00",
    })])]));
    expect(".o_backup_age").toHaveText(/30 min old/);
    await pass(2 * 60 * 1000);
    expect(".o_backup_age").toHaveText(/32 min old/);
    expect.verifySteps(["load"]);
});

test("what goes on is asked for each minute, also where nothing is told", async () => {
    let progress = 10;
    await mountOverview(
        () => answer([SHOP()], { active: [run(progress)], running: 1 }),
        () => ({ active: [run(progress)], running: 1, queued: 0 })
    );
    progress = 60;
    await pass(60 * 1000);
    expect(".o_backup_going").toHaveText(/60 %/);
    expect.verifySteps(["load", "active"]);
});

test("a database that becomes late brings the page anew", async () => {
    await mountOverview(() => answer([instance(1, "Shop", [database(1, "sales", {
        late_at: "2026-06-15 12:00:30",
    })])]));
    await pass(60 * 1000);
    expect.verifySteps(["load", "load"]);
});

test("nothing is asked while nobody looks, and at once when somebody does", async () => {
    let hidden = false;
    patchWithCleanup(document, {
        get hidden() {
            return hidden;
        },
    });
    const { tell } = await mountOverview(() => answer([SHOP()]));
    hidden = true;
    tell([77]);
    await pass(10 * 60 * 1000);
    expect.verifySteps(["load"]);
    hidden = false;
    document.dispatchEvent(new Event("visibilitychange"));
    await animationFrame();
    expect.verifySteps(["load"]);
});

test("a page that is left asks nothing more", async () => {
    const { component, tell, isSubscribed } = await mountOverview(() => answer([SHOP()]));
    tell([77]);
    component.__owl__.app.destroy();
    expect(isSubscribed()).toBe(false);
    await pass(10 * 60 * 1000);
    expect.verifySteps(["load"]);
});

test("a slow server is asked once at a time", async () => {
    const slow = new Deferred();
    let first = true;
    const { tell } = await mountOverview(() => {
        if (first) {
            first = false;
            return answer([SHOP()]);
        }
        return slow.then(() => answer([SHOP()]));
    }, () => ({ active: [], running: 0, queued: 0 }));
    tell([77]);
    await pass(RELOAD_PAUSE);
    expect.verifySteps(["load", "active", "load"]);
    tell([78]);
    await pass(RELOAD_PAUSE);
    expect.verifySteps(["active"]);
    slow.resolve();
    await animationFrame();
    expect(".o_backup_database").toHaveCount(4);
});
