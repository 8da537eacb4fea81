from odoo import api, fields, models

from ..models.arguments import one_record
from ..models.job.backup_job import CONFIRMED


class BackupRunConfirmation(models.TransientModel):
    """Asks before one click makes very many backups."""

    _name = "backup.run.confirmation"
    _description = "Run Many Backups"

    job_ids = fields.Many2many("backup.job", string="Jobs", required=True)
    run_count = fields.Integer("Backups", readonly=True)

    @api.constrains("job_ids")
    def _check_rights(self):
        """Nobody learns from a wizard what is not theirs to see."""
        # Odoo checks constraints as the superuser.
        self.job_ids.sudo(False).check_access("read")

    def _ask(self, jobs, count):
        """Return the action that asks whether to run the jobs now."""
        self.env["backup.run"]._require_operator()
        asked = self.create({"job_ids": [(6, 0, jobs.ids)], "run_count": count})
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Run Now"),
            "res_model": self._name,
            "res_id": asked.id,
            "views": [(False, "form")],
            "target": "new",
        }

    @one_record
    def action_run(self):
        return self.job_ids.with_context(**{CONFIRMED: True}).action_run_now()
