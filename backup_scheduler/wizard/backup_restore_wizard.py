from odoo import api, fields, models


class BackupRestoreWizard(models.TransientModel):
    """Asks where to, under which name, and with which key; then the restore itself begins."""

    _name = "backup.restore.wizard"
    _description = "Restore an Archive"
    _inherit = ["backup.identity.mixin"]

    run_id = fields.Many2one("backup.run", "Archive", required=True, ondelete="cascade")
    archive_size = fields.Float(related="run_id.size")
    verification_level = fields.Selection(related="run_id.verification_level")
    copy_id = fields.Many2one(
        "backup.copy",
        domain="[('run_id', '=', run_id), ('status', '=', 'stored')]",
        compute="_compute_copy_id",
        store=True,
        precompute=True,
        readonly=False,
        ondelete="cascade",
        help="The copy to read; another one takes over when it cannot be read.",
    )
    encryption = fields.Selection(related="copy_id.encryption")
    target = fields.Selection(
        [("instance", "An instance, through its database manager"), ("server", "This server")],
        required=True,
        default="instance",
    )
    instance_id = fields.Many2one(
        "backup.instance",
        compute="_compute_instance_id",
        store=True,
        precompute=True,
        readonly=False,
        ondelete="cascade",
    )
    database_name = fields.Char(
        "New Database",
        required=True,
        compute="_compute_database_name",
        store=True,
        precompute=True,
        readonly=False,
        help="A database is never replaced: the name must be free there.",
    )
    neutralize = fields.Boolean(
        default=True,
        help="The restored database sends no mail, runs no scheduled action, and talks to no bank. "
        "Switch it off only where the restored database is to take the place of the lost one.",
    )

    @api.depends("run_id")
    def _compute_copy_id(self):
        for wizard in self:
            wizard.copy_id = wizard.run_id.copy_ids._whole()[:1]

    @api.depends("run_id")
    def _compute_instance_id(self):
        for wizard in self:
            wizard.instance_id = wizard.run_id.instance_id

    @api.depends("run_id")
    def _compute_database_name(self):
        for wizard in self:
            run = wizard.run_id
            moment = run.scheduled_at
            wizard.database_name = run and f"{run.database_name}-{moment:%Y-%m-%d}"

    def action_restore(self):
        """Begin, and show how it goes."""
        self.ensure_one()
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
