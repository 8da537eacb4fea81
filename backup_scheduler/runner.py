"""The engine processes of an executor's tasks: started, listened to, ended."""

import contextlib
import functools
import logging
import queue
import time

from .engine_process import EngineProcess
from .models.task.backup_task_execution import DATABASE_ERRORS, LAST_WORDS

_logger = logging.getLogger(__name__)

# Seconds between renewals of the leases (which last 45); also how soon a cancel is noticed.
HEARTBEAT = 10


class Runner:
    """Executes tasks, each in an engine process; its caller alternates :meth:`wait` and
    :meth:`beat`.

    :param executor: the :class:`~.executor.Executor` that has claimed them
    :param heartbeat: seconds between renewals of the leases
    """

    def __init__(self, executor, heartbeat=HEARTBEAT):
        self.executor = executor
        self.tasks = {}
        self._heartbeat = heartbeat
        self._beat_at = time.monotonic() + heartbeat
        self._events = queue.Queue()
        self._unrecorded = []

    def start(self, task):
        """Start the engine of a task; return the engine."""
        tell = functools.partial(self._deliver, task.token)
        task.engine = EngineProcess(task.order, tell)
        task.order = {}  # it holds secrets, and its work is done
        self.tasks[task.token] = task
        return task.engine

    def wait(self, seconds):
        """Wait for events of the engines, not longer than ``seconds``."""
        with contextlib.suppress(queue.Empty):
            self._unrecorded.append(self._events.get(timeout=max(0, seconds)))
            while True:
                self._unrecorded.append(self._events.get_nowait())

    def beat(self):
        """Record what has come, in order, and renew the leases when that is due.

        Raises one of ``DATABASE_ERRORS`` while PostgreSQL is away; what could not be recorded is
        recorded by the next beat.
        """
        self._unrecorded = list(newest_progress(self._unrecorded))
        while self._unrecorded:
            token, event = self._unrecorded[0]
            if token in self.tasks:
                self._handle(self.tasks[token], event)
            del self._unrecorded[0]
        if time.monotonic() >= self._beat_at:
            self.executor.renew_leases(self.tasks.values())
            self._beat_at = time.monotonic() + self._heartbeat

    def next_beat(self):
        """Return the seconds until the leases are renewed."""
        return self._beat_at - time.monotonic()

    def stop(self):
        """End the engines, without a word to the database: what they did not finish is found lost,
        which counts as an attempt."""
        for task in self.tasks.values():
            task.engine.abandon()
        for task in self.tasks.values():
            task.engine.end()

    def give_back(self):
        """Record what was reached after all, and give back the tasks that are not done.

        After :meth:`stop`, where the executor was told to stop and no attempt is to count.
        """
        self.wait(0)
        try:
            for token, event in newest_progress(self._unrecorded):
                # An end for which the stop is the reason is none.
                if token in self.tasks and event["event"] not in ("failed", "lost"):
                    self.executor.record(self.tasks[token], event)
            for task in self.tasks.values():
                self.executor.give_back(task)
        except DATABASE_ERRORS as error:
            # The leases run out, and the tasks are found lost.
            _logger.warning("Backup tasks cannot be given back: %s", first_line(error))

    def _deliver(self, token, event):
        self._events.put((token, event))

    def _handle(self, task, event):
        self.executor.handle_event(task, event)
        if event["event"] in LAST_WORDS:
            task.engine.end()
            del self.tasks[task.token]


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
