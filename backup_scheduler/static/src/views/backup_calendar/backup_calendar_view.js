import { registry } from "@web/core/registry";
import { calendarView } from "@web/views/calendar/calendar_view";

import { BackupCalendarController } from "./backup_calendar_controller";
import { BackupCalendarModel } from "./backup_calendar_model";
import { BackupCalendarRenderer } from "./backup_calendar_renderer";

registry.category("views").add("backup_calendar", {
    ...calendarView,
    Controller: BackupCalendarController,
    Model: BackupCalendarModel,
    Renderer: BackupCalendarRenderer,
});
