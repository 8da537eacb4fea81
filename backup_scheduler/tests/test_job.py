import psycopg2
from freezegun import freeze_time

from odoo import fields
from odoo.exceptions import ValidationError
from odoo.tools import mute_logger

from .common import BackupCase

NOON = fields.Datetime.to_datetime("2026-03-10 12:00:00")
TOMORROW_TWO = fields.Datetime.to_datetime("2026-03-11 02:00:00")


@freeze_time(NOON)
class TestJobPlanning(BackupCase):
    def test_a_new_job_is_planned_in_the_transaction_that_creates_it(self):
        self.assertEqual(self._make_job().next_run_at, TOMORROW_TWO)

    def test_a_new_job_that_is_off_is_not_planned(self):
        self.assertFalse(self._make_job(enabled=False).next_run_at)

    def test_a_job_of_an_archived_instance_is_not_planned(self):
        self.instance.active = False
        self.assertFalse(self._make_job().next_run_at)

    def test_each_change_of_the_schedule_plans_the_job_again(self):
        changes = (
            ({"cron_expression": "30 13 * * *"}, "2026-03-10 13:30:00"),
            ({"cron_expression": "0 2 * * *", "timezone": "Asia/Tokyo"}, "2026-03-10 17:00:00"),
            ({"timezone": False}, "2026-03-11 02:00:00"),
            ({"enabled": False}, False),
            ({"enabled": True}, "2026-03-11 02:00:00"),
        )
        job = self._make_job()
        for values, expected in changes:
            with self.subTest(**values):
                job.write(values)
                self.assertEqual(fields.Datetime.to_string(job.next_run_at), expected)

    def test_a_change_of_something_else_keeps_the_plan(self):
        job = self._make_due(self._make_job(), NOON)
        job.write({"name": "Renamed", "retry_delay": 7})
        self.assertEqual(job.next_run_at, NOON)

    def test_a_copy_of_a_job_is_planned_from_now(self):
        job = self._make_due(self._make_job(), fields.Datetime.to_datetime("2026-01-01 02:00:00"))
        self.assertEqual(job.copy().next_run_at, TOMORROW_TWO)

    def test_enabling_again_computes_the_next_fire_from_now(self):
        job = self._make_job()
        with freeze_time("2026-03-10 12:00:00") as clock:
            job.action_pause()
            clock.move_to("2026-04-01 12:00:00")
            job.action_resume()
        self.assertEqual(job.next_run_at, fields.Datetime.to_datetime("2026-04-02 02:00:00"))

    def test_archiving_the_instance_stops_its_jobs_and_activating_it_plans_them(self):
        job = self._make_job()
        self.instance.active = False
        self.assertFalse(job.next_run_at)
        self.instance.active = True
        self.assertEqual(job.next_run_at, TOMORROW_TWO)

    def test_one_broken_job_does_not_keep_its_instance_from_being_archived(self):
        broken, sound = self._make_job(name="Broken"), self._make_job()
        self._sql("UPDATE backup_job SET cron_expression = 'x' WHERE id = %s", broken.id)
        self.instance.active = False
        self.instance.active = True
        self.assertEqual(sound.next_run_at, TOMORROW_TWO)
        self.assertTrue(broken.next_run_at, "The dispatcher tells what is wrong, in a failed run")
        self.assertIn("1 field where exactly 5 are needed", broken.planning_error)

    def test_a_mended_job_no_longer_shows_its_planning_error(self):
        job = self._make_job()
        job.planning_error = "It was broken."
        job.cron_expression = "0 3 * * *"
        self.assertFalse(job.planning_error)

    def test_the_description_says_the_schedule_in_words(self):
        job = self._make_job(cron_expression="0 4 * * mon")
        self.assertIn("04:00", job.schedule_description)
        self.assertIn("Monday", job.schedule_description)

    def test_the_description_of_a_broken_expression_says_what_is_wrong(self):
        job = self._make_job()
        self._sql("UPDATE backup_job SET cron_expression = '0 24 * * *' WHERE id = %s", job.id)
        self.assertEqual(job.schedule_description, "hour: 24 is outside 0-23")


