from odoo import fields, models


class BackupRun(models.Model):
    _inherit = "backup.run"

    queue_job_uuid = fields.Char(
        "Queue Job", readonly=True, help="The queue job that was last made for this run."
    )
