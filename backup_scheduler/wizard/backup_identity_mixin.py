from odoo import fields, models

from ..models.backup_secret_mixin import is_given


class BackupIdentityMixin(models.AbstractModel):
    """A wizard that asks for the age identity of encrypted copies.

    Between the question and the answer it is kept sealed, and never read back. It is used for the
    archive alone that it was given for.
    """

    _name = "backup.identity.mixin"
    _description = "Asks for an age Identity"

    identity = fields.Text(
        compute="_compute_identity",
        inverse="_inverse_identity",
        help="The secret key (AGE-SECRET-KEY-1…) of one of the recipients, or the whole file of "
        "age-keygen. It is used once and forgotten.",
    )
    identity_sealed = fields.Char(groups=fields.NO_ACCESS)

    def write(self, vals):
        archives = {wizard: wizard.run_id for wizard in self}
        result = super().write(vals)
        if not is_given(vals.get("identity")):
            elsewhere = self.filtered(lambda wizard: wizard.run_id != archives[wizard])
            elsewhere.sudo().identity_sealed = False
        return result

    def _compute_identity(self):
        self.identity = False

    def _inverse_identity(self):
        for wizard in self:
            sealed = self.env["backup.secret.mixin"]._seal(wizard.identity)
            wizard.sudo().identity_sealed = sealed
        self.invalidate_recordset(["identity"], flush=False)

    def _take_identity(self):
        """Return the identity, which is forgotten here."""
        sealed = self.sudo().identity_sealed
        self.sudo().identity_sealed = False
        return self.env["backup.secret.mixin"]._unseal(sealed)
