import datetime
import logging

from odoo import fields
from odoo.tools import mute_logger

from .common import RUN_LOGGER, BackupCase, ago, archive

DISPATCHER_LOGGER = "odoo.addons.backup_scheduler.models.dispatcher.backup_dispatcher"
EXECUTION_LOGGER = "odoo.addons.backup_scheduler.models.task.backup_task_execution"
NOON = fields.Datetime.to_datetime("2026-03-10 12:00:00")
HOUR = datetime.timedelta(hours=1)


class Robust(BackupCase):
    def setUp(self):
        super().setUp()
        self.jobs = self.Job
        for number in range(10):
            self.jobs += self._make_due(self._make_job(name=f"Job {number}"), NOON)
        self.broken = self.jobs[4]
        self.sound = self.jobs - self.broken

    def _break_plan_fire(self, error):
        """Let planning the fifth job fail, after it has written something."""
        plan_fire = type(self.Job)._plan_fire

        def fail(job, now):
            if job == self.broken:
                job.name = "Half-written"
                raise error
            return plan_fire(job, now)

        self.patch(type(self.Job), "_plan_fire", fail)

    def _assert_fails_alone(self, message):
        with mute_logger(RUN_LOGGER):
            self.assertEqual(self._plan(NOON), 10)
        self.assertEqual([len(job.run_ids) for job in self.sound], [2] * 9)
        self.assertFalse(any(self.sound.mapped("planning_error")))
        self.assertRecordValues(
            self.broken.run_ids,
            [{"status": "failed", "error_code": "internal", "scheduled_at": NOON}],
        )
        self.assertIn(message, self.broken.planning_error)
        self.assertIn(message, self.broken.run_ids.error)
        self.assertIn("Traceback", self.broken.run_ids.traceback)
        self.assertGreaterEqual(self.broken.next_run_at, NOON + HOUR, "It backs off")

    def test_a_corrupted_expression_fails_alone(self):
        self._sql(
            "UPDATE backup_job SET cron_expression = '0 24 * * *' WHERE id = %s", self.broken.id
        )
        self._assert_fails_alone("hour: 24 is outside 0-23")

    def test_an_empty_expression_fails_alone(self):
        self._sql("ALTER TABLE backup_job ALTER cron_expression DROP NOT NULL")
        self._sql("UPDATE backup_job SET cron_expression = NULL WHERE id = %s", self.broken.id)
        self._assert_fails_alone("expression")

    def test_a_corrupted_zone_fails_alone(self):
        self._sql("UPDATE backup_job SET timezone = 'Mars/Base' WHERE id = %s", self.broken.id)
        self._assert_fails_alone("Mars/Base")

    def test_an_exception_in_the_middle_fails_alone_and_leaves_nothing_half_written(self):
        self._break_plan_fire(RuntimeError("Boom"))
        self._assert_fails_alone("Boom")
        self.assertEqual(self.broken.name, "Job 4")

    def test_a_broken_query_fails_alone(self):
        plan_fire = type(self.Job)._plan_fire

        def fail(job, now):
            if job == self.broken:
                job.env.cr.execute("SELECT 1 / 0")
            return plan_fire(job, now)

        self.patch(type(self.Job), "_plan_fire", fail)
        with mute_logger("odoo.sql_db"):
            self._assert_fails_alone("division by zero")

    def test_an_archived_instance_makes_no_runs_and_disturbs_nobody(self):
        other = self._make_instance("Old")
        self._sql(
            "UPDATE backup_job SET instance_id = %s WHERE id = %s", other.id, self.broken.id
        )
        self._sql("UPDATE backup_instance SET active = FALSE WHERE id = %s", other.id)
        self.assertEqual(self._plan(NOON), 9)
        self.assertFalse(self.broken.run_ids)
        self.assertEqual([len(job.run_ids) for job in self.sound], [2] * 9)

    def test_a_job_that_fails_again_leaves_one_failed_run_for_each_try(self):
        self._break_plan_fire(RuntimeError("Boom"))
        self._assert_fails_alone("Boom")
        self.assertEqual(self._plan(NOON + datetime.timedelta(minutes=1)), 0)
        with mute_logger(RUN_LOGGER):
            self._plan(self.broken.next_run_at)
        self.assertEqual(len(self.broken.run_ids), 2)

    def test_a_job_that_cannot_even_record_its_failure_is_kept_from_coming_back(self):
        self._break_plan_fire(RuntimeError("Boom"))

        def fail(job, error, now):
            raise RuntimeError("Boom again")

        self.patch(type(self.Job), "_record_broken", fail)
        with self.assertLogs(DISPATCHER_LOGGER, logging.ERROR) as logs:
            self.assertEqual(self._plan(NOON), 10)
        self.assertIn("Boom again", logs.output[0])
        self.assertEqual([len(job.run_ids) for job in self.sound], [2] * 9)
        self.assertEqual(self.broken.next_run_at, NOON + HOUR)

    def test_a_job_that_works_again_no_longer_shows_its_error(self):
        self.broken.planning_error = "It was broken."
        self._plan(NOON)
        self.assertFalse(self.broken.planning_error)


