import os
import re

import pytz

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ..engine.kinds import LARGEST_PORT
from .job.backup_retention_mixin import RETENTION_MODES
from .restore.backup_restore import POSTGRES_PORT, ROLE_PREFIX, SCRATCH_PREFIX, server_address
from .run.backup_run_status import DEFAULT_WARNING_PERCENT

PREFIX = "backup_scheduler."
WORKERS_LIMIT = 64
PORT = re.compile(r"[0-9]{1,5}")


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

    backup_retention_mode = fields.Selection(
        RETENTION_MODES[:3],
        string="Retention of New Jobs",
        default="keep_last_n",
        required=True,
        config_parameter=PREFIX + "retention_mode",
        help="What a new job begins with. Jobs that exist keep their own.",
    )
    backup_retention_value = fields.Integer(
        "Archives or Days", default=30, config_parameter=PREFIX + "retention_value"
    )
    backup_size_warning_percent = fields.Integer(
        "Small Archives",
        default=DEFAULT_WARNING_PERCENT,
        config_parameter=PREFIX + "size_warning_percent",
        help="Warn of an archive smaller than so many percent of the median of the last seven; 0: "
        "never.",
    )
    backup_scratch_host = fields.Char(
        "Drill Server",
        config_parameter=SCRATCH_PREFIX + "host",
        help="The PostgreSQL that restore drills use. Empty: one that is started for each drill, "
        "or Odoo's own where that is not possible.",
    )
    backup_scratch_port = fields.Char("Drill Port", config_parameter=SCRATCH_PREFIX + "port")
    backup_scratch_user = fields.Char(
        "Drill User",
        config_parameter=SCRATCH_PREFIX + "user",
        help="A role that may create databases and roles (CREATEDB, CREATEROLE), and need not be "
        "more: dumps are restored by a role that it makes for each.",
    )
    backup_scratch_password = fields.Char(
        "Drill Password",
        compute="_compute_backup_scratch_password",
        inverse="_inverse_backup_scratch_password",
        help="Stored encrypted; it can be replaced, never read. Empty: as it is. Forgotten where "
        "host or port change, unless a new one is entered: it was given for the server before.",
    )
    # From the form until it is applied: no row holds it in plain, not even for minutes.
    backup_scratch_password_sealed = fields.Char(groups=fields.NO_ACCESS)

    backup_restore_role = fields.Char(
        config_parameter=ROLE_PREFIX,
        help="A role of Odoo's own PostgreSQL that runs the SQL of archives, where the role of "
        "Odoo may not make one for each (CREATEROLE). It must own nothing, and be granted to the "
        "role of Odoo.",
    )
    backup_restore_role_password = fields.Char(
        "Password of the Restore Role",
        compute="_compute_backup_restore_role_password",
        inverse="_inverse_backup_restore_role_password",
        help="Stored encrypted; it can be replaced, never read. Empty: as it is. Forgotten where "
        "the role changes, unless a new one is entered.",
    )
    backup_restore_role_password_sealed = fields.Char(groups=fields.NO_ACCESS)

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

    def _compute_backup_scratch_password(self):
        self.backup_scratch_password = False

    def _inverse_backup_scratch_password(self):
        for settings in self:
            sealed = self.env["backup.secret.mixin"]._seal(settings.backup_scratch_password)
            settings.sudo().backup_scratch_password_sealed = sealed
        self.invalidate_recordset(["backup_scratch_password"], flush=False)

    def _compute_backup_restore_role_password(self):
        self.backup_restore_role_password = False

    def _inverse_backup_restore_role_password(self):
        for settings in self:
            sealed = self.env["backup.secret.mixin"]._seal(settings.backup_restore_role_password)
            settings.sudo().backup_restore_role_password_sealed = sealed
        self.invalidate_recordset(["backup_restore_role_password"], flush=False)

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

    @api.constrains("backup_retention_mode", "backup_retention_value")
    def _check_backup_retention(self):
        for settings in self:
            if settings.backup_retention_mode != "keep_all" and settings.backup_retention_value < 1:
                raise ValidationError(self.env._("Archives or Days: enter 1 or more."))

    @api.constrains("backup_size_warning_percent")
    def _check_backup_size_warning(self):
        for settings in self:
            if not 0 <= settings.backup_size_warning_percent <= 100:
                raise ValidationError(self.env._("Small Archives: enter 0 to 100 percent."))

    @api.constrains("backup_scratch_port")
    def _check_backup_scratch_port(self):
        for settings in self:
            number = settings.backup_scratch_port or "1"
            if not PORT.fullmatch(number) or not 0 < int(number) <= LARGEST_PORT:
                raise ValidationError(self.env._("Drill Port: enter a number, such as 5432."))

    def _set_scratch_password(self):
        """Keep the password that was entered; forget that of another drill server, and all of one
        that was cleared."""
        if not self.backup_scratch_host:
            self.backup_scratch_port = self.backup_scratch_user = False
            self._keep_scratch_password(False)
        elif sealed := self.sudo().backup_scratch_password_sealed:
            server = {"host": self.backup_scratch_host, "port": self.backup_scratch_port}
            self._keep_scratch_password(self._bound(sealed, server_address(server)))
        elif self._is_another_drill_server():
            self._keep_scratch_password(False)
        self.sudo().backup_scratch_password_sealed = False

    def _bound(self, sealed, server):
        """Return a secret sealed together with the server that it was entered for."""
        secrets = self.env["backup.secret.mixin"]
        return secrets._seal_for(server, secrets._unseal(sealed))

    def _set_restore_role_password(self):
        """Keep the password that was entered; forget that of another role."""
        parameters = self.env["ir.config_parameter"].sudo()
        role, sealed = self.backup_restore_role, self.sudo().backup_restore_role_password_sealed
        if role and sealed:
            own = self.env["backup.restore"]._own_server()
            kept = self._bound(sealed, [*server_address(own), role])
            parameters.set_param(f"{ROLE_PREFIX}_password", kept)
        elif role != parameters.get_param(ROLE_PREFIX):
            parameters.set_param(f"{ROLE_PREFIX}_password", False)
        self.sudo().backup_restore_role_password_sealed = False

    def _is_another_drill_server(self):
        """Return whether what is about to be saved names another server than the one before."""
        parameters = self.env["ir.config_parameter"].sudo()
        before = [parameters.get_param(SCRATCH_PREFIX + key) or "" for key in ("host", "port")]
        now = [self.backup_scratch_host or "", self.backup_scratch_port or ""]
        return [before[0], before[1] or POSTGRES_PORT] != [now[0], now[1] or POSTGRES_PORT]

    def _keep_scratch_password(self, sealed):
        parameters = self.env["ir.config_parameter"].sudo()
        parameters.set_param(SCRATCH_PREFIX + "password", sealed)

    def set_values(self):
        """Move every job that has no zone of its own, in the transaction that moves the zone."""
        self._set_scratch_password()
        self._set_restore_role_password()
        jobs = self.env["backup.job"].sudo()
        if self.backup_timezone == jobs._default_timezone():
            moved = jobs.browse()
        else:
            moved = jobs.search([("timezone", "=", False)])
        moved._plan_due_fires()
        result = super().set_values()
        self._keep_zeros()
        moved._plan()
        return result

    def _keep_zeros(self):
        """Store each 0 that was entered: Odoo takes it for a parameter that is not set, and the
        default would come back."""
        parameters = self.env["ir.config_parameter"].sudo()
        for name, field in self._fields.items():
            key = getattr(field, "config_parameter", None) or ""
            if key.startswith(PREFIX) and field.type in ("integer", "float") and not self[name]:
                parameters.set_param(key, "0")
