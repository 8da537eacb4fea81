from unittest.mock import patch

import psycopg2
from psycopg2.pool import PoolError

from odoo import fields, sql_db
from odoo.tests import tagged
from odoo.tests.common import get_db_name
from odoo.tools import mute_logger

from ..executor import Executor
from ..runner import Runner
from ..worker import Worker
from .common import DIGEST, SIZE
from .test_concurrency import ConcurrencyCase

TASK_LOGGER = "odoo.addons.backup_scheduler.models.task.backup_task_execution"
LOGGER = "odoo.addons.backup_scheduler.after_commit"
FAULTS = (
    psycopg2.OperationalError('no such database "postgres"'),
    PoolError("The Connection Pool Is Full"),
)


@tagged("post_install", "-at_install")
class TestAlertFaults(ConcurrencyCase):
    """Whatever is wrong with alerts, backups are made."""

    def test_a_worker_that_cannot_take_alerts_takes_runs(self):
        (run_id,) = self._queue(1)
        worker = Worker(get_db_name())
        worker.executor = Executor(self.registry, "one")
        worker.runner = Runner(worker.executor)
        with self._environment() as env:
            notify = env["backup.task"]._plan("notify", fields.Datetime.now())
        alerts = type(env["backup.alert"])
        broken = patch.object(alerts, "_order_notify", side_effect=KeyError("broken"))
        beyond = patch.object(alerts, "_record_notify", side_effect=KeyError("beyond"))
        engine = patch("odoo.addons.backup_scheduler.runner.EngineProcess")
        with broken, beyond, engine, self.assertLogs(TASK_LOGGER, "ERROR") as logged:
            worker._take_on()
            worker._take_on()
        self.assertEqual([self._run_of(task) for task in worker.runner.tasks.values()], [run_id])
        self.assertEqual(len(logged.records), 1, "It is looked at again after a while")
        with self._environment() as env:
            self.assertGreater(env["backup.task"].browse(notify.id).due_at, fields.Datetime.now())
            env["backup.task"].browse(notify.id).unlink()


@tagged("post_install", "-at_install")
class TestLiveFaults(ConcurrencyCase):
    """The bus cannot wake the web clients: no backup fails of it. What is made is committed."""

    def _unreachable(self, fault):
        connect = sql_db.db_connect

        def refuse(to, *args, **options):
            if to == "postgres":
                raise fault
            return connect(to, *args, **options)

        return patch.object(sql_db, "db_connect", refuse)

    def test_a_run_is_claimed_and_recorded_all_the_same(self):
        for fault in FAULTS:
            with self.subTest(type(fault).__name__):
                (run_id,) = self._queue(1)
                executor = Executor(self.registry, "one")
                with self._unreachable(fault), mute_logger(LOGGER):
                    task = executor.claim(run_id=run_id)
                    self.assertEqual(self._run_of(task), run_id)
                    copies = [
                        {"id": copy["id"], "stored": True, "size": SIZE, "sha256": DIGEST,
                         "encryption": ""}
                        for copy in task.order["destinations"]
                    ]  # fmt: skip
                    done = {
                        "event": "done", "size": SIZE, "sha256": DIGEST, "report": {"level": 2},
                        "copies": copies,
                    }  # fmt: skip
                    self.assertTrue(executor.record(task, done))
                with self._environment() as env:
                    run = env["backup.run"].browse(run_id)
                    self.assertEqual((run.status, run.attempt), ("verified", 1))

    def test_the_dispatcher_goes_on(self):
        logged, unreachable = self.assertLogs(LOGGER, "WARNING"), self._unreachable(FAULTS[0])
        with logged, unreachable, self._environment() as env:
            env["backup.dispatcher"]._plan_job(self._job(env), env.cr.now())
        with self._environment() as env:
            self.assertEqual(self._job(env).run_ids.mapped("status"), ["queued"])
