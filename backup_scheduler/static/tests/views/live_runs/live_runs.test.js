import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { expect, test } from "@odoo/hoot";
import { queryAllTexts, queryOne } from "@odoo/hoot-dom";
import { advanceTime, animationFrame } from "@odoo/hoot-mock";
import {
    MockServer,
    contains,
    defineModels,
    fields,
    getService,
    mockService,
    models,
    mountView,
    onRpc,
} from "@web/../tests/web_test_helpers";
import { Dialog } from "@web/core/dialog/dialog";

import { Component, xml } from "@odoo/owl";

import {
    DEBOUNCE,
    NOTIFICATION,
    POLL,
    SHORTEST_PAUSE,
} from "@backup_scheduler/views/live_runs/live_runs";

class BackupRun extends models.Model {
    _name = "backup.run";

    name = fields.Char();
    status = fields.Selection({
        selection: [
            ["queued", "Queued"],
            ["running", "Running"],
            ["verified", "Verified"],
        ],
    });
    work = fields.Char();
    retry_at = fields.Datetime();

    _records = [
        { id: 1, name: "sales", status: "verified" },
        { id: 2, name: "stock", status: "verified" },
    ];
    _views = {
        search: `<search/>`,
        list: `<list js_class="backup_run_list" default_order="name desc">
                <field name="name"/><field name="status"/><field name="retry_at" column_invisible="1"/>
            </list>`,
        kanban: `<kanban js_class="backup_run_kanban"><templates><t t-name="card">
                <field name="name"/> <field name="status"/>
            </t></templates></kanban>`,
        form: `<form js_class="backup_run_form"><field name="name"/><field name="status"/></form>`,
    };
}

class BackupRestore extends models.Model {
    _name = "backup.restore";

    run_id = fields.Many2one({ relation: "backup.run" });
    status = fields.Selection({ selection: [["queued", "Queued"], ["done", "Done"]] });

    _records = [{ id: 1, run_id: 1, status: "queued" }];
    _views = {
        form: `<form js_class="backup_restore_form" edit="0">
                <field name="run_id"/><field name="status"/>
            </form>`,
    };
}

defineMailModels();
defineModels([BackupRun, BackupRestore]);

const READS = { list: "web_search_read", kanban: "web_search_read", form: "web_read" };

/** Mount a view of the runs; return what tells of a change, and steps `read` at each reading. */
async function mountRuns(type, values = {}) {
    const listeners = new Set();
    mockService("bus_service", {
        ...fakeBus,
        subscribe: (name, callback) => name === NOTIFICATION && listeners.add(callback),
        unsubscribe: (name, callback) => listeners.delete(callback),
    });
    onRpc("backup.run", READS[type], () => {
        expect.step("read");
    });
    await mountView({ resModel: "backup.run", type, ...(type === "form" && { resId: 1 }), ...values });
    expect.verifySteps(["read"]);
    await advanceTime(SHORTEST_PAUSE);
    return {
        listeners,
        tell: (...ids) => listeners.forEach((callback) => callback({ ids }, { id: 1 })),
    };
}

const fakeBus = {
    addEventListener() {},
    removeEventListener() {},
    addChannel() {},
    deleteChannel() {},
    start() {},
    send() {},
    stop() {},
};

const change = (id, values) => MockServer.env["backup.run"].write([id], values);

for (const type of ["list", "kanban", "form"]) {
    test(`a ${type} shows what a message tells of, once for many messages`, async () => {
        const bus = await mountRuns(type);
        change(1, { name: "accounts" });
        bus.tell(1);
        bus.tell(1, 2);
        await advanceTime(DEBOUNCE);
        await animationFrame();
        expect.verifySteps(["read"]);
        const shown = type === "form" ? queryOne("[name=name] input").value : queryAllTexts(".o_view_controller").join();
        expect(shown).toMatch(/accounts/);
    });

    test(`a ${type} is read at most every two seconds`, async () => {
        const bus = await mountRuns(type);
        for (let tenth = 0; tenth < 50; tenth++) {
            bus.tell(1);
            await advanceTime(100);
        }
        await animationFrame();
        expect.verifySteps(["read", "read", "read"]);
    });
}

test("new runs come into the list by themselves", async () => {
    const bus = await mountRuns("list");
    bus.tell(MockServer.env["backup.run"].create({ name: "webshop", status: "queued" }));
    await advanceTime(DEBOUNCE);
    await animationFrame();
    expect(".o_data_row").toHaveCount(3);
    expect.verifySteps(["read"]);
});

test("a form does not care for other runs", async () => {
    const bus = await mountRuns("form");
    bus.tell(2);
    await advanceTime(POLL);
    expect.verifySteps([]);
});

