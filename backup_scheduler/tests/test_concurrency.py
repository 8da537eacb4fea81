import datetime
import os
from unittest.mock import patch

import psycopg2
from cryptography.fernet import Fernet

from odoo import SUPERUSER_ID, api, fields
from odoo.modules.registry import Registry
from odoo.tests import tagged
from odoo.tests.common import BaseCase, get_db_name
from odoo.tools import mute_logger

from ..executor import Executor
from ..models.backup_secret_mixin import KEY_VARIABLE

MOMENT = datetime.datetime(2001, 1, 1)  # noqa: DTZ001 - as Odoo keeps it


class ConcurrencyCase(BaseCase):
    """Real transactions, as processes have them; what is made here is committed."""

    def setUp(self):
        super().setUp()
        key = patch.dict(os.environ, {KEY_VARIABLE: Fernet.generate_key().decode()})
        key.start()
        self.addCleanup(key.stop)
        self.registry = Registry(get_db_name())
        self.addCleanup(self._remove)
        with self._environment() as env:
            instance = env["backup.instance"].create(
                {"name": "Concurrent", "url": "http://127.0.0.1:1", "max_parallel_runs": 0}
            )
            env["backup.database"].create({"instance_id": instance.id, "name": "sales"})
            job = env["backup.job"].create({"name": "Concurrent", "instance_id": instance.id})
            job.next_run_at = fields.Datetime.now() - datetime.timedelta(minutes=1)
            self.instance_id, self.job_id = instance.id, job.id
            self.sweep = env["backup.task"]._of("sweep").id

    def _environment(self):
        return Transaction(self.registry)

    def _remove(self):
        with self._environment() as env:
            env["backup.run"].search([("instance_id", "=", self.instance_id)]).unlink()
            env["backup.job"].browse(self.job_id).unlink()
            env["backup.instance"].browse(self.instance_id).unlink()
            # What a lost attempt here has asked for.
            env["backup.task"]._of("sweep").filtered(lambda task: task.id != self.sweep).unlink()

    def _run_of(self, task):
        """Return the id of the run that a claimed task is about."""
        with self._environment() as env:
            return env["backup.task"].browse(task.id).run_id.id

    def _job(self, env):
        return env["backup.job"].browse(self.job_id)

    def _queue(self, count):
        with self._environment() as env:
            names = [f"db{number}" for number in range(count)]
            # Of a distant past: they come before whatever a database in use has queued.
            moment = fields.Datetime.to_datetime("2001-01-01 00:00:00")
            return env["backup.run"]._create_for(self._job(env), names, moment, "manual").ids


