"""What the tests do to the world, and how they look at it: through the public names only."""

import contextlib
import fcntl
import hashlib
import os
import re
import signal
import time
import xmlrpc.client
from pathlib import Path

from devenv import processes

BACKUPS = "backups"
MASTER_PASSWORD = "correct horse battery"
ENDED = ("success", "verified", "failed", "verify_failed", "skipped", "cancelled")
POLL = 0.2
# Seconds in which what comes at once has come, on a busy machine too.
SOON = 90
# What Odoo says of a scheduled action that is to be changed or started while it runs.
CRON_IS_RUNNING = "already executing|currently being executed"
# What may lie in a destination: archives, what describes them, and what the folder is known by.
ARCHIVES = (".zip", ".dump", ".age", ".json")
MARKER = ".backup_scheduler"
ENGINE = "backup_scheduler/engine"


class World:
    """The backup server over XML-RPC, its files, and its processes."""

    def __init__(self, backup_server, remote, database=BACKUPS):
        self.server = backup_server
        self.remote = remote
        self.database = database
        self.rpc = backup_server.rpc(database)
        self._jobs = []

    # --- what a user does -----------------------------------------------------------------------

    def call(self, model, method, *arguments, **named):
        return self.rpc.call(f"backup.{model}", method, *arguments, **named)

    def create_instance(self, url=None, name="Shop", **values):
        values = {
            "name": name,
            "url": url or self.remote.url,
            "master_password": MASTER_PASSWORD,
            **values,
        }
        return self.call("instance", "create", [values])[0]

    def create_job(self, instance, **values):
        """A job on all databases that tries once and is due in a far year, unless told else."""
        values = {
            "name": "Test",
            "instance_id": instance,
            "cron_expression": "0 0 1 1 *",
            "max_attempts": 1,
            "retry_delay": 0,
            **values,
        }
        self._jobs += self.call("job", "create", [values])
        return self._jobs[-1]

    def adopt(self, jobs):
        """Take over jobs that a test made by other means, to be ended with it."""
        self._jobs += jobs

    def run_now(self, url=None, **job):
        """Make an instance and a job, and run it now; return the id of its one run."""
        (run,) = self.call("job", "run_now", [self.create_job(self.create_instance(url), **job)])
        return run

    def back_up(self, url=None, timeout=SOON, **job):
        """Run now, and return the run as it ended."""
        return self.wait_for(self.run_now(url, **job), timeout=timeout)

    def run(self, run):
        return self.call("run", "read", [run])[0]

    def runs(self, job):
        return self.call("run", "search_read", [["job_id", "=", job]], order="id")

    def copies(self, run):
        return self.call("copy", "search_read", [["run_id", "=", run]], order="id")

    def wait_for(self, run, statuses=ENDED, timeout=SOON, **values):
        """Wait until the run has one of the statuses, and other fields the values given."""

        def as_wanted():
            record = self.run(run)
            matches = all(record[field] == value for field, value in values.items())
            return record if record["status"] in statuses and matches else None

        return self.wait_until(as_wanted, timeout, f"run {run} is {statuses} {values}")

    def wait_until(self, condition, timeout, what):
        deadline = time.monotonic() + timeout
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"never came true in {timeout} s: {what}")
            time.sleep(POLL)
        return found

    def configure(self, **settings):
        """Change Settings → Backups, as its form does."""
        (wizard,) = self.rpc.call("res.config.settings", "create", [settings])
        self.rpc.call("res.config.settings", "execute", [wizard])

    def dispatch(self):
        """Run the dispatcher now, as the button of the scheduled action does."""
        self._call_cron("method_direct_trigger")

    def _call_cron(self, method, *arguments):
        """Call a method of the scheduled action, once it does not run."""

        def done():
            try:
                self.rpc.call("ir.cron", method, [self._cron()], *arguments)
            except xmlrpc.client.Fault as fault:
                if not re.search(CRON_IS_RUNNING, fault.faultString):
                    raise
                return False
            return True

        self.wait_until(done, SOON, f"{method} of the scheduled action")

    def _cron(self):
        domain = [["code", "=", "model._cron_dispatch()"], ["active", "in", [True, False]]]
        (cron,) = self.rpc.call("ir.cron", "search", domain)
        return cron

    @contextlib.contextmanager
    def no_cron(self):
        """Inside, the dispatcher only runs when it is told to."""
        self._call_cron("write", {"active": False})
        try:
            yield
        finally:
            self._call_cron("write", {"active": True})

    @contextlib.contextmanager
    def no_worker(self):
        """Inside, nothing that is queued is executed: somebody else has the worker's seat."""
        self.end_worker()
        self.home.mkdir(exist_ok=True)
        with self.seat.open("a") as seat:
            fcntl.flock(seat, fcntl.LOCK_EX)
            yield

    @property
    def seat(self):
        """The file that the worker of this server holds locked."""
        return self.home / f"{BACKUPS}.worker"

    def seat_is_taken(self):
        with self.seat.open("a") as seat:
            try:
                fcntl.flock(seat, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    # --- what lies on disk ----------------------------------------------------------------------

    @property
    def home(self):
        return self.server.data_dir / "backup_scheduler"

    @property
    def root(self):
        return self.home / "archives" / self.database

    def archives(self):
        """Return the paths of all archives with a final name, below the default destination."""
        return sorted(
            str(path.relative_to(self.root))
            for path in self.root.rglob("*")
            if path.suffix in (".zip", ".dump")
        )

    def leftovers(self):
        """Return everything that is neither an archive nor its catalogue: there should be none."""
        spool = [path for path in (self.home / "spool").rglob("*") if path.is_file()]
        parts = [
            path
            for path in self.root.rglob("*")
            if path.is_file() and path.suffix not in ARCHIVES and path.name != MARKER
        ]
        orphans = [
            path for path in self.root.rglob("*.json") if not path.with_suffix("").exists()
        ]
        return [str(path) for path in (*spool, *parts, *orphans)]

    def archive(self, run):
        """Return the file of the run's one copy."""
        (copy,) = self.copies(run)
        return Path(self.root / copy["path"])

    def sha256(self, run):
        return hashlib.sha256(self.archive(run).read_bytes()).hexdigest()

    # --- processes ------------------------------------------------------------------------------

    def worker(self):
        """Return the id of the worker process, or None."""
        return self._process("--launched")

    def engine(self):
        return self._process(ENGINE)

    def engines(self):
        return self._processes(ENGINE)

    def children_of_engines(self):
        """Return the programs that engines have started: psql, rclone."""
        return [pid for word in ("rclone", "psql") for pid in self._processes(word)]

    def _process(self, word):
        found = self._processes(word)
        return found[0] if found else None

    def _processes(self, word):
        return [pid for pid in self.server.processes() if processes.is_running(pid, word)]

    def end_worker(self):
        """Tell the worker to end, and wait until it has."""
        if worker := self.worker():
            os.kill(worker, signal.SIGTERM)
            self.wait_until(lambda: not self.worker(), SOON, "the worker ended")

    # --- the end --------------------------------------------------------------------------------

    def end(self):
        """Pause what the test made, wait until nothing moves, and find nothing left over."""
        self.call("job", "write", self._jobs, {"enabled": False})
        active = [["status", "in", ["queued", "running"]]]
        self.call("run", "cancel", self.call("run", "search", active))
        self.wait_until(
            lambda: not self.call("run", "search_count", active), 120, "all runs came to an end"
        )
        self.wait_until(lambda: not self.leftovers(), 60, f"nothing left of {self.leftovers()}")


def good(run):
    """Assert that the run is what a user hopes for."""
    assert run["status"] == "verified", (run["error_code"], run["error"], run["log"])
    assert run["verification_level"] == "3"
    assert run["size"] > 0
    assert len(run["sha256"]) == 64
    return run


def failed(run, code):
    """Assert that the run failed for the reason that ``code`` names, and says so to people."""
    assert (run["status"], run["error_code"]) == ("failed", code), (run["error"], run["log"])
    assert run["error"]
    assert run["error_summary"] == " ".join(run["error"].split())[:160]
    return run
