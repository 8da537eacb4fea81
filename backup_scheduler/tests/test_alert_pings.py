from unittest.mock import patch

from odoo.exceptions import AccessError, ValidationError
from odoo.service.model import call_kw
from odoo.tests import BaseCase
from odoo.tools import mute_logger

from ..models.alert import backup_alert_ping
from ..models.alert.backup_alert_ping import due_pings
from .common import ago, failure
from .test_incidents import IncidentCase

ADDRESS = "https://hc-ping.com/hush-hush"
ALERT_LOGGER = "odoo.addons.backup_scheduler.models.alert.backup_alert"
START, GOOD, BAD = "ping_start", "ping_success", "ping_fail"


class TestDuePings(BaseCase):
    def test_which_pings_a_fire_calls_for(self):
        cases = {
            ("queued", "queued"): [],
            ("skipped",): [],
            ("running", "queued"): [START],
            ("verified", "queued"): [START],
            ("verified", "success"): [START, GOOD],
            ("verified", "skipped"): [START, GOOD],
            ("failed", "running"): [START, BAD],
            ("verified", "failed"): [START, BAD],
            ("verified", "verify_failed"): [START, BAD],
            ("cancelled",): [BAD],
        }
        for statuses, pings in cases.items():
            with self.subTest(statuses):
                self.assertEqual(due_pings(statuses), pings)


class TestPings(IncidentCase):
    def setUp(self):
        super().setUp()
        self.channel.active = False
        self.job.ping_url = ADDRESS
        self.moment = ago(days=300)
        told = mute_logger(ALERT_LOGGER)
        told.__enter__()
        self.addCleanup(told.__exit__, None, None, None)

    def _begin(self, database="sales"):
        run = self._make_run(database, self.job, scheduled_at=self.moment)
        self.assertEqual(self._claim(), run)
        return run

    def _pings(self):
        return self.Alert.search([("job_id", "=", self.job.id)], order="id")

    def test_a_fire_pings_its_start_once_and_its_good_end_when_all_are_good(self):
        first = self._begin()
        self._look()
        second = self._begin("stock")
        self._look()
        self.assertEqual(self._pings().mapped("event"), [START])
        self._report(first, self._done(first))
        self._look()
        self.assertEqual(self._pings().mapped("event"), [START])
        self._report(second, self._done(second))
        self._look()
        self.assertEqual(self._pings().mapped("event"), [START, GOOD])

    def test_a_fire_of_which_one_fails_pings_that_once_with_the_log(self):
        first, second = self._begin(), self._begin("stock")
        for run in (first, second):
            run._log("It was tried.")
            self._report(run, failure(retryable=False))
            self._look()
        self.assertEqual(self._pings().mapped("event"), [START, BAD])
        for part in ("It did not work.", "It was tried."):
            self.assertIn(part, self._pings()[1].body)

    def test_a_run_that_is_mended_by_hand_makes_its_fire_a_good_one(self):
        run = self._begin()
        self._report(run, failure(retryable=False))
        self._look()
        run.retry()
        self._claim()
        self._report(run, self._done(run))
        self._look()
        self.assertEqual(self._pings().mapped("event"), [START, BAD, GOOD])

    def test_start_and_end_of_a_fire_carry_the_same_id_and_another_fire_another(self):
        run = self._begin()
        self._report(run, self._done(run))
        self._look()
        one = self._pings()
        self.assertEqual(len(set(one.mapped("fire_key"))), 1)
        self.moment = ago(days=299)
        self._begin("stock")
        self._look()
        self.assertEqual(len(set(self._pings().mapped("fire_key"))), 2)

    def test_a_ping_goes_where_the_protocol_says(self):
        self._begin()
        self._look()
        notices = self._order_alerts()[1]
        fire = self._pings().fire_key
        self.assertEqual(notices[0]["secret_url"], f"{ADDRESS}/start?rid={fire}")

    def test_a_start_that_could_not_be_sent_is_not_sent_after_the_end(self):
        run = self._begin()
        self._look()
        self._order_alerts()
        start = self._pings()
        busy = {"event": "notice", "id": start.id, "ok": False, "error": "Busy.", "hint": "",
                "retryable": True, "retry_after": 0}  # fmt: skip
        self.Task._of("notify")._record(busy)
        self.assertEqual(self.job.ping_error, "Busy.")
        self._report(run, self._done(run))
        self._look()
        start.next_attempt_at = ago(seconds=1)
        urls = [notice["secret_url"] for notice in self._order_alerts()[1]]
        self.assertEqual(len(urls), 1)
        self.assertNotIn("/start", urls[0])
        self.assertEqual(start.state, "dropped")

    def test_a_ping_that_is_too_late_is_dropped(self):
        self._begin()
        self._look()
        self._pings().expires_at = ago(minutes=1)
        self.assertEqual(self._order_alerts()[1], [])
        self.assertEqual(self._pings().state, "dropped")

    def test_a_job_without_an_address_pings_nobody(self):
        self.job.action_forget_ping()
        self._begin()
        self._look()
        self.assertFalse(self._pings())

    def test_muting_does_not_stop_the_pings_which_would_be_an_alarm(self):
        self.job.alerts = False
        self._begin()
        self._look()
        self.assertTrue(self._pings())

    def test_the_address_can_be_replaced_and_never_read(self):
        manager = self.env(user=self._user("manager"))
        read = call_kw(manager["backup.job"], "read", [self.job.ids], {})[0]
        self.assertNotIn("hush", str(read))
        self.assertEqual(read["ping_host"], "hc-ping.com")
        with self.assertRaises(AccessError):
            call_kw(manager["backup.job"], "read", [self.job.ids, ["ping_url_sealed"]], {})
        watcher = self.env(user=self._user("user"))
        with self.assertRaises(AccessError):
            call_kw(watcher["backup.job"], "read", [self.job.ids, ["ping_url"]], {})
        self.assertNotIn("hush", str(self.job.message_ids.mapped("tracking_value_ids").read()))

    def test_what_is_no_address_is_refused(self):
        with self.assertRaises(ValidationError):
            self.job.ping_url = "hc-ping.com/abc"

    def test_a_copy_of_the_job_pings_nobody(self):
        self.assertFalse(self.job.copy().ping_host)

    def test_a_test_writes_into_the_log_of_the_check_and_changes_nothing_there(self):
        with patch.object(backup_alert_ping, "send_now", return_value={"ok": True}) as send:
            self.assertTrue(self.job.test_ping()["ok"])
        self.assertEqual(send.call_args.args[0]["secret_url"], f"{ADDRESS}/log")

    def test_only_managers_send_a_test(self):
        for group in ("user", "operator"):
            env = self.env(user=self._user(group))
            with self.subTest(group), self.assertRaises(AccessError):
                call_kw(env["backup.job"], "test_ping", [self.job.ids], {})
