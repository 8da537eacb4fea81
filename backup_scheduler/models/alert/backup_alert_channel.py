import datetime

from lxml import etree

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from ...engine.channels import KINDS
from ...engine.channels.base import Address
from ...engine.channels.post import ADDRESS
from ...engine.errors import BackupError, KindMissing
from ...engine.messages import joined
from ...engine.notify import NOTICE_LIMIT
from ...engine_call import failure_in
from ..arguments import one_record
from ..backup_kind_mixin import secret_field
from ..backup_message import MessageText, translated
from .backup_alert_channel_kinds import channel_fields, field_of, host_field, host_name

TOGGLES = {
    "failed": "on_failed",
    "verify_failed": "on_verify_failed",
    "late": "on_late",
}
# Seconds in which an engine process has started, also on a busy machine.
STARTING = 10


class BackupAlertChannel(models.Model):
    """A way in which people hear of incidents: who, of what, and until when not."""

    _name = "backup.alert.channel"
    _description = "Backup Alert Channel"
    _inherit = [
        "mail.thread", "backup.kind.mixin", "backup.company.mixin", "backup.message.mixin",
    ]  # fmt: skip
    _order = "sequence, name, id"

    name = fields.Char(required=True, tracking=True)
    sequence = fields.Integer(default=10)
    active = fields.Boolean(default=True, tracking=True)
    _kinds = KINDS
    for _kind in KINDS.names():
        vars().update(channel_fields(KINDS, _kind))
    del _kind

    kind = fields.Selection(
        selection="_kind_selection", required=True, default="mail", tracking=True
    )
    company_id = fields.Many2one(
        "res.company",
        default=lambda self: self.env.company,
        index=True,
        help="Only of instances of this company; left empty, of all. Only who may decide for all "
        "companies can leave it empty.",
    )
    user_ids = fields.Many2many(
        "res.users",
        string="Users",
        domain=lambda self: [
            ("all_group_ids", "in", self.env.ref("backup_scheduler.group_backup_user").ids)
        ],
        help="Who gets it. Empty: all Backup Managers. Nobody hears of instances of a company that "
        "is not among theirs.",
    )
    instance_ids = fields.Many2many(
        "backup.instance", string="Instances", help="Only of these. Empty: of all."
    )
    job_ids = fields.Many2many("backup.job", string="Jobs", help="Only of these. Empty: of all.")
    on_failed = fields.Boolean(
        "A Backup Fails", default=True, tracking=True, help="After its last attempt."
    )
    on_verify_failed = fields.Boolean(
        "An Archive Is Not Good",
        default=True,
        tracking=True,
        help="A verification, or a restore drill, found something wrong with an archive.",
    )
    on_late = fields.Boolean(
        "A Backup Is Late",
        default=True,
        tracking=True,
        help="The last good archive of a database is older than its jobs promise, also when "
        "nothing ran at all.",
    )
    on_recovery = fields.Boolean(
        "It Is Over", default=True, tracking=True, help="What was told of is good again."
    )
    muted_until = fields.Datetime(
        tracking=True, help="Until then nothing is sent; after it, what is still wrong."
    )
    weekly_digest = fields.Boolean(
        tracking=True, help="Every Monday, a mail on how all instances stand and what the week was."
    )
    url = secret_field("url", ADDRESS)
    url_sealed = fields.Char(groups=fields.NO_ACCESS, copy=False)
    has_url = fields.Boolean(
        "Address Stored", compute="_compute_stored_secrets", compute_sudo=True
    )
    url_host = host_field(ADDRESS)
    sent_to = fields.Char(compute="_compute_sent_to", compute_sudo=True)
    over_network = fields.Boolean(compute="_compute_over_network")
    last_sent_at = fields.Datetime("Last Sent", readonly=True, copy=False)
    last_error = MessageText(readonly=True, copy=False)
    last_error_message = fields.Json(readonly=True, copy=False, prefetch=False)
    status = fields.Selection(
        [("ok", "Working"), ("error", "Failing"), ("muted", "Muted"), ("new", "Not Used Yet")],
        compute="_compute_status",
        search="_search_status",
    )
    alert_ids = fields.One2many("backup.alert", "channel_id")
    alert_count = fields.Integer(compute="_compute_alert_count")

    # --- the kinds ------------------------------------------------------------------------------

    @api.model
    def _kind_selection(self):
        """Return the kinds of Odoo's own first."""
        network = {name: self._kinds.load(name).OVER_NETWORK for name in self._kind_names()}
        return sorted(super()._kind_selection(), key=lambda kind: network[kind[0]])

    @api.model
    def _settings_of(self, kind):
        return [(field_of(kind, each), each) for _name, each in super()._settings_of(kind)]

    def _settings(self, secrets=True):
        settings = super()._settings(secrets)
        for name, setting in self._settings_of(self.kind):
            if isinstance(setting, Address):
                settings[host_name(setting.name)] = self[host_name(name)] or ""
        return settings

    def _open_kind(self, secrets=True):
        return self._kind_class()(**self._settings(secrets))

    def _require_settings(self):
        """A channel may be saved before all is entered: it says what is missing when it sends."""

    def _lacks_secrets(self):
        return False

    def _store_secret(self, name, value):
        """Store a secret, and of an address where it leads."""
        (setting, *_same) = [one for _kind, other, one in self._all_settings() if other == name]
        value = (value or "").strip()
        if isinstance(setting, Address):
            value, place = self._accept(setting, value) if value else ("", False)
            self.sudo()[host_name(name)] = place
        return super()._store_secret(name, value)

    def _accept(self, setting, entered):
        try:
            return setting.accept(entered)
        except BackupError as error:
            reason = {"field": setting.label, "error": error.message, "hint": error.hint}
            raise ValidationError(
                self.env._("%(field)s: %(error)s %(hint)s", **reason).strip()
            ) from None

    @api.depends("kind")
    def _compute_over_network(self):
        for channel in self:
            channel.over_network = channel._is_over_network()

    def _is_over_network(self):
        try:
            return self._kind_class().OVER_NETWORK
        except KindMissing:
            # Whoever is to send it says so.
            return True

    @api.depends(
        lambda self: [
            "kind", *self._plain_names(),
            *{host_name(name) for _kind, name, each in self._all_settings()
              if isinstance(each, Address)},
        ]
    )  # fmt: skip
    def _compute_sent_to(self):
        for channel in self:
            channel.sent_to = channel._place()

    def _place(self):
        try:
            return self._open_kind(secrets=False).place() or False
        except BackupError:
            return False

    @api.model
    def _show_settings(self, place, settings):
        kinds = {}
        for kind, name, _setting in settings:
            kinds.setdefault(name, []).append(kind)
        once = {name: (kind, name, setting) for kind, name, setting in settings}
        shown = super()._show_settings(place, once.values())
        for field in place.iter("field"):
            if len(kinds.get(field.get("name"), ())) > 1:
                field.set("invisible", f"kind not in {kinds[field.get('name')]}")
        for kind in self._kind_names():
            if note := self._kinds.load(kind).NOTE:
                hidden = {"colspan": "2", "class": "text-muted", "invisible": f"kind != '{kind}'"}
                etree.SubElement(place, "div", hidden).text = note
        return shown

    # --- fields ---------------------------------------------------------------------------------

    @api.depends("last_error", "last_sent_at", "muted_until")
    def _compute_status(self):
        now = fields.Datetime.now()
        for channel in self:
            if channel.last_error:
                channel.status = "error"
            elif channel.muted_until and channel.muted_until > now:
                channel.status = "muted"
            else:
                channel.status = "ok" if channel.last_sent_at else "new"

    def _search_status(self, operator, value):
        if operator != "in":
            return NotImplemented
        channels = self.search([("active", "in", (True, False))])
        return [("id", "in", channels.filtered(lambda one: one.status in value).ids)]

    def _compute_alert_count(self):
        counts = dict(
            self.env["backup.alert"]._read_group(
                [("channel_id", "in", self.ids)], ["channel_id"], ["__count"]
            )
        )
        for channel in self:
            channel.alert_count = counts.get(channel, 0)

    def write(self, vals):
        settings = {"kind", *(name for _kind, name, _setting in self._all_settings())}
        if settings & vals.keys():
            # What worked or failed there tells nothing of where it is sent from now on.
            vals = {**vals, "last_error": False, "last_sent_at": False}
        result = super().write(vals)
        if "muted_until" in vals:
            self.env["backup.alert"]._look_at_mutes([("channel_id", "in", self.ids)])
        return result

    # --- what people and scripts do -------------------------------------------------------------

    @one_record
    def send_test(self):
        """Send a message that says it is a test.

        :return: ``{ok, error_code, error, hint}``; of a channel over the network what the other
            side answered, of the others whether the records were made
        """
        self.check_access("read")
        self.env["backup.run"]._require_manager()
        alert = self.env["backup.alert"].sudo()._make_test(self.sudo())
        answer = alert._send_test()
        return {"ok": answer["ok"], **{
            key: translated(answer.get(key), self.env.lang) or False
            for key in ("error_code", "error", "hint")
        }}

    def action_send_test(self):
        """Send a test, and tell the result to the person who pressed the button."""
        answer = self.send_test()
        if not answer["ok"]:
            return told(answer["error"], answer["hint"] or "", "danger")
        if self.over_network:
            message = self.env._("%(host)s has taken the message.", host=self.sent_to)
        else:
            message = getattr(self.env["backup.alert"], f"_made_{self.kind}")()
        return told(self.env._("Test sent"), message, "success")

    def action_mute_day(self):
        return self.write({"muted_until": fields.Datetime.now() + datetime.timedelta(days=1)})

    def action_unmute(self):
        return self.write({"muted_until": False})

    @one_record
    def action_send_digest(self):
        """Send the weekly digest now."""
        self.check_access("read")
        self.env["backup.run"]._require_manager()
        self.sudo()._make_digests()
        self.env["backup.dispatcher"]._wake()
        return told(
            self.env._("Digest on its way"),
            self.env._("The mails are in the queue within a minute."),
            "success",
        )

    @one_record
    def action_open_alerts(self):
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "backup_scheduler.backup_alert_action"
        )
        return {**action, "domain": [("channel_id", "=", self.id)], "context": {}}

    # --- what is wanted -------------------------------------------------------------------------

    def _wants(self, incident, event):
        """Return whether the channel tells of the event of the incident."""
        self.ensure_one()
        if event == "recovered" and not self.on_recovery:
            return False
        if not self[TOGGLES[incident.kind]]:
            return False
        if not self._covers(incident.company_id):
            return False
        if self.instance_ids and incident.instance_id not in self.instance_ids:
            return False
        if self.job_ids and incident.job_id not in self.job_ids:
            return False
        return event == "opened" or self._has_told(incident)

    def _covers(self, company):
        """Return whether the channel is told of what belongs to the company (none: to all).

        One without a company is told of no more than its maker may see.
        """
        if self.company_id:
            return self.company_id == company
        maker = self.create_uid.sudo()
        return not company or maker._shares_backups() or company in maker.company_ids

    def _has_told(self, incident):
        """Return whether the beginning of it was sent, or is being sent right now."""
        return any(
            alert.channel_id == self
            and alert.event == "opened"
            and (alert.state == "sent" or alert.told_ids or alert.sending)
            for alert in incident.alert_ids
        )

    def _recipients(self, company):
        """Return the active users who get it, of those who may see the company's instances."""
        group = self.env.ref("backup_scheduler.group_backup_manager")
        users = self.user_ids or group.sudo().all_user_ids
        watchers = users.filtered(
            lambda user: user.active and user.has_group("backup_scheduler.group_backup_user")
        )
        return watchers.filtered(lambda user: not company or company in user.company_ids)

    # --- what is sent ---------------------------------------------------------------------------

    def _notice(self, facts):
        """Return what is sent and where, with its secrets, for an engine's order and for nothing
        else. Raises UserError when something is missing."""
        self.ensure_one()
        try:
            notice = self.sudo()._open_kind().notice(facts)
        except BackupError as error:
            raise UserError(f"{error.message} {error.hint}".strip()) from error
        return {"kind": self.kind, **self._kind_order(), **notice}

    def _record_sent(self):
        self.sudo().write({"last_sent_at": fields.Datetime.now(), "last_error": False})

    def _record_error(self, error, hint):
        self.sudo().last_error = joined("\n", filter(None, (error, hint)))


def send_now(notice, env):
    """Send one notice while somebody waits; return the result."""
    order = {"action": "notify", "notices": [{**notice, "id": 0}]}
    events = env["backup.kind.mixin"]._call_engine(order, NOTICE_LIMIT + STARTING)
    results = [event for event in events if event["event"] == "notice"]
    return results[0] if results else {"ok": False, **failure_in(events[-1])}


def told(title, message, kind):
    """Return the action that tells the person who pressed a button, and loads the form again."""
    return {
        "type": "ir.actions.client",
        "tag": "display_notification",
        "params": {
            # An error is a sentence, and a title is none.
            "title": title.rstrip("."),
            "message": message,
            "type": kind,
            "sticky": kind == "danger",
            "next": {"type": "ir.actions.client", "tag": "soft_reload"},
        },
    }
