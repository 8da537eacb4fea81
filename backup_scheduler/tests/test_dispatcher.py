import contextlib
import logging
import time

import psycopg2
from freezegun import freeze_time

from odoo import fields
from odoo.tools import mute_logger

from ..models.dispatcher import backup_dispatcher as dispatcher_module
from ..models.dispatcher.backup_dispatcher import TOGETHER
from .common import RUN_LOGGER, BackupCase, ago, archive, failure

NOON = fields.Datetime.to_datetime("2026-03-10 12:00:00")
LOGGER = "odoo.addons.backup_scheduler"


class Idempotent(BackupCase):
    def test_a_fire_is_planned_once_however_often_the_dispatcher_runs(self):
        job = self._make_due(self._make_job(), NOON)
        for expected in (1, 0, 0):
            self.assertEqual(self._plan(NOON), expected)
        self.assertEqual(job.run_ids.mapped("database_name"), ["stock", "sales"])

    def test_the_next_fire_is_moved_with_the_runs(self):
        job = self._make_due(self._make_job(), NOON)
        self._plan(NOON)
        self.assertEqual(job.next_run_at, fields.Datetime.to_datetime("2026-03-11 02:00:00"))
        self.assertEqual(job.last_run_at, NOON)

    def test_a_job_that_was_moved_after_it_was_listed_is_left_alone(self):
        job = self._make_due(self._make_job(), NOON)
        job.next_run_at = fields.Datetime.to_datetime("2026-03-10 12:01:00")
        self.dispatcher._plan_job(job, NOON)
        self.assertFalse(job.run_ids)

    def test_a_job_that_was_paused_after_it_was_listed_is_left_alone(self):
        job = self._make_job(enabled=False)
        self.dispatcher._plan_job(job, NOON)
        self.assertFalse(job.run_ids)

    def test_a_job_that_was_deleted_after_it_was_listed_is_left_alone(self):
        job = self._make_due(self._make_job(), NOON)
        job.unlink()
        self.dispatcher._plan_job(job, NOON)
        self.assertFalse(self.Run.search([("job_name", "=", "Nightly")]))

    def test_a_fire_that_has_some_of_its_runs_gets_only_the_others(self):
        job = self._make_due(self._make_job(), NOON)
        self.Run._create_for(job, ["sales"], NOON, "schedule")
        self._plan(NOON)
        self.assertEqual(sorted(job.run_ids.mapped("database_name")), ["sales", "stock"])

    @mute_logger("odoo.sql_db")
    def test_the_database_itself_refuses_a_second_run_of_a_fire(self):
        run = self.Run._create_for(self._make_job(), ["sales"], NOON, "schedule")
        with self.assertRaises(psycopg2.errors.UniqueViolation):
            run.copy()

    def test_manual_runs_of_the_same_second_do_not_exclude_each_other(self):
        job = self._make_job()
        for _time in range(2):
            self.Run._create_for(job, ["sales"], NOON, "manual")
        self.assertEqual(len(job.run_ids), 2)


