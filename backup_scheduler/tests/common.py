"""What the tests of the addon share: a server, a destination, jobs, and ways to let time pass.

No test reaches a server or starts a process: both are put in at their one seam.
"""

import datetime
import itertools
import os
import tempfile
import warnings
from unittest.mock import Mock, patch

from cryptography.fernet import Fernet

from odoo import fields
from odoo.tests import TransactionCase, new_test_user
from odoo.tools import mute_logger

from .. import engine_call
from ..engine import transfer
from ..models.backup_secret_mixin import KEY_VARIABLE
from ..models.task.kinds import BACKUP

LAUNCHER = "odoo.addons.backup_scheduler.launcher.ensure_worker"
RUN_LOGGER = "odoo.addons.backup_scheduler.models.run.backup_run_status"
DIGEST = "ab" * 32
PASSWORD = "correct horse battery staple"
SIZE = 5000


def ago(**duration):
    """Return a moment of the past as Odoo keeps it; whole seconds."""
    return fields.Datetime.now() - datetime.timedelta(**duration)


# What an engine tells of a copy that lies in its destination.
AT_REST = {"size": SIZE, "sha256": DIGEST, "encryption": ""}


def archive(level=2, **values):
    """Return what an engine tells of an archive that it has made."""
    return {"size": SIZE, "sha256": DIGEST, "report": {"level": level}, **values}


def failure(code="connection_failed", retryable=True, **values):
    """Return an engine's last word on an attempt that failed."""
    return {
        "event": "failed",
        "error_code": code,
        "error": "It did not work.",
        "hint": "Mend it.",
        "retryable": retryable,
        **values,
    }


def discovering(**answer):
    """Let the engine answer so when it asks a server who it is: see :class:`unittest.mock.Mock`."""
    return patch.dict(transfer.ACTIONS, discover=Mock(**answer))


