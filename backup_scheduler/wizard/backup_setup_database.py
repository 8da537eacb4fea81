from odoo import fields, models

from ..models.arguments import one_record


class BackupSetupDatabase(models.TransientModel):
    """One database that the server has, to be backed up or not."""

    _name = "backup.setup.database"
    _description = "Database in the Set-up of a Server"
    _order = "name, id"

    setup_id = fields.Many2one("backup.setup", required=True, ondelete="cascade")
    name = fields.Char("Database", required=True)
    selected = fields.Boolean("Back Up", default=True)


class BackupSetupChoice(models.TransientModel):
    """Choosing among many databases: nobody switches off three hundred to keep two."""

    _inherit = "backup.setup"

    @one_record
    def action_choose_all(self):
        return self._choose(True)

    @one_record
    def action_choose_none(self):
        return self._choose(False)

    def _choose(self, selected):
        self.ensure_one()
        self._tell({})
        self.line_ids.selected = selected
        return self._show()
