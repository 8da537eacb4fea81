import datetime
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.service.model import call_kw
from odoo.tools import mute_logger

from ..engine import notify
from ..models.alert import backup_alert_delivery
from .common import failure
from .test_incidents import IncidentCase

ADDRESS = "https://hooks.example.com/services/T000/hush-hush"
ALERT_LOGGER = "odoo.addons.backup_scheduler.models.alert.backup_alert"
DELIVERY_LOGGER = "odoo.addons.backup_scheduler.models.alert.backup_alert_delivery"


def later(**duration):
    return fields.Datetime.now() + datetime.timedelta(**duration)


class TestWhoIsTold(IncidentCase):
    def _told(self):
        return self.Alert.search([]).mapped("event")

    def test_each_kind_of_incident_can_be_switched_off(self):
        switches = {
            "on_failed": self._fail,
            "on_verify_failed": lambda: self._damage(),
            "on_late": lambda: (self._make_late(), self._look(late=True)),
        }
        for switch, happen in switches.items():
            with self.subTest(switch), self.env.cr.savepoint() as savepoint:
                self.channel[switch] = False
                happen()
                self.assertTrue(self._open())
                self.assertFalse(self._told())
                savepoint.rollback()
            self.env.invalidate_all()

    def _damage(self):
        self._succeed()._mark_verify_failed(failure("damaged"))
        self._look()

    def test_recovery_can_be_switched_off(self):
        self.channel.on_recovery = False
        self._fail()
        self._send_all()
        self._succeed()
        self.assertEqual(self._told(), ["opened"])

    def test_nobody_hears_of_the_end_of_what_they_did_not_hear_of(self):
        self._fail()
        self._succeed()
        self.assertEqual(self._told(), ["opened"])
        self.assertTrue(self.Alert.search([])._is_stale())

    def test_an_instance_or_a_job_can_be_switched_off(self):
        for record in (self.instance, self.job):
            with self.subTest(record._name), self.env.cr.savepoint() as savepoint:
                record.alerts = False
                self._fail()
                self.assertTrue(self._open())
                self.assertFalse(self._told())
                savepoint.rollback()
            self.env.invalidate_all()

    def test_a_late_database_is_told_of_unless_all_its_jobs_are_switched_off(self):
        other = self._make_job(name="Other")
        self._make_late()
        self.job.alerts = False
        self._look(late=True)
        self.assertTrue(self._told())
        self.Incident.search([]).unlink()
        self.Alert.search([]).unlink()
        other.alerts = False
        self._look(late=True)
        self.assertTrue(self._open())
        self.assertFalse(self._told())

    def test_what_is_muted_is_told_when_that_ends_and_only_if_it_is_still_wrong(self):
        until = later(hours=3)
        for record, field in (
            (self.instance, "alerts_muted_until"),
            (self.job, "alerts_muted_until"),
            (self.channel, "muted_until"),
        ):
            with self.subTest(record._name), self.env.cr.savepoint() as savepoint:
                record[field] = until
                self._fail()
                alert = self.Alert.search([])
                self.assertEqual(alert.next_attempt_at, until)
                self.assertFalse(self._order_alerts()[0])
                self._succeed()
                self.assertEqual(self._told(), ["opened"])
                alert.next_attempt_at = later(seconds=-1)
                self.assertEqual(self._order_alerts()[1], [])
                self.assertEqual(alert.state, "dropped")
                savepoint.rollback()
            self.env.invalidate_all()

    def test_a_mute_that_is_over_mutes_nothing(self):
        self.instance.alerts_muted_until = later(hours=-1)
        self._fail()
        self.assertTrue(self._order_alerts()[0])

    def test_a_channel_hears_only_of_its_instances_and_jobs(self):
        other = self._make_job(name="Other", max_attempts=1)
        self.channel.job_ids = other
        self._fail()
        self.assertFalse(self._told())
        self._fail(other)
        self.assertTrue(self._told())

    def test_a_channel_hears_only_of_instances_of_its_company(self):
        self.channel.company_id = self.env["res.company"].create({"name": "Elsewhere"})
        self._fail()
        self.assertFalse(self._told())
        self.channel.company_id = False
        self._fail(database="stock")
        self.assertEqual(self.Alert.search([]).company_id, self.instance.company_id)

    def test_nobody_is_told_of_an_instance_of_a_company_that_is_not_among_theirs(self):
        company = self.env["res.company"].create({"name": "Elsewhere"})
        here = self._user("manager")
        there = self._user("user", company_ids=[(6, 0, company.ids)], company_id=company.id)
        stranger = self._user(None)
        channel = self.Channel.create(
            {"name": "Mail", "user_ids": [(6, 0, (here + there + stranger).ids)]}
        )
        self.assertEqual(channel._recipients(company), there)
        self.assertEqual(channel._recipients(self.env.company), here)

    def test_without_users_the_managers_are_told(self):
        manager = self._user("manager")
        watcher = self._user("user")
        channel = self.Channel.create({"name": "Mail"})
        self.assertIn(manager, channel._recipients(self.env.company))
        self.assertNotIn(watcher, channel._recipients(self.env.company))

    def test_after_the_installation_the_managers_have_a_channel(self):
        channel = self.env.ref("backup_scheduler.backup_alert_channel_activity")
        self.assertEqual(channel.kind, "activity")


