"""What every executor of runs does with the database: claim, keep leases, record.

Each step is a short transaction of its own, on a cursor of its own, repeated when it collides with
another one. No transaction is open while bytes move.
"""

import contextlib
import dataclasses
import logging
import os
import socket
import time

import psycopg2

from odoo import SUPERUSER_ID, api
from odoo.exceptions import UserError
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY

from .after_commit import forgive
from .engine.errors import BackupError, InternalError
from .engine.messages import Message, received

_logger = logging.getLogger(__name__)

COLLISIONS = (*PG_CONCURRENCY_EXCEPTIONS_TO_RETRY, psycopg2.errors.UniqueViolation)
# These say nothing about the record at hand.
DATABASE_ERRORS = (psycopg2.OperationalError, psycopg2.InterfaceError)
TRIES = 5
# Seconds, longer each time.
COLLISION_PAUSE = 0.1
DEFAULT_PARALLEL_RUNS = 2
NOTICES = "notices"


@dataclasses.dataclass
class Task:
    """One thing to do for one run, or for none.

    :param kind: ``run`` (make the backup), ``work`` (something with the archive of an ended run),
        ``discard`` (remove what a lost attempt left) or ``notices`` (send alerts; of no run)
    """

    run_id: int
    kind: str
    token: str
    order: dict
    engine: object = None


