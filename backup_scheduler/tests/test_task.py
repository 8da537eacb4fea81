"""One table of work: what is general about tasks of whatever kind."""

import psycopg2

from odoo.exceptions import AccessError
from odoo.tools import mute_logger

from ..models.task.kinds import ASIDE, BACKUP, KINDS, SPARE
from .common import BackupCase, ago

DAY = ago(days=-1)


class TestPlanning(BackupCase):
    def test_a_record_has_one_task_of_a_kind_which_is_moved(self):
        run = self._stored()
        first = self.Task._plan("verify", DAY, run, level="2")
        second = self.Task._plan("verify", ago(hours=1), run, level="3")
        self.assertEqual(first, second)
        self.assertRecordValues(first, [{"level": "3", "due_at": ago(hours=1)}])

    def test_a_task_knows_the_run_and_the_company_of_what_it_is_about(self):
        restore = self.env["backup.restore"].browse(self._stored().restore("back"))
        task = restore.task_ids
        self.assertRecordValues(
            task,
            [{"kind": "restore", "run_id": restore.run_id.id, "instance_id": self.instance.id,
              "company_id": self.instance.company_id.id, "requested_by_id": self.env.uid}],
        )  # fmt: skip

    def test_a_task_that_somebody_else_has_just_planned_is_a_collision(self):
        run = self._stored()
        self.Task._plan("verify", DAY, run)
        with self.assertRaises(psycopg2.errors.SerializationFailure):
            self.Task._insert("verify", run, DAY)

    def test_an_archive_has_one_task_at_work_of_whatever_kind(self):
        run = self._stored()
        tasks = [self.Task._plan(kind, ago(hours=1), run) for kind in ("verify", "delete")]
        self.assertEqual(self.Task._claim("one"), tasks[0])
        self.assertFalse(self.Task._claim("two"))
        with (
            self.assertRaises(psycopg2.errors.UniqueViolation),
            mute_logger("odoo.sql_db"),
            self.env.cr.savepoint(),
        ):
            tasks[1].lease_token = "by force"
            self.env.flush_all()

    def test_two_archives_have_tasks_at_work_beside_each_other(self):
        for name in ("sales", "stock"):
            self.Task._plan("verify", ago(hours=1), self._stored(name))
        self.assertTrue(self.Task._claim("one"))
        self.assertTrue(self.Task._claim("two"))

    def test_tasks_go_with_their_run(self):
        run = self._stored()
        task = self.Task._plan("verify", DAY, run)
        run.unlink()
        self.assertFalse(task.exists())


class TestOrder(BackupCase):
    def test_what_somebody_waits_for_comes_first(self):
        archive = self._stored()
        archive._request_verification(archive.copy_ids)
        other = self._stored("stock")
        other.verify()
        self._make_run("scheduled", trigger="schedule", scheduled_at=ago(hours=3))
        self._make_run("manual", scheduled_at=ago(hours=1))
        self._stored("tenant").restore("back")
        self.Task._plan("notify", ago(minutes=1))
        self.env["backup.restore"]._request_sweep()
        claimed = [self.Task._claim("tester") for _task in range(7)]
        self.assertEqual(
            [(task.kind, task.run_id.database_name) for task in claimed],
            [
                ("notify", False), ("restore", "tenant"), ("backup", "manual"),
                ("backup", "scheduled"), ("verify", "stock"), ("verify", "sales"),
                ("sweep", False),
            ],
        )  # fmt: skip

    def test_only_kinds_that_have_a_free_place_are_taken(self):
        self._stored().verify()
        self.Task._plan("notify", ago(minutes=1))
        self.assertFalse(self.Task._claim("tester", (BACKUP,)))
        self.assertFalse(self.Task._claim("tester", ()))
        self.assertEqual(self.Task._claim("tester", (ASIDE,)).kind, "notify")
        self.assertEqual(self.Task._claim("tester", (SPARE,)).kind, "verify")

    def test_what_a_killed_process_leaves_on_its_machine_is_swept(self):
        job, places = self._make_job(max_attempts=1), self.destination + self._make_destination("B")
        both = self._make_job(destination_ids=[(6, 0, places.ids)])
        running = self._make_run("backup", job)
        verified, restored = self._stored("verify"), self._stored("restore")
        verified.verify(2)
        restored.restore("back")
        missed = self._running("replicate", both)
        self._report(missed, self._done(missed, failed=missed.copy_ids[0]))
        missed.copy_ids.filtered(lambda copy: copy.status == "failed").retry()
        for run in (running, verified, restored, missed):
            with self.subTest(run.database_name):
                self.assertFalse(self.Task._of("sweep"))
                task = run.task_ids or run.restore_ids.task_ids
                self._take(task_id=task.id)
                self.assertEqual(task.kind, run.database_name)
                self._lose(run)
                self.assertTrue(self.Task._of("sweep"))
                self.Task._of("sweep").unlink()

    def test_each_kind_has_what_an_executor_calls(self):
        for name, kind in KINDS.items():
            model = type(self.env[kind.model])
            for verb in ("order", "record"):
                with self.subTest(name, verb=verb):
                    self.assertTrue(callable(getattr(model, f"_{verb}_{name}", None)))
            self.assertTrue(callable(getattr(model, "_plan_tasks", None)))

    def test_every_order_ends_some_time(self):
        run = self._stored()
        run.verify()
        run.restore("back")
        for kind in ("restore", "verify"):
            task = self.Task._claim("tester")
            self.assertEqual(task.kind, kind)
            self.assertGreater(task._engine_order()["time_limit"], 0)
            task._record({"event": "lost", "exit_code": 1, "tail": ""})


