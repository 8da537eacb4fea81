import datetime

from odoo import fields
from odoo.tools import mute_logger

from ..models.task.backup_task import LEASE
from .common import RUN_LOGGER, BackupCase, ago


class TestClaim(BackupCase):
    def test_runs_are_claimed_in_the_order_of_their_fires(self):
        runs = {
            minutes: self._make_run(scheduled_at=ago(minutes=minutes)) for minutes in (5, 30, 10)
        }
        claimed = [self._claim() for _run in runs]
        self.assertEqual(claimed, [runs[30], runs[10], runs[5]])

    def test_runs_of_one_fire_are_claimed_in_the_order_of_their_making(self):
        first, second = self.Run.browse(sorted(self._make_job().run_now()))
        self.assertEqual((self._claim(), self._claim()), (first, second))

    def test_nothing_is_claimed_where_nothing_is_queued(self):
        self._stored()
        self.assertFalse(self._claim())

    def test_a_run_is_claimed_once(self):
        self._make_run()
        self.assertTrue(self._claim())
        self.assertFalse(self._claim())

    def test_only_queued_runs_are_claimed(self):
        for status in ("success", "failed", "verified", "verify_failed", "skipped", "cancelled"):
            with self.subTest(status):
                self._make_run(status=status)
                self.assertFalse(self._claim())

    def test_a_run_waits_for_the_time_of_its_next_attempt(self):
        run = self._make_run(retry_at=ago(minutes=-5))
        self.assertFalse(self._claim())
        run.task_ids.due_at = ago(minutes=5)
        self.assertEqual(self._claim(), run)

    def test_a_waiting_run_does_not_hold_up_the_others(self):
        self._make_run(scheduled_at=ago(days=1), retry_at=ago(minutes=-5))
        other = self._make_run("stock")
        self.assertEqual(self._claim(), other)

    def test_an_instance_has_no_more_runs_at_a_time_than_it_may(self):
        for limit, expected in ((1, 1), (2, 2), (0, 4)):
            with self.subTest(limit):
                instance = self._make_instance(f"Limit {limit}", max_parallel_runs=limit)
                job = self._make_job(instance_id=instance.id)
                for number in range(4):
                    self._make_run(f"db{number}", job)
                claimed = [self._claim() for _time in range(4)]
                self.assertEqual(len([run for run in claimed if run]), expected)

    def test_the_place_of_an_ended_run_is_taken_by_the_next(self):
        self.instance.max_parallel_runs = 1
        first, second = self._make_run(scheduled_at=ago(days=1)), self._make_run("stock")
        self.assertEqual(self._claim(), first)
        self.assertFalse(self._claim())
        self._report(first, self._done(first))
        self.assertEqual(self._claim(), second)

    def test_a_busy_instance_does_not_hold_up_another_one(self):
        self.instance.max_parallel_runs = 1
        self._running()
        self._make_run("stock")
        other = self._make_run(job=self._make_job(instance_id=self._make_instance("Other").id))
        self.assertEqual(self._claim(), other)

    def test_runs_in_order_wait_for_the_one_before_of_their_database(self):
        job = self._make_job(overlap_policy="queue")
        first = self._make_run("sales", job, scheduled_at=ago(minutes=3))
        second = self._make_run("sales", job, scheduled_at=ago(minutes=2))
        other = self._make_run("stock", job, scheduled_at=ago(minutes=1))
        self.assertEqual([self._claim(), self._claim(), self._claim()], [first, other, self.Run])
        self._report(first, self._done(first))
        self.assertEqual(self._claim(), second)

    def test_runs_in_order_wait_also_for_one_that_will_be_tried_again(self):
        job = self._make_job(overlap_policy="queue")
        self._make_run("sales", job, retry_at=ago(minutes=-5))
        self._make_run("sales", job)
        self.assertFalse(self._claim())

    def test_a_run_of_a_deleted_job_is_still_made(self):
        run = self._make_run(job=self._make_job(overlap_policy="queue"))
        run.job_id.unlink()
        self.assertEqual(self._claim(), run)


