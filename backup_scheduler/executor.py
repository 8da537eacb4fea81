"""What every executor does with the database: claim tasks, keep their leases, record.

Each step is a short transaction of its own, on a cursor of its own, repeated when it collides with
another one. No transaction is open while bytes move.
"""

import contextlib
import dataclasses
import logging
import os
import socket
import time

from odoo import SUPERUSER_ID, api

from .after_commit import forgive
from .engine.messages import Message, received
from .models.task.backup_task_execution import COLLISIONS, DATABASE_ERRORS, LAST_WORDS, internal
from .models.task.kinds import KINDS

_logger = logging.getLogger(__name__)

TRIES = 5
# Seconds, longer each time.
COLLISION_PAUSE = 0.1
DEFAULT_PARALLEL_RUNS = 2


@dataclasses.dataclass
class Task:
    """A task that this executor holds.

    :ivar kind: of the task; empty when not even its order could be made, and it has ended
    :ivar order: what the engine is told; taken away once it was told, for it holds secrets
    """

    id: int
    kind: str
    token: str
    order: dict
    engine: object = None

    @property
    def place(self):
        """Return which of the executor's places it takes."""
        return KINDS[self.kind].place


class Executor:
    """The database side of executing tasks, for one database.

    :param seat: names the place that only one executor has at a time, such as the worker's of a
        machine
    """

    def __init__(self, registry, seat):
        self.registry = registry
        self.seat = seat
        self.name = f"{seat}:{socket.gethostname()}:{os.getpid()}"

    def claim(self, places=None, task_id=None, run_id=None):
        """Take the next thing to do; return its :class:`Task`, or None.

        :param places: the places that are free; None: all
        :param task_id: this task or none
        :param run_id: a task of this run or none
        """

        def step(env):
            task = env["backup.task"]._claim(self.name, places, task_id, run_id)
            return self._ordered(task) if task else None

        return self.transaction(step)

    def reap(self, predecessors=False):
        """End the attempts of executors that are gone.

        :param predecessors: also those of whoever had this seat, without waiting for their leases
        """
        seat = self.seat if predecessors else None
        self.transaction(lambda env: env["backup.task"]._reap(seat))

    def renew_leases(self, tasks):
        """Renew the leases; stop the engines of what was cancelled or is no longer ours.

        Returns the tasks that go on.
        """
        tasks = list(tasks)
        tokens = [task.token for task in tasks]
        held = self.transaction(lambda env: env["backup.task"]._renew_leases(tokens))
        going_on = [task for task in tasks if held.get(task.id) is False]
        for task in tasks:
            if task not in going_on and task.engine:
                task.engine.cancel()
        return going_on

    def handle_event(self, task, event):
        """Record what the engine of the task reports, and tell it what follows from that.

        May be called again with the same event, when the database went away in between.
        """
        held = self.record(task, event)
        if not held:
            _logger.warning("Backup task %s is no longer ours; its engine is stopped", task.id)
            task.engine.cancel()
        elif event["event"] == "ready" and self.renew_leases([task]):
            # The lease was renewed right before the engine does what cannot be undone.
            task.engine.publish()

    def record(self, task, event):
        """Record what the engine reports; return False when the task is no longer ours.

        An event that cannot be recorded ends the task, and not the executor.
        """
        try:
            said = storable(received(event))
            return self.transaction(lambda env: self._record(env, task, said))
        except DATABASE_ERRORS:
            raise
        except Exception as error:
            _logger.exception(
                "Backup task %s: the event %r cannot be recorded", task.id, event["event"]
            )
            # What it made may be there: nothing was removed in order.
            failure = {"event": "failed", **internal(error), "in_order": False}
            self.transaction(lambda env: self._give_up(env, task, failure))
            return False

    def is_open(self, run_id):
        """Return whether something is being done with the run, or is due."""

        def step(env):
            tasks = env["backup.run"].browse(run_id).exists().task_ids
            now = env["backup.task"]._clock()
            return any(task.lease_token or task.due_at <= now for task in tasks)

        return self.transaction(step)

    def give_back(self, task):
        """Give the task back: this executor was told to stop."""

        def step(env):
            if held := env["backup.task"]._held(task.id, task.token):
                held._give_back()

        self.transaction(step)

    def parallel_runs(self):
        """Return how many things this machine's worker does at the same time: none when another
        executor was chosen."""

        def step(env):
            if env["backup.dispatcher"]._executor() != "process":
                return 0
            value = env["ir.config_parameter"].get_param("backup_scheduler.workers") or ""
            return max(1, int(value)) if value.isdigit() else DEFAULT_PARALLEL_RUNS

        return self.transaction(step)

    def _ordered(self, record):
        """Return the task with its order; what cannot even be ordered ends here."""
        if not record.exists() or not record.lease_token:
            # It ended when it began.
            return Task(record.id, "", "", {})
        task = Task(record.id, record.kind, record.lease_token, {})
        try:
            with record.env.cr.savepoint():
                task.order = record._engine_order()
        except (*COLLISIONS, *DATABASE_ERRORS):
            raise
        except Exception as error:  # noqa: BLE001 - one broken task must not stop the others
            record._end_broken(error)
            task.kind = ""
        return task

    def _record(self, env, task, event):
        held = env["backup.task"]._held(task.id, task.token)
        if held:
            held._record(event)
        elif event["event"] in LAST_WORDS:
            env["backup.run"]._discard_orphans(
                [*event.get("copies", ()), *event.get("remains", ())]
            )
        return bool(held)

    def _give_up(self, env, task, failure):
        if held := env["backup.task"]._held(task.id, task.token):
            held._end_by(failure)

    def transaction(self, step):
        """Run ``step(env)`` and commit; again when it collides with somebody else's."""
        for failures in range(1, TRIES):
            done, result = self._attempt(step)
            if done:
                return result
            time.sleep(COLLISION_PAUSE * failures)
        with self._environment() as env:
            return step(env)

    def _attempt(self, step):
        try:
            with self._environment() as env:
                return True, step(env)
        except COLLISIONS:
            return False, None

    @contextlib.contextmanager
    def _environment(self):
        # A cursor of our own, committed on leaving: the executor has no other transaction.
        with self.registry.cursor() as cr:
            forgive(cr)
            yield api.Environment(cr, SUPERUSER_ID, {})


def storable(value):
    """Return plain values without what the text of PostgreSQL cannot hold: NUL, and halves of a
    pair, which JSON can write and no encoding has."""
    if isinstance(value, Message):
        return value.changed(storable)
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {key: storable(item) for key, item in value.items()}
    return value
