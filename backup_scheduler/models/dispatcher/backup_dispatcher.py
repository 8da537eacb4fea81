import contextlib
import datetime
import logging
import time

import psycopg2

from odoo import api, fields, models

from ... import inline, launcher
from ...after_commit import forgive
from ..run.backup_run_live import GATHERED
from ..task.kinds import ASIDE, BACKUP, SPARE

_logger = logging.getLogger(__name__)

# Two transactions at the same rows: nothing is wrong with either, and one has to come again.
COLLISIONS = (psycopg2.errors.SerializationFailure, psycopg2.errors.DeadlockDetected)
# Machines that share a database never agree to the second.
CLOCK_TOLERANCE = datetime.timedelta(minutes=2)
# So many due jobs are planned in one transaction, or what can be in so many seconds: whoever wants
# to save one of them waits for it.
TOGETHER, TOGETHER_LIMIT = 20, 0.5


@contextlib.contextmanager
def isolated(cr, logger, message, *arguments):
    """Undo and log what breaks within, and go on with what follows.

    Raises what PostgreSQL says when it collides with another transaction, or is away: only the
    caller knows what else its transaction holds.
    """
    try:
        with cr.savepoint():
            yield
    except (*COLLISIONS, psycopg2.OperationalError):
        raise
    except Exception:
        logger.exception(message, *arguments)


