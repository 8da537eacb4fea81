import datetime
import urllib.parse

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from ...engine.errors import BackupError
from ...engine.masking import masked, secrets_of
from ...engine.messages import joined
from ...engine.notify import attempt, checked_address
from ..backup_message import MessageText, translated

KINDS = [
    ("activity", "Odoo activity"),
    ("mail", "E-mail"),
    ("webhook", "Webhook (JSON)"),
    ("slack", "Slack"),
    ("teams", "Microsoft Teams"),
    ("telegram", "Telegram"),
]
# Those that somebody with a connection has to send.
OVER_NETWORK = ("webhook", "slack", "teams", "telegram")
BY_ADDRESS = ("webhook", "slack", "teams")
MANAGER = "backup_scheduler.group_backup_manager"
TELEGRAM = "https://api.telegram.org"
TOGGLES = {
    "failed": "on_failed",
    "verify_failed": "on_verify_failed",
    "late": "on_late",
}


class BackupAlertChannel(models.Model):
    """A way in which people hear of incidents: who, of what, and until when not."""

    _name = "backup.alert.channel"
    _description = "Backup Alert Channel"
    _inherit = ["mail.thread", "backup.secret.mixin", "backup.message.mixin"]
    _order = "sequence, name, id"

    name = fields.Char(required=True, tracking=True)
    sequence = fields.Integer(default=10)
    active = fields.Boolean(default=True, tracking=True)
    kind = fields.Selection(KINDS, required=True, default="mail", tracking=True)
    company_id = fields.Many2one(
        "res.company",
        default=lambda self: self.env.company,
        index=True,
        help="Only of instances of this company; left empty, of all.",
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
    url = fields.Char(
        "Address",
        compute="_compute_secrets",
        inverse="_inverse_url",
        groups=MANAGER,
        help="Where the message is sent. Whoever knows it can write there: it is stored encrypted "
        "and can be replaced, never read.",
    )
    url_sealed = fields.Char(groups=fields.NO_ACCESS, copy=False)
    url_host = fields.Char("Sent to", readonly=True, copy=False)
    telegram_token = fields.Char(
        "Bot Token",
        compute="_compute_secrets",
        inverse="_inverse_telegram_token",
        groups=MANAGER,
        help="BotFather shows it. It is stored encrypted and can be replaced, never read.",
    )
    telegram_token_sealed = fields.Char(groups=fields.NO_ACCESS, copy=False)
    has_telegram_token = fields.Boolean(compute="_compute_has_telegram_token", compute_sudo=True)
    telegram_chat = fields.Char(
        "Chat", help="The id of the chat, such as -1001234567890, or @name of a public channel."
    )
    telegram_server = fields.Char(
        "Bot API Server",
        default=TELEGRAM,
        help="Telegram's own, unless you run one. Another server needs the token entered again: "
        "what is stored was given for this one alone.",
    )
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

    # The address of a webhook is its own secret: it says where it goes.
    _servers_of_secrets = {"telegram_token": ("telegram_server",)}

    # --- fields ---------------------------------------------------------------------------------

    def _compute_secrets(self):
        self.url = False
        self.telegram_token = False

    def _inverse_url(self):
        for channel in self:
            address = channel.url and channel._checked(channel.url)
            host = urllib.parse.urlsplit(address).netloc if address else False
            channel.sudo().write({"url_sealed": channel._seal(address), "url_host": host})
        # Otherwise whoever wrote it reads it back in the same request.
        self.invalidate_recordset(["url"], flush=False)

    def _inverse_telegram_token(self):
        for channel in self:
            sealed = channel._seal((channel.telegram_token or "").strip())
            channel.sudo().telegram_token_sealed = sealed
        self.invalidate_recordset(["telegram_token"], flush=False)

    @api.depends("telegram_token_sealed")
    def _compute_has_telegram_token(self):
        for channel in self:
            channel.has_telegram_token = bool(channel.telegram_token_sealed)

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

    @api.constrains("telegram_server")
    def _check_telegram_server(self):
        for channel in self.filtered("telegram_server"):
            channel._checked(channel.telegram_server)

    def _checked(self, address):
        try:
            return checked_address(address)
        except BackupError as error:
            raise ValidationError(
                self.env._("Address: %(error)s", error=translated(error.message, self.env.lang))
            ) from None

    def write(self, vals):
        if {"url", "telegram_token", "telegram_chat", "telegram_server", "kind"} & vals.keys():
            vals = {**vals, "last_error": False}
        return super().write(vals)

    # --- what people and scripts do -------------------------------------------------------------

    def send_test(self):
        """Send a message that says it is a test.

        :return: ``{ok, error_code, error, hint}``; of a channel over the network what the other
            side answered, of the others whether the records were made
        """
        self.ensure_one()
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
        sent = {
            "activity": self.env._("The activity is in the list of each user."),
            "mail": self.env._("The mails are in the queue, and leave with Odoo's next ones."),
        }
        message = sent.get(self.kind) or self.env._(
            "%(host)s has taken the message.", host=self._host()
        )
        return told(self.env._("Test sent"), message, "success")

    def action_mute_day(self):
        return self.write({"muted_until": fields.Datetime.now() + datetime.timedelta(days=1)})

    def action_unmute(self):
        return self.write({"muted_until": False})

    def action_send_digest(self):
        """Send the weekly digest now."""
        self.ensure_one()
        self.check_access("read")
        self.env["backup.run"]._require_manager()
        self.sudo()._make_digests()
        self.env["backup.dispatcher"]._wake()
        return told(
            self.env._("Digest on its way"),
            self.env._("The mails are in the queue within a minute."),
            "success",
        )

    def action_open_alerts(self):
        self.ensure_one()
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
        if self.company_id and self.company_id != incident.company_id:
            return False
        if self.instance_ids and incident.instance_id not in self.instance_ids:
            return False
        if self.job_ids and incident.job_id not in self.job_ids:
            return False
        return event == "opened" or self._has_told(incident)

    def _has_told(self, incident):
        """Return whether the beginning of it was sent, or is being sent right now."""
        return any(
            alert.channel_id == self
            and alert.event == "opened"
            and (alert.state == "sent" or alert.told_ids or alert.sudo().lease_token)
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

    # --- where it goes --------------------------------------------------------------------------

    def _address(self):
        """Return where a message is sent, with its secret. Raises UserError when there is none."""
        self.ensure_one()
        channel = self.sudo()
        if channel.kind in BY_ADDRESS:
            address = channel._unseal(channel.url_sealed)
            if not address:
                raise UserError(self.env._("Enter the address that the messages are sent to."))
            return address
        token = channel._unseal(channel.telegram_token_sealed)
        if not token or not channel.telegram_chat:
            raise UserError(self.env._("Enter the token of the bot, and the chat it writes to."))
        return f"{channel._telegram_root()}/bot{urllib.parse.quote(token, safe=':')}/sendMessage"

    def _telegram_root(self):
        return (self.telegram_server or TELEGRAM).rstrip("/")

    def _host(self):
        if self.kind in BY_ADDRESS:
            return self.url_host
        return urllib.parse.urlsplit(self._telegram_root()).netloc

    def _record_sent(self):
        self.sudo().write({"last_sent_at": fields.Datetime.now(), "last_error": False})

    def _record_error(self, error, hint):
        self.sudo().last_error = joined("\n", filter(None, (error, hint)))


def send_now(notice):
    """Send one notice from here; return the result. Only in a request of somebody who waits."""
    return masked(attempt(notice), secrets_of(notice))


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
