import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { expect, test } from "@odoo/hoot";
import { defineModels, fields, models, mountView, onRpc } from "@web/../tests/web_test_helpers";

class BackupJob extends models.Model {
    _name = "backup.job";

    name = fields.Char({ string: "Name" });

    _records = [{ id: 1, name: "Every night" }];
}

defineMailModels();
defineModels([BackupJob]);

function mountJobs(health) {
    onRpc("backup.doctor", "health", () => health);
    return mountView({
        resModel: "backup.job",
        type: "list",
        arch: `<list js_class="backup_job_list"><field name="name"/></list>`,
    });
}

test("the list tells when due jobs were last looked for", async () => {
    await mountJobs({ problems: [], last_dispatch_at: "2026-03-10 12:00:00" });
    expect(".o_data_row").toHaveCount(1);
    expect(".alert").toHaveCount(0);
    expect(".o_content:contains(Odoo last looked for due jobs at)").toHaveCount(1);
});

test("the list says what is wrong, and what to do, before the jobs", async () => {
    const problems = [
        { check: "dispatcher", problem: "The dispatcher is off.", hint: "Switch it on." },
        { check: "worker", problem: "No worker is there.", hint: "Start one." },
    ];
    await mountJobs({ problems, last_dispatch_at: "2026-03-10 12:00:00" });
    expect(".alert-danger[role=alert]").toHaveCount(2);
    expect(".alert-danger:first").toHaveText("The dispatcher is off. Switch it on.");
    expect(".o_content:contains(Odoo last looked for due jobs at)").toHaveCount(0);
});

test("nothing is said of a dispatcher that never ran and has no problem", async () => {
    await mountJobs({ problems: [], last_dispatch_at: false });
    expect(".o_data_row").toHaveCount(1);
    expect(".o_content:contains(due jobs)").toHaveCount(0);
});
