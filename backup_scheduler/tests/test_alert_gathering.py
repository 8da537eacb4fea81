"""Incidents that begin one after the other do not come as one message each."""

import datetime
from unittest.mock import patch

from odoo import fields
from odoo.tools import mute_logger

from ..models.alert.backup_alert_gathering import GATHERING
from .common import failure
from .test_incidents import IncidentCase

ALERT_LOGGER = "odoo.addons.backup_scheduler.models.alert.backup_alert"


class TestGathering(IncidentCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.names = [f"tenant_{number}" for number in range(8)]
        cls.env["backup.database"].create(
            [{"instance_id": cls.instance.id, "name": name} for name in cls.names]
        )

    def _alerts(self):
        return self.Alert.search([], order="id")

    def _pass(self, time):
        """Let so much time go by for the messages."""
        seconds = time.total_seconds()
        self._sql(
            "UPDATE backup_alert SET next_attempt_at = next_attempt_at - make_interval(secs => %s)",
            seconds,
        )
        self.env.invalidate_all()

    def _send_due(self):
        due = self._alerts().filtered(
            lambda alert: alert.state == "pending"
            and alert.next_attempt_at <= fields.Datetime.now()
        )
        for alert in due:
            alert._mark_sent()
        return due

    def test_a_server_that_fails_one_database_after_the_other_is_told_of_in_two_messages(self):
        for name in self.names:
            self._fail(database=name)
            self._send_due()
        first, rest = self._alerts()
        self.assertEqual(len(first.incident_ids), 1)
        self.assertEqual(first.state, "sent")
        self.assertEqual(set(rest.incident_ids.mapped("database_name")), set(self.names[1:]))
        self.assertIn("7 databases", rest.subject)
        self.assertFalse(self._send_due())
        self._pass(GATHERING)
        self.assertEqual(self._send_due(), rest)

    def test_there_is_one_message_in_the_time_however_long_it_goes_on(self):
        for name in self.names:
            self._fail(database=name)
            self._send_due()
            self._pass(GATHERING / 2)
        self.assertEqual(len(self._alerts()), 5)
        told = self._alerts().incident_ids
        self.assertEqual(set(told.mapped("database_name")), set(self.names))

    def test_what_begins_when_that_time_is_over_is_told_at_once(self):
        self._fail()
        self._send_due()
        self._pass(GATHERING + datetime.timedelta(seconds=1))
        self._fail(database="stock")
        self.assertEqual(len(self._send_due()), 1)

    def test_the_end_and_another_kind_wait_for_nothing(self):
        self._fail()
        self._send_due()
        run = self._succeed()
        self.assertEqual(self._send_due().event, "recovered")
        run._mark_verify_failed(failure("damaged"))
        self._look()
        self.assertEqual(self._send_due().incident_ids.kind, "verify_failed")

    def test_a_message_that_somebody_has_begun_to_send_stays_as_it_is(self):
        self._fail()
        first = self._order_alerts()[0]
        self.assertEqual(len(first), 1)
        self._fail(database="stock")
        self.assertEqual(len(first.incident_ids), 1)
        self.assertEqual(len(self._alerts() - first), 1)

    def test_what_is_muted_comes_in_one_message_when_that_ends(self):
        self.channel.muted_until = fields.Datetime.now() + datetime.timedelta(hours=3)
        for name in self.names:
            self._fail(database=name)
        alert = self._alerts()
        self.assertEqual(len(alert), 1)
        self.assertEqual(len(alert.incident_ids), 8)
        self.assertEqual(alert.next_attempt_at, self.channel.muted_until)

    def test_what_is_muted_holds_nothing_else_back(self):
        self.job.alerts_muted_until = fields.Datetime.now() + datetime.timedelta(hours=4)
        self._fail()
        self._fail(self._make_job(name="Loud", max_attempts=1), "stock")
        (sent,) = self._send_due()
        self.assertEqual(sent.incident_ids.database_name, "stock")

    def test_another_channel_and_another_company_have_their_own(self):
        other = self.channel.copy({"name": "Other", "url": "https://hooks.example.com/other"})
        self._fail()
        self._send_due()
        self._fail(database="stock")
        waiting = self._alerts().filtered(lambda alert: alert.state == "pending")
        self.assertEqual(waiting.channel_id, self.channel + other)
        self.assertEqual(len(waiting), 2)

    @mute_logger(ALERT_LOGGER)
    def test_what_cannot_be_put_into_words_now_is_told_of_later_all_the_same(self):
        self._fail()
        self._send_due()
        self._fail(database="stock")
        waiting = self._alerts()[-1]
        with patch.object(type(self.Alert), "_keep_message", side_effect=ValueError("no words")):
            self._fail(database="tenant_0")
        self.assertEqual(
            set(waiting.incident_ids.mapped("database_name")), {"stock", "tenant_0"}
        )

    def test_what_has_begun_again_meanwhile_is_not_told_to_be_over(self):
        names = ("sales", "stock", "tenant_0")
        for name in names:
            self._fail(database=name)
        self._make_all_due()
        self._send_due()
        for name in names:
            self._succeed(database=name)
        (first,) = self._send_due()
        self._fail(database="stock")
        self._make_all_due()
        alerts, notices = self._order_alerts()
        told = [f"{notice['body']}" for notice in notices if "Backed up again" in notice["body"]]
        self.assertEqual(first.incident_ids.database_name, "sales")
        self.assertEqual(len(told), 1)
        self.assertIn("tenant_0", told[0])
        self.assertNotIn("stock", told[0])
        self._fail(database="tenant_0")
        self.Task._of("notify")._give_back()
        self._make_all_due()
        self._order_alerts()
        over = alerts.filtered(lambda alert: alert.event == "recovered")
        self.assertRecordValues(over, [{"state": "dropped"}])
