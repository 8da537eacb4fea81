"""What the links of the overview lead to is what it has counted."""

from odoo import fields
from odoo.tests import freeze_time, tagged

from .common import ago
from .test_overview import NOON, OverviewCase, at


@freeze_time(NOON)
@tagged("post_install", "-at_install")
class TestRunsBehindADay(OverviewCase):
    def setUp(self):
        super().setUp()
        self.job = self._make_job(cron_expression="0 2 * * *", catch_up=False)
        self._known_since(days=90)

    def _listed(self, database, day=None, **options):
        bounds = (day["start"], day["end"]) if day else ()
        action = database.action_open_runs(*bounds, **options)
        self.assertEqual(action["res_model"], "backup.run")
        return self.Run.search(action["domain"])

    def _assert_each_day_leads_to_what_it_counts(self):
        answer = self._load()
        told = 0
        for database in self.sales + self.stock:
            strip = self._row(database.name, answer)["strip"]
            for number, day in enumerate(answer["days"]):
                single = int(strip["kinds"][number] != "-")
                counted = sum(strip["counts"].get(str(number), {}).values()) or single
                with self.subTest(database.name, day=day["date"]):
                    self.assertEqual(len(self._listed(database, day)), counted)
                told += counted
        self.assertTrue(told)

    def test_a_day_leads_to_its_runs(self):
        for status in ("failed", "verified"):
            self._run(status, ago(days=1), self.job)
        self._run("verified", ago(hours=1), self.job, "stock")
        self._assert_each_day_leads_to_what_it_counts()

    def test_a_day_that_was_missed_leads_to_the_run_that_says_so(self):
        self._make_due(self.job, at("2026-06-10 02:00:00"))
        self.job._plan_fire(fields.Datetime.now())
        self._assert_each_day_leads_to_what_it_counts()
        day = self._load()["days"][-3]
        self.assertEqual(self._listed(self.sales, day), self.job.run_ids)

    def test_a_day_on_which_nothing_was_due_leads_to_no_run(self):
        self.job.cron_expression = "0 2 * * mon,wed,fri"
        self._known_since(days=90)
        self._make_due(self.job, at("2026-06-10 02:00:00"))
        self.job._plan_fire(fields.Datetime.now())
        self._assert_each_day_leads_to_what_it_counts()

    def test_a_run_that_stands_for_all_of_a_job_is_none_of_a_database_that_it_leaves_out(self):
        job = self._make_job(database_scope="selected", database_ids=self.sales.ids)
        self._known_since(days=90)
        run = self._run("failed", ago(days=2), job, "")
        self._run("failed", ago(days=2), self.job, "")
        self._assert_each_day_leads_to_what_it_counts()
        self.assertIn(run, self._listed(self.sales))
        self.assertNotIn(run, self._listed(self.stock))

    def test_a_run_of_before_the_database_was_known_is_none_of_its(self):
        self._run("failed", ago(days=9), self.job, "")
        self._run("failed", ago(days=2), self.job, "")
        self._known_since(days=5)
        self._assert_each_day_leads_to_what_it_counts()
        self.assertEqual(len(self._listed(self.sales)), 1)

    def test_only_runs_of_some_statuses_are_shown_where_those_are_meant(self):
        good = self._run("verified", ago(days=2), self.job)
        self._run("failed", ago(days=1), self.job)
        self.assertEqual(self._listed(self.sales, statuses=("verified", "success")), good)

    def test_who_may_look_is_led_there_too(self):
        run = self._run("verified", ago(days=1), self.job)
        sales = self.sales.with_user(self._user("user"))
        self.assertIn(run, self._listed(sales))
