import datetime
import traceback

from odoo import api, fields, models

from ...engine import messages
from ...engine.schedule import ScheduleError, cached_schedule

# The cron looks once a minute, and is late when Odoo is busy: up to here a fire counts as on time.
ON_TIME = datetime.timedelta(minutes=5)
# What can no longer be counted cheaply is told as "more than".
MISSED_LIMIT = 1000
# A job that cannot even be planned is looked at again after this.
BROKEN_PAUSE = datetime.timedelta(hours=1)


class BackupJobPlanning(models.Model):
    """When a job is due, and which runs that makes."""

    _inherit = "backup.job"

    # --- planning -------------------------------------------------------------------------------

    @api.model
    def _default_timezone(self):
        return self.env["ir.config_parameter"].sudo().get_param("backup_scheduler.timezone", "UTC")

    @api.model
    def default_timezone(self):
        """Return the name of the zone in which jobs are meant that name none themselves."""
        return self._default_timezone()

    def _schedule(self):
        self.ensure_one()
        zone = self.timezone or self._default_timezone()
        return cached_schedule(self.cron_expression or "", zone)

    def _is_planned(self):
        return self.enabled and self.instance_id.active

    def _plan_due_fires(self):
        """Plan what is due and waits for the dispatcher, before a change of the job moves it."""
        now = fields.Datetime.now()
        for job in self.sudo():
            if job._is_planned() and job.next_run_at and job.next_run_at <= now:
                self.env["backup.dispatcher"]._plan_job(job, now)
                self.env["backup.dispatcher"]._wake()

    def _plan(self):
        """Compute the next fire from now on; of a job that makes no backups there is none.

        A job whose schedule became invalid says so, and leaves a failed run within the hour.
        """
        now = fields.Datetime.now()
        for job in self.sudo():
            job.planning_error = False
            job.planned_at = now
            job.next_run_at = job._is_planned() and job._next_fire(now)

    def _next_fire(self, now):
        try:
            return naive(self._schedule().next_after(utc(now)))
        except ScheduleError as error:
            self.planning_error = error.for_people
            return now + BROKEN_PAUSE

    def _database_names(self):
        """Return the names to back up; none for a server whose databases are not known yet."""
        self.ensure_one()
        if self.database_scope == "selected":
            return self.database_ids.mapped("name")
        return self.instance_id.database_ids.filtered("present").mapped("name")

    def _plan_fire(self, now):
        """Make the runs of the fire that is due, and move ``next_run_at`` past ``now``.

        Fires that were missed before it come together in one: see ``catch_up``. Both changes are
        one transaction, which is what makes a fire happen once.
        """
        self.ensure_one()
        schedule = self._schedule()
        first = utc(self.next_run_at)
        fires = [first, *schedule.fires_between(first, utc(now), MISSED_LIMIT)]
        latest = fires[-1] if len(fires) <= MISSED_LIMIT else latest_fire(schedule, utc(now))
        missed = len(fires) - 1
        following = {
            "next_run_at": naive(schedule.next_after(utc(now))),
            "planned_at": now,
            "planning_error": False,
        }
        if utc(now) - latest > ON_TIME and not self.catch_up:
            self.write(following)
            self._record_missed(naive(latest), missed + 1, naive(first))
            return
        self.write({**following, "last_run_at": now})
        if missed and not self.catch_up:
            self._record_missed(naive(fires[-2]), missed, naive(first))
        runs = self.env["backup.run"]._create_for(
            self, self._database_names() or [""], naive(latest), trigger="schedule"
        )
        if missed and self.catch_up:
            runs.missed_since = naive(first)
            for run in runs:
                run._log(f"This run also stands for {tell(missed)} fires missed before it.")

    def _record_missed(self, scheduled_at, count, since):
        runs = self.env["backup.run"]._create_for(self, [""], scheduled_at, trigger="schedule")
        runs.missed_since = since
        runs._mark_skipped(
            "missed",
            messages._(
                "%(count)s fires were missed while the scheduler was not running. The job does not "
                "catch up.",
                count=tell(count),
            ),
        )

    def _record_broken(self, error, now):
        """Record on the job, and as a failed run, that its fire could not be planned.

        It is looked at again later: a broken record neither loops nor stops the others.
        """
        self.ensure_one()
        scheduled_at = self.next_run_at or now
        message = getattr(error, "message", None) or str(error)
        self.planning_error = message
        self.next_run_at = self._next_after_failure(now)
        runs = self.env["backup.run"]._create_for(self, [""], scheduled_at, trigger="schedule")
        runs._mark_unplannable(message, "".join(traceback.format_exception(error)))

    def _postpone(self, now):
        """Keep a job that breaks everything from being due; by SQL, since its record may be why."""
        self.env.cr.execute(
            "UPDATE backup_job SET next_run_at = %s WHERE id = %s", (now + BROKEN_PAUSE, self.id)
        )
        self.invalidate_recordset()

    def _next_after_failure(self, now):
        try:
            return max(naive(self._schedule().next_after(utc(now))), now + BROKEN_PAUSE)
        except ScheduleError:
            return now + BROKEN_PAUSE


def utc(moment):
    """Return one of Odoo's naive UTC datetimes as an aware one."""
    return moment.replace(tzinfo=datetime.timezone.utc)


def naive(moment):
    """Return an aware datetime as Odoo keeps it."""
    return moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)


def latest_fire(schedule, now):
    """Return the last fire up to ``now``, where there are too many to count from the first.

    Looks back twice as far each time, so that it costs little however long ago that is.
    """
    window = ON_TIME
    while not (fires := schedule.fires_between(now - window, now, MISSED_LIMIT)):
        window *= 2
    return fires[-1]


def tell(count):
    if count < MISSED_LIMIT:
        return str(count)
    return messages._("%(count)s or more", count=MISSED_LIMIT)
