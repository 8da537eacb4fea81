"""The worker: one process a machine that executes the runs of one database.

It claims runs, starts an engine process for each, keeps their leases, and records what they report.
Nothing it holds in memory matters: killed at any moment, its engines end by themselves, its leases
run out, and the next worker goes on.
"""

import contextlib
import logging
import queue
import resource
import signal
import threading
import time

import psycopg2

from odoo.modules.registry import Registry

from .engine_process import EngineProcess
from .executor import NOTICES, Executor
from .launcher import worker_seat

_logger = logging.getLogger(__name__)

# Seconds. How soon a queued run is seen, and how soon a stop is noticed.
POLL = 1
# Seconds between renewals of the leases (which last 45).
HEARTBEAT = 10
# Seconds between looks for lost runs and what they left.
HOUSEKEEPING = 15
# Seconds without anything to do after which a worker ends; the dispatcher starts the next one.
IDLE_LIMIT = 600
# Seconds between tries while PostgreSQL is away.
DATABASE_PAUSE = 2
# Alerts that nobody can make sense of are a line in the log this often.
BROKEN_ALERTS_PAUSE = 600
DATABASE_ERRORS = (psycopg2.OperationalError, psycopg2.InterfaceError)
LAST_WORDS = ("done", "failed", "lost")


