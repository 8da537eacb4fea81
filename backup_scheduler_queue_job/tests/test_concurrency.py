from unittest.mock import patch

from odoo import fields
from odoo.addons.backup_scheduler.tests.test_concurrency import Transaction
from odoo.modules.registry import Registry
from odoo.tests import tagged
from odoo.tests.common import BaseCase, get_db_name
from odoo.tools import mute_logger

from ..execution import QueueExecutor


@tagged("post_install", "-at_install")
class TestConcurrency(BaseCase):
    """Real transactions beside each other, as several servers have them."""

    def setUp(self):
        super().setUp()
        self.registry = Registry(get_db_name())
        self.addCleanup(self._remove)
        with self._environment() as env:
            self.instance_id = env["backup.instance"].create(
                {"name": "Concurrent", "url": "http://127.0.0.1:1", "max_parallel_runs": 1}
            ).id
            job = env["backup.job"].create({"name": "Concurrent", "instance_id": self.instance_id})
            moment = fields.Datetime.to_datetime("2001-01-01 00:00:00")
            runs = env["backup.run"]._create_for(job, ["one", "two"], moment, "manual")
            self.job_id, self.run_ids, self.task_ids = job.id, runs.ids, runs.task_ids.ids

    def _environment(self):
        return Transaction(self.registry)

    def _remove(self):
        with self._environment() as env:
            self._queue_jobs(env).unlink()
            env["backup.run"].browse(self.run_ids).unlink()
            env["backup.job"].browse(self.job_id).unlink()
            env["backup.instance"].browse(self.instance_id).unlink()

    def _queue_jobs(self, env):
        tickets = [f"backup_task:{task_id}:0" for task_id in self.task_ids]
        return env["queue.job"].search([("identity_key", "in", tickets)])

    def test_two_dispatchers_at_once_make_one_queue_job_of_each_run(self):
        with self._environment() as two, mute_logger("odoo.sql_db"):
            tickets = [each for each in two["backup.task"]._tickets() if each[0] in self.task_ids]
            self.assertEqual(len(tickets), 2)
            with self._environment() as one:
                for task_id, ticket in tickets:
                    one["backup.dispatcher"]._enqueue(one["backup.task"].browse(task_id), ticket)
            # Its view began before the other one's queue jobs were there.
            self.assertFalse(self._queue_jobs(two))
            task_id, ticket = tickets[0]
            two["backup.dispatcher"]._enqueue(two["backup.task"].browse(task_id), ticket)
            self.assertEqual(len(self._queue_jobs(two)), 2, "It gave up its view")

    def test_tickets_of_one_instance_keep_to_its_limit(self):
        executors = [QueueExecutor(self.registry) for _run in self.run_ids]
        with patch("odoo.addons.backup_scheduler_queue_job.execution.CLAIM_PAUSE", 0):
            tasks = [
                executor.claim_ticket(task_id, f"backup_task:{task_id}:0")
                for executor, task_id in zip(executors, self.task_ids, strict=True)
            ]
        self.assertEqual([bool(task) for task in tasks], [True, False])
        self.assertTrue(executors[1].waits(f"backup_task:{self.task_ids[1]}:0"))
