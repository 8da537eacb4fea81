import contextlib
import itertools
import os

from odoo import api, fields, models, tools
from odoo.exceptions import ValidationError
from odoo.tools import LazyTranslate

from ...engine import messages
from ...engine.encryption import check_recipients
from ...engine.errors import BackupError, KindMissing
from ...engine.messages import joined
from ...engine_call import failure_in
from ..arguments import one_record
from ..backup_message import MessageText, all_translated, reason_of

_lt = LazyTranslate(__name__)
SHARED = messages._(
    "Another destination lies at the same place, inside it, or above it. Each can import the "
    "archives of the other: archive or delete one of them, and use the other."
)

# Seconds that a person waits before a form, and that slow storage takes for a small file.
CHECK_TIME_LIMIT = 180


class BackupDestination(models.Model):
    _name = "backup.destination"
    _description = "Backup Destination"
    _inherit = [
        "mail.thread", "backup.kind.mixin", "backup.check.mixin", "backup.company.mixin",
        "backup.message.mixin",
    ]  # fmt: skip
    _order = "sequence, name, id"

    name = fields.Char(required=True, tracking=True)
    sequence = fields.Integer(default=10)
    company_id = fields.Many2one(
        "res.company",
        default=lambda self: self._default_company(),
        index=True,
        help="Only users of this company see the destination; left empty, all do. Only who may "
        "decide for all companies can leave it empty.",
    )
    active = fields.Boolean(default=True, tracking=True)
    path = fields.Char(
        "Folder",
        tracking=True,
        default=lambda self: self._default_path(),
        help="An absolute path that the user who runs Odoo may write to. Archives lie in it as "
        "instance/database/time.zip, each with a JSON file that describes it.",
    )
    speed_limit = fields.Float(
        tracking=True, help="Megabytes a second that uploads there may take; 0: no limit."
    )
    recipients = fields.Text(
        "Encrypt For",
        tracking=True,
        help="age recipients (public keys, age1…), one a line. Archives are then stored encrypted, "
        "and only who has one of their identities (secret keys) can open them: this server "
        "cannot. Empty: archives are stored as they are.",
    )
    check_status = fields.Selection(
        [("ok", "Usable"), ("error", "Failing")],
        readonly=True,
        copy=False,
        # Odoo finds it for translation only in such a call.
        # pylint: disable-next=translation-field
        falsy_value_label=_lt("Not Checked"),
    )
    check_error = MessageText(readonly=True, copy=False)
    check_error_message = fields.Json(readonly=True, copy=False, prefetch=False)
    check_warnings = MessageText(readonly=True, copy=False)
    check_warnings_message = fields.Json(readonly=True, copy=False, prefetch=False)
    may_read = fields.Boolean(default=True, readonly=True, copy=False)
    may_delete = fields.Boolean(default=True, readonly=True, copy=False)
    offered_host_key = fields.Char(readonly=True, copy=False)
    offered_fingerprint = fields.Char(readonly=True, copy=False)
    last_check_at = fields.Datetime("Last Check", readonly=True, copy=False)
    copy_ids = fields.One2many("backup.copy", "destination_id")
    copy_count = fields.Integer(compute="_compute_copy_totals")
    copy_size = fields.Float(
        "Stored", compute="_compute_copy_totals", help="Bytes of the archives stored here."
    )

    _check_results = (
        "check_status", "check_error", "offered_host_key", "offered_fingerprint",
    )  # fmt: skip

    _speed_limit_positive = models.Constraint(
        "CHECK(speed_limit >= 0)", "Speed Limit: enter 0 (no limit) or more megabytes a second."
    )

    @api.model
    def _default_path(self):
        """Return a folder below Odoo's data that no other destination has."""
        root = os.path.join(tools.config["data_dir"], "backup_scheduler", "archives")
        path = os.path.join(root, self.env.cr.dbname)
        folders = self.sudo().with_context(active_test=False).search([("kind", "=", "local")])
        taken = set(folders.mapped("path"))
        # No database has such a name, whose own folder it would be.
        names = itertools.chain([path], (f"{path}~{number}" for number in itertools.count(2)))
        return next(name for name in names if name not in taken)

    def _compute_copy_totals(self):
        totals = {
            destination: (count, size)
            for destination, count, size in self.env["backup.copy"]._read_group(
                [("destination_id", "in", self.ids), ("status", "=", "stored")],
                ["destination_id"],
                ["__count", "size:sum"],
            )
        }
        for destination in self:
            destination.copy_count, destination.copy_size = totals.get(destination, (0, 0))

    @api.constrains("recipients")
    def _check_recipients(self):
        for destination in self:
            destination._require_usable_recipients()

    @api.constrains("kind", "active", "all_machines")
    def _check_all_machines(self):
        if self.env["backup.dispatcher"]._is_distributed():
            self.filtered("active")._require_on_all_machines()

    def _require_on_all_machines(self):
        """Raise ValidationError where one of them is another place on each machine."""
        if names := self.sudo().filtered(lambda one: one._is_of_one_machine()).mapped("name"):
            raise ValidationError(
                self.env._(
                    "Where queue_job makes the backups, each machine would use a folder of its own "
                    "as %(names)s. If all machines have that folder (as a share, or because there "
                    "is only one machine), tick “%(label)s” on its form; otherwise use another "
                    "destination and archive this one.",
                    names=", ".join(f"“{name}”" for name in names),
                    label=self._fields["all_machines"]._description_string(self.env),
                )
            )

    def _is_of_one_machine(self):
        """Return whether another machine has another place under the same settings."""
        try:
            return self._kind_class().is_of_one_machine(self._settings(secrets=False))
        except KindMissing:
            return False

    def _require_usable_recipients(self):
        if not self._recipients():
            return
        try:
            check_recipients(self._recipients())
        except BackupError as error:
            raise ValidationError(
                self.env._(
                    "Encrypt For: %(error)s %(hint)s", **reason_of(error, self.env.lang)
                )
            ) from error

    def _recipients(self):
        """Return the age recipients as the engine takes them; none: no encryption."""
        self.ensure_one()
        lines = (line.split("#")[0].strip() for line in (self.recipients or "").splitlines())
        return [line for line in lines if line]

    @one_record
    def check(self):
        """Write, read back and delete a marker in the destination.

        :return: ``{ok, error_code, error, hint, warnings}``; what may not be done there, other than
            writing, is no error but a warning
        """
        self.check_access("read")
        self.env["backup.run"]._require_operator()
        answer = {"ok": True, "error_code": False, "error": False, "hint": False, "warnings": []}
        found, failure = self._checked()
        if failure:
            answer.update(ok=False, **failure)
            self._record_refused_check(failure)
        else:
            answer["warnings"] = [*found.get("warnings", ()), *self._own_warnings()]
            self._record_check(found, answer["warnings"])
        return all_translated(answer, self.env.lang)

    def _checked(self):
        """Check the destination in an engine process; return what was found there, and the failure
        (``error_code error hint`` and details) or nothing. What it renews meanwhile is stored."""
        *_others, last = self._ask_place("check", CHECK_TIME_LIMIT)
        if last["event"] == "failed":
            return {}, failure_in(last)
        return last["found"] or {}, {}

    def _ask_place(self, action, time_limit, **order):
        """Return the events of an order about this destination; what it renews is stored."""
        order.update(action=action, destination={"id": self.id, **self._engine_order()})
        events = self._call_engine(order, time_limit)
        for event in events:
            if event["event"] == "renewed":
                self._keep_changed_settings(event["changed_settings"])
        return events

    def _record_check(self, found, warnings):
        rights = found.get("rights") or {}
        self.sudo()._keep_values({name: value for name, value in found.items() if value})
        self.sudo().write(
            {
                "may_read": rights.get("read", True),
                "may_delete": rights.get("delete", True),
                "check_status": "ok",
                "check_error": False,
                "check_warnings": joined("\n", warnings) or False,
                "offered_host_key": False,
                "offered_fingerprint": False,
                "last_check_at": fields.Datetime.now(),
            }
        )

    def _record_refused_check(self, failure):
        self.sudo().write(
            {
                "check_status": "error",
                "check_error": joined("\n", (failure["error"], failure["hint"])),
                "check_warnings": False,
                "offered_host_key": failure.get("host_key", False),
                "offered_fingerprint": failure.get("fingerprint", False),
                "last_check_at": fields.Datetime.now(),
            }
        )

    def _own_warnings(self):
        """Return what only this server can know of the place."""
        return [*([SHARED] if self._overlapping() else []), *self._warnings_of_disk()]

    def _warnings_of_disk(self):
        if self.kind != "local":
            return []
        with contextlib.suppress(OSError):
            if os.stat(self.path).st_dev == os.stat(tools.config["data_dir"]).st_dev:
                return [
                    messages._(
                        "The folder is on the same disk as Odoo's data: the loss of this server is "
                        "the loss of the archives."
                    )
                ]
        return []

    @one_record
    def action_accept_host_key(self):
        """Take the key that the server has shown for its own, and check it."""
        self.sftp_host_key = self.offered_host_key
        return self.action_check()

    @one_record
    def action_accept_folder(self):
        """Take the folder that is there now for the destination, and check it."""
        kept = self.kept_values
        self.kept_values = False
        notification = self.action_check()
        if self.check_status != "ok":
            # Nothing was there that could be accepted.
            self.kept_values = kept
        return notification

    def action_check(self):
        answer = self.check()
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "title": self.env._("The destination can be used")
                if answer["ok"]
                else answer["error"],
                "message": answer["hint"] or "\n".join(answer["warnings"]),
                "type": self._notification_type(answer),
                "sticky": not answer["ok"] or bool(answer["warnings"]),
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    @one_record
    def action_open_copies(self):
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "backup_scheduler.backup_copy_action"
        )
        action["domain"] = [("destination_id", "=", self.id)]
        return action

    @staticmethod
    def _notification_type(answer):
        if not answer["ok"]:
            return "danger"
        return "warning" if answer["warnings"] else "success"