class Worker:
    """:param stay: wait for work for ever, instead of ending after an idle while
    :param seat: the descriptor of the seat, where the launcher has taken it for this process"""

    def __init__(self, dbname, stay=False, seat=None):
        self.dbname = dbname
        self.stay = stay
        self._inherited_seat = seat
        self.registry = Registry(dbname)
        self.executor = None
        self.tasks = {}
        self._events = queue.Queue()
        self._unrecorded = []
        self._stopping = False
        self._away = False
        self._is_new = True
        self._next = {}

    def run(self):
        """Work until told to stop or idle for long; return at once when another worker is here."""
        # It has booted: see BOOT_LIMIT.
        signal.alarm(0)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        # Odoo's log names the database of each line by it.
        threading.current_thread().dbname = self.dbname
        with worker_seat(self.dbname, self._inherited_seat) as seat:
            if not seat:
                _logger.info("Another backup worker is at work on %s", self.dbname)
                return
            self.executor = Executor(self.registry, seat)
            _logger.info("Backup worker of %s at work", self.dbname)
            try:
                self._loop()
            finally:
                self._end_all()
        _logger.info("Backup worker of %s ends", self.dbname)

    def _stop(self, number, frame):
        self._stopping = True

    def _loop(self):
        useful_at = available_at = time.monotonic()
        while not self._stopping:
            try:
                outdated = self._beat()
                available_at = time.monotonic()
            except DATABASE_ERRORS as error:
                if not self._away:
                    _logger.warning("The database is away: %s", first_line(error))
                self._away, outdated = True, False
                time.sleep(DATABASE_PAUSE)
            if self.tasks:
                useful_at = time.monotonic()
            elif outdated or self._is_over(useful_at) or self._is_over(available_at):
                return
            self._collect()

    def _beat(self):
        """Do what is due: record, keep leases, clean up, take on more.

        Returns whether modules were updated: then a new process, with the new code, takes over.
        """
        outdated = Registry(self.dbname).check_signaling() is not self.registry
        self._away = False
        self._record_all()
        if self._is_due("heartbeat", HEARTBEAT):
            self.executor.keep(self.tasks.values())
        if self._is_due("housekeeping", HOUSEKEEPING):
            self._reap()
            for task in self.executor.discards({task.run_id for task in self.tasks.values()}):
                self._start(task)
        if not outdated:
            self._take_on()
        return outdated

    def _reap(self):
        """End lost attempts; at first also those of whoever had this seat before."""
        self.executor.reap(predecessors=self._is_new)
        self._is_new = False

    def _is_due(self, name, interval):
        now = time.monotonic()
        if now < self._next.get(name, 0):
            return False
        self._next[name] = now + interval
        return True

    def _is_over(self, since):
        return not self.stay and time.monotonic() - since > IDLE_LIMIT

    # --- the engines ----------------------------------------------------------------------------

    def _take_on(self):
        limit = self.executor.parallel_runs()
        self._take_notices(limit)
        while self._places_taken() < limit:
            task = self.executor.claim(work=self._has_room(limit))
            if not task:
                return
            if task.kind == "broken":
                # Whatever comes of it, the leases are renewed before the next one.
                return
            self._start(task)

    def _take_notices(self, limit):
        """Send what is to be sent, in a place of its own: it neither waits for backups nor takes
        a place of theirs."""
        if not limit or self._places_taken() != len(self.tasks):
            return
        try:
            task = self.executor.claim_notices()
        except DATABASE_ERRORS:
            raise
        except Exception:
            # Whatever is wrong with alerts, backups go on; they are looked at again after a while.
            if self._is_due("broken alerts", BROKEN_ALERTS_PAUSE):
                _logger.exception("Backup alerts cannot be sent")
            return
        task and self._start(task)

    def _places_taken(self):
        return sum(task.kind != NOTICES for task in self.tasks.values())

    def _has_room(self, limit):
        """Return whether what can wait may begin: it never takes the last place of a backup."""
        at_work = sum(task.kind == "work" for task in self.tasks.values())
        return at_work < max(1, limit - 1)

    def _start(self, task):
        key = (task.run_id, task.token)
        task.engine = EngineProcess(task.order, lambda event: self._events.put((key, event)))
        task.order = {}  # it holds secrets, and its work is done
        self.tasks[key] = task

    def _collect(self):
        """Wait a moment for events of the engines, and put them on the list to be recorded."""
        with contextlib.suppress(queue.Empty):
            self._unrecorded.append(self._events.get(timeout=POLL))
            while True:
                self._unrecorded.append(self._events.get_nowait())

    def _record_all(self):
        """Record what was collected, in order. What the database cannot take now stays listed."""
        self._unrecorded = list(newest_progress(self._unrecorded))
        while self._unrecorded:
            key, event = self._unrecorded[0]
            if key in self.tasks:
                self._record(self.tasks[key], key, event)
            del self._unrecorded[0]

    def _record(self, task, key, event):
        self.executor.heed(task, event)
        if event["event"] in LAST_WORDS:
            task.engine.end()
            del self.tasks[key]

    def _end_all(self):
        """Stop the engines. Give their runs back when we were told to stop.

        After a failure of our own they are found lost instead, which counts as an attempt: a run
        that brings down each worker that takes it must come to its end.
        """
        for task in self.tasks.values():
            task.engine.abandon()
        for task in self.tasks.values():
            task.engine.end()
        if self._stopping:
            self._give_all_back()

    def _give_all_back(self):
        self._collect()
        try:
            for task in self.tasks.values():
                self._give_back(task)
        except DATABASE_ERRORS as error:
            # The leases run out, and the runs are found lost.
            _logger.warning("Runs cannot be given back: %s", first_line(error))

    def _give_back(self, task):
        """Record an end that was reached after all, or release the run."""
        for key, event in self._unrecorded:
            if key == (task.run_id, task.token) and event["event"] == "done":
                self.executor.record(task, event)
                return
        self.executor.release(task)


def newest_progress(events):
    """Yield the events without those that a later progress of the same task makes stale."""
    seen = set()
    kept = []
    for key, event in reversed(events):
        stale = event["event"] == "progress" and key in seen
        if event["event"] == "progress":
            seen.add(key)
        if not stale:
            kept.append((key, event))
    return reversed(kept)


def first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def lift_limits():
    """Give this process, and the engines after it, what the machine allows.

    Odoo's limits are made for requests; a child inherits them, and SIGXCPU kills it after a minute
    of computing.
    """
    for limit in (resource.RLIMIT_CPU, resource.RLIMIT_AS):
        _soft, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (hard, hard))
