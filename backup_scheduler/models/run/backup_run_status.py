import datetime
import logging
import random
import statistics

import psycopg2

from odoo import fields, models
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY

from ...engine import messages
from ...engine.archive.levels import COMPLETE, level_of_finding
from ...engine.errors import WorkerLost
from ...engine.spool import human_size
from .backup_run import GOOD, KNOWN_HERE
from .backup_run_gaps import accepted_report, open_gaps_of

_logger = logging.getLogger(__name__)

LOG_LIMIT = 20000
# Minutes. The delay before a retry grows no further than this, however often it was doubled.
RETRY_DELAY_LIMIT = 6 * 60
# Jobs that failed together must not come back together: up to this part is added to the delay.
JITTER = 0.2
# An archive is compared with the median of so many before it, and below so many percent is odd.
USUAL_SIZES = 7
DEFAULT_WARNING_PERCENT = 60


def finding_of(failure):
    """Return what was found as the run keeps it: with the level that finds it."""
    kept = {key: failure.get(key) or "" for key in ("error_code", "error", "hint")}
    return {**kept, "level": level_of_finding(failure["error_code"])}


class BackupRunStatus(models.Model):
    """The transitions of a run: its status changes here and nowhere else."""

    _inherit = "backup.run"

    # --- the transitions ------------------------------------------------------------------------

    def _mark_running(self, attempt):
        """Begin an attempt, with its number."""
        self.write(
            {
                "status": "running",
                "attempt": attempt,
                "started_at": fields.Datetime.now(),
                "finished_at": False,
                "stage_seconds": False,
            }
        )

    def _mark_stored(self, archive):
        """End with the archive at rest in at least one destination.

        One with a *finding* is complete, and a faithful copy of a server that has something wrong:
        it is kept, and not called good.
        """
        level = archive["report"]["level"]
        finding = archive.get("finding") or {}
        self._end(
            "verify_failed" if finding else self._good_status(level),
            size=archive["size"],
            sha256=archive["sha256"],
            verification_level=str(level),
            verification_report=archive["report"],
            finding=finding and finding_of(finding),
            open_gaps=finding and open_gaps_of(archive.get("gaps")),
            verified_at=fields.Datetime.now(),
            error_code=finding.get("error_code"),
            error=finding.get("error"),
            hint=finding.get("hint"),
            traceback=False,
        )
        self._try(self._record_gaps, archive.get("gaps"))
        self._try(self._settle_found_gaps)
        self._try(self._accept_first_gaps)
        if self.status == "verify_failed":
            self._tell_finding()
            self._try(self._retain_issues)
        else:
            self._try(self._warn_of_size)
            self._try(self._retain)

    def _try(self, step, *arguments):
        """Do what follows on an archive. Whatever breaks there, the archive is at rest."""
        try:
            with self.env.cr.savepoint():
                step(*arguments)
        except (*PG_CONCURRENCY_EXCEPTIONS_TO_RETRY, psycopg2.OperationalError):
            raise
        except Exception:
            _logger.exception("Backup run %s is stored, but %s failed", self.id, step.__name__)

    def _warn_of_size(self):
        self.warning = self._size_warning(self.size)

    def _retain(self):
        if self.job_id:
            self.job_id._apply_retention([self.database_name])

    def _retain_issues(self):
        """No good archive was stored: only those with issues have one more to be replaced by."""
        if self.job_id:
            self.job_id._apply_retention([self.database_name], with_issues_only=True)

    @staticmethod
    def _good_status(level):
        return "verified" if int(level) > COMPLETE else "success"

    def _size_warning(self, size):
        """Return what is odd about an archive much smaller than those before it, or nothing."""
        percent = self._warning_percent()
        usual = statistics.median(self._sizes_before() or [0])
        if not percent or size >= usual * percent / 100:
            return False
        return self.env._(
            "The archive is much smaller than usual: %(size)s, where the last ones had %(usual)s. "
            "Did the database lose something?",
            size=human_size(size),
            usual=human_size(usual),
        )

    def _sizes_before(self):
        """Return the bytes of the last good archives of this database, made the same way."""
        domain = [
            ("id", "!=", self.id),
            ("instance_id", "=", self.instance_id.id),
            ("database_name", "=", self.database_name),
            ("archive_format", "=", self.archive_format),
            ("include_filestore", "=", self.include_filestore),
            ("status", "in", GOOD),
            KNOWN_HERE,
        ]
        latest = "finished_at desc, id desc"
        runs = self.search_fetch(domain, ["size"], order=latest, limit=USUAL_SIZES)
        return runs.mapped("size")

    def _warning_percent(self):
        parameters = self.env["ir.config_parameter"].sudo()
        value = parameters.get_param("backup_scheduler.size_warning_percent") or ""
        return int(value) if value.isdigit() else DEFAULT_WARNING_PERCENT

    def _mark_failed(self, failure):
        """End an attempt: try again later when that may help, else end the run."""
        values = {
            "error_code": failure["error_code"],
            "error": failure["error"],
            "hint": failure.get("hint"),
            "traceback": failure.get("traceback"),
        }
        self._log(f"Attempt {self.attempt} failed: {failure['error_code']}: {failure['error']}")
        if self._attempt_task().cancel_requested:
            self._mark_cancelled(messages._("Cancelled."))
        elif failure["retryable"] and self.attempt < self.max_attempts:
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
            pause = failure.get("retry_after", 0)
            self._release(self._retry_time(failure["error_code"], pause), **values)
        else:
            self._end("failed", **values)

    def _mark_interrupted(self):
        """Give a run back that was stopped by nobody's fault; the attempt does not count."""
        self._copies_uploading()._mark_in_doubt()
        if self.stored_copies:
            self._end_with_what_is_stored(WorkerLost("The worker was told to stop.").as_dict())
            return
        self._log("Interrupted: the worker was told to stop. The run is queued again.")
        self._release(self.scheduled_at, attempt=self.attempt - 1)

    def _mark_cancelled(self, reason):
        self._log(reason)
        self._end("cancelled", error_code="cancelled", error=reason, hint=False, traceback=False)

    def _mark_skipped(self, code, reason):
        for run in self:
            run._end("skipped", error_code=code, error=reason)

    def _mark_unplannable(self, error, trace):
        for run in self:
            run._end("failed", error_code="internal", error=error, traceback=trace)

    def _mark_verified(self, report):
        """Record that the stored archive was read to its end.

        :param report: of how it was read; None where its sealed bytes were the ones that were
            stored. What was once reached for the same bytes stays reached.
        """
        reached = (report or {}).get("level", 0)
        if self.finding and reached < self.finding["level"]:
            # It was not looked for this time, and is there as before.
            self.write({"verified_at": fields.Datetime.now()})
            self._show_finding()
            return
        level = max(reached, int(self.verification_level or COMPLETE))
        # Of sealed bytes, only our own signature tells that they are what they should be.
        is_known = report or self.unverified_import == "signed"
        self.write(
            {
                "unverified_import": not is_known and self.unverified_import,
                "status": self._good_status(level),
                "finding": False,
                "open_gaps": False,
                "verification_level": str(level),
                "verification_report": report or self._message("verification_report"),
                "verified_at": fields.Datetime.now(),
                "error_code": False,
                "error": False,
                "hint": False,
            }
        )

    def _mark_gaps_accepted(self):
        """Record that all that was wrong with the archive is known gaps by now.

        Level 3 had read all of it, and found nothing else: it need not be read again.
        """
        report = accepted_report(self._message("verification_report"), self.gap_count)
        level = max(report["level"], int(self.verification_level or COMPLETE))
        self._log(
            self.env._("The files that are missing or damaged are known gaps now: verified.")
        )
        self.write(
            {
                # It was read here, as nothing else finds what it lacks.
                "unverified_import": False,
                "status": self._good_status(level),
                "finding": False,
                "open_gaps": False,
                "verification_level": str(level),
                "verification_report": report,
                "error_code": False,
                "error": False,
                "hint": False,
            }
        )

    def _mark_found(self, failure, report, gaps=None):
        """Record that the archive is the one which was stored, and no good one."""
        self.write(
            {
                "finding": finding_of(failure),
                "open_gaps": open_gaps_of(gaps),
                "verification_report": report or self._message("verification_report"),
                "verified_at": fields.Datetime.now(),
            }
        )
        self._show_finding()
        self._try(self._settle_found_gaps)
        if self.status == "verify_failed":
            self._tell_finding()

    def _show_finding(self):
        shown, found = ("error_code", "error", "hint"), self._message("finding")
        self.write({"status": "verify_failed", **{key: found[key] for key in shown}})

    def _tell_finding(self):
        """An archive that nobody should rely on: that is for people to know at once."""
        _logger.warning(
            "Backup not good: run %s, instance %r, database %r: %s: %s",
            self.id,
            self.instance_id.name,
            self.database_name,
            self.error_code,
            self.error,
        )
        self.instance_id.message_post(
            body=self.env._(
                "The archive %(run)s is stored, and not a good one: %(error)s %(hint)s",
                run=self.display_name,
                error=self.error,
                hint=self.hint or "",
            )
        )

    def _mark_verify_failed(self, failure):
        """Record that no copy of the archive is what was stored."""
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
        self._release(self.scheduled_at, attempt=0, finished_at=False, single_database=True)
        for copy in self.copy_ids.filtered(lambda copy: copy.status == "failed"):
            copy._mark_pending()
        self._plan_tasks()

    def _release(self, due_at, **values):
        """Put the run back into the queue, for an attempt from ``due_at`` on."""
        self._leave_stage()
        self.write({"status": "queued", **values})
        self._queue(due_at, values.get("attempt"))

    def _end(self, status, **values):
        now = fields.Datetime.now()
        started = self.status == "running" and self.started_at
        self._leave_stage()
        self.write(
            {
                "status": status,
                "finished_at": now,
                "duration": (now - started).total_seconds() if started else 0,
                **values,
            }
        )
        self._attempt_task()._remove()
        if not self.stored_copies:
            for copy in self.copy_ids.filtered(lambda copy: copy._is_unwritten()):
                copy._mark_failed(values.get("error_code"), values.get("error"))
        self._plan_tasks()
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

    def _retry_time(self, code, pause=0):
        """Return when to try again: at once after a lost worker, else later each time.

        :param pause: seconds that the server wants to be left alone at least
        """
        now = fields.Datetime.now()
        if code == "worker_lost":
            return now
        # Bounded as a number: a timedelta overflows after some forty doublings.
        minutes = min(self.retry_delay * 2 ** (self.attempt - 1), RETRY_DELAY_LIMIT)
        # The engine bounds what a server may ask for.
        delay = max(datetime.timedelta(minutes=minutes), datetime.timedelta(seconds=pause))
        return now + delay * random.uniform(1, 1 + JITTER)  # noqa: S311

    def _log(self, line):
        """Add a line to the run's own log, with its time (UTC)."""
        entry = f"{fields.Datetime.now():%Y-%m-%d %H:%M:%S} {line}"
        self.log = "\n".join(filter(None, (self.log, entry)))[-LOG_LIMIT:]
