"""What the levels of verification, findings and odd sizes make of a run."""

from odoo.exceptions import UserError

from .common import AT_REST, SIZE, BackupCase, ago, archive, failure

LOST = {"event": "lost", "exit_code": -9, "tail": ""}

FINDING = {
    "error_code": "inconsistent",
    "error": "2 files of the filestore are missing.",
    "hint": "Look at the server.",
}


class TestLevels(BackupCase):
    def _asked(self, run, level=None, identity=None):
        run.verify(level, identity)
        self.assertEqual(self._take("reader"), run)
        return self._order(run)

    def _read(self, run, **result):
        copies = [{"id": copy.id, "ok": True, "report": None, **result} for copy in run.copy_ids]
        self._report(run, {"event": "done", "copies": copies})

    def test_what_is_asked_for_is_the_level_of_the_job_unless_told_else(self):
        run = self._stored()
        self.assertEqual(self._asked(run)["verify_level"], 3)
        self._read(run, report={"level": 3})
        self.assertEqual(self._asked(run, 2)["verify_level"], 2)

    def test_a_level_that_does_not_exist_is_refused(self):
        for level in (0.5, 5, "all"):
            with self.subTest(level), self.assertRaisesRegex(UserError, "Level: enter 1, 2, 3, 4"):
                self._stored().verify(level)

    def test_a_restore_drill_is_told_its_server_and_leaves_its_moment(self):
        run = self._stored()
        order = self._asked(run, 4)
        self.assertTrue(order["scratch_server"].keys() & {"host", "user"})
        self._read(run, report={"level": 4})
        self.assertRecordValues(run, [{"verification_level": "4"}])
        self.assertTrue(run.drilled_at)

    def test_what_a_killed_drill_left_is_cleaned_up(self):
        run = self._stored()
        self._asked(run, 4)
        self._expire_lease(run)
        self.Task._reap()
        sweep = self._take_task("sweep")
        order = sweep._engine_order()
        self.assertEqual((order["action"], len(order["servers"])), ("sweep", 1))
        sweep._record({"event": "done"})
        self.assertFalse(sweep.exists())

    def test_a_server_that_cannot_be_swept_is_asked_again(self):
        self.env["backup.restore"]._request_sweep()
        for event in (failure("database_server_failed"), LOST):
            sweep = self._take_task("sweep")
            sweep._record(event)
            self.assertGreater(sweep.due_at, ago(minutes=-10))
            sweep.due_at = ago(minutes=1)

    def test_what_is_in_use_is_swept_later(self):
        self.env["backup.restore"]._request_sweep()
        for minutes in (1, 2):
            sweep = self._take_task("sweep")
            sweep._record({"event": "done", "left": ["backup_drill_run_1_0123abcd"]})
            self.assertGreater(sweep.due_at, ago(seconds=10 - 60 * minutes))
            self.assertLess(sweep.due_at, ago(seconds=-10 - 60 * minutes))
            sweep.due_at = ago(minutes=1)
        self._take_task("sweep")._record({"event": "done", "left": []})
        self.assertFalse(sweep.exists())

    def test_what_is_to_be_swept_meanwhile_is_swept_after_it(self):
        self.env["backup.restore"]._request_sweep()
        sweep = self._take_task("sweep")
        sweep.begun_at = ago(minutes=1)
        self.env["backup.restore"]._request_sweep()
        sweep._record({"event": "done"})
        self.assertRecordValues(sweep, [{"is_at_work": False}])

    def test_the_drill_server_of_the_settings_is_used(self):
        settings = self.env["res.config.settings"].create(
            {
                "backup_scratch_host": "drill.example.com",
                "backup_scratch_port": "5433",
                "backup_scratch_user": "drill",
                "backup_scratch_password": "hidden",
            }
        )
        settings.execute()
        self.assertEqual(
            self._asked(self._stored(), 4)["scratch_server"],
            {"host": "drill.example.com", "port": "5433", "user": "drill", "password": "hidden"},
        )
        stored = self.env["ir.config_parameter"].get_param("backup_scheduler.scratch_password")
        self.assertNotIn("hidden", stored)
        self.assertFalse(settings.backup_scratch_password)

    def test_a_level_once_reached_stays_reached_for_the_same_bytes(self):
        run = self._stored()
        self._asked(run, 4)
        self._read(run, report={"level": 4})
        self._asked(run, 2)
        self._read(run, report={"level": 2})
        self.assertEqual(run.verification_level, "4")

    def test_sealed_bytes_that_are_the_stored_ones_leave_the_run_as_good_as_it_was(self):
        run = self._stored(level=3)
        run.copy_ids.encryption = "age"
        self._asked(run)
        self._read(run, read="sealed")
        self.assertRecordValues(run, [{"status": "verified", "verification_level": "3"}])
        self.assertIn("the stored bytes are the ones", run.log)
        self.assertTrue(run.copy_ids.read_at)

    def test_an_identity_is_told_once_and_forgotten(self):
        run = self._stored()
        run.copy_ids.encryption = "age"
        with self.assertRaisesRegex(UserError, "identity"):
            run.verify(4)
        order = self._asked(run, 4, "AGE-SECRET-KEY-1ABC")
        self.assertEqual(order["copies"][0]["identity"], "AGE-SECRET-KEY-1ABC")
        self.assertFalse(self._held(run).identity_sealed)
        self._held(run)._give_back()
        self.assertNotIn("SECRET", str(run.read()))

    def test_an_identity_is_sealed_while_it_waits(self):
        run = self._stored()
        run.verify(3, "AGE-SECRET-KEY-1ABC")
        self.assertNotIn("SECRET", run.task_ids.identity_sealed)

    def test_one_copy_can_be_read_alone(self):
        second = self._make_destination("Second")
        job = self._make_job(destination_ids=[(6, 0, (self.destination + second).ids)])
        run = self._stored(job=job)
        run.copy_ids[1].verify()
        self._take("reader")
        self.assertEqual([each["id"] for each in self._order(run)["copies"]], run.copy_ids[1].ids)


