from freezegun import freeze_time

from odoo.exceptions import UserError
from odoo.tools import mute_logger

from .common import DIGEST, RUN_LOGGER, SIZE, BackupCase, ago, archive, failure


class TestTransitions(BackupCase):
    def test_a_run_begins_queued_with_a_pending_copy_for_each_destination(self):
        other = self._make_destination("Second")
        job = self._make_job(destination_ids=[(6, 0, (self.destination + other).ids)])
        run = self._make_run(job=job)
        self.assertEqual(run.status, "queued")
        self.assertEqual(set(run.copy_ids.mapped("status")), {"pending"})
        self.assertEqual(run.copy_ids.destination_id, self.destination + other)

    def test_running_counts_an_attempt_and_takes_a_lease(self):
        run = self._make_run(retry_at=ago(minutes=1))
        self._claim("host:1")
        self.assertRecordValues(
            run,
            [
                {
                    "status": "running", "attempt": 1, "retry_at": False, "progress": 0,
                    "finished_at": False,
                }
            ],
        )  # fmt: skip
        self.assertTrue(run.started_at)
        self.assertRecordValues(
            self._held(run), [{"kind": "backup", "worker": "host:1", "attempt": 1}]
        )

    def test_a_stored_archive_ends_the_run_as_what_it_was_checked_to_be(self):
        for level, status in ((1, "success"), (2, "verified")):
            with self.subTest(level):
                run = self._running()
                run._mark_stored(archive(level))
                self.assertRecordValues(
                    run,
                    [
                        {
                            "status": status, "size": SIZE, "sha256": DIGEST,
                            "verification_level": str(level), "progress": 100,
                            "cancel_requested": False,
                        }
                    ],
                )  # fmt: skip
                self.assertTrue(run.finished_at)
                self.assertTrue(run.verified_at)

    def test_the_error_of_an_earlier_attempt_is_gone_once_the_archive_is_stored(self):
        run = self._running()
        self._report(run, failure(traceback="Traceback"))
        run.task_ids.due_at = ago(minutes=1)
        self._claim()
        self._report(run, self._done(run))
        self.assertRecordValues(
            run, [{"error_code": False, "error": False, "hint": False, "traceback": False}]
        )
        self.assertIn("Attempt 1 failed: connection_failed", run.log)

    def test_the_duration_is_the_time_of_the_last_attempt(self):
        with freeze_time("2026-03-10 12:00:00") as clock:
            run = self._running()
            clock.move_to("2026-03-10 12:01:30")
            self._report(run, self._done(run))
        self.assertEqual(run.duration, 90)

    def test_a_run_that_ends_in_the_queue_took_no_time(self):
        with freeze_time("2026-03-10 12:00:00") as clock, mute_logger(RUN_LOGGER):
            run = self._running()
            self._report(run, failure())
            clock.move_to("2026-03-10 15:00:00")
            run.cancel()
        self.assertEqual(run.duration, 0)

    def test_an_interrupted_run_is_queued_again_and_its_attempt_does_not_count(self):
        run = self._running()
        run._mark_interrupted()
        self.assertRecordValues(
            run, [{"status": "queued", "attempt": 0, }]
        )

    @mute_logger(RUN_LOGGER)
    def test_a_skipped_run_says_why_and_its_copies_are_no_longer_awaited(self):
        run = self._make_run()
        run._mark_skipped("overlap", "The run before it was not done yet.")
        self.assertRecordValues(run, [{"status": "skipped", "error_code": "overlap"}])
        self.assertEqual(run.copy_ids.status, "failed")


