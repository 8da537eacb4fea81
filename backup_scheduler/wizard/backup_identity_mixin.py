from odoo import fields, models


class BackupIdentityMixin(models.AbstractModel):
    """A wizard that asks for the age identity of encrypted copies.

    Between the question and the answer it is kept sealed, and never read back.
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
