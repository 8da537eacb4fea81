import logging

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ...engine.retention import Policy
from ..job.backup_retention_mixin import POLICY_FIELDS

_logger = logging.getLogger(__name__)


class BackupDestinationRetention(models.Model):
    """A destination that keeps archives by a policy of its own: a disk here has room for a week,
    the bucket for years."""

    _name = "backup.destination"
    _inherit = ["backup.destination", "backup.retention.mixin"]

    own_retention = fields.Boolean(
        tracking=True,
        help="What stays here is decided by the policy below, for the archives of each job and "
        "database, and not by the one of the job.",
    )

    @api.constrains("own_retention", *POLICY_FIELDS)
    def _check_retention(self):
        for destination in self:
            if destination.own_retention:
                destination._checked_policy(destination._retention_values(), "UTC")

    def _policy_in_force(self, timezone):
        """Return the policy to apply. One that became invalid deletes nothing, and says so."""
        try:
            return self._checked_policy(self._retention_values(), timezone)
        except ValidationError as error:
            _logger.warning("Retention in %r keeps everything: %s", self.name, error)
            return Policy("keep_all")
