import logging

import psycopg2

from odoo import api, models
from odoo.addons.backup_scheduler.models.task.kinds import BACKUP
from odoo.addons.queue_job.jobrunner.runner import PG_ADVISORY_LOCK_ID

_logger = logging.getLogger(__name__)

EXECUTOR = "queue_job"


class BackupDispatcher(models.AbstractModel):
    """Hands what is queued over to queue_job, where that was chosen."""

    _inherit = "backup.dispatcher"

    @api.model
    def _places_to_hand_over(self):
        """An attempt that waits for its time gets its queue job at once."""
        places = super()._places_to_hand_over()
        if self._executor() == EXECUTOR and self.env["backup.task"]._tickets(limit=1):
            places.add(BACKUP)
        return places

    @api.model
    def _is_distributed(self):
        return self._executor() == EXECUTOR or super()._is_distributed()

    @api.model
    def _hand_over(self, places):
        if self._executor() != EXECUTOR:
            return super()._hand_over(places)
        return self._enqueue_all()

    @api.model
    def _enqueue_all(self):
        """See to it that each task that waits has one queue job.

        Stops when the cron's time is up; what is left is done by the call that follows at once.
        """
        if not self._runner_is_at_work():
            _logger.warning(
                "Backups wait for a job runner of queue_job, and none is at work on %s: load "
                "queue_job server-wide, or choose another executor in Settings",
                self.env.cr.dbname,
            )
        tickets = self.env["backup.task"]._tickets()
        self.env["ir.cron"]._commit_progress(remaining=len(tickets))
        for task_id, ticket in tickets:
            # One by one: a commit empties the cache.
            self._enqueue(self.env["backup.task"].browse(task_id), ticket)
            if not self.env["ir.cron"]._commit_progress(1):
                return

    @api.model
    def _enqueue(self, task, ticket):
        """Make one queue job; what breaks stays with it, and the next minute tries again."""
        try:
            with self.env.cr.savepoint():
                task._enqueue(ticket)
        except psycopg2.errors.SerializationFailure:
            # An executor or another dispatcher is at it: this transaction can see no more.
            self.env.cr.rollback()
        except Exception:
            _logger.exception("%s cannot be handed over to queue_job", ticket)

    @api.model
    def _runner_is_at_work(self):
        """Return whether some server's job runner serves this database: it holds a lock there."""
        self.env.cr.execute(
            """
            SELECT 1 FROM pg_locks
             WHERE locktype = 'advisory' AND granted AND objsubid = 1
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND (classid::bigint << 32) | objid::bigint = %s
            """,
            (PG_ADVISORY_LOCK_ID,),
        )
        return bool(self.env.cr.fetchone())
