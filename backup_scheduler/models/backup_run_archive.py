import uuid

from odoo import api, fields, models


class BackupRunArchive(models.Model):
    """The half of a run that begins when its attempts are over: reading again what is at rest, and
    removing what a lost attempt may have left."""

    # A run is several subjects, a file each.
    # pylint: disable-next=consider-merging-classes-inherited
    _inherit = "backup.run"

    # --- reading stored archives again ----------------------------------------------------------

    @api.model
    def _claim_verification(self, worker, run_id=None):
        """Take the next archive that somebody asked to read again; return its run or nothing.

        :param run_id: take this one or none
        """
        self.flush_model()
        self.env.cr.execute(
            """
            SELECT id FROM backup_run
             WHERE verification_requested_at IS NOT NULL AND lease_token IS NULL
               AND (%(only)s IS NULL OR id = %(only)s)
             ORDER BY verification_requested_at, id
             LIMIT 1 FOR UPDATE SKIP LOCKED
            """,
            {"only": run_id},
        )
        run = self.browse(row[0] for row in self.env.cr.fetchall())
        if run:
            run.write(
                {
                    "worker": worker,
                    "lease_token": uuid.uuid4().hex,
                    "lease_until": self._lease_end(),
                    "stage": "verify",
                }
            )
        return run

    def _record_verification(self, event):
        """Write down one event of reading the copies again."""
        if event["event"] == "done":
            self._record_verified_copies(event["copies"])
        elif event["event"] == "failed":
            self._log(f"The verification was not done: {event['error_code']}: {event['error']}")
        elif event["event"] == "lost":
            self._log(f"The verification's process ended with code {event['exit_code']}.")
        if event["event"] in ("done", "failed", "lost"):
            self._end_verification()

    def _record_verified_copies(self, results):
        for result in results:
            copy = self.copy_ids.browse(result["id"])
            if result["ok"]:
                copy._mark_stored(self.size)
                self._log(f"{copy.destination_id.name}: the archive is intact.")
                continue
            self._log(f"{copy.destination_id.name}: {result['error']}")
            if result["bad"]:
                copy._mark_damaged(result["error_code"], result["error"])
        if good := [result for result in results if result["ok"]]:
            self._mark_verified(str(good[0]["report"]["level"]), good[0]["report"])
        elif all(result["bad"] for result in results):
            self._mark_verify_failed(results[0])

    def _return_verification(self):
        """Give it back: whoever comes next reads the copies."""
        self.write({"worker": False, "lease_token": False, "lease_until": False, "stage": False})

    def _end_verification(self):
        self.write(
            {
                "verification_requested_at": False,
                "worker": False,
                "lease_token": False,
                "lease_until": False,
                "stage": False,
            }
        )

    # --- what lost attempts leave ---------------------------------------------------------------

    @api.model
    def _abandoned(self):
        """Return ended runs of which a lost attempt may have left something in a destination."""
        copies = self.env["backup.copy"].search(
            [
                ("status", "=", "uploading"),
                ("run_id.status", "in", ("failed", "cancelled")),
                "|",
                ("next_attempt_at", "=", False),
                ("next_attempt_at", "<=", fields.Datetime.now()),
            ],
            limit=10,
        )
        return copies.run_id

    def _discard_order(self):
        uploading = self.copy_ids.filtered(lambda copy: copy.status == "uploading")
        return {
            "action": "discard",
            "spool": self._spool_folder(),
            "owner": self._owner(),
            "copies": uploading._engine_orders(),
        }

    def _record_discard(self, event):
        """Write down what became of the remains. A run that was queued again is left alone: its
        next attempt replaces them."""
        if self.status not in ("failed", "cancelled"):
            return
        if event["event"] in ("failed", "lost"):
            remains = self.copy_ids.filtered(lambda copy: copy.status == "uploading")
            remains._postpone(event.get("error"))
        elif event["event"] == "done":
            for result in event["copies"]:
                copy = self.copy_ids.browse(result["id"])
                if result["ok"]:
                    copy._mark_failed(self.error_code, self.error)
                else:
                    copy._postpone(result["error"])

    def _disown_archive(self, results):
        """Have the archive removed that was stored after its run had been given up.

        :param results: what the engine told of the copies, which may be forgotten here already
        """
        if self.status not in ("failed", "cancelled"):
            return
        for result in results:
            if result.get("stored"):
                copy = self.copy_ids.browse(result["id"])
                copy.path = result["path"]
                copy._mark_uploading()
