import datetime
from unittest.mock import patch

import psycopg2
from freezegun import freeze_time

from odoo import fields
from odoo.tools import mute_logger

from .common import RUN_LOGGER, BackupCase, ago

NOON = fields.Datetime.to_datetime("2026-03-10 12:00:00")


def at(text):
    return fields.Datetime.to_datetime(text)


class Complete(BackupCase):
    def setUp(self):
        super().setUp()
        self.enterContext(mute_logger(RUN_LOGGER))

    def test_missed_fires_come_together_in_one_late_run_where_the_job_catches_up(self):
        job = self._make_due(self._make_job(), at("2026-03-05 02:00:00"))
        self._plan(NOON)
        self.assertEqual(self._fires(job, "queued"), [at("2026-03-10 02:00:00")])
        self.assertEqual(len(job.run_ids), 2, "One for each database")
        self.assertIn("5 fires missed", job.run_ids[0].log)
        self.assertEqual(job.next_run_at, at("2026-03-11 02:00:00"))

    def test_missed_fires_leave_one_skipped_run_that_counts_them_where_it_does_not(self):
        job = self._make_due(self._make_job(catch_up=False), at("2026-03-05 02:00:00"))
        self._plan(NOON)
        self.assertEqual(self._fires(job, "skipped"), [at("2026-03-10 02:00:00")])
        self.assertRecordValues(job.run_ids, [{"error_code": "missed", "database_name": ""}])
        self.assertIn("6 fires were missed", job.run_ids.error)
        self.assertEqual(job.next_run_at, at("2026-03-11 02:00:00"))

    def test_the_fire_that_is_on_time_is_made_beside_those_that_were_missed(self):
        job = self._make_due(self._make_job(catch_up=False), at("2026-03-07 02:00:00"))
        self._plan(at("2026-03-10 02:01:00"))
        self.assertEqual(self._fires(job, "queued"), [at("2026-03-10 02:00:00")])
        self.assertEqual(self._fires(job, "skipped"), [at("2026-03-09 02:00:00")])
        self.assertIn("3 fires were missed", job.run_ids.filtered("error").error)

    def test_a_fire_counts_as_on_time_for_five_minutes(self):
        for minute, status in ((0, "queued"), (5, "queued"), (6, "skipped")):
            with self.subTest(minute):
                job = self._make_due(self._make_job(catch_up=False), at("2026-03-10 02:00:00"))
                self._plan(at(f"2026-03-10 02:{minute:02}:00"))
                self.assertEqual(set(job.run_ids.mapped("status")), {status})

    def test_a_long_time_down_is_told_as_more_than_can_be_counted(self):
        for catch_up in (True, False):
            with self.subTest(catch_up=catch_up):
                job = self._make_job(cron_expression="0 * * * *", catch_up=catch_up)
                self._make_due(job, at("2024-01-01 00:00:00"))
                self._plan(at("2026-03-10 12:30:00"))
                self.assertEqual(set(job.run_ids.mapped("scheduled_at")), {NOON})
                told = job.run_ids[0].log if catch_up else job.run_ids.error
                self.assertIn("1000 or more fires", told)
                self.assertEqual(job.next_run_at, at("2026-03-10 13:00:00"))

    def test_a_long_time_down_does_not_make_a_job_run_that_does_not_catch_up(self):
        job = self._make_job(cron_expression="* 1 * * *", catch_up=False)
        self._make_due(job, at("2024-01-01 01:00:00"))
        self._plan(NOON)
        self.assertRecordValues(
            job.run_ids, [{"status": "skipped", "scheduled_at": at("2026-03-10 01:59:00")}]
        )

    def test_several_jobs_due_at_once_are_all_planned(self):
        jobs = self.Job
        for number in range(10):
            jobs += self._make_due(self._make_job(name=f"Job {number}"), NOON)
        self.assertEqual(self._plan(NOON), 10)
        self.assertEqual([len(job.run_ids) for job in jobs], [2] * 10)

    def test_a_server_without_known_databases_gets_a_run_that_waits_for_discovery(self):
        job = self._make_due(self._make_job(instance_id=self._make_instance("New").id), NOON)
        self._plan(NOON)
        self.assertRecordValues(job.run_ids, [{"database_name": "", "status": "queued"}])

    def test_a_job_of_selected_databases_makes_runs_of_these_also_when_one_is_gone(self):
        job = self._make_job(
            database_scope="selected", database_ids=self.instance.database_ids.ids
        )
        self._gone("stock")
        self._make_due(job, NOON)
        self._plan(NOON)
        self.assertEqual(sorted(job.run_ids.mapped("database_name")), ["sales", "stock"])

    def test_a_job_without_destination_still_leaves_its_runs(self):
        job = self._make_due(self._make_job(), NOON)
        self._sql("DELETE FROM backup_destination_backup_job_rel WHERE backup_job_id = %s", job.id)
        self._plan(NOON)
        self.assertEqual(len(job.run_ids), 2)

    def test_every_minute_of_an_hour_fires_once(self):
        with freeze_time(NOON):
            job = self._make_job(cron_expression="* * * * *")
        for minute in range(1, 61):
            self._plan(NOON + datetime.timedelta(minutes=minute, seconds=20))
        moments = job.run_ids.filtered(lambda run: run.database_name == "sales").mapped(
            "scheduled_at"
        )
        self.assertEqual(
            sorted(moments), [NOON + datetime.timedelta(minutes=minute) for minute in range(1, 61)]
        )


