"""The executor that lives in queue jobs: one task at a time, its bytes in an engine process.

A queue job is a request to one of Odoo's HTTP workers, which Odoo may kill at any time (its limits
of time and memory). Nothing it holds matters: the engine then ends by itself, the lease runs out,
and the dispatcher finds the task lost.
"""

import contextlib
import resource
import time

import psycopg2

from odoo.addons.backup_scheduler.executor import Executor
from odoo.addons.backup_scheduler.runner import Runner

# Any number of queue jobs sit here: none is ever anybody's successor.
SEAT = "queue_job"
# Only one process claims at a time; others try again, as often, after so many seconds.
CLAIM_TRIES = 5
CLAIM_PAUSE = 0.2
# Seconds between renewals of the lease (which lasts 45); also how soon a cancel is noticed.
HEARTBEAT = 5
# Seconds between tries while PostgreSQL is away, and after which there is no use in waiting: the
# lease is lost, and the task is begun again elsewhere.
DATABASE_PAUSE = 2
DATABASE_LIMIT = 120
DATABASE_ERRORS = (psycopg2.OperationalError, psycopg2.InterfaceError)


class QueueExecutor(Executor):
    def __init__(self, registry):
        super().__init__(registry, SEAT)

    def claim_ticket(self, task_id, ticket):
        """Take what the ticket is for; return its task, or None when it may not start or was done.
        """
        for _try in range(CLAIM_TRIES):
            if not self.waits(ticket):
                return None
            if task := self.claim(task_id=task_id):
                return task
            time.sleep(CLAIM_PAUSE)
        return None

    def execute(self, task):
        """Return when the engine has ended, and the task with it where it was still ours."""
        runner = Runner(self, HEARTBEAT)
        lift_limits(runner.start(task).pid)
        try:
            while runner.tasks:
                runner.wait(runner.next_beat())
                insist(runner.beat)
        finally:
            runner.stop()

    def waits(self, ticket):
        """Return whether the task still waits for what the ticket is for."""
        return self.transaction(lambda env: env["backup.task"]._waits(ticket))

    def wake_dispatcher(self):
        """Have at once handed over what an end has planned: the next attempt, runs discovered."""

        def step(env):
            if env["backup.task"]._tickets(limit=1):
                env["backup.dispatcher"]._wake()

        self.transaction(step)

    def status(self, run_id):
        """Return what became of the run, for the list of queue jobs."""

        def step(env):
            run = env["backup.run"].browse(run_id).exists()
            return " ".join(filter(None, (run.status, run.error_code)))

        return self.transaction(step)


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
