import importlib.util
from pathlib import Path

from odoo.exceptions import ValidationError
from odoo.tools import mute_logger

from .common import BackupCase, ago

MIXIN = "odoo.addons.backup_scheduler.models.job.backup_job_retention"
LAST_TWO = {"retention_mode": "keep_last_n", "retention_value": 2}


class RetentionCase(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # What is stored by hand here is not what applies the retention.
        cls.job = cls._make_job(retention_mode="keep_all")

    def _archived(self, days, database="sales", job=None, **values):
        """Return a run that stored its archive so many days ago."""
        moment = ago(days=days)
        run = self._make_run(database, job or self.job, scheduled_at=moment)
        run.copy_ids.write({"status": "stored", "path": f"archive-{run.id}", "size": 1000})
        run.write({"status": "verified", "started_at": moment, "finished_at": moment, **values})
        return run

    def _nights(self, count, **values):
        """Return the runs of the last nights, oldest first."""
        return self.Run.concat(*(self._archived(days, **values) for days in range(count, 0, -1)))

    def _to_go(self, runs):
        return runs.filtered(lambda run: any(run.copy_ids.mapped("deletion_requested_at")))


class TestRetentionPolicy(RetentionCase):
    def test_new_jobs_begin_with_the_policy_of_the_settings(self):
        job = self._make_job()
        self.assertEqual((job.retention_mode, job.retention_value), ("keep_last_n", 30))
        parameters = self.env["ir.config_parameter"]
        parameters.set_param("backup_scheduler.retention_mode", "older_than_days")
        parameters.set_param("backup_scheduler.retention_value", "90")
        job = self._make_job()
        self.assertEqual((job.retention_mode, job.retention_value), ("older_than_days", 90))

    def test_settings_that_make_no_sense_are_those_of_the_beginning(self):
        parameters = self.env["ir.config_parameter"]
        parameters.set_param("backup_scheduler.retention_mode", "burn")
        for value in ("many", "0", "-3"):
            parameters.set_param("backup_scheduler.retention_value", value)
            job = self._make_job()
            self.assertEqual((job.retention_mode, job.retention_value), ("keep_last_n", 30))

    def test_what_is_wrong_is_told_with_its_field_and_what_would_be_right(self):
        periods = dict.fromkeys(
            [f"retention_{name}" for name in ("hourly", "daily", "weekly", "monthly", "yearly")], 0
        )
        cases = (
            ({"retention_mode": "keep_last_n", "retention_value": 0},
             "Keep: enter 1 or more archives .retention_value is 0."),
            ({"retention_mode": "older_than_days", "retention_value": -1},
             "Older Than: enter 1 to 36500 days"),
            ({"retention_floor": 0}, "Never Fewer Than: enter 1 or more archives"),
            ({"retention_mode": "gfs", **periods}, "Days: enter 1 or more for at least one"),
            ({"retention_mode": "gfs", "retention_weekly": -1}, "Weeks: enter 0 or more"),
        )  # fmt: skip
        for values, complaint in cases:
            with (
                self.subTest(values),
                self.assertRaisesRegex(ValidationError, complaint),
                self.cr.savepoint(),
            ):
                self.job.write(values)

    def test_a_change_of_the_policy_is_told_in_the_chatter(self):
        self.cr.flush()
        self.job.write(LAST_TWO)
        self.cr.flush()
        tracked = self.job.message_ids.tracking_value_ids.field_id.mapped("name")
        self.assertLessEqual(LAST_TWO.keys(), set(tracked))

    def test_jobs_that_were_there_before_the_update_keep_everything(self):
        path = Path(__file__).parents[1] / "migrations" / "19.0.2.0.0" / "pre-migration.py"
        spec = importlib.util.spec_from_file_location("pre_migration", path)
        migration = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(migration)
        self.job.write(LAST_TWO)
        old = self._make_job(name="Old")
        self.env.flush_all()
        self.cr.execute("ALTER TABLE backup_job ALTER COLUMN retention_mode DROP NOT NULL")
        self._sql("UPDATE backup_job SET retention_mode = NULL WHERE id = %s", old.id)
        migration.migrate(self.cr, "19.0.1.0.0")
        self.env.invalidate_all()
        self.assertEqual(old.retention_mode, "keep_all")
        self.assertEqual(self.job.retention_mode, "keep_last_n")


class TestApplyRetention(RetentionCase):
    def test_copies_beyond_the_policy_are_marked_with_the_reason(self):
        nights = self._nights(4)
        self.job.write(LAST_TWO)
        self.assertFalse(self._to_go(nights), "a new policy alone marks nothing")
        self.job._apply_retention()
        self.assertEqual(self._to_go(nights), nights[:2])
        self.assertTrue(nights[0].copy_ids.deleted_by_retention)
        self.assertEqual(
            nights[0].copy_ids.deletion_reason, "Newer ones fill the 2 that are kept."
        )
        self.assertEqual(nights.copy_ids.mapped("status"), ["stored"] * 4, "nothing is deleted yet")

    def test_a_run_that_ends_well_applies_the_policy_to_its_database_alone(self):
        self.job.write(LAST_TWO)
        sales, stock = self._nights(3), self._nights(3, database="stock")
        self._stored("sales", self.job)
        self.assertEqual(self._to_go(sales), sales[:2])
        self.assertFalse(self._to_go(stock))

    def test_a_run_that_fails_marks_nothing(self):
        self.job.write(LAST_TWO)
        nights = self._nights(4)
        run = self._running("sales", self.job)
        self._report(run,
            {"event": "failed", "error_code": "timeout", "error": "Too late.", "retryable": False}
        )
        self.assertEqual(run.status, "failed")
        self.assertFalse(self._to_go(nights))

    def test_only_the_databases_asked_for_are_looked_at(self):
        sales, stock = self._nights(3), self._nights(3, database="stock")
        self.job.write(LAST_TWO)
        self.job._apply_retention(["stock"])
        self.assertEqual(self._to_go(sales + stock), stock[:1])
        self.job._apply_retention([])
        self.assertFalse(self._to_go(sales))

    def test_bad_archives_count_for_nothing_and_stay(self):
        old_bad = self._archived(9, status="verify_failed")
        good = self._nights(2)
        new_bad = self._archived(0, status="verify_failed")
        self.job.write(LAST_TWO)
        self.job._apply_retention()
        self.assertFalse(self._to_go(old_bad + good + new_bad))

    def test_runs_without_a_stored_copy_count_for_nothing(self):
        good = self._nights(3)
        empty = self._archived(0)
        empty.copy_ids.status = "failed"
        self.job.write(LAST_TWO)
        self.job._apply_retention()
        self.assertEqual(self._to_go(good + empty), good[:1])

    def test_the_same_database_of_another_instance_is_another_one(self):
        self.job.write({"retention_mode": "keep_last_n", "retention_value": 1})
        here = self._nights(2)
        self.job.instance_id = self._make_instance("Branch", ["sales"])
        there = self._nights(2)
        self.job._apply_retention()
        self.assertEqual(self._to_go(here + there), here[:1] + there[:1])

    def test_jobs_are_independent(self):
        other = self._make_job(name="Weekly", retention_mode="keep_all")
        mine, theirs = self._nights(3), self._nights(3, job=other)
        self.job.write(LAST_TWO)
        (self.job + other)._apply_retention()
        self.assertEqual(self._to_go(mine + theirs), mine[:1])

    def test_what_a_deleted_job_has_left_stays(self):
        nights = self._nights(3)
        self.job.unlink()
        successor = self._make_job(retention_mode="keep_last_n", retention_value=1)
        newest = self._archived(0, job=successor)
        successor._apply_retention()
        self.assertFalse(self._to_go(nights + newest))

    def test_a_pin_withdraws_the_mark_and_its_removal_brings_it_back(self):
        nights = self._nights(3)
        self.job.write(LAST_TWO)
        self.job._apply_retention()
        nights[0].pin()
        self.job._apply_retention()
        self.assertFalse(self._to_go(nights))
        nights[0].unpin()
        self.job._apply_retention()
        self.assertEqual(self._to_go(nights), nights[0])

    def test_a_newer_archive_that_turns_out_bad_withdraws_the_mark(self):
        nights = self._nights(3)
        self.job.write(LAST_TWO)
        self.job._apply_retention()
        nights[2]._mark_verify_failed({"error_code": "damaged", "error": "It is damaged."})
        self.job._apply_retention()
        self.assertFalse(self._to_go(nights))

    def test_a_wider_policy_withdraws_the_marks(self):
        nights = self._nights(5)
        self.job.write(LAST_TWO)
        self.job._apply_retention()
        self.job.retention_value = 4
        self.job._apply_retention()
        self.assertEqual(self._to_go(nights), nights[:1])
        self.job.retention_mode = "keep_all"
        self.job._apply_retention()
        self.assertFalse(self._to_go(nights))

    def test_a_second_look_withdraws_marks_and_makes_none(self):
        nights = self._nights(6)
        self.job.write({**LAST_TWO, "retention_value": 4})
        self.job._apply_retention()
        self.assertEqual(self._to_go(nights), nights[:2])
        self.job.retention_value = 1
        self.job._reconsider_deletions()
        self.assertEqual(self._to_go(nights), nights[:2], "a narrower policy waits for a backup")
        self.job.retention_value = 5
        self.job._reconsider_deletions(["stock"])
        self.assertEqual(self._to_go(nights), nights[:2])
        self.job._reconsider_deletions(["sales"])
        self.assertEqual(self._to_go(nights), nights[:1])

    def test_what_a_person_has_asked_to_delete_counts_for_nothing_and_stays_asked_for(self):
        nights = self._nights(4)
        nights[3].copy_ids._request_deletion("Deleted by Ada.", by_retention=False)
        self.job.write(LAST_TWO)
        self.job._apply_retention()
        self.assertEqual(self._to_go(nights), nights[0] + nights[3])
        self.assertEqual(nights[3].copy_ids.deletion_reason, "Deleted by Ada.")

    def test_applied_twice_is_applied_once(self):
        nights = self._nights(4)
        self.job.write(LAST_TWO)
        self.job._apply_retention()
        self._sql("UPDATE backup_copy SET deletion_requested_at = '2026-01-01' "
                  "WHERE deletion_requested_at IS NOT NULL")  # fmt: skip
        self.job._apply_retention()
        moments = self._to_go(nights).copy_ids.mapped("deletion_requested_at")
        self.assertEqual({str(moment) for moment in moments}, {"2026-01-01 00:00:00"})

    def test_every_stored_copy_of_an_archive_goes_and_no_other(self):
        self.job.destination_ids += self._make_destination("Cloud")
        nights = self._nights(3)
        nights[0].copy_ids[0].status = "failed"
        self.job.write({"retention_mode": "keep_last_n", "retention_value": 1})
        self.job._apply_retention()
        self.assertFalse(nights[0].copy_ids[0].deletion_requested_at)
        self.assertTrue(nights[0].copy_ids[1].deletion_requested_at)
        self.assertTrue(all(nights[1].copy_ids.mapped("deletion_requested_at")))
        self.assertFalse(self._to_go(nights[2]))

    def test_a_destination_that_gets_no_new_archives_keeps_its_last_one(self):
        cloud = self._make_destination("Cloud")
        self.job.destination_ids += cloud
        nights = self._nights(5)
        for copy in nights[2:].copy_ids.filtered(lambda copy: copy.destination_id == cloud):
            copy._mark_failed("destination_failed", "Denied.")
        self.job.write(LAST_TWO)
        self.job._apply_retention()
        self.assertEqual(self._to_go(nights), nights[0] + nights[2])
        self.job.destination_ids -= cloud
        self.job._apply_retention()
        self.assertEqual(self._to_go(nights), nights[:3], "the job no longer goes there")

    def test_a_run_that_was_retried_late_is_as_new_as_its_content(self):
        late = self._archived(9)
        nights = self._nights(3)
        late.write({"started_at": ago(hours=1), "finished_at": ago(minutes=50)})
        self.job.write({"retention_mode": "keep_last_n", "retention_value": 1})
        self.job._apply_retention()
        self.assertEqual(self._to_go(late + nights), nights[:2])

    def test_the_days_begin_in_the_zone_of_the_job(self):
        # 23:30 UTC is half past midnight of the next day in Paris.
        runs = self._nights(2)
        for run, moment in zip(runs, ("2026-01-10 22:00:00", "2026-01-10 23:30:00"), strict=True):
            run.write({"started_at": moment, "finished_at": moment})
        days = {"retention_mode": "gfs", "retention_daily": 5, "retention_weekly": 0,
                "retention_monthly": 0}  # fmt: skip
        self.job.write({**days, "timezone": "UTC"})
        self.job._apply_retention()
        self.assertEqual(self._to_go(runs), runs[0])
        self.job.timezone = "Europe/Paris"
        self.job._apply_retention()
        self.assertFalse(self._to_go(runs))

    def test_a_policy_that_became_invalid_deletes_nothing_and_hurts_no_backup(self):
        nights = self._nights(3)
        self.job.write(LAST_TWO)
        self.job._apply_retention()
        self._sql("UPDATE backup_job SET retention_value = 0 WHERE id = %s", self.job.id)
        with mute_logger(MIXIN):
            run = self._stored("sales", self.job)
        self.assertEqual(run.status, "verified")
        self.assertFalse(self._to_go(nights))
