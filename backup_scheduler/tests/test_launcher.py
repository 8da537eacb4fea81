"""At most one worker boots: with real processes that hold real locks."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from unittest.mock import patch

from odoo.tests import BaseCase
from odoo.tools import config, mute_logger

from .. import launcher
from ..worker import Worker

LOGGER = "odoo.addons.backup_scheduler.launcher"
WORKER_MODULE = "odoo.addons.backup_scheduler.worker"
# Whoever is started knows nothing of this Odoo's addons path.
ADDONS = os.path.dirname(os.path.dirname(launcher.__file__))
IMPORTS = f"""
import odoo.addons
odoo.addons.__path__.append({ADDONS!r})
from odoo.addons.backup_scheduler import launcher
"""
# Seconds that a process has to say something, on a machine that is busy.
PATIENCE = 60
# A worker that boots until the other end of the pipe says "go", is at work then, and ends with it.
WORKER = """
import json, os, sys
{imports}
started, go, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
order = json.load(sys.stdin)
launcher.config["data_dir"] = folder
os.write(started, b"booting\\n")
if os.read(go, 1) != b"g":
    sys.exit(3)
with launcher.worker_seat(order["database"], order["seat"]) as seat:
    os.write(started, (seat or "nobody").encode() + b"\\n")
    os.read(go, 1)
"""
# An Odoo that starts a worker, and is killed in the same moment.
ODOO = """
import json, os, signal, sys
{imports}
command, pipes, folder = json.loads(sys.argv[1])
launcher.config["data_dir"] = folder
launcher.worker_command = lambda: command
real = launcher.subprocess.Popen
def start(*arguments, pass_fds=(), **options):
    return real(*arguments, pass_fds=(*pass_fds, *pipes), **options)