class BackupCase(TransactionCase):
    places = map(str, itertools.count())
    # Whether the tests are about what failures leave in the log.
    listens = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        key = patch.dict(os.environ, {KEY_VARIABLE: Fernet.generate_key().decode()})
        key.start()
        cls.addClassCleanup(key.stop)
        if not cls.listens:
            told = mute_logger(RUN_LOGGER)
            told.__enter__()
            cls.addClassCleanup(told.__exit__, None, None, None)
        # Whatever a database in use has is none of the tests' business.
        cls.env["backup.job"].search([]).write({"enabled": False})
        cls.env["backup.run"].search([("status", "=", "queued")]).cancel()
        cls.destination = cls._make_destination("Vault")
        cls.instance = cls._make_instance("Shop", ["sales", "stock"])
        cls.Run = cls.env["backup.run"]
        cls.Job = cls.env["backup.job"]
        cls.Task = cls.env["backup.task"]
        cls.dispatcher = cls.env["backup.dispatcher"]

    def setUp(self):
        super().setUp()
        # Odoo only warns of records that are compared with something else.
        self.enterContext(warnings.catch_warnings())
        warnings.filterwarnings("error", "unsupported operand type", UserWarning)
        launcher = patch(LAUNCHER)
        self.launched = launcher.start()
        self.addCleanup(launcher.stop)
        engine = patch.object(engine_call, "carry_out", engine_call.carry_out_here)
        engine.start()
        self.addCleanup(engine.stop)

    @classmethod
    def _make_destination(cls, name, **values):
        # No two destinations may lie at one place.
        path = os.path.join(tempfile.gettempdir(), "backup_scheduler_tests", next(cls.places))
        return cls.env["backup.destination"].create({"name": name, "path": path, **values})

    @classmethod
    def _make_instance(cls, name, databases=(), **values):
        instance = cls.env["backup.instance"].create(
            {
                "name": name,
                "url": "http://127.0.0.1:1",
                "master_password": PASSWORD,
                "max_parallel_runs": 0,
                **values,
            }
        )
        cls.env["backup.database"].create(
            [{"instance_id": instance.id, "name": name} for name in databases]
        )
        return instance

    def _gone(self, *left):
        """Let the server have no other databases than these any more."""
        for _answer in range(2):
            self.instance._record_server("19.0", list(left))

    @classmethod
    def _make_job(cls, **values):
        return cls.env["backup.job"].create(
            {
                "name": "Nightly",
                "instance_id": cls.instance.id,
                "cron_expression": "0 2 * * *",
                "destination_ids": [(6, 0, cls.destination.ids)],
                **values,
            }
        )

    def _make_due(self, job, moment):
        """Let the job be due since ``moment``, as if it had been planned before."""
        job.planned_at = min(job.planned_at or moment, moment)
        job.next_run_at = moment
        job.flush_recordset()
        return job

    def _fires(self, job, status):
        """Return the moments of the job's runs of a status, oldest first."""
        runs = job.run_ids.filtered(lambda run: run.status == status)
        return sorted(set(runs.mapped("scheduled_at")))

    def _plan(self, now):
        """Plan what is due at ``now``, with real commits' effects on this test's transaction."""
        with self.enter_registry_test_mode(), self.registry.cursor() as cr:
            return self.dispatcher.with_env(self.env(cr=cr))._plan_due_jobs(now)

    def _dispatch(self):
        """Run the dispatcher as the cron does."""
        with self.enter_registry_test_mode(), self.registry.cursor() as cr:
            self.dispatcher.with_env(self.env(cr=cr))._cron_dispatch()

    def _make_run(self, database="sales", job=None, **values):
        """Return the queued run of a fire of a minute ago."""
        job = job or self._make_job()
        scheduled_at = values.pop("scheduled_at", ago(minutes=1))
        due_at = values.pop("retry_at", None)
        run = self.Run._create_for(job, [database], scheduled_at, values.pop("trigger", "manual"))
        run.write(values)
        if due_at:
            run.task_ids.due_at = due_at
        if run.status != "queued":
            run.task_ids.unlink()
        return run

    def _claim(self, worker="tester"):
        """Return the run that a worker backs up next, ready for the engine."""
        return self._take(worker, (BACKUP,), ordered=True)

    def _take(self, worker="tester", places=None, ordered=False, **only):
        """Return the run of the task that an executor takes next.

        :param ordered: the engine's order is made too
        """
        task = self.Task._claim(worker, places, **only)
        if task and ordered:
            task._engine_order()
        self.env.flush_all()
        return task.run_id

    def _abandoned(self):
        """Return the runs of which a lost attempt may have left something."""
        return self.Task.search([("kind", "=", "discard")]).run_id

    def _take_task(self, kind, subject=None):
        """Return the task of a kind, which an executor takes."""
        task = self.Task._claim("tester", task_id=self.Task._of(kind, subject).id)
        self.env.flush_all()
        return task

    def _held(self, run):
        """Return the task of the run that an executor has."""
        return run._task_at_work()

    def _order(self, run):
        """Return what the engine of the run's task is told."""
        return self._held(run)._engine_order()

    def _report(self, run, event):
        """Record what the engine of the run's task reports."""
        task = self._held(run)
        task.ensure_one()
        task._record(event)

    def _lose(self, run):
        """Let the executor of the run's task be gone."""
        self._expire_lease(run)
        self.Task._reap()

    def _running(self, database="sales", job=None, **values):
        """Return a run in the middle of its first attempt."""
        run = self._make_run(database, job, scheduled_at=ago(days=365), **values)
        self._take(ordered=True, task_id=run.task_ids.id)
        self.assertEqual(run.status, "running")
        return run

    def _stored(self, database="sales", job=None, level=2):
        """Return a run that ended well, its archive in each destination."""
        run = self._running(database, job)
        self._report(run, self._done(run, level))
        return run

    def _done(self, run, level=2, failed=()):
        """Return the last word of an engine that stored the archive in all but ``failed``."""
        copies = [
            {"id": copy.id, "stored": False, "error_code": "no_space", "error": "Disk full."}
            if copy in failed
            else {"id": copy.id, "stored": True, **AT_REST}
            for copy in run.copy_ids
        ]
        return {"event": "done", **archive(level), "copies": copies}

    def _expire_lease(self, run):
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE backup_task SET lease_until = lease_until - interval '1 day' "
            "WHERE run_id IN %s AND lease_token IS NOT NULL",
            (tuple(run.ids),),
        )
        self.env.invalidate_all()

    def _sql(self, query, *parameters):
        """Change rows behind the back of the ORM, as a broken record comes about."""
        self.env.flush_all()
        self.env.cr.execute(query, parameters)
        self.env.invalidate_all()

    def _user(self, group, **values):
        """Return a user with one of our groups: ``user``, ``operator``, ``manager``; or none."""
        groups = f"backup_scheduler.group_backup_{group}" if group else "base.group_user"
        return new_test_user(self.env, f"{group or 'nobody'}{len(values)}", groups, **values)
