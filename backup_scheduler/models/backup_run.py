import datetime
import logging
import random

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError

_logger = logging.getLogger(__name__)

STATUSES = [
    ("queued", "Queued"),
    ("running", "Running"),
    ("success", "Success"),
    ("failed", "Failed"),
    ("verified", "Verified"),
    ("verify_failed", "Verification Failed"),
    ("skipped", "Skipped"),
    ("cancelled", "Cancelled"),
]
VERIFICATION_LEVELS = [("1", "1 – Complete"), ("2", "2 – Intact")]
GOOD = ("success", "verified")
ACTIVE = ("queued", "running")
SUMMARY_LENGTH = 160
LOG_LIMIT = 20000
# Minutes. The delay before a retry grows no further than this, however often it was doubled.
RETRY_DELAY_LIMIT = 6 * 60
# Jobs that failed together must not come back together: up to this part is added to the delay.
JITTER = 0.2


class BackupRun(models.Model):
    """The backup of one database for one fire, with its attempts.

    A run carries the policy under which it was planned, so that it goes on in its own terms when
    its job is changed or deleted. Its status changes only through the ``_mark_*`` methods.
    """

    _name = "backup.run"
    _description = "Backup Run"
    _order = "scheduled_at desc, id desc"

    job_id = fields.Many2one("backup.job", readonly=True, index=True, ondelete="set null")
    job_name = fields.Char("Job Name", readonly=True)
    instance_id = fields.Many2one(
        "backup.instance", required=True, readonly=True, index=True, ondelete="restrict"
    )
    company_id = fields.Many2one(related="instance_id.company_id", store=True, index=True)
    database_name = fields.Char(
        "Database",
        readonly=True,
        default="",
        help="Empty while the server has not yet been asked for its databases.",
    )
    trigger = fields.Selection(
        [("schedule", "Schedule"), ("manual", "Manual")], required=True, readonly=True
    )
    scheduled_at = fields.Datetime("Due", required=True, readonly=True, index=True)
    started_at = fields.Datetime("Started", readonly=True, help="When the last attempt began.")
    finished_at = fields.Datetime("Finished", readonly=True)
    duration = fields.Float(readonly=True, help="Seconds that the last attempt took.")
    status = fields.Selection(
        STATUSES,
        required=True,
        readonly=True,
        default="queued",
        help="Success: the complete archive is stored. Verified: it was read to its end, to the "
        "level shown, before it was stored.",
    )
    stage = fields.Selection(
        [
            ("connect", "Connecting"),
            ("download", "Downloading"),
            ("verify", "Verifying"),
            ("store", "Storing"),
            ("publish", "Publishing"),
        ],
        readonly=True,
    )
    progress = fields.Float(readonly=True, help="Percent of the expected size that is through.")
    received = fields.Float(readonly=True, help="Bytes received so far.")
    attempt = fields.Integer(readonly=True)
    retry_at = fields.Datetime("Next Attempt", readonly=True)
    size = fields.Float(readonly=True, help="Bytes of the archive.")
    sha256 = fields.Char("SHA-256", readonly=True)
    error_code = fields.Char(readonly=True)
    error = fields.Text(readonly=True)
    hint = fields.Text(readonly=True)
    error_summary = fields.Char(compute="_compute_error_summary")
    traceback = fields.Text(readonly=True)
    log = fields.Text(readonly=True)
    verification_level = fields.Selection(
        VERIFICATION_LEVELS,
        readonly=True,
        help="How far the archive was checked when it was last read.",
    )
    verified_at = fields.Datetime("Last Read", readonly=True)
    verification_report = fields.Json(readonly=True)
    odoo_version = fields.Char(readonly=True)
    pinned = fields.Boolean(readonly=True, help="A pinned archive is never deleted.")
    copy_ids = fields.One2many("backup.copy", "run_id")

    # The policy under which the run was planned.
    archive_format = fields.Selection([("zip", "Zip"), ("dump", "Dump")], readonly=True)
    include_filestore = fields.Boolean(readonly=True)
    wanted_level = fields.Selection(VERIFICATION_LEVELS, readonly=True)
    in_order = fields.Boolean(readonly=True)
    max_attempts = fields.Integer(readonly=True)
    retry_delay = fields.Integer(readonly=True, help="Minutes.")
    time_limit = fields.Integer(readonly=True, help="Minutes; 0 for no limit.")

    # Who executes it. The lease ends on the database's clock.
    worker = fields.Char(readonly=True)
    lease_token = fields.Char(readonly=True, groups=fields.NO_ACCESS)
    lease_until = fields.Datetime(readonly=True, groups=fields.NO_ACCESS)
    cancel_requested = fields.Boolean(readonly=True)
    verification_requested_at = fields.Datetime(readonly=True)

    _fire_unique = models.UniqueIndex(
        "(job_id, database_name, scheduled_at) WHERE trigger = 'schedule'",
        "A fire of a job has one run for each database.",
    )
    _queue = models.Index("(scheduled_at, id) WHERE status = 'queued'")
    _active = models.Index("(instance_id) WHERE status IN ('queued', 'running')")
    _leased = models.Index("(lease_until) WHERE lease_token IS NOT NULL")
    _asked = models.Index("(id) WHERE verification_requested_at IS NOT NULL")
    _good = models.Index(
        "(instance_id, database_name, finished_at) WHERE status IN ('success', 'verified')"
    )

    # --- fields ---------------------------------------------------------------------------------

    @api.depends("error")
    def _compute_error_summary(self):
        for run in self:
            run.error_summary = " ".join((run.error or "").split())[:SUMMARY_LENGTH]

    @api.depends("database_name", "instance_id.name", "scheduled_at")
    def _compute_display_name(self):
        for run in self:
            database = run.database_name or run.instance_id.name
            moment = fields.Datetime.context_timestamp(run, run.scheduled_at or run.create_date)
            run.display_name = f"{database} {moment:%Y-%m-%d %H:%M}"

    # --- what people and scripts do -------------------------------------------------------------

    def cancel(self):
        """Stop queued runs at once and running ones within seconds; leave ended ones alone."""
        self._require_operator()
        for run in self.sudo().filtered(lambda run: run.status in ACTIVE):
            if run.status == "queued":
                run._mark_cancelled(self.env._("Cancelled by %(user)s.", user=self.env.user.name))
            else:
                run.cancel_requested = True
        return True

    def retry(self):
        """Queue failed, cancelled and skipped runs again, with a fresh count of attempts."""
        self._require_operator()
        again = ("failed", "cancelled", "skipped")
        for run in self.sudo():
            if run.status not in again:
                raise UserError(
                    self.env._(
                        "Only failed, cancelled and skipped runs can be tried again: %(run)s is "
                        "%(status)s.",
                        run=run.display_name,
                        status=run.status,
                    )
                )
            run._mark_queued_again()
        self.env["backup.dispatcher"]._wake()
        return True

    def verify(self):
        """Have the stored copies of the archives read again; the result comes on the run."""
        self._require_operator()
        for run in self.sudo():
            if not run.copy_ids._readable():
                raise UserError(
                    self.env._("%(run)s has no stored archive.", run=run.display_name)
                )
            run.verification_requested_at = fields.Datetime.now()
            run._log(self.env._("Verification asked for by %(user)s.", user=self.env.user.name))
        self.env["backup.dispatcher"]._wake()
        return True

    def pin(self):
        """Keep the archives for good, whatever the retention says."""
        self._require_operator()
        self.sudo().pinned = True
        return True

    def unpin(self):
        self._require_operator()
        self.sudo().pinned = False
        return True

    def _require_operator(self):
        """Allow what follows to Operators and Managers who may see these records."""
        self.check_access("read")
        operator = "backup_scheduler.group_backup_operator"
        if not self.env.su and not self.env.user.has_group(operator):
            raise AccessError(self.env._("Only Backup Operators and Managers can do this."))

    # --- making runs ----------------------------------------------------------------------------

    @api.model
    def _create_for(self, job, database_names, scheduled_at, trigger):
        """Make the runs of one fire; return them. One that exists already is not made again."""
        names = set(database_names)
        if trigger == "schedule":
            names -= self._names_of_fire(job, scheduled_at, trigger)
        overlapping = job.overlap_policy == "skip" and self._active_names(job)
        policy = self._policy_of(job)
        runs = self.sudo().create(
            [
                {
                    **policy,
                    "database_name": name,
                    "scheduled_at": scheduled_at,
                    "trigger": trigger,
                    "copy_ids": [
                        (0, 0, {"destination_id": destination.id})
                        for destination in job.destination_ids
                    ],
                }
                for name in sorted(names)
            ]
        )
        if overlapping:
            runs.filtered(lambda run: run.database_name in overlapping)._mark_skipped(
                "overlap", self.env._("The run before it was not done yet.")
            )
        return runs

    @api.model
    def _policy_of(self, job):
        return {
            "job_id": job.id,
            "job_name": job.name,
            "instance_id": job.instance_id.id,
            "archive_format": job.archive_format,
            "include_filestore": job.include_filestore,
            "wanted_level": job.verify_after_backup,
            "in_order": job.overlap_policy == "queue",
            "max_attempts": job.max_attempts,
            "retry_delay": job.retry_delay,
            "time_limit": job.time_limit,
        }

    @api.model
    def _names_of_fire(self, job, scheduled_at, trigger):
        if not job:
            # Deleted: its runs can no longer be told from those of other deleted ones.
            return set()
        domain = [
            ("job_id", "=", job.id),
            ("scheduled_at", "=", scheduled_at),
            ("trigger", "=", trigger),
        ]
        return set(self.sudo().search(domain).mapped("database_name"))

    @api.model
    def _active_names(self, job):
        domain = [("job_id", "=", job.id), ("status", "in", ACTIVE)]
        return set(self.sudo().search(domain).mapped("database_name"))

    @api.model
    def _last_good(self, databases):
        """Return ``{(instance id, database name): its newest good run}``, in one query."""
        if not databases:
            return {}
        self.flush_model(["instance_id", "database_name", "status", "finished_at"])
        self.env.cr.execute(
            """
            SELECT DISTINCT ON (instance_id, database_name) id
              FROM backup_run
             WHERE status IN %s AND instance_id IN %s AND database_name IN %s
             ORDER BY instance_id, database_name, finished_at DESC
            """,
            (GOOD, tuple(databases.instance_id.ids), tuple(set(databases.mapped("name")))),
        )
        runs = self.browse(row[0] for row in self.env.cr.fetchall())
        return {(run.instance_id.id, run.database_name): run for run in runs}

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