class TestBrokenChannel(IncidentCase):
    """What one channel breaks stays with it: the others tell, and no run is looked at again."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.broken = cls.Channel.create(
            {"name": "Broken", "kind": "webhook", "sequence": 1, "url": ADDRESS}
        )

    def test_what_breaks_on_one_channel_is_told_there_and_stops_nothing(self):
        cases = (
            (self.Channel, "_wants", lambda channel, *_rest: channel, 0),
            (self.Alert, "_message", lambda _alerts, channel, *_rest: channel, 0),
            # Without words yet: it is put into words again when it is sent.
            (self.Alert, "_keep_message", lambda alert: alert.channel_id, 1),
        )
        for model, method, channel_of, queued in cases:
            with self.subTest(method), self.env.cr.savepoint() as savepoint:
                self._fail_where(model, method, channel_of)
                alerts = self.Alert.search([]).grouped("channel_id")
                self.assertEqual(len(alerts.get(self.channel, ())), 1)
                self.assertEqual(len(alerts.get(self.broken, ())), queued)
                self.assertFalse(self.Run.search([("alert_due", "=", True)]))
                self.assertIn("could not be made", self.broken.last_error)
                self.assertFalse(self.channel.last_error)
                savepoint.rollback()
            self.env.invalidate_all()

    def _fail_where(self, model, method, channel_of):
        work = getattr(type(model), method)

        def break_for_one(*arguments):
            if channel_of(*arguments) == self.broken:
                raise ValueError("broken")
            return work(*arguments)

        with patch.object(type(model), method, break_for_one), mute_logger(ALERT_LOGGER):
            self._fail()


class TestChannelAccess(IncidentCase):
    def _call(self, group, record, method, *arguments):
        model = self.env(user=self._user(group))[record._name]
        return call_kw(model, method, [record.ids, *arguments], {})

    def test_only_managers_change_channels_and_send_tests(self):
        for group in ("user", "operator"):
            for method, arguments in (
                ("write", [{"name": "Mine"}]),
                ("unlink", []),
                ("send_test", []),
                ("action_send_digest", []),
                ("action_mute_day", []),
            ):
                with self.subTest(group=group, method=method), self.assertRaises(AccessError):
                    self._call(group, self.channel, method, *arguments)
        self._call("manager", self.channel, "write", {"name": "Mine"})

    def test_nobody_writes_incidents_and_messages(self):
        self._fail()
        for record in (self.Incident.search([]), self.Alert.search([])):
            for group in ("user", "operator", "manager"):
                with self.subTest(group, record=record._name), self.assertRaises(AccessError):
                    self._call(group, record, "write", {"state": "recovered"})

    def test_a_user_of_another_company_sees_neither_incidents_nor_messages_nor_channels(self):
        company = self.env["res.company"].create({"name": "Elsewhere"})
        self.channel.company_id = self.instance.company_id
        self._fail()
        there = self._user("manager", company_ids=[(6, 0, company.ids)], company_id=company.id)
        here = self._user("user")
        for model in ("backup.incident", "backup.alert", "backup.alert.channel"):
            with self.subTest(model):
                domain = [("id", "in", self.env[model].search([]).ids)]
                self.assertTrue(self.env[model].with_user(here).search(domain))
                self.assertFalse(
                    self.env[model].with_user(there).search(domain)
                    - self.env.ref("backup_scheduler.backup_alert_channel_activity")
                    if model == "backup.alert.channel"
                    else self.env[model].with_user(there).search(domain)
                )

    def test_those_without_a_group_see_nothing(self):
        self._fail()
        for record in (self.Incident.search([]), self.Alert.search([]), self.channel):
            with self.subTest(record._name), self.assertRaises(AccessError):
                self._call(None, record, "read", ["display_name"])


class TestSendTest(IncidentCase):
    def _answer(self, **answer):
        return patch.object(backup_alert_delivery, "send_now", return_value=answer)

    def test_a_test_over_the_network_answers_what_the_other_side_said(self):
        with self._answer(ok=True) as send:
            self.assertEqual(
                self.channel.send_test(),
                {"ok": True, "error_code": False, "error": False, "hint": False},
            )
        self.assertIn("Test of the alerts", send.call_args.args[0]["body"])
        self.assertEqual(self.channel.status, "ok")

    @mute_logger(ALERT_LOGGER)
    def test_a_test_that_fails_says_so_with_its_hint(self):
        refused = {"error_code": "notice_refused", "error": "404 Not Found", "hint": "Check."}
        with self._answer(ok=False, retryable=False, **refused):
            answer = self.channel.send_test()
            action = self.channel.action_send_test()
        self.assertEqual(answer, {"ok": False, **refused})
        self.assertEqual(action["params"]["type"], "danger")
        self.assertRecordValues(
            self.channel, [{"status": "error", "last_error": "404 Not Found\nCheck."}]
        )

    @mute_logger(ALERT_LOGGER)
    def test_a_channel_without_an_address_says_what_is_missing(self):
        channel = self.Channel.create({"name": "Empty", "kind": "slack"})
        self.assertIn("Enter the address", channel.send_test()["error"])
        channel = self.Channel.create({"name": "Empty", "kind": "telegram"})
        self.assertIn("token of the bot", channel.send_test()["error"])

    def test_a_test_is_sent_to_nobody_a_second_time(self):
        with self._answer(ok=True):
            self.channel.send_test()
        self.assertFalse(self._order_alerts()[0])

    def test_a_test_by_mail_and_by_activity_makes_the_records(self):
        user = self._user("user")
        for kind in ("mail", "activity"):
            channel = self.Channel.create(
                {"name": kind, "kind": kind, "user_ids": [(6, 0, user.ids)]}
            )
            with self.subTest(kind):
                self.assertTrue(channel.send_test()["ok"])
        mail = self.env["mail.mail"].search([("model", "=", "backup.alert")])
        self.assertEqual(mail.recipient_ids, user.partner_id)
        self.assertEqual(mail.state, "outgoing")
        self.assertTrue(self.env["mail.activity"].search([("user_id", "=", user.id)]))

    @mute_logger(ALERT_LOGGER, DELIVERY_LOGGER)
    def test_a_channel_that_has_nobody_to_tell_says_so(self):
        channel = self.Channel.create(
            {"name": "Mail", "user_ids": [(6, 0, self._user(None).ids)]}
        )
        answer = channel.send_test()
        self.assertFalse(answer["ok"])
        self.assertIn("nobody to tell", answer["error"])

    def test_a_telegram_message_goes_to_its_bot(self):
        channel = self.Channel.create(
            {
                "name": "Bot",
                "kind": "telegram",
                "telegram_token": "1:abc",
                "telegram_chat": "-100",
            }
        )
        with self._answer(ok=True) as send:
            channel.send_test()
        notice = send.call_args.args[0]
        self.assertEqual(
            notice["secret_url"], "https://api.telegram.org/bot1:abc/sendMessage"
        )
        self.assertIn('"chat_id": "-100"', notice["body"])

    def test_the_button_sends_from_here_and_answers_at_once(self):
        self.channel.url = "http://127.0.0.1:1/hush"
        with mute_logger(ALERT_LOGGER):
            answer = self.channel.send_test()
        self.assertFalse(answer["ok"])
        self.assertIn("No connection to 127.0.0.1:1", answer["error"])
        self.assertNotIn("hush", str(answer))

    @mute_logger(ALERT_LOGGER)
    def test_an_answer_that_quotes_the_address_tells_no_secret(self):
        self.channel.url = ADDRESS
        quoted = {"ok": False, "error_code": "notice_refused", "retryable": False, "hint": "",
                  "error": "404: no /services/T000/hush-hush here"}  # fmt: skip
        with patch.object(notify, "attempt", return_value=quoted):
            answer = self.channel.send_test()
        self.assertNotIn("hush", str(answer) + str(self.channel.read()))

    @mute_logger(ALERT_LOGGER, DELIVERY_LOGGER)
    def test_mails_to_users_without_an_address_say_so(self):
        user = self._user("user")
        user.email = False
        channel = self.Channel.create({"name": "Mail", "user_ids": [(6, 0, user.ids)]})
        self.assertIn("e-mail address", channel.send_test()["error"])


class TestSwitchForms(IncidentCase):
    def test_the_forms_of_instance_and_job_have_the_switches(self):
        for record in (self.instance, self.job):
            arch = record.get_view(view_type="form")["arch"]
            with self.subTest(record._name):
                self.assertIn('name="alerts_muted_until"', arch)

    def test_an_address_that_was_never_entered_is_asked_for(self):
        self.channel.sudo().url_sealed = False
        with self.assertRaises(UserError):
            self.channel._notice({})
