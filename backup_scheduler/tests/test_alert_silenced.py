"""What is muted or switched off while its message waits."""

import datetime

from odoo import fields

from .test_incidents import IncidentCase


class TestSilencedMeanwhile(IncidentCase):
    """A message may wait for minutes, and be tried for a day: what is switched off or muted by then
    is not told of."""

    def setUp(self):
        super().setUp()
        self._fail()
        self._fail(self._make_job(name="Other", max_attempts=1), "stock")
        for alert in self.Alert.search([])[1:]:
            alert.unlink()
        self.alert = self.Alert.search([])
        self.alert.incident_ids = self._open()
        self._make_all_due()

    def _sent(self):
        self.env.flush_all()
        return "".join(notice["body"] for notice in self._order_alerts()[1])

    def test_all_of_it_is_sent_where_nothing_was_muted(self):
        sent = self._sent()
        self.assertIn("sales", sent)
        self.assertIn("stock", sent)

    def test_what_a_job_has_muted_is_left_out_and_told_of_after_that(self):
        until = fields.Datetime.now() + datetime.timedelta(hours=3)
        self.job.alerts_muted_until = until
        sent = self._sent()
        self.assertIn("stock", sent)
        self.assertNotIn("sales", sent)
        later = self.Alert.search([]) - self.alert
        self.assertRecordValues(later, [{"state": "pending", "next_attempt_at": until}])
        self.assertEqual(later.incident_ids.database_name, "sales")

    def test_a_muted_channel_sends_all_of_it_after_that(self):
        until = fields.Datetime.now() + datetime.timedelta(hours=3)
        self.channel.muted_until = until
        self.assertEqual(self._sent(), "")
        later = self.Alert.search([]) - self.alert
        self.assertEqual(self.alert.state, "dropped")
        self.assertRecordValues(later, [{"state": "pending", "next_attempt_at": until}])
        self.assertEqual(later.incident_ids, self._open())
        self.assertFalse(self.channel.last_error)

    def test_a_mute_that_was_made_longer_holds(self):
        self.instance.alerts_muted_until = fields.Datetime.now() + datetime.timedelta(hours=3)
        self.assertEqual(self._sent(), "")
        self.instance.alerts_muted_until = fields.Datetime.now() + datetime.timedelta(hours=9)
        self._make_all_due()
        self.assertEqual(self._sent(), "")

    def test_what_was_switched_off_is_told_of_no_more(self):
        self.instance.alerts = False
        self.assertEqual(self._sent(), "")
        self.assertEqual(self.Alert.search([]).mapped("state"), ["dropped"])

    def test_what_the_channel_is_not_to_tell_of_any_more_is_left_out(self):
        self.channel.job_ids = self.job
        sent = self._sent()
        self.assertIn("sales", sent)
        self.assertNotIn("stock", sent)

    def test_mails_heed_it_too(self):
        user = self._user("user", email="a@example.com")
        channel = self.Channel.create({"name": "Mail", "kind": "mail", "user_ids": user.ids})
        self.alert.write({"channel_id": channel.id, "over_network": False})
        channel.muted_until = fields.Datetime.now() + datetime.timedelta(hours=3)
        self._look()
        self.assertFalse(self.env["mail.mail"].search([("model", "=", "backup.alert")]))


class TestUnmuted(IncidentCase):
    """Who ends a mute early hears of what is still wrong then, and not when it was meant to end."""

    def _muted(self):
        return (
            (self.channel, "muted_until"),
            (self.instance, "alerts_muted_until"),
            (self.job, "alerts_muted_until"),
        )

    def _sent(self):
        self.env.flush_all()
        return "".join(notice["body"] for notice in self._order_alerts()[1])

    def test_what_is_still_wrong_when_a_mute_is_ended_is_told_at_once(self):
        tomorrow = fields.Datetime.now() + datetime.timedelta(days=1)
        for record, field in self._muted():
            with self.subTest(record._name), self.env.cr.savepoint() as savepoint:
                record[field] = tomorrow
                self._fail()
                self.assertEqual(self._sent(), "")
                record.with_user(self._user("manager"))[field] = False
                self.assertIn("sales", self._sent())
                savepoint.rollback()
            self.env.invalidate_all()

    def test_what_another_mute_covers_still_waits_for_its_end(self):
        now = fields.Datetime.now()
        self.job.alerts_muted_until = now + datetime.timedelta(hours=5)
        self.channel.muted_until = now + datetime.timedelta(days=1)
        self._fail()
        self.channel.action_unmute()
        self.assertEqual(self._sent(), "")
        waiting = self.Alert.search([("state", "=", "pending")])
        self.assertEqual(waiting.next_attempt_at, self.job.alerts_muted_until)

    def test_what_is_tried_again_later_is_left_in_peace(self):
        self._fail()
        later = fields.Datetime.now() + datetime.timedelta(hours=1)
        alert = self.Alert.search([])
        alert.write({"attempts": 5, "next_attempt_at": later})
        self.channel.action_unmute()
        self.assertEqual(alert.next_attempt_at, later)
