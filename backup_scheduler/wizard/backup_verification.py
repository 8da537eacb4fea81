from odoo import api, fields, models

from ..engine.archive.levels import DEFAULT, LEVELS, RESTORING
from ..models.arguments import one_record
from ..models.backup_message import translated
from ..models.run.backup_run import VERIFICATION_LEVELS


class BackupVerification(models.TransientModel):
    """Asks how far to read, and for the key of encrypted copies."""

    _name = "backup.verification"
    _description = "Verify an Archive"
    _inherit = ["backup.identity.mixin"]

    run_id = fields.Many2one("backup.run", "Archive", required=True, ondelete="cascade")
    level = fields.Selection(
        VERIFICATION_LEVELS,
        required=True,
        compute="_compute_level",
        compute_sudo=False,
        store=True,
        precompute=True,
        readonly=False,
    )
    meaning = fields.Text(compute="_compute_meaning", compute_sudo=False)
    needs_plain_bytes = fields.Boolean(compute="_compute_meaning", compute_sudo=False)
    encrypted = fields.Boolean(compute="_compute_encrypted")

    @api.depends("run_id")
    def _compute_level(self):
        for wizard in self:
            wizard.level = wizard.run_id.wanted_level or str(DEFAULT)

    @api.depends("level")
    @api.depends_context("lang")
    def _compute_meaning(self):
        """Say what the chosen level means and takes."""
        for wizard in self:
            level = LEVELS.get(int(wizard.level or 0))
            sentences = (level.meaning, level.needs) if level else ()
            wizard.meaning = " ".join(translated(text, self.env.lang) for text in sentences)
            wizard.needs_plain_bytes = bool(level) and level.found_by == RESTORING

    @api.depends("run_id.copy_ids.encryption")
    def _compute_encrypted(self):
        for wizard in self:
            wizard.encrypted = any(wizard.run_id.copy_ids._readable().mapped("encryption"))

    @api.constrains("run_id")
    def _check_rights(self):
        """Nobody learns from a wizard what is not theirs to see."""
        # Odoo checks constraints as the superuser.
        self.run_id.sudo(False).check_access("read")

    @one_record
    def action_verify(self):
        return self.run_id.verify(self.level, self._take_identity())
