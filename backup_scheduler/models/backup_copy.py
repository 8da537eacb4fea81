import datetime

from odoo import fields, models

# A destination that is down is asked again to forget an abandoned archive after this.
DISCARD_PAUSE = datetime.timedelta(minutes=15)


class BackupCopy(models.Model):
    """One archive in one destination.

    The path is decided, and recorded, before the first byte is written there: whatever happens to
    the process that writes, what it may have left can be found again.
    """

    _name = "backup.copy"
    _description = "Backup Copy"
    _order = "id desc"
    _rec_name = "path"

    run_id = fields.Many2one(
        "backup.run", required=True, readonly=True, index=True, ondelete="cascade"
    )
    company_id = fields.Many2one(
        related="run_id.company_id", store=True, index=True, precompute=True
    )
    destination_id = fields.Many2one(
        "backup.destination", required=True, readonly=True, index=True, ondelete="restrict"
    )
    status = fields.Selection(
        [
            ("pending", "Pending"),
            ("uploading", "Uploading"),
            ("stored", "Stored"),
            ("failed", "Failed"),
            ("deleted", "Deleted"),
        ],
        required=True,
        readonly=True,
        default="pending",
    )
    path = fields.Char(readonly=True, help="Where the archive lies, below the destination's root.")
    size = fields.Float(readonly=True, help="Bytes.")
    error_code = fields.Char(readonly=True)
    error = fields.Text(readonly=True)
    attempt = fields.Integer(readonly=True)
    next_attempt_at = fields.Datetime(readonly=True)

    _path_unique = models.UniqueIndex(
        "(destination_id, path) WHERE path IS NOT NULL",
        "Two archives cannot have the same place in a destination.",
    )
    _unfinished = models.Index("(run_id) WHERE status = 'uploading'")

    def _mark_uploading(self):
        self.write({"status": "uploading", "error": False, "error_code": False})
        for copy in self:
            copy.attempt += 1

    def _mark_pending(self):
        self.write({"status": "pending"})

    def _mark_stored(self, size):
        self.write({"status": "stored", "size": size, "error": False, "error_code": False})

    def _mark_failed(self, code, error):
        """Nothing of the archive is in the destination."""
        self.write({"status": "failed", "path": False, "error_code": code, "error": error})

    def _mark_damaged(self, code, error):
        """Something is in the destination, and it is not what was stored there."""
        self.write({"status": "failed", "error_code": code, "error": error})

    def _postpone(self, error):
        """The destination could not be cleaned up: look again later."""
        self.write(
            {
                "error": error,
                "next_attempt_at": fields.Datetime.now() + DISCARD_PAUSE,
            }
        )

    def _readable(self):
        """Return the copies of which there should be something to read."""
        return self.filtered(lambda copy: copy.path and copy.status in ("stored", "failed"))

    def _engine_orders(self):
        """Return the copies as an engine order names them."""
        return [
            {
                "id": copy.id,
                "kind": copy.destination_id.kind,
                "settings": copy.destination_id._settings(),
                "archive_path": copy.path,
            }
            for copy in self
        ]