class TestJobRules(BackupCase):
    def test_an_invalid_schedule_is_refused_with_the_field_that_is_wrong(self):
        cases = (
            ("60 * * * *", "minute: 60 is outside 0-59"),
            ("0 24 * * *", "hour: 24 is outside 0-23"),
            ("0 0 32 * *", "day of month"),
            ("0 0 * 13 *", "month"),
            ("0 0 * * 8", "day of week"),
            # The whole of it needs no other name.
            ("0 0 31 2 *", "0 0 31 2 \\* never fires: month 2 has no day 31"),
            ("0 0 * *", "4 fields where exactly 5 are needed"),
            ("* * * * * *", "6 fields where exactly 5 are needed"),
            ("@daily", "1 field where exactly 5 are needed"),
        )
        for expression, complaint in cases:
            with (
                self.subTest(expression),
                self.assertRaisesRegex(ValidationError, f"^Schedule: {complaint}"),
            ):
                self._make_job(cron_expression=expression)

    def test_an_unknown_zone_is_refused_with_the_name_of_the_field(self):
        with self.assertRaisesRegex(ValidationError, "Time Zone: 'Mars/Base' is not"):
            self._make_job(timezone="Mars/Base")

    def test_the_zone_of_the_settings_counts_in_the_check(self):
        self.env["ir.config_parameter"].set_param("backup_scheduler.timezone", "Mars/Base")
        with self.assertRaisesRegex(ValidationError, "timezone: 'Mars/Base'"):
            self._make_job()

    def test_selected_databases_must_be_some_and_of_the_instance(self):
        elsewhere = self._make_instance("Elsewhere", ["sales"])
        cases = (
            ({"database_scope": "selected"}, "Databases: select at least one"),
            ({"database_ids": elsewhere.database_ids.ids}, "Databases: select only databases"),
            (
                {"database_scope": "selected", "database_ids": elsewhere.database_ids.ids},
                "Databases: select only databases",
            ),
        )
        for values, complaint in cases:
            with self.subTest(**values), self.assertRaisesRegex(ValidationError, complaint):
                self._make_job(**values)

    @mute_logger("odoo.sql_db")
    def test_numbers_that_make_no_sense_are_refused_by_the_database(self):
        values = {"max_attempts": 0, "retry_delay": -1, "time_limit": -1, "size_limit": -1}
        for field, value in values.items():
            with self.subTest(field), self.assertRaises(psycopg2.errors.CheckViolation):
                self._make_job(**{field: value})

    def test_a_job_has_the_default_destination(self):
        job = self.Job.create({"name": "Plain", "instance_id": self.instance.id})
        self.assertEqual(job.destination_ids, self.env["backup.destination"].search([], limit=1))


