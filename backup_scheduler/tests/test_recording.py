from odoo.tools import mute_logger

from .common import DIGEST, RUN_LOGGER, SIZE, BackupCase, ago, archive, failure


def source(*databases, version="19.0"):
    return {"event": "source", "version": version, "databases": list(databases)}


def discovered(*databases):
    return {"event": "done", "version": "19.0", "databases": list(databases)}


class TestRecording(BackupCase):
    def test_a_stage_is_shown_and_logged(self):
        run = self._running()
        self._report(run, {"event": "stage", "stage": "verify"})
        self.assertRecordValues(run, [{"stage": "verify", "progress": 0}])
        self.assertIn("Stage: verify", run.log)

    def test_progress_is_a_percentage_that_reaches_100_only_at_the_end(self):
        run = self._running()
        for done, total, expected in ((0, 0, 0), (500, 1000, 50), (1500, 1000, 99), (7, 0, 0)):
            with self.subTest(done=done, total=total):
                counts = {"done": done, "total": total}
                self._report(run, {"event": "progress", "stage": "verify", **counts})
                self.assertEqual(run.progress, expected)

    def test_only_the_download_counts_as_received(self):
        run = self._running()
        for stage, done, received in (("download", 900, 900), ("verify", 10, 900)):
            self._report(run, {"event": "stage", "stage": stage})
            self._report(run, {"event": "progress", "stage": stage, "done": done, "total": 0})
            self.assertEqual(run.received, received)

    def test_the_archive_is_known_once_it_is_ready(self):
        run = self._running()
        self._report(run, {"event": "ready", **archive()})
        self.assertRecordValues(run, [{"size": SIZE, "sha256": DIGEST, "status": "running"}])

    def test_a_stored_archive_is_stored_in_each_copy(self):
        run = self._stored()
        self.assertRecordValues(run.copy_ids, [{"status": "stored", "size": SIZE}])
        self.assertEqual(run.status, "verified")

    def test_one_of_two_destinations_is_enough(self):
        job = self._make_job(
            destination_ids=[(6, 0, (self.destination + self._make_destination("Second")).ids)]
        )
        run = self._running(job=job)
        good, bad = run.copy_ids
        self._report(run, self._done(run, failed=bad))
        self.assertEqual(run.status, "verified")
        self.assertEqual(good.status, "stored")
        self.assertRecordValues(
            bad, [{"status": "failed", "error_code": "no_space", "error": "Disk full."}]
        )
        self.assertIn("Not stored in", run.log)
        self.assertFalse(self._abandoned())


class TestSource(BackupCase):
    def test_the_databases_of_the_instance_are_refreshed(self):
        run = self._running(job=self._make_job(database_scope="selected",
                                               database_ids=self.instance.database_ids.ids))
        for _answer in range(2):
            self._report(run, source("sales", "new", version="18.0"))
        present = {database.name: database.present for database in self.instance.database_ids}
        self.assertEqual(present, {"sales": True, "stock": False, "new": True})
        self.assertRecordValues(
            self.instance, [{"odoo_version": "18.0", "check_status": "ok", "check_error": False}]
        )
        self.assertEqual(run.odoo_version, "18.0")

    def test_a_database_that_comes_back_is_the_same_one(self):
        sales = self.instance.database_ids[0]
        self._gone("stock")
        self.assertFalse(sales.present)
        self.instance._record_server("19.0", ["sales", "stock"])
        self.assertTrue(sales.present)
        self.assertEqual(len(self.instance.database_ids), 2)

    def test_a_job_of_all_databases_gains_the_runs_of_new_ones_in_the_same_fire(self):
        run = self._running(trigger="schedule")
        for _time in range(2):
            self._report(run, source("sales", "stock", "new"))
        runs = run.job_id.run_ids
        self.assertEqual(sorted(runs.mapped("database_name")), ["new", "sales", "stock"])
        self.assertEqual(set(runs.mapped("scheduled_at")), {run.scheduled_at})

    def test_run_now_of_one_database_backs_up_no_other(self):
        job = self._make_job()
        sales, _stock = self.instance.database_ids
        run = self.Run.browse(sales.run_now())
        self.assertEqual(self._claim(), run)
        self._report(run, source("sales", "stock", "new"))
        self.assertEqual(job.run_ids, run)

    def test_run_now_of_the_job_gains_the_runs_of_new_databases(self):
        job = self._make_job()
        job.run_now()
        self._report(self._claim(), source("sales", "stock", "new"))
        self.assertEqual(sorted(job.run_ids.mapped("database_name")), ["new", "sales", "stock"])

    @mute_logger(RUN_LOGGER)
    def test_a_run_that_is_retried_adds_no_database_that_is_newer_than_its_fire(self):
        run = self._running(trigger="schedule", max_attempts=1)
        self._report(run, failure())
        run.retry()
        self.assertEqual(self._claim(), run)
        self._report(run, source("sales", "stock", "new"))
        self.assertEqual(run.job_id.run_ids, run)

    @mute_logger(RUN_LOGGER)
    def test_a_discovery_that_is_retried_adds_none_after_it(self):
        run = self._make_run("", trigger="schedule", scheduled_at=ago(days=365), max_attempts=1)
        self.assertEqual(self._claim(), run)
        self._report(run, failure())
        run.retry()
        self._report(self._claim(), discovered("sales"))
        self.assertEqual(self._claim(), run)
        self._report(run, source("sales", "new"))
        self.assertEqual(run.job_id.run_ids, run)

    def test_a_job_of_selected_databases_gains_none(self):
        job = self._make_job(
            database_scope="selected", database_ids=self.instance.database_ids[0].ids
        )
        run = self._running(job=job)
        self._report(run, source("sales", "stock", "new"))
        self.assertEqual(job.run_ids, run)

    def test_a_run_of_a_deleted_job_gains_none(self):
        run = self._running()
        run.job_id.unlink()
        self._report(run, source("sales", "stock", "new"))
        self.assertEqual(self.instance.run_ids, run)


