from odoo import api, fields, models

from .backup_dispatcher import EXECUTOR


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    backup_executor = fields.Selection(
        selection_add=[(EXECUTOR, "OCA queue_job, on any number of machines")],
        ondelete={EXECUTOR: "set default"},
    )
    backup_runner_missing = fields.Boolean(compute="_compute_backup_runner_missing")

    @api.constrains("backup_executor")
    def _check_backup_executor(self):
        """Nothing is stored in a folder that is another one on each machine."""
        if EXECUTOR in self.mapped("backup_executor"):
            places = self.env["backup.destination"].sudo().search([("active", "=", True)])
            places._require_on_all_machines()

    def _compute_backup_runner_missing(self):
        self.backup_runner_missing = not self.env["backup.dispatcher"]._runner_is_at_work()
