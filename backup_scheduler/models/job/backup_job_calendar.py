import datetime
from itertools import pairwise

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ...engine.forecast import Forecast
from ...engine.schedule import ScheduleError
from .. import arguments
from .backup_job import parse_count, parse_moment
from .backup_job_planning import naive

# Fires of a job on one day that are shown one by one; more are told as one entry.
FIRES_A_DAY = 4
# A picture with more entries on one day than this is no picture: they are told together.
ENTRIES_A_DAY = 60
# The longest time that is looked ahead at once: the calendar shows a year.
LONGEST = datetime.timedelta(days=400)


class BackupJobCalendar(models.Model):
    """Which fires are to come, as the calendar shows them."""

    _inherit = "backup.job"

    @api.model
    @arguments.accepts(
        start=arguments.moment,
        end=arguments.moment,
        limit=arguments.number,
        domain=arguments.domain,
    )
    def upcoming_fires(self, start, end, limit=FIRES_A_DAY, domain=None):
        """Tell which fires are to come: of enabled jobs on active instances that the user may see.

        The schedule is asked as the dispatcher asks it, from now on. Days are those of the user's
        time zone. A job that fires more than ``limit`` times on one day has one entry for that
        day, and so has a day with more entries than anybody would read.

        :param start: ISO 8601 or Odoo's format, UTC when it has no offset; so is ``end``
        :param domain: of runs: only jobs whose runs it would select
        :return: ``{fires: [{start, count, exact, description, job_id, job_name, jobs, instance_id,
            instance_name}], complete_until}``; moments in UTC in Odoo's format, ``exact`` false
            where ``count`` is exceeded; ``complete_until`` false unless the end was not reached
        """
        try:
            # A fire at the very start is shown; schedules tell what comes after a moment.
            start = parse_moment(start) - datetime.datetime.resolution
            start = max(start, datetime.datetime.now(datetime.timezone.utc))
            end = min(parse_moment(end), start + LONGEST)
            limit = parse_count(limit)
        except ValueError as error:
            raise ValidationError(str(error)) from error
        jobs = self._jobs_by_schedule(domain)
        if start >= end or not jobs:
            return {"fires": [], "complete_until": False}
        bounds = self._day_bounds(start, end)
        days, complete = Forecast(bounds, limit).days(jobs)
        by_day = [[] for _day in range(complete)]
        for schedule, found in days.items():
            for day in found:
                by_day[day.number].append((jobs[schedule], day))
        fires = [fire for found in by_day for fire in self._day_entries(found)]
        for fire in fires:
            fire["start"] = fields.Datetime.to_string(naive(fire["start"]))
        unfinished = complete < len(bounds) - 1
        until = unfinished and fields.Datetime.to_string(naive(bounds[complete]))
        return {"fires": fires, "complete_until": until}

    @api.model
    def _jobs_by_schedule(self, domain):
        """Return ``{schedule: jobs}``; what never fires, or is broken, says so on the job."""
        now = datetime.datetime.now(datetime.timezone.utc)
        jobs = self.search([("enabled", "=", True), ("instance_id.active", "=", True)])
        found = {}
        for job in jobs._would_make(domain):
            try:
                schedule = job._schedule()
                schedule.next_after(now)
            except ScheduleError:
                continue
            found[schedule] = found.get(schedule, self.browse()) + job
        return found

    def _would_make(self, domain):
        """Return the jobs that will make runs which ``domain`` selects."""
        if not domain:
            return self
        run = self.env["backup.run"]
        return self.filtered(
            lambda job: any(
                run.new({**values, "database_name": name}).filtered_domain(domain)
                for values in [{**run._policy_of(job), "trigger": "schedule", "status": False}]
                for name in job.database_ids.mapped("name")
                or job.instance_id.database_ids.mapped("name")
                or [""]
            )
        )

    @api.model
    def _day_bounds(self, start, end):
        """Return ``start``, each midnight of the user's zone between them, and ``end``."""
        zone = self.env.tz
        bounds, day = [start], start.astimezone(zone).date()
        while bounds[-1] < end:
            day += datetime.timedelta(days=1)
            midnight = zone.localize(datetime.datetime.combine(day, datetime.time()))
            # A fire at midnight belongs to the day that begins: bounds are included in what ends.
            midnight -= datetime.datetime.resolution
            bounds.append(min(midnight.astimezone(datetime.timezone.utc), end))
        return [first for first, second in pairwise(bounds) if first < second] + bounds[-1:]

    @api.model
    def _day_entries(self, found):
        """Return the entries of one day in order, or a single one where they are too many.

        :param found: pairs of jobs and what :class:`.Forecast` tells of their schedule
        """
        if sum(len(jobs) * len(day.fires) for jobs, day in found) > ENTRIES_A_DAY:
            return [self._whole_day_entry(found)]
        entries = [
            job._fire_entry(fire, day) for jobs, day in found for fire in day.fires for job in jobs
        ]
        return sorted(entries, key=lambda entry: (entry["start"], entry["job_id"]))

    def _fire_entry(self, fire, day):
        return {
            "start": fire,
            "count": 1 if len(day.fires) == day.count else day.count,
            "exact": day.exact,
            "description": self.schedule_description,
            "job_id": self.id,
            "job_name": self.name,
            "jobs": 1,
            "instance_id": self.instance_id.id,
            "instance_name": self.instance_id.name,
        }

    @api.model
    def _whole_day_entry(self, found):
        return {
            "start": min(day.fires[0] for _jobs, day in found),
            "count": sum(len(jobs) * day.count for jobs, day in found),
            "exact": all(day.exact for _jobs, day in found),
            "description": "",
            "job_id": False,
            "job_name": "",
            "jobs": sum(len(jobs) for jobs, _day in found),
            "instance_id": False,
            "instance_name": "",
        }