class Overlap(BackupCase):
    def setUp(self):
        super().setUp()
        self.enterContext(mute_logger(RUN_LOGGER))

    def _fire_over_a_running_run(self, policy):
        """Let a job be due while its run of ``sales`` is not done; return the new runs."""
        job = self._make_job(overlap_policy=policy)
        before = self._running(job=job)
        self._make_due(job, ago(minutes=1))
        self._plan(fields.Datetime.now())
        runs = (job.run_ids - before).sorted("database_name")
        self.assertEqual(runs.mapped("database_name"), ["sales", "stock"])
        return before, runs

    def test_allow_runs_in_parallel(self):
        _before, runs = self._fire_over_a_running_run("allow")
        self.assertEqual(self._claim() + self._claim(), runs)

    def test_skip_leaves_a_skipped_run_for_the_database_that_is_not_done(self):
        before, runs = self._fire_over_a_running_run("skip")
        self.assertRecordValues(
            runs,
            [
                {"status": "skipped", "error_code": "overlap"},
                {"status": "queued", "error_code": False},
            ],
        )
        self.assertEqual(before.status, "running")

    def test_queue_waits_for_the_one_before(self):
        before, (sales, stock) = self._fire_over_a_running_run("queue")
        self.assertEqual(self._claim(), stock)
        self.assertFalse(self._claim())
        self._report(before, self._done(before))
        self.assertEqual(self._claim(), sales)

    def test_a_skipping_job_runs_again_once_the_one_before_is_done(self):
        job = self._make_job(overlap_policy="skip")
        self._stored(job=job)
        self._make_due(job, ago(minutes=1))
        self._plan(fields.Datetime.now())
        self.assertNotIn("skipped", job.run_ids.mapped("status"))

    def test_a_run_of_another_job_is_no_overlap(self):
        self._running()
        job = self._make_due(self._make_job(name="Other", overlap_policy="skip"), ago(minutes=1))
        self._plan(fields.Datetime.now())
        self.assertEqual(set(job.run_ids.mapped("status")), {"queued"})


class Changes(BackupCase):
    def test_a_fire_that_is_due_when_its_job_is_changed_leaves_its_runs(self):
        changes = (
            lambda job: job.write({"cron_expression": "0 5 * * *"}),
            lambda job: job.write({"enabled": False}),
            lambda job: job.instance_id.write({"active": False}),
            lambda job: self.env["res.config.settings"]
            .create({"backup_timezone": "Asia/Tokyo"})
            .execute(),
        )
        for number, change in enumerate(changes):
            with self.subTest(number), self.cr.savepoint() as savepoint:
                due = ago(seconds=30)
                job = self._make_due(self._make_job(), due)
                change(job)
                self.assertEqual(self._fires(job, "queued"), [due])
                self.assertEqual(len(job.run_ids), 2, "One for each database")
                savepoint.rollback()
                self.env.invalidate_all(flush=False)

    def test_a_collision_while_a_due_fire_is_planned_undoes_nothing_of_the_request(self):
        """A rollback here would take what the request did before, and commit what it does after."""
        job = self._make_due(self._make_job(), ago(seconds=30))
        collision = psycopg2.errors.SerializationFailure()
        with (
            patch.object(type(job), "_plan_fire", side_effect=collision),
            self.assertRaises(psycopg2.errors.SerializationFailure),
        ):
            job.write({"enabled": False})

    def test_a_job_planned_while_the_clock_was_ahead_is_planned_anew(self):
        with freeze_time("2031-05-05 12:00:00"):
            job = self._make_job()
        self.assertEqual(job.next_run_at, at("2031-05-06 02:00:00"))
        with freeze_time(NOON):
            self._dispatch()
        self.assertEqual(job.next_run_at, at("2026-03-11 02:00:00"))
        self.assertFalse(job.run_ids)
