from odoo import api, fields, models
from odoo.exceptions import UserError


class BackupSetupAnswered(models.TransientModel):
    """Whether the answers still hold that were given to what is entered now.

    By the form nobody comes past the first step without the server's; a script may write any step,
    and would have a server called reachable that nobody asked.
    """

    _inherit = "backup.setup"

    answered = fields.Boolean(groups=fields.NO_ACCESS, copy=False)

    # Not of the connection: its errors offer what is to be changed.
    @api.onchange("database_scope", "line_ids", "cron_expression", "timezone", "destination_ids")
    def _onchange_what_was_wrong(self):
        self.error_code = self.error = self.hint = False

    def write(self, vals):
        if {"connection", *self._plain_names(), *self._secret_names()} & vals.keys():
            self.sudo().answered = False
        return super().write(vals)

    def _require_answer(self):
        if not self.instance_id and not self.sudo().answered:
            raise UserError(self.env._("Test the server first: go back to the step “Server”."))
