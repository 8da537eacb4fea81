import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { describe, expect, test } from "@odoo/hoot";
import { queryAll, queryAllTexts } from "@odoo/hoot-dom";
import { contains, onRpc } from "@web/../tests/web_test_helpers";

import { SHOP, LATE, answer, database, instance, mountOverview } from "./overview_test_helpers";

import { ROWS } from "@backup_scheduler/overview/overview";

defineMailModels();

describe("what is shown", () => {
    test("the totals are said in numbers and in one sentence, the worst first", async () => {
        await mountOverview(() => answer([SHOP()]));
        expect(".o_backup_sentence").toHaveText(
            "1 database is late, the last backup of 1 database failed, no job backs up 1 database."
        );
        for (const [state, count] of [["protected", 2], ["late", 1], ["failing", 1], ["unprotected", 1]]) {
            expect(`.o_backup_tile[data-state=${state}] .o_backup_number`).toHaveText(`${count}`);
        }
        expect(".o_backup_tile_next .o_backup_number").toHaveText("in 3 h");
        expect(".o_backup_destination").toHaveText("Vault\n3.0 GB· 4 copies");
        expect.verifySteps(["load"]);
    });

    test("when all is well, one plain sentence says so", async () => {
        await mountOverview(() => answer([instance(1, "Shop", [database(1, "a"), database(2, "b")])]));
        expect(".o_backup_sentence").toHaveText(
            "All 2 databases have a good backup as new as promised."
        );
        expect(".alert").toHaveCount(0);
        expect.verifySteps(["load"]);
    });

    test("nothing is green beside a server of which no database is known", async () => {
        const well = instance(1, "Shop", [database(1, "a")]);
        await mountOverview(() => answer([well, { ...instance(2, "Branch", []), check_status: "ok" }]));
        expect(".o_backup_sentence").toHaveText(
            "Branch has no known database, so nothing of it is backed up."
        );
        expect(".o_backup_sentence i").toHaveClass("text-warning");
        expect.verifySteps(["load"]);
    });

    test("nothing is green beside servers of which the connection fails", async () => {
        const well = () => instance(1, "Shop", [database(1, "a")]);
        const away = (id) => ({ ...instance(id, "Branch", [database(id, "b")]), check_status: "error" });
        const page = answer([well(), away(2), away(3)]);
        await mountOverview(() => page);
        expect(".o_backup_sentence").toHaveText("The connection to 2 servers fails.");
        expect(".o_backup_sentence i").toHaveClass("text-danger");
        expect.verifySteps(["load"]);
    });

    test("a server of which the connection fails and no database is known is named once", async () => {
        const away = { ...instance(2, "Branch", []), check_status: "error" };
        await mountOverview(() => answer([instance(1, "Shop", [database(1, "a")]), away]));
        expect(".o_backup_sentence").toHaveText("The connection to Branch fails.");
        expect(".o_backup_instance[data-id='2'] button:contains(Test Connection)").toHaveCount(1);
        expect.verifySteps(["load"]);
    });

    test("an open incident is said where nothing else is wrong", async () => {
        const page = answer([instance(1, "Shop", [database(1, "a")])]);
        page.totals.incidents = 1;
        await mountOverview(() => page);
        expect(".o_backup_sentence").toHaveText("1 incident is open.");
        expect(".o_backup_sentence i").toHaveClass("text-danger");
        expect.verifySteps(["load"]);
    });

    test("databases are rows, worst first, each with its state in words", async () => {
        await mountOverview(() => answer([SHOP()]));
        expect(queryAllTexts(".o_backup_database .o_backup_name > a")).toEqual([
            "stock",
            "web",
            "new",
            "sales",
        ]);
        expect(".o_backup_state_late .o_backup_age").toHaveText(/late since/);
        expect(".o_backup_database[data-id='3'] .o_backup_failing").toHaveText("Failing");
        expect(".o_backup_database[data-id='3'] .o_backup_reason").toHaveText("It is full.");
        expect(".o_backup_database[data-id='1'] .o_backup_age").toHaveText(/10 h old/);
        expect(".o_backup_database[data-id='1'] .o_backup_age").toHaveText(/promised every 30 h/);
        expect(".o_backup_database[data-id='1'] [role=meter]").toHaveAttribute("aria-valuenow", "33");
        expect(".o_backup_database[data-id='1'] .o_backup_size").toHaveText(/2\.0 GB\s+\+100 %/);
        expect(".o_backup_database[data-id='1'] .o_backup_next").toHaveText(/in 14 h/);
        expect.verifySteps(["load"]);
    });

    test("of a database that waits for a backup it is told by when that is promised", async () => {
        const old = { state: "pending", last_good_at: "2026-05-01 02:00:00" };
        await mountOverview(() => answer([instance(1, "Shop", [database(1, "sales", old)])]));
        expect(".o_backup_name .badge").toHaveText("Waiting for a backup");
        expect(".o_backup_age").toHaveText(/promised by/);
        expect("[role=meter] .progress-bar").toHaveClass("bg-info");
        expect(".o_backup_sentence").toHaveText(
            "1 database waits for a backup that is not due yet; nothing is late."
        );
        expect.verifySteps(["load"]);
    });

    test("a database without an archive says whether there ever was one", async () => {
        const none = { last_good_at: false, last_good_run_id: false, size: 0, sizes: [] };
        const never = { ...none, strip: { kinds: "-".repeat(29) + "f", counts: {} } };
        await mountOverview(() =>
            answer([instance(1, "Shop", [database(1, "gone", none), database(2, "never", never)])])
        );
        expect(".o_backup_database[data-id='1'] .o_backup_age").toHaveText(/No archive left/);
        expect(".o_backup_database[data-id='2'] .o_backup_age").toHaveText(/No backup yet/);
        expect.verifySteps(["load"]);
    });

    test("what goes on is shown with its stage and progress", async () => {
        const run = {
            id: 9,
            instance_id: 1,
            database: "sales",
            status: "running",
            stage: "download",
            progress: 41.7,
            received: 1_000_000,
            attempt: 1,
            retry_at: false,
        };
        await mountOverview(() => answer([SHOP()], { active: [run], running: 1 }));
        expect(".o_backup_database[data-id='1'] .o_backup_next").toHaveText(/Downloading\s+41 %/);
        expect("[role=progressbar]").toHaveAttribute("aria-valuenow", "41");
        expect(".o_backup_tile_running .o_backup_number").toHaveText("1");
        expect.verifySteps(["load"]);
    });

    test("a dispatcher that is down is said before everything else", async () => {
        const health = [{ check: "cron", problem: "It is off.", hint: "Switch it on." }];
        await mountOverview(() => answer([SHOP()], { health }));
        expect(".alert-danger[role=alert]").toHaveText("It is off. Switch it on.");
        expect.verifySteps(["load"]);
    });

    test("without any instance the page leads to the first one", async () => {
        onRpc("backup.overview", "action_set_up", ({ args }) => {
            expect(args).toEqual([false, []]);
            return "the set-up";
        });
        await mountOverview(() => answer([]));
        expect(".o_backup_welcome li").toHaveCount(3);
        expect(".o_backup_tile").toHaveCount(0);
        await contains(".btn:contains(Set Up the First Server)").click();
        expect.verifySteps(["load", "the set-up"]);
    });

    test("an instance that was never tested says what to do", async () => {
        await mountOverview(() =>
            answer([instance(1, "Shop", [], { check_status: "", last_check_at: false, jobs: 0 })])
        );
        expect(".o_backup_reach").toHaveText("Connection not tested yet");
        expect(".o_backup_unknown button").toHaveCount(2);
        expect.verifySteps(["load"]);
    });

    test("an instance that was backed up is not called untested", async () => {
        const values = { check_status: "", last_check_at: false };
        await mountOverview(() => answer([instance(1, "Shop", [database(1, "a")], values)]));
        expect(".o_backup_instance").toHaveCount(1);
        expect(".o_backup_reach").toHaveCount(0);
        expect.verifySteps(["load"]);
    });

    test("an instance that was changed since its check is not called reachable", async () => {
        const values = { check_status: "", last_check_at: "2026-11-01 10:00:00" };
        await mountOverview(() => answer([instance(1, "Shop", [database(1, "a")], values)]));
        expect(".o_backup_reach").toHaveText("Not checked since the change");
        expect.verifySteps(["load"]);
    });

    test("an instance that cannot be reached says why", async () => {
        const values = { check_status: "error", check_error: "It is down.\nStart it." };
        await mountOverview(() => answer([instance(1, "Shop", [database(1, "a")], values)]));
        expect(".o_backup_reach").toHaveText("Connection fails: It is down.");
        expect.verifySteps(["load"]);
    });
});

