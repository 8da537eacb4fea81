import random

from odoo import api, fields, models
from odoo.addons.queue_job.exception import RetryableJobError
from odoo.tools import SQL

from ..execution import EngineRun, QueueExecutor

# Lower comes first: what somebody waits for, the schedule, room for both, what may wait.
PRIORITIES = {"manual": 5, "schedule": 10}
RESTORE_PRIORITY = 1
DISCARD_PRIORITY = 15
WORK_PRIORITY = 20
# 0 is without end: how often a backup is tried is the run's own business.
MAX_RETRIES = 0
# Seconds until a run that may not start yet is looked at again; spread, as many wait together.
LATER = (10, 20)
# A queue job that failed says that something is wrong here: no new one for that long.
FAILED_PAUSE = "10 minutes"
DISCARDS = "backup_discards"


class BackupRun(models.Model):
    """A run's tickets: each lets one queue job execute one attempt, or what is to be done with the
    archive (verification, restore, deletion, another copy).

    A ticket names the run and its attempts so far. It is the identity key of its queue job, so that
    no run is enqueued twice; a lost attempt counts, so that the next one has another ticket.
    A ticket promises nothing: who executes the run is decided by its lease alone.
    """

    _inherit = "backup.run"

    queue_job_uuid = fields.Char(
        "Queue Job", readonly=True, help="The queue job that was last made for this run."
    )

    # --- enqueuing ------------------------------------------------------------------------------

    @api.model
    def _tickets(self, limit=None):
        """Return ``(run id, ticket)`` of all that waits and has no queue job, in order."""
        self.flush_model()
        self.env["queue.job"].flush_model()
        self.env.cr.execute(
            SQL(
                """
                SELECT waiting.id, waiting.ticket
                  FROM (%(waiting)s) waiting
                 WHERE NOT EXISTS (
                        SELECT 1 FROM queue_job job
                         WHERE job.identity_key = waiting.ticket
                           AND job.state IN ('wait_dependencies', 'pending', 'enqueued')
                 )
                   AND NOT EXISTS (
                        SELECT 1 FROM queue_job job
                         WHERE job.identity_key = waiting.ticket
                           AND (job.state = 'started' OR job.state = 'failed'
                                AND job.date_created > %(clock)s - %(pause)s::interval)
                 )
                 ORDER BY waiting.scheduled_at, waiting.id
                 %(limit)s
                """,
                waiting=self._waiting(),
                clock=self._clock(),
                pause=FAILED_PAUSE,
                limit=SQL("LIMIT %s", limit) if limit else SQL(),
            )
        )
        return self.env.cr.fetchall()

    @api.model
    def _waiting(self, run_id=None):
        """Return the query of all that waits, or what waits of one run, with its ticket."""
        return SQL(
            """
            SELECT id, scheduled_at,
                   CASE WHEN status = 'queued'
                        THEN 'backup_run:' || id || ':' || COALESCE(attempt, 0)
                        ELSE 'backup_work:' || id || ':' || to_char(work_at, 'YYYYMMDDHH24MISS')
                    END AS ticket
              FROM backup_run
             WHERE (status = 'queued'
                    OR (work_at <= %(clock)s AND lease_token IS NULL AND status <> 'running'))
            %(only)s
            """,
            clock=self._clock(),
            only=SQL("AND id = %s", run_id) if run_id else SQL(),
        )

    @api.model
    def _waits(self, run_id, ticket):
        """Return whether the run still waits for what its ticket is for."""
        self.flush_model()
        self.env.cr.execute(self._waiting(run_id))
        return ticket in [row[2] for row in self.env.cr.fetchall()]

    def _enqueue(self, ticket):
        """Make the queue job of this run, if nobody else is at it."""
        run = self.try_lock_for_update(allow_referencing=True)
        if not run or not run._waits(run.id, ticket):
            return
        is_run = run.status == "queued"
        job = run.with_delay(
            priority=run._ticket_priority(is_run),
            eta=run.retry_at if is_run and run.retry_at else None,
            max_retries=MAX_RETRIES,
            description=run._ticket_description(is_run),
            identity_key=ticket,
        )._execute_ticket(ticket)
        # Two dispatchers at once write the same row: one of them sees its transaction fail.
        run.queue_job_uuid = job.uuid

    def _ticket_priority(self, is_run):
        if is_run:
            return PRIORITIES[self.trigger]
        return RESTORE_PRIORITY if self._queued_restore() else WORK_PRIORITY

    def _ticket_description(self, is_run):
        if is_run:
            return self.env._("Backup of %(run)s", run=self.display_name)
        return self.env._("Work on the archive of %(run)s", run=self.display_name)

    @api.model
    def _enqueue_discards(self):
        """Make one queue job for all that lost attempts have left, unless there is one."""
        live = [
            ("identity_key", "=", DISCARDS),
            ("state", "in", ("pending", "enqueued", "started")),
        ]
        if not self.env["queue.job"].sudo().search_count(live, limit=1):
            self.with_delay(
                priority=DISCARD_PRIORITY,
                max_retries=MAX_RETRIES,
                description=self.env._("Remove what lost backups have left"),
                identity_key=DISCARDS,
            )._execute_discards()

    # --- executing, in a queue job --------------------------------------------------------------

    def _execute_ticket(self, ticket):
        """Do what the ticket is for; return what became of the run.

        A backup that fails is no failure of the queue job: the run has its own attempts. Nothing
        is read or written on this transaction, which queue_job keeps open for its lock: each step
        is a short one of its own.
        """
        self.ensure_one()
        executor = QueueExecutor(self.env.registry)
        # Again where the end of one thing was no end of the attempt: a server asked for its
        # databases is then backed up.
        while task := executor.claim_ticket(self.id, ticket):
            if task.kind != "broken":
                EngineRun(executor, task).execute()
        executor.wake_dispatcher()
        if executor.waits(self.id, ticket):
            # Its turn has not come: a limit of the instance, or the run before it.
            raise RetryableJobError(
                "It may not start yet.", seconds=random.randint(*LATER), ignore_retry=True  # noqa: S311
            )
        return executor.status(self.id)

    @api.model
    def _execute_discards(self):
        """Remove what lost attempts have left in destinations and in this machine's spool."""
        executor = QueueExecutor(self.env.registry)
        for task in executor.discards(busy=()):
            EngineRun(executor, task).execute()
