import { CalendarCommonRenderer } from "@web/views/calendar/calendar_common/calendar_common_renderer";
import { CalendarRenderer } from "@web/views/calendar/calendar_renderer";

/** An entry leads to what it stands for at once: there is nothing to change in a popover. */
export class BackupCalendarCommonRenderer extends CalendarCommonRenderer {
    static eventTemplate = "backup_scheduler.CalendarEvent";

    get options() {
        // Entries can be reached and opened with the keyboard; most backups run at night.
        return { ...super.options, eventInteractive: true, scrollTime: "00:00:00" };
    }

    /** What failed yesterday matters today: what is past does not pale. */
    eventClassNames() {
        const names = super.eventClassNames(...arguments);
        return ["o_backup_event", ...names.filter((name) => name !== "o_past_event")];
    }

    onEventClick(info) {
        this.props.editRecord(this.props.model.records[info.event.id]);
    }

    onEventDidMount(info) {
        super.onEventDidMount(info);
        const record = this.props.model.records[info.event.id];
        if (record) {
            const time = record.isAllDay ? "" : this.getStartTime(record);
            const told = [time, record.title, record.description].filter(Boolean).join(" · ");
            info.el.title = told;
            info.el.setAttribute("aria-label", told);
        }
    }
}

export class BackupCalendarRenderer extends CalendarRenderer {
    static components = {
        ...CalendarRenderer.components,
        day: BackupCalendarCommonRenderer,
        week: BackupCalendarCommonRenderer,
        month: BackupCalendarCommonRenderer,
    };
}