class Executor:
    """The database side of executing runs, for one database.

    :param seat: names the place that only one executor has at a time, such as the worker's of a
        machine
    """

    def __init__(self, registry, seat):
        self.registry = registry
        self.seat = seat
        self.name = f"{seat}:{socket.gethostname()}:{os.getpid()}"

    def claim(self, run_id=None, work=True):
        """Take the next thing to do; return its :class:`Task`, or None.

        A restore comes before the backups, for somebody waits for it; everything else that is to be
        done with archives comes after them.

        :param run_id: only what is to be done for this run
        :param work: whether it may be something that can wait
        """
        return self._transaction(lambda env: self._claim(env, run_id, work))

    def claim_notices(self):
        """Take the alerts that are to be sent; return their :class:`Task`, or None.

        They are small and bounded, and take no place of a backup: whoever asks does them beside.
        """

        def step(env):
            alerts, notices = env["backup.alert"]._notice_orders()
            if not notices:
                return None
            return Task(0, NOTICES, alerts[0].lease_token, {"action": "notify", "notices": notices})

        return self._transaction(step)

    def reap(self, predecessors=False):
        """End the attempts of executors that are gone.

        :param predecessors: also those of whoever had this seat, without waiting for their leases
        """
        seat = self.seat if predecessors else None
        self._transaction(lambda env: env["backup.run"]._reap(seat))

    def renew(self, tasks):
        """Renew the leases of the tasks; return ``{run id: cancel requested}`` of those held.

        That of alerts is longer than sending them can take.
        """
        tokens = {
            task.run_id: task.token for task in tasks if task.token and task.kind != NOTICES
        }
        held = self._transaction(lambda env: env["backup.run"]._renew_leases(tokens))
        return {**held, **{task.run_id: False for task in tasks if task.kind == NOTICES}}

    def record(self, task, event):
        """Write down what the engine tells; return False when the run is no longer ours.

        What cannot be written down ends the run, and not whoever executes it.
        """
        event = storable(received(event))
        try:
            return self._transaction(lambda env: self._record(env, task, event))
        except DATABASE_ERRORS:
            raise
        except Exception as error:
            _logger.exception(
                "Backup run %s: the event %r cannot be recorded", task.run_id, event["event"]
            )
            failure = internal(error)
            self._transaction(lambda env: self._give_up(env, task, failure))
            return False

    def heed(self, task, event):
        """Record what the engine of the task tells, and tell it what follows from that.

        May be called again with the same event, when the database went away in between.
        """
        held = self.record(task, event)
        if not held:
            _logger.warning("Backup run %s is no longer ours; its engine is stopped", task.run_id)
            task.engine.cancel()
            if event["event"] == "done":
                self.disown(task, event)
        elif event["event"] == "ready" and self.keep([task]):
            # The lease was renewed right before the archive gets its name.
            task.engine.publish()

    def keep(self, tasks):
        """Renew the leases; stop the engines of what was cancelled or is no longer ours.

        Returns the tasks that go on.
        """
        tasks, going_on = list(tasks), []
        held = self.renew(tasks)
        for task in tasks:
            # What removes the rest of a lost attempt has no lease to lose.
            if not task.token or held.get(task.run_id) is False:
                going_on.append(task)
            else:
                task.engine.cancel()
        return going_on

    def is_open(self, run_id):
        """Return whether something is being done with the run, or is due."""

        def step(env):
            run = env["backup.run"].browse(run_id).exists()
            is_due = run.work_at and run.work_at <= run._clock()
            return bool(run.lease_token or is_due)

        return self._transaction(step)

    def release(self, task):
        """Give the run back: this executor was told to stop."""

        def step(env):
            if task.kind == NOTICES:
                held = [("lease_token", "=", task.token)]
                env["backup.alert"].search(held)._release_notices()
                return
            run = env["backup.run"]._held(task.run_id, task.token)
            if run and task.kind == "run":
                run._mark_interrupted()
            elif run:
                run._return_work()

        self._transaction(step)

    def parallel_runs(self):
        """Return how many things this machine's worker does at the same time: none when another
        executor was chosen."""

        def step(env):
            if env["backup.dispatcher"]._executor() != "process":
                return 0
            value = env["ir.config_parameter"].get_param("backup_scheduler.workers") or ""
            return max(1, int(value)) if value.isdigit() else DEFAULT_PARALLEL_RUNS

        return self._transaction(step)

    def disown(self, task, event):
        """An archive was stored for a run that was lost meanwhile: have it removed again."""
        self._transaction(
            lambda env: env["backup.run"]
            .browse(task.run_id)
            .exists()
            ._disown_archive(event.get("copies", ()))
        )

    def discards(self, busy):
        """Return a task for each run that a lost attempt may have left something of.

        :param busy: ids of the runs that are being seen to already
        """

        def step(env):
            runs = env["backup.run"]._abandoned().filtered(lambda run: run.id not in busy)
            return [Task(run.id, "discard", "", run._discard_order()) for run in runs]

        return self._transaction(step)

    def _claim(self, env, run_id, work):
        runs = env["backup.run"]
        if run := runs._claim_work(self.name, run_id, urgent=True):
            return self._task(run, "work", run._work_order)
        if run := runs._claim(self.name, run_id):
            return self._task(run, "run", run._engine_order)
        if work and (run := runs._claim_work(self.name, run_id)):
            return self._task(run, "work", run._work_order)
        return None

    def _task(self, run, kind, make_order):
        """Return the task; a run that cannot even be ordered ends here, and the next is tried."""
        task = Task(run.id, kind, run.lease_token, {})
        try:
            with run.env.cr.savepoint():
                task.order = make_order()
        except (*COLLISIONS, *DATABASE_ERRORS):
            raise
        except Exception as error:  # noqa: BLE001 - one broken run must not stop the others
            self._end_broken(run, task, error)
            task.kind = "broken"
        return task

    def _end_broken(self, run, task, error):
        """End what no order could be made of, by its record, or else without it."""
        try:
            with run.env.cr.savepoint():
                self._record(run.env, task, {"event": "failed", **internal(error)})
        except (*COLLISIONS, *DATABASE_ERRORS):
            raise
        except Exception as beyond:
            _logger.exception("Backup run %s is broken beyond its own record", run.id)
            run._mark_unrecordable(beyond)

    def _give_up(self, env, task, failure):
        """End what cannot be recorded. An archive may be there: its copies stay to be discarded."""
        if task.kind == "run":
            run = env["backup.run"]._held(task.run_id, task.token)
            run and run._mark_failed(failure)
        else:
            self._record(env, task, {"event": "failed", **failure})

    def _record(self, env, task, event):
        if task.kind == NOTICES:
            return env["backup.alert"]._record_notices(event, task.token)
        run = env["backup.run"]
        if task.kind == "discard":
            run.browse(task.run_id).exists()._record_discard(event)
            return True
        if not (run := run._held(task.run_id, task.token)):
            return False
        if task.kind == "work":
            run._record_work(event)
        else:
            run._record(event)
        return True

    def _transaction(self, step):
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


def internal(error):
    """Return a failure that nobody foresaw as an engine would tell it."""
    if isinstance(error, BackupError):
        return error.as_dict()
    if isinstance(error, UserError):
        # It says itself what to do.
        return InternalError(str(error), hint="").as_dict()
    return InternalError.of(error).as_dict()


def storable(value):
    """Return plain values without the one character that PostgreSQL's text cannot hold."""
    if isinstance(value, Message):
        return value.changed(storable)
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {key: storable(item) for key, item in value.items()}
    return value