class TestFindings(BackupCase):
    def _with_finding(self):
        run = self._running()
        copies = [{"id": copy.id, "stored": True, **AT_REST} for copy in run.copy_ids]
        self._report(run,
            {"event": "done", **archive(2), "finding": FINDING, "copies": copies}
        )
        return run

    def test_an_archive_of_a_server_that_lacks_files_is_kept_and_not_called_good(self):
        run = self._with_finding()
        self.assertRecordValues(
            run,
            [
                {
                    "status": "verify_failed", "error_code": "inconsistent",
                    "error": FINDING["error"], "verification_level": "2", "stored_copies": 1,
                }
            ],
        )  # fmt: skip
        self.assertEqual(run.copy_ids.status, "stored")
        self.assertFalse(self.instance.database_ids[0].last_good_run_id)

    def test_it_displaces_no_good_one(self):
        job = self._make_job(retention_mode="keep_last_n", retention_value=1)
        good = self._stored(job=job)
        run = self._running(job=job)
        copies = [{"id": copy.id, "stored": True, **AT_REST} for copy in run.copy_ids]
        self._report(run, {"event": "done", **archive(2), "finding": FINDING, "copies": copies})
        self.assertFalse(good.copy_ids.deletion_requested_at)
        newer = self._stored(job=job)
        self.assertTrue(good.copy_ids.deletion_requested_at)
        self.assertFalse(newer.copy_ids.deletion_requested_at)
        self.assertTrue(run.copy_ids.deletion_requested_at, "As if it had been a good one")

    def test_a_finding_of_a_later_reading_makes_the_run_verify_failed(self):
        run = self._stored()
        run.verify()
        self._take("reader")
        result = {"id": run.copy_ids.id, "ok": True, "report": {"level": 2}, "finding": FINDING}
        self._report(run, {"event": "done", "copies": [result]})
        self.assertRecordValues(run, [{"status": "verify_failed", "error": FINDING["error"]}])
        self.assertEqual(run.copy_ids.status, "stored", "Its bytes are what was stored")

    def test_an_archive_that_does_not_restore_is_no_good_one(self):
        run = self._stored()
        run.verify(4)
        self._take("reader")
        failure = {"error_code": "restore_failed", "error": "relation exists", "hint": "Look."}
        result = {"id": run.copy_ids.id, "ok": True, "report": {"level": 3}, "finding": failure}
        self._report(run, {"event": "done", "copies": [result]})
        self.assertRecordValues(run, [{"status": "verify_failed", "error_code": "restore_failed"}])


class TestSmallArchives(BackupCase):
    def _of_size(self, size, **job):
        run = self._running(job=self.job)
        self._report(run, {**self._done(run), "size": size})
        return run

    def setUp(self):
        super().setUp()
        self.job = self._make_job()

    def test_an_archive_much_smaller_than_those_before_it_is_odd(self):
        for _number in range(7):
            self._of_size(SIZE)
        run = self._of_size(SIZE * 0.59)
        self.assertEqual(run.status, "verified", "It stays what it is")
        self.assertIn("much smaller than usual", run.warning)
        self.assertFalse(self._of_size(SIZE * 0.61).warning)

    def test_the_first_archive_has_nothing_to_be_compared_with(self):
        self.assertFalse(self._of_size(1).warning)

    def test_one_odd_archive_does_not_become_what_is_usual(self):
        for size in (SIZE, SIZE, SIZE, 1, SIZE):
            self._of_size(size)
        self.assertTrue(self._of_size(SIZE / 2).warning)

    def test_only_the_last_seven_count(self):
        for size in (SIZE * 100,) * 7 + (SIZE,) * 7:
            self._of_size(size)
        # Small ones end several in a second, and rows do not lie in the order of their making.
        runs = self.job.run_ids.sorted("id", reverse=True)
        for run in runs:
            run.finished_at = ago(days=1)
            run.flush_recordset()
        self.assertFalse(self._of_size(SIZE).warning)

    def test_a_dump_is_not_compared_with_a_zip(self):
        self._of_size(SIZE)
        self.job.archive_format = "dump"
        self.assertFalse(self._of_size(1).warning)

    def test_the_limit_is_a_setting(self):
        self.env["ir.config_parameter"].set_param("backup_scheduler.size_warning_percent", "0")
        self._of_size(SIZE)
        self.assertFalse(self._of_size(1).warning)


