import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { expect, test } from "@odoo/hoot";
import {
    contains,
    defineModels,
    fields,
    models,
    mountView,
    patchWithCleanup,
} from "@web/../tests/web_test_helpers";
import { GraphRenderer } from "@web/views/graph/graph_renderer";

class BackupRun extends models.Model {
    _name = "backup.run";

    scheduled_at = fields.Date();
    database_name = fields.Char();
    size = fields.Float({ aggregator: "avg" });

    _records = [
        { id: 1, scheduled_at: "2026-11-01", database_name: "sales", size: 100 },
        { id: 2, scheduled_at: "2026-11-02", database_name: "sales", size: 0 },
        { id: 3, scheduled_at: "2026-11-03", database_name: "sales", size: 120 },
        { id: 4, scheduled_at: "2026-11-02", database_name: false, size: 0 },
    ];
    _views = {
        graph: `<graph type="line" stacked="0" js_class="backup_run_graph">
                <field name="scheduled_at" interval="day"/>
                <field name="database_name"/>
                <field name="size" type="measure"/>
            </graph>`,
        search: `<search/>`,
    };
}

defineMailModels();
defineModels([BackupRun]);

async function mountGraph() {
    const seen = {};
    patchWithCleanup(GraphRenderer.prototype, {
        renderChart() {
            super.renderChart();
            seen.chart = this.chart;
        },
    });
    await mountView({ type: "graph", resModel: "backup.run" });
    return seen;
}

const lines = ({ chart }) => chart.data.datasets.map(({ data }) => data);
const legend = ({ chart }) => chart.legend.legendItems.map(({ text }) => text);

test("a day without an archive leaves a gap that the line goes over", async () => {
    const seen = await mountGraph();
    expect(lines(seen)[0]).toEqual([100, null, 120]);
    expect(seen.chart.data.datasets[0].spanGaps).toBe(true);
});

test("what has no size at all is not named", async () => {
    expect(legend(await mountGraph())).toEqual(["sales"]);
});

test("a count of runs keeps its zeros", async () => {
    const seen = await mountGraph();
    await contains("button:contains(Measures)").click();
    await contains(".o-dropdown--menu .o_menu_item:contains(Count)").click();
    expect(lines(seen)).toEqual([
        [1, 1, 1],
        [0, 1, 0],
    ]);
});
