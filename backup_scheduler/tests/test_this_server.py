"""The databases of this very server: who may have them backed up, and how little that takes."""

import os
from unittest.mock import patch

from odoo import Command, release, tools
from odoo.exceptions import AccessError, ValidationError
from odoo.tests import Form, new_test_user
from odoo.tools import mute_logger

from ..engine.errors import DumpProgramTooOld
from ..engine.sources.local import LocalSource
from .common import BackupCase, discovering

NAME = "backup_scheduler.group_backup_manager"
INSTANCE_LOGGER = "odoo.addons.backup_scheduler.models.instance.backup_instance"


class ThisServerCase(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["res.company"].create({"name": "Theirs"})
        cls.sharing = cls.env.ref("base.user_admin")
        cls.sharing.group_ids = [Command.link(cls.env.ref(NAME).id)]
        # Allowed in one of two companies.
        cls.manager = new_test_user(cls.env, "one_company", NAME)

    def _this(self, user=None, **values):
        instances = self.env["backup.instance"].with_user(user or self.sharing)
        return instances.create({"name": "Here", "connection": "local", **values})


class TestThisServer(ThisServerCase):
    def test_its_order_has_what_odoo_itself_works_with(self):
        order = self._this()._source_order()
        self.assertEqual(order["connection"], "local")
        self.assertEqual(order["secrets"], [])
        self.assertEqual(order["server"], self.env["backup.restore"]._own_server())
        here = tools.config.filestore(self.env.cr.dbname)
        self.assertEqual(os.path.join(order["filestores"], self.env.cr.dbname), here)
        self.assertEqual(order["release"]["version"], release.version)

    def test_only_the_databases_that_odoo_serves_are_its_own(self):
        instance = self._this()
        with patch.dict(tools.config.options, {"db_name": ["a", "b"], "dbfilter": ""}):
            self.assertEqual(instance._source_order()["names"], ["a", "b"])
        with patch.dict(tools.config.options, {"db_name": ["a", "b"], "dbfilter": ".*"}):
            self.assertEqual(instance._source_order()["names"], [])

    def test_it_is_asked_without_a_password_and_without_a_database_manager(self):
        instance = self._this()
        with patch.dict(tools.config.options, {"list_db": False}):
            answer = instance.test_connection()
        self.assertTrue(answer["ok"], answer)
        self.assertEqual(answer["odoo_version"], release.version)
        self.assertIn(self.env.cr.dbname, answer["databases"])
        self.assertIn(self.env.cr.dbname, instance.database_ids.mapped("name"))
        self.assertEqual(instance.check_status, "ok")

    def test_what_is_wrong_with_pg_dump_is_told(self):
        error = DumpProgramTooOld("It is too old.", hint="Install the package.")
        with patch.object(LocalSource, "probe", side_effect=error), mute_logger(INSTANCE_LOGGER):
            answer = self._this().test_connection()
        self.assertEqual(answer["error_code"], "pg_dump_too_old")
        self.assertEqual(answer["hint"], "Install the package.")

    def test_its_archives_are_trusted_and_it_has_no_company(self):
        instance = self._this()
        self.assertTrue(instance.trusted)
        self.assertFalse(instance.company_id)
        self.assertFalse(self._this(trusted=False).trusted)

    def test_an_instance_becomes_this_server_and_another_one_again(self):
        instance = self.instance.with_user(self.sharing)
        self.assertFalse(instance.trusted)
        instance.connection = "local"
        self.assertTrue(instance.trusted)
        self.assertFalse(instance.company_id)
        instance.write({"connection": "http"})
        self.assertFalse(instance.trusted)

    def test_it_belongs_to_no_company(self):
        with self.assertRaisesRegex(ValidationError, "leave it empty"):
            self._this(company_id=self.env.company.id)
        instance = self._this()
        with self.assertRaisesRegex(ValidationError, "leave it empty"):
            instance.company_id = self.env.company

    def test_the_form_asks_for_nothing_but_a_name(self):
        with Form(self.env["backup.instance"].with_user(self.sharing)) as form:
            form.connection = "local"
            self.assertEqual(form.name, "This server")
            self.assertTrue(form.trusted)
        self.assertEqual(form.record.connection, "local")

    def test_it_is_no_target_of_a_restore_through_a_connection(self):
        run = self._stored(job=self._make_job(instance_id=self._this().id))
        wizard = self.env["backup.restore.wizard"].create({"run_id": run.id})
        self.assertEqual(wizard.target, "server")
        self.assertFalse(wizard.instance_id)

    def test_its_archive_can_be_described_beside_it(self):
        run = self._make_run(job=self._make_job(instance_id=self._this().id))
        run.started_at = run.scheduled_at
        self.assertEqual(run._catalogue()["url"], "")


class TestWhoseServer(ThisServerCase):
    def test_who_decides_for_one_company_does_not_have_it_backed_up(self):
        values = {"company_id": False}
        for more in ({}, values, {"company_id": self.manager.company_id.id}):
            with self.subTest(more), self.assertRaises(AccessError):
                self._this(self.manager, **more)
        with self.assertRaises(AccessError):
            self.env["backup.instance"].with_user(self.manager).with_context(
                default_connection="local", default_company_id=False
            ).create({"name": "Sly"})

    def test_an_instance_of_theirs_does_not_become_it(self):
        own = self._make_instance("Own", company_id=self.manager.company_id.id)
        with self.assertRaises(AccessError):
            own.with_user(self.manager).write({"connection": "local"})
        with self.assertRaises(AccessError):
            own.with_user(self.manager).write({"connection": "local", "company_id": False})

    def test_no_set_up_lists_its_databases_for_them(self):
        setup = self.env["backup.setup"].with_user(self.manager).create({"connection": "local"})
        with patch.object(LocalSource, "probe") as probe:
            setup.action_next()
        probe.assert_not_called()
        self.assertEqual(setup.step, "server")
        self.assertIn("all companies", setup.error)

    def test_they_make_no_job_of_it(self):
        instance = self._this()
        with self.assertRaises(AccessError):
            self.Job.with_user(self.manager).create({"name": "Sly", "instance_id": instance.id})

    def test_they_neither_restore_nor_download_nor_delete_its_archives(self):
        run = self._stored(job=self._make_job(instance_id=self._this().id))
        theirs = run.with_user(self.manager)
        for act in (
            lambda: theirs.restore("sly"),
            theirs.delete_archives,
            # As the download asks.
            theirs._require_manager,
        ):
            with self.assertRaisesRegex(AccessError, "all companies"):
                act()
        self.assertEqual(run.copy_ids.mapped("status"), ["stored"])
        run.with_user(self.sharing)._require_manager()
        other = self._stored()
        other.with_user(self.manager)._require_manager()


class TestSetUpThisServer(ThisServerCase):
    def setUp(self):
        super().setUp()
        self.env["backup.instance"].with_context(active_test=False).search([]).active = False
        nothing = patch.object(
            type(self.env["backup.instance"]), "search_count", return_value=0
        )
        self.nothing = nothing.start()
        self.addCleanup(nothing.stop)
        checked = {"ok": True, "error_code": False, "error": False, "hint": False}
        check = patch.object(type(self.destination), "check", return_value=checked)
        self.check = check.start()
        self.addCleanup(check.stop)

    def _setup(self, **values):
        setups = self.env["backup.setup"].with_user(self.sharing)
        values = {"destination_ids": [Command.set(self.destination.ids)], **values}
        return setups.create(values)

    def test_the_first_set_up_begins_with_it(self):
        self.assertEqual(self._setup().connection, "local")
        self.assertEqual(self._setup(url="https://shop.example.com").connection, "http")
        others = self.env["backup.setup"].with_user(self.manager)
        self.assertEqual(others.create({}).connection, "http")
        self.nothing.return_value = 1
        self.assertEqual(self._setup().connection, "http")

    def test_it_is_the_first_that_is_offered(self):
        kinds = self.env["backup.setup"]._kind_selection()
        self.assertEqual(kinds[0], ("local", "This server"))

    def test_one_click_leads_to_a_run_of_each_database(self):
        with discovering(return_value={"version": "19.0", "databases": ["shop", "test"]}):
            action = self._setup().action_start_now()
        self.assertEqual(action["res_model"], "backup.run")
        instance = self.env["backup.instance"].search([("connection", "=", "local")])
        self.assertEqual(instance.name, "This server")
        self.assertRecordValues(
            instance.job_ids, [{"enabled": True, "database_scope": "all", "name":
                                "Backup of This server"}]
        )  # fmt: skip
        self.assertEqual(set(instance.run_ids.mapped("database_name")), {"shop", "test"})
        self.assertEqual(instance.check_status, "ok")

    def test_one_click_stops_where_something_is_wrong(self):
        self.check.return_value = {
            "ok": False, "error_code": "no_space", "error": "It is full.", "hint": "Free some."
        }  # fmt: skip
        setup = self._setup()
        with discovering(return_value={"version": "19.0", "databases": ["shop"]}):
            setup.action_start_now()
        self.assertEqual(setup.step, "destination")
        self.assertIn("It is full", setup.error)
        self.assertFalse(self.env["backup.instance"].search([("connection", "=", "local")]))

    def test_its_archives_go_to_no_destination_of_one_company(self):
        owned = self._make_destination("Owned", company_id=self.env.company.id)
        setup = self._setup(destination_ids=[Command.set(owned.ids)])
        with discovering(return_value={"version": "19.0", "databases": ["shop"]}):
            setup.action_start_now()
        self.assertEqual(setup.step, "destination")
        self.assertIn("Owned belongs to a company", setup.error)
        proposed = self.env["backup.setup"].with_user(self.sharing).create({})
        self.assertFalse(proposed.destination_ids.company_id)

    def test_a_second_set_up_leads_to_the_instance_that_it_is(self):
        instance = self._this()
        setup = self._setup()
        setup.action_next()
        self.assertEqual(setup.known_instance_id, instance)