launcher.subprocess.Popen = start
launcher.ensure_worker("books")
os.kill(os.getpid(), signal.SIGKILL)
"""
PATH = os.pathsep.join(filter(None, sys.path))


class TestLauncher(BaseCase):
    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.enterContext(patch.dict(config.options, {"data_dir": self.folder}))
        self.enterContext(mute_logger(LOGGER))
        self.started = []
        self.enterContext(patch.object(launcher, "_children", self.started))
        self.heard, started = os.pipe()
        go, self.go = os.pipe()
        self.pipes = (started, go)
        for descriptor in (self.heard, self.go, *self.pipes):
            self.addCleanup(self._close, descriptor)
        # The cleanup that comes first ends whoever still waits.
        self.addCleanup(self._end_all)
        script = WORKER.replace("{imports}", IMPORTS)
        self.command = [sys.executable, "-c", script, str(started), str(go), self.folder]
        self.enterContext(patch.object(launcher, "worker_command", lambda: self.command))
        self.enterContext(patch.object(launcher.subprocess, "Popen", self._start))

    def _start(self, *arguments, pass_fds=(), **options):
        return REAL_POPEN(*arguments, pass_fds=(*pass_fds, *self.pipes), **options)

    def _end_all(self):
        self._close(self.go)
        for child in self.started:
            child.kill()
            child.wait()

    @staticmethod
    def _close(descriptor):
        with contextlib.suppress(OSError):
            os.close(descriptor)

    def _listen(self):
        """Return the next line that a worker says, when it has said it."""
        line = b""
        while not line.endswith(b"\n"):
            self.assertTrue(select.select([self.heard], [], [], PATIENCE)[0], "Nobody says a word")
            line += os.read(self.heard, 1)
        return line.decode().strip()

    def _is_taken(self):
        with launcher.worker_seat("books") as seat:
            return not seat

    def test_while_one_boots_no_other_is_started(self):
        launcher.ensure_worker("books")
        self.assertEqual(self._listen(), "booting")
        asking = [
            threading.Thread(target=launcher.ensure_worker, args=["books"]) for _count in range(5)
        ]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        self.assertEqual(len(self.started), 1)

    def test_it_takes_the_seat_that_was_taken_for_it_and_leaves_it_with_its_end(self):
        with launcher.worker_seat("books") as name:
            pass
        launcher.ensure_worker("books")
        self.assertEqual(self._listen(), "booting")
        os.write(self.go, b"g")
        self.assertEqual(self._listen(), name)
        launcher.ensure_worker("books")
        self.assertEqual(len(self.started), 1)
        os.write(self.go, b"e")
        self.assertEqual(self.started[0].wait(), 0)
        self.assertFalse(self._is_taken())

    def test_two_databases_have_a_worker_each(self):
        for database in ("books", "shop"):
            launcher.ensure_worker(database)
            self.assertEqual(self._listen(), "booting")
        self.assertEqual(len(self.started), 2)

    def test_one_that_dies_while_it_boots_is_followed_by_another(self):
        for end in (
            lambda child: child.kill(),
            lambda child: os.write(self.go, b"x"),
        ):
            launcher.ensure_worker("books")
            self.assertEqual(self._listen(), "booting")
            (child,) = self.started
            end(child)
            child.wait()
            self.assertFalse(self._is_taken())
        launcher.ensure_worker("books")
        self.assertEqual(self._listen(), "booting")
        self.assertEqual(len(self.started), 1, "The ones that ended are forgotten")

    def test_one_that_cannot_even_be_started_leaves_the_seat_free(self):
        self.command = [str(Path(self.folder) / "no such program")]
        with self.assertRaises(OSError):
            launcher.ensure_worker("books")
        self.assertFalse(self._is_taken())

    def test_one_whose_odoo_is_killed_goes_on_and_keeps_the_seat(self):
        order = launcher.json.dumps([self.command, self.pipes, self.folder])
        odoo = REAL_POPEN(
            [sys.executable, "-c", ODOO.replace("{imports}", IMPORTS), order],
            env={**os.environ, "PYTHONPATH": PATH},
            pass_fds=self.pipes,
        )
        self.addCleanup(odoo.kill)
        self.assertEqual(odoo.wait(), -signal.SIGKILL)
        self.assertEqual(self._listen(), "booting")
        self.assertTrue(self._is_taken())
        launcher.ensure_worker("books")
        self.assertEqual(self.started, [])
        os.write(self.go, b"g")
        self.assertNotEqual(self._listen(), "nobody")
        # Its end closes the last write end but our own: then the seat is free again.
        os.write(self.go, b"e")
        os.close(self.pipes[0])
        self.assertEqual(os.read(self.heard, 1), b"")
        self.assertFalse(self._is_taken())

    def test_what_a_worker_starts_does_not_inherit_its_seat(self):
        with launcher.locked_seat("books") as file:
            handed = os.dup(file.fileno())
            os.set_inheritable(handed, True)
            with launcher.worker_seat("books", handed) as seat:
                self.assertTrue(seat)
                inherited = REAL_POPEN(
                    ["ls", "-l", "/proc/self/fd"], stdout=subprocess.PIPE, close_fds=False
                ).communicate()[0]
        self.assertEqual(inherited.count(b"books.worker"), 0)


REAL_POPEN = subprocess.Popen


class TestWaitingForTheSeat(BaseCase):
    """A worker of a service manager, on a machine where Odoo has started one already."""

    def _run(self, stay, seats):
        """Run a worker that finds the seat as ``seats`` says; return in how many it worked."""
        worked, left = [], iter(seats)

        @contextlib.contextmanager
        def seat(_dbname, _inherited):
            yield next(left)

        thread = threading.current_thread()
        self.addCleanup(setattr, thread, "dbname", getattr(thread, "dbname", None))
        worker = Worker.__new__(Worker)
        worker.dbname, worker.stay = "books", stay
        worker._inherited_seat, worker._stopping, worker.registry = None, False, None
        with (
            patch(f"{WORKER_MODULE}.worker_seat", seat),
            patch(f"{WORKER_MODULE}.POLL", 0),
            patch.object(Worker, "_loop", lambda one: worked.append(one)),
            patch.object(Worker, "_end_all", lambda one: None),
            patch("signal.signal"),
            patch("signal.alarm"),
        ):
            worker.run()
        return len(worked)

    def test_it_waits_where_it_is_to_stay(self):
        self.assertEqual(self._run(True, [None, None, "seat"]), 1)

    def test_it_ends_at_once_where_it_is_not(self):
        self.assertEqual(self._run(False, [None, "seat"]), 0)

    def test_it_takes_a_seat_that_is_free(self):
        self.assertEqual(self._run(False, ["seat"]), 1)
