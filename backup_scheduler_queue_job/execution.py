"""The executor that lives in queue jobs: one task at a time, its bytes in an engine process.

A queue job is a request to one of Odoo's HTTP workers, which Odoo may kill at any time (its limits
of time and memory). Nothing it holds matters: the engine then ends by itself, the lease runs out,
and the dispatcher finds the run lost.
"""

import contextlib
import functools
import queue
import resource
import time

import psycopg2

from odoo.addons.backup_scheduler.engine_process import EngineProcess
from odoo.addons.backup_scheduler.executor import Executor

# Any number of queue jobs sit here: none is ever anybody's successor.
SEAT = "queue_job"
# Only one process claims at a time; others try again, as often, after so many seconds.
CLAIM_TRIES = 5
CLAIM_PAUSE = 0.2
# Seconds between renewals of the lease (which lasts 45); also how soon a cancel is noticed.
HEARTBEAT = 5
# Seconds between tries while PostgreSQL is away, and after which there is no use in waiting: the
# lease is lost, and the run is begun again elsewhere.
DATABASE_PAUSE = 2
DATABASE_LIMIT = 120
DATABASE_ERRORS = (psycopg2.OperationalError, psycopg2.InterfaceError)
LAST_WORDS = ("done", "failed", "lost")


class QueueExecutor(Executor):
    def __init__(self, registry):
        super().__init__(registry, SEAT)

    def claim_ticket(self, run_id, ticket):
        """Take what the ticket is for; return its task, or None when it may not start or was done.
        """
        for _try in range(CLAIM_TRIES):
            if not self.waits(run_id, ticket):
                return None
            if task := self.claim(run_id):
                return task
            time.sleep(CLAIM_PAUSE)
        return None

    def waits(self, run_id, ticket):
        """Return whether the run still waits for what the ticket is for."""
        return self._transaction(lambda env: env["backup.run"]._waits(run_id, ticket))

    def wake_dispatcher(self):
        """Have at once handed over what an end has queued: the next attempt, runs discovered."""

        def step(env):
            if env["backup.run"]._tickets(limit=1):
                env["backup.dispatcher"]._wake()

        self._transaction(step)

    def status(self, run_id):
        """Return what became of the run, for the list of queue jobs."""

        def step(env):
            run = env["backup.run"].browse(run_id).exists()
            return " ".join(filter(None, (run.status, run.error_code)))

        return self._transaction(step)


class EngineRun:
    """One task, carried out by an engine process that this thread watches over."""

    def __init__(self, executor, task):
        self._executor = executor
        self._task = task
        self._events = queue.Queue()

    def execute(self):
        """Return when the engine has ended, and the run with it where it was still ours."""
        engine = self._task.engine = EngineProcess(self._task.order, self._events.put)
        self._task.order = {}  # it holds secrets, and its work is done
        lift_limits(engine.pid)
        try:
            self._watch()
        finally:
            engine.end()

    def _watch(self):
        """Record what the engine tells, and keep the lease meanwhile."""
        beat_at, last_word = time.monotonic() + HEARTBEAT, False
        while not last_word:
            with contextlib.suppress(queue.Empty):
                event = self._events.get(timeout=max(0, beat_at - time.monotonic()))
                insist(functools.partial(self._executor.heed, self._task, event))
                last_word = event["event"] in LAST_WORDS
            if time.monotonic() >= beat_at:
                insist(lambda: self._executor.keep([self._task]))
                beat_at = time.monotonic() + HEARTBEAT


def insist(step):
    """Return what the step does, which is tried again while PostgreSQL is away."""
    deadline = time.monotonic() + DATABASE_LIMIT
    while not (result := attempt(step, is_last=time.monotonic() > deadline)):
        time.sleep(DATABASE_PAUSE)
    return result[0]


def attempt(step, is_last):
    """Return what the step returns, in a tuple; nothing when PostgreSQL is away."""
    try:
        return (step(),)
    except DATABASE_ERRORS:
        if is_last:
            raise
        return ()


def lift_limits(pid):
    """Give the engine what the machine allows: it inherits Odoo's limits, made for requests."""
    with contextlib.suppress(ProcessLookupError):
        for limit in (resource.RLIMIT_CPU, resource.RLIMIT_AS):
            _soft, hard = resource.prlimit(pid, limit)
            resource.prlimit(pid, limit, (hard, hard))
