from odoo import models


class ResUsers(models.Model):
    _inherit = "res.users"

    def _shares_backups(self):
        """Return whether the user may decide on what is shared by all companies: administrators,
        and users who are allowed in each company."""
        self.ensure_one()
        everywhere = self.env["res.company"].sudo().search([])
        return self._is_system() or everywhere <= self.sudo().company_ids