class Incremental(BackupCase):
    def _dispatch_as_cron(self, end_time):
        """Run as Odoo's cron does, which tells when the time is up; return what is left to do."""
        cron = self.env.ref("backup_scheduler.ir_cron_dispatch")
        progress = self.env["ir.cron.progress"].create({"cron_id": cron.id})
        context = {
            "ir_cron_progress_id": progress.id,
            "cron_id": cron.id,
            "cron_end_time": end_time,
        }
        with self.enter_registry_test_mode(), self.registry.cursor() as cr:
            dispatcher = self.dispatcher.with_env(self.env(cr=cr)).with_context(**context)
            dispatcher._cron_dispatch()
        return progress.remaining

    def test_planning_stops_when_the_time_is_up_and_goes_on_at_the_next_call(self):
        jobs = self.Job
        for number in range(3):
            jobs += self._make_due(self._make_job(name=f"Job {number}"), ago(minutes=1))
        for planned, remaining in ((1, 2), (2, 1), (3, 0)):
            self.assertEqual(self._dispatch_as_cron(time.monotonic() - 1), remaining)
            self.assertEqual(len(jobs.filtered("run_ids")), planned)

    def test_all_is_planned_in_one_call_while_there_is_time(self):
        for number in range(3):
            self._make_due(self._make_job(name=f"Job {number}"), ago(minutes=1))
        self.assertEqual(self._dispatch_as_cron(time.monotonic() + 60), 0)
        self.assertFalse(self.dispatcher._due_jobs(fields.Datetime.now()))

    def test_the_longest_due_job_comes_first(self):
        late = self._make_due(self._make_job(name="Late"), ago(minutes=1))
        later = self._make_due(self._make_job(name="Later"), ago(minutes=2))
        self.assertEqual(self.dispatcher._due_jobs(fields.Datetime.now()), later + late)

    def test_what_was_committed_before_a_kill_is_kept_and_the_rest_is_still_due(self):
        jobs = self.Job
        for number in range(TOGETHER + 2):
            jobs += self._make_due(self._make_job(name=f"Job {number}"), ago(hours=1))
        kept, lost = jobs[:TOGETHER], jobs[TOGETHER:]
        plan_fire = type(self.Job)._plan_fire

        def killed(job, now):
            if job == lost[-1]:
                raise KeyboardInterrupt
            return plan_fire(job, now)

        self.patch(type(self.Job), "_plan_fire", killed)
        self.patch(dispatcher_module, "TOGETHER_LIMIT", 60)
        # Not assertRaises, which undoes what was done inside.
        with contextlib.suppress(KeyboardInterrupt):
            self._plan(fields.Datetime.now())
        self.env.invalidate_all()
        self.assertEqual(kept.filtered("run_ids"), kept)
        self.assertFalse(lost.run_ids)
        self.assertEqual(self.dispatcher._due_jobs(fields.Datetime.now()), lost)

    def test_a_job_that_was_deleted_meanwhile_keeps_none_beside_it_from_being_planned(self):
        gone = self._make_due(self._make_job(name="Gone"), ago(hours=1))
        kept = self._make_due(self._make_job(name="Kept"), ago(hours=1))
        jobs = gone + kept
        self.env.flush_all()
        self._sql("DELETE FROM backup_job WHERE id = %s", gone.id)
        self.assertEqual(self.dispatcher._plan_together(jobs, fields.Datetime.now()), 2)
        self.assertTrue(kept.run_ids)

    def test_jobs_that_take_long_to_plan_are_committed_sooner(self):
        jobs = self.Job
        for number in range(3):
            jobs += self._make_due(self._make_job(name=f"Job {number}"), ago(hours=1))
        self.patch(dispatcher_module, "TOGETHER_LIMIT", -1)
        self.assertEqual(self.dispatcher._plan_together(jobs, fields.Datetime.now()), 1)

    def test_what_is_read_for_one_job_is_read_for_those_planned_with_it(self):
        def statements(count):
            for number in range(count):
                self._make_due(self._make_job(name=f"Job {number} of {count}"), ago(hours=1))
            self.env.flush_all()
            self.env.invalidate_all()
            now, before = fields.Datetime.now(), self.env.cr.sql_log_count
            self.dispatcher._plan_together(self.dispatcher._due_jobs(now), now)
            return self.env.cr.sql_log_count - before

        self.patch(dispatcher_module, "TOGETHER_LIMIT", 60)
        alone, together = statements(1), statements(11)
        self.assertLess(together, alone + 10 * (alone - 4), "Four at least are shared")


