from odoo import fields, models


class BackupSetupDatabase(models.TransientModel):
    """One database that the server has, to be backed up or not."""

    _name = "backup.setup.database"
    _description = "Database in the Set-up of a Server"
    _order = "name, id"

    setup_id = fields.Many2one("backup.setup", required=True, ondelete="cascade")
    name = fields.Char("Database", required=True)
    selected = fields.Boolean("Back Up", default=True)
