import { registry } from "@web/core/registry";
import { deserializeDateTime, toLocaleDateTimeString } from "@web/core/l10n/dates";
import { useService } from "@web/core/utils/hooks";
import { ListController } from "@web/views/list/list_controller";
import { listView } from "@web/views/list/list_view";

import { onWillStart, useState } from "@odoo/owl";

import { HealthBanner } from "../../health_banner/health_banner";

/** The list of jobs says above it whether the dispatcher, on which all of them depend, is at work. */
export class BackupJobListController extends ListController {
    static template = "backup_scheduler.JobListView";
    static components = { ...ListController.components, HealthBanner };

    setup() {
        super.setup();
        this.orm = useService("orm");
        this.health = useState({ problems: [], lastDispatchAt: "" });
        onWillStart(() => this.loadHealth());
    }

    async loadHealth() {
        const health = await this.orm.call("backup.doctor", "health", []);
        this.health.problems = health.problems;
        this.health.lastDispatchAt = health.last_dispatch_at
            ? toLocaleDateTimeString(deserializeDateTime(health.last_dispatch_at))
            : "";
    }
}

registry.category("views").add("backup_job_list", {
    ...listView,
    Controller: BackupJobListController,
});
