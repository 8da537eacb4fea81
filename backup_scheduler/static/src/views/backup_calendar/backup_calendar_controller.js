import { formatDate } from "@web/core/l10n/dates";
import { _t } from "@web/core/l10n/translation";
import { useService } from "@web/core/utils/hooks";
import { useDebounced } from "@web/core/utils/timing";
import { CalendarController } from "@web/views/calendar/calendar_controller";

import { onWillDestroy } from "@odoo/owl";

/** Runs come and change in crowds. */
const RELOAD_DELAY = 2000;

export class BackupCalendarController extends CalendarController {
    static template = "backup_scheduler.CalendarController";

    setup() {
        super.setup();
        const bus = useService("bus_service");
        const reload = useDebounced(() => this.model.load(), RELOAD_DELAY);
        bus.subscribe("backup_scheduler.runs", reload);
        onWillDestroy(() => bus.unsubscribe("backup_scheduler.runs", reload));
    }

    get notShown() {
        const { completeUntil, isGrouped } = this.model;
        return [
            isGrouped && _t("There are too many runs to show each: they are counted by day."),
            completeUntil &&
                _t("Fires are shown up to %s: look at less at once to see more.", formatDate(completeUntil)),
        ].filter(Boolean);
    }

    /** @override: open the run or the job that an entry stands for, or the list of them */
    editRecord(entry) {
        if (entry.runIds?.length === 1) {
            return this.openRecord(this.model.resModel, entry.runIds[0]);
        }
        if (entry.jobId) {
            return this.openRecord("backup.job", entry.jobId);
        }
        if (entry.status === "planned") {
            return this.action.doAction("backup_scheduler.backup_job_action");
        }
        const domain = entry.domain || [["id", "in", entry.runIds]];
        return this.action.doAction({
            type: "ir.actions.act_window",
            name: entry.title,
            res_model: this.model.resModel,
            views: [
                [false, this.env.isSmall ? "kanban" : "list"],
                [false, "form"],
            ],
            domain,
        });
    }

    openRecord(resModel, resId) {
        return this.action.doAction({
            type: "ir.actions.act_window",
            res_model: resModel,
            res_id: resId,
            views: [[false, "form"]],
        });
    }
}
