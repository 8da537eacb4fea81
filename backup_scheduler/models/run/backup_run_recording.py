from odoo import models

from ...engine import errors, messages
from ...engine.errors import Cancelled, WorkerLost
from ...engine_call import failure_of

# What is found wrong with a server while it is asked who it is, as a test of the connection would.
OF_THE_SERVER = {
    kind.code
    for kind in (
        errors.ConnectionFailed, errors.DatabaseManagerDisabled, errors.DatabasesUnavailable,
        errors.InsecureRemote, errors.NotOdoo, errors.ProxyRefused, errors.ProxyTimeout,
        errors.RateLimited, errors.RemoteError, errors.SourceTimeout, errors.TLSError,
        errors.WrongMasterPassword,
    )
}  # fmt: skip


class BackupRunRecording(models.Model):
    """What the engine tells of an attempt, written down on the run: an event, a method."""

    _inherit = "backup.run"

    def _record_backup(self, task, event):
        """Write down one event of the engine."""
        getattr(self, f"_on_{event['event']}")(event)

    def _record_discover(self, task, event):
        if event["event"] == "done":
            self._record_discovery(event)
        else:
            self._record_backup(task, event)

    def _on_stage(self, event):
        self._leave_stage()
        self._log(f"Stage: {event['stage']}")

    def _on_progress(self, event):
        """That is the task's."""

    def _on_source(self, event):
        """The server was asked who it is: a good moment to learn of databases that are new."""
        self.odoo_version = event["version"]
        self._complete_fire(self._record_server_of(event))

    def _record_server_of(self, event):
        """Record what an event says about the server; return the names of its databases."""
        confirmed = event.get("confirmed", True)
        return self.instance_id._record_server(event["version"], event["databases"], confirmed)

    def _on_ready(self, event):
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

    def _on_stored(self, event):
        """It is at rest in some destinations; slower ones are still on their way."""
        self._record_copies(event["copies"])

    def _on_done(self, event):
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
                if result.get("may_remain"):
                    copy._mark_in_doubt()
                self._log(f"Not stored in {copy.destination_id.name}: {result['error']}")

    def _on_failed(self, event):
        if self.stage == "connect" and event["error_code"] in OF_THE_SERVER:
            self.instance_id._record_problem(event)
        self._note_remains(event)
        if self.stored_copies:
            self._end_with_what_is_stored(event)
            return
        self._settle_copies()
        if event["error_code"] == Cancelled.code:
            self._mark_cancelled(event["error"])
        else:
            self._mark_failed(event)

    def _on_lost(self, event):
        """The engine or its worker ended without a word: what it left is still where it was."""
        error = WorkerLost(failure_of(event)[1])
        self._copies_uploading()._mark_in_doubt()
        if self.stored_copies:
            self._end_with_what_is_stored(error.as_dict())
        else:
            self._mark_failed(error.as_dict())

    def _end_with_what_is_stored(self, failure):
        """The attempt ended when the archive was at rest in a destination already: it is a good
        one, and the others get theirs from it later."""
        missed = self._copies_uploading()
        missed._mark_missed(failure["error_code"], failure["error"])
        if failure["error_code"] == Cancelled.code:
            missed.next_attempt_at = False
        report, finding = self._message("verification_report"), self._message("finding")
        archive = {"size": self.size, "sha256": self.sha256, "report": report}
        self._mark_stored({**archive, "finding": finding or None})

    def _copies_uploading(self):
        return self.copy_ids.filtered(lambda copy: copy.status == "uploading")

    def _note_remains(self, event):
        """Note of which copies an attempt that failed may have left something: of those that its
        engine names, or of all where nobody saw to it. An earlier attempt is not settled by it."""
        uploading, named = self._copies_uploading(), event.get("remains", ())
        if event.get("in_order", True):
            uploading &= uploading.browse(copy["id"] for copy in named)
        uploading._mark_in_doubt()

    def _settle_copies(self):
        """Nothing is left of the copies of which no attempt may have left something."""
        self._copies_uploading().filtered(lambda copy: not copy.discard_at)._mark_pending()

    def _record_discovery(self, event):
        """Turn a run without a database into the runs of those that were found."""
        databases = self._record_server_of(event)
        if self._attempt_task().cancel_requested:
            self._mark_cancelled(messages._("Cancelled."))
            return
        if not databases:
            self._mark_failed(self.instance_id._no_database().as_dict())
            return
        wanted = databases
        if self.job_id.database_scope == "selected":
            wanted = self.job_id._database_names()
        names = set(wanted) - self._names_of_fire(self.job_id, self.scheduled_at, self.trigger)
        first, *others = sorted(names) or [False]
        if not first:
            self._mark_skipped(
                "overlap", messages._("All databases of this fire have their runs already.")
            )
            return
        self._release(self.scheduled_at, database_name=first, attempt=self.attempt - 1)
        if self.job_id:
            self._create_for(self.job_id, others, self.scheduled_at, self.trigger)

    def _complete_fire(self, names):
        """Make the runs of databases that appeared on the server since it was last asked."""
        whole_job = self.job_id.database_scope == "all" and not self.single_database
        if not whole_job or self.attempt > 1:
            return
        missing = set(names) - self._names_of_fire(self.job_id, self.scheduled_at, self.trigger)
        self._create_for(self.job_id, missing, self.scheduled_at, self.trigger)
