"""Who sees tasks, and what is out of reach on them."""

from odoo.exceptions import AccessError
from odoo.tests import new_test_user

from .test_access import FROM_OPERATOR, FROM_USER, NOBODY, AccessCase

HIDDEN = ("lease_token", "lease_until", "identity_sealed")


class TestAccessToTasks(AccessCase):
    def setUp(self):
        super().setUp()
        self.archive = self._stored()
        self.archive.verify("3", "AGE-SECRET-KEY-1ABC")
        self.verification = self.archive.task_ids

    def test_tasks_are_read_by_all_and_written_by_nobody(self):
        values = {"kind": "sweep", "due_at": "2026-01-01 00:00:00"}
        self._assert_allowed(FROM_USER, self.verification, "read", ["kind", "display_name"])
        self._assert_allowed(NOBODY, self.verification, "write", {"priority": 0})
        self._assert_allowed(NOBODY, self.verification, "unlink")
        self._assert_allowed(NOBODY, self.Task, "create", values)

    def test_operators_cancel_and_whoever_sees_a_task_opens_it(self):
        self._assert_allowed(FROM_OPERATOR, self.verification, "cancel")
        self._assert_allowed(FROM_USER, self.verification, "action_open")

    def test_leases_and_identities_are_out_of_reach(self):
        for name in HIDDEN:
            self._assert_allowed(NOBODY, self.verification, "read", [name])
            self._assert_allowed(NOBODY, self.Task, "search", [(name, "!=", False)])
            self._assert_allowed(NOBODY, self.Task, "formatted_read_group", [], [name])
            self._assert_allowed(NOBODY, self.Run, "search", [(f"task_ids.{name}", "!=", False)])

    def test_what_begins_with_an_underscore_cannot_be_called(self):
        for name in ("_engine_order", "_claim", "_plan", "_remove", "_held", "_record"):
            self._assert_allowed(NOBODY, self.verification, name)

    def test_tasks_of_another_company_are_neither_seen_nor_cancelled(self):
        theirs = self.env["res.company"].create({"name": "Theirs"})
        self.instance.company_id = theirs
        user = new_test_user(
            self.env,
            "task_manager",
            "backup_scheduler.group_backup_manager",
            company_id=self.env.company.id,
            company_ids=[(6, 0, self.env.company.ids)],
        )
        task = self.verification.with_user(user)
        self.assertNotIn(task, task.search([]))
        for method in ("cancel", "action_open"):
            with self.subTest(method), self.assertRaises(AccessError):
                getattr(task, method)()
        self.assertTrue(self.verification.exists())