class TestActions(BackupCase):
    def test_a_queued_run_is_cancelled_at_once(self):
        run = self._make_run()
        run.cancel()
        self.assertRecordValues(run, [{"status": "cancelled", "error_code": "cancelled"}])
        self.assertIn(self.env.user.name, run.error)

    def test_a_running_run_is_asked_to_stop(self):
        run = self._running()
        run.cancel()
        self.assertRecordValues(run, [{"status": "running", "cancel_requested": True}])

    @mute_logger(RUN_LOGGER)
    def test_cancelling_leaves_ended_runs_alone(self):
        for status in ("success", "failed", "verified", "verify_failed", "skipped", "cancelled"):
            with self.subTest(status):
                run = self._make_run(status=status)
                run.cancel()
                self.assertEqual((run.status, run.cancel_requested), (status, False))

    def test_cancelling_what_waits_for_its_next_attempt_has_its_remains_removed(self):
        run = self._running()
        self._report(run, {"event": "lost", "exit_code": -9, "tail": ""})
        run.cancel()
        self.assertEqual(run.status, "cancelled")
        self.assertIn(run, self._abandoned())

    @mute_logger(RUN_LOGGER)
    def test_a_retry_queues_the_run_with_a_fresh_count_of_attempts(self):
        run = self._running()
        self._report(run, failure("wrong_master_password", retryable=False))
        self.assertEqual((run.status, run.copy_ids.status), ("failed", "failed"))
        run.retry()
        self.assertRecordValues(
            run, [{"status": "queued", "attempt": 0, "retry_at": False, "finished_at": False}]
        )
        self.assertEqual(run.copy_ids.status, "pending")
        self.assertEqual(self._claim(), run)

    @mute_logger(RUN_LOGGER)
    def test_what_can_be_retried_and_what_cannot(self):
        cases = {
            "failed": True, "cancelled": True, "skipped": True, "queued": False, "running": False,
            "success": False, "verified": False, "verify_failed": False,
        }  # fmt: skip
        for status, allowed in cases.items():
            run = self._make_run(status=status)
            with self.subTest(status):
                if allowed:
                    run.retry()
                    self.assertEqual(run.status, "queued")
                else:
                    with self.assertRaisesRegex(UserError, "can be tried again"):
                        run.retry()
                    self.assertEqual(run.status, status)

    def test_retry_and_verify_wake_the_dispatcher(self):
        cron = self.env.ref("backup_scheduler.ir_cron_dispatch")
        triggers = self.env["ir.cron.trigger"]
        for action, run in (("retry", self._make_run(status="failed")), ("verify", self._stored())):
            with self.subTest(action):
                before = triggers.search_count([("cron_id", "=", cron.id)])
                getattr(run, action)()
                after = triggers.search_count([("cron_id", "=", cron.id)])
                self.assertEqual(after, before + 1)

    def test_verify_asks_for_a_run_with_a_stored_copy(self):
        run = self._stored()
        run.verify()
        self.assertTrue(run.verification_requested_at)
        self.assertEqual(run.status, "verified", "Nothing is known yet")

    def test_verify_refuses_a_run_without_archive(self):
        with self.assertRaisesRegex(UserError, "has no stored archive"):
            self._make_run().verify()

    def test_pin_and_unpin(self):
        run = self._stored()
        run.pin()
        self.assertTrue(run.pinned)
        run.unpin()
        self.assertFalse(run.pinned)


class TestFacts(BackupCase):
    def test_the_error_summary_is_one_line_of_160_characters(self):
        run = self._make_run()
        cases = (
            (False, ""),
            ("Short.", "Short."),
            ("Two\nlines \n\n here", "Two lines here"),
            ("x" * 500, "x" * 160),
        )
        for error, summary in cases:
            with self.subTest(error):
                run.error = error
                self.assertEqual(run.error_summary, summary)

    def test_the_name_of_a_run_is_its_database_and_its_time(self):
        moment = "2026-03-10 12:00:00"
        self.env.user.tz = "UTC"
        self.assertEqual(
            self._make_run(scheduled_at=moment).display_name, "sales 2026-03-10 12:00"
        )

    def test_the_name_of_a_run_without_database_is_its_instance(self):
        run = self._make_run("", scheduled_at="2026-03-10 12:00:00")
        self.assertEqual(run.display_name, "Shop 2026-03-10 12:00")

    def test_the_last_good_run_of_a_database_is_the_newest_with_an_archive(self):
        sales, stock = self.instance.database_ids
        with freeze_time("2026-03-10 12:00:00"):
            self._stored("sales", level=1)
        with freeze_time("2026-03-11 12:00:00"):
            newest = self._stored("sales")
        with freeze_time("2026-03-12 12:00:00"), mute_logger(RUN_LOGGER):
            self._report(self._running("sales"), failure(retryable=False))
        self.assertEqual(sales.last_good_run_id, newest)
        self.assertEqual(sales.last_good_at, newest.finished_at)
        self.assertFalse(stock.last_good_run_id)

    def test_the_log_of_a_run_is_bounded(self):
        run = self._make_run()
        for _line in range(300):
            run._log("x" * 100)
        self.assertLessEqual(len(run.log), 20000)

    def test_the_instance_shows_its_last_fifty_runs(self):
        job = self._make_job()
        for number in range(52):
            self.Run._create_for(job, ["sales"], ago(days=number), "schedule")
        self.assertEqual(len(self.instance.last_run_ids), 50)
        self.assertEqual(self.instance.run_count, 52)
        self.assertEqual(
            self.instance.last_run_ids[0].scheduled_at,
            max(self.instance.run_ids.mapped("scheduled_at")),
        )
