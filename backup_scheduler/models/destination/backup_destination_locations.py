from odoo import api, models
from odoo.exceptions import UserError, ValidationError

from ...engine.destinations.locations import overlap
from ...engine.errors import BackupError
from .backup_destination_kinds import RENEWAL


class BackupDestinationLocations(models.Model):
    """Two destinations never lie at one place, nor one inside the other, whoever sees them.

    Each would import the archives of the other, and could delete them; the companies of a server
    are strangers to each other.
    """

    _inherit = "backup.destination"

    @api.constrains(lambda self: [self._kind_field, *self._plain_names()])
    def _check_settings(self):
        super()._check_settings()
        # What a storage renews by itself leaves it where it is.
        if self.env.context.get(RENEWAL):
            return
        for destination in self:
            if others := destination._overlapping():
                raise ValidationError(destination._describe_overlap(others))

    def _require_own_location(self):
        """Raise where another destination lies at the place, as before there was such a check, or
        since a folder became a link."""
        if others := self._overlapping():
            raise UserError(self._describe_overlap(others))

    def _overlapping(self):
        """Return the destinations, archived ones and those of other companies too, that lie at the
        same place, or one inside the other."""
        self.ensure_one()
        if not (mine := self._locations()):
            return self.browse()
        everywhere = self.sudo().with_context(active_test=False)
        # Of any kind: that of another addon may be a folder of this machine too.
        others = everywhere.search([("id", "!=", self.id)])
        return others.filtered(lambda other: overlap(mine, other._locations()))

    def _locations(self):
        if self._lacks_secrets():
            return []
        try:
            return self.sudo()._open_kind().locations()
        except (BackupError, UserError):
            # Nothing is stored or deleted there either as long as it cannot be opened.
            return []

    def _describe_overlap(self, others):
        """Say what is wrong, and name only what the user may see."""
        visible = others.with_user(self.env.user)._filtered_access("read")
        if not visible:
            return self.env._(
                "%(name)s: another destination lies at the same place, inside it, or above it. "
                "Choose another folder.",
                name=self.name,
            )
        return self.env._(
            "%(name)s: the destination %(other)s lies at the same place, inside it, or above it. "
            "Use that one (it may be archived), or choose another folder.",
            name=self.name,
            other=visible[0].name,
        )

    def _is_shared_with_strangers(self):
        """Return whether the destination of another company lies at the same place."""
        return any(other.company_id != self.sudo().company_id for other in self._overlapping())
