import os

import pytz

from odoo import api, fields, models
from odoo.exceptions import ValidationError

PREFIX = "backup_scheduler."
WORKERS_LIMIT = 64


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    backup_timezone = fields.Selection(
        lambda self: [(name, name) for name in pytz.all_timezones],
        string="Backup Time Zone",
        default="UTC",
        required=True,
        config_parameter=PREFIX + "timezone",
        help="The zone of the schedules of all jobs that have none of their own.",
    )
    backup_workers = fields.Integer(
        "Parallel Backups",
        default=2,
        config_parameter=PREFIX + "workers",
        help="How many backups this machine makes at the same time.",
    )
    backup_spool_folder = fields.Char(
        "Spool Folder",
        config_parameter=PREFIX + "spool_folder",
        help="Where archives are received before they are stored. It needs room for the largest "
        "archives at a time. Empty: a folder in Odoo's data folder.",
    )
    backup_executor = fields.Selection(
        [
            ("process", "A worker process (recommended)"),
            ("inline", "Odoo's own cron threads"),
        ],
        string="Backups Are Made by",
        default="process",
        required=True,
        config_parameter=PREFIX + "executor",
        help="“Cron threads” is for hosts that forbid processes: backups then obey Odoo's time "
        "limits for scheduled actions, one at a time.",
    )

    backup_last_dispatch_at = fields.Datetime(
        "Dispatcher Last Ran", compute="_compute_backup_health"
    )
    backup_problems = fields.Text(compute="_compute_backup_health")

    @api.depends("company_id")
    def _compute_backup_health(self):
        health = self.env["backup.doctor"].health()
        told = "\n".join(f"{found['problem']} {found['hint']}" for found in health["problems"])
        for settings in self:
            settings.backup_last_dispatch_at = health["last_dispatch_at"]
            settings.backup_problems = told

    @api.constrains("backup_workers")
    def _check_backup_workers(self):
        for settings in self:
            if not 1 <= settings.backup_workers <= WORKERS_LIMIT:
                raise ValidationError(
                    self.env._("Parallel Backups: enter 1 to %(limit)s.", limit=WORKERS_LIMIT)
                )

    @api.constrains("backup_spool_folder")
    def _check_backup_spool_folder(self):
        for settings in self:
            if settings.backup_spool_folder and not os.path.isabs(settings.backup_spool_folder):
                raise ValidationError(self.env._("Spool Folder: enter an absolute path."))

    def set_values(self):
        """Move every job that has no zone of its own, in the transaction that moves the zone."""
        jobs = self.env["backup.job"].sudo()
        if self.backup_timezone == jobs._default_timezone():
            return super().set_values()
        moved = jobs.search([("timezone", "=", False)])
        moved._plan_due_fires()
        result = super().set_values()
        moved._plan()
        return result