class TestLease(BackupCase):
    def setUp(self):
        super().setUp()
        self.run_record = self._running()
        self.task = self._held(self.run_record)

    def test_a_claim_takes_a_lease_on_the_clock_of_the_database(self):
        left = self.task.lease_until - self.Task._clock()
        self.assertLessEqual(left, datetime.timedelta(seconds=LEASE))
        self.assertGreater(left, datetime.timedelta(seconds=LEASE - 10))

    def test_only_the_holder_of_the_token_holds_the_task(self):
        task, token = self.task, self.task.lease_token
        cases = (
            (task.id, token, task),
            (task.id, "0" * 32, self.Task),
            (task.id, "", self.Task),
            (task.id, None, self.Task),
            (task.id + 1, token, self.Task),
        )
        for task_id, given, expected in cases:
            with self.subTest(task_id=task_id, token=given):
                self.assertEqual(self.Task._held(task_id, given), expected)

    def test_a_task_that_has_ended_is_held_by_nobody(self):
        task_id, token = self.task.id, self.task.lease_token
        self._report(self.run_record, self._done(self.run_record))
        self.env.flush_all()
        self.assertFalse(self.Task._held(task_id, token))
        self.assertFalse(self.Task._held(task_id, None))

    def test_each_attempt_has_a_token_of_its_own(self):
        first = self.task.lease_token
        self.task._give_back()
        self._claim()
        self.assertNotEqual(self._held(self.run_record).lease_token, first)

    def test_renewing_moves_the_end_of_the_leases_that_are_held(self):
        self._expire_lease(self.run_record)
        held = self.Task._renew_leases([self.task.lease_token])
        self.assertEqual(held, {self.task.id: False})
        self.assertGreater(self.task.lease_until, self.Task._clock())

    def test_renewing_tells_which_tasks_are_to_be_cancelled(self):
        self.run_record.cancel()
        self.env.flush_all()
        self.assertEqual(self.Task._renew_leases([self.task.lease_token]), {self.task.id: True})

    def test_renewing_leaves_out_what_is_no_longer_held(self):
        held = self.Task._renew_leases([self.task.lease_token, "0" * 32])
        self.assertEqual(held, {self.task.id: False})

    def test_renewing_nothing_asks_nothing(self):
        with self.assertQueryCount(0):
            self.assertEqual(self.Task._renew_leases([]), {})


class TestReaper(BackupCase):
    def test_a_held_lease_is_left_alone(self):
        run = self._running()
        self.assertEqual(self.Task._reap(), 0)
        self.assertEqual(run.status, "running")

    def test_a_lost_run_is_queued_at_once_and_its_attempt_counts(self):
        run = self._running()
        self._expire_lease(run)
        self.assertEqual(self.Task._reap(), 1)
        self.assertRecordValues(
            run,
            [
                {
                    "status": "queued", "attempt": 1, "error_code": "worker_lost",

                }
            ],
        )  # fmt: skip
        self.assertIn("tester", run.error)
        self.assertLessEqual(run.retry_at, fields.Datetime.now())
        self.assertEqual(self._claim(), run)
        self.assertEqual(run.attempt, 2)

    @mute_logger(RUN_LOGGER)
    def test_a_lost_run_without_attempts_left_ends_as_worker_lost(self):
        run = self._running(job=self._make_job(max_attempts=1))
        self._expire_lease(run)
        self.Task._reap()
        self.assertRecordValues(run, [{"status": "failed", "error_code": "worker_lost"}])
        self.assertEqual(run.copy_ids.status, "uploading", "Something may lie there")
        self.assertEqual(self._abandoned(), run)

    def test_a_lost_run_that_was_to_be_cancelled_ends_as_cancelled(self):
        run = self._running()
        run.cancel()
        self._expire_lease(run)
        self.Task._reap()
        self.assertRecordValues(run, [{"status": "cancelled", "cancel_requested": False}])
        self.assertEqual(self._abandoned(), run)

    def test_reaping_twice_counts_once(self):
        run = self._running()
        self._expire_lease(run)
        self.assertEqual((self.Task._reap(), self.Task._reap()), (1, 0))
        self.assertEqual(run.attempt, 1)

    def test_the_dispatcher_reaps(self):
        run = self._running()
        self._expire_lease(run)
        self._dispatch()
        self.assertEqual(run.status, "queued")
