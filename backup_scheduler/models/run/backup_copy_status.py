from odoo import fields, models

from .backup_copy import parse_moment


class BackupCopyStatus(models.Model):
    """The transitions of a copy: its status changes here and nowhere else."""

    _inherit = "backup.copy"

    # --- the transitions ------------------------------------------------------------------------

    def _mark_uploading(self):
        self.write({"status": "uploading", "error": False, "error_code": False})
        for copy in self:
            copy.attempt += 1

    def _mark_in_doubt(self):
        """An attempt may have left something in the destination."""
        self.filtered("path").discard_at = fields.Datetime.now()

    def _mark_pending(self):
        self.write({"status": "pending"})

    def _mark_stored(self, stored):
        """:param stored: what the engine tells of the copy: ``size sha256 encryption``, and the
        ``details`` that the destination has of it"""
        now = fields.Datetime.now()
        details = stored.get("details") or {}
        self.write(
            {
                "status": "stored",
                "size": stored["size"],
                "sha256": stored["sha256"],
                "encryption": stored["encryption"] or False,
                "version": details.get("version"),
                "immutable_until": parse_moment(details.get("immutable_until")),
                "stored_at": now,
                "checked_at": now,
                "next_attempt_at": False,
                "discard_at": False,
                "error": False,
                "error_code": False,
            }
        )

    def _mark_read(self):
        """The copy was read to its end, and is what was stored."""
        now = fields.Datetime.now()
        self.write(
            {
                "status": "stored",
                "read_at": now,
                "tried_at": now,
                "checked_at": now,
                "next_attempt_at": False,
                "error": False,
                "error_code": False,
            }
        )

    def _mark_failed(self, code, error):
        """Nothing of the archive is in the destination."""
        self.write(
            {
                "status": "failed",
                "path": False,
                "error_code": code,
                "error": error,
                "next_attempt_at": False,
                "discard_at": False,
            }
        )

    def _mark_discarded(self, code, error):
        """What a lost attempt may have left is gone; why the copy was not made stays."""
        failed = self.filtered(lambda copy: copy.status == "failed")
        failed.write({"path": False, "discard_at": False})
        (self - failed)._mark_failed(code, error)

    def _mark_unread(self, code, error):
        """It could not be read, which says nothing about the archive: tried again another day."""
        self.write({"tried_at": fields.Datetime.now(), "error_code": code, "error": error})

    def _mark_missed(self, code, error):
        """The archive, which is at rest elsewhere, did not get here; it is tried again later.

        The place stays recorded: what may lie there is replaced by the next attempt.
        """
        self.write({"status": "failed", "error_code": code, "error": error})
        self._postpone_retry()

    def _mark_damaged(self, code, error):
        """Something is in the destination, and it is not what was stored there.

        It is replaced from a good copy where there is one.
        """
        now = fields.Datetime.now()
        self.write(
            {
                "status": "failed",
                "error_code": code,
                "error": error,
                "tried_at": now,
                "attempt": 0,
                "next_attempt_at": now,
            }
        )

    def _mark_deleted(self):
        """The archive is gone from the destination, as was asked. Its place may be taken again."""
        self.write(
            {
                "status": "deleted",
                "path": False,
                "deletion_requested_at": False,
                "next_attempt_at": False,
                "discard_at": False,
                "error": False,
                "error_code": False,
            }
        )
