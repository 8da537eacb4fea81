import logging
import os
from types import SimpleNamespace
from unittest.mock import patch

import psycopg2
from cryptography.fernet import Fernet

from odoo.tools import mute_logger

from .. import executor as executor_module
from ..executor import Executor
from ..models.backup_secret_mixin import KEY_VARIABLE
from ..runner import Runner
from .common import AT_REST, RUN_LOGGER, BackupCase, archive

EXECUTOR_LOGGER = executor_module.__name__
READY = {"event": "ready", **archive()}


class FakeEngine(SimpleNamespace):
    """Remembers what an engine process is told."""

    def __init__(self):
        super().__init__(told=[])

    def publish(self):
        self.told.append("publish")

    def cancel(self):
        self.told.append("cancel")


class TestExecutor(BackupCase):
    """Each step of an executor on a cursor of its own, as a worker takes them."""

    def setUp(self):
        super().setUp()
        self.run_record = self._make_run()
        self.executor = Executor(self.registry, "seat")
        self._entered = self.enter_registry_test_mode()
        self._entered.__enter__()
        self.addCleanup(self._entered.__exit__, None, None, None)

    def _fresh(self):
        self.env.invalidate_all()
        return self.run_record

    def _task(self):
        return self._fresh().task_ids

    def test_a_task_holds_the_order_and_the_token_of_its_run(self):
        task = self.executor.claim()
        self.assertEqual((task.id, task.kind), (self._task().id, "backup"))
        self.assertEqual(task.order["action"], "backup")
        self.assertEqual(task.token, self._task().lease_token)
        self.assertTrue(self._task().worker.startswith("seat:"), "So that it can be told")

    def test_what_an_engine_reported_before_a_stop_is_recorded_before_its_task_is_given_back(self):
        task = self.executor.claim()
        runner = Runner(self.executor)
        runner.tasks[task.token] = task
        (copy,) = task.order["destinations"]
        stored = {"id": copy["id"], "stored": True, **AT_REST}
        ended = {"event": "failed", "error_code": "cancelled", "error": "Cancelled."}
        for event in (READY, {"event": "stored", "copies": [stored]}, ended):
            runner._deliver(task.token, event)
        runner.give_back()
        run = self._fresh()
        self.assertRecordValues(run, [{"status": "verified", "task_ids": []}])
        self.assertEqual(run.copy_ids.status, "stored")

    def test_there_is_no_task_where_nothing_is_queued(self):
        self.executor.claim()
        self.assertIsNone(self.executor.claim())

    def test_runs_come_before_archives_that_are_to_be_read_again(self):
        self._stored("stock").verify()
        self.env.flush_all()
        kinds = [self.executor.claim().kind for _time in range(2)]
        self.assertEqual(kinds, ["backup", "verify"])

    def test_what_is_recorded_is_the_run_of_the_task(self):
        task = self.executor.claim()
        self.assertTrue(self.executor.record(task, {"event": "stage", "stage": "connect"}))
        self.assertEqual(self._fresh().stage, "connect")

    @mute_logger(EXECUTOR_LOGGER, RUN_LOGGER)
    def test_an_event_that_cannot_be_read_ends_its_task_and_not_the_executor(self):
        self.run_record.max_attempts = 1
        self.env.flush_all()
        task = self.executor.claim()
        event = {"event": "failed", "error": "x", "messages": [""]}
        self.assertFalse(self.executor.record(task, event))
        self.assertRecordValues(self._fresh(), [{"status": "failed", "error_code": "internal"}])
        self.assertEqual(self._task().mapped("kind"), ["discard"], "The attempt left something")

    def test_an_executor_that_lost_its_lease_records_nothing(self):
        task = self.executor.claim()
        self._expire_lease(self.run_record)
        self.executor.reap()
        done = self._done(self._fresh())
        self.assertFalse(self.executor.record(task, done))
        self.assertRecordValues(self._fresh(), [{"status": "queued", "sha256": False}])
        self.assertNotIn("stored", self.run_record.copy_ids.mapped("status"))

    def test_a_lost_lease_is_not_renewed(self):
        task = self.executor.claim()
        self.assertEqual(self.executor.renew_leases([task]), [task])
        self._expire_lease(self.run_record)
        self.executor.reap()
        self.assertEqual(self.executor.renew_leases([task]), [])

    def _engine_of(self, task):
        task.engine = FakeEngine()
        return task.engine

    def test_an_archive_gets_its_name_while_the_run_is_ours_and_wanted(self):
        task = self.executor.claim()
        engine = self._engine_of(task)
        self.executor.handle_event(task, {"event": "stage", "stage": "download"})
        self.assertEqual(engine.told, [])
        self.executor.handle_event(task, READY)
        self.assertEqual(engine.told, ["publish"])

    def test_an_archive_of_a_run_that_was_cancelled_gets_no_name(self):
        task = self.executor.claim()
        engine = self._engine_of(task)
        self._fresh().cancel()
        self.env.flush_all()
        self.executor.handle_event(task, READY)
        self.assertEqual(engine.told, ["cancel"])

    @mute_logger(EXECUTOR_LOGGER, RUN_LOGGER)
    def test_an_archive_that_came_too_late_is_discarded_also_when_the_database_went_away(self):
        self.run_record.max_attempts = 1
        self.env.flush_all()
        task = self.executor.claim()
        engine = self._engine_of(task)
        self._expire_lease(self.run_record)
        self.executor.reap()
        stored = {"id": self._fresh().copy_ids.id, "stored": True, "path": "a/b.zip"}
        done = {"event": "done", **archive(), "copies": [stored]}
        self.run_record.copy_ids._mark_damaged("worker_lost", "Lost.")
        self.env.flush_all()
        with (
            patch.object(type(self.Run), "_discard_orphans", side_effect=psycopg2.OperationalError),
            self.assertRaises(psycopg2.OperationalError),
        ):
            self.executor.handle_event(task, done)
        self.executor.handle_event(task, done)
        self.assertEqual(self._fresh().copy_ids.status, "uploading", "To be discarded")
        self.assertEqual(set(engine.told), {"cancel"})

    @mute_logger(RUN_LOGGER)
    def test_what_is_held_goes_on_and_the_rest_is_stopped(self):
        other = self._make_run("stock")
        self.env.flush_all()
        tasks = [self.executor.claim(), self.executor.claim()]
        engines = [self._engine_of(task) for task in tasks]
        self.assertEqual(self.executor.renew_leases(tasks), tasks)
        self._expire_lease(self.run_record)
        self.executor.reap()
        self.assertEqual(other.status, "running")
        self.assertEqual(self.executor.renew_leases(tasks), tasks[1:])
        self.assertEqual([engine.told for engine in engines], [["cancel"], []])

    def test_whoever_takes_the_seat_ends_the_attempts_of_whoever_had_it(self):
        self.executor.claim()
        Executor(self.registry, "sea").reap(predecessors=True)
        self.assertEqual(self._fresh().status, "running")
        Executor(self.registry, "seat").reap()
        self.assertEqual(self._fresh().status, "running")
        Executor(self.registry, "seat").reap(predecessors=True)
        self.assertRecordValues(
            self._fresh(), [{"status": "queued", "attempt": 1, "error_code": "worker_lost"}]
        )

    def test_an_executor_that_was_told_to_stop_gives_its_run_back(self):
        self.executor.give_back(self.executor.claim())
        self.assertRecordValues(self._fresh(), [{"status": "queued", "attempt": 0}])

    def test_an_executor_gives_back_only_what_it_holds(self):
        task = self.executor.claim()
        task.token = "0" * 32
        self.executor.give_back(task)
        self.assertEqual(self._fresh().status, "running")

    def test_the_number_of_parallel_runs_is_that_of_the_settings(self):
        for value, expected in ((False, 2), ("5", 5), ("0", 1)):
            self.env["ir.config_parameter"].set_param("backup_scheduler.workers", value)
            self.env.flush_all()
            with self.subTest(value):
                self.assertEqual(self.executor.parallel_runs(), expected)

    @mute_logger(RUN_LOGGER)
    def test_a_secret_that_cannot_be_read_ends_the_run_with_what_to_do(self):
        with patch.dict(os.environ, {KEY_VARIABLE: Fernet.generate_key().decode()}):
            self.assertEqual(self.executor.claim().kind, "")
        self.assertRecordValues(self._fresh(), [{"status": "failed", "task_ids": []}])
        self.assertEqual(self.run_record.error_code, "wrong_secret_key")
        self.assertIn("enter the secret again", self.run_record.hint)
        self.assertNotIn("defect", self.run_record.hint or "")
        self.assertEqual(self.run_record.copy_ids.status, "failed", "Nothing was written")


