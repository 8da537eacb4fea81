"""The engine process: one order in on standard input, events out on standard output.

The first line of input is the order as JSON, with its secrets (an argument list can be read by
every user of the machine). Lines that follow are commands: ``{"command": "cancel"}`` and
``{"command": "publish", "at": <.control.moment() of the owner>}``. The end of the input means that
the parent is gone: then the run is stopped, and everything it made is removed.

Each line of output is an event: ``stage``, ``progress``, ``source``, ``ready``, and at last
``done`` with the result or ``failed`` with the error. Secrets appear in no event, but for the
settings that a place has renewed (``renewed``, ``changed_settings``), which the owner stores.
"""

import importlib.util
import json
import os
import signal
import sys
import threading

# Seconds. What hangs in cleaning up after the run was stopped (a dead NFS server) is left.
CLEANUP_LIMIT = 30
# Characters of a traceback, and of a line in it: an exception may quote all that a remote said.
TRACE_LIMIT, LINE_LIMIT = 20_000, 1000


def load_engine():
    """Make the package importable under a name of its own, wherever its folder lies.

    The folder itself leaves the path: its module names are nobody else's business.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    spec = importlib.util.spec_from_file_location(
        "backup_engine", os.path.join(here, "__init__.py"), submodule_search_locations=[here]
    )
    sys.modules["backup_engine"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["backup_engine"])


if not __package__:
    load_engine()
    __package__ = "backup_engine"

from . import limits, transfer  # noqa: E402 - the package has its name only now
from .control import Control  # noqa: E402
from .errors import BackupError, Cancelled, InternalError  # noqa: E402
from .masking import masked, secrets_of, traceback_of  # noqa: E402
from .messages import _, carried  # noqa: E402


class Process:
    """One order's life: reads commands beside the work, writes events."""

    def __init__(self, source, sink):
        self._source = source
        self._sink = sink
        self._lock = threading.Lock()
        self._permission = threading.Event()
        self._permitted_at = None
        self._secrets = ()
        self.control = None

    def run(self):
        """Carry the order out; return the exit code: 0 when it ended as it should."""
        order = json.loads(self._source.readline())
        self._secrets = secrets_of(order)
        self.control = Control(self.emit, order.get("time_limit", 0), self._await_permission)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: self._stop_soon())
        threading.Thread(target=self._obey, daemon=True).start()
        try:
            with self.control.interrupted_by(self._limit_cleanup):
                result = transfer.ACTIONS[order["action"]](order, self.control)
        except BackupError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the owner must hear of it
            self._fail(InternalError.of(error))
        else:
            self.emit({"event": "done", **result})
            return 0
        return 1

    def emit(self, event):
        line = json.dumps(carried(masked(event, self._secrets)))
        with self._lock:
            try:
                self._sink.write(line + "\n")
                self._sink.flush()
            except BrokenPipeError:
                # Nobody listens any more; the end of the input tells the same.
                self.control.cancel()

    def _fail(self, error):
        lines = traceback_of(sys.exc_info()[1]).splitlines()
        trace = "\n".join(line[:LINE_LIMIT] for line in lines)[-TRACE_LIMIT:] + "\n"
        self.emit({"event": "failed", **error.as_dict(), "traceback": trace})

    def _stop_soon(self):
        # A signal handler runs between two instructions of the main thread, which may hold a lock.
        threading.Thread(target=self.control.cancel, daemon=True).start()

    def _await_permission(self, timeout):
        with self.control.interrupted_by(self._permission.set):
            self._permission.wait(timeout)
        # The next time somebody asks, this word is an old one.
        self._permission.clear()
        given_at, self._permitted_at = self._permitted_at, None
        return given_at

    def _limit_cleanup(self):
        """The run was stopped: what hangs in cleaning up after it is left, and swept later."""
        limit = threading.Timer(CLEANUP_LIMIT, os._exit, [1])
        limit.daemon = True
        limit.start()

    def _obey(self):
        for line in self._source:
            message = json.loads(line)
            if message["command"] == "publish":
                self._permitted_at = message["at"]
                self._permission.set()
            elif message["command"] == "cancel":
                self.control.cancel()
        self.control.cancel(Cancelled(_("The worker that had this run is gone.")))


if __name__ == "__main__":
    limits.limit_memory()
    limits.end_when_stuck()
    sys.exit(Process(sys.stdin, sys.stdout).run())
