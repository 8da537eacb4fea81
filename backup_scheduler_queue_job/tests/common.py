"""What the tests of the glue share: queue_job chosen, and an engine that says what it is told to.

No test starts a job runner: e2e/test_queue_job.py does, with the real one on real servers.
"""

import contextlib
import queue
import threading
from unittest.mock import patch

from odoo.addons.backup_scheduler.tests.common import BackupCase
from odoo.addons.queue_job.job import Job

from ..models.backup_dispatcher import BackupDispatcher

ADDON = "odoo.addons.backup_scheduler_queue_job"


class QueueCase(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        places = cls.env["backup.destination"].search([("kind", "=", "local")])
        (places - cls.destination).active = False
        cls.destination.all_machines = True
        cls.destination.check()
        cls.env["ir.config_parameter"].set_param("backup_scheduler.executor", "queue_job")

    def setUp(self):
        super().setUp()
        runner = patch.object(BackupDispatcher, "_runner_is_at_work", return_value=True)
        self.runner = runner.start()
        self.addCleanup(runner.stop)

    def _jobs(self):
        """Return the queue jobs of this addon, in the order of their making."""
        return self.env["queue.job"].search(
            [("channel", "=", "root.backup")], order="date_created, id"
        )

    def _enqueued(self, run):
        """Return the newest queue job of the run, after a dispatch."""
        self._dispatch()
        self.env.invalidate_all()
        return self.env["queue.job"].search([("uuid", "=", run.queue_job_uuid)])

    def _perform(self, record):
        """Perform a queue job as queue_job does; return what it says of its result."""
        with self.enter_registry_test_mode():
            result = Job.load(self.env, record.uuid).perform()
        self.env.invalidate_all()
        return result

    def _with_engine(self, *script):
        """Put in an engine that tells ``script``; return the class, which keeps its instances."""

        class Engine(ScriptedEngine):
            made = []

        Engine.script = script
        for name, stand_in in (
            ("odoo.addons.backup_scheduler.runner.EngineProcess", Engine),
            (f"{ADDON}.execution.lift_limits", lambda pid: None),
        ):
            put_in = patch(name, stand_in)
            put_in.start()
            self.addCleanup(put_in.stop)
        return Engine


class ScriptedEngine:
    """Tells its events one after the other, in a thread of its own.

    An entry is an event, a function that makes one of the order, or a command to wait for. After
    ``cancel`` it says that it was cancelled, as the engine does.
    """

    pid = 0

    def __init__(self, order, deliver):
        self.order, self.commands = dict(order), []
        self._deliver, self._heard = deliver, queue.Queue()
        self.made.append(self)
        self._thread = threading.Thread(target=self._tell, daemon=True)
        self._thread.start()

    def _tell(self):
        for entry in self.script:
            if not isinstance(entry, str):
                self._deliver(entry(self.order) if callable(entry) else entry)
            elif self._hears() != entry:
                self._deliver(cancelled())
                return

    def _hears(self):
        """Return the next command; nothing after a minute without one, so that no test hangs."""
        with contextlib.suppress(queue.Empty):
            return self._heard.get(timeout=60)
        return None

    def publish(self):
        self._hear("publish")

    def cancel(self):
        self._hear("cancel")

    def _hear(self, command):
        self.commands.append(command)
        self._heard.put(command)

    def abandon(self):
        pass

    def end(self):
        self.commands.append("end")
        self._thread.join(60)


def cancelled():
    return {"event": "failed", "error_code": "cancelled", "error": "Cancelled.", "hint": "",
            "retryable": False}  # fmt: skip