class RobustBeyondJobs(BackupCase):
    def test_a_lost_run_that_cannot_be_given_back_ends_and_disturbs_nobody(self):
        broken, sound = self._running(), self._running("stock")
        self._expire_lease(broken + sound)
        job = self._make_due(self._make_job(), ago(minutes=1))
        mark_failed = type(self.Run)._mark_failed

        def fail(run, told):
            if run == broken:
                raise RuntimeError("Boom")
            return mark_failed(run, told)

        self.patch(type(self.Run), "_mark_failed", fail)
        with self.assertLogs(EXECUTION_LOGGER, logging.ERROR):
            self._dispatch()
        self.assertRecordValues(
            broken + sound,
            [
                {"status": "failed", "error_code": "internal"},
                {"status": "queued", "error_code": "worker_lost"},
            ],
        )
        self.assertIn("Boom", broken.error)
        self.assertEqual(len(job.run_ids), 2)

    def test_a_worker_that_cannot_be_started_is_told_and_does_not_fail_the_cron(self):
        job = self._make_due(self._make_job(), ago(minutes=1))
        self.launched.side_effect = OSError("Resource temporarily unavailable")
        with self.assertLogs(DISPATCHER_LOGGER, logging.ERROR) as logs:
            self._dispatch()
        self.assertIn("Resource temporarily unavailable", logs.output[0])
        self.assertEqual(set(job.run_ids.mapped("status")), {"queued"})

    def test_a_run_whose_order_cannot_be_made_fails_alone(self):
        broken, sound = self._make_run(), self._make_run("stock")
        self._sql("UPDATE backup_run SET archive_format = NULL WHERE id = %s", broken.id)
        with (
            mute_logger(RUN_LOGGER),
            self.enter_registry_test_mode(),
        ):
            executor = self._executor()
            self.assertEqual(executor.claim().kind, "")
            task = executor.claim()
        self.assertEqual(self.Task.browse(task.id).run_id, sound)
        self.assertRecordValues(broken, [{"status": "failed", "error_code": "internal"}])

    @mute_logger(RUN_LOGGER)
    def test_a_run_that_cannot_even_begin_fails_alone(self):
        broken, sound = self._make_run(), self._make_run("stock")
        mark_running = type(self.Run)._mark_running

        def mark_or_break(run, attempt):
            if run == broken:
                raise ValueError("Boom")
            return mark_running(run, attempt)

        self.patch(type(self.Run), "_mark_running", mark_or_break)
        with self.enter_registry_test_mode():
            executor = self._executor()
            self.assertEqual([executor.claim().kind for _time in range(2)], ["", "backup"])
        self.env.invalidate_all()
        self.assertRecordValues(broken, [{"status": "failed", "error_code": "internal"}])
        self.assertEqual(sound.status, "running")

    def test_what_a_run_beyond_its_own_record_may_have_left_is_removed(self):
        run = self._running()
        self._held(run)._end_unrecordable(ValueError("Boom"))
        self.assertRecordValues(run.task_ids, [{"kind": "discard", "is_at_work": False}])

    def _executor(self):
        from ..executor import Executor

        return Executor(self.registry, "tester")

    def test_an_event_that_cannot_be_recorded_ends_its_run_and_not_the_worker(self):
        run = self._make_run()
        with self.enter_registry_test_mode():
            executor = self._executor()
            task = executor.claim()
            event = {"event": "done", **archive(), "copies": [{"id": None}]}
            with self.assertLogs("odoo.addons.backup_scheduler", logging.ERROR):
                self.assertFalse(executor.record(task, event))
        self.assertRecordValues(run, [{"status": "failed", "error_code": "internal"}])

    def test_last_words_with_bytes_that_are_no_text_are_recorded(self):
        run = self._make_run(job=self._make_job(max_attempts=1))
        with self.enter_registry_test_mode(), mute_logger(RUN_LOGGER):
            executor = self._executor()
            task = executor.claim()
            event = {"event": "lost", "exit_code": -11, "tail": "garbage \x00\x07 here"}
            self.assertTrue(executor.record(task, event))
        self.assertRecordValues(run, [{"status": "failed", "error_code": "worker_lost"}])
        self.assertIn("garbage", run.error)
