from lxml import etree

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tools.safe_eval import safe_eval

from .common import BackupCase


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
        run._record(self._done(run, failed=missed))
        self.assertEqual(run.copy_ids.filtered("can_retry"), missed)
        missed.retry()
        failed = self._running("stock", job=job)
        failed._record({"event": "failed", "error_code": "x", "error": "No.", "retryable": False})
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