class Verbose(BackupCase):
    listens = True

    def _lines(self, logs, level):
        return [record for record in logs.records if record.levelno == level]

    def test_a_good_run_leaves_one_info_line_with_what_matters(self):
        run = self._running()
        with self.assertLogs(LOGGER, logging.INFO) as logs:
            self._report(run, self._done(run))
        self.assertEqual(len(logs.output), 1)
        self.assertEqual(logs.records[0].levelno, logging.INFO)
        for fact in ("verified", "Nightly", "Shop", "sales", str(run.scheduled_at), "5000 bytes"):
            self.assertIn(fact, logs.output[0])

    def test_a_failed_run_leaves_one_warning_with_its_cause(self):
        run = self._running()
        with self.assertLogs(LOGGER, logging.INFO) as logs:
            self._report(run, failure("wrong_master_password", retryable=False))
        self.assertEqual([record.levelno for record in logs.records], [logging.WARNING])
        self.assertIn("wrong_master_password: It did not work.", logs.output[0])

    def test_a_job_that_cannot_be_planned_leaves_one_warning_with_its_cause(self):
        job = self._make_due(self._make_job(), ago(minutes=1))
        self._sql("UPDATE backup_job SET cron_expression = '0 24 * * *' WHERE id = %s", job.id)
        with self.assertLogs(LOGGER, logging.INFO) as logs:
            self._plan(fields.Datetime.now())
        self.assertEqual([record.levelno for record in logs.records], [logging.WARNING])
        self.assertIn("hour: 24 is outside 0-23", logs.output[0])

    def test_a_lost_run_that_ends_leaves_one_warning(self):
        run = self._running(job=self._make_job(max_attempts=1))
        self._expire_lease(run)
        with self.assertLogs(LOGGER, logging.INFO) as logs:
            self._dispatch()
        self.assertEqual([record.levelno for record in logs.records], [logging.WARNING])
        self.assertIn("worker_lost", logs.output[0])

    def test_an_idle_minute_leaves_nothing(self):
        self._make_job()
        with self.assertNoLogs(LOGGER, logging.DEBUG):
            self._dispatch()

    def test_planning_what_is_due_leaves_nothing(self):
        self._make_due(self._make_job(), ago(minutes=1))
        with self.assertNoLogs(LOGGER, logging.INFO):
            self._dispatch()

    def test_no_line_holds_a_secret(self):
        run = self._running()
        with self.assertLogs(LOGGER, logging.DEBUG) as logs:
            self._report(run, failure(retryable=False))
        self.assertNotIn("correct horse", "".join(logs.output))


class Testable(BackupCase):
    def test_time_is_injected(self):
        job = self._make_due(self._make_job(), NOON)
        with freeze_time(NOON):
            self._dispatch()
        self.assertEqual(len(job.run_ids), 2)

    def test_the_worker_is_started_only_where_there_is_work(self):
        self._dispatch()
        self.launched.assert_not_called()
        self._make_run()
        self._dispatch()
        self.launched.assert_called_once_with(self.env.cr.dbname)

    def test_each_kind_of_work_starts_a_worker_and_nothing_else_does(self):
        run = self._stored()
        self.assertFalse(self.Task._places_due())
        later, due = ago(minutes=-5), ago(minutes=5)
        cases = (
            ("verify", {"due_at": due}, True),
            ("verify", {"due_at": later}, False),
            ("verify", {"due_at": later, "lease_token": "x"}, True),
            ("delete", {"due_at": due}, True),
        )
        for kind, values, expected in cases:
            with self.subTest(kind, **values):
                task = self.Task._plan(kind, later, run)
                task.write(values)
                self.assertEqual(bool(self.Task._places_due()), expected)
                task.unlink()

    def test_remains_of_a_lost_attempt_are_work(self):
        run = self._running(job=self._make_job(max_attempts=1))
        with mute_logger(RUN_LOGGER):
            self._report(run, {"event": "lost", "exit_code": -9, "tail": ""})
        self.assertTrue(self.Task._places_due())

    def test_nothing_is_handed_over_before_it_is_committed(self):
        self._make_due(self._make_job(), ago(minutes=1))
        order = []
        self.launched.side_effect = lambda dbname: order.append("launch")
        commit = type(self.env["ir.cron"])._commit_progress

        def committed(cron, *arguments, **values):
            order.append("commit")
            return commit(cron, *arguments, **values)

        self.patch(type(self.env["ir.cron"]), "_commit_progress", committed)
        self._dispatch()
        self.assertEqual(order.count("launch"), 1)
        self.assertEqual(order[order.index("launch") - 1], "commit")

    def test_a_fire_ends_as_a_stored_archive(self):
        job = self._make_due(self._make_job(), ago(minutes=1))
        self._dispatch()
        for _run in job.run_ids:
            run = self._claim()
            self._report(run, self._done(run))
        self.assertEqual(set(job.run_ids.mapped("status")), {"verified"})
        self.assertEqual(set(job.run_ids.mapped("sha256")), {archive()["sha256"]})
