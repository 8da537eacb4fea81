from odoo import api, fields, models

from ..models.arguments import one_record


class BackupArchiveDeletion(models.TransientModel):
    """Asks before archives are deleted, by name where a database would have none left."""

    _name = "backup.archive.deletion"
    _description = "Delete Archives"

    run_ids = fields.Many2many("backup.run", string="Archives", required=True)
    archive_count = fields.Integer(compute="_compute_totals")
    archive_size = fields.Float(compute="_compute_totals", help="Bytes, in all destinations.")
    bare_database = fields.Char(
        compute="_compute_totals",
        help="The databases whose last good archives are among them, separated by commas.",
    )
    confirmation = fields.Char(
        "Name of the Database", help="Of several databases, all names as they are shown."
    )

    @api.depends("run_ids")
    def _compute_totals(self):
        for wizard in self:
            stored = wizard.run_ids.copy_ids.filtered("path")
            wizard.archive_count = len(stored.run_id)
            wizard.archive_size = sum(stored.mapped("size"))
            wizard.bare_database = ", ".join(wizard.run_ids.sudo()._databases_left_bare())

    @api.constrains("run_ids")
    def _check_rights(self):
        """Nobody learns from a wizard what is not theirs to see."""
        # Odoo checks constraints as the superuser.
        self.run_ids.sudo(False).check_access("read")

    @one_record
    def action_delete(self):
        # Of a selection, those that have something to delete.
        runs = self.run_ids.filtered(lambda run: run.copy_ids.filtered("path"))
        return runs.delete_archives((self.confirmation or "").strip())
