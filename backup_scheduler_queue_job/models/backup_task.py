import random

from odoo import api, fields, models
from odoo.addons.backup_scheduler.models.task.kinds import ASIDE, ATTEMPTS, KINDS
from odoo.addons.queue_job.exception import RetryableJobError
from odoo.tools import SQL

from ..execution import QueueExecutor

# 0 is without end: how often a backup is tried is the run's own business.
MAX_RETRIES = 0
# Seconds until a task that may not start yet is looked at again; spread, as many wait together.
LATER = (10, 20)
# A queue job that failed says that something is wrong here: no new one for that long.
FAILED_PAUSE = "10 minutes"
# Alerts do not wait in line behind backups.
CHANNEL, ASIDE_CHANNEL = "root.backup", "root.backup_alert"


class BackupTask(models.Model):
    """A task's tickets: each lets one queue job execute one attempt.

    A ticket names the task and its attempts so far. It is the identity key of its queue job, so
    that no task is enqueued twice; a lost attempt counts, so that the next one has another ticket.
    A ticket promises nothing: who executes the task is decided by its lease alone.
    """

    _inherit = "backup.task"

    queue_job_uuid = fields.Char(
        "Queue Job", readonly=True, help="The queue job that was last made for this task."
    )

    # --- enqueuing ------------------------------------------------------------------------------

    @api.model
    def _tickets(self, limit=None):
        """Return ``(task id, ticket)`` of all that waits and has no queue job, in order."""
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
                 ORDER BY waiting.priority, waiting.due_at, waiting.id
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
    def _waiting(self):
        """Return the query of all that waits, with its ticket. An attempt that waits for its time
        gets its queue job at once, with that time; everything else when it is due."""
        return SQL(
            """
            SELECT id, priority, due_at,
                   'backup_task:' || id || ':' || COALESCE(attempt, 0) AS ticket
              FROM backup_task
             WHERE lease_token IS NULL AND (kind IN %(attempts)s OR due_at <= %(clock)s)
            """,
            attempts=ATTEMPTS,
            clock=self._clock(),
        )

    @api.model
    def _waits(self, ticket):
        """Return whether the task still waits for what its ticket is for."""
        self.flush_model()
        waiting = self._waiting()
        self.env.cr.execute(
            SQL("SELECT 1 FROM (%s) waiting WHERE waiting.ticket = %s", waiting, ticket)
        )
        return bool(self.env.cr.fetchone())

    def _enqueue(self, ticket):
        """Make the queue job of this task, if nobody else is at it."""
        task = self.try_lock_for_update(allow_referencing=True)
        if not task or not task._waits(ticket):
            return
        is_later = task.due_at > fields.Datetime.now()
        # By its id: the task is gone when it is done.
        job = self.browse().with_delay(
            priority=task.priority,
            eta=task.due_at if is_later else None,
            max_retries=MAX_RETRIES,
            description=task._ticket_description(),
            channel=ASIDE_CHANNEL if KINDS[task.kind].place == ASIDE else CHANNEL,
            identity_key=ticket,
        )._execute_ticket(task.id, ticket, task.run_id.id)
        # Two dispatchers at once write the same row: one of them sees its transaction fail.
        task.queue_job_uuid = job.uuid
        task.run_id.queue_job_uuid = job.uuid

    def _ticket_description(self):
        return self.display_name

    # --- executing, in a queue job --------------------------------------------------------------

    @api.model
    def _execute_ticket(self, task_id, ticket, run_id):
        """Do what the ticket is for; return what became of the run.

        A backup that fails is no failure of the queue job: the run has its own attempts. Nothing
        is read or written on this transaction, which queue_job keeps open for its lock: each step
        is a short one of its own.
        """
        executor = QueueExecutor(self.env.registry)
        # Again where the end of one thing was no end of the attempt: a server asked for its
        # databases is then backed up.
        while task := executor.claim_ticket(task_id, ticket):
            if task.kind:
                executor.execute(task)
        executor.wake_dispatcher()
        if executor.waits(ticket):
            # Its turn has not come: a limit of the instance, or the run before it.
            raise RetryableJobError(
                "It may not start yet.", seconds=random.randint(*LATER), ignore_retry=True  # noqa: S311
            )
        return executor.status(run_id)
