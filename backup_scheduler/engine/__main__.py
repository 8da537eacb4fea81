"""The engine process: one order in on standard input, events out on standard output.

The first line of input is the order as JSON, with its secrets (an argument list can be read by
every user of the machine). Lines that follow are commands: ``{"command": "cancel"}`` and
``{"command": "publish"}``. The end of the input means that the parent is gone: then the run is
stopped, and everything it made is removed.

Each line of output is an event: ``stage``, ``progress``, ``source``, ``ready``, and at last
``done`` with the result or ``failed`` with the error. Secrets never appear in an event.
"""

import importlib.util
import json
import os
import signal
import sys
import threading
import traceback
import urllib.parse

# Seconds. What hangs in cleaning up after the parent has gone (a dead NFS server) is left.
CLEANUP_LIMIT = 30
MASK = "********"
# The keys of events whose values may quote what another program said.
PROSE = ("error", "hint", "traceback")


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

from . import transfer  # noqa: E402 - the package has its name only now
from .control import Control  # noqa: E402
from .errors import BackupError, Cancelled, InternalError  # noqa: E402


class Process:
    """One order's life: reads commands beside the work, writes events."""

    def __init__(self, source, sink):
        self._source = source
        self._sink = sink
        self._lock = threading.Lock()
        self._permission = threading.Event()
        self._may_publish = False
        self._secrets = ()
        self.control = None

    def run(self):
        """Carry the order out; return the exit code: 0 when it ended as it should."""
        order = json.loads(self._source.readline())
        self._secrets = secrets_of(order)
        self.control = Control(self.emit, order.get("time_limit", 0), self._await_permission)
        signal.signal(signal.SIGTERM, lambda number, frame: self._stop_soon())
        threading.Thread(target=self._obey, daemon=True).start()
        try:
            result = transfer.ACTIONS[order["action"]](order, self.control)
        except BackupError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the owner must hear of it
            self._fail(InternalError(f"{type(error).__name__}: {error}"))
        else:
            self.emit({"event": "done", **result})
            return 0
        return 1

    def emit(self, event):
        line = json.dumps(masked(event, self._secrets))
        with self._lock:
            try:
                self._sink.write(line + "\n")
                self._sink.flush()
            except BrokenPipeError:
                # Nobody listens any more; the end of the input tells the same.
                self.control.cancel()

    def _fail(self, error):
        self.emit({"event": "failed", **error.as_dict(), "traceback": traceback.format_exc()})

    def _stop_soon(self):
        # A signal handler runs between two instructions of the main thread, which may hold a lock.
        threading.Thread(target=self.control.cancel, daemon=True).start()

    def _await_permission(self, timeout):
        with self.control.interrupted_by(self._permission.set):
            self._permission.wait(timeout)
        return self._may_publish

    def _obey(self):
        for line in self._source:
            command = json.loads(line)["command"]
            if command == "publish":
                self._may_publish = True
                self._permission.set()
            elif command == "cancel":
                self.control.cancel()
        self.control.cancel(Cancelled("The worker that had this run is gone."))
        limit = threading.Timer(CLEANUP_LIMIT, os._exit, [1])
        limit.daemon = True
        limit.start()


def secrets_of(order):
    """Return every spelling of the order's secrets, longest first."""
    values = [str(value) for value in find_secrets(order) if value]
    spellings = {
        spelling
        for value in values
        for spelling in (value, urllib.parse.quote(value), urllib.parse.quote_plus(value))
    }
    return sorted(spellings, key=len, reverse=True)


def find_secrets(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if "password" in key or "secret" in key:
                yield value
            else:
                yield from find_secrets(value)
    elif isinstance(node, list):
        for value in node:
            yield from find_secrets(value)


def masked(node, secrets, told=False):
    """Return ``node`` with the secrets blotted out of every text that is written for people.

    Names and paths stay as they are: a database may well be called like somebody's password.
    """
    if isinstance(node, dict):
        return {key: masked(value, secrets, key in PROSE) for key, value in node.items()}
    if isinstance(node, list):
        return [masked(value, secrets, told) for value in node]
    if told and isinstance(node, str):
        for secret in secrets:
            node = node.replace(secret, MASK)
    return node


if __name__ == "__main__":
    sys.exit(Process(sys.stdin, sys.stdout).run())
