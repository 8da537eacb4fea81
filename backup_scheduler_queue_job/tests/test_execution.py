import os
import resource
import subprocess
import sys
from unittest.mock import patch

import psycopg2

from odoo.addons.backup_scheduler import executor
from odoo.addons.backup_scheduler.tests.common import (
    AT_REST,
    RUN_LOGGER,
    SIZE,
    archive,
    failure,
)
from odoo.addons.queue_job.exception import RetryableJobError
from odoo.tools import mute_logger

from .. import execution
from .common import QueueCase

LOGGER = executor.__name__


def done(order):
    """The last word of an engine that stored the archive everywhere."""
    copies = [
        {"id": each["id"], "stored": True, **AT_REST, "path": each["archive_path"]}
        for each in order["destinations"]
    ]
    return {"event": "done", **archive(), "copies": copies}


class TestExecution(QueueCase):
    """A queue job claims its run and sees it through, with an engine process."""

    def _only_run(self, **values):
        """Return a queued run whose fire gains no others, and its queue job."""
        job = self._make_job(
            database_scope="selected", database_ids=self.instance.database_ids[0].ids
        )
        run = self._make_run(job=job, **values)
        return run, self._enqueued(run)

    def test_a_queue_job_executes_its_run_and_no_other(self):
        engine = self._with_engine({"event": "stage", "stage": "download"}, done)
        other = self._make_run("stock")
        run, job = self._only_run()
        self.assertEqual(self._perform(job), "verified")
        self.assertRecordValues(run, [{"status": "verified", "attempt": 1, "size": SIZE}])
        self.assertTrue(run.log)
        self.assertEqual(other.status, "queued")
        self.assertEqual(engine.made[0].commands, ["end"])

    def test_the_archive_gets_its_name_only_when_the_run_is_still_held(self):
        ready = {"event": "ready", "size": SIZE, "sha256": "ab", "report": {"level": 2}}
        engine = self._with_engine(ready, "publish", done)
        run, job = self._only_run()
        self._perform(job)
        self.assertEqual(engine.made[0].commands, ["publish", "end"])
        self.assertEqual(run.status, "verified")

    @mute_logger(RUN_LOGGER)
    def test_a_failed_backup_is_no_failure_of_the_queue_job(self):
        self._with_engine(failure("wrong_master_password", retryable=False))
        run, job = self._only_run()
        self.assertEqual(self._perform(job), "failed wrong_master_password")
        self.assertEqual(run.error_code, "wrong_master_password")

    @mute_logger(RUN_LOGGER)
    def test_an_engine_that_dies_costs_the_run_an_attempt(self):
        self._with_engine({"event": "lost", "exit_code": -9, "tail": ""})
        run, job = self._only_run(max_attempts=2)
        self._perform(job)
        self.assertRecordValues(
            run, [{"status": "queued", "attempt": 1, "error_code": "worker_lost"}]
        )

    def test_what_an_end_has_queued_is_handed_over_at_once(self):
        self._with_engine(failure())
        run, job = self._only_run(max_attempts=2, retry_delay=5)
        cron = self.env.ref("backup_scheduler.ir_cron_dispatch")
        triggers = self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id)])
        self._perform(job)
        more = self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id)]) - triggers
        self.assertEqual(len(more), 1)
        self.assertEqual(self._enqueued(run).eta, run.retry_at)

    def test_a_run_that_may_not_start_yet_comes_later_without_counting_a_try(self):
        engine = self._with_engine(done)
        self.instance.max_parallel_runs = 1
        self._running("stock")
        run, job = self._only_run()
        with (
            patch.object(execution, "CLAIM_PAUSE", 0),
            self.assertRaises(RetryableJobError) as caught,
        ):
            self._perform(job)
        self.assertTrue(caught.exception.ignore_retry)
        self.assertTrue(10 <= caught.exception.seconds <= 20)
        self.assertEqual((run.status, run.attempt), ("queued", 0))
        self.assertFalse(engine.made)

    def test_the_ticket_of_a_run_that_is_cancelled_does_nothing(self):
        engine = self._with_engine(done)
        run, job = self._only_run()
        run.cancel()
        self.assertEqual(self._perform(job), "cancelled cancelled")
        self.assertFalse(engine.made)

    def test_the_ticket_of_a_lost_attempt_leaves_the_next_one_alone(self):
        engine = self._with_engine(done)
        run, job = self._only_run(max_attempts=3, retry_delay=30)
        self._claim()
        self._report(run, failure())
        self.assertEqual(self._perform(job), "queued connection_failed")
        self.assertFalse(engine.made)

    def test_a_run_that_somebody_else_executes_is_left_to_them(self):
        engine = self._with_engine(done)
        run, job = self._only_run()
        self._claim("another")
        self.assertEqual(self._perform(job), "running")
        self.assertEqual(self._held(run).worker, "another")
        self.assertFalse(engine.made)

    def test_a_cancel_stops_the_engine_within_a_heartbeat(self):
        run, job = self._only_run()

        def ask(order):
            self._sql("UPDATE backup_task SET cancel_requested = TRUE WHERE run_id = %s", run.id)
            return {"event": "stage", "stage": "download"}

        engine = self._with_engine(ask, "never")
        with patch.object(execution, "HEARTBEAT", 0.1):
            self.assertEqual(self._perform(job), "cancelled cancelled")
        self.assertEqual(engine.made[0].commands, ["cancel", "end"])

    @mute_logger(LOGGER, RUN_LOGGER)
    def test_whoever_lost_the_lease_writes_nothing_and_discards_the_archive(self):
        run, job = self._only_run(max_attempts=1)

        def lose(order):
            self._expire_lease(run)
            self.Task._reap()
            # Not as it was left by the lost attempt, so that it shows.
            run.copy_ids._mark_damaged("worker_lost", "Lost.")
            self.env.flush_all()
            return done(order)

        engine = self._with_engine(lose)
        self.assertEqual(self._perform(job), "failed worker_lost")
        self.assertEqual(engine.made[0].commands, ["cancel", "end"])
        self.assertEqual(run.copy_ids.status, "uploading", "To be discarded")

    def test_the_secrets_of_the_order_are_forgotten_once_it_is_given(self):
        tasks = []
        claim = execution.QueueExecutor.claim_ticket

        def remember(executor, *arguments):
            tasks.append(claim(executor, *arguments))
            return tasks[-1]

        self._with_engine(done)
        _run, job = self._only_run()
        with patch.object(execution.QueueExecutor, "claim_ticket", remember):
            self._perform(job)
        self.assertEqual([task.order for task in tasks if task], [{}])

    def test_a_server_that_is_not_known_is_discovered_and_backed_up_in_one_queue_job(self):
        engine = self._with_engine(
            lambda order: {"event": "done", "version": "19.0", "databases": ["sales", "stock"]}
            if order["action"] == "discover"
            else done(order)
        )
        job = self._make_job(instance_id=self._make_instance("New").id)
        run = self.Run.browse(job.run_now())
        self.assertEqual(self._perform(self._enqueued(run)), "verified")
        self.assertEqual([made.order["action"] for made in engine.made], ["discover", "backup"])
        found = job.run_ids - run
        self.assertEqual(found.mapped("status"), ["queued"])
        self.assertTrue(self._enqueued(found))

    def test_a_verification_is_a_queue_job_like_a_backup(self):
        run = self._stored()
        run.verify()
        job = self._enqueued(run)
        self._with_engine(
            lambda order: {
                "event": "done",
                "copies": [
                    {"id": each["id"], "ok": True, "report": {"level": 2}}
                    for each in order["copies"]
                ],
            }
        )
        self.assertEqual(self._perform(job), "verified")
        self.assertFalse(run.verification_requested_at)

    @mute_logger(RUN_LOGGER)
    def test_what_a_lost_attempt_left_is_removed_in_a_queue_job(self):
        run = self._running(max_attempts=1)
        self._expire_lease(run)
        self._dispatch()
        engine = self._with_engine(
            lambda order: {
                "event": "done",
                "copies": [{"id": each["id"], "ok": True} for each in order["copies"]],
            }
        )
        (discard,) = [job for job in self._jobs() if job.args[0] == run.task_ids.id]
        self._perform(discard)
        self.assertEqual(engine.made[0].order["action"], "discard")
        self.assertEqual(run.copy_ids.status, "failed")


