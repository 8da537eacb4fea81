from odoo import api, models
from odoo.exceptions import AccessError


class BackupCompanyMixin(models.AbstractModel):
    """A record of one company, or without a company: shared by all of them.

    All may see and use what is shared, and only users who may decide for all companies can create,
    change or delete it (see the record rules): a channel without a company receives the incidents
    of every company, and archives of every company go to a destination without one.
    """

    _name = "backup.company.mixin"
    _description = "Belongs to a company or to all of them"
    _inherit = ["backup.values.mixin"]

    # The fields that say which company it belongs to.
    _company_fields = ("company_id",)

    @api.model
    def _default_company(self):
        """Return the company of a new record that is shared wherever its maker may share it."""
        return False if self.env.user._shares_backups() else self.env.company

    @api.constrains(lambda self: self._company_fields)
    def _check_company_rights(self):
        """Nobody hands a record to a company that is not theirs, or to all of them."""
        # Odoo checks constraints as the superuser.
        for record in self.sudo(False):
            if record.env.su:
                continue
            if not record.sudo().company_id and not self.env.user._shares_backups():
                raise AccessError(
                    self.env._(
                        "Company: choose one. Only administrators, and users who are allowed in "
                        "all companies, can create or change what all companies share."
                    )
                )
            record.check_access("write")
