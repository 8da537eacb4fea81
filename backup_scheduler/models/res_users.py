from odoo import models


class ResUsers(models.Model):
    _inherit = "res.users"

    def _shares_backups(self):
        """Return whether the user may decide on what is shared by all companies: administrators,
        and users who are allowed in each company."""
        self.ensure_one()
        elsewhere = [("id", "not in", self.sudo().company_ids.ids)]
        companies = self.env["res.company"].sudo()
        return self._is_system() or not companies.search_count(elsewhere, limit=1)