class TestDiscovery(BackupCase):
    def _discovering(self, **values):
        """Return the run in progress of a job on a server whose databases are not known."""
        job = self._make_job(instance_id=self._make_instance("New").id, **values)
        run = self._make_run("", job, trigger="schedule", scheduled_at=ago(days=365))
        self.assertEqual(self._claim(), run)
        return run

    def test_a_run_without_database_is_ordered_to_discover(self):
        self.assertEqual(self._order(self._discovering())["action"], "discover")

    def test_it_becomes_one_run_for_each_database_that_is_found(self):
        run = self._discovering()
        self._report(run, discovered("b", "a", "c"))
        self.assertEqual(sorted(run.job_id.run_ids.mapped("database_name")), ["a", "b", "c"])
        self.assertEqual(set(run.job_id.run_ids.mapped("status")), {"queued"})
        self.assertRecordValues(run, [{"database_name": "a", "attempt": 0, }])
        self.assertEqual(set(run.job_id.run_ids.copy_ids.mapped("status")), {"pending"})

    def test_the_databases_are_known_afterwards(self):
        run = self._discovering()
        self._report(run, discovered("a", "b"))
        self.assertEqual(run.instance_id.database_ids.mapped("name"), ["a", "b"])

    @mute_logger(RUN_LOGGER)
    def test_a_server_without_database_ends_it_as_no_database(self):
        run = self._discovering()
        self._report(run, discovered())
        self.assertRecordValues(run, [{"status": "failed", "error_code": "no_database"}])
        self.assertFalse(self._abandoned(), "Nothing was written anywhere")

    @mute_logger(RUN_LOGGER)
    def test_it_is_skipped_where_each_database_has_its_run_already(self):
        run = self._discovering()
        self.Run._create_for(run.job_id, ["a", "b"], run.scheduled_at, "schedule")
        self._report(run, discovered("a", "b"))
        self.assertEqual(run.status, "skipped")
        self.assertEqual(len(run.job_id.run_ids), 3)

    def test_a_server_that_cannot_be_reached_is_asked_again_later(self):
        run = self._discovering()
        self._report(run, failure())
        self.assertRecordValues(run, [{"status": "queued", "attempt": 1, "database_name": ""}])

    @mute_logger(RUN_LOGGER)
    def test_a_missed_fire_that_is_retried_backs_up_the_selected_databases_only(self):
        job = self._make_job(
            database_scope="selected", database_ids=self.instance.database_ids[0].ids
        )
        job._record_missed(ago(days=365), 3, ago(days=367))
        job.run_ids.retry()
        run = self._claim()
        self._report(run, discovered("sales", "stock", "secret"))
        self.assertEqual(job.run_ids.mapped("database_name"), ["sales"])

    def test_a_run_of_a_deleted_job_is_not_taken_for_one_of_another_deleted_job(self):
        other = self._make_job(name="Other")
        run = self._discovering()
        self.Run._create_for(other, ["a"], run.scheduled_at, "schedule")
        (other + run.job_id).unlink()
        self._report(run, discovered("a"))
        self.assertRecordValues(run, [{"status": "queued", "database_name": "a"}])
