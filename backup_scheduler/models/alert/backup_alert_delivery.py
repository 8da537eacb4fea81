import logging

import psycopg2

from odoo import Command, api, fields, models
from odoo.exceptions import UserError
from odoo.tools import html_escape

from ...engine import messages
from ...engine.naming import one_line
from ..dispatcher.backup_dispatcher import COLLISIONS
from .backup_alert import LOST_LIMIT
from .backup_alert_channel import send_now

_logger = logging.getLogger(__name__)

# What a message lists by name; the rest is counted.
LISTED = 20
LISTED_FOR_PROGRAMS = 100
ACTIVITY = "mail.mail_activity_data_warning"
# Messages that one look of the dispatcher makes mails and activities of, at most.
HERE_LIMIT = 50
# What is made in one piece: mails of the same words, and activities. Either takes a second to be
# made, or less.
MAIL_USERS = 50
ACTIVITIES = 20


class BackupAlertDelivery(models.Model):
    """How a message gets from the outbox to people."""

    _inherit = "backup.alert"

    # --- records of Odoo ------------------------------------------------------------------------

    @api.model
    def _waiting_here(self):
        """Return the messages that wait to be made mails and activities, oldest first."""
        return self.search(
            [
                ("state", "=", "pending"),
                ("over_network", "=", False),
                ("event", "!=", "test"),
                ("next_attempt_at", "<=", fields.Datetime.now()),
            ],
            order="id",
            limit=HERE_LIMIT,
        )

    def _deliver_waiting(self):
        """Deliver a piece of it, unless it is gone or was delivered since it was listed; return
        whether more is to follow at once."""
        if not self.exists() or self.state != "pending":
            return False
        return self._deliver()["ok"] and self.state == "pending"

    def _deliver(self):
        """Make the records of one piece of a message, with which users still lack; the last one
        ends it. Return the result as a notice's is told."""
        self.attempts += 1
        if reason := self._is_stale():
            self._end_stale(reason)
            return {"ok": True}
        try:
            with self.env.cr.savepoint():
                more = getattr(self, f"_make_{self.channel_id.kind}")()
        except (*COLLISIONS, psycopg2.OperationalError):
            raise
        except Exception as error:
            _logger.exception("Backup alert %s cannot be delivered", self.id)
            failure = {"error": f"{type(error).__name__}: {error}", "hint": ""}
            if isinstance(error, UserError):
                failure["error"] = str(error)
            self._mark_delayed(**failure)
            return {"ok": False, "error_code": "internal", **failure}
        if more:
            # Those at the next piece are counted anew.
            self.attempts = 0
        else:
            self._mark_sent()
        return {"ok": True}

    def _end_stale(self, reason):
        if not self.told_ids:
            self._mark_dropped(reason)
        elif self._is_too_late():
            # Some were told, and the others are not going to be.
            self._mark_failed(reason, "")
        else:
            # Who was told that it began hears of its end, and of nothing in between.
            self._mark_sent()

    def _deliver_whole(self):
        """Make the records of all pieces, for whoever waits; return the result."""
        answer = self._deliver()
        while answer["ok"] and self.state == "pending":
            answer = self._deliver()
        return answer

    def _make_mail(self):
        """Put a mail to each of the next users into Odoo's queue; return whether others still lack
        theirs.

        Those of one language and time zone read the same words, which are found once. Each has a
        mail of their own: of one that goes to many, Odoo sends nothing more once a mail server
        refuses one of the addresses.
        """
        template = self._require_template()
        self._keep_message()
        users = self._require_recipients().filtered("email")
        if not users:
            raise UserError(self.env._("None of the users has an e-mail address."))
        left = users - self.told_ids
        readers = [*left.grouped(lambda user: (user.lang, user.tz)).items()] or [(("", ""), left)]
        # Words that break for some hold up the others for one attempt.
        (lang, tz), same = readers[(self.attempts - 1) % len(readers)]
        told = same[:MAIL_USERS]
        mail = self.env["mail.mail"].sudo()
        for user in told:
            addressed = {"recipient_ids": [Command.set(user.partner_id.ids)], "email_to": False}
            if mail:
                mail.copy(addressed)
            else:
                mail = mail.browse(
                    template.with_context(lang=lang, tz=tz).send_mail(
                        self.id, email_values=addressed
                    )
                )
        return self._has_left(left, told)

    def _made_mail(self):
        return self.env._("The mails are in the queue, and leave with Odoo's next ones.")

    def _require_template(self):
        name = "digest" if self.event == "digest" else "alert"
        template = self.env.ref(f"backup_scheduler.mail_template_{name}", raise_if_not_found=False)
        if not template:
            raise UserError(
                self.env._(
                    "The e-mail template of these messages was deleted. Upgrade the module Backup "
                    "Scheduler to bring it back."
                )
            )
        return template

    def _has_left(self, left, told):
        """Record who was told; return whether others are left."""
        self.told_ids = [Command.link(user.id) for user in told]
        return bool(left - told)

    def _make_activity(self):
        """Put an activity on each instance into the lists of the next users; return whether others
        still lack theirs."""
        self._keep_message()
        if self.event == "recovered":
            # Its activities were marked as done when it was over.
            return False
        left = self._require_recipients() - self.told_ids
        bundles = self._still_open().grouped("instance_id")
        if self.event == "test":
            instance = self.channel_id._digest_instances()[:1]
            if not instance:
                raise UserError(self.env._("Make an instance first: activities are put on it."))
            bundles = {instance: self.incident_ids}
        told = left[: max(1, ACTIVITIES // max(1, len(bundles)))]
        for instance, incidents in bundles.items():
            self._schedule(instance, told, incidents)
        return self._has_left(left, told)

    def _made_activity(self):
        return self.env._("The activity is in the list of each user.")

    def _schedule(self, instance, users, incidents):
        for lang, readers in users.grouped("lang").items():
            summary, note = self.with_context(lang=lang)._activity_in_words(incidents)
            for user in readers:
                # Without a mail of its own: whoever wants mails has a channel for them.
                quick = instance.with_context(mail_activity_quick_update=True)
                activity = quick.activity_schedule(
                    ACTIVITY, summary=summary, note=note, user_id=user.id
                )
                incidents.activity_ids |= activity

    def _activity_in_words(self, incidents):
        """Return summary and note of an activity, in the language of the environment."""
        told = incidents.with_env(self.env)
        lines = told._tell_lines() or self._lines()
        note = "".join(f"<li>{html_escape(line)}</li>" for line in lines[:LISTED])
        title = told._title("opened") if told else self._title()
        return one_line(title or ""), f"<ul>{note}</ul>"

    def _require_recipients(self):
        users = self.channel_id._recipients(self.company_id)
        if not users:
            raise UserError(
                self.env._("There is nobody to tell: choose users who may see these backups.")
            )
        return users

    # --- over the network -----------------------------------------------------------------------

    @api.model
    def _order_notify(self, task):
        """Return the notices that are due, with their secrets; what has nothing to say, or cannot
        be put into words, ends here."""
        notices = [notice for alert in self._take_next() if (notice := alert._try_notice())]
        return {"action": "notify", "notices": notices}

    def _try_notice(self):
        try:
            with self.env.cr.savepoint():
                if reason := self._is_stale():
                    self._mark_dropped(reason)
                    return None
                return self._notice()
        except (*COLLISIONS, psycopg2.OperationalError):
            raise
        except UserError as error:
            self._mark_failed(str(error), "")
        except Exception as error:
            _logger.exception("Backup alert %s cannot be put into words", self.id)
            self._mark_failed(f"{type(error).__name__}: {error}", "")
        return None

    def _notice(self):
        """Return what is sent, and where, for an engine's order and for nothing else."""
        self.ensure_one()
        if self.job_id:
            return self._ping_notice()
        self._keep_message()
        notice = self.channel_id._notice(self._facts())
        return {"id": self.id, "key": self.key, **notice}

    @api.model
    def _record_notify(self, task, event):
        """Write down one event of an engine that sends."""
        if event["event"] == "notice":
            self._record_notice(event)
        elif event["event"] in ("failed", "lost"):
            error = event.get("error") or messages._("The process that sent it was killed.")
            for alert in self.search([("sending", "=", True)]):
                alert._record_unknown(error)

    def _record_unknown(self, error):
        """Whether it arrived is not known: it is sent again at once, but not often."""
        self.lost += 1
        if self.lost > LOST_LIMIT:
            self._mark_failed(error, "")
        else:
            self.write({"next_attempt_at": fields.Datetime.now(), "sending": False})

    @api.model
    def _record_notice(self, event):
        alert = self.search([("id", "=", event["id"]), ("sending", "=", True)])
        if not alert:
            return
        if event["ok"]:
            alert._mark_sent()
        elif event["retryable"]:
            alert._mark_delayed(event["error"], event["hint"], event["retry_after"])
        else:
            alert._mark_failed(event["error"], event["hint"])

    def _send_test(self):
        """Send it from here, for whoever waits at the form; return the result."""
        self.ensure_one()
        if not self.over_network:
            return self._deliver_whole()
        self.attempts = 1
        try:
            answer = send_now(self._notice(), self.env)
        except UserError as error:
            answer = {"ok": False, "error_code": "incomplete", "error": str(error), "hint": ""}
        if answer["ok"]:
            self._mark_sent()
        else:
            self._mark_failed(answer["error"], answer["hint"])
        return answer

    # --- the words ------------------------------------------------------------------------------

    def _keep_message(self):
        self.write({"subject": self._title(), "body": "\n".join(self._lines())})

    def _told_incidents(self):
        """Return those that there is something to say of: of the beginning, what is not over; of
        the end, what has not begun again."""
        if self.event == "opened":
            return self._still_open()
        if self.event == "recovered":
            return self.incident_ids._not_begun_again()
        return self.incident_ids

    def _title(self):
        """Return one line, whatever the names in it were when they were recorded: a subject of two
        is a mail that no server accepts."""
        self.ensure_one()
        return one_line(self._title_in_words() or "")

    def _title_in_words(self):
        if self.event == "test":
            return self.env._("Test of the alerts of Backup Scheduler")
        if self.event == "digest":
            return self.channel_id._digest_title(self.company_id)
        return self._told_incidents()._title(self.event)

    def _lines(self):
        if self.event == "test":
            return [self.env._("If you can read this, the channel “%(name)s” works.",
                               name=self.channel_id.name)]
        if self.event == "digest":
            return []
        lines = self._told_incidents()._tell_lines()
        return [one_line(" ".join(line.splitlines())) for line in lines]

    def _facts(self):
        """Return what the shapes of the engine's ``notices`` are made of."""
        incidents = self._told_incidents()
        return {
            "event": self.event,
            "title": self._title(),
            "lines": self._lines(),
            "link": self._link(),
            "server": self.get_base_url(),
            "sent_at": f"{fields.Datetime.now().isoformat()}Z",
            "count": len(incidents),
            "incidents": [one._as_dict() for one in incidents[:LISTED_FOR_PROGRAMS]],
        }

    def _link(self):
        incidents = self._told_incidents()
        if len(incidents) == 1:
            return incidents._link()
        return f"{self.get_base_url()}/odoo/backup-incidents"
