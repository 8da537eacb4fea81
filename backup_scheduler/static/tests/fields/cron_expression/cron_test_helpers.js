import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { beforeEach } from "@odoo/hoot";
import { edit, queryFirst } from "@odoo/hoot-dom";
import { advanceTime, animationFrame, mockTimeZone } from "@odoo/hoot-mock";
import {
    contains,
    defineModels,
    defineParams,
    fields,
    makeServerError,
    models,
    mountView,
    onRpc,
} from "@web/../tests/web_test_helpers";

export class BackupJob extends models.Model {
    _name = "backup.job";

    name = fields.Char({ string: "Name" });
    cron_expression = fields.Char({ string: "Schedule", required: true, default: "0 2 * * *" });
    timezone = fields.Selection({
        string: "Time Zone",
        selection: [
            ["Europe/Paris", "Europe/Paris"],
            ["Asia/Kolkata", "Asia/Kolkata"],
        ],
    });
    schedule_description = fields.Char({ string: "In Words" });

    _records = [
        { id: 1, name: "A", cron_expression: "0 2 * * *", schedule_description: "At 02:00, every day" },
        { id: 2, name: "B", cron_expression: "30 4 * * mon,thu", timezone: "Europe/Paris" },
    ];
}

export const FORM = `
    <form>
        <field name="name"/>
        <field name="cron_expression" widget="cron_expression" options="{'timezone_field': 'timezone'}"/>
        <field name="timezone"/>
    </form>`;

// What the server was asked for, as “expression, zone”, and the expressions that it saved.
export const asked = [];
export const saved = [];

/** Define the job, and a server that answers everything at once. */
export function defineJobs() {
    defineMailModels();
    defineModels([BackupJob]);
    defineParams({ lang_parameters: { date_format: "%Y-%m-%d", time_format: "%H:%M:%S" } });
    beforeEach(() => {
        asked.length = saved.length = 0;
        mockTimeZone(0);
        onRpc("backup.job", "default_timezone", () => "UTC");
        onPreview(answerTo);
        onRpc("backup.job", "web_save", ({ args }) => {
            saved.push(args[1].cron_expression);
        });
    });
}

export function onPreview(answer) {
    onRpc("backup.job", "preview_cron", ({ args: [expression, timezone] }) => {
        asked.push([expression, timezone].filter(Boolean).join(", "));
        return answer(expression);
    });
}

export function answerTo(expression) {
    const runs = [5, 6, 7, 8, 9].map((day) => `2026-01-0${day}T02:00:00+00:00`);
    return { description: `Meaning of ${expression}`, next_runs: runs };
}

export function refusal(message) {
    return makeServerError({ type: "ValidationError", message });
}

/** Mount a view of the job 1 with this expression, and wait for the first answer. */
export async function mountSchedule(cron_expression, { arch = FORM, ...values } = {}) {
    Object.assign(BackupJob._records[0], { cron_expression, ...values });
    await mountView({
        resModel: "backup.job",
        type: /<(\w+)/.exec(arch)[1],
        resId: 1,
        resIds: [1, 2],
        arch,
    });
    await animationFrame();
}

/** Wait until what was typed is asked for, and answered. */
export async function settle() {
    await advanceTime(500);
    await animationFrame();
}

export async function switchTo(mode) {
    await contains(`.o_cron_modes label[data-mode=${mode}]`).click();
    await settle();
}

export function shownMode() {
    return queryFirst(".o_cron_modes input:checked").dataset.mode;
}

export async function type(text) {
    await contains(".o_cron_text").click();
    await edit(text);
    await settle();
}
