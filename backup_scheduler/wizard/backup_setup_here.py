from odoo import Command, api, models

from ..models.arguments import one_record
from ..models.instance.backup_source_mixin import LOCAL
from .backup_setup import ORDER


class BackupSetupHere(models.TransientModel):
    """Setting up this very server, which asks for nothing: what is proposed first, and one click
    that takes all that is proposed."""

    _inherit = "backup.setup"

    @api.model
    def _proposed(self, fields):
        """Return the defaults of the first set-up of all, for those who may back up this server."""
        if "connection" not in fields or not self._begins_here():
            return {}
        shared = self.env["backup.destination"].search([("company_id", "=", False)], limit=1)
        return {"connection": LOCAL, "destination_ids": [Command.set(shared.ids)]}

    @api.model
    def _begins_here(self):
        return (
            "default_connection" not in self.env.context
            and self.env.user._shares_backups()
            and not self.env["backup.instance"].sudo().search_count([], limit=1)
        )

    @api.model_create_multi
    def create(self, vals_list):
        # Who names an address means the database manager there.
        return super().create(
            [{"connection": "http", **vals} if vals.get("url") else vals for vals in vals_list]
        )

    @api.onchange("connection")
    def _onchange_connection(self):
        self.known_instance_id = False
        self.error_code = self.error = self.hint = False

    @one_record
    def action_start_now(self):
        """Take what each step proposes, and start; stop at the first step where that cannot be."""
        while self.step != ORDER[-1]:
            step = self.step
            shown = self.action_next()
            if self.step == step:
                return shown
        return self.action_start()

    def _refused_destination(self):
        """Return why one of the destinations may not have the archives of this server, or nothing.
        """
        owned = self.destination_ids.filtered("company_id")
        if self.connection != LOCAL or not owned:
            return None
        return {
            "error": self.env._("%(destination)s belongs to a company.", destination=owned[0].name),
            "hint": self.env._(
                "The databases of this server are those of all companies: choose a destination "
                "without a company."
            ),
        }
