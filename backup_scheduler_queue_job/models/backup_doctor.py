from odoo import api, models
from odoo.addons.backup_scheduler.models.doctor.backup_doctor import problem

from .backup_dispatcher import EXECUTOR


class BackupDoctor(models.AbstractModel):
    _inherit = "backup.doctor"

    @api.model
    def _executors(self):
        return (*super()._executors(), EXECUTOR)

    @api.model
    def _examine_worker(self):
        """Here the worker is queue_job's, and a job runner has to call it."""
        dispatcher = self.env["backup.dispatcher"]
        if dispatcher._executor() != EXECUTOR:
            return super()._examine_worker()
        if dispatcher._runner_is_at_work():
            return []
        return [
            problem(
                "worker",
                self.env._("No job runner of queue_job is at work: backups wait."),
                self.env._(
                    "Load queue_job server-wide (server_wide_modules) and restart Odoo, or choose "
                    "another executor in Settings → Backups."
                ),
            )
        ]
