import datetime

from freezegun import freeze_time

from odoo import fields
from odoo.tools import mute_logger

from ..models.run.backup_run_status import JITTER, RETRY_DELAY_LIMIT
from .common import RUN_LOGGER, BackupCase, ago, failure

NOON = fields.Datetime.to_datetime("2026-03-10 12:00:00")


class TestFailures(BackupCase):
    def _delay(self, run, code="connection_failed"):
        with freeze_time(NOON):
            return run._retry_time(code) - NOON

    def test_a_failure_that_may_pass_is_tried_again_later(self):
        run = self._running()
        self._report(run, failure(traceback="Traceback"))
        self.assertRecordValues(
            run,
            [
                {
                    "status": "queued", "attempt": 1, "error_code": "connection_failed",
                    "error": "It did not work.", "hint": "Mend it.", "traceback": "Traceback",

                }
            ],
        )  # fmt: skip
        self.assertGreater(run.retry_at, fields.Datetime.now())

    @mute_logger(RUN_LOGGER)
    def test_a_failure_that_will_not_pass_ends_the_run_at_once(self):
        run = self._running()
        self._report(run, failure("wrong_master_password", retryable=False))
        self.assertRecordValues(
            run, [{"status": "failed", "attempt": 1, "error_code": "wrong_master_password"}]
        )
        self.assertFalse(run.retry_at)
        self.assertEqual(run.copy_ids.error_code, "wrong_master_password")

    @mute_logger(RUN_LOGGER)
    def test_the_attempts_end(self):
        run = self._make_run(job=self._make_job(max_attempts=3))
        for expected in ("queued", "queued", "failed"):
            self.assertEqual(self._claim(), run)
            self._report(run, failure())
            self.assertEqual(run.status, expected)
            run.task_ids.due_at = ago(minutes=1)
        self.assertEqual(run.attempt, 3)
        self.assertFalse(self._claim())

    def test_the_delay_doubles_with_each_attempt_within_its_jitter(self):
        run = self._make_run(job=self._make_job(retry_delay=5))
        for attempt, minutes in ((1, 5), (2, 10), (3, 20), (4, 40)):
            with self.subTest(attempt):
                run.attempt = attempt
                base = datetime.timedelta(minutes=minutes)
                self.assertGreaterEqual(self._delay(run), base)
                self.assertLessEqual(self._delay(run), base * (1 + JITTER))

    def test_the_delay_is_bounded_however_often_it_was_doubled(self):
        run = self._make_run(job=self._make_job(retry_delay=2_000_000_000))
        for attempt in (1, 10, 100, 10_000):
            with self.subTest(attempt):
                run.attempt = attempt
                longest = datetime.timedelta(minutes=RETRY_DELAY_LIMIT) * (1 + JITTER)
                self.assertLessEqual(self._delay(run), longest)

    def test_runs_that_failed_together_do_not_come_back_together(self):
        run = self._make_run(job=self._make_job(retry_delay=60))
        run.attempt = 1
        self.assertGreater(len({self._delay(run) for _time in range(10)}), 1)

    def test_a_run_without_delay_is_tried_again_at_once(self):
        run = self._make_run(job=self._make_job(retry_delay=0))
        run.attempt = 1
        self.assertEqual(self._delay(run), datetime.timedelta())

    def test_a_lost_worker_is_replaced_at_once(self):
        run = self._make_run(job=self._make_job(retry_delay=60))
        run.attempt = 2
        self.assertEqual(self._delay(run, "worker_lost"), datetime.timedelta())

    @mute_logger(RUN_LOGGER)
    def test_a_run_that_loses_its_worker_every_time_ends(self):
        run = self._make_run(job=self._make_job(max_attempts=2))
        for expected in ("queued", "failed"):
            self.assertEqual(self._claim(), run)
            self._report(run, {"event": "lost", "exit_code": -9, "tail": "Killed"})
            self.assertEqual(run.status, expected)
        self.assertEqual(run.error_code, "worker_lost")
        self.assertIn("code -9", run.error)
        self.assertIn("Killed", run.error)

    def test_a_run_that_fails_before_it_sees_that_it_was_cancelled_is_not_tried_again(self):
        run = self._running()
        run.cancel()
        self._report(run, failure())
        self.assertRecordValues(run, [{"status": "cancelled", "error_code": "cancelled"}])
        self.assertFalse(run.task_ids)

    def test_a_discovery_that_ends_before_it_sees_that_it_was_cancelled_makes_no_backups(self):
        run = self._running("")
        run.cancel()
        found = {"event": "done", "version": "19.0", "databases": ["sales", "stock"]}
        self._report(run, found)
        self.assertEqual((run.status, run.database_name), ("cancelled", ""))
        self.assertEqual(run.job_id.run_ids, run)

    def test_a_cancelled_run_that_is_given_back_is_not_queued_again(self):
        run = self._running()
        run.cancel()
        self._held(run)._give_back()
        self.assertEqual(run.status, "cancelled")
        self.assertFalse(run.task_ids.filtered(lambda task: task.kind == "backup"))

    def test_a_cancelled_engine_ends_the_run_as_cancelled_and_not_as_failed(self):
        run = self._running()
        run.cancel()
        self._report(run, failure("cancelled", retryable=False))
        self.assertRecordValues(
            run, [{"status": "cancelled", "error_code": "cancelled", "cancel_requested": False}]
        )
        self.assertEqual(run.copy_ids.status, "failed")
        self.assertFalse(self._abandoned())
