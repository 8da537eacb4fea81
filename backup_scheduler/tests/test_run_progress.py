import datetime

from freezegun import freeze_time

from odoo import fields

from .common import BackupCase

START = fields.Datetime.to_datetime("2026-03-01 02:00:00")


class TestRunProgress(BackupCase):
    def setUp(self):
        super().setUp()
        frozen = freeze_time(START)
        self.clock = frozen.start()
        self.addCleanup(frozen.stop)

    def _pass(self, seconds):
        self.clock.tick(datetime.timedelta(seconds=seconds))
        self.env.invalidate_all()

    def _enter(self, run, stage):
        self._report(run, {"event": "stage", "stage": stage})

    def _progress(self, run, done, total=0):
        stage = self._held(run).stage
        self._report(run, {"event": "progress", "stage": stage, "done": done, "total": total})

    def _good_before(self, **seconds):
        """Have a good run of the same database that took so long in its stages."""
        run = self._running()
        for stage, took in seconds.items():
            self._enter(run, stage)
            self._pass(took)
        self._report(run, self._done(run))
        return run

    def test_the_speed_is_that_of_the_bytes_and_not_of_the_wait_for_them(self):
        run = self._running()
        self._enter(run, "download")
        self._pass(60)
        self.assertEqual(run.speed, 0, "The server makes its archive")
        self._progress(run, 0)
        self._progress(run, 1_000)
        self._pass(10)
        self._progress(run, 50_000)
        self.assertEqual(run.speed, 5_000)

    def test_there_is_no_speed_once_nothing_comes_any_more(self):
        run = self._running()
        self._enter(run, "download")
        self._progress(run, 1_000)
        self._pass(10)
        self._enter(run, "verify")
        self.assertEqual(run.speed, 0)
        self._report(run, self._done(run))
        self.assertEqual((run.speed, run.time_left), (0, 0))

    def test_the_time_left_follows_from_the_bytes_that_are_expected(self):
        run = self._running()
        self._enter(run, "download")
        self._progress(run, 1_000, 100_000)
        self._pass(10)
        self._progress(run, 25_000, 100_000)
        self.assertEqual(run.time_left, 30)

    def test_the_stages_to_come_are_counted_as_they_took_the_last_time(self):
        self._good_before(connect=1, download=20, verify=7, store=4)
        run = self._running()
        self._enter(run, "download")
        self._progress(run, 1_000, 100_000)
        self._pass(10)
        self._progress(run, 50_000, 100_000)
        self.assertEqual(run.time_left, 10 + 7 + 4)

    def test_without_progress_it_is_what_the_last_good_run_took(self):
        self._good_before(connect=2, download=38)
        run = self._running()
        self._enter(run, "connect")
        for waited, left in ((15, 25), (20, 5), (30, 0)):
            self._pass(waited)
            self.assertEqual(run.time_left, left)

    def test_nothing_is_said_about_the_first_run_of_a_database(self):
        run = self._running()
        self._enter(run, "download")
        self._progress(run, 50_000)
        self._pass(10)
        self.assertEqual(run.time_left, 0)

    def test_the_time_left_of_many_runs_takes_as_many_queries_as_that_of_one(self):
        self._good_before(download=10)
        job = self._make_job()
        names = [f"db{number}" for number in range(12)]
        runs = self.Run._create_for(job, names, fields.Datetime.now(), "manual")
        runs.status = "running"
        runs.started_at = fields.Datetime.now()
        counts = []
        for some in (runs[:1], runs):
            self.env.flush_all()
            self.env.invalidate_all()
            some.fetch(["status", "started_at"])
            some.mapped("progress")
            before = self.env.cr.sql_log_count
            some.mapped("time_left")
            counts.append(self.env.cr.sql_log_count - before)
        self.assertEqual(counts[0], counts[1])

    def test_each_stage_leaves_how_long_it_took(self):
        run = self._good_before(connect=2, download=30, verify=5)
        self.assertEqual(run.stage_seconds, [["connect", 2], ["download", 30], ["verify", 5]])

    def test_stages_that_alternate_are_added_up(self):
        run = self._good_before(download=3)
        run = self._running()
        for stage in ("store", "publish", "store", "publish"):
            self._enter(run, stage)
            self._pass(2)
        self._report(run, self._done(run))
        self.assertEqual(run.stage_seconds, [["store", 4], ["publish", 4]])

    def test_the_last_stage_is_where_a_failed_attempt_ended_and_a_new_one_begins_anew(self):
        run = self._running()
        self._enter(run, "connect")
        self._pass(1)
        self._enter(run, "download")
        self._pass(9)
        failure = {"error_code": "truncated", "error": "Cut.", "retryable": False}
        self._report(run, {"event": "failed", **failure})
        self.assertEqual(run.status, "failed")
        self.assertEqual(run.stage_seconds, [["connect", 1], ["download", 9]])
        run.retry()
        self._claim()
        self.assertFalse(run.stage_seconds)

    def test_reading_an_archive_again_leaves_the_times_of_the_run_alone(self):
        run = self._good_before(download=30)
        run.verify()
        self.env.flush_all()
        run.task_ids.due_at = "2000-01-01"
        self.assertEqual(self._take("tester"), run)
        self._report(run, {"event": "progress", "stage": "read", "done": 20, "total": 100})
        self._pass(10)
        self.assertEqual(run.stage_seconds, [["download", 30]])
        self.assertEqual(run.time_left, 40)
