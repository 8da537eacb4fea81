import datetime
import logging
import random

from odoo import fields, models

from .backup_run import GOOD

_logger = logging.getLogger(__name__)

LOG_LIMIT = 20000
# Minutes. The delay before a retry grows no further than this, however often it was doubled.
RETRY_DELAY_LIMIT = 6 * 60
# Jobs that failed together must not come back together: up to this part is added to the delay.
JITTER = 0.2


class BackupRunStatus(models.Model):
    """The transitions of a run: its status changes here and nowhere else."""

    # A run is several subjects, a file each.
    # pylint: disable-next=consider-merging-classes-inherited
    _inherit = "backup.run"

    # --- the transitions ------------------------------------------------------------------------

    def _mark_running(self, worker, token, lease_until):
        """Begin an attempt, under a lease."""
        self.write(
            {
                "status": "running",
                "worker": worker,
                "lease_token": token,
                "lease_until": lease_until,
                "attempt": self.attempt + 1,
                "started_at": fields.Datetime.now(),
                "finished_at": False,
                "retry_at": False,
                "stage": False,
                "progress": 0,
                "received": 0,
            }
        )

    def _mark_stored(self, archive):
        """End well: the archive is at rest in at least one destination."""
        level = str(archive["report"]["level"])
        self._end(
            "verified" if int(level) > 1 else "success",
            size=archive["size"],
            sha256=archive["sha256"],
            verification_level=level,
            verification_report=archive["report"],
            verified_at=fields.Datetime.now(),
            progress=100,
            error_code=False,
            error=False,
            hint=False,
            traceback=False,
        )

    def _mark_failed(self, failure):
        """End an attempt: try again later when that may help, else end the run."""
        values = {
            "error_code": failure["error_code"],
            "error": failure["error"],
            "hint": failure.get("hint"),
            "traceback": failure.get("traceback"),
        }
        self._log(f"Attempt {self.attempt} failed: {failure['error_code']}: {failure['error']}")
        if failure["retryable"] and self.attempt < self.max_attempts:
            _logger.warning(
                "Backup attempt %s of %s failed: job %r, instance %r, database %r: %s: %s",
                self.attempt,
                self.max_attempts,
                self.job_name,
                self.instance_id.name,
                self.database_name,
                failure["error_code"],
                failure["error"],
            )
            self._release(**values, retry_at=self._retry_time(failure["error_code"]))
        else:
            self._end("failed", **values)

    def _mark_interrupted(self):
        """Give a run back that was stopped by nobody's fault; the attempt does not count."""
        self._log("Interrupted: the worker was told to stop. The run is queued again.")
        self._release(attempt=self.attempt - 1)

    def _mark_cancelled(self, reason):
        self._log(reason)
        self._end("cancelled", error_code="cancelled", error=reason, hint=False, traceback=False)

    def _mark_skipped(self, code, reason):
        for run in self:
            run._end("skipped", error_code=code, error=reason)

    def _mark_unplannable(self, error, trace):
        for run in self:
            run._end("failed", error_code="internal", error=error, traceback=trace)

    def _mark_verified(self, level, report):
        """Record that the stored archive was read to its end."""
        self.write(
            {
                "status": "verified" if int(level) > 1 else "success",
                "verification_level": level,
                "verification_report": report,
                "verified_at": fields.Datetime.now(),
                "error_code": False,
                "error": False,
                "hint": False,
            }
        )

    def _mark_verify_failed(self, failure):
        self.write(
            {
                "status": "verify_failed",
                "verified_at": fields.Datetime.now(),
                "error_code": failure["error_code"],
                "error": failure["error"],
                "hint": failure.get("hint"),
            }
        )

    def _mark_queued_again(self):
        self._log(self.env._("Queued again by %(user)s.", user=self.env.user.name))
        self._release(attempt=0, finished_at=False, scheduled_at=self.scheduled_at)
        for copy in self.copy_ids.filtered(lambda copy: copy.status == "failed"):
            copy._mark_pending()

    def _release(self, **values):
        """Put the run back into the queue."""
        self.write(
            {
                "status": "queued",
                "worker": False,
                "lease_token": False,
                "lease_until": False,
                "cancel_requested": False,
                "stage": False,
                "progress": 0,
                **values,
            }
        )

    def _end(self, status, **values):
        now = fields.Datetime.now()
        started = self.status == "running" and self.started_at
        self.write(
            {
                "status": status,
                "finished_at": now,
                "duration": (now - started).total_seconds() if started else 0,
                "worker": False,
                "lease_token": False,
                "lease_until": False,
                "cancel_requested": False,
                "retry_at": False,
                **values,
            }
        )
        if status not in GOOD:
            for copy in self.copy_ids.filtered(lambda copy: copy.status == "pending"):
                copy._mark_failed(values.get("error_code"), values.get("error"))
        self._tell_end()

    def _tell_end(self):
        """Leave one line in Odoo's log: what became of which database, when, and how large."""
        level = logging.INFO if self.status in (*GOOD, "cancelled") else logging.WARNING
        _logger.log(
            level,
            "Backup %s: job %r, instance %r, database %r, due %s, %.1f s, %d bytes%s",
            self.status,
            self.job_name,
            self.instance_id.name,
            self.database_name,
            self.scheduled_at,
            self.duration,
            self.size or 0,
            f": {self.error_code}: {self.error}" if self.error_code else "",
        )

    def _retry_time(self, code):
        """Return when to try again: at once after a lost worker, else later each time."""
        now = fields.Datetime.now()
        if code == "worker_lost":
            return now
        # Bounded as a number: a timedelta overflows after some forty doublings.
        minutes = min(self.retry_delay * 2 ** (self.attempt - 1), RETRY_DELAY_LIMIT)
        delay = datetime.timedelta(minutes=minutes)
        return now + delay * random.uniform(1, 1 + JITTER)  # noqa: S311

    def _log(self, line):
        """Add a line to the run's own log, with its time (UTC)."""
        entry = f"{fields.Datetime.now():%Y-%m-%d %H:%M:%S} {line}"
        self.log = "\n".join(filter(None, (self.log, entry)))[-LOG_LIMIT:]
