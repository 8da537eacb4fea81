"""Orders that are carried out while somebody waits: in a process, which is killed if need be."""

import signal
import tempfile
import time
import types
from pathlib import Path
from unittest.mock import patch

from odoo.tools import mute_logger

from .. import engine_call, engine_process
from .. import executor as executor_module
from ..engine.sources.base import Server
from ..engine.sources.http import HttpSource
from ..executor import Executor, storable
from ..models import backup_kind_mixin
from ..models.instance import backup_instance
from ..runner import Runner
from .common import RUN_LOGGER, BackupCase

# Seconds. Nothing takes as long on any machine.
PATIENCE = 60
IN_A_PROCESS = engine_call.carry_out
STUCK = """
import re, sys
sys.stdin.readline()
re.match("(a+)+$", "a" * 64 + "b")
"""


class TestEngineCall(BackupCase):
    def setUp(self):
        super().setUp()
        self.enterContext(mute_logger(backup_instance.__name__))
        self.startPatcher(patch.object(engine_call, "carry_out", IN_A_PROCESS))

    def test_nothing_that_a_server_sends_is_parsed_in_odoo(self):
        with patch.object(HttpSource, "probe", side_effect=AssertionError("in Odoo")):
            answer = self.instance.test_connection()
        self.assertEqual((answer["ok"], answer["error_code"]), (False, "connection_failed"))
        self.assertNotIn("traceback", answer)
        self.assertEqual(self.instance.check_code, "connection_failed")

    def test_hosts_that_forbid_processes_do_it_in_the_thread(self):
        self.env["ir.config_parameter"].set_param("backup_scheduler.executor", "inline")
        found = Server(version="19.0", databases=("sales",))
        with patch.object(HttpSource, "probe", return_value=found):
            self.assertEqual(self.instance.refresh_databases(), ["sales"])

    def test_a_server_that_keeps_the_engine_busy_for_ever_costs_a_process_that_is_killed(self):
        with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
            script.write(STUCK)
            script.flush()
            with (
                patch.object(engine_process, "ENGINE", script.name),
                patch.object(engine_call, "GRACE", 0.2),
                patch.object(backup_instance, "TEST_TIME_LIMIT", 0.2),
            ):
                answer = self.instance.test_connection()
        self.assertEqual((answer["ok"], answer["error_code"]), (False, "time_limit"))
        self.assertEqual(self.instance.check_status, "error")

    def test_a_request_that_is_tried_again_does_not_wait_again(self):
        asked = []

        def answer(order, time_limit):
            asked.append(order["action"])
            return [{"event": "done", "version": "19.0", "databases": ["sales"]}]

        tries = types.SimpleNamespace()
        with (
            patch.object(engine_call, "carry_out", answer),
            patch.object(backup_kind_mixin, "request", tries),
        ):
            self.assertTrue(self.instance.test_connection()["ok"])
            for _try in range(2):
                # As Odoo does after a collision.
                self.env.cr.postrollback.run()
                self.assertTrue(self.instance.test_connection()["ok"])
            self.assertEqual(len(asked), 1)
            # Somebody presses the button once more.
            self.assertTrue(self.instance.test_connection()["ok"])
            self.assertEqual(len(asked), 2)

    def test_a_host_on_which_no_process_can_be_started_says_so(self):
        with patch.object(engine_call, "EngineProcess", side_effect=PermissionError(1, "No fork")):
            answer = self.instance.test_connection()
        self.assertEqual((answer["ok"], answer["error_code"]), (False, "worker_lost"))
        self.assertIn("No fork", answer["error"])

    def test_what_no_text_can_hold_is_taken_out_of_what_is_recorded(self):
        self.assertEqual(storable({"a": ["x\x00y", "\ud800z"]}), {"a": ["xy", "?z"]})

    def test_a_destination_is_checked_by_a_process(self):
        with tempfile.TemporaryDirectory() as folder:
            destination = self._make_destination("Here", path=folder)
            self.assertTrue(destination.check()["ok"])
            self.assertTrue(destination.folder_marker)
            self.assertTrue((Path(folder) / "file").write_bytes(b"") == 0)
            destination.path = f"{folder}/file"
            answer = destination.check()
        self.assertEqual((answer["ok"], answer["error_code"]), (False, "destination_failed"))
        self.assertEqual(destination.check_status, "error")


class TestStuckEngines(BackupCase):
    """An engine that heeds nothing, as an executor of tasks has it."""

    def setUp(self):
        super().setUp()
        self.run_record = self._make_run(job=self._make_job(max_attempts=3))
        self.executor = Executor(self.registry, "seat")
        self.enterContext(self.enter_registry_test_mode())
        script = self.enterContext(tempfile.NamedTemporaryFile("w", suffix=".py"))
        script.write(STUCK)
        script.flush()
        self.startPatcher(patch.object(engine_process, "ENGINE", script.name))
        self.startPatcher(patch.object(engine_process, "END_LIMIT", 0.2))
        self.runner = Runner(self.executor, heartbeat=0)

    def _start(self, **order):
        task = self.executor.claim()
        task.order.update(order)
        self.engine = self.runner.start(task)

    def _work(self):
        """Work as a worker does, until there is nothing left to do."""
        deadline = time.monotonic() + PATIENCE
        while self.runner.tasks:
            self.assertLess(time.monotonic(), deadline, "The engine was not killed")
            self.runner.wait(0.1)
            self.runner.beat()
        self.assertEqual(self.engine._process.poll(), -signal.SIGKILL)
        self.env.invalidate_all()

    def test_it_is_killed_after_a_cancellation(self):
        self._start(time_limit=PATIENCE * 10)
        self.run_record.cancel()
        self.env.flush_all()
        self._work()
        self.assertEqual((self.run_record.status, self.run_record.error_code),
                         ("cancelled", "cancelled"))  # fmt: skip

    def test_it_is_killed_after_its_time_limit(self):
        self._start(time_limit=0.1)
        self._work()
        self.assertEqual((self.run_record.status, self.run_record.error_code),
                         ("failed", "time_limit"))  # fmt: skip

    @mute_logger(executor_module.__name__, RUN_LOGGER)
    def test_it_is_killed_when_its_lease_was_lost(self):
        self._start(time_limit=PATIENCE * 10)
        self._expire_lease(self.run_record)
        self.executor.reap()
        self._work()
        self.assertEqual(self.run_record.status, "queued", "Another attempt follows")


class TestKilledEngines(BackupCase):
    """What is recorded of an engine that did not end by itself: why, and that it left something."""

    def _killed(self, reason):
        run = self._running(max_attempts=3)
        self._report(run, {"event": "lost", "exit_code": -9, "tail": "", "killed": reason})
        return run

    def test_a_run_that_was_cancelled_is_cancelled_and_its_remains_are_removed(self):
        run = self._killed("cancelled")
        self.assertEqual((run.status, run.error_code), ("cancelled", "cancelled"))
        self.assertIn(run, self._abandoned())

    def test_a_run_that_took_too_long_failed_and_is_not_tried_again(self):
        run = self._killed("time_limit")
        self.assertEqual((run.status, run.error_code), ("failed", "time_limit"))
        self.assertIn(run, self._abandoned())
