import { deserializeDateTime, serializeDateTime } from "@web/core/l10n/dates";
import { _t } from "@web/core/l10n/translation";
import { CalendarModel } from "@web/views/calendar/calendar_model";

/** More runs than this in the time that is seen are told by day and status. */
export const RUN_LIMIT = 500;
/** The status, for the picture only, of what is to come. */
export const PLANNED = "planned";
/** How high the entry of a run is at least, which often takes less than a minute. */
const SHORTEST = { minutes: 30 };
/** Odoo's palette of calendars, which has a dark side: green, red, yellow, teal, grey, blue. */
const COLORS = {
    verified: 10,
    success: 10,
    failed: 1,
    verify_failed: 1,
    skipped: 3,
    queued: 7,
    running: 7,
    cancelled: 0,
    planned: 4,
};
const ICONS = {
    verified: "fa-check-circle",
    success: "fa-check",
    failed: "fa-times-circle",
    verify_failed: "fa-exclamation-triangle",
    skipped: "fa-step-forward",
    queued: "fa-hourglass-o",
    running: "fa-spinner",
    cancelled: "fa-ban",
    planned: "fa-clock-o",
};

/**
 * Jobs of several instances often have one name, by which a filter would not tell them apart.
 *
 * @param {[number, string]|false} job
 * @param {[number, string]} instance
 */
function named(job, instance) {
    return job && [job[0], _t("%(job)s (%(instance)s)", { job: job[1], instance: instance[1] })];
}

/**
 * Runs that were made, and fires to come, as the entries of one calendar.
 *
 * The runs of one fire that ended alike are one entry: a job on ten databases is not ten of them.
 */
export class BackupCalendarModel extends CalendarModel {
    setup() {
        super.setup(...arguments);
        this.data.completeUntil = false;
        this.data.isGrouped = false;
    }

    get completeUntil() {
        return this.data.completeUntil;
    }

    get isGrouped() {
        return this.data.isGrouped;
    }

    get statusLabels() {
        return { ...Object.fromEntries(this.fields.status.selection), [PLANNED]: _t("Planned") };
    }

    /** @override */
    async loadRecords(data) {
        const [runs, fires] = await Promise.all([this.loadRuns(data), this.loadFires(data)]);
        return Object.fromEntries([...runs, ...fires].map((record) => [record.id, record]));
    }

    async loadRuns(data) {
        const { context, resModel } = this.meta;
        const domain = this.computeDomain(data);
        const names = ["scheduled_at", "finished_at", "status", "database_name"];
        const rawRuns = await this.orm.searchRead(
            resModel,
            domain,
            [...names, "job_id", "job_name", "instance_id"],
            { context, limit: RUN_LIMIT + 1 }
        );
        data.isGrouped = rawRuns.length > RUN_LIMIT;
        if (data.isGrouped) {
            return this.loadDays(domain);
        }
        const fires = Map.groupBy(rawRuns, (run) =>
            [run.scheduled_at, run.instance_id[0], run.job_id[0], run.job_name, run.status].join()
        );
        return [...fires.values()].map((runs) => this.makeRunEntry(runs));
    }

    makeRunEntry(runs) {
        const [run] = runs;
        const start = deserializeDateTime(run.scheduled_at);
        const finished = runs.map((each) => each.finished_at).filter(Boolean);
        const end = finished.length ? deserializeDateTime(finished.sort().at(-1)) : start;
        const databases =
            runs.length > 1 ? _t("%s databases", runs.length) : run.database_name || run.job_name;
        const what = `${run.instance_id[1]}: ${databases}`;
        return this.makeEntry(`run-${run.id}`, run.status, what, start, {
            end: end > start.plus(SHORTEST) ? end : start.plus(SHORTEST),
            runIds: runs.map((each) => each.id),
            rawRecord: { ...run, job_id: named(run.job_id, run.instance_id) },
        });
    }

    async loadDays(domain) {
        const groups = await this.orm.formattedReadGroup(
            this.meta.resModel,
            domain,
            ["scheduled_at:day", "status"],
            ["__count"],
            { context: this.meta.context }
        );
        return groups.map((group) => {
            const [day] = group["scheduled_at:day"];
            const what = _t("%s runs", group.__count);
            return this.makeEntry(
                `day-${day}-${group.status}`,
                group.status,
                what,
                deserializeDateTime(day),
                { isAllDay: true, domain: [...domain, ...group.__extra_domain] }
            );
        });
    }

    async loadFires(data) {
        const { fires, complete_until } = await this.orm.call(
            "backup.job",
            "upcoming_fires",
            [serializeDateTime(data.range.start), serializeDateTime(data.range.end)],
            { domain: this.meta.domain, context: this.meta.context }
        );
        data.completeUntil = complete_until && deserializeDateTime(complete_until);
        return fires.map((fire, index) => this.makeFireEntry(fire, index));
    }

    makeFireEntry(fire, index) {
        const start = deserializeDateTime(fire.start);
        const count = fire.exact ? fire.count : _t("more than %s", fire.count - 1);
        let what = `${fire.instance_name}: ${fire.job_name}`;
        if (!fire.job_id) {
            what = _t("%(count)s fires of %(jobs)s jobs", { count, jobs: fire.jobs });
        } else if (fire.count > 1) {
            what = _t("%(job)s, %(count)s fires", { job: what, count });
        }
        const job = fire.job_id && [fire.job_id, fire.job_name];
        const instance = fire.instance_id && [fire.instance_id, fire.instance_name];
        return this.makeEntry(`fire-${index}`, PLANNED, what, start, {
            isAllDay: fire.count > 1,
            jobId: fire.job_id,
            description: fire.description,
            rawRecord: {
                scheduled_at: fire.start,
                status: PLANNED,
                job_id: named(job, instance),
                instance_id: instance,
            },
        });
    }

    /** Return an entry as the calendar's renderers expect it; its text says what its colour does. */
    makeEntry(id, status, what, start, values) {
        const { isAllDay = false } = values;
        const end = values.end || start.plus(SHORTEST);
        // An entry that went on past midnight is one of the day on which it was due.
        const sameDay = end.hasSame(start, "day") ? end : start.endOf("day");
        return {
            id,
            status,
            what,
            statusLabel: this.statusLabels[status],
            title: _t("%(what)s (%(status)s)", { what, status: this.statusLabels[status] }),
            icon: ICONS[status],
            colorIndex: COLORS[status],
            isHatched: false,
            isStriked: false,
            startType: "datetime",
            endType: "datetime",
            // On the axis of hours it is so low that its text has one line.
            duration: this.meta.scale === "month" ? 1 : 0.25,
            // The axis of a week tells the time, and its columns are narrow.
            isTimeHidden: isAllDay || this.meta.scale === "week",
            isMonth: this.meta.scale === "month",
            isSmall: this.env.isSmall,
            rawRecord: { status },
            ...values,
            isAllDay,
            start: isAllDay ? start.startOf("day") : start,
            end: isAllDay ? start.startOf("day") : sameDay,
        };
    }

    /** @override: what is told by day is of many instances and jobs */
    loadDynamicFilters(data, filtersInfo) {
        const { status } = filtersInfo;
        return super.loadDynamicFilters(data, data.isGrouped && status ? { status } : filtersInfo);
    }

    /** @override */
    makeFilterDynamic(filterInfo, previousFilter, fieldName, rawFilter, rawColors) {
        const filter = super.makeFilterDynamic(...arguments);
        if (fieldName === "status") {
            filter.label = this.statusLabels[filter.value];
        }
        return filter;
    }
}