class TestRunNow(BackupCase):
    def test_run_now_returns_the_ids_of_one_queued_run_for_each_database(self):
        runs = self.Run.browse(self._make_job().run_now())
        self.assertEqual(runs.mapped("database_name"), ["sales", "stock"])
        self.assertEqual(set(runs.mapped("status")), {"queued"})
        self.assertEqual(set(runs.mapped("trigger")), {"manual"})

    def test_run_now_backs_up_the_selected_databases_only(self):
        stock = self.instance.database_ids.filtered(lambda database: database.name == "stock")
        job = self._make_job(database_scope="selected", database_ids=stock.ids)
        self.assertEqual(self.Run.browse(job.run_now()).mapped("database_name"), ["stock"])

    def test_run_now_leaves_out_what_the_server_no_longer_has(self):
        self._gone("stock")
        runs = self.Run.browse(self._make_job().run_now())
        self.assertEqual(runs.mapped("database_name"), ["stock"])

    def test_run_now_on_an_unknown_server_leaves_a_run_that_waits_for_discovery(self):
        job = self._make_job(instance_id=self._make_instance("New").id)
        self.assertEqual(self.Run.browse(job.run_now()).mapped("database_name"), [""])

    def test_run_now_works_on_a_paused_job_and_keeps_its_plan(self):
        job = self._make_job(enabled=False)
        self.assertTrue(job.run_now())
        self.assertFalse(job.next_run_at)

    def test_run_now_twice_makes_two_backups(self):
        job = self._make_job()
        self.assertEqual(len({*job.run_now(), *job.run_now()}), 4)

    def test_run_now_wakes_the_dispatcher(self):
        cron = self.env.ref("backup_scheduler.ir_cron_dispatch")
        triggers = self.env["ir.cron.trigger"].search_count([("cron_id", "=", cron.id)])
        self._make_job().run_now()
        self.assertEqual(
            self.env["ir.cron.trigger"].search_count([("cron_id", "=", cron.id)]), triggers + 1
        )

    def test_run_now_over_several_jobs_makes_the_runs_of_each(self):
        jobs = self._make_job() + self._make_job(name="Other")
        self.assertEqual(self.Run.browse(jobs.run_now()).job_id, jobs)

    def test_the_run_carries_the_policy_of_its_job(self):
        job = self._make_job(
            archive_format="dump", include_filestore=False, verify_after_backup="1",
            overlap_policy="queue", max_attempts=4, retry_delay=9, time_limit=60,
        )  # fmt: skip
        run = self.Run.browse(job.run_now()[0])
        self.assertRecordValues(
            run,
            [
                {
                    "archive_format": "dump", "include_filestore": False, "wanted_level": "1",
                    "in_order": True, "max_attempts": 4, "retry_delay": 9, "time_limit": 60,
                    "job_name": "Nightly", "instance_id": self.instance.id,
                }
            ],
        )  # fmt: skip
        self.assertEqual(run.copy_ids.destination_id, self.destination)

    def test_the_button_shows_the_one_run_as_a_form_and_several_as_a_list(self):
        job = self._make_job()
        self.assertIn("domain", job.action_run_now())
        self._gone("stock")
        self.assertEqual(job.action_run_now()["views"], [(False, "form")])


class TestJobHistory(BackupCase):
    def test_deleting_a_job_leaves_its_runs_and_their_copies(self):
        run = self._stored()
        run.job_id.unlink()
        self.assertFalse(run.job_id)
        self.assertRecordValues(run, [{"job_name": "Nightly", "status": "verified"}])
        self.assertEqual(run.copy_ids.status, "stored")

    def test_pausing_a_job_touches_neither_history_nor_queue(self):
        run, waiting = self._stored(), self._make_run("stock")
        (run + waiting).job_id.action_pause()
        self.assertEqual((run.status, waiting.status), ("verified", "queued"))

    def test_an_instance_with_history_cannot_be_deleted(self):
        run = self._stored()
        run.job_id.unlink()
        with self.assertRaises(psycopg2.errors.ForeignKeyViolation), mute_logger("odoo.sql_db"):
            self.instance.unlink()
        self.assertTrue(run.exists())

    def test_a_job_counts_its_runs_and_shows_when_the_last_was_and_its_status(self):
        job = self._make_job()
        self._stored(job=job)
        self._make_run(job=job)
        self.assertEqual((job.run_count, job.last_run_status), (2, "queued"))
        self.assertEqual(job.latest_run_at, max(job.run_ids.mapped("scheduled_at")))

    def _queries_of(self, jobs):
        """Return how many queries the columns of a list of these jobs take."""
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        jobs.web_read({"run_count": {}, "last_run_status": {}, "latest_run_at": {}})
        return self.env.cr.sql_log_count - before

    def test_the_list_of_many_jobs_takes_as_many_queries_as_that_of_two(self):
        jobs = [self._make_job(name=f"Job {number}") for number in range(12)]
        for job in jobs:
            self._make_run(job=job)
        jobs = self.Job.union(*jobs)
        self.assertEqual(jobs.mapped("last_run_status"), ["queued"] * 12)
        self._queries_of(jobs)
        self.assertEqual(self._queries_of(jobs), self._queries_of(jobs[:2]))
