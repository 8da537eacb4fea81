import datetime

from odoo import fields
from odoo.tools import mute_logger

from ..models.run.backup_run_execution import LEASE
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
        run.retry_at = ago(minutes=5)
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
        first._record(self._done(first))
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
        first._record(self._done(first))
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
    def test_a_claim_takes_a_lease_on_the_clock_of_the_database(self):
        run = self._running()
        left = run.lease_until - self.Run._clock()
        self.assertLessEqual(left, datetime.timedelta(seconds=LEASE))
        self.assertGreater(left, datetime.timedelta(seconds=LEASE - 10))

    def test_only_the_holder_of_the_token_holds_the_run(self):
        run = self._running()
        cases = (
            (run.id, run.lease_token, run),
            (run.id, "0" * 32, self.Run),
            (run.id, "", self.Run),
            (run.id, None, self.Run),
            (run.id + 1, run.lease_token, self.Run),
        )
        for run_id, token, expected in cases:
            with self.subTest(run_id=run_id, token=token):
                self.assertEqual(self.Run._held(run_id, token), expected)

    def test_an_ended_run_is_held_by_nobody(self):
        run = self._running()
        token = run.lease_token
        run._record(self._done(run))
        run.flush_recordset()
        self.assertFalse(self.Run._held(run.id, token))
        self.assertFalse(self.Run._held(run.id, None))

    def test_each_attempt_has_a_token_of_its_own(self):
        run = self._running()
        first = run.lease_token
        run._mark_interrupted()
        self._claim()
        self.assertNotEqual(run.lease_token, first)

    def test_renewing_moves_the_end_of_the_leases_that_are_held(self):
        run = self._running()
        self._expire_lease(run)
        held = self.Run._renew_leases({run.id: run.lease_token})
        self.assertEqual(held, {run.id: False})
        self.assertGreater(run.lease_until, self.Run._clock())

    def test_renewing_tells_which_runs_are_to_be_cancelled(self):
        run = self._running()
        run.cancel()
        run.flush_recordset()
        self.assertEqual(self.Run._renew_leases({run.id: run.lease_token}), {run.id: True})

    def test_renewing_leaves_out_what_is_no_longer_held(self):
        mine, lost = self._running(), self._running("stock")
        held = self.Run._renew_leases({mine.id: mine.lease_token, lost.id: "0" * 32})
        self.assertEqual(held, {mine.id: False})

    def test_renewing_nothing_asks_nothing(self):
        with self.assertQueryCount(0):
            self.assertEqual(self.Run._renew_leases({}), {})


class TestReaper(BackupCase):
    def test_a_held_lease_is_left_alone(self):
        run = self._running()
        self.assertEqual(self.Run._reap(), 0)
        self.assertEqual(run.status, "running")

    def test_a_lost_run_is_queued_at_once_and_its_attempt_counts(self):
        run = self._running()
        self._expire_lease(run)
        self.assertEqual(self.Run._reap(), 1)
        self.assertRecordValues(
            run,
            [
                {
                    "status": "queued", "attempt": 1, "error_code": "worker_lost",
                    "lease_token": False, "lease_until": False, "worker": False,
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
        self.Run._reap()
        self.assertRecordValues(run, [{"status": "failed", "error_code": "worker_lost"}])
        self.assertEqual(run.copy_ids.status, "uploading", "Something may lie there")
        self.assertEqual(self.Run._abandoned(), run)

    def test_a_lost_run_that_was_to_be_cancelled_ends_as_cancelled(self):
        run = self._running()
        run.cancel()
        self._expire_lease(run)
        self.Run._reap()
        self.assertRecordValues(run, [{"status": "cancelled", "cancel_requested": False}])
        self.assertEqual(self.Run._abandoned(), run)

    def test_reaping_twice_counts_once(self):
        run = self._running()
        self._expire_lease(run)
        self.assertEqual((self.Run._reap(), self.Run._reap()), (1, 0))
        self.assertEqual(run.attempt, 1)

    def test_the_dispatcher_reaps(self):
        run = self._running()
        self._expire_lease(run)
        self._dispatch()
        self.assertEqual(run.status, "queued")