@tagged("post_install", "-at_install")
class TestConcurrency(ConcurrencyCase):
    """Two real transactions, as two processes have them."""

    def test_two_transactions_never_claim_the_same_run(self):
        first, second = self._queue(2)
        with self._environment() as one:
            self.assertEqual(one["backup.task"]._claim("one").run_id.id, first)
            with self._environment() as two:
                self.assertFalse(two["backup.task"]._claim("two"), "One claims at a time")
        with self._environment() as two:
            self.assertEqual(two["backup.task"]._claim("two").run_id.id, second)

    def test_a_claim_on_an_outdated_view_fails_instead_of_claiming_twice(self):
        first, second = self._queue(2)
        two = self._environment()
        with two as env, mute_logger("odoo.sql_db"):
            env.cr.execute("SELECT 1 FROM backup_run LIMIT 1")  # its view begins here
            with self._environment() as one:
                self.assertEqual(one["backup.task"]._claim("one").run_id.id, first)
            with self.assertRaises(psycopg2.errors.SerializationFailure):
                env["backup.task"]._claim("two")
            env.cr.rollback()
            self.assertEqual(env["backup.task"]._claim("two").run_id.id, second)

    @mute_logger("odoo.sql_db")
    def test_runs_are_cancelled_beside_heartbeats_and_progress(self):
        runs = self._queue(3)
        executor = Executor(self.registry, "one")
        tasks = [executor.claim() for _run in runs]
        with self._environment() as env:
            env.cr.execute("SELECT 1 FROM backup_run LIMIT 1")  # its view begins here
            self.assertTrue(executor.renew_leases(tasks))
            env["backup.run"].browse(runs).cancel()
            env.flush_all()
        with self._environment() as env:
            held = env["backup.task"].browse([task.id for task in tasks])
            self.assertEqual(held.mapped("cancel_requested"), [True] * 3)

    @mute_logger("odoo.sql_db")
    def test_a_cancel_on_an_outdated_view_is_tried_again_and_marks_no_other_attempt(self):
        (run,) = self._queue(1)
        executor = Executor(self.registry, "one")
        task = executor.claim()
        outdated = self._environment()
        with outdated as env:
            env.cr.execute("SELECT 1 FROM backup_run LIMIT 1")  # its view begins here
            executor.give_back(task)
            with self.assertRaises(psycopg2.errors.SerializationFailure):
                env["backup.run"].browse(run).cancel()
                env.flush_all()
            env.cr.rollback()
            env.invalidate_all()
            env["backup.run"].browse(run).cancel()
        with self._environment() as env:
            self.assertEqual(env["backup.run"].browse(run).status, "cancelled")

    def test_two_executors_share_the_queue_without_taking_a_run_twice(self):
        queued = self._queue(6)
        executors = [Executor(self.registry, name) for name in ("one", "two")]
        claimed = [self._run_of(executors[number % 2].claim()) for number in range(6)]
        self.assertEqual(sorted(claimed), queued)

    def test_a_job_that_another_dispatcher_plans_is_left_to_it(self):
        now = fields.Datetime.now()
        with self._environment() as one:
            one["backup.dispatcher"]._plan_in_turn(self._job(one), now)
            one.flush_all()
            with self._environment() as two:
                two["backup.dispatcher"]._plan_in_turn(self._job(two), now)
        self._assert_one_fire()

    def test_a_job_that_another_dispatcher_has_planned_meanwhile_is_not_planned_again(self):
        now = fields.Datetime.now()
        with self._environment() as two:
            job = two["backup.dispatcher"]._due_jobs(now).browse(self.job_id)
            self.assertTrue(job.next_run_at <= now)  # its view begins here
            with self._environment() as one:
                one["backup.dispatcher"]._plan_in_turn(self._job(one), now)
            with mute_logger("odoo.sql_db"):
                two["backup.dispatcher"]._plan_in_turn(job, now)
        self._assert_one_fire()

    def test_a_job_that_another_dispatcher_has_planned_meanwhile_holds_up_none_beside_it(self):
        now = fields.Datetime.now()
        with self._environment() as env:
            other = self._job(env).copy({"name": "Beside"})
            other.next_run_at = now
        with self._environment() as two:
            jobs = two["backup.job"].browse((self.job_id, other.id))
            self.assertTrue(jobs[0].next_run_at <= now)  # its view begins here
            with self._environment() as one:
                one["backup.dispatcher"]._plan_in_turn(self._job(one), now)
            with mute_logger("odoo.sql_db"):
                self.assertEqual(two["backup.dispatcher"]._plan_together(jobs, now), 2)
        self._assert_one_fire()
        with self._environment() as env:
            other = env["backup.job"].browse(other.id)
            self.assertEqual(other.run_ids.mapped("status"), ["queued"])
            other.run_ids.unlink()
            other.unlink()

    def _lack_files(self, env):
        """Return a run whose archive lacks a file that its database is not known to lack."""
        (run,) = env["backup.run"]._create_for(self._job(env), ["sales"], MOMENT, "manual")
        run.write(
            {
                "status": "verify_failed",
                "started_at": MOMENT,
                "finding": {"error_code": "inconsistent", "error": "", "hint": "", "level": 3},
                "open_gaps": {"missing": [f"aa/aa{0:038}"], "damaged": [], "only": True},
                "verification_report": {"missing_files": 1, "filestore_files": 9, "level": 2},
            }
        )
        return run

    def test_what_is_accepted_while_a_run_ends_is_known_when_that_is_tried_again(self):
        with self._environment() as env:
            first = self._lack_files(env).id
        two = self._environment()
        with two as env, mute_logger("odoo.sql_db"):
            run = self._lack_files(env)  # its view begins here
            with self._environment() as one:
                one["backup.run"].browse(first).accept_gaps()
            with self.assertRaises(psycopg2.errors.SerializationFailure):
                run._settle_found_gaps()
            env.cr.rollback()
            run = self._lack_files(env)
            run._settle_found_gaps()
            self.assertEqual(run.status, "verified")

    def test_what_a_run_is_found_to_lack_while_gaps_are_accepted_is_not_passed_over(self):
        with self._environment() as env:
            first = self._lack_files(env).id
        with self._environment() as one, mute_logger("odoo.sql_db"):
            run = one["backup.run"].browse(first)
            self.assertEqual(run.status, "verify_failed")  # its view begins here
            with self._environment() as two:
                later = self._lack_files(two)
                later._settle_found_gaps()
            with self.assertRaises(psycopg2.errors.SerializationFailure):
                run.accept_gaps()
            one.cr.rollback()
            one.invalidate_all()
            self.assertEqual(sorted(run.accept_gaps()["good_run_ids"]), [first, later.id])

    def _assert_one_fire(self):
        with self._environment() as env:
            job = self._job(env)
            self.assertEqual(job.run_ids.mapped("status"), ["queued"])
            self.assertFalse(job.planning_error)
            self.assertGreater(job.next_run_at, fields.Datetime.now())

    def test_a_kill_before_the_commit_leaves_the_job_due(self):
        now = fields.Datetime.now()
        with self._environment() as env:
            env["backup.dispatcher"]._plan_in_turn(self._job(env), now)
            env.flush_all()
            env.cr.rollback()
        with self._environment() as env:
            self.assertFalse(self._job(env).run_ids)
            self.assertLessEqual(self._job(env).next_run_at, now)

    def _lose_a_run(self):
        """Return the id of a run whose lease has run out."""
        self._queue(1)
        task = Executor(self.registry, "one").claim()
        with self._environment() as env:
            env.cr.execute(
                "UPDATE backup_task SET lease_until = '2001-01-01' WHERE id = %s", (task.id,)
            )
        return self._run_of(task)

    def _assert_lost_once(self, run_id):
        with self._environment() as env:
            run = env["backup.run"].browse(run_id)
            self.assertEqual((run.status, run.attempt), ("queued", 1))
            self.assertEqual(run.log.count("worker_lost"), 1)

    def test_a_run_is_reaped_by_one_of_two(self):
        run_id = self._lose_a_run()
        with self._environment() as one:
            self.assertEqual(one["backup.task"]._reap(), 1)
            one.flush_all()
            with self._environment() as two:
                self.assertEqual(two["backup.task"]._reap(), 0)
        self._assert_lost_once(run_id)

    def test_a_dispatcher_goes_on_when_a_worker_has_reaped_meanwhile(self):
        run_id = self._lose_a_run()
        with self._environment() as two:
            two.cr.execute("SELECT 1 FROM backup_run LIMIT 1")  # its view begins here
            with self._environment() as one:
                self.assertEqual(one["backup.task"]._reap(), 1)
            with mute_logger("odoo.sql_db"):
                two["backup.dispatcher"]._reap()
            self.assertTrue(two["backup.dispatcher"]._due_jobs(fields.Datetime.now()))
        self._assert_lost_once(run_id)

    def _stored_in_two_destinations(self):
        """Return the id of a run with a copy in each of two destinations."""
        with self._environment() as env:
            places = env["backup.destination"].create(
                [{"name": f"Concurrent {n}", "path": f"/srv/concurrent{n}"} for n in (1, 2)]
            )
            self.place_ids = places.ids
            self._job(env).destination_ids = places
        (run_id,) = self._queue(1)
        executor = Executor(self.registry, "one")
        task = executor.claim(run_id=run_id)
        with self._environment() as env:
            copies = env["backup.run"].browse(run_id).copy_ids
            at_rest = {"stored": True, "size": 1, "sha256": "ab" * 32, "encryption": ""}
            results = [{"id": copy.id, **at_rest} for copy in copies]
        archive = {"size": 1, "sha256": "ab" * 32, "report": {"level": 2}, "copies": results}
        self.assertTrue(executor.record(task, {"event": "done", **archive}))
        return run_id

    def _remove(self):
        result = super()._remove()
        with self._environment() as env:
            env["backup.destination"].browse(getattr(self, "place_ids", ())).unlink()
        return result

    def test_what_is_requested_while_a_task_ends_is_not_forgotten(self):
        run_id = self._stored_in_two_destinations()
        with self._environment() as env:
            copy = env["backup.run"].browse(run_id).copy_ids[0]
            copy._request_deletion("One", by_retention=False)
        executor = Executor(self.registry, "one")
        task = executor.claim(run_id=run_id)
        self.assertEqual(task.kind, "delete")
        deleted = {"event": "done", "copies": [{"id": copy.id, "ok": True}]}
        for _try in range(2):
            # As Odoo repeats what collides.
            try:
                with self._environment() as one, mute_logger("odoo.sql_db"):
                    one.cr.execute("SELECT 1 FROM backup_run LIMIT 1")  # its view begins here
                    if not _try:
                        executor.record(task, deleted)
                    other = one["backup.run"].browse(run_id).copy_ids - copy.with_env(one)
                    other._request_deletion("Two", by_retention=False)
                    one.flush_all()
            except psycopg2.errors.SerializationFailure:
                continue
            break
        with self._environment() as env:
            run = env["backup.run"].browse(run_id)
            self.assertEqual(run.task_ids.mapped("kind"), ["delete"])


class Transaction:
    """A transaction of its own, committed on leaving."""

    def __init__(self, registry):
        self._registry = registry

    def __enter__(self):
        self._cursor = self._registry.cursor()
        self._cursor.__enter__()
        return api.Environment(self._cursor, SUPERUSER_ID, {})

    def __exit__(self, *error):
        self._cursor.__exit__(*error)
