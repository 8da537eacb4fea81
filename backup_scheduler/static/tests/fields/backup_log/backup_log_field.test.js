import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { expect, test } from "@odoo/hoot";
import { queryOne } from "@odoo/hoot-dom";
import { animationFrame } from "@odoo/hoot-mock";
import { MockServer, defineModels, fields, models, mountView } from "@web/../tests/web_test_helpers";

const LINES = Array.from({ length: 200 }, (_, number) => `Line ${number}`);

class Run extends models.Model {
    log = fields.Text();

    _records = [{ id: 1, log: LINES.join("\n") }, { id: 2 }];
}

defineMailModels();
defineModels([Run]);

const mountLog = (resId) =>
    mountView({
        resModel: "run",
        resId,
        type: "form",
        arch: `<form><field name="log" widget="backup_log" placeholder="Nothing yet."/></form>`,
    });

const fromEnd = (log) => log.scrollHeight - log.scrollTop - log.clientHeight;

test("the newest lines are seen, also those that are added", async () => {
    const view = await mountLog(1);
    const log = queryOne(".o_backup_log");
    expect(log.scrollTop).toBeGreaterThan(0);
    expect(fromEnd(log)).toBeLessThan(2);
    MockServer.env.run.write([1], { log: [...LINES, "The last one"].join("\n") });
    await findModel(view).root.load();
    await animationFrame();
    expect(log).toHaveText(/The last one/);
    expect(fromEnd(log)).toBeLessThan(2);
});

test("whoever reads further up is left there", async () => {
    const view = await mountLog(1);
    const log = queryOne(".o_backup_log");
    log.scrollTop = 100;
    MockServer.env.run.write([1], { log: [...LINES, "The last one"].join("\n") });
    await findModel(view).root.load();
    await animationFrame();
    expect(log.scrollTop).toBe(100);
});

test("an empty log says so", async () => {
    await mountLog(2);
    expect(".o_field_widget[name=log]").toHaveText("Nothing yet.");
});

/** The model of the controller that `mountView` has mounted. */
function findModel(component) {
    const nodes = [component.__owl__];
    for (const node of nodes) {
        if (node.component.model) {
            return node.component.model;
        }
        nodes.push(...Object.values(node.children));
    }
}
