import datetime
import logging

from odoo import api, fields, models
from odoo.exceptions import UserError

from ...engine.naming import NAME_LIMIT, UNSAFE, safe_name
from ...engine.reading import moment_of
from .. import arguments
from ..arguments import one_record
from ..backup_message import MessageText
from ..task.kinds import REQUESTED
from .backup_run import ACTIVE

_logger = logging.getLogger(__name__)

# A destination that is down is asked again to forget an abandoned archive after this; one that has
# been for long, less and less often: it may be gone for good, or let nobody delete.
DISCARD_PAUSE, DISCARD_PAUSE_LIMIT = datetime.timedelta(minutes=15), datetime.timedelta(days=1)
# A copy that failed is tried again from another copy: minutes before the first time, doubled each
# time up to the limit, and no more after so many attempts.
MEGABYTE = 10**6
RETRY_DELAY, RETRY_DELAY_LIMIT, RETRY_ATTEMPTS = 5, 6 * 60, 12


class BackupCopy(models.Model):
    """One archive in one destination.

    The path is decided, and recorded, before the first byte is written there: whatever happens to
    the process that writes, what it may have left can be found again.
    """

    _name = "backup.copy"
    _description = "Backup Copy"
    _inherit = ["backup.message.mixin"]
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
    size = fields.Float(readonly=True, help="Bytes at rest; of an encrypted copy some more.")
    sha256 = fields.Char(
        "SHA-256",
        readonly=True,
        help="Of the bytes at rest: for an encrypted copy not that of the archive.",
    )
    version = fields.Char(
        readonly=True, help="What the destination calls this very object, where it keeps versions."
    )
    immutable_until = fields.Datetime(
        readonly=True, help="Until then the destination lets nobody delete it: retention waits."
    )
    encryption = fields.Selection(
        [("age", "age")], readonly=True, help="Empty: the archive lies there as it is."
    )
    stored_at = fields.Datetime("Stored", readonly=True)
    tried_at = fields.Datetime(
        readonly=True, help="When reading it again was last tried, whatever came of it."
    )
    read_at = fields.Datetime(
        "Last Read", readonly=True, help="When the copy was last read again, from end to end."
    )
    checked_at = fields.Datetime(
        readonly=True, help="When the copy was stored or last read, whichever is later."
    )
    reading_requested = fields.Boolean(readonly=True)
    deletion_requested_at = fields.Datetime("To Be Deleted", readonly=True)
    deletion_reason = fields.Char(readonly=True)
    deleted_by_retention = fields.Boolean(readonly=True)
    error_code = fields.Char(readonly=True)
    error = MessageText(readonly=True)
    error_message = fields.Json(readonly=True, prefetch=False)
    attempt = fields.Integer(readonly=True)
    next_attempt_at = fields.Datetime("Next Attempt", readonly=True)
    discard_at = fields.Datetime(
        "Clean-Up Due",
        readonly=True,
        help="An attempt that failed or was lost may have left something in the destination. The "
        "path stays recorded until another attempt has replaced it or its removal is confirmed.",
    )
    can_retry = fields.Boolean(compute="_compute_can_retry")

    _path_unique = models.UniqueIndex(
        "(destination_id, path) WHERE path IS NOT NULL",
        "Two archives cannot have the same place in a destination.",
    )
    _unfinished = models.Index("(run_id) WHERE status = 'uploading'")
    _oldest_read = models.Index("(destination_id, checked_at) WHERE status = 'stored'")
    _lately_tried = models.Index("(destination_id, tried_at) WHERE tried_at IS NOT NULL")

    @api.depends("destination_id.name", "path")
    def _compute_display_name(self):
        for copy in self:
            names = (copy.destination_id.name, copy.path)
            copy.display_name = ": ".join(filter(None, names))

    @api.depends("status", "run_id.stored_copies")
    def _compute_can_retry(self):
        for copy in self:
            # Where the run stored nothing there is nothing to copy: the run is to be retried.
            copy.can_retry = copy.status == "failed" and bool(copy.run_id.stored_copies)

    # --- what people and scripts do -------------------------------------------------------------

    def retry(self):
        """Bring copies that failed to their destination after all, from another copy."""
        self.run_id._require_operator()
        for copy in self.sudo():
            copy._require_another_copy()
            copy.write({"attempt": 0, "next_attempt_at": fields.Datetime.now()})
        self.sudo().run_id._plan_tasks()
        return True

    def _require_another_copy(self):
        if self.status != "failed":
            raise UserError(
                self.env._(
                    "%(path)s: only copies that failed can be retried.", path=self._name_it()
                )
            )
        if not self.run_id.copy_ids._whole():
            raise UserError(
                self.env._(
                    "%(path)s: there is no other copy to take it from. Retry the run.",
                    path=self._name_it(),
                )
            )

    @arguments.accepts(level=arguments.plain, identity=arguments.text)
    def verify(self, level=None, identity=None):
        """Have these copies read again, and no others of their runs: see ``backup.run.verify``."""
        for run in self.run_id:
            run._request_verification(self & run.copy_ids, level, identity, REQUESTED)
        return True

    @one_record
    def action_open_run(self):
        """Show the run whose archive this is: all that can be done with a copy is done there."""
        return self.run_id.get_formview_action()

    @one_record
    def action_download(self):
        """Open the archive's download, for Managers."""
        return {
            "type": "ir.actions.act_url",
            "url": f"/backup_scheduler/download/{self.id}",
            "target": "download",
        }

    # --- being tried again, and deleted ---------------------------------------------------------

    def _postpone_discard(self, error):
        """What a lost attempt may have left could not be removed now."""
        now = fields.Datetime.now()
        for copy in self:
            age = now - (copy.run_id.finished_at or copy.run_id.create_date)
            copy.discard_at = now + min(max(DISCARD_PAUSE, age / 2), DISCARD_PAUSE_LIMIT)
        self.filtered(lambda copy: copy.status == "uploading").error = error

    def _postpone(self, error):
        """The destination could not do it now: it is asked again later."""
        self.write(
            {
                "error": error,
                "next_attempt_at": fields.Datetime.now() + DISCARD_PAUSE,
            }
        )

    def _postpone_retry(self):
        """Set when a copy that failed is tried again, or that it is not."""
        for copy in self:
            again = 0 < copy.attempt < RETRY_ATTEMPTS
            minutes = min(RETRY_DELAY * 2 ** max(copy.attempt - 1, 0), RETRY_DELAY_LIMIT)
            pause = datetime.timedelta(minutes=minutes)
            copy.next_attempt_at = again and fields.Datetime.now() + pause

    def _request_deletion(self, reason, by_retention=True):
        """Have what lies in the destinations removed by the next executor, good or not.

        What a person has put on the list is theirs; what the retention has, anybody may take over.
        """
        copies = self.filtered(
            lambda copy: copy.path
            and (
                not copy.deletion_requested_at
                or (copy.deleted_by_retention and not by_retention)
            )
        )
        copies.write(
            {
                "deletion_requested_at": fields.Datetime.now(),
                "deletion_reason": reason,
                "deleted_by_retention": by_retention,
                "next_attempt_at": False,
            }
        )
        copies.run_id._plan_tasks()

    def _of_strangers(self):
        """Return the copies that were imported from where another company's destination lies: what
        they name may be an archive of that company."""
        imported = self.filtered(lambda copy: copy.path and copy.run_id.catalogue_owner)
        strange = imported.destination_id.filtered(
            lambda destination: destination._is_shared_with_strangers()
        )
        return imported.filtered(lambda copy: copy.destination_id in strange)

    def _withdraw_deletion(self, by_anybody=False):
        """Keep after all what the retention has put on the list.

        :param by_anybody: also what a person has put there
        """
        copies = self.filtered(
            lambda copy: copy.deletion_requested_at and (by_anybody or copy.deleted_by_retention)
        )
        copies.write(
            {
                "deletion_requested_at": False,
                "deletion_reason": False,
                "deleted_by_retention": False,
                "next_attempt_at": False,
            }
        )
        copies.run_id._plan_tasks()

    @api.model
    def _record_renewed(self, event):
        """Store what the destination of a copy has renewed, whatever becomes of the work."""
        if destination := self.browse(event["id"]).exists().destination_id:
            destination._keep_changed_settings(event["changed_settings"])

    # --- downloads ------------------------------------------------------------------------------

    def _download_name(self):
        """Return a file name that says what it is: ``shop_2026-11-20T02-00-00Z.zip.age``."""
        name = UNSAFE.sub("_", self.path.rpartition("/")[2])
        return f"{safe_name(self.run_id.database_name)}_{name[-NAME_LIMIT:]}"

    def _log_request(self, address, start, size):
        """Write down one request of a download, which may be one of many for parts of it."""
        _logger.info(
            "Backup download request: %s bytes from %s of %r by %s, to %s",
            size, start, self.path, self.env.user.login, address,
        )  # fmt: skip

    def _log_download(self, address):
        """Whoever has an archive has all that a company has: who took one is written down."""
        text = self.env._(
            "%(user)s downloaded %(path)s from %(destination)s, to %(address)s.",
            user=self.env.user.name,
            path=self.path,
            destination=self.destination_id.name,
            address=address,
        )
        _logger.info("Backup download: %s", text)
        self.run_id._log(text)
        self.run_id.instance_id.message_post(body=text)

    # --- which of them --------------------------------------------------------------------------

    def _readable(self):
        """Return the copies of which there should be something to read."""
        return self.filtered(lambda copy: copy.path and copy.status in ("stored", "failed"))

    def _whole(self):
        """Return the copies that another one can be made from, plain ones first."""
        stored = self.filtered(lambda copy: copy.status == "stored")
        return stored.sorted(lambda copy: (bool(copy.encryption), copy.destination_id.sequence))

    def _is_to_be_read(self):
        return self.reading_requested and bool(self._readable())

    def _is_to_be_deleted(self):
        there = bool(self.path) and self.status in ("stored", "failed")
        return there and bool(self.deletion_requested_at)

    def _deletion_moment(self):
        """Return when it is deleted: at once, after a pause, or when its lock ends."""
        moment = self.next_attempt_at or self.deletion_requested_at
        return max(moment, self.immutable_until) if self.immutable_until else moment

    def _is_unwritten(self):
        """Return whether nothing of it can be in the destination: no byte is written without its
        path being recorded."""
        begun = self.status == "uploading" and self.path
        return self.status in ("pending", "uploading") and not begun and not self.discard_at

    def _is_to_be_discarded(self):
        """Return whether a lost attempt may have left something, of a run that has ended, that no
        further attempt will replace."""
        if not self.path or self.run_id.status in ACTIVE or self._of_strangers():
            return False
        if self.status == "uploading":
            return self.run_id.status in ("failed", "cancelled")
        return (
            self.status in ("pending", "failed")
            and bool(self.discard_at)
            and not self.deletion_requested_at
            and not self._is_awaited()
        )

    def _is_awaited(self):
        """Return whether the archive is still to come here, or something here may be all there is
        of it: a stored copy that was damaged since, without a whole one elsewhere."""
        has_source = bool(self.run_id.copy_ids._whole())
        return self._is_to_be_copied() if has_source else bool(self.stored_at)

    def _discard_moment(self):
        return self.discard_at or self.run_id.finished_at or self.run_id.create_date

    def _is_to_be_copied(self):
        missing = self.status in ("failed", "pending") and not self.deletion_requested_at
        return missing and bool(self.next_attempt_at)

    def _copying_moment(self):
        """Return when it is made: when it is due, or its destination opens after that."""
        return self.destination_id._opens_at(self.next_attempt_at)

    def _fit_to_recipients(self):
        """Return the copy to be made: another one, under another name, where the destination has
        begun or ceased to encrypt. What may lie under the old name goes."""
        encrypted = bool(self.destination_id._recipients())
        if not self.path or encrypted == self.path.endswith(".age"):
            return self
        self.write({"status": "failed", "next_attempt_at": False})
        self._request_deletion(self.env._("The destination's encryption was changed."))
        return self.create({"run_id": self.run_id.id, "destination_id": self.destination_id.id})

    # --- orders ---------------------------------------------------------------------------------

    def _name_it(self):
        return self.path or self.destination_id.name

    def _engine_orders(self):
        """Return the copies as an engine order names them."""
        return [
            {
                "id": copy.id,
                **copy.destination_id._engine_order(),
                "archive_path": copy.path,
                "encryption": copy.encryption or "",
                "stored_size": copy.size,
                "stored_sha256": copy.sha256 or "",
                "version": copy.version or "",
                "bytes_per_second": int(copy.destination_id.speed_limit * MEGABYTE),
                "recipients": copy.destination_id._recipients(),
            }
            for copy in self
        ]


def parse_moment(text):
    """Return the moment that an ISO text names, as Odoo keeps it; False for none."""
    if not (moment := moment_of(text)):
        return False
    return moment.astimezone(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)
