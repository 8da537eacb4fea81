import { registry } from "@web/core/registry";
import { GraphRenderer } from "@web/views/graph/graph_renderer";
import { graphView } from "@web/views/graph/graph_view";

/**
 * Sizes and durations over time: a day without a backup, or with a failed one, has none. A line
 * goes on over it, where Odoo's would fall to zero as if the database had lost everything.
 */
export class BackupRunGraphRenderer extends GraphRenderer {
    getLineChartData() {
        const data = super.getLineChartData();
        const { cumulated, measure } = this.model.metaData;
        if (!cumulated && measure !== "__count") {
            for (const dataset of data.datasets) {
                dataset.data = dataset.data.map((value) => value || null);
                dataset.spanGaps = true;
            }
        }
        return data;
    }

    /** Name no line that has no point: runs that never learned of which database they are. */
    getLegendOptions() {
        const options = super.getLegendOptions();
        if (this.model.metaData.mode === "line") {
            const datasets = this.model.data.datasets;
            options.labels.filter = ({ datasetIndex }) =>
                datasets[datasetIndex].data.some((value) => value);
        }
        return options;
    }
}

registry.category("views").add("backup_run_graph", {
    ...graphView,
    Renderer: BackupRunGraphRenderer,
});
