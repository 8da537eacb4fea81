from unittest.mock import patch

import psycopg2

from odoo.addons.base.models.ir_mail_server import MailDeliveryException
from odoo.tools import format_datetime, mute_logger

from ..models.alert import backup_alert_delivery, backup_incident_watch
from .common import ago
from .test_incidents import IncidentCase

ALERT_LOGGER = "odoo.addons.backup_scheduler.models.alert.backup_alert"
DELIVERY_LOGGER = "odoo.addons.backup_scheduler.models.alert.backup_alert_delivery"


class TestWhatComesFirst(IncidentCase):
    def test_runs_are_handed_over_before_anything_that_alerts_may_break(self):
        self._make_run(job=self.job)
        gone = psycopg2.OperationalError("the connection is gone")
        with (
            patch.object(type(self.dispatcher), "_watch_step", side_effect=gone),
            self.assertRaises(psycopg2.OperationalError),
        ):
            self._dispatch()
        self.launched.assert_called_once()

    def test_what_the_look_finds_is_handed_over_too(self):
        self._fail(look=False)
        self._dispatch()
        self.launched.assert_called_once()
        self.launched.reset_mock()
        self._send_all()
        self._dispatch()
        self.launched.assert_not_called()


class TestMailsInTime(IncidentCase):
    def setUp(self):
        super().setUp()
        self.channel.active = False
        self.Channel.create(
            {"name": "Mail", "kind": "mail", "user_ids": [(6, 0, self._user("user").ids)]}
        )
        with patch.object(type(self.dispatcher), "_deliver_here"):
            self._fail()
            self._fail(database="stock")
        self._make_all_due()
        self.assertEqual(self._states(), ["pending", "pending"])

    def _states(self):
        return self.Alert.search([], order="id").mapped("state")

    def test_mails_are_made_while_there_is_time_and_the_rest_at_the_next_call(self):
        cron = self.env.ref("backup_scheduler.ir_cron_dispatch")
        triggers = self.env["ir.cron.trigger"]
        triggers.search([]).unlink()
        with patch.object(backup_incident_watch, "DELIVERY_TIME", 0):
            self._look()
        self.assertEqual(self._states(), ["sent", "pending"])
        self.assertIn(cron, triggers.search([]).cron_id)
        triggers.search([]).unlink()
        self._look()
        self.assertEqual(self._states(), ["sent", "sent"])
        self.assertNotIn(cron, triggers.search([]).cron_id)

    @mute_logger(ALERT_LOGGER)
    def test_a_collision_at_one_mail_undoes_no_other(self):
        first, second = self.Alert.search([], order="id")
        make = type(self.Alert)._make_mail

        def collide(alert):
            if alert.id == second.id:
                raise psycopg2.errors.SerializationFailure("somebody else was at it")
            make(alert)

        with patch.object(type(self.Alert), "_make_mail", collide):
            self._look()
        self.assertEqual(self._states(), ["sent", "pending"])
        self.assertFalse(second.error)
        self.assertEqual(first.attempts, 1)
        self._look()
        self.assertEqual(self._states(), ["sent", "sent"])


