from odoo import models

from ...engine import messages
from ...engine.errors import Cancelled, NoDatabase, WorkerLost
from ...engine.messages import joined


class BackupRunRecording(models.Model):
    """What the engine tells of an attempt, written down on the run: an event, a method."""

    _inherit = "backup.run"

    def _record(self, event):
        """Write down one event of the engine. The caller holds the run (:meth:`_held`)."""
        getattr(self, f"_record_{event['event']}")(event)

    def _record_stage(self, event):
        self.write({"stage": event["stage"], "progress": 0})
        self._log(f"Stage: {event['stage']}")

    def _record_progress(self, event):
        done, total = event["done"], event["total"]
        values = {"progress": min(99.0, 100.0 * done / total) if total else 0}
        if self.stage == "download":
            values["received"] = done
        self.write(values)

    def _record_source(self, event):
        """The server was asked who it is: a good moment to learn of databases that are new."""
        self.odoo_version = event["version"]
        self.instance_id._record_server(event["version"], event["databases"])
        self._complete_fire(event["databases"])

    def _record_ready(self, event):
        """The archive was verified, and is about to get its name: in all destinations at once, or
        in those that are quicker first."""
        if self.sha256 != event["sha256"]:
            self._log(f"The archive is checked: {event['size']} bytes, SHA-256 {event['sha256']}")
        self.write(
            {
                "size": event["size"],
                "sha256": event["sha256"],
                "verification_report": event["report"],
                "finding": event.get("finding") or False,
            }
        )

    def _record_stored(self, event):
        """It is at rest in some destinations; slower ones are still on their way."""
        self._record_copies(event["copies"])

    def _record_done(self, event):
        if "databases" in event:
            self._record_discovery(event)
            return
        self._record_copies(event["copies"])
        self._mark_stored(event)

    def _record_copies(self, results):
        for result in results:
            copy = self.copy_ids.browse(result["id"])
            if result.get("changed_settings"):
                copy.destination_id._keep_changed_settings(result["changed_settings"])
            if result["stored"]:
                copy._mark_stored(result)
                self._log(f"Stored in {copy.destination_id.name}: {copy.path}")
            else:
                copy._mark_missed(result["error_code"], result["error"])
                self._log(f"Not stored in {copy.destination_id.name}: {result['error']}")

    def _record_failed(self, event):
        if self.stored_copies:
            self._end_with_what_is_stored(event)
            return
        self._settle_copies()
        if event["error_code"] == Cancelled.code:
            self._mark_cancelled(event["error"])
        else:
            self._mark_failed(event)

    def _record_lost(self, event):
        """The engine ended without a word: what it left is still where it was."""
        ended = messages._("The engine process ended with code %(code)s.", code=event["exit_code"])
        error = WorkerLost(joined("\n", filter(None, (ended, event["tail"]))))
        if self.stored_copies:
            self._end_with_what_is_stored(error.as_dict())
        elif self.cancel_requested:
            self._mark_cancelled(messages._("Cancelled."))
        else:
            self._mark_failed(error.as_dict())

    def _end_with_what_is_stored(self, failure):
        """The attempt ended when the archive was at rest in a destination already: it is a good
        one, and the others get theirs from it later."""
        missed = self.copy_ids.filtered(lambda copy: copy.status == "uploading")
        missed._mark_missed(failure["error_code"], failure["error"])
        if failure["error_code"] == Cancelled.code:
            missed.next_attempt_at = False
        report, finding = self._message("verification_report"), self._message("finding")
        archive = {"size": self.size, "sha256": self.sha256, "report": report}
        self._mark_stored({**archive, "finding": finding or None})

    def _settle_copies(self):
        """The engine ended in order: it has removed what it wrote."""
        for copy in self.copy_ids.filtered(lambda copy: copy.status == "uploading"):
            copy._mark_pending()

    def _record_discovery(self, event):
        """Turn a run without a database into the runs of those that were found."""
        self.instance_id._record_server(event["version"], event["databases"])
        self._settle_copies()
        if not event["databases"]:
            self._mark_failed(NoDatabase(messages._("The server has no database.")).as_dict())
            return
        wanted = event["databases"]
        if self.job_id.database_scope == "selected":
            wanted = self.job_id._database_names()
        names = set(wanted) - self._names_of_fire(self.job_id, self.scheduled_at, self.trigger)
        first, *others = sorted(names) or [False]
        if not first:
            self._mark_skipped(
                "overlap", messages._("All databases of this fire have their runs already.")
            )
            return
        self._release(database_name=first, attempt=self.attempt - 1)
        if self.job_id:
            self._create_for(self.job_id, others, self.scheduled_at, self.trigger)

    def _complete_fire(self, names):
        """Make the runs of databases that appeared on the server since it was last asked."""
        if self.job_id.database_scope != "all" or self.attempt > 1:
            return
        missing = set(names) - self._names_of_fire(self.job_id, self.scheduled_at, self.trigger)
        self._create_for(self.job_id, missing, self.scheduled_at, self.trigger)
