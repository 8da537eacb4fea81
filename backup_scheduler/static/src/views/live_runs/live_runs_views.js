import { registry } from "@web/core/registry";
import { formView } from "@web/views/form/form_view";
import { kanbanView } from "@web/views/kanban/kanban_view";
import { listView } from "@web/views/list/list_view";
import {
    LiveRelatedRunsMixin,
    LiveRestoreMixin,
    LiveRunMixin,
    LiveRunsMixin,
} from "./live_runs_mixin";

export class BackupRunListController extends LiveRunsMixin(listView.Controller) {}
export class BackupRunKanbanController extends LiveRunsMixin(kanbanView.Controller) {}
export class BackupRunFormController extends LiveRunMixin(formView.Controller) {}
export class BackupRestoreFormController extends LiveRestoreMixin(formView.Controller) {}
export class BackupInstanceFormController extends LiveRelatedRunsMixin(formView.Controller) {}

const views = registry.category("views");
views.add("backup_run_list", { ...listView, Controller: BackupRunListController });
views.add("backup_run_kanban", { ...kanbanView, Controller: BackupRunKanbanController });
views.add("backup_run_form", { ...formView, Controller: BackupRunFormController });
// What a restore shows of itself moves as a run does.
views.add("backup_restore_list", { ...listView, Controller: BackupRunListController });
views.add("backup_restore_kanban", { ...kanbanView, Controller: BackupRunKanbanController });
views.add("backup_restore_form", { ...formView, Controller: BackupRestoreFormController });
views.add("backup_instance_form", { ...formView, Controller: BackupInstanceFormController });