class BackupDispatcher(models.AbstractModel):
    """What the cron does, once a minute and whenever it is woken: it hands work to others.

    No network, no dump, no hashing happens here. Each record is a savepoint of its own; what one of
    them breaks stays with it.
    """

    _name = "backup.dispatcher"
    _description = "Backup Dispatcher"

    @api.model
    def _cron_dispatch(self):
        """Reap lost runs, plan the jobs that are due, keep house, hand over what is queued, look
        for what to alert of.

        Nothing that alerts may cost or break comes before the backups are handed over.
        """
        forgive(self.env.cr)
        now = fields.Datetime.now()
        self._reap()
        self._replan_after_a_clock_set_back(now)
        self._plan_due_jobs(now)
        self._housekeep(now)
        # Whoever it is handed over to sees what is committed.
        self.env["ir.cron"]._commit_progress()
        places = self._places_to_hand_over()
        if places:
            self._hand_over(places)
        if self._watch() and ASIDE not in places:
            self._hand_over({ASIDE})

    @api.model
    def _wake(self):
        """Have the dispatcher run as soon as this transaction is committed."""
        self._trigger("ir_cron_dispatch")

    @api.model
    def _scheduled_action(self, name):
        """Return one of our scheduled actions, with all rights; none where somebody has deleted
        it, which the doctor reports."""
        action = self.env.ref(f"backup_scheduler.{name}", raise_if_not_found=False)
        return (action or self.env["ir.cron"]).sudo()

    @api.model
    def _trigger(self, name):
        """Have a scheduled action run as soon as this transaction is committed, if it exists."""
        for action in self._scheduled_action(name):
            action._trigger()

    @api.model
    def _reap(self):
        try:
            if self.env["backup.task"]._reap():
                self.env["ir.cron"]._commit_progress()
        except COLLISIONS:
            # A worker was at the same runs.
            self.env.cr.rollback()

    # --- planning -------------------------------------------------------------------------------

    @api.model
    def _replan_after_a_clock_set_back(self, now):
        """Compute anew what was computed while the clock was ahead: it may lie years away. So would
        what was promised then."""
        late = [("promised_since", ">", now + CLOCK_TOLERANCE)]
        if ahead := self.env["backup.job"].search(late):
            ahead._promise_anew()
            self.env["ir.cron"]._commit_progress()
        domain = [("enabled", "=", True), ("planned_at", ">", now + CLOCK_TOLERANCE)]
        if jobs := self.env["backup.job"].search(domain):
            jobs._plan()
            self.env["ir.cron"]._commit_progress()

    @api.model
    def _plan_due_jobs(self, now):
        """Plan each job that is due; return how many there were.

        Stops when the cron's time is up; what is left is done by the call that follows at once.
        Web clients are notified once: each notification waits for the disk.
        """
        run_ids = set()
        planned = self.with_context(**{GATHERED: run_ids})._plan_in_batches(now)
        if run_ids:
            self.env["backup.run"].browse(run_ids)._notify_clients()
            self.env["ir.cron"]._commit_progress()
        return planned

    @api.model
    def _plan_in_batches(self, now):
        due = self._due_jobs(now).ids
        if due:
            self.env["ir.cron"]._commit_progress(remaining=len(due))
        # Planning changes no tracked field: the chatter need not compare what is written.
        jobs = self.env["backup.job"].with_context(tracking_disable=True)
        planned = 0
        while planned < len(due):
            count = self._plan_together(jobs.browse(due[planned : planned + TOGETHER]), now)
            planned += count
            if not self.env["ir.cron"]._commit_progress(count):
                break
        return planned

    @api.model
    def _plan_together(self, jobs, now):
        """Plan jobs in one transaction, as many as a moment allows; return how many there were.

        A commit empties the cache: what is read for one of them, is read for all of them at once,
        and all of them are locked at once. Where one collides with another transaction, each has
        one of its own.
        """
        cron_ends = self.env.context.get("cron_end_time", float("inf"))
        until, count = min(time.monotonic() + TOGETHER_LIMIT, cron_ends), 0
        self._commit_without_the_disk()
        try:
            # Those that are gone since they were listed, or that somebody else is at, are left out.
            locked = jobs.try_lock_for_update(allow_referencing=True)
            # Else each run reads that of its instance, alone.
            locked.instance_id.mapped("company_id")
            for job in jobs:
                if job in locked:
                    self._plan_locked(job, now)
                count += 1
                if time.monotonic() > until:
                    break
        except COLLISIONS:
            self.env.cr.rollback()
            return self._plan_one_by_one(jobs, now)
        return count

    @api.model
    def _plan_one_by_one(self, jobs, now):
        """Plan each job in a transaction of its own; return how many there were."""
        for count, job_id in enumerate(jobs.ids, 1):
            self._commit_without_the_disk()
            # Alone: its cache is emptied after it, and would be filled again for all of them.
            self._plan_in_turn(jobs.browse(job_id), now)
            if not self.env["ir.cron"]._commit_progress():
                return count
        return len(jobs)

    @api.model
    def _commit_without_the_disk(self):
        """Have the commit of this transaction not wait for the disk.

        A machine that loses its power loses a planning whole, runs and ``next_run_at`` alike, and
        plans it again. Whoever claims a run waits for both.
        """
        self.env.cr.execute("SET LOCAL synchronous_commit TO off")

    @api.model
    def _due_jobs(self, now):
        domain = [
            ("enabled", "=", True),
            ("next_run_at", "<=", now),
            ("instance_id.active", "=", True),
        ]
        return self.env["backup.job"].search(domain, order="next_run_at, id")

    @api.model
    def _plan_in_turn(self, job, now):
        """Plan one job in a transaction that holds nothing else."""
        try:
            self._plan_job(job, now)
        except COLLISIONS:
            # Somebody else changed it under us: this transaction can see no more than that.
            self.env.cr.rollback()

    @api.model
    def _plan_job(self, job, now):
        """Plan one job, if nobody else is at it."""
        if job.try_lock_for_update(allow_referencing=True):
            self._plan_locked(job, now)

    @api.model
    def _plan_locked(self, job, now):
        """Plan a job that this transaction has locked; a failure is recorded on the job.

        Raises what PostgreSQL says when it collides with another transaction: only the caller knows
        what else its own holds.
        """
        try:
            with self.env.cr.savepoint():
                # What was read before the lock is still so: PostgreSQL locks no row that changed
                # since this transaction began.
                if job.next_run_at and job.next_run_at <= now:
                    job._plan_fire(now)
        except COLLISIONS:
            raise
        except Exception as error:  # noqa: BLE001 - one broken job must not stop the others
            job.invalidate_recordset()
            self._record_broken(job, error, now)

    @api.model
    def _record_broken(self, job, error, now):
        """Write the failure down; if even that fails, at least keep the job from coming back."""
        try:
            with self.env.cr.savepoint():
                job._record_broken(error, now)
        except Exception:
            _logger.exception("Backup job %s is broken beyond its own record", job.id)
            job._postpone(now)

    # --- handing over ---------------------------------------------------------------------------

    @api.model
    def _places_to_hand_over(self):
        """Return the set of the places in which an executor is needed."""
        return self.env["backup.task"]._places_due()

    @api.model
    def _hand_over(self, places):
        """See to it that somebody executes what is due in these places. The one seam between what
        happens when, and who does it."""
        if self._executor() == "inline":
            self._trigger_inline(places)
            return
        try:
            launcher.ensure_worker(self.env.cr.dbname)
        except OSError as error:
            # The runs stay queued, and the next minute tries again.
            _logger.error("The backup worker cannot be started: %s", error)

    @api.model
    def _trigger_inline(self, places):
        if not places.isdisjoint((BACKUP, SPARE)):
            self._trigger("ir_cron_execute")
        if ASIDE in places:
            # In a thread of its own: the one of the backups may be busy for hours.
            self._trigger("ir_cron_notify")
        self.env["ir.cron"]._commit_progress()

    @api.model
    def _executor(self):
        return self.env["ir.config_parameter"].sudo().get_param(
            "backup_scheduler.executor", "process"
        )

    @api.model
    def _is_distributed(self):
        """Return whether several machines may execute tasks."""
        return False

    @api.model
    def _cron_execute(self):
        """Execute the queued runs right here, one after the other: ``executor = inline``."""
        if self._executor() == "inline":
            inline.execute_all(self.env.registry, (BACKUP, SPARE))
