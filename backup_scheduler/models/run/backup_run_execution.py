from odoo import api, fields, models

from ...engine.errors import InternalError
from ...engine.naming import archive_path
from ..backup_secret_mixin import signing_keys

GB = 10**9
# An archive is cut off at so many times the largest of the last few, and these GB more: see the
# hint of ArchiveTooLarge and the help of the job's Maximum Archive Size, which say so.
GROWTH, SLACK, COMPARED = 10, 5, 10


class BackupRunExecution(models.Model):
    """An attempt at a run, as its executor sees it: how it begins, and what the engine is told."""

    _inherit = "backup.run"

    # --- beginning ------------------------------------------------------------------------------

    def _begin_backup(self, task):
        self._mark_running(task.attempt)

    def _begin_discover(self, task):
        self._mark_running(task.attempt)

    def _give_back_backup(self, task):
        self._mark_interrupted()

    def _give_back_discover(self, task):
        self._mark_interrupted()

    def _withdraw_backup(self, task):
        self.cancel()

    def _withdraw_discover(self, task):
        self.cancel()

    def _place_copies(self):
        """Decide and record where each archive will lie, before a byte is written there.

        The place is the run's for good: a later attempt replaces what a lost one left there.
        """
        self._add_missing_copies()
        wanted = self.copy_ids.filtered(
            lambda copy: copy.status != "stored" and not copy.deletion_requested_at
        )
        now = fields.Datetime.now()
        opens = {copy: copy.destination_id._opens_at(now) for copy in wanted}
        for copy, moment in opens.items():
            if moment > now and min(opens.values()) <= now:
                # It gets its copy from another one, once its destination is open.
                copy.next_attempt_at = moment
                continue
            copy = copy._fit_to_recipients()
            if not copy.path:
                copy.path = self._free_path(copy)
            copy._mark_uploading()

    def _add_missing_copies(self):
        """Give a run without destinations those of its job, which may have gained some."""
        if not self.copy_ids and self.job_id:
            self.copy_ids = [
                (0, 0, {"destination_id": destination.id})
                for destination in self.job_id.destination_ids
            ]

    def _free_path(self, copy):
        taken = {"run_id": self.id, "number": 0}
        while taken:
            number = taken["number"] + 1
            path = archive_path(
                self.instance_id.name,
                self.database_name,
                self.scheduled_at,
                self.archive_format,
                number,
                encrypted=bool(copy.destination_id._recipients()),
            )
            domain = [("destination_id", "=", copy.destination_id.id), ("path", "=", path)]
            taken = {"number": number} if copy.search_count(domain, limit=1) else None
        return path

    # --- beyond recording -----------------------------------------------------------------------

    def _mark_unrecordable(self, error):
        """End a run whose events cannot be recorded; by SQL, as its record may be the cause."""
        self._notify_clients()
        self.env.cr.execute(
            """
            UPDATE backup_run
               SET status = CASE WHEN status IN ('queued', 'running') THEN 'failed'
                                 ELSE status END,
                   error_code = %s, error = %s, finished_at = %s, alert_due = TRUE
             WHERE id = %s
            """,
            (InternalError.code, f"{type(error).__name__}: {error}", self._clock(), self.id),
        )
        self.env.cr.execute(
            """
            UPDATE backup_copy copy
               SET reading_requested = NULL, next_attempt_at = NULL,
                   discard_at = CASE WHEN copy.status = 'uploading' AND copy.path IS NOT NULL
                                     THEN %s ELSE copy.discard_at END,
                   status = CASE WHEN copy.status = 'uploading'
                                  AND run.status NOT IN ('failed', 'cancelled')
                                 THEN 'failed' ELSE copy.status END
              FROM backup_run run
             WHERE run.id = copy.run_id AND run.id = %s
            """,
            (self._clock(), self.id),
        )
        self.env.cr.execute(
            """
            UPDATE backup_restore SET status = 'failed', error_code = %s, identity_sealed = NULL
             WHERE run_id = %s AND status IN ('queued', 'running')
            """,
            (InternalError.code, self.id),
        )
        self.invalidate_recordset()

    @api.model
    def _clock(self):
        return self.env["backup.task"]._clock()

    # --- ordering -------------------------------------------------------------------------------

    def _order_discover(self, task):
        return {"action": "discover", "source": self.instance_id._source_order()}

    def _order_backup(self, task):
        """Return what an engine process is told to do; its copies get a place."""
        self._place_copies()
        return {
            "action": "backup",
            "source": self.instance_id._source_order(),
            "database": self.database_name,
            "archive_format": self.archive_format,
            "include_filestore": self.include_filestore,
            "expected_size": self._expected_size(),
            "size_limit": self._size_limit(),
            "verify_level": int(self.wanted_level),
            "known_gaps": self._known_gaps(fields.Datetime.now()),
            "time_limit": self.time_limit * 60,
            "destinations": self._copies_uploading()._engine_orders(),
            "catalogue": self._catalogue(),
            "signature": self._signature_order(),
        }

    def _expected_size(self):
        """Return the bytes that the last good archive of this database had; 0 when unknown."""
        return int(self._last_good_archives(limit=1).size)

    def _size_limit(self):
        """Return the bytes that the archive may have; 0 where nothing is known to compare with."""
        if self.job_id.size_limit:
            return int(self.job_id.size_limit * GB)
        last = self._last_good_archives(limit=COMPARED)
        alike = last.filtered(lambda run: run.include_filestore == self.include_filestore)
        largest = max(alike.mapped("size"), default=0)
        return int(largest * GROWTH) + SLACK * GB if largest else 0

    def _last_good_archives(self, limit):
        """Return the last good runs of the same database and format, newest first."""
        return self.search(
            [
                ("instance_id", "=", self.instance_id.id),
                ("database_name", "=", self.database_name),
                ("archive_format", "=", self.archive_format),
                ("status", "in", ("success", "verified")),
            ],
            order="finished_at desc",
            limit=limit,
        )

    def _owner(self):
        """Return the name of this run in all the world, as catalogues beside archives know it."""
        if self.catalogue_owner:
            return self.catalogue_owner
        database_uuid = self.env["ir.config_parameter"].sudo().get_param("database.uuid")
        return f"{database_uuid}/{self.id}"

    def _signature_order(self):
        """Return what signs catalogues, as a part of an order whose secrets are masked.

        What others say of an archive that was never verified here is not signed as ours.
        """
        key = "" if self.unverified_import else signing_keys()[0]
        return {"secrets": ["key"], "settings": {"key": key}}

    def _catalogue(self):
        """Return what is put beside the archive, for the day on which this database is gone."""
        return {
            "run": self._owner(),
            "instance": self.instance_id.name,
            "url": self.instance_id.url or "",
            "database": self.database_name,
            "job": self.job_name,
            "trigger": self.trigger,
            "scheduled_at": f"{self.scheduled_at.isoformat()}Z",
            "started_at": f"{self.started_at.isoformat()}Z",
            "archive_format": self.archive_format,
            "include_filestore": self.include_filestore,
            "odoo_version": self.odoo_version or self.instance_id.odoo_version,
        }
