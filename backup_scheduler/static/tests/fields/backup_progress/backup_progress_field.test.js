import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { expect, test } from "@odoo/hoot";
import {
    defineModels,
    fields,
    models,
    mountView,
    mountWithCleanup,
} from "@web/../tests/web_test_helpers";

import { BackupProgress } from "@backup_scheduler/fields/backup_progress/backup_progress";

class Run extends models.Model {
    status = fields.Selection({
        selection: [
            ["running", "Running"],
            ["verified", "Verified"],
        ],
    });
    stage = fields.Char();
    work = fields.Char();
    progress = fields.Float();
    received = fields.Float();
    speed = fields.Float();
    time_left = fields.Float();

    _records = [
        {
            id: 1,
            status: "running",
            stage: "download",
            progress: 45.4,
            received: 812_000_000,
            speed: 24_000_000,
            time_left: 125,
        },
        { id: 2, status: "verified", progress: 100 },
        { id: 3, status: "verified", work: "verification", stage: "read", progress: 30 },
    ];
}

defineMailModels();
defineModels([Run]);

const SAID = [
    [{ stage: "download" }, "The server makes the archive"],
    [{ stage: "download", received: 5e6, speed: 1e6 }, "Downloading 5.0 MB 1.0 MB/s"],
    [
        { stage: "download", received: 5e6, percent: 50, timeLeft: 5 },
        "Downloading 50 % about 5 s left 5.0 MB of about 10.0 MB",
    ],
    [{ stage: "download", received: 5e6, percent: 99 }, "Downloading 99 % 5.0 MB"],
    [{ stage: "verify", received: 5e6, percent: 20 }, "Verifying 20 %"],
    [{ stage: "publish" }, "Storing"],
    [{ stage: false }, "Starting"],
];

for (const [props, text] of SAID) {
    test(`progress ${JSON.stringify(props)} is said as “${text}”`, async () => {
        await mountWithCleanup(BackupProgress, { props });
        const said = [...document.querySelectorAll(".o_backup_progress div.small span")];
        expect(said.map((span) => span.textContent).join(" ")).toBe(text);
    });
}

test("without a known total the bar moves and claims no percent", async () => {
    await mountWithCleanup(BackupProgress, { props: { stage: "download", received: 5e6 } });
    expect(".progress-bar.progress-bar-animated").toHaveCount(1);
    expect("[role=progressbar]").not.toHaveAttribute("aria-valuenow");
});

test("a form shows the progress of a running run in full", async () => {
    await mountView({
        resModel: "run",
        resId: 1,
        type: "form",
        arch: `<form><field name="progress" widget="backup_progress"/></form>`,
    });
    expect("[role=progressbar]").toHaveAttribute("aria-valuenow", "45");
    expect(".o_backup_progress").toHaveText(/24\.0 MB\/s/);
    expect(".o_backup_progress").toHaveText(/about 2 min 05 s left/);
});

test("a list shows it in short, and none of a run that has ended", async () => {
    await mountView({
        resModel: "run",
        type: "list",
        arch: `<list><field name="progress" widget="backup_progress"/></list>`,
    });
    expect(".o_data_row:eq(0) .o_backup_progress_compact").toHaveCount(1);
    expect(".o_data_row:eq(0) .o_backup_progress").not.toHaveText(/MB/);
    expect(".o_data_row:eq(1) .o_backup_progress").toHaveCount(0);
    expect(".o_data_row:eq(2) .o_backup_progress").toHaveText(/Reading/);
});
