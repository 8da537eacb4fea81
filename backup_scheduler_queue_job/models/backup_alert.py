from odoo import api, models

from ..execution import EngineRun, QueueExecutor

# Before everything else: it takes seconds.
NOTICE_PRIORITY = 0
# How often a message is tried is its own business.
MAX_RETRIES = 0
NOTICES = "backup_notices"


class BackupAlert(models.Model):
    """Alerts that go over the network, sent from a queue job: one for all that wait.

    It has a channel of its own, so that it does not wait in line behind backups.
    """

    _inherit = "backup.alert"

    @api.model
    def _enqueue_notices(self):
        """Make one queue job for all that is to be sent, unless one waits already."""
        waits = [("identity_key", "=", NOTICES), ("state", "in", ("pending", "enqueued"))]
        if not self.env["queue.job"].sudo().search_count(waits, limit=1):
            self.with_delay(
                priority=NOTICE_PRIORITY,
                max_retries=MAX_RETRIES,
                description=self.env._("Send the alerts of backups"),
                identity_key=NOTICES,
            )._execute_notices()

    @api.model
    def _execute_notices(self):
        """Send what waits, batch after batch."""
        executor = QueueExecutor(self.env.registry)
        while task := executor.claim_notices():
            EngineRun(executor, task).execute()
