import collections
import os
from unittest.mock import MagicMock, patch

import psycopg2
from cryptography.fernet import Fernet

from odoo.modules.registry import Registry
from odoo.tests import BaseCase, tagged
from odoo.tests.common import get_db_name
from odoo.tools import mute_logger

from ..executor import Task
from ..models.backup_secret_mixin import KEY_VARIABLE
from ..models.task.kinds import ASIDE, BACKUP, SPARE
from ..runner import Runner
from ..worker import Worker
from .test_concurrency import Transaction


@tagged("post_install", "-at_install")
class TestAlertConcurrency(BaseCase):
    """Two real transactions, as two workers have them; what is made here is committed."""

    def setUp(self):
        super().setUp()
        key = patch.dict(os.environ, {KEY_VARIABLE: Fernet.generate_key().decode()})
        key.start()
        self.addCleanup(key.stop)
        self.registry = Registry(get_db_name())
        self.addCleanup(self._remove)
        with self._environment() as env:
            channel = env["backup.alert.channel"].create(
                {"name": "Concurrent", "kind": "webhook", "url": "http://127.0.0.1:1/hush"}
            )
            instance = env["backup.instance"].create(
                {"name": "Concurrent", "url": "http://127.0.0.1:1"}
            )
            self.channel_id, self.instance_id = channel.id, instance.id

    def _environment(self):
        return Transaction(self.registry)

    def _remove(self):
        with self._environment() as env:
            env["backup.alert.channel"].browse(self.channel_id).unlink()
            env["backup.instance"].browse(self.instance_id).unlink()

    def _announce(self, env):
        place = {"instance_id": self.instance_id, "database_name": "sales", "job_key": 0}
        incident = env["backup.incident"]._see("late", place, error="Late.")
        return env["backup.alert"]._announce(incident, "opened")

    def _alerts(self, env):
        return env["backup.alert"].search([("channel_id", "=", self.channel_id)])

    def test_two_workers_never_take_the_same_message(self):
        with self._environment() as env:
            self._announce(env)
        with self._environment() as one, self._environment() as two:
            one["backup.alert"]._plan_tasks()
            task = one["backup.task"]._claim("one", (ASIDE,))
            self.assertEqual(task.kind, "notify")
            self.assertFalse(two["backup.task"]._claim("two", (ASIDE,)))
            task.unlink()

    def test_two_dispatchers_open_an_incident_once_and_tell_of_it_once(self):
        late = self._environment()
        with late as two, mute_logger("odoo.sql_db"):
            two.cr.execute("SELECT 1 FROM backup_incident LIMIT 1")  # its view begins here
            with self._environment() as one:
                self._announce(one)
            with self.assertRaises(psycopg2.errors.SerializationFailure):
                self._announce(two)
            two.cr.rollback()
            self._announce(two)
        with self._environment() as env:
            domain = [("instance_id", "=", self.instance_id)]
            self.assertEqual(env["backup.incident"].search_count(domain), 1)
            self.assertEqual(len(self._alerts(env)), 1)


class TestWorkerSeat(BaseCase):
    """Alerts have a place of their own in the worker."""

    def _worker(self, places, backups, notices):
        worker = Worker.__new__(Worker)
        worker.executor = MagicMock()
        worker.runner = Runner(worker.executor)
        worker.executor.parallel_runs.return_value = places
        self.queues = {
            BACKUP: collections.deque(Task(n, "backup", f"r{n}", {}) for n in range(backups)),
            ASIDE: collections.deque(Task(n, "notify", f"n{n}", {}) for n in range(notices)),
        }
        worker.executor.claim.side_effect = self._next
        return worker

    def _next(self, places):
        for place, queue in self.queues.items():
            if place in places and queue:
                return queue.popleft()
        return None

    def _kinds(self, worker):
        with patch("odoo.addons.backup_scheduler.runner.EngineProcess"):
            worker._take_on()
        return sorted(task.kind for task in worker.runner.tasks.values())

    def test_they_neither_wait_for_backups_nor_take_their_place(self):
        worker = self._worker(places=1, backups=3, notices=3)
        self.assertEqual(self._kinds(worker), ["backup", "notify"])
        self.assertEqual(self._kinds(worker), ["backup", "notify"])

    def test_they_come_when_all_places_have_been_taken_before(self):
        worker = self._worker(places=2, backups=2, notices=0)
        self.assertEqual(self._kinds(worker), ["backup", "backup"])
        self.queues[ASIDE].append(Task(9, "notify", "n", {}))
        self.assertEqual(self._kinds(worker), ["backup", "backup", "notify"])

    def test_where_another_executor_was_chosen_this_one_sends_nothing(self):
        self.assertEqual(self._kinds(self._worker(places=0, backups=1, notices=1)), [])

    def test_what_can_wait_never_takes_the_last_place_of_a_backup(self):
        worker = self._worker(places=3, backups=0, notices=0)
        self.queues[SPARE] = collections.deque(Task(n, "verify", f"v{n}", {}) for n in range(5))
        self.assertEqual(self._kinds(worker), ["verify", "verify"])
        self.queues[BACKUP].append(Task(7, "backup", "r", {}))
        self.assertEqual(self._kinds(worker), ["backup", "verify", "verify"])
