from lxml import etree

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tools.safe_eval import safe_eval

from .common import SIZE, BackupCase, failure


class TestRunViews(BackupCase):
    def test_verifying_from_the_list_says_that_it_was_asked_for(self):
        runs = self._stored("sales") + self._stored("stock")
        action = runs.with_user(self._user("operator")).action_verify()
        self.assertEqual(action["tag"], "display_notification")
        self.assertIn("2 archives", action["params"]["message"])
        self.assertTrue(all(run.verification_requested_at for run in runs))

    def test_who_only_looks_cannot_ask_for_it(self):
        run = self._stored()
        with self.assertRaises(AccessError):
            run.with_user(self._user("user")).action_verify()
        self.assertFalse(run.verification_requested_at)

    def test_a_copy_is_offered_to_be_retried_only_where_there_is_another_one(self):
        second = self._make_destination("Second")
        job = self._make_job(destination_ids=[(6, 0, (self.destination + second).ids)])
        run = self._running(job=job)
        missed = run.copy_ids[0]
        self._report(run, self._done(run, failed=missed))
        self.assertEqual(run.copy_ids.filtered("can_retry"), missed)
        missed.retry()
        failed = self._running("stock", job=job)
        self._report(failed, failure(retryable=False))
        self.assertEqual(set(failed.copy_ids.mapped("status")), {"failed"})
        self.assertFalse(any(failed.copy_ids.mapped("can_retry")))
        with self.assertRaises(UserError):
            failed.copy_ids[0].retry()

    def test_each_filter_of_the_runs_finds_what_it_says(self):
        good = self._stored("sales")
        bad = self._make_run("stock", scheduled_at=fields.Datetime.now())
        bad.status = "failed"
        arch = self.Run.get_views([(False, "search")])["views"]["search"]["arch"]
        expected = {
            "good": good, "failed": bad, "not_good": bad, "verified": good, "today": bad,
            "mine": good + bad, "stored": good, "active": self.Run,
        }  # fmt: skip
        for name, runs in expected.items():
            with self.subTest(name):
                domain = self._domain(arch, name)
                self.assertEqual(self.Run.search([*domain, ("id", "in", (good + bad).ids)]), runs)

    def _domain(self, arch, name):
        (node,) = etree.fromstring(arch).xpath(f"//filter[@name='{name}']")
        return safe_eval(node.get("domain"), {"uid": self.env.uid})

    def test_size_and_duration_are_measured_as_averages_and_nothing_else_is(self):
        measures = {
            name: field["aggregator"]
            for name, field in self.Run.fields_get(attributes=["type", "aggregator"]).items()
            if field["type"] in ("float", "integer") and field.get("aggregator") and name != "id"
        }
        self.assertEqual(measures, {"size": "avg", "duration": "avg", "stored_copies": "sum"})

    def test_runs_of_no_known_database_make_a_group_that_has_a_name_and_finds_them(self):
        run = self._make_run("", scheduled_at=fields.Datetime.now())
        mine = [("id", "in", (run + self._stored("sales")).ids)]
        for name, groups in (
            ("pivot", self.Run.formatted_read_grouping_sets(mine, [["database_name"]])[0]),
            ("list", self.Run.formatted_read_group(mine, ["database_name"])),
        ):
            with self.subTest(name):
                nameless = [group for group in groups if group["database_name"] is False]
                self.assertEqual(len(nameless), 1, "the web client names what is false")
                found = self.Run.search([*mine, *nameless[0]["__extra_domain"]])
                self.assertEqual(found, run)
                self.assertFalse([group for group in groups if group["database_name"] == ""])
        (field,) = self.Run.fields_get(["database_name"], ["falsy_value_label"]).values()
        self.assertEqual(field["falsy_value_label"], "Database not known")

    def test_runs_without_an_archive_do_not_lower_the_average_size(self):
        run = self._stored("sales")
        run.duration = 20
        runs = run + self._make_run("sales", scheduled_at=fields.Datetime.now())
        mine = [("id", "in", runs.ids)]
        groups = self.Run.formatted_read_group(mine, [], ["size:avg", "duration:avg", "__count"])
        self.assertEqual(
            {name: groups[0][name] for name in ("size:avg", "duration:avg", "__count")},
            {"size:avg": SIZE, "duration:avg": 20, "__count": 2},
        )