class TestManyUsers(IncidentCase):
    """A message to many is made in pieces, between which the cron's thread is given back."""

    ZONES = ("Europe/Vienna", "Asia/Tokyo")

    def setUp(self):
        super().setUp()
        self.channel.active = False
        group = self.env.ref("backup_scheduler.group_backup_user")
        self.users = self.env["res.users"].create(
            [
                {
                    "name": f"User {number}",
                    "login": f"user{number}@example.com",
                    "email": f"user{number}@example.com",
                    "tz": self.ZONES[number % 2],
                    "group_ids": [(4, group.id)],
                }
                for number in range(10)
            ]
        )
        patched = patch.multiple(backup_alert_delivery, MAIL_USERS=3, ACTIVITIES=4)
        patched.start()
        self.addCleanup(patched.stop)

    def _make_alert(self, kind):
        self.Channel.create({"name": kind, "kind": kind, "user_ids": [(6, 0, self.users.ids)]})
        with patch.object(type(self.dispatcher), "_deliver_here"):
            self._fail()
        return self.Alert.search([])

    def _mails(self):
        return self.env["mail.mail"].search([("model", "=", "backup.alert")], order="id")

    def test_each_look_makes_as_much_as_there_is_time_for_and_at_least_a_piece(self):
        alert = self._make_alert("mail")
        with patch.object(backup_incident_watch, "DELIVERY_TIME", 0):
            sizes = []
            while alert.state == "pending" and len(sizes) < 10:
                before = len(self._mails())
                self._look()
                sizes.append(len(self._mails()) - before)
        self.assertEqual(sizes, [3, 3, 2, 2])
        self.assertEqual(self._mails().mapped("state"), ["outgoing"] * 10)
        self.assertRecordValues(alert, [{"state": "sent", "attempts": 1}])

    def test_everybody_gets_one_mail_in_the_words_of_their_time_zone(self):
        alert = self._make_alert("mail")
        self._look()
        told = [partner.id for mail in self._mails() for partner in mail.recipient_ids]
        self.assertEqual(sorted(told), sorted(self.users.partner_id.ids))
        for mail in self._mails():
            self.assertEqual(len(mail.recipient_ids), 1)
            zoned = format_datetime(
                self.env, alert.incident_ids.opened_at, mail.recipient_ids.tz, "d MMM y, HH:mm"
            )
            self.assertIn(zoned, mail.body_html)
        self.assertEqual(alert.told_ids, self.users)
        self.assertFalse(any(mail.email_to for mail in self._mails()), "Nobody sees the others")
        self.assertEqual(len(set(self._mails().mapped("message_id"))), 10)

    def test_the_title_of_a_mail_is_in_the_language_of_who_reads_it(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self.users[0].lang = "fr_FR"
        self._make_alert("mail")
        with patch.object(type(self.Alert), "_title", lambda alert: f"in {alert.env.lang}"):
            self._look()
        for mail in self._mails():
            lang = "fr_FR" if mail.recipient_ids == self.users[0].partner_id else "en_US"
            self.assertEqual(mail.subject, f"in {lang}")
            self.assertIn(f"in {lang}", mail.body_html)

    @mute_logger("odoo.addons.mail.models.mail_mail")
    def test_an_address_that_is_refused_keeps_the_mail_from_nobody_else(self):
        self._make_alert("mail")
        self._look()
        reached = []

        def send(_server, message, **_options):
            if "user0@" in message["To"]:
                raise MailDeliveryException("550 5.1.1 No such user here")
            reached.append(message["To"])
            return message["Message-Id"]

        sending = {
            "_disable_send": lambda _server: False,
            "_connect__": lambda _server, **_options: None,
            "send_email": send,
        }
        self._mails().auto_delete = False
        with patch.multiple(type(self.env["ir.mail_server"]), **sending):
            self._mails().send()
        self.assertEqual(len(reached), 9)
        refused = self._mails().filtered(lambda mail: mail.state == "exception")
        self.assertEqual(refused.recipient_ids, self.users[0].partner_id)

    @mute_logger(ALERT_LOGGER, DELIVERY_LOGGER)
    def test_what_breaks_in_the_middle_is_gone_on_with_there(self):
        alert = self._make_alert("mail")
        send = type(self.env["mail.template"]).send_mail
        calls = []

        def break_second(template, *arguments, **options):
            calls.append(1)
            if len(calls) == 2:
                raise ValueError("no template")
            return send(template, *arguments, **options)

        with patch.object(type(self.env["mail.template"]), "send_mail", break_second):
            self._look()
        self.assertRecordValues(alert, [{"state": "pending", "attempts": 1}])
        self.assertEqual(len(alert.told_ids), 3)
        alert.next_attempt_at = ago(minutes=1)
        self._look()
        told = [partner.id for mail in self._mails() for partner in mail.recipient_ids]
        self.assertEqual(sorted(told), sorted(self.users.partner_id.ids))
        self.assertEqual(alert.state, "sent")

    @mute_logger(ALERT_LOGGER, DELIVERY_LOGGER)
    def test_words_that_break_for_some_keep_the_mail_from_nobody_else(self):
        alert = self._make_alert("mail")
        send = type(self.env["mail.template"]).send_mail

        def break_for_some(template, *arguments, **options):
            if template.env.context["tz"] == self.users[0].tz:
                raise ValueError("no template")
            return send(template, *arguments, **options)

        with patch.object(type(self.env["mail.template"]), "send_mail", break_for_some):
            for _attempt in range(6):
                self._make_all_due()
                self._look()
        unbroken = self.users.filtered(lambda user: user.tz != self.users[0].tz)
        self.assertEqual(self._mails().recipient_ids, unbroken.partner_id)
        self.assertEqual(alert.told_ids, unbroken)
        self.assertEqual(alert.state, "pending", "The others are still to be told")
        self.assertTrue(alert.channel_id.last_error)

    def test_what_is_over_in_the_middle_is_told_of_to_its_end(self):
        alert = self._make_alert("mail")
        with patch.object(backup_incident_watch, "DELIVERY_TIME", 0):
            self._look()
            self._succeed()
            self._look()
        self.assertEqual(alert.state, "sent")
        self.assertIn("recovered", self.Alert.search([]).mapped("event"))

    @mute_logger(ALERT_LOGGER)
    def test_what_was_too_late_for_some_is_not_called_sent(self):
        alert = self._make_alert("mail")
        with patch.object(backup_incident_watch, "DELIVERY_TIME", 0):
            self._look()
            alert.expires_at = ago(minutes=1)
            self._look()
        self.assertEqual(len(alert.told_ids), 3)
        self.assertRecordValues(alert, [{"state": "failed"}])
        self.assertIn("in time", alert.channel_id.last_error)
        self._succeed()
        self.assertIn("recovered", self.Alert.search([]).mapped("event"))

    def test_activities_of_many_are_made_in_pieces_too(self):
        alert = self._make_alert("activity")
        with patch.object(backup_incident_watch, "DELIVERY_TIME", 0):
            counts = []
            while alert.state == "pending" and len(counts) < 10:
                self._look()
                counts.append(len(self.instance.activity_ids))
        self.assertEqual(counts, [4, 8, 10])
        self.assertEqual(self.instance.activity_ids.user_id, self.users)

    def test_whoever_waits_for_a_test_gets_all_of_it(self):
        channel = self.Channel.create(
            {"name": "Mail", "kind": "mail", "user_ids": [(6, 0, self.users.ids)]}
        )
        self.assertTrue(channel.send_test()["ok"])
        self.assertEqual(self._mails().recipient_ids, self.users.partner_id)
