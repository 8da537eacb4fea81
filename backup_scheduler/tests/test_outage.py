"""A server that lists no database, or not all, has not lost them: what is recorded meanwhile."""

import datetime

from freezegun import freeze_time

from odoo import fields
from odoo.tools import mute_logger

from ..engine.errors import DatabasesUnavailable
from ..models.run.backup_run_status import JITTER
from .common import RUN_LOGGER, BackupCase, ago, discovering, failure

INSTANCE_LOGGER = "odoo.addons.backup_scheduler.models.instance.backup_instance"
NOON = fields.Datetime.to_datetime("2026-03-10 12:00:00")
UNAVAILABLE = "databases_unavailable"


def listing(*names, event="source", confirmed=True):
    return {"event": event, "version": "19.0", "databases": list(names), "confirmed": confirmed}


class TestOutage(BackupCase):
    def setUp(self):
        super().setUp()
        self.sales, self.stock = self.instance.database_ids

    def _presence(self):
        return [(one.present, one.unlisted) for one in self.sales + self.stock]

    def _test(self, *names, confirmed=True):
        answer = {"version": "19.0", "databases": list(names), "confirmed": confirmed}
        with discovering(return_value=answer):
            return self.instance.test_connection()

    def test_a_database_is_gone_after_two_answers_without_it(self):
        self._test("stock")
        self.assertEqual(self._presence(), [(True, True), (True, False)])
        self._test("stock")
        self.assertFalse(self.sales.present)
        self.assertEqual(self.sales.protection, "absent")

    def test_two_answers_without_it_that_are_not_in_a_row_are_none(self):
        for names in (["stock"], ["sales", "stock"], ["stock"]):
            self._test(*names)
        self.assertTrue(self.sales.present)

    def test_a_database_that_left_one_list_only_keeps_what_is_promised_of_it(self):
        self._make_job()
        for names in (["stock"], ["sales", "stock"]):
            self._test(*names)
        self.assertFalse(self.sales.promised_since)
        self.assertEqual(self._presence(), [(True, False)] * 2)

    def test_a_server_that_lists_none_is_failing_and_has_its_databases(self):
        for _time in range(3):
            answer = self._test(confirmed=False)
            self.assertEqual((answer["ok"], answer["error_code"]), (False, UNAVAILABLE))
            self.assertEqual(answer["error"], "The server lists no database.")
            self.assertTrue(answer["hint"])
        self.assertEqual(self._presence(), [(True, False)] * 2)
        self.assertRecordValues(
            self.instance, [{"check_status": "error", "check_code": UNAVAILABLE}]
        )
        self.assertEqual(self._test("sales", "stock")["ok"], True)
        self.assertEqual(self.instance.check_status, "ok")

    def test_the_overview_says_neither_absent_nor_reachable_meanwhile(self):
        self._make_job()
        self._test("sales", "stock")
        self._test(confirmed=False)
        (group,) = self.env["backup.overview"].load()["instances"]
        self.assertEqual(group["check_status"], "error")
        self.assertEqual({row["state"] for row in group["databases"]}, {"pending"})

    @mute_logger(INSTANCE_LOGGER)
    def test_an_outage_that_the_engine_sees_itself_is_the_same(self):
        with discovering(side_effect=DatabasesUnavailable("PostgreSQL does not answer.")):
            answer = self.instance.test_connection()
        self.assertEqual((answer["ok"], answer["error_code"]), (False, UNAVAILABLE))
        self.assertEqual(self._presence(), [(True, False)] * 2)

    def test_a_healthy_server_without_any_has_lost_them_after_two_answers(self):
        self.assertFalse(self._test()["ok"])
        self.assertEqual(self._presence(), [(True, True)] * 2)
        self.assertTrue(self._test()["ok"])
        self.assertEqual(self.sales.protection, "absent")
        self.assertEqual(self.instance.check_status, "ok")

    def test_a_server_that_never_had_any_is_reachable(self):
        instance = self._make_instance("New")
        answer = {"version": "19.0", "databases": [], "confirmed": False}
        with discovering(return_value=answer):
            self.assertTrue(instance.test_connection()["ok"])
        self.assertEqual(instance.check_status, "ok")

    def test_an_answer_tells_scripts_nothing_that_is_not_for_them(self):
        self.assertEqual(
            set(self._test("sales", "stock")),
            {"ok", "odoo_version", "databases", "error_code", "error", "hint"},
        )

    # --- runs ---------------------------------------------------------------------------------

    def test_a_run_that_meets_an_outage_is_tried_again_and_the_night_is_saved(self):
        run = self._running()
        self._report(run, listing(confirmed=False))
        self._report(run, failure(UNAVAILABLE))
        self.assertRecordValues(run, [{"status": "queued", "error_code": UNAVAILABLE}])
        self.assertEqual(self._presence(), [(True, False)] * 2)
        self.assertEqual(self.instance.check_status, "error")
        run.task_ids.due_at = ago(minutes=1)
        self.assertEqual(self._claim(), run)
        self._report(run, listing("sales", "stock"))
        self._report(run, self._done(run))
        self.assertEqual(run.status, "verified")
        self.assertEqual(self.instance.check_status, "ok")

    def test_a_discovery_that_meets_an_outage_is_tried_again(self):
        run = self._make_run("", trigger="schedule", scheduled_at=ago(days=365))
        self.assertEqual(self._claim(), run)
        self._report(run, listing(event="done", confirmed=False))
        self.assertRecordValues(
            run, [{"status": "queued", "error_code": UNAVAILABLE, "database_name": ""}]
        )

    @mute_logger(RUN_LOGGER)
    def test_an_outage_that_outlasts_the_attempts_is_named_as_such(self):
        run = self._running(max_attempts=1)
        self._report(run, listing(confirmed=False))
        self._report(run, failure(UNAVAILABLE))
        self.assertRecordValues(run, [{"status": "failed", "error_code": UNAVAILABLE}])

    def _fail(self, code, *stages):
        """Let a run fail in the last of these stages."""
        self._test("sales", "stock")
        run = self._running()
        for stage in stages:
            self._report(run, {"event": "stage", "stage": stage})
        self._report(run, failure(code))

    def test_what_a_run_finds_wrong_with_the_server_is_what_its_check_says(self):
        for code in (UNAVAILABLE, "connection_failed", "remote_error"):
            with self.subTest(code):
                self._fail(code, "connect")
                self.assertRecordValues(
                    self.instance, [{"check_status": "error", "check_code": code}]
                )
                self.assertIn("Mend it.", self.instance.check_error)

    def test_what_is_wrong_elsewhere_is_no_word_on_the_server(self):
        for code, stages in (
            ("no_space", ["connect"]),
            ("destination_failed", ["connect"]),
            ("connection_failed", ["connect", "download"]),
        ):
            with self.subTest(code):
                self._fail(code, *stages)
                self.assertEqual(self.instance.check_status, "ok")

    # --- pauses -------------------------------------------------------------------------------

    def _retried_after(self, **values):
        """Return how long after a failure the next attempt of a run is due."""
        run = self._running(job=self._make_job(retry_delay=1))
        with freeze_time(NOON):
            self._report(run, failure("rate_limited", **values))
        self.assertEqual(run.status, "queued")
        return run.retry_at - NOON

    def test_a_server_that_wants_to_be_left_alone_is(self):
        pause = datetime.timedelta(minutes=30)
        delay = self._retried_after(retry_after=1800)
        self.assertGreaterEqual(delay, pause)
        self.assertLessEqual(delay, pause * (1 + JITTER))

    def test_a_pause_that_is_shorter_than_the_delay_changes_nothing(self):
        self.assertGreaterEqual(self._retried_after(retry_after=2), datetime.timedelta(minutes=1))
