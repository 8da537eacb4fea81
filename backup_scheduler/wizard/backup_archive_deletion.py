from odoo import api, fields, models


class BackupArchiveDeletion(models.TransientModel):
    """Asks before archives are deleted, by name where a database would have none left."""

    _name = "backup.archive.deletion"
    _description = "Delete Archives"

    run_ids = fields.Many2many("backup.run", string="Archives", required=True)
    archive_count = fields.Integer(compute="_compute_totals")
    archive_size = fields.Float(compute="_compute_totals", help="Bytes, in all destinations.")
    bare_database = fields.Char(
        compute="_compute_totals", help="A database whose last good archive is among them."
    )
    confirmation = fields.Char("Name of the Database")

    @api.depends("run_ids")
    def _compute_totals(self):
        for wizard in self:
            stored = wizard.run_ids.copy_ids.filtered(lambda copy: copy.status == "stored")
            wizard.archive_count = len(stored.run_id)
            wizard.archive_size = sum(stored.mapped("size"))
            wizard.bare_database = ", ".join(wizard.run_ids.sudo()._databases_left_bare())

    def action_delete(self):
        self.ensure_one()
        return self.run_ids.delete_archives((self.confirmation or "").strip())
