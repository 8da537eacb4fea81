import contextlib
import datetime
import logging
import uuid

from odoo import api, fields, models

from ...engine import messages
from ...engine.messages import joined
from ..backup_message import MessageText
from ..dispatcher.backup_dispatcher import isolated

_logger = logging.getLogger(__name__)

EVENTS = [
    ("opened", "Incident Begins"),
    ("recovered", "Incident Over"),
    ("test", "Test"),
    ("digest", "Weekly Digest"),
    ("ping_start", "Ping: Start"),
    ("ping_success", "Ping: Success"),
    ("ping_fail", "Ping: Fail"),
]
STATES = [("pending", "Waiting"), ("sent", "Sent"), ("failed", "Failed"), ("dropped", "Dropped")]
# Messages that one task sends, at most.
BATCH = 10
# Whoever sent it was killed in the middle: it is sent again so often.
LOST_LIMIT = 1
# What could not be sent for so long says nothing new any more, and a ping something wrong.
LIFETIME = datetime.timedelta(hours=24)
PING_LIFETIME = datetime.timedelta(hours=1)
# Minutes before the second attempt, doubled before each one after it up to the limit.
PAUSE, PAUSE_LIMIT = 1, 60
ACTIVE = [("active", "=", True)]
KEPT_DAYS, PINGS_KEPT_DAYS = 90, 7


