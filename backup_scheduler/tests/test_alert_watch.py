from unittest.mock import patch

import psycopg2

from odoo.tools import mute_logger

from ..models import backup_incident_watch
from .test_incidents import IncidentCase

ALERT_LOGGER = "odoo.addons.backup_scheduler.models.backup_alert"


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