test("the form of a restore follows the run that is restored", async () => {
    const listeners = new Set();
    mockService("bus_service", {
        ...fakeBus,
        subscribe: (name, callback) => name === NOTIFICATION && listeners.add(callback),
        unsubscribe: (name, callback) => listeners.delete(callback),
    });
    const tell = (...ids) => listeners.forEach((callback) => callback({ ids }, { id: 1 }));
    await mountView({ resModel: "backup.restore", type: "form", resId: 1 });
    await advanceTime(SHORTEST_PAUSE);
    expect(".o_field_widget[name=status]").toHaveText("Queued");
    MockServer.env["backup.restore"].write([1], { status: "done" });
    tell(2);
    await advanceTime(DEBOUNCE);
    expect(".o_field_widget[name=status]").toHaveText("Queued");
    tell(1);
    await advanceTime(DEBOUNCE);
    await animationFrame();
    expect(".o_field_widget[name=status]").toHaveText("Done");
});

test("a form with something entered is left alone until it is gone", async () => {
    const bus = await mountRuns("form");
    await contains("[name=name] input").edit("mine");
    bus.tell(1);
    await advanceTime(POLL);
    expect.verifySteps([]);
    expect("[name=name] input").toHaveValue("mine");
    await contains(".o_form_button_cancel").click();
    await advanceTime(SHORTEST_PAUSE);
    expect.verifySteps(["read"]);
});

test("a form that shows runs leaves whoever is entering something alone", async () => {
    BackupRun._views.form = BackupRun._views.form.replace("backup_run_form", "backup_instance_form");
    const bus = await mountRuns("form");
    await contains("[name=name] input").focus();
    bus.tell(2);
    await advanceTime(POLL);
    expect.verifySteps([]);
    queryOne("[name=name] input").blur();
    await advanceTime(SHORTEST_PAUSE);
    expect.verifySteps(["read"]);
});

test.tags("desktop");
test("a selection is not taken away; the list is read when it is given up", async () => {
    const bus = await mountRuns("list", { allowSelectors: true });
    await contains(".o_data_row:first .o_list_record_selector input").click();
    bus.tell(1);
    await advanceTime(POLL);
    expect.verifySteps([]);
    expect(".o_data_row_selected").toHaveCount(1);
    await contains(".o_data_row:first .o_list_record_selector input").click();
    await advanceTime(SHORTEST_PAUSE);
    expect.verifySteps(["read"]);
});

test("nothing moves beneath an open dialog", async () => {
    class Question extends Component {
        static components = { Dialog };
        static props = ["*"];
        static template = xml`<Dialog title="'Sure?'">Sure?</Dialog>`;
    }
    const bus = await mountRuns("list");
    const close = getService("dialog").add(Question, {});
    await animationFrame();
    expect(".o_dialog").toHaveCount(1);
    bus.tell(1);
    await advanceTime(POLL);
    expect.verifySteps([]);
    close();
    await animationFrame();
    await advanceTime(SHORTEST_PAUSE);
    expect.verifySteps(["read"]);
});

test("without any message it looks now and then, while a run is at work", async () => {
    const looks = async () => {
        await advanceTime(POLL);
        await animationFrame();
    };
    await mountRuns("list");
    await looks();
    expect.verifySteps([]);
    change(2, { status: "running" });
    await contains(".o_column_sortable[data-name=name]").click();
    expect.verifySteps(["read"]);
    await looks();
    expect.verifySteps(["read"]);
    change(2, { status: "verified" });
    await looks();
    expect.verifySteps(["read"]);
    await looks();
    expect.verifySteps([]);
});

test("groups stay open, and the order stays, when the list is read again", async () => {
    onRpc("backup.run", "web_read_group", () => {
        expect.step("read");
    });
    const bus = await mountRuns("list", { groupBy: ["status"] });
    await contains(".o_group_header").click();
    expect.verifySteps(["read"]);
    bus.tell(1);
    await advanceTime(DEBOUNCE);
    await animationFrame();
    expect(".o_data_row").toHaveCount(2);
    expect(queryAllTexts(".o_data_row [name=name]")).toEqual(["stock", "sales"]);
    await advanceTime(SHORTEST_PAUSE);
    expect.verifySteps(["read"]);
});

test("whoever has left the screen causes no reading any more", async () => {
    const bus = await mountRuns("list");
    bus.tell(1);
    await mountView({ resModel: "backup.run", type: "kanban", viewId: false });
    expect(bus.listeners.size).toBeGreaterThan(0);
    expect.verifySteps(["read"]);
});