class TestParts(QueueCase):
    def test_a_step_is_tried_again_while_the_database_is_away(self):
        answers = [psycopg2.OperationalError("away"), psycopg2.InterfaceError("closed"), "back"]

        def step():
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        with patch.object(execution, "DATABASE_PAUSE", 0):
            self.assertEqual(execution.insist(step), "back")

    def test_a_database_that_stays_away_ends_the_waiting(self):
        def step():
            raise psycopg2.OperationalError("away")

        with (
            patch.object(execution, "DATABASE_PAUSE", 0),
            patch.object(execution, "DATABASE_LIMIT", 0),
            self.assertRaises(psycopg2.OperationalError),
        ):
            execution.insist(step)

    def test_an_engine_is_freed_of_the_limits_that_it_inherits(self):
        limit_and_wait = (
            "import resource, sys; _, hard = resource.getrlimit(resource.RLIMIT_CPU);"
            "resource.setrlimit(resource.RLIMIT_CPU, (60, hard));"
            "print('set', flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", limit_and_wait], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            self.assertEqual(resource.prlimit(process.pid, resource.RLIMIT_CPU)[0], 60)
            execution.lift_limits(process.pid)
            soft, hard = resource.prlimit(process.pid, resource.RLIMIT_CPU)
            self.assertEqual(soft, hard)
            process.communicate()
        execution.lift_limits(process.pid)  # ended: nothing to free
        self.assertNotEqual(process.pid, os.getpid())
