import datetime
from unittest.mock import patch

from odoo import fields
from odoo.addons.backup_scheduler.tests.common import RUN_LOGGER, ago, failure
from odoo.tools import mute_logger

from .common import QueueCase

DISPATCHER_LOGGER = "odoo.addons.backup_scheduler_queue_job.models.backup_dispatcher"


class TestHandOver(QueueCase):
    """The dispatcher gives each run that waits one queue job, and no second one."""

    def test_each_queued_run_gets_one_queue_job_on_the_channel_of_backups(self):
        runs = self._make_run("sales") | self._make_run("stock")
        self._dispatch()
        jobs = self._jobs()
        self.assertEqual([job.args[0] for job in jobs], runs.task_ids.ids)
        self.assertEqual(set(jobs.mapped("method_name")), {"_execute_ticket"})
        self.assertEqual(set(jobs.mapped("state")), {"pending"})
        self.assertEqual(set(jobs.mapped("max_retries")), {0}, "Without end")
        self.assertEqual(jobs.mapped("uuid"), runs.mapped("queue_job_uuid"))
        self.assertFalse(self.launched.called, "No worker process is started")

    def test_a_second_dispatch_enqueues_nothing(self):
        run = self._make_run()
        job = self._enqueued(run)
        for state in ("pending", "enqueued", "started"):
            job.state = state
            self._dispatch()
        self.assertEqual(self._jobs(), job)

    def test_a_lost_attempt_is_handed_over_again_whatever_its_old_queue_job_does(self):
        run = self._make_run(max_attempts=3)
        old = self._enqueued(run)
        old.state = "started"
        self._claim()
        self._expire_lease(run)
        new = self._enqueued(run)
        self.assertEqual(run.attempt, 1)
        self.assertNotEqual(new, old)
        self.assertEqual(new.identity_key, f"backup_task:{run.task_ids.id}:1")

    def test_a_run_that_was_given_back_is_handed_over_again(self):
        run = self._make_run()
        old = self._enqueued(run)
        self._claim()
        self._held(run)._give_back()
        old.state = "done"
        self.assertNotEqual(self._enqueued(run), old)

    def test_the_next_attempt_waits_in_the_queue_for_its_time(self):
        run = self._running(max_attempts=3, retry_delay=30)
        before = fields.Datetime.now()
        self._report(run, failure())
        job = self._enqueued(run)
        self.assertEqual(job.eta, run.retry_at)
        self.assertGreaterEqual(job.eta, before + datetime.timedelta(minutes=30))

    def test_what_somebody_waits_for_comes_first(self):
        scheduled = self._enqueued(self._make_run(trigger="schedule"))
        manual = self._enqueued(self._make_run("stock", trigger="manual"))
        self.assertLess(manual.priority, scheduled.priority)

    def test_nothing_is_enqueued_while_another_executor_is_chosen(self):
        self.env["ir.config_parameter"].set_param("backup_scheduler.executor", "process")
        self._make_run()
        self._dispatch()
        self.assertFalse(self._jobs())
        self.assertTrue(self.launched.called)

    def test_an_ended_run_is_not_handed_over(self):
        self._make_run().cancel()
        self._stored("stock")
        self._dispatch()
        self.assertFalse(self._jobs())

    def test_a_verification_gets_one_queue_job_for_each_time_that_it_is_asked_for(self):
        run = self._stored()
        run.verify()
        job = self._enqueued(run)
        self._dispatch()
        self.assertEqual(self._jobs(), job)
        self.assertEqual(job.identity_key, f"backup_task:{run.task_ids.id}:0")

    @mute_logger(RUN_LOGGER)
    def test_what_lost_attempts_left_gets_one_queue_job_each(self):
        runs = [self._running(name, max_attempts=1) for name in ("sales", "stock")]
        for run in runs:
            self._expire_lease(run)
        self._dispatch()
        self._dispatch()
        tasks = self.Task.browse(job.args[0] for job in self._jobs())
        self.assertEqual(sorted(tasks.mapped("kind")), ["discard", "discard", "sweep"])
        self.assertEqual(set(tasks.run_id), set(runs))

    def test_a_queue_job_that_was_cancelled_is_made_again(self):
        run = self._make_run()
        old = self._enqueued(run)
        old.button_cancelled()
        self.assertNotEqual(self._enqueued(run), old)

    def test_a_queue_job_that_failed_is_made_again_after_a_while(self):
        run = self._make_run()
        old = self._enqueued(run)
        old.state = "failed"
        self.assertEqual(self._enqueued(run), old, "Not in a loop")
        self._sql("UPDATE queue_job SET date_created = %s WHERE id = %s", ago(minutes=11), old.id)
        self.assertNotEqual(self._enqueued(run), old)

    @mute_logger(DISPATCHER_LOGGER)
    def test_one_that_cannot_be_enqueued_stops_no_other(self):
        broken, sound = self._make_run("sales"), self._make_run("stock")
        describe = type(self.Task)._ticket_description

        def describe_or_break(task):
            if task.run_id == broken:
                raise ValueError("broken")
            return describe(task)

        with patch.object(type(self.Task), "_ticket_description", describe_or_break):
            self._dispatch()
        self.assertEqual([job.args[0] for job in self._jobs()], sound.task_ids.ids)
        self.assertEqual(broken.status, "queued")

    def test_a_missing_job_runner_is_told_in_the_log(self):
        self.runner.return_value = False
        self._make_run()
        with self.assertLogs(DISPATCHER_LOGGER, "WARNING") as logs:
            self._dispatch()
        self.assertIn("server-wide", logs.output[0])
        self.assertEqual(len(self._jobs()), 1, "It waits for one")

    def test_nothing_to_do_tells_nothing(self):
        self.runner.return_value = False
        with self.assertNoLogs(DISPATCHER_LOGGER):
            self._dispatch()
