from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.tools import LazyTranslate

from ...engine import messages
from ...engine.archive.levels import BY_READING, LEVELS
from ..backup_message import MessageJson, MessageText
from ..task.backup_task import STAGES
from ..task.kinds import ATTEMPTS

_lt = LazyTranslate(__name__)
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
VERIFICATION_LEVELS = [(str(number), f"{number} – {each.name}") for number, each in LEVELS.items()]
# What a run can be asked to reach before its archive is stored.
LEVELS_AFTER_BACKUP = [each for each in VERIFICATION_LEVELS if int(each[0]) in BY_READING]
GOOD = ("success", "verified")
ACTIVE = ("queued", "running")
# Those whose archive was stored.
ARCHIVED = (*GOOD, "verify_failed")
# What else is needed to count as the last good archive of a database: to have been made, or
# verified, here.
KNOWN_HERE = ("unverified_import", "=", False)
# What of its tasks is seen on a run.
SEEN_ON_RUN = tuple(
    f"task_ids.{name}"
    for name in (
        "kind", "lease_token", "due_at", "stage", "progress", "received", "cancel_requested",
        "requested_at",
    )
)  # fmt: skip
SUMMARY_LENGTH = 160


def search_at_work(name):
    """Return how runs are searched by a field of the task that is at work for them."""

    def search(runs, operator, value):
        at_work = [("begun_at", "!=", False)]
        if operator == "in" and False in value:
            return [("task_ids", "not any", [*at_work, (name, "!=", False)])]
        if operator.startswith("not"):
            return NotImplemented
        return [("task_ids", "any", [*at_work, (name, operator, value)])]

    return search


