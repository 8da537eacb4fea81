"""The fires to come, as the calendar asks for them."""

import xmlrpc.client
from unittest.mock import patch

from freezegun import freeze_time

from odoo.exceptions import AccessError, ValidationError

from ..engine import forecast
from ..models.job import backup_job_calendar
from .common import BackupCase

NOW = "2026-03-10 12:00:00"
DAYS = ("2026-03-10 00:00:00", "2026-03-12 23:59:59")


@freeze_time(NOW)
class TestUpcomingFires(BackupCase):
    def _fires(self, start=DAYS[0], end=DAYS[1], tz="UTC", **options):
        return self.Job.with_context(tz=tz).upcoming_fires(start, end, **options)["fires"]

    def _starts(self, *arguments, **options):
        return [fire["start"] for fire in self._fires(*arguments, **options)]

    def test_they_are_those_of_the_preview_from_now_on(self):
        self._make_job(cron_expression="0 2 * * *")
        self.assertEqual(self._starts(), ["2026-03-11 02:00:00", "2026-03-12 02:00:00"])
        preview = self.Job.preview_cron("0 2 * * *", "UTC", 2)["next_runs"]
        self.assertEqual(preview, ["2026-03-11T02:00:00+00:00", "2026-03-12T02:00:00+00:00"])

    def test_they_say_which_job_of_which_instance_fires(self):
        job = self._make_job()
        answer = self.Job.upcoming_fires(*DAYS)
        xmlrpc.client.dumps((answer,), methodresponse=True, allow_none=False)
        self.assertEqual(
            answer["fires"][0],
            {
                "start": "2026-03-11 02:00:00", "count": 1, "exact": True,
                "description": job.schedule_description, "job_id": job.id, "job_name": "Nightly",
                "jobs": 1, "instance_id": self.instance.id, "instance_name": "Shop",
            },
        )  # fmt: skip
        self.assertFalse(answer["complete_until"])

    def test_a_fire_at_the_first_moment_is_seen_and_one_at_the_last_too(self):
        self._make_job(cron_expression="0 0 * * *")
        self.assertEqual(
            self._starts("2026-03-11 00:00:00", "2026-03-12 00:00:00"),
            ["2026-03-11 00:00:00", "2026-03-12 00:00:00"],
        )

    def test_the_zone_of_the_job_counts_when_the_clocks_change(self):
        self._make_job(cron_expression="30 2 * * *", timezone="Europe/Paris")
        self.assertEqual(
            self._starts("2026-03-27 12:00:00", "2026-03-30 12:00:00"),
            # In the night of the 29th there is no 02:30: it fires when the clock jumps over it.
            ["2026-03-28 01:30:00", "2026-03-29 01:00:00", "2026-03-30 00:30:00"],
        )

    def test_days_are_those_of_the_user_also_when_they_have_23_or_25_hours(self):
        self._make_job(cron_expression="*/30 * * * *")
        for day, start, end, count in (
            ("spring", "2026-03-28 23:00:00", "2026-03-29 21:59:59", 46),
            ("summer", "2026-07-01 22:00:00", "2026-07-02 21:59:59", 48),
            ("autumn", "2026-10-24 22:00:00", "2026-10-25 22:59:59", 50),
        ):
            with self.subTest(day):
                (entry,) = self._fires(start, end, tz="Europe/Paris")
                self.assertEqual((entry["start"], entry["count"]), (start, count))

    def test_what_fires_often_is_one_entry_a_day_that_counts(self):
        self._make_job(cron_expression="*/5 * * * *")
        first, second, third = self._fires()
        self.assertEqual((first["start"], first["count"]), ("2026-03-10 12:05:00", 143))
        self.assertEqual((second["start"], second["count"]), ("2026-03-11 00:00:00", 288))
        self.assertIn("5 minutes", second["description"])
        self.assertEqual(third["count"], 288)

    def test_the_limit_says_how_many_of_a_day_are_told_one_by_one(self):
        self._make_job(cron_expression="0 */6 * * *")
        day = ("2026-03-11 00:00:00", "2026-03-11 23:59:59")
        for limit, counts in ((4, [1, 1, 1, 1]), (3, [4]), (0, [4])):
            with self.subTest(limit):
                fires = self._fires(*day, limit=limit)
                self.assertEqual([fire["count"] for fire in fires], counts)

    def test_a_day_of_many_jobs_is_one_entry(self):
        for number in range(3):
            self._make_job(name=f"Job {number}")
        with patch.object(backup_job_calendar, "ENTRIES_A_DAY", 2):
            (first, _second) = self._fires()
        self.assertEqual((first["job_id"], first["jobs"], first["count"]), (False, 3, 3))

    def test_what_would_take_too_long_is_left_out_and_said(self):
        self._make_job()
        with patch.object(forecast, "FIRES_LIMIT", 1):
            answer = self.Job.upcoming_fires("2026-03-10", "2026-04-10")
        self.assertEqual(len(answer["fires"]), 2)
        self.assertEqual(answer["complete_until"], "2026-03-12 23:59:59")
        self._make_job(cron_expression="* * * * *")
        with patch.object(forecast, "COUNTED_LIMIT", 0):
            dense = [fire for fire in self._fires() if fire["count"] > 1]
        self.assertEqual({(fire["count"], fire["exact"]) for fire in dense}, {(5, False)})

    def test_a_time_that_no_calendar_shows_is_refused_in_words(self):
        for start in ("soon", "0001-01-01", "9999-12-31T23:59:59Z"):
            with self.subTest(start), self.assertRaisesRegex(ValidationError, "start: "):
                self.Job.upcoming_fires(start, "2026-03-12")

    def test_paused_jobs_archived_instances_and_broken_schedules_have_none(self):
        paused, archived = self._make_job(), self._make_job(
            instance_id=self._make_instance("Gone", ["x"]).id
        )
        broken = self._make_job()
        self.assertEqual(len(self._fires()), 6)
        paused.action_pause()
        archived.instance_id.active = False
        self._sql("UPDATE backup_job SET cron_expression = 'x' WHERE id = %s", broken.id)
        self.assertEqual(self._fires(), [])

    def test_only_jobs_whose_runs_the_search_would_find(self):
        job = self._make_job()
        other = self._make_job(instance_id=self._make_instance("Other", ["crm"]).id)
        cases = (
            ([("job_id", "=", job.id)], job),
            ([("instance_id", "=", other.instance_id.id)], other),
            ([("instance_id", "ilike", "oth")], other),
            ([("database_name", "ilike", "cr")], other),
            ([("trigger", "=", "manual")], self.Job),
            ([("status", "in", ("failed", "verify_failed"))], self.Job),
            ([], job + other),
        )
        for domain, jobs in cases:
            with self.subTest(domain):
                self.assertEqual({fire["job_id"] for fire in self._fires(domain=domain)},
                                 set(jobs.ids))  # fmt: skip

    def test_who_may_not_look_at_jobs_sees_no_fires(self):
        job = self._make_job()
        company = self.env["res.company"].create({"name": "Other"})
        self._make_job(instance_id=self._make_instance("Hidden", company_id=company.id).id)
        fires = self.Job.with_user(self._user("user")).upcoming_fires(*DAYS)["fires"]
        self.assertEqual({fire["job_id"] for fire in fires}, set(job.ids))
        with self.assertRaises(AccessError):
            self.Job.with_user(self._user(None)).upcoming_fires(*DAYS)

    def test_a_range_that_is_over_is_empty_and_one_without_end_is_bounded(self):
        self._make_job(cron_expression="0 2 1 * *")
        self.assertEqual(self._fires("2026-01-01", "2026-02-01"), [])
        self.assertLess(len(self._fires("2026-01-01", "2999-01-01")), 15)
        with self.assertRaisesRegex(ValidationError, "start: "):
            self._fires("soon")

    def test_the_number_of_queries_does_not_grow_with_the_jobs(self):
        def queries():
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            self.Job.upcoming_fires(*DAYS, domain=[("database_name", "=", "sales")])
            return self.env.cr.sql_log_count - before

        for number in range(2):
            self._make_job(instance_id=self._make_instance(f"Few {number}", ["sales"]).id)
        queries()
        few = queries()
        for number in range(10):
            self._make_job(instance_id=self._make_instance(f"Many {number}", ["sales"]).id)
        self.assertEqual(queries(), few)
