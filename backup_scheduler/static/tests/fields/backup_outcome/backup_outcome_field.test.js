import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { expect, test } from "@odoo/hoot";
import { defineModels, fields, models, mountView } from "@web/../tests/web_test_helpers";

class Run extends models.Model {
    status = fields.Char();
    stage = fields.Char();
    work = fields.Char();
    progress = fields.Float();
    received = fields.Float();
    speed = fields.Float();
    time_left = fields.Float();
    warning = fields.Text();
    error_summary = fields.Char();

    _records = [
        { id: 1, status: "running", stage: "verify", progress: 50, error_summary: "The one before." },
        { id: 2, status: "failed", error_summary: "Access denied." },
        { id: 3, status: "skipped", error_summary: "It overlapped." },
        { id: 4, status: "verified", warning: "Much smaller than usual." },
        { id: 5, status: "verified" },
    ];
}

defineMailModels();
defineModels([Run]);

test("a line tells the progress while it runs, then the error, then the warning", async () => {
    await mountView({
        resModel: "run",
        type: "list",
        arch: `<list><field name="error_summary" widget="backup_outcome"/></list>`,
    });
    expect(".o_data_row:eq(0) [role=progressbar]").toHaveCount(1);
    expect(".o_data_row:eq(0)").not.toHaveText(/The one before/);
    expect(".o_data_row:eq(1) .text-danger").toHaveText("Access denied.");
    expect(".o_data_row:eq(2) .text-muted").toHaveText("It overlapped.");
    expect(".o_data_row:eq(3) .text-warning").toHaveText("Much smaller than usual.");
    expect(".o_data_row:eq(4) .o_field_widget").toHaveText("");
});