class TestCollisions(BackupCase):
    def setUp(self):
        super().setUp()
        self.patch(executor_module, "COLLISION_PAUSE", 0)
        self.executor = Executor(self.registry, "seat")

    def _step(self, failures, error):
        """Return a step that fails a number of times, and the list of its calls."""
        calls = []

        def step(env):
            calls.append(env)
            if len(calls) <= failures:
                raise error
            return "done"

        return step, calls

    def test_a_step_that_collides_is_taken_again(self):
        errors = (psycopg2.errors.SerializationFailure, psycopg2.errors.UniqueViolation)
        for error in errors:
            with self.subTest(error.__name__), self.enter_registry_test_mode():
                step, calls = self._step(2, error())
                self.assertEqual(self.executor.transaction(step), "done")
                self.assertEqual(len(calls), 3)

    def test_a_step_that_always_collides_is_given_up(self):
        step, calls = self._step(99, psycopg2.errors.SerializationFailure())
        with (
            self.enter_registry_test_mode(),
            self.assertRaises(psycopg2.errors.SerializationFailure),
        ):
            self.executor.transaction(step)
        self.assertEqual(len(calls), executor_module.TRIES)

    def test_an_absent_database_is_the_business_of_the_caller(self):
        run = self._make_run()
        with self.enter_registry_test_mode():
            task = self.executor.claim()
            self.patch(
                type(self.Task), "_held", lambda *_arguments: self._raise(psycopg2.OperationalError)
            )
            with (
                self.assertRaises(psycopg2.OperationalError),
                self.assertNoLogs("odoo.addons.backup_scheduler", logging.WARNING),
            ):
                self.executor.record(task, {"event": "stage", "stage": "connect"})
        self.assertEqual(run.status, "running")

    def _raise(self, error):
        raise error
