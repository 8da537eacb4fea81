import datetime

import psycopg2

from odoo import Command, fields
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import BackupCase, ago

HOUR, DAY = 3600, 24 * 3600


@tagged("post_install", "-at_install")
class TestPromise(BackupCase):
    def test_a_job_promises_the_longest_pause_of_its_schedule_and_a_grace(self):
        cases = (
            ("0 2 * * *", 30 * HOUR),
            ("0 * * * *", 2 * HOUR),
            ("0 8-18 * * mon-fri", int(62 * 1.25 * HOUR)),
            ("0 4 * * sun", 8 * DAY),
            ("0 0 1 * *", 32 * DAY),
        )
        for expression, promise in cases:
            with self.subTest(expression):
                self.assertEqual(self._make_job(cron_expression=expression).promise, promise)

    def test_what_somebody_demands_counts_instead(self):
        self.assertEqual(self._make_job(max_age=48).promise, 2 * DAY)

    @mute_logger("odoo.sql_db")
    def test_no_archive_can_be_promised_before_it_is_made(self):
        with self.assertRaises(psycopg2.errors.CheckViolation):
            self._make_job(max_age=-1)

    @mute_logger("odoo.sql_db")
    def test_an_age_of_which_the_seconds_fit_nowhere_is_refused_in_words(self):
        self.assertEqual(self._make_job(max_age=87600).promise, 3650 * DAY)
        for hours in (87601, 600_000, 2**31 - 1):
            with (
                self.subTest(hours),
                self.assertRaises(psycopg2.errors.CheckViolation),
                self.env.cr.savepoint(),
            ):
                self._make_job(max_age=hours)


