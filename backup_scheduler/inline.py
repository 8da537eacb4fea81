"""The executor for hosts that forbid processes: runs in the thread that asks, one at a time."""

import logging
import sys
import threading
import time

from .engine import transfer
from .engine.control import Control, moment
from .engine.errors import BackupError, InternalError
from .engine.masking import masked, secrets_of, traceback_of
from .executor import Executor
from .runner import HEARTBEAT

_logger = logging.getLogger(__name__)

# Seconds between looks whether somebody else is done with a run.
WAIT = 1
# Several of Odoo's cron threads may sit here: none is ever anybody's successor.
INLINE_SEAT = "inline"


def execute_all(registry, places=None):
    """Execute what is queued until nothing is left; return how much it was.

    :param places: only kinds of task that go into one of them
    """
    executor = Executor(registry, INLINE_SEAT)
    executor.reap()
    count = 0
    while task := executor.claim(places):
        if task.kind:
            InlineRun(executor, task).execute()
        count += 1
    return count


def execute_here(registry, run_id, output):
    """Do all that is to be done for one run, in this thread; or see somebody else do it.

    :param output: gets a line for each stage
    """
    executor = Executor(registry, INLINE_SEAT)
    while executor.is_open(run_id):
        if task := executor.claim(run_id=run_id):
            if task.kind:
                InlineRun(executor, task, output).execute()
        else:
            time.sleep(WAIT)


class InlineRun:
    """One task, carried out in this thread, with a heartbeat beside it.

    :param output: gets a line for each stage, where somebody looks on
    """

    def __init__(self, executor, task, output=None):
        self._output = output
        self._executor = executor
        self._task = task
        self._secrets = secrets_of(task.order)
        self._ended = threading.Event()
        self._control = Control(
            self._record, task.order.get("time_limit", 0), lambda timeout: self._ask()
        )

    def execute(self):
        heart = threading.Thread(target=self._beat, daemon=True)
        heart.start()
        order = self._task.order
        try:
            result = transfer.ACTIONS[order["action"]](order, self._control)
            self._record({"event": "done", **result})
        except BackupError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run must say so
            self._fail(InternalError.of(error))
        finally:
            self._ended.set()
            heart.join()

    def _fail(self, error):
        trace = traceback_of(sys.exc_info()[1])
        self._record({"event": "failed", **error.as_dict(), "traceback": trace})

    def _record(self, event):
        if self._output and event["event"] == "stage":
            self._output.write(f"{event['stage']} …\n")
        held = self._executor.record(self._task, masked(event, self._secrets))
        if not held:
            _logger.warning("Backup task %s is no longer ours", self._task.id)
            self._control.cancel()
        return held

    def _ask(self):
        """Return the moment at which the task was still ours, or None."""
        asked_at = moment()
        if self._renew():
            return asked_at
        self._control.cancel()
        return None

    def _renew(self):
        """Return whether the task is still ours and wanted."""
        return bool(self._executor.renew_leases([self._task]))

    def _beat(self):
        while not self._ended.wait(HEARTBEAT):
            if not self._renew():
                self._control.cancel()