class TestRereading(BackupCase):
    def setUp(self):
        super().setUp()
        self.env["backup.destination"].search([]).write({"reread_interval": 0})
        self.destination.write({"reread_interval": 30, "reread_budget": 1})
        self.env["ir.config_parameter"].set_param("backup_scheduler.housekeeping_at", False)

    def _old(self, days, size=SIZE):
        run = self._stored()
        run.copy_ids.write({"checked_at": ago(days=days), "size": size})
        return run

    def _asked_for(self):
        return self.Run.search([("verification_requested_at", "!=", False)])

    def test_what_was_not_looked_at_for_long_is_read_again_the_oldest_first(self):
        middle, oldest, fresh = self._old(40, 6e8), self._old(50, 6e8), self._old(20)
        self._dispatch()
        self.assertEqual(self._asked_for(), oldest, "The budget of a day is 1 GB")
        self.assertFalse((middle | fresh).filtered("verification_requested_at"))

    def test_the_budget_counts_what_was_read_in_the_last_day(self):
        done = self._old(50, 9e8)
        done.copy_ids.write({"tried_at": ago(hours=3), "checked_at": ago(hours=3)})
        self._old(40, 2e8)
        self._dispatch()
        self.assertFalse(self._asked_for())
        done.copy_ids.tried_at = ago(hours=25)
        self.env["ir.config_parameter"].set_param("backup_scheduler.housekeeping_at", False)
        self._dispatch()
        self.assertTrue(self._asked_for())

    def test_an_archive_larger_than_the_budget_has_a_day_of_its_own(self):
        large = self._old(60, 5e9)
        self._old(50)
        self._dispatch()
        self.assertEqual(self._asked_for(), large)

    def test_nothing_is_read_by_itself_where_that_is_off(self):
        self.destination.reread_interval = 0
        self._old(400)
        self._dispatch()
        self.assertFalse(self._asked_for())

    def test_it_is_looked_for_once_an_hour(self):
        self._dispatch()
        self._old(50)
        self._dispatch()
        self.assertFalse(self._asked_for())

    def test_what_is_to_be_deleted_is_not_read(self):
        self._old(50).copy_ids._request_deletion("test")
        self._dispatch()
        self.assertFalse(self._asked_for())


class TestDrills(BackupCase):
    def setUp(self):
        super().setUp()
        self.job = self._make_job(drill_interval="7")
        self.env["backup.destination"].search([]).write({"reread_interval": 0})

    def _drills(self):
        self.env["ir.config_parameter"].set_param("backup_scheduler.housekeeping_at", False)
        self._dispatch()
        return self.Task.search([("kind", "=", "verify"), ("level", "=", "4")]).run_id

    def test_the_newest_archive_of_each_database_is_drilled(self):
        self._stored(job=self.job)
        newest = self._stored(job=self.job)
        newest.scheduled_at = ago(hours=1)
        other = self._stored("stock", job=self.job)
        self.assertEqual(self._drills(), newest | other)

    def test_a_drill_is_not_repeated_within_its_interval(self):
        run = self._stored(job=self.job)
        run.drilled_at = ago(days=6)
        self._stored(job=self.job)
        self.assertFalse(self._drills())
        run.drilled_at = ago(days=8)
        self.assertTrue(self._drills())

    def test_a_drill_that_came_to_nothing_is_asked_for_again_the_next_day(self):
        run = self._stored(job=self.job)
        self._drills()
        run.task_ids.unlink()
        self.assertFalse(self._drills())
        run.drill_requested_at = ago(hours=25)
        self.assertTrue(self._drills())

    def test_what_is_encrypted_cannot_be_drilled_by_itself(self):
        self._stored(job=self.job).copy_ids.encryption = "age"
        self.assertFalse(self._drills())

    def test_no_drill_where_none_is_wanted(self):
        self.job.drill_interval = "never"
        self._stored(job=self.job)
        self.assertFalse(self._drills())
