import { beforeEach, expect, test } from "@odoo/hoot";
import { queryAll, queryAllTexts } from "@odoo/hoot-dom";
import { advanceTime, animationFrame, mockDate, mockTimeZone } from "@odoo/hoot-mock";
import {
    contains,
    defineModels,
    fields,
    mockService,
    models,
    mountView,
    onRpc,
    preloadBundle,
} from "@web/../tests/web_test_helpers";
import { defineMailModels } from "@mail/../tests/mail_test_helpers";

import { RUN_LIMIT } from "@backup_scheduler/views/backup_calendar/backup_calendar_model";

class Instance extends models.Model {
    _name = "backup.instance";
    name = fields.Char();
    _records = [{ id: 1, name: "Shop" }];
}

class Job extends models.Model {
    _name = "backup.job";
    name = fields.Char();
    _records = [{ id: 7, name: "Nightly" }];
}

const STATUSES = [
    ["queued", "Queued"],
    ["failed", "Failed"],
    ["verified", "Verified"],
];
const run = (id, status, database_name, scheduled_at = "2026-03-09 02:00:00") => ({
    id,
    status,
    database_name,
    scheduled_at,
    finished_at: scheduled_at,
    instance_id: 1,
    job_id: 7,
    job_name: "Nightly",
});

class Run extends models.Model {
    _name = "backup.run";
    scheduled_at = fields.Datetime();
    finished_at = fields.Datetime();
    status = fields.Selection({ selection: STATUSES });
    database_name = fields.Char();
    job_name = fields.Char();
    instance_id = fields.Many2one({ relation: "backup.instance" });
    job_id = fields.Many2one({ relation: "backup.job" });
    _records = [
        run(1, "verified", "sales"),
        run(2, "verified", "stock"),
        run(3, "failed", "crm"),
        run(4, "verified", "sales", "2026-03-08 02:00:00"),
    ];
}

defineMailModels();
defineModels([Instance, Job, Run]);
preloadBundle("web.fullcalendar_lib");

const fire = (start, values = {}) => ({
    start,
    count: 1,
    exact: true,
    description: "At 02:00, every day",
    job_id: 7,
    job_name: "Nightly",
    jobs: 1,
    instance_id: 1,
    instance_name: "Shop",
    ...values,
});
const FIRES = [fire("2026-03-11 02:00:00"), fire("2026-03-12 02:00:00")];

let answer;
let asked;

beforeEach(() => {
    mockDate("2026-03-10 12:00:00");
    mockTimeZone(0);
    answer = { fires: FIRES, complete_until: false };
    asked = [];
    onRpc("backup.job", "upcoming_fires", ({ args, kwargs }) => {
        asked.push([...args, kwargs.domain]);
        return answer;
    });
});

async function mountCalendar(options = {}) {
    await mountView({
        type: "calendar",
        resModel: "backup.run",
        arch: /* xml */ `
            <calendar js_class="backup_calendar" mode="month" date_start="scheduled_at"
                create="0" edit="0" delete="0" quick_create="0" event_limit="6">
                <field name="status" filters="1" color="status"/>
                <field name="job_id" filters="1"/>
            </calendar>`,
        ...options,
    });
}

const titles = () => queryAll(".o_event").map((el) => el.title);

test("runs done and fires to come are in one picture, in words", async () => {
    await mountCalendar({ domain: [["job_id", "=", 7]] });
    expect(asked).toEqual([["2026-03-01 00:00:00", "2026-04-11 23:59:59", [["job_id", "=", 7]]]]);
    expect(titles().sort()).toEqual([
        "02:00 · Shop: 2 databases (Verified)",
        "02:00 · Shop: Nightly (Planned) · At 02:00, every day",
        "02:00 · Shop: Nightly (Planned) · At 02:00, every day",
        "02:00 · Shop: crm (Failed)",
        "02:00 · Shop: sales (Verified)",
    ]);
    expect(".o_event .fa-times-circle").toHaveCount(1);
    expect(".o_event .fa-clock-o").toHaveCount(2);
});

test("a run leads to the run, several to their list, and a fire to its job", async () => {
    const opened = [];
    mockService("action", {
        doAction: (action) => opened.push([action.res_model, action.res_id || action.domain]),
    });
    await mountCalendar();
    await contains(".o_event[title*='crm']").click();
    await contains(".o_event[title*='2 databases']").click();
    await contains(".o_event[title*='Planned']").click();
    expect(opened).toEqual([
        ["backup.run", 3],
        ["backup.run", [["id", "in", [1, 2]]]],
        ["backup.job", 7],
    ]);
});

test.tags("desktop");
test("the filter of the jobs says of which instance they are", async () => {
    await mountCalendar();
    const labels = queryAllTexts(".o_calendar_filter[data-name=job_id] .o_cw_filter_title");
    expect(labels.length).toBeGreaterThan(0);
    expect(labels.every((label) => label.endsWith("(Shop)"))).toBe(true);
});

test.tags("desktop");
test("the filter of the statuses has the planned ones too", async () => {
    await mountCalendar();
    const labels = queryAllTexts(".o_calendar_filter[data-name=status] .o_cw_filter_title");
    expect(labels.sort()).toEqual(["Failed", "Planned", "Verified"]);
    await contains(".o_calendar_filter_item[data-value=planned] input").click();
    await advanceTime(1000);
    expect(titles().filter((title) => title.includes("Planned"))).toEqual([]);
    expect(titles().length).toBe(3);
});

test("what fires often is one entry a day, and many jobs are one too", async () => {
    answer = {
        fires: [
            fire("2026-03-11 00:00:00", { count: 288, description: "Every 5 minutes" }),
            fire("2026-03-12 00:00:00", { count: 5, exact: false }),
            fire("2026-03-13 00:00:00", { job_id: false, jobs: 80, count: 90, description: "" }),
        ],
        complete_until: "2026-03-13 23:59:59",
    };
    await mountCalendar();
    expect(titles().filter((title) => title.includes("Planned"))).toEqual([
        "Shop: Nightly, 288 fires (Planned) · Every 5 minutes",
        "Shop: Nightly, more than 4 fires (Planned) · At 02:00, every day",
        "90 fires of 80 jobs (Planned)",
    ]);
    expect(".o_calendar_header [role=status]").toHaveText(/Fires are shown up to .*13/);
});

test("more runs than anybody would read are counted by day and status", async () => {
    Run._records = Array.from({ length: RUN_LIMIT + 1 }, (_, index) =>
        run(index + 1, index % 3 ? "verified" : "failed", `db${index}`)
    );
    await mountCalendar();
    expect(titles().filter((title) => !title.includes("Planned")).sort()).toEqual([
        "167 runs (Failed)",
        "334 runs (Verified)",
    ]);
    expect(".o_calendar_header [role=status]").toHaveText(/counted by day/);
});

test("it reloads by itself when the server tells of runs", async () => {
    let told;
    let subscribed = 0;
    mockService("bus_service", {
        subscribe: (type, callback) => {
            if (type === "backup_scheduler.runs") {
                told = callback;
                subscribed++;
            }
        },
        unsubscribe: (type) => (subscribed -= type === "backup_scheduler.runs"),
    });
    await mountCalendar();
    expect(asked.length).toBe(1);
    told({ ids: [1] });
    told({ ids: [2] });
    await advanceTime(3000);
    await animationFrame();
    expect(asked.length).toBe(2);
    expect(subscribed).toBe(1);
});