@tagged("post_install", "-at_install")
class TestProtection(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sales, cls.stock = cls.instance.database_ids.sorted("name")

    def _state(self, database=None):
        self.env.invalidate_all()
        return (database or self.sales).protection

    def _told(self):
        self.env.invalidate_all()
        return self.env["backup.database"]._protections(self.sales.ids)[self.sales.id]

    def _age(self, run, **duration):
        run.finished_at = ago(**duration)

    def _known_for_long(self, job):
        job.promised_since = ago(days=90)
        self._sql("UPDATE backup_database SET create_date = create_date - interval '90 days'")

    def test_a_database_without_an_enabled_job_is_unprotected(self):
        self.assertEqual(self._state(), "unprotected")
        job = self._make_job(enabled=False)
        self.assertEqual(self._state(), "unprotected")
        job.enabled = True
        self.assertEqual(self._state(), "pending")

    def test_a_job_of_selected_databases_leaves_the_others_unprotected(self):
        self._make_job(database_scope="selected", database_ids=self.sales.ids)
        self.assertEqual((self._state(), self._state(self.stock)), ("pending", "unprotected"))

    def test_a_good_archive_protects_until_it_is_older_than_promised(self):
        job = self._make_job()
        run = self._stored(job=job)
        self._known_for_long(job)
        self.assertEqual(self._state(), "protected")
        self._age(run, hours=29)
        self.assertEqual(self._state(), "protected")
        self._age(run, hours=31)
        self.assertEqual(self._state(), "late")
        self.assertEqual(self._state(self.stock), "late")

    def test_an_archive_that_is_not_good_or_gone_protects_nobody(self):
        job = self._make_job()
        run = self._stored(job=job)
        self._known_for_long(job)
        run._mark_verify_failed({"error_code": "damaged", "error": "It is damaged."})
        self.assertEqual(self._state(), "late")
        run = self._stored(job=job)
        self.assertEqual(self._state(), "protected")
        run.copy_ids.status = "deleted"
        self.assertEqual(self._state(), "late")

    def test_the_strictest_job_counts(self):
        run = self._stored(job=self._make_job())
        self._known_for_long(self._make_job(name="Hourly", cron_expression="0 * * * *"))
        self._age(run, hours=3)
        self.assertEqual(self._state(), "late")
        found = self.env["backup.database"]._protections(self.sales.ids)[self.sales.id]
        self.assertEqual(found["promise"], 2 * HOUR)
        self.assertEqual(len(found["job_ids"]), 2)

    def test_a_job_that_is_switched_on_again_has_its_time_for_the_first_archive(self):
        job = self._make_job()
        self._age(self._stored(job=job), days=20)
        self._known_for_long(job)
        self.assertEqual(self._state(), "late")
        job.enabled = False
        job.enabled = True
        self.assertEqual(self._state(), "pending")

    def test_writing_what_is_there_already_puts_nothing_off(self):
        job = self._make_job(database_scope="selected", database_ids=self.sales.ids)
        self._known_for_long(job)
        job.write(
            {
                "cron_expression": job.cron_expression,
                "enabled": True,
                "timezone": False,
                "instance_id": self.instance.id,
                "database_ids": [Command.set(self.sales.ids)],
            }
        )
        self.instance.active = True
        self.assertEqual(self._state(), "late")

    def test_a_database_that_is_added_to_a_job_has_its_time_and_the_others_stay_late(self):
        job = self._make_job(database_scope="selected", database_ids=self.sales.ids)
        self._known_for_long(job)
        for change in (
            {"database_ids": [Command.link(self.stock.id)]},
            {"database_scope": "all", "database_ids": False},
        ):
            with self.subTest(**change):
                job.write({"database_scope": "selected", "database_ids": self.sales.ids})
                job.write(change)
                self.assertEqual((self._state(), self._state(self.stock)), ("late", "pending"))

    def test_a_database_that_is_back_has_its_time(self):
        job = self._make_job()
        self._gone("stock")
        self._known_for_long(job)
        self.instance._record_server("19.0", ["sales", "stock"])
        self.assertEqual((self._state(), self._state(self.stock)), ("pending", "late"))

    def test_what_was_written_while_the_clock_was_ahead_protects_nobody(self):
        job = self._make_job()
        before = self._stored(job=job)
        ahead = self._stored(job=job)
        self._known_for_long(job)
        self._age(before, days=3)
        self._age(ahead, days=-365)
        self.assertEqual(self._state(), "late")
        self.assertEqual(self._told()["last_good_run_id"], before.id)

    def test_a_promise_of_a_clock_that_was_ahead_counts_from_when_that_is_seen(self):
        job = self._make_job()
        job.promised_since = ago(days=-365)
        self._sql("UPDATE backup_database SET create_date = now() + interval '365 days'")
        promise = datetime.timedelta(seconds=job.promise)
        before = fields.Datetime.now()
        self._dispatch()
        late_at = self._told()["late_at"]
        self.assertGreaterEqual(late_at, before + promise)
        self.assertLessEqual(late_at, fields.Datetime.now() + promise)

    def test_a_form_that_is_edited_shows_how_databases_stand(self):
        self._make_job()
        new = self.instance.new({"name": "Other"}, origin=self.instance)
        self.assertEqual(new.database_ids.mapped("protection"), ["pending"] * 2)

    def test_a_database_that_was_found_lately_has_its_time_too(self):
        job = self._make_job()
        job.promised_since = ago(days=90)
        self.assertEqual(self._state(), "pending")

    def test_an_archived_instance_promises_nothing(self):
        self._make_job()
        self.instance.active = False
        self.assertEqual(self._state(), "unprotected")

    def test_a_database_that_is_gone_is_neither_late_nor_unprotected(self):
        self._make_job()
        self._gone("stock")
        self.assertEqual(self._state(), "absent")

    def test_databases_can_be_searched_by_it(self):
        self._make_job(database_scope="selected", database_ids=self.sales.ids)
        mine = [("instance_id", "=", self.instance.id)]
        found = self.env["backup.database"].search([*mine, ("protection", "=", "unprotected")])
        self.assertEqual(found, self.stock)
        found = self.env["backup.database"].search([*mine, ("protection", "!=", "unprotected")])
        self.assertEqual(found, self.sales)

    def test_what_is_told_is_what_the_records_say(self):
        job = self._make_job()
        run = self._stored(job=job)
        found = self.env["backup.database"]._protections()[self.sales.id]
        self.assertEqual(
            found,
            {
                "state": "protected",
                "promise": job.promise,
                "late_at": run.finished_at + datetime.timedelta(seconds=job.promise),
                "last_good_at": run.finished_at,
                "last_good_run_id": run.id,
                "size": run.size,
                "next_run_at": job.next_run_at,
                "job_ids": job.ids,
            },
        )
        self.assertGreater(found["late_at"], fields.Datetime.now())

    def test_the_number_of_queries_does_not_grow(self):
        self._make_instance("Large", [f"db{number}" for number in range(50)])
        self._make_job()
        databases = self.env["backup.database"]
        databases._protections()
        self.env.invalidate_all()
        with self.assertQueryCount(2):
            databases._protections(self.sales.ids)
        self.env.invalidate_all()
        with self.assertQueryCount(2):
            databases._protections()
