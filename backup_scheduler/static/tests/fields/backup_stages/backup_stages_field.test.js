import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { expect, test } from "@odoo/hoot";
import { defineModels, fields, models, mountView } from "@web/../tests/web_test_helpers";

import {
    secondsOfSteps,
    stepsOf,
} from "@backup_scheduler/fields/backup_stages/backup_stages_field";

const PAIRS = [
    ["connect", 1],
    ["download", 12],
];
// Of queued, connect, download, verify, store, end.
const STATES = [
    ["queued", {}, "waiting ahead ahead ahead ahead ahead"],
    ["queued", { stage_seconds: PAIRS }, "waiting ahead ahead ahead ahead ahead"],
    ["running", {}, "done current ahead ahead ahead ahead"],
    ["running", { stage: "connect" }, "done current ahead ahead ahead ahead"],
    ["running", { stage: "download", stage_seconds: PAIRS }, "done done current ahead ahead ahead"],
    ["running", { stage: "publish" }, "done done done done current ahead"],
    ["success", {}, "done done done done done done"],
    ["verified", { stage_seconds: PAIRS }, "done done done done done done"],
    ["failed", { stage_seconds: PAIRS }, "done done failed ahead ahead ahead"],
    ["failed", {}, "failed ahead ahead ahead ahead ahead"],
    ["cancelled", { stage_seconds: PAIRS }, "done done stopped ahead ahead ahead"],
    ["cancelled", {}, "stopped ahead ahead ahead ahead ahead"],
    ["skipped", {}, "stopped ahead ahead ahead ahead ahead"],
    ["verify_failed", {}, "done done done warned done warned"],
];

for (const [status, values, states] of STATES) {
    test(`a ${status} run with ${JSON.stringify(values)} shows ${states}`, () => {
        const run = { status, stage: false, stage_seconds: false, ...values };
        expect(stepsOf(run).map((step) => step.state).join(" ")).toBe(states);
    });
}

test("a run that waits again shows no times of the attempt before", () => {
    const steps = stepsOf({ status: "queued", stage: false, stage_seconds: PAIRS });
    expect(steps.filter((step) => step.seconds !== undefined)).toEqual([]);
});

test("storing and publishing are one step", () => {
    const pairs = [...PAIRS, ["store", 4], ["publish", 2]];
    expect([...secondsOfSteps(pairs)]).toEqual([...PAIRS, ["store", 6]]);
});

class Run extends models.Model {
    status = fields.Selection({
        selection: [
            ["queued", "Queued"],
            ["failed", "Failed"],
            ["running", "Running"],
        ],
    });
    stage = fields.Char();
    stage_seconds = fields.Json();
    attempt = fields.Integer();
    max_attempts = fields.Integer();
    retry_at = fields.Datetime();

    _records = [
        { id: 1, status: "failed", stage_seconds: PAIRS, attempt: 2, max_attempts: 3 },
        { id: 2, status: "running", stage: "download", stage_seconds: [["connect", 0]], attempt: 1 },
        { id: 3, status: "queued", retry_at: "2026-03-10 12:30:00", attempt: 1, max_attempts: 3 },
    ];
}

defineMailModels();
defineModels([Run]);

const mountStages = (resId) =>
    mountView({
        resModel: "run",
        resId,
        type: "form",
        arch: `<form><field name="status" widget="backup_stages"/></form>`,
    });

test("the step that failed says so in words, with how long each step took", async () => {
    await mountStages(1);
    expect("ol[role=list] > li").toHaveCount(6);
    expect("[data-stage=download]").toHaveText(/Downloading\s*: failed here\s*12 s/);
    expect("[data-stage=connect]").toHaveText(/: done\s*1 s/);
    expect("[data-stage=queued]").toHaveText(/attempt 2 of 3/);
    expect("[data-stage=end]").toHaveText(/Done\s*: not reached/);
    expect("[aria-current]").toHaveCount(0);
});

test("the step that it is in is the current one, and has no duration yet", async () => {
    await mountStages(2);
    expect("[aria-current=step]").toHaveCount(1);
    expect("[data-stage=download][aria-current=step]").not.toHaveText(/ s$/);
    expect("[data-stage=end]").toHaveText(/Done/);
});

test("a queued run tells when its next attempt is", async () => {
    await mountStages(3);
    expect("[data-stage=queued][aria-current=step]").toHaveText(/next attempt .*30/);
});