class TestCancelling(BackupCase):
    def test_a_task_at_work_is_asked_to_stop(self):
        run = self._running()
        run.task_ids.cancel()
        self.assertTrue(run.cancel_requested)

    def test_what_was_requested_and_waits_is_withdrawn(self):
        run = self._stored()
        run.verify()
        run.delete_archives("sales")
        restore = self.env["backup.restore"].browse(run.restore("back"))
        waiting = self._make_run("stock")
        (run.task_ids + waiting.task_ids).cancel()
        self.assertFalse(run.task_ids)
        self.assertFalse(run.copy_ids.reading_requested)
        self.assertFalse(run.copy_ids.deletion_requested_at)
        self.assertEqual((restore.status, waiting.status), ("cancelled", "cancelled"))

    def test_operators_cancel_but_no_restores(self):
        run = self._stored()
        run.verify()
        self.env["backup.restore"].browse(run.restore("back"))
        tasks = {task.kind: task for task in run.task_ids}
        with self.assertRaises(AccessError):
            tasks["verify"].with_user(self._user("user")).cancel()
        operator = self._user("operator")
        with self.assertRaises(AccessError):
            tasks["restore"].with_user(operator).cancel()
        tasks["verify"].with_user(operator).cancel()
        self.assertFalse(tasks["verify"].exists())

    def test_operators_cancel_no_restore_by_its_run(self):
        run = self._stored()
        restore = self.env["backup.restore"].browse(run.restore("back"))
        self._take(task_id=restore.task_ids.id)
        with self.assertRaises(AccessError):
            run.with_user(self._user("operator")).cancel()
        self.assertFalse(restore.task_ids.cancel_requested)
        run.with_user(self._user("manager")).cancel()
        self.assertTrue(restore.task_ids.cancel_requested)

    def test_a_task_leads_to_what_it_is_about(self):
        run = self._stored()
        run.verify()
        self.assertEqual(run.task_ids.action_open()["res_id"], run.id)


class TestNoMethodIsOverriddenByASibling(BackupCase):
    def test_no_method_of_a_model_is_defined_in_two_of_our_files(self):
        ours = "odoo.addons.backup_scheduler.models."
        for name in self.env.registry:
            if not name.startswith("backup.") and name != "res.config.settings":
                continue
            defined = {}
            for base in type(self.env[name]).__mro__:
                if not base.__module__.startswith(ours) or base._name not in (name, None):
                    continue
                for attribute, value in vars(base).items():
                    if callable(value) and not attribute.startswith("__"):
                        defined.setdefault(attribute, []).append(base.__module__)
            twice = {key: found for key, found in defined.items() if len(found) > 1}
            with self.subTest(name):
                self.assertEqual(twice, {})