describe("what can be done", () => {
    test("who may only look has no buttons", async () => {
        const rights = { operator: false, manager: false };
        await mountOverview(() => answer([SHOP()], { rights }));
        expect(".o_backup_database").toHaveCount(4);
        expect(".o_backup_run_now, .o_backup_restore, .o_backup_age button").toHaveCount(0);
        expect(".btn:contains(Set Up a Server)").toHaveCount(0);
        expect.verifySteps(["load"]);
    });

    test("run now asks for that database, and shows what comes of it", async () => {
        onRpc("backup.database", "run_now", ({ args }) => {
            expect.step(args);
            return [9];
        });
        await mountOverview(() => answer([SHOP()]));
        expect(".o_backup_run_now").toHaveCount(3); // not of the one without a job
        await contains(".o_backup_database[data-id='1'] .o_backup_run_now").click();
        expect.verifySteps(["load", [[1]], "load"]);
    });

    test("an unprotected database is protected, a good one restored", async () => {
        onRpc("backup.overview", "action_set_up", ({ args }) => {
            expect(args).toEqual([1, [4]]);
            return "protect it";
        });
        onRpc("backup.run", "action_restore", ({ args }) => {
            expect(args).toEqual([[101]]);
            return { res_model: "backup.restore.wizard" };
        });
        await mountOverview(() => answer([SHOP()]));
        await contains(".o_backup_state_unprotected button:contains(Protect)").click();
        await contains(".o_backup_database[data-id='1'] .o_backup_restore").click();
        const wizard = { res_model: "backup.restore.wizard", views: [[false, "form"]] };
        expect.verifySteps(["load", "protect it", wizard]);
    });

    test("a wizard that is left for another page closes at once, whatever the page does", async () => {
        onRpc("backup.overview", "action_set_up", () => "set up");
        let isFirst = true;
        const { closeWizard } = await mountOverview(() => {
            const isSlow = !isFirst;
            isFirst = false;
            return isSlow ? new Promise(() => {}) : answer([SHOP()]);
        });
        for (const button of ["button:contains(Set Up a Server)", ".o_backup_age button"]) {
            await contains(button).click();
            expect(closeWizard()).toBe(undefined);
        }
        expect.verifySteps(["load", "set up", "load", "set up"]);
    });

    test("each number of a database leads to what is behind it", async () => {
        onRpc("backup.database", "action_open_runs", ({ args, kwargs: { statuses } }) => [
            ...args[0],
            ...(statuses || ["all"]),
        ]);
        const two = database(2, "stock", { job_ids: [7, 8] });
        await mountOverview(() => answer([instance(1, "Shop", [database(1, "sales"), two])]));
        await contains(".o_backup_database[data-id='1'] .o_backup_name > a").click();
        await contains(".o_backup_database[data-id='1'] .o_backup_trend").click();
        await contains(".o_backup_database[data-id='1'] .o_backup_next a").click();
        await contains(".o_backup_database[data-id='2'] .o_backup_next a").click();
        const form = { type: "ir.actions.act_window", res_model: "backup.job", views: [[false, "form"]] };
        const jobs = { xml_id: "backup_scheduler.backup_job_action", context: {} };
        expect.verifySteps([
            "load",
            [1, "all"],
            [1, "success", "verified"],
            { ...form, res_id: 7 },
            { ...jobs, domain: [["id", "in", [7, 8]]] },
        ]);
    });

    test("the numbers of what goes on and of what is next leave archived instances out", async () => {
        await mountOverview(() => answer([SHOP()], { running: 1, queued: 2 }));
        await contains(".o_backup_tile_running").click();
        await contains(".o_backup_tile_next").click();
        const active = ["instance_id.active", "=", true];
        expect.verifySteps([
            "load",
            {
                xml_id: "backup_scheduler.backup_run_action",
                domain: [["status", "in", ["queued", "running"]], active],
                context: {},
            },
            {
                xml_id: "backup_scheduler.backup_job_action",
                domain: [["enabled", "=", true], active],
                context: {},
            },
        ]);
    });

    test("a total filters the page, and gives all back", async () => {
        await mountOverview(() => answer([SHOP(), instance(2, "Lab", [database(9, "test")])]));
        await contains("[data-state=late]").click();
        expect("[data-state=late]").toHaveAttribute("aria-pressed", "true");
        expect(queryAllTexts(".o_backup_database .o_backup_name > a")).toEqual(["stock"]);
        expect(".o_backup_instance").toHaveCount(1);
        await contains("[data-state=late]").click();
        expect(".o_backup_database").toHaveCount(5);
        expect.verifySteps(["load"]);
    });

    test("names are searched, of instances and of databases", async () => {
        await mountOverview(() => answer([SHOP(), instance(2, "Lab", [database(9, "test")])]));
        await contains("input[type=search]").edit("SAL", { confirm: false });
        expect(queryAllTexts(".o_backup_database .o_backup_name > a")).toEqual(["sales"]);
        await contains("input[type=search]").edit("lab", { confirm: false });
        expect(queryAllTexts(".o_backup_database .o_backup_name > a")).toEqual(["test"]);
        await contains("input[type=search]").edit("nobody", { confirm: false });
        expect(".o_backup_database").toHaveCount(0);
        await contains(".o_backup_nothing button").click();
        expect(".o_backup_database").toHaveCount(5);
        expect.verifySteps(["load"]);
    });

    test("instances on which all is well are closed where there are many", async () => {
        const many = [...Array(20).keys()].map((number) =>
            instance(10 + number, `Server ${number}`, [
                database(100 + number, "a"),
                database(200 + number, "b"),
            ])
        );
        await mountOverview(() => answer([...many, SHOP()]));
        expect(".o_backup_instance").toHaveCount(21);
        expect(".o_backup_instance_name:first").toHaveText("Shop");
        expect(".o_backup_database").toHaveCount(4);
        await contains(".o_backup_instance[data-id='10'] .o_backup_toggle").click();
        expect(".o_backup_instance[data-id='10'] .o_backup_database").toHaveCount(2);
        expect.verifySteps(["load"]);
    });

    test("instances come worst first, those with most of it before others, good ones by name", async () => {
        const named = (id, name, ...states) =>
            instance(id, name, states.map((values, number) => database(id * 10 + number, "a", values)));
        await mountOverview(() =>
            answer([
                named(1, "Zoo", {}, {}),
                named(2, "Bar", {}),
                named(3, "Aida", LATE),
                named(4, "Nora", LATE, LATE),
                named(5, "Down", { state: "unprotected" }),
            ])
        );
        expect(queryAllTexts(".o_backup_instance_name")).toEqual([
            "Nora",
            "Aida",
            "Down",
            "Bar",
            "Zoo",
        ]);
        expect.verifySteps(["load"]);
    });

    test("a thousand databases are shown by and by", async () => {
        const many = [...Array(200).keys()].map((number) =>
            instance(
                10 + number,
                `Server ${number}`,
                [...Array(5).keys()].map((one) => database(1000 + number * 5 + one, `db${one}`, LATE))
            )
        );
        await mountOverview(() => answer(many));
        const rows = () => queryAll(".o_backup_instance, .o_backup_database").length;
        expect(rows()).toBe(ROWS);
        expect(".o_backup_more").toHaveText("Show More (1140)");
        await contains(".o_backup_more").click();
        expect(rows()).toBe(2 * ROWS);
        expect.verifySteps(["load"]);
    });

    test("databases that are gone are folded away", async () => {
        const gone = database(8, "old", { state: "absent" });
        await mountOverview(() => answer([instance(1, "Shop", [database(1, "sales"), gone])]));
        expect(".o_backup_database").toHaveCount(1);
        await contains(".o_backup_unfold").click();
        expect(".o_backup_database").toHaveCount(2);
        expect.verifySteps(["load"]);
    });
});
