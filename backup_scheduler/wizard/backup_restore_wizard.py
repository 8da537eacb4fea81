from odoo import api, fields, models

from ..models.arguments import one_record
from ..models.instance.backup_source_mixin import LOCAL
from ..models.restore.backup_restore import NAME_LIMIT


class BackupRestoreWizard(models.TransientModel):
    """Asks where to, under which name, and with which key; then the restore itself begins."""

    _name = "backup.restore.wizard"
    _description = "Restore an Archive"
    _inherit = ["backup.identity.mixin"]

    run_id = fields.Many2one("backup.run", "Archive", required=True, ondelete="cascade")
    archive_size = fields.Float(related="run_id.size", related_sudo=False)
    verification_level = fields.Selection(related="run_id.verification_level", related_sudo=False)
    run_status = fields.Selection(related="run_id.status", related_sudo=False)
    run_error = fields.Text(compute="_compute_run_error", compute_sudo=False)
    copy_id = fields.Many2one(
        "backup.copy",
        domain="[('run_id', '=', run_id), ('status', '=', 'stored')]",
        compute="_compute_copy_id",
        compute_sudo=False,
        store=True,
        precompute=True,
        readonly=False,
        ondelete="cascade",
        help="The copy to read; another one takes over when it cannot be read.",
    )
    encryption = fields.Selection(related="copy_id.encryption", related_sudo=False)
    target = fields.Selection(
        [("instance", "An instance, through its database manager"), ("server", "This server")],
        required=True,
        compute="_compute_target",
        compute_sudo=False,
        store=True,
        precompute=True,
        readonly=False,
    )
    instance_id = fields.Many2one(
        "backup.instance",
        compute="_compute_instance_id",
        compute_sudo=False,
        store=True,
        precompute=True,
        readonly=False,
        ondelete="cascade",
    )
    database_name = fields.Char(
        "New Database",
        required=True,
        compute="_compute_database_name",
        compute_sudo=False,
        store=True,
        precompute=True,
        readonly=False,
        help="A database is never replaced: the name must be free there.",
    )
    neutralization_refusal = fields.Text(
        compute="_compute_neutralization_refusal", compute_sudo=False
    )
    neutralize = fields.Boolean(
        compute="_compute_neutralize",
        compute_sudo=False,
        store=True,
        precompute=True,
        readonly=False,
        help="The restored database sends no mail, runs no scheduled action, and talks to no bank. "
        "Switch it off only where the restored database is to take the place of the lost one.",
    )

    @api.depends("run_id.error")
    @api.depends_context("lang")
    def _compute_run_error(self):
        for wizard in self:
            wizard.run_error = wizard.run_id and wizard.run_id._translated("error")

    @api.depends("run_id")
    def _compute_copy_id(self):
        for wizard in self:
            wizard.copy_id = wizard.run_id.copy_ids._whole()[:1]

    @api.depends("run_id")
    def _compute_target(self):
        for wizard in self:
            here = wizard.run_id.instance_id.connection == LOCAL
            wizard.target = "server" if here else "instance"

    @api.depends("run_id")
    def _compute_instance_id(self):
        for wizard in self:
            instance = wizard.run_id.instance_id
            wizard.instance_id = instance.connection != LOCAL and instance

    @api.depends("run_id")
    def _compute_database_name(self):
        for wizard in self:
            run = wizard.run_id
            day = run and f"-{run.scheduled_at:%Y-%m-%d}"
            wizard.database_name = run and run.database_name[: NAME_LIMIT - len(day)] + day

    @api.depends("run_id", "target")
    def _compute_neutralization_refusal(self):
        for wizard in self:
            here = wizard.run_id and wizard.target == "server"
            wizard.neutralization_refusal = here and wizard.run_id._neutralization_refusal()

    @api.depends("run_id", "target")
    def _compute_neutralize(self):
        for wizard in self:
            wizard.neutralize = not wizard.neutralization_refusal

    @api.constrains("run_id", "copy_id", "instance_id")
    def _check_rights(self):
        """Nobody learns from a wizard what is not theirs to see."""
        # Odoo checks constraints as the superuser.
        for records in (self.run_id, self.copy_id, self.instance_id):
            records.sudo(False).check_access("read")

    @one_record
    def action_restore(self):
        """Begin, and show how it goes."""
        restore = self.run_id.restore(
            self.database_name,
            self.instance_id.id if self.target == "instance" else None,
            self.copy_id.id,
            self.neutralize,
            self._take_identity(),
        )
        return {
            "type": "ir.actions.act_window",
            "res_model": "backup.restore",
            "res_id": restore,
            "view_mode": "form",
        }