class BackupRun(models.Model):
    """The backup of one database for one fire, with its attempts.

    A run carries the policy under which it was planned, so that it goes on in its own terms when
    its job is changed or deleted. Its status changes only through the ``_mark_*`` methods.
    """

    _name = "backup.run"
    _description = "Backup Run"
    _inherit = ["backup.message.mixin"]
    _order = "scheduled_at desc, id desc"

    job_id = fields.Many2one("backup.job", readonly=True, index=True, ondelete="set null")
    job_name = fields.Char(readonly=True)
    instance_id = fields.Many2one(
        "backup.instance", required=True, readonly=True, index=True, ondelete="restrict"
    )
    company_id = fields.Many2one(
        related="instance_id.company_id", store=True, index=True, precompute=True
    )
    database_name = fields.Char(
        "Database",
        readonly=True,
        default="",
        # The name of a group of runs; Odoo finds it for translation only in such a call.
        # pylint: disable-next=translation-field
        falsy_value_label=_lt("Database not known"),
        help="Empty while the server has not yet been asked for its databases.",
    )
    trigger = fields.Selection(
        [("schedule", "Schedule"), ("manual", "Manual")], required=True, readonly=True
    )
    scheduled_at = fields.Datetime("Due", required=True, readonly=True, index=True)
    started_at = fields.Datetime("Started", readonly=True, help="When the last attempt began.")
    finished_at = fields.Datetime("Finished", readonly=True)
    duration = fields.Float(
        readonly=True, aggregator="avg", help="Seconds that the last attempt took."
    )
    status = fields.Selection(
        STATUSES,
        required=True,
        readonly=True,
        default="queued",
        help="Success: the complete archive is stored. Verified: it was read to its end, to the "
        "level shown, before it was stored.",
    )
    attempt = fields.Integer(readonly=True, aggregator=None)
    size = fields.Float(readonly=True, aggregator="avg", help="Bytes of the archive.")
    sha256 = fields.Char("SHA-256", readonly=True)
    error_code = fields.Char(readonly=True)
    error = MessageText(readonly=True)
    error_message = fields.Json(readonly=True, prefetch=False)
    hint = MessageText(readonly=True)
    hint_message = fields.Json(readonly=True, prefetch=False)
    error_summary = fields.Char(compute="_compute_error_summary")
    traceback = fields.Text(readonly=True)
    log = fields.Text(readonly=True)
    verification_level = fields.Selection(
        VERIFICATION_LEVELS,
        readonly=True,
        help="How far the archive was checked when it was last read.",
    )
    verified_at = fields.Datetime("Last Read", readonly=True)
    verification_report = MessageJson(readonly=True)
    verification_report_message = fields.Json(readonly=True, prefetch=False)
    finding_message = fields.Json(readonly=True, prefetch=False)
    finding = MessageJson(
        readonly=True,
        help="What was found wrong with an archive that is the one which was stored, and at which "
        "level: it counts until a reading of at least that level finds it no more.",
    )
    drilled_at = fields.Datetime(
        "Last Restore Drill",
        readonly=True,
        help="When this archive was last restored into a scratch database.",
    )
    drill_requested_at = fields.Datetime(readonly=True)
    undetermined_message = fields.Json(readonly=True, prefetch=False)
    undetermined = MessageJson(
        readonly=True,
        help="Why the last restore drill of the archive came to no result on this server: nothing "
        "is known by it about the archive, and the drill is still to be done.",
    )
    warning = fields.Text(readonly=True, help="What is odd about an archive that is good.")
    missed_since = fields.Datetime(
        readonly=True,
        help="Of a run that also stands for fires which were missed before it: the first of them.",
    )
    odoo_version = fields.Char(readonly=True)
    pinned = fields.Boolean(readonly=True, help="A pinned archive is never deleted.")
    copy_ids = fields.One2many("backup.copy", "run_id")
    stored_copies = fields.Integer(
        compute="_compute_stored_copies", store=True, help="Destinations that have the archive."
    )
    restore_ids = fields.One2many("backup.restore", "run_id")
    catalogue_owner = fields.Char(
        readonly=True,
        copy=False,
        index="btree_not_null",
        help="Of an imported archive: the run that made it, as the JSON beside the archive says.",
    )

    unverified_import = fields.Selection(
        [("signed", "Imported"), ("unsigned", "Imported without a Signature")],
        readonly=True,
        copy=False,
        help="An imported archive that was not verified here yet: it does not count as the last "
        "good backup. Without a signature of this installation, somebody else may have put it "
        "there.",
    )

    # The policy under which the run was planned.
    archive_format = fields.Selection([("zip", "Zip"), ("dump", "Dump")], readonly=True)
    include_filestore = fields.Boolean(readonly=True)
    wanted_level = fields.Selection(LEVELS_AFTER_BACKUP, readonly=True)
    in_order = fields.Boolean(readonly=True)
    single_database = fields.Boolean(
        readonly=True,
        help="The run was requested for its database alone: databases that appear on the server "
        "get no run with it.",
    )
    max_attempts = fields.Integer(readonly=True, aggregator=None)
    retry_delay = fields.Integer(readonly=True, aggregator=None, help="Minutes.")
    time_limit = fields.Integer(readonly=True, aggregator=None, help="Minutes; 0 for no limit.")

    # What an executor does, or is to do, for it.
    task_ids = fields.One2many("backup.task", "run_id")
    work = fields.Selection(
        lambda self: self.env["backup.task"]._fields["kind"]._description_selection(self.env),
        compute="_compute_tasks",
        compute_sudo=True,
        help="What is being done with the archive now.",
    )
    stage = fields.Selection(
        STAGES, compute="_compute_tasks", compute_sudo=True, search=search_at_work("stage")
    )
    progress = fields.Float(
        compute="_compute_tasks",
        compute_sudo=True,
        search=search_at_work("progress"),
        aggregator=None,
        help="Percent of the expected size that is through.",
    )
    received = fields.Float(
        compute="_compute_tasks",
        compute_sudo=True,
        search=search_at_work("received"),
        aggregator=None,
        help="Bytes received so far.",
    )
    cancel_requested = fields.Boolean(compute="_compute_tasks", compute_sudo=True)
    retry_at = fields.Datetime("Next Attempt", compute="_compute_tasks", compute_sudo=True)
    verification_requested_at = fields.Datetime(
        compute="_compute_tasks",
        compute_sudo=True,
        search="_search_verification_requested_at",
    )

    _fire_unique = models.UniqueIndex(
        "(job_id, scheduled_at, database_name) WHERE trigger = 'schedule'",
        "A fire of a job has one run for each database.",
    )
    _active = models.Index("(instance_id) WHERE status IN ('queued', 'running')")
    _sizes = models.Index(
        "(instance_id, database_name, archive_format, finished_at DESC) "
        "WHERE status IN ('success', 'verified')"
    )
    _good = models.Index(
        "(instance_id, database_name, finished_at) WHERE status IN ('success', 'verified')"
    )

    # --- fields ---------------------------------------------------------------------------------

    @api.depends("error")
    @api.depends_context("lang")
    def _compute_error_summary(self):
        for run in self:
            told = run._translated("error") or ""
            run.error_summary = " ".join(told.split())[:SUMMARY_LENGTH]

    @api.depends("copy_ids.status")
    def _compute_stored_copies(self):
        for run in self:
            stored = run.copy_ids.filtered(lambda copy: copy.status == "stored")
            run.stored_copies = len(stored)

    @api.depends("status", "scheduled_at", *SEEN_ON_RUN)
    def _compute_tasks(self):
        for run in self:
            task = run._task_at_work()
            is_attempt = task.kind in ATTEMPTS
            run.work = not is_attempt and task.kind
            run.stage = task.stage
            run.progress = task.progress if task else 100 * (run.status in ARCHIVED)
            run.received = task.received
            run.cancel_requested = task.cancel_requested
            waiting = run._attempt_task() if run.status == "queued" else task.browse()
            is_later = waiting and waiting.due_at > run.scheduled_at
            run.retry_at = is_later and waiting.due_at
            verification = run.task_ids.filtered(lambda task: task.kind == "verify")
            run.verification_requested_at = verification.requested_at

    def _search_verification_requested_at(self, operator, value):
        if operator == "in" and False in value:
            return [("task_ids", "not any", [("kind", "=", "verify")])]
        if operator.startswith("not"):
            return NotImplemented
        requested = [("kind", "=", "verify"), ("requested_at", operator, value)]
        return [("task_ids", "any", requested)]

    @api.depends("database_name", "instance_id.name", "scheduled_at")
    def _compute_display_name(self):
        for run in self:
            database = run.database_name or run.instance_id.name
            moment = fields.Datetime.context_timestamp(run, run.scheduled_at or run.create_date)
            run.display_name = f"{database} {moment:%Y-%m-%d %H:%M}"

    # --- what people and scripts do -------------------------------------------------------------

    def cancel(self):
        """Stop queued runs at once and running ones within seconds; leave ended ones alone, but
        for what is being done with their archives right now."""
        self._require_operator()
        queued = self.sudo().filtered(lambda run: run.status == "queued")
        held = (self.sudo() - queued)._task_at_work()
        if held.restore_id:
            self._require_manager()
        for run in queued:
            run._mark_cancelled(messages._("Cancelled by %(user)s.", user=self.env.user.name))
        held._request_cancel()
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

    def pin(self):
        """Keep the archives for good, whatever the retention says."""
        self._require_operator()
        if deleted := self.sudo().filtered(lambda run: run.work == "delete"):
            raise UserError(
                self.env._("%(run)s is being deleted right now.", run=deleted[0].display_name)
            )
        self.sudo().pinned = True
        self.sudo().copy_ids._withdraw_deletion(by_anybody=True)
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

    def _require_manager(self):
        """Allow what follows to Managers who may see these records."""
        self.check_access("read")
        if not self.env.su and not self.env.user.has_group("backup_scheduler.group_backup_manager"):
            raise AccessError(self.env._("Only Backup Managers can do this."))
        self.instance_id._require_sharing()
