from unittest.mock import patch

from odoo.tools import mute_logger

from ..models.task.kinds import ASIDE
from .common import BackupCase, ago, failure

INCIDENT_LOGGER = "odoo.addons.backup_scheduler.models.alert.backup_incident"
WATCH_LOGGER = "odoo.addons.backup_scheduler.models.alert.backup_incident_watch"


class IncidentCase(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.Incident = cls.env["backup.incident"]
        cls.Alert = cls.env["backup.alert"]
        cls.Channel = cls.env["backup.alert.channel"]
        cls.Channel.search([]).active = False
        cls.channel = cls.Channel.create(
            {"name": "Hook", "kind": "webhook", "url": "https://hooks.example.com/T/B/hush"}
        )
        cls.job = cls._make_job(max_attempts=1)

    def setUp(self):
        super().setUp()
        self._look()
        self.Incident.search([]).unlink()
        self.Alert.search([]).unlink()

    def _look(self, late=False):
        """Let the dispatcher look for incidents; ``late``: and how the databases stand."""
        self.env.flush_all()
        with self.enter_registry_test_mode(), self.registry.cursor() as cr:
            dispatcher = self.dispatcher.with_env(self.env(cr=cr))
            dispatcher._watch()
            if late:
                dispatcher._cron_watch()
        self.env.invalidate_all()

    def _take_notify(self):
        """Return the task that sends alerts, which an executor takes, if any are due."""
        self.Alert._plan_tasks()
        return self.Task._claim("tester", (ASIDE,))

    def _order_alerts(self):
        """Let an executor begin to send what is due; return ``(alerts, notices)``.

        An executor that had some of it before is gone, and with it what it knew.
        """
        self.Task._of("notify").unlink()
        self.Alert.search([("sending", "=", True)]).sending = False
        task = self._take_notify()
        notices = task._engine_order()["notices"] if task else []
        return self.Alert.search([("sending", "=", True)]), notices

    def _fail(self, job=None, database="sales", look=True, **values):
        run = self._running(database, job or self.job)
        self._report(run, failure(retryable=False, **values))
        if look:
            self._look()
        return run

    def _succeed(self, job=None, database="sales"):
        run = self._stored(database, job or self.job)
        self._look()
        return run

    def _open(self, **values):
        domain = [("state", "=", "open"), *((key, "=", value) for key, value in values.items())]
        return self.Incident.search(domain)

    def _send_all(self):
        """Let everything that waits to be sent over the network be taken."""
        alerts = self.Alert.search([("state", "=", "pending"), ("over_network", "=", True)])
        for alert in alerts:
            alert._mark_sent()
        self.Alert._plan_tasks()
        return alerts

    def _make_all_due(self):
        """Let no message wait for others that may come with it."""
        self.Alert.search([("state", "=", "pending")]).next_attempt_at = ago(seconds=1)

    def _make_late(self, database="sales"):
        """Have the database's last good archive older than its job promises."""
        self._stored(database, self.job)
        self._sql("UPDATE backup_run SET finished_at = finished_at - interval '90 days'")
        self._sql("UPDATE backup_job SET promised_since = now() - interval '90 days'")
        self._sql("UPDATE backup_database SET create_date = now() - interval '90 days'")


class TestIncidents(IncidentCase):
    def test_twenty_failing_runs_are_one_incident_and_one_alert(self):
        first = self._fail()
        for _count in range(19):
            last = self._fail()
        incident = self._open()
        self.assertRecordValues(
            incident,
            [
                {
                    "kind": "failed",
                    "instance_id": self.instance.id,
                    "database_name": "sales",
                    "job_id": self.job.id,
                    "run_count": 20,
                    "first_run_id": first.id,
                    "last_run_id": last.id,
                    "error": "It did not work.",
                }
            ],
        )
        self.assertEqual(len(incident.alert_ids), 1)

    def test_an_attempt_that_is_tried_again_is_no_incident(self):
        job = self._make_job(max_attempts=2)
        run = self._running(job=job)
        self._report(run, failure())
        self._look()
        self.assertEqual(run.status, "queued")
        self.assertFalse(self._open())

    def test_skipped_and_cancelled_runs_are_no_incidents(self):
        self._make_run(job=self.job)._mark_skipped("overlap", "Not now.")
        self._make_run(job=self.job, database="stock").cancel()
        self._look()
        self.assertFalse(self._open())

    def test_the_next_good_run_of_the_job_closes_it_and_says_so(self):
        self._fail()
        self._send_all()
        incident = self._open()
        good = self._succeed()
        self.assertRecordValues(incident, [{"state": "recovered", "last_run_id": good.id}])
        self.assertTrue(incident.closed_at)
        self.assertEqual(incident.alert_ids.mapped("event"), ["recovered", "opened"])

    def test_a_good_run_of_another_job_or_database_does_not_close_it(self):
        self._fail()
        self._succeed(self._make_job(name="Other"))
        self._succeed(database="stock")
        self.assertTrue(self._open())

    def test_reading_an_older_archive_again_does_not_close_it(self):
        old = self._succeed()
        self._sql("UPDATE backup_run SET finished_at = finished_at - interval '1 day'")
        self._fail()
        old._mark_verified({"level": 2})
        self._look()
        self.assertTrue(self._open(kind="failed"))

    def test_each_job_and_each_database_has_its_own(self):
        self._fail()
        self._fail(database="stock")
        self._fail(self._make_job(name="Other", max_attempts=1))
        self.assertEqual(len(self._open()), 3)

    def test_databases_that_fail_together_come_in_one_message(self):
        self._fail(look=False)
        self._fail(database="stock", look=False)
        self._look()
        alert = self.Alert.search([])
        self.assertEqual(len(alert), 1)
        self.assertEqual(len(alert.incident_ids), 2)
        self.assertIn("2 databases", alert._title())

    def test_a_server_that_cannot_be_asked_is_well_again_with_any_of_its_databases(self):
        self._fail(database="")
        self.assertEqual(self._open().database_name or "", "")
        self._succeed(database="stock")
        self.assertFalse(self._open())

    def test_an_archive_that_is_no_good_one_is_an_incident_until_a_newer_one_is(self):
        run = self._succeed()
        run._mark_verify_failed(failure("damaged"))
        self._look()
        self.assertRecordValues(self._open(), [{"kind": "verify_failed", "error_code": "damaged"}])
        self._succeed()
        self.assertFalse(self._open())

    def test_an_archive_that_is_found_good_again_ends_it(self):
        run = self._succeed()
        run._mark_verify_failed(failure("damaged"))
        self._look()
        run._mark_verified({"level": 2})
        self._look()
        self.assertEqual(self.Incident.search([]).mapped("state"), ["recovered"])

    def test_what_failed_while_the_clock_was_ahead_is_over_with_the_next_good_run(self):
        for kind in ("failed", "verify_failed"):
            with self.subTest(kind):
                run = self._fail(look=False) if kind == "failed" else self._succeed()
                if kind == "verify_failed":
                    run._mark_verify_failed(failure("damaged"))
                run.finished_at = ago(days=-30)
                self._look()
                self.assertTrue(self._open(kind=kind))
                self._succeed()
                self.assertFalse(self._open(kind=kind))

    def test_reading_what_was_made_while_the_clock_was_ahead_ends_nothing(self):
        old = self._succeed()
        old.finished_at = ago(days=-30)
        self._fail()
        old._mark_verified({"level": 2})
        self._look()
        self.assertTrue(self._open(kind="failed"))

    def test_an_older_run_that_is_tried_again_later_ends_it(self):
        first = self._fail()
        self._fail()
        self._sql("UPDATE backup_incident SET last_at = last_at - interval '1 minute'")
        first.retry()
        self.assertEqual(self._claim(), first)
        self._report(first, self._done(first))
        self._look()
        self.assertFalse(self._open())

    def test_an_older_good_archive_that_is_read_does_not_end_it(self):
        old = self._succeed()
        self._sql("UPDATE backup_run SET finished_at = finished_at - interval '1 day'")
        run = self._succeed()
        run._mark_verify_failed(failure("damaged"))
        self._look()
        old._mark_verified({"level": 2})
        self._look()
        self.assertTrue(self._open())

    def test_what_ended_before_anybody_looked_is_told_of_to_nobody(self):
        self._fail(look=False)
        self._stored(job=self.job)
        self._look()
        self.assertEqual(self.Incident.search([]).state, "recovered")
        self.assertFalse(self.Alert.search([]))

    def test_two_that_look_at_once_open_it_once(self):
        place = {"instance_id": self.instance.id, "database_name": "sales", "job_key": 0}
        first = self.Incident._see("late", place, error="Late.")
        with patch.object(type(self.Incident), "_open_at", lambda *args: self.Incident):
            second = self.Incident._see("late", place, error="Late.")
        self.assertTrue(first)
        self.assertFalse(second)
        self.assertEqual(len(self._open()), 1)

    def test_two_jobs_that_are_deleted_leave_both_incidents_to_be_withdrawn(self):
        other = self._make_job(name="Other", max_attempts=1)
        self._fail()
        self._fail(other)
        incidents = self._open(kind="failed")
        (self.job + other).unlink()
        self._look(late=True)
        self.assertEqual(incidents.mapped("state"), ["withdrawn", "withdrawn"])

    def test_a_job_that_is_switched_off_ends_it_without_a_word(self):
        self._fail()
        self._send_all()
        self.job.enabled = False
        self._look(late=True)
        incident = self.Incident.search([("kind", "=", "failed")])
        self.assertEqual(incident.state, "withdrawn")
        self.assertEqual(incident.alert_ids.mapped("event"), ["opened"])

    def test_a_look_that_breaks_stops_neither_the_others_nor_the_dispatcher(self):
        self._fail(look=False)
        self._fail(database="stock", look=False)
        see = type(self.Incident)._see_run

        def break_for_one(incidents, run):
            if run.database_name == "sales":
                raise ValueError("broken")
            return see(incidents, run)

        with patch.object(type(self.Incident), "_see_run", break_for_one), mute_logger(
            WATCH_LOGGER
        ):
            self._look()
        self.assertEqual(self._open().mapped("database_name"), ["stock"])
        self.assertFalse(self.Run.search([("alert_due", "=", True)]))

    def test_one_that_cannot_be_closed_keeps_no_other_open(self):
        self._fail(database="")
        self._fail()
        end = type(self.Incident)._end_activities

        def break_for_one(incident):
            if incident.database_name:
                raise ValueError("broken activity")
            return end(incident)

        with patch.object(
            type(self.Incident), "_end_activities", break_for_one
        ), mute_logger(INCIDENT_LOGGER):
            self._succeed()
        self.assertEqual(self._open().mapped("database_name"), ["sales"])
        self._succeed()
        self.assertFalse(self._open())

    def test_a_run_is_recorded_where_nothing_of_the_alerts_works(self):
        with patch.object(
            type(self.Incident), "_see_run", side_effect=ValueError("broken")
        ), mute_logger(WATCH_LOGGER):
            run = self._fail()
        self.assertEqual(run.status, "failed")

    def test_a_run_that_fails_wakes_the_dispatcher(self):
        run = self._running(job=self.job)
        triggers = self.env["ir.cron.trigger"].search([])
        triggers.unlink()
        self._report(run, failure(retryable=False))
        cron = self.env.ref("backup_scheduler.ir_cron_dispatch")
        self.assertIn(cron, triggers.search([]).cron_id)

    def test_a_run_fails_as_it_should_where_the_cron_was_deleted(self):
        run = self._running(job=self.job)
        self.env.ref("backup_scheduler.ir_cron_dispatch").unlink()
        self._report(run, failure(retryable=False))
        self.assertEqual(run.status, "failed")

    def test_what_is_over_for_a_year_is_forgotten(self):
        self._fail()
        self._succeed()
        self._sql("UPDATE backup_incident SET closed_at = closed_at - interval '13 months'")
        self.Incident._gc_incidents()
        self.assertFalse(self.Incident.search([]))
