"""Kinds of destination and source, also those whose addon this database does not have."""

from unittest.mock import patch

from lxml import etree

from odoo.exceptions import UserError, ValidationError
from odoo.tests import Form
from odoo.tools import mute_logger

from .. import kinds
from ..engine.destinations import KINDS as DESTINATIONS
from ..engine.sources import KINDS as SOURCES
from ..engine.sources.http import HttpSource
from ..models.backup_kind_mixin import sealed_name
from .common import BackupCase
from .test_setup import INSTANCE_LOGGER


class TestKindsOfSource(BackupCase):
    def test_each_setting_of_each_kind_is_a_field_of_an_instance_and_of_its_set_up(self):
        for model in (self.env["backup.instance"], self.env["backup.setup"]):
            for _kind, name, setting in model._all_settings():
                with self.subTest(f"{model._name}: {name}"):
                    self.assertEqual(model._fields[name].string, setting.label)
                    self.assertEqual(setting.secret, sealed_name(name) in model._fields)
                    self.assertEqual(setting.secret, f"has_{name}" in model._fields)

    def test_the_fields_are_called_as_scripts_know_them(self):
        names = [name for name, _setting in self.instance._settings_of("http")]
        self.assertEqual(names, ["url", "master_password", "verify_tls", "allow_insecure"])

    def test_the_form_shows_the_settings_of_the_kind_that_is_chosen(self):
        for model in ("backup.instance", "backup.setup"):
            arch = etree.fromstring(self.env[model].get_view(view_type="form")["arch"])
            for kind, name, _setting in self.env[model]._all_settings():
                with self.subTest(f"{model}: {name}"):
                    (node,) = arch.xpath(f"//field[@name='{name}']")
                    hidden = [node, *node.iterancestors()]
                    told = " ".join(each.get("invisible") or "" for each in hidden)
                    self.assertIn(f"connection != '{kind}'", told)

    def test_an_order_names_what_is_secret_in_it(self):
        order = self.instance._source_order()
        self.assertEqual(order["secrets"], ["master_password"])
        self.assertNotIn("code", order)

    def test_a_required_setting_and_what_the_kind_does_not_like_are_told(self):
        for url, told in ((False, "Address: enter a value"), ("ftp://x", "is not an address")):
            with self.subTest(url), self.assertRaisesRegex(ValidationError, told):
                self.instance.url = url

    def test_no_archive_is_restored_through_a_connection_that_only_reads(self):
        run = self._stored()
        with (
            patch.object(HttpSource, "CAN_RESTORE", False),
            self.assertRaisesRegex(UserError, "cannot be restored to Shop"),
        ):
            run.restore("back", self.instance.id)
        self.assertTrue(run.restore("back", self.instance.id))


class TestMissingKind(BackupCase):
    """An addon was uninstalled: its records stay, say so, and are in nobody's way."""

    def setUp(self):
        super().setUp()
        self._sql("UPDATE backup_destination SET kind = 'tape' WHERE id = %s", self.destination.id)
        self._sql("UPDATE backup_instance SET connection = 'modem' WHERE id = %s", self.instance.id)
        self.env.invalidate_all()

    def test_lists_and_forms_open_and_say_what_is_missing(self):
        for record, kind, field in (
            (self.destination, "tape", "kind"), (self.instance, "modem", "connection"),
        ):  # fmt: skip
            with self.subTest(kind):
                self.assertIn(f"kind “{kind}” is not available", record.kind_error)
                self.assertIn((kind, f"{kind} (not available)"),
                              record.fields_get([field])[field]["selection"])  # fmt: skip
                record.web_search_read([], {field: {}, "name": {}, "stored_secrets": {}})
                with Form(record) as form:
                    form.name = "Renamed"
                self.assertEqual(record.name, "Renamed")

    def test_a_check_tells_it(self):
        with mute_logger(INSTANCE_LOGGER):
            answer = self.instance.test_connection()
        self.assertEqual((answer["ok"], answer["error_code"]), (False, "kind_missing"))
        self.assertEqual(self.instance.check_code, "kind_missing")
        answer = self.destination.check()
        self.assertEqual((answer["ok"], answer["error_code"]), (False, "kind_missing"))
        self.assertEqual(self.destination.check_status, "error")

    def test_the_doctor_names_it_and_goes_on(self):
        other = self._make_destination("Other", path="/dev/null/archives")
        told = str(self.env["backup.doctor"]._examine_destinations())
        self.assertIn("kind “tape” is not available", told)
        self.assertIn(other.name, told)

    def test_it_is_one_copy_of_a_run_that_fails(self):
        run = self._running()
        (order,) = run.copy_ids._engine_orders()
        self.assertEqual((order["kind"], order["settings"], order["code"]), ("tape", {}, {}))

    def test_nothing_is_imported_from_it_or_restored_to_it(self):
        with self.assertRaisesRegex(UserError, "is not available"):
            self.destination.import_archives()
        other = self._make_destination("Other", path="/var/other")
        run = self._stored(job=self._make_job(destination_ids=other.ids))
        with self.assertRaisesRegex(UserError, "is not available"):
            run.restore("back", self.instance.id)


class TestRegistration(BackupCase):
    def test_a_kind_is_of_an_addon_and_its_name_begins_fields(self):
        for name, target in (
            ("Tape", "odoo.addons.tape.tape:Tape"), ("tape drive", "odoo.addons.tape.tape:Tape"),
            ("tape", "tape:Tape"),
        ):  # fmt: skip
            with self.subTest(name), self.assertRaisesRegex(ValueError, "registered as"):
                kinds.register_destination(name, target)
        self.assertNotIn("tape", DESTINATIONS.names())

    def test_what_another_database_has_is_none_of_this_one(self):
        target = "odoo.addons.tape.tape:Tape"
        for registry, model in ((DESTINATIONS, "backup.destination"), (SOURCES, "backup.instance")):
            with patch.dict(registry.targets, {"tape": target}), self.subTest(model):
                self.assertNotIn("tape", self.env[model]._kind_names())
                self.assertNotIn("tape", dict(self.env[model]._kind_selection()))
