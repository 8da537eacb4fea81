from freezegun import freeze_time

from odoo.tests import Form

from .common import BackupCase

BUCKET = {"kind": "s3", "s3_bucket": "backups", "s3_access_key": "key", "s3_secret_key": "secret"}
RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


@freeze_time("2026-03-10 12:00:00")
class TestJobAdvice(BackupCase):
    """What a job says of itself. A job that lacks nothing is the measure of all others."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bucket = cls._make_destination("Bucket", recipients=RECIPIENT, **BUCKET)
        cls.sound = {"destination_ids": [(6, 0, (cls.destination + cls.bucket).ids)]}

    def _codes(self, **values):
        job = self._make_job(**{**self.sound, **values})
        return {found["code"] for found in job.advice()}

    def test_a_job_that_lacks_nothing_is_left_in_peace(self):
        job = self._make_job(**self.sound)
        self.assertEqual(job.advice(), [])
        self.assertFalse(job.warnings)

    def test_each_lack_is_named(self):
        only_here = [(6, 0, self.destination.ids)]
        unknown = self._make_instance("New").id
        cases = (
            ({"destination_ids": only_here}, "no_offsite"),
            ({"instance_id": unknown}, "no_database"),
            ({"archive_format": "dump"}, "no_filestore"),
            ({"include_filestore": False}, "no_filestore"),
            ({"retention_mode": "keep_last_n", "retention_value": 1}, "single_archive"),
            ({"enabled": False}, "paused"),
            ({"catch_up": False}, "no_catch_up"),
        )
        for values, code in cases:
            with self.subTest(code=code, **values):
                self.assertEqual(self._codes(**values), {code})
                # The next case is alone again.
                self.Job.search([("instance_id", "in", (self.instance.id, unknown))]).unlink()

    def test_a_retention_shorter_than_the_pause_of_the_schedule_is_told(self):
        weekly, daily, weekdays = "0 2 * * sun", "0 2 * * *", "0 2 * * mon-fri"
        thinned = {"retention_mode": "gfs", "retention_weekly": 0, "retention_monthly": 0}
        cases = (
            (weekly, {"retention_mode": "older_than_days", "retention_value": 6}, True),
            (weekly, {"retention_mode": "older_than_days", "retention_value": 7}, False),
            (daily, {"retention_mode": "older_than_days", "retention_value": 1}, False),
            (weekdays, {"retention_mode": "older_than_days", "retention_value": 2}, True),
            (weekdays, {"retention_mode": "older_than_days", "retention_value": 3}, False),
            (weekly, {**thinned, "retention_daily": 3}, True),
            (weekly, {**thinned, "retention_daily": 3, "retention_monthly": 1}, False),
            (weekly, {"retention_mode": "keep_all"}, False),
            (weekly, {"retention_mode": "keep_last_n", "retention_value": 2}, False),
        )
        for expression, policy, told in cases:
            with self.subTest(expression, **policy):
                job = self.Job.new({**self.sound, "instance_id": self.instance.id, **policy})
                job.cron_expression = expression
                codes = {found["code"] for found in job.advice()}
                self.assertEqual("retention_too_short" in codes, told)

    def test_jobs_of_one_instance_at_the_same_minute_are_told(self):
        cases = (
            ("0 2 * * *", "0 2 * * *", True),
            ("0 2 * * *", "30 2 * * *", False),
            ("0 2 * * *", "0 2 1 * *", True),
            ("* * * * *", "0 4 1 1 *", True),
            ("0 4 1 1 *", "* * * * *", True),
            ("0 2 * * mon", "0 2 * * tue", False),
        )
        for one, other, told in cases:
            with self.subTest(f"{one} and {other}"):
                first = self._make_job(name="First", cron_expression=one, **self.sound)
                self.assertEqual("same_minute" in self._codes(cron_expression=other), told)
                self.Job.search([("instance_id", "=", self.instance.id)]).unlink()
                self.assertFalse(first.exists())

    def test_however_many_jobs_meet_it_is_one_line(self):
        self._make_job(name="Weekly", cron_expression="0 2 * * sun")
        job = self._make_job(**self.sound)
        cases = (
            (0, "“Weekly” is due at the same minute: next on 2026-03-15 02:00 (UTC)."),
            (1, "2 other jobs are due at the same minute: “Job 0”, “Weekly”; next on 2026-03-11 "
                "02:00 (UTC)."),
            (7, "8 other jobs are due at the same minute, such as “Job 0”, “Job 1”, “Job 2”: next "
                "on 2026-03-11 02:00 (UTC)."),
        )  # fmt: skip
        for count, told in cases:
            with self.subTest(count), self.env.cr.savepoint() as savepoint:
                for number in range(count):
                    self._make_job(name=f"Job {number}")
                self.assertEqual([found["text"] for found in job.advice()], [told])
                savepoint.rollback()
            self.env.invalidate_all()

    def test_only_enabled_jobs_of_the_same_instance_meet(self):
        self._make_job(name="Paused", enabled=False)
        self._make_job(name="Elsewhere", instance_id=self._make_instance("Other", ["x"]).id)
        self.assertNotIn("same_minute", self._codes())

    def test_the_hint_on_jobs_that_meet_knows_the_limit_of_the_instance(self):
        self._make_job(name="First")
        job = self._make_job(**self.sound)
        self.assertIn("all dumps at once", job.advice()[0]["hint"])
        self.instance.max_parallel_runs = 1
        self.assertIn("the others wait", job.advice()[0]["hint"])

    def test_what_leaves_the_server_unencrypted_is_told_but_is_no_warning(self):
        self.bucket.recipients = False
        (found,) = self._make_job(**self.sound).advice()
        self.assertEqual((found["code"], found["level"]), ("not_encrypted", "info"))
        self.assertIn("Bucket", found["text"])

    def test_warnings_come_before_the_rest(self):
        job = self._make_job(enabled=False)
        levels = [found["level"] for found in job.advice()]
        self.assertEqual(levels, ["warning", "info"])

    def test_a_broken_schedule_breaks_nothing_else(self):
        job = self.Job.new({**self.sound, "instance_id": self.instance.id})
        job.cron_expression = "nonsense"
        self.assertEqual(job.advice(), [])
        self.assertIn("1 field where exactly 5 are needed", job.summary)

    def test_who_may_not_see_a_job_gets_no_advice_on_it(self):
        job = self._make_job()
        self.assertTrue(job.with_user(self._user("user")).advice())
        with self.assertRaisesRegex(Exception, "not allowed"):
            job.with_user(self._user(None)).advice()


class TestJobInWords(BackupCase):
    def _summary(self, **values):
        job = self._make_job(retention_mode="keep_last_n", retention_value=30, **values)
        return job.summary.striptags()

    def test_the_summary_says_what_from_where_to_where_when_and_what_stays(self):
        bucket = self._make_destination("Bucket", **BUCKET)
        told = self._summary(
            timezone="Europe/Paris",
            destination_ids=[(6, 0, (self.destination + bucket).ids)],
        )
        self.assertRegex(
            told,
            r"^Backs up all databases of Shop to (Vault and Bucket|Bucket and Vault): at 02:00, "
            r"every day \(Europe/Paris\)\. Each archive is checked to level Consistent\. The "
            r"newest 30 archives of each database stay\.$",
        )

    def test_the_summary_names_what_is_selected(self):
        told = self._summary(
            database_scope="selected", database_ids=[(6, 0, self.instance.database_ids.ids)]
        )
        self.assertIn("Backs up sales and stock of Shop", told)

    def test_the_summary_tells_of_drills(self):
        self.assertIn("restored every week to prove", self._summary(drill_interval="7"))

    def test_the_summary_tells_when_a_database_is_late_where_somebody_decided_it(self):
        self.assertNotIn("late", self._summary())
        self.assertIn("is late 26 hours after", self._summary(max_age=26))

    def test_only_a_fire_a_day_is_called_every_day(self):
        for expression, daily in (("0 2 * * *", True), ("*/15 * * * *", False),
                                  ("0 2 * * mon", False), ("0 * * * *", False)):  # fmt: skip
            with self.subTest(expression):
                told = self._summary(cron_expression=expression)
                self.assertEqual("every day" in told, daily)

    def test_names_are_text_and_no_markup(self):
        self.instance.name = "<img src=x onerror=alert(1)>"
        self.destination.name = "<b>%s</b>"
        job = self._make_job()
        self.assertNotIn("<img", job.summary)
        self.assertIn("&lt;b&gt;%s&lt;/b&gt;", job.summary)
        other = self._make_job(name="<script>")
        self.assertNotIn("<script>", other.warnings + job.warnings)

    def test_a_job_of_no_instance_yet_says_nothing_of_itself(self):
        form = Form(self.Job)
        self.assertFalse(form.summary)
        self.assertFalse(form.warnings)

    def test_the_form_tells_it_before_it_is_saved(self):
        form = Form(self.Job.with_context(default_instance_id=self.instance.id))
        self.assertIn("Shop", form.summary)
        form.retention_mode = "keep_last_n"
        form.retention_value = 1
        self.assertIn("Only one archive", form.warnings)
        form.cron_expression = "0 4 * * sun"
        self.assertIn("04:00", form.summary)