class BackupAlert(models.Model):
    """One message to one channel, or one ping: the outbox of alerts.

    It is written in the transaction that sees the incident, and sent by others afterwards, so that
    none is lost or made twice, and a channel that fails holds up nothing but itself. Sending is
    *at least once*: who gets it can tell a second one by its ``Idempotency-Key``.
    """

    _name = "backup.alert"
    _description = "Backup Alert"
    _inherit = ["backup.message.mixin"]
    _order = "id desc"

    event = fields.Selection(EVENTS, required=True, readonly=True)
    state = fields.Selection(STATES, required=True, readonly=True, default="pending")
    channel_id = fields.Many2one(
        "backup.alert.channel", readonly=True, index=True, ondelete="cascade"
    )
    job_id = fields.Many2one(
        "backup.job", readonly=True, index="btree_not_null", ondelete="cascade",
        help="Of a ping: whose it is.",
    )  # fmt: skip
    incident_ids = fields.Many2many("backup.incident", string="Incidents", readonly=True)
    company_id = fields.Many2one("res.company", readonly=True, index=True)
    over_network = fields.Boolean(readonly=True)
    key = fields.Char(readonly=True, default=lambda self: str(uuid.uuid4()), copy=False)
    fire_key = fields.Char(readonly=True, help="Of a ping: the UUID of the job's fire.")
    subject = fields.Char("Message", readonly=True)
    body = fields.Text(readonly=True)
    attempts = fields.Integer(readonly=True)
    lost = fields.Integer(readonly=True, help="How often whoever sent it was killed.")
    next_attempt_at = fields.Datetime(
        "Next Attempt", readonly=True, default=fields.Datetime.now, required=True
    )
    expires_at = fields.Datetime(readonly=True)
    sent_at = fields.Datetime("Sent", readonly=True)
    told_ids = fields.Many2many(
        "res.users", "backup_alert_told_rel", readonly=True, copy=False,
        help="Whose mail or activities are made already: those of many users are made in pieces.",
    )  # fmt: skip
    error = MessageText(readonly=True)
    error_message = fields.Json(readonly=True, prefetch=False)
    hint = MessageText(readonly=True)
    hint_message = fields.Json(readonly=True, prefetch=False)
    sending = fields.Boolean(readonly=True, copy=False, help="An executor has it.")

    _waiting = models.Index("(next_attempt_at, id) WHERE state = 'pending'")
    _ping_unique = models.UniqueIndex(
        "(job_id, fire_key, event) WHERE job_id IS NOT NULL", "A fire has one ping of each kind."
    )

    @api.depends("event", "subject")
    def _compute_display_name(self):
        events = dict(self._fields["event"]._description_selection(self.env))
        for alert in self:
            alert.display_name = alert.subject or events.get(alert.event)

    # --- making ---------------------------------------------------------------------------------

    @api.model
    def _announce(self, incidents, event):
        """Queue the messages that tell of the incidents; return them.

        What is seen in one look and is of one kind comes in one message to a channel: a server that
        is away with all its databases is one thing to be told of.
        """
        alerts = self.browse()
        for channel in self.env["backup.alert.channel"].search(ACTIVE) if incidents else ():
            with self._isolated_on(channel):
                for (_kind, company, quiet), told in self._bundles(channel, incidents, event):
                    alerts += self._queue(channel, event, told, company, quiet)
        return alerts

    @api.model
    def _bundles(self, channel, incidents, event):
        """Return ``((kind, company, when to tell), incidents)`` of each message to the channel."""
        bundles, now = {}, fields.Datetime.now()
        for incident in incidents:
            if is_on(incident) and channel._wants(incident, event):
                quiet = max([now, *mutes_of(incident, channel)])
                bundle = (incident.kind, incident.company_id, quiet)
                bundles[bundle] = bundles.get(bundle, incident) | incident
        return bundles.items()

    @api.model
    def _queue_new(self, channel, event, incidents, company, begin):
        """Queue one message; return it, or none where it cannot be made."""
        alert = self.browse()
        with self._isolated_on(channel):
            made = self.create(self._message(channel, event, incidents, company, begin))
            self.env.cr.flush()
            alert = made
        alert._try_keep_message()
        return alert

    def _try_keep_message(self):
        """Keep it in words as it is now; what is sent later is put into words then, also where
        none are found here."""
        for alert in self:
            with self._isolated_on(alert.channel_id):
                alert._keep_message()

    @api.model
    @contextlib.contextmanager
    def _isolated_on(self, channel):
        """Let what breaks within stop no other channel, and be told on this one."""
        fine = False
        with isolated(self.env.cr, _logger, "Backup alert channel %s: nothing queued", channel.id):
            yield
            fine = True
        if not fine:
            channel._record_error(
                self.env._("A message could not be made: Odoo's log tells why."), ""
            )

    @api.model
    def _message(self, channel, event, incidents, company, begin):
        return {
            "channel_id": channel.id,
            "event": event,
            "incident_ids": [(6, 0, incidents.ids)],
            "company_id": company.id,
            "over_network": channel.over_network,
            "next_attempt_at": begin,
            "expires_at": begin + LIFETIME,
        }

    @api.model
    def _make_test(self, channel):
        """Return a message that nobody but :meth:`_send_test` sends."""
        now = fields.Datetime.now()
        message = self._message(
            channel, "test", self.env["backup.incident"], channel.company_id, now
        )
        return self.create({**message, "next_attempt_at": now + LIFETIME})

    # --- handing over ---------------------------------------------------------------------------

    @api.model
    def _plan_tasks(self):
        """Plan when the next of those that go over the network are sent: by one task, whose lease
        holds all of them. Return whether that waits for an executor now."""
        waiting = [("state", "=", "pending"), ("over_network", "=", True), ("sending", "=", False)]
        first = self.sudo().search(waiting, order="next_attempt_at, id", limit=1)
        task = self.env["backup.task"]._of("notify")
        if task.lease_token:
            # What follows is seen at its end.
            return False
        if not first:
            task._remove()
            return False
        if task.due_at != first.next_attempt_at:
            # Planned once: the dispatcher asks at its end, and planning wakes it.
            self.env["backup.task"]._plan("notify", first.next_attempt_at)
        return first.next_attempt_at <= fields.Datetime.now()

    def _take_next(self):
        """Return the next messages to be sent, which are marked as being sent."""
        waiting = [
            ("state", "=", "pending"),
            ("over_network", "=", True),
            ("next_attempt_at", "<=", self.env["backup.task"]._clock()),
        ]
        alerts = self.search(waiting, order="next_attempt_at, id", limit=BATCH)
        for alert in alerts:
            alert.write({"attempts": alert.attempts + 1, "sending": True})
        return alerts

    def _give_back_notify(self, task):
        """Give back what was not sent."""
        for alert in self.search([("sending", "=", True)]):
            alert.write({"attempts": alert.attempts - 1, "sending": False})

    # --- the transitions ------------------------------------------------------------------------

    def _mark_sent(self):
        self._end("sent", sent_at=fields.Datetime.now(), error=False, hint=False)
        self.channel_id._record_sent()
        self.job_id.filtered("ping_error").sudo().ping_error = False

    def _mark_failed(self, error, hint):
        """End it: it cannot be sent. That is told here, on the channel and in Odoo's log."""
        self._end("failed", error=error, hint=hint)
        self._tell_error("given up", error, hint)

    def _mark_dropped(self, reason):
        """End it: there is nothing to say any more."""
        self._end("dropped", error=reason, hint=False)

    def _mark_delayed(self, error, hint, seconds=0):
        """Try again later, unless that is too late to be of use."""
        pause = min(PAUSE * 2 ** min(self.attempts - 1, 10), PAUSE_LIMIT)
        wait = max(datetime.timedelta(minutes=pause), datetime.timedelta(seconds=seconds))
        following = fields.Datetime.now() + wait
        if self.expires_at and following > self.expires_at:
            self._mark_failed(error, hint)
            return
        self.write(
            {
                "next_attempt_at": following,
                "error": error,
                "hint": hint,
                "sending": False,
            }
        )
        self._tell_error("delayed", error, hint)

    def _end(self, state, **values):
        self.write({"state": state, "sending": False, **values})

    def _tell_error(self, what, error, hint):
        where = self.channel_id.name or self.job_id.name
        _logger.warning("Backup alert %s (%s, %s): %s: %s", self.id, where, self.event, what, error)
        if self.channel_id:
            self.channel_id._record_error(error, hint)
        elif self.job_id:
            self.job_id.sudo().ping_error = joined("\n", filter(None, (error, hint)))

    # --- what is over ---------------------------------------------------------------------------

    def _is_stale(self):
        """Return why there is nothing to say any more, or nothing; leave out what is silenced."""
        self.ensure_one()
        if self._leave_out_silenced():
            return self.env._("It was muted or switched off before it was told of.")
        if reason := self._is_stale_ping():
            return reason
        if self._is_too_late():
            return messages._("It could not be sent in time.")
        if self.channel_id and not self.channel_id.active:
            return messages._("The channel was switched off.")
        if self.event == "opened" and not self._still_open():
            return messages._("It was over before it was told of.")
        if self.event == "recovered" and not self._told_incidents():
            return messages._("It has begun again before its end was told.")
        return ""

    def _is_too_late(self):
        return bool(self.expires_at) and self.expires_at < fields.Datetime.now()

    def _still_open(self):
        return self.incident_ids.filtered(lambda incident: incident.state == "open")

    @api.autovacuum
    def _gc_alerts(self):
        now = fields.Datetime.now()
        for days, domain in ((KEPT_DAYS, ("job_id", "=", False)),
                             (PINGS_KEPT_DAYS, ("job_id", "!=", False))):
            before = now - datetime.timedelta(days=days)
            ended = [("state", "!=", "pending"), ("create_date", "<", before), domain]
            self.search(ended, limit=10000).unlink()


def is_on(incident):
    """Return whether instance and job want alerts at all."""
    return incident.instance_id.alerts and (not incident.job_id or incident.job_id.alerts)


def mutes_of(incident, channel):
    """Return until when whoever it concerns wants to hear nothing."""
    mutes = (
        incident.instance_id.alerts_muted_until,
        incident.job_id.alerts_muted_until,
        channel.muted_until,
    )
    return [moment for moment in mutes if moment]
