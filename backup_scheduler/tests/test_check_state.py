"""What a check found counts for the settings that it was made with."""

from lxml import etree

from odoo.exceptions import UserError
from odoo.tools.safe_eval import safe_eval

from .common import BackupCase, ago

CHANGED = "Not Checked Since the Change"


class TestCheckState(BackupCase):
    def _checked(self, record, status="error", **values):
        record.write({"check_status": status, "last_check_at": ago(hours=1), **values})
        return record

    def _label(self, record):
        return dict(record._fields["check_state"]._description_selection(self.env))[
            record.check_state
        ]

    def _found_by_filter(self, model, name):
        arch = etree.fromstring(self.env[model].get_view(view_type="search")["arch"])
        (node,) = arch.xpath(f"//filter[@name='{name}']")
        return self.env[model].search(safe_eval(node.get("domain")))

    def test_another_way_to_the_server_asks_for_another_test(self):
        found = {"check_code": "timeout", "check_error": "Too slow.\nWait."}
        changes = (
            {"url": "http://127.0.0.2:1"},
            {"master_password": "another"},
            {"verify_tls": False},
            {"allow_insecure": True},
        )
        for status in ("ok", "error"):
            for written in changes:
                with self.subTest(status, **written):
                    instance = self._make_instance(str((status, written)))
                    self._checked(instance, status, **found)
                    instance.write(written)
                    self.assertRecordValues(
                        instance,
                        [{"check_status": False, "check_code": False, "check_error": False}],
                    )
                    self.assertEqual(self._label(instance), CHANGED)

    def test_what_changes_nothing_of_the_way_keeps_what_was_found(self):
        self._checked(self.instance, "ok")
        self.instance.write(
            {"name": "Other", "url": self.instance.url, "verify_tls": True, "max_parallel_runs": 3}
        )
        self.assertEqual(self.instance.check_status, "ok")

    def test_only_those_that_are_changed_are_to_be_checked_again(self):
        other = self._checked(self._make_instance("Other", url="http://127.0.0.2:1"), "ok")
        self._checked(self.instance, "ok")
        (other + self.instance).write({"url": "http://127.0.0.2:1"})
        self.assertEqual((other + self.instance).mapped("check_status"), ["ok", False])

    def test_a_change_that_is_refused_forgets_nothing(self):
        self._checked(self.instance, "ok")
        with self.assertRaises(UserError), self.env.cr.savepoint():
            self.instance.url = "no address"
        self.env.invalidate_all()
        self.assertEqual(self.instance.check_status, "ok")

    def test_the_next_answer_of_the_server_counts_again(self):
        self._checked(self.instance, "ok").url = "http://127.0.0.2:1"
        self.instance._record_server("19.0", ["sales"])
        self.assertEqual(self._label(self.instance), "Reachable")

    def test_each_state_has_its_name(self):
        for record, good in ((self.instance, "Reachable"), (self.destination, "Usable")):
            self.assertEqual(self._label(record), "Not Checked Yet")
            for status, label in (("ok", good), ("error", "Failing"), (False, CHANGED)):
                self._checked(record, status)
                self.assertEqual(self._label(record), label)

    def test_the_filter_finds_what_was_changed_and_nothing_else(self):
        for record in (self.instance, self.destination):
            with self.subTest(record._name):
                self.assertNotIn(record, self._found_by_filter(record._name, "changed"))
                self._checked(record, "ok")
                self.assertNotIn(record, self._found_by_filter(record._name, "changed"))
                record.check_status = False
                self.assertIn(record, self._found_by_filter(record._name, "changed"))

    def test_lists_cards_and_forms_show_the_state_by_its_name(self):
        for model in ("backup.instance", "backup.destination"):
            for kind in ("list", "kanban", "form"):
                with self.subTest(model, kind=kind):
                    arch = etree.fromstring(self.env[model].get_view(view_type=kind)["arch"])
                    self.assertTrue(arch.xpath("//field[@name='check_state'][@widget='badge']"))
                    self.assertFalse(arch.xpath("//field[@name='check_status'][@widget]"))

    def test_groups_without_a_result_have_a_name(self):
        for model in ("backup.instance", "backup.destination"):
            field = self.env[model].fields_get(["check_status"])["check_status"]
            self.assertEqual(field["falsy_value_label"], "Not Checked")
