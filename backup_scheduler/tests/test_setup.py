from unittest.mock import patch

from odoo import Command
from odoo.exceptions import AccessError, MissingError
from odoo.tests import Form
from odoo.tools import SQL, mute_logger

from ..engine.errors import ConnectionFailed, InsecureRemote, WrongMasterPassword
from ..engine.sources.http_client import same_address
from .common import PASSWORD, BackupCase, discovering

ADDRESS = "https://crm.example.com"
FOUND = {"version": "18.0", "databases": ["crm", "mail"]}
INSTANCE_LOGGER = "odoo.addons.backup_scheduler.models.instance.backup_instance"


class SetupCase(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.Setup = cls.env["backup.setup"]

    def setUp(self):
        super().setUp()
        # A folder of its own is checked for real; the server is put in.
        discover = discovering(return_value=FOUND)
        self.discover = discover.start()["discover"]
        self.addCleanup(discover.stop)
        checked = {"ok": True, "error_code": False, "error": False, "hint": False}
        check = patch.object(type(self.destination), "check", return_value=checked)
        self.check = check.start()
        self.addCleanup(check.stop)

    def _begin(self, **values):
        return self.Setup.create(
            {
                "url": ADDRESS,
                "name": "CRM",
                "master_password": PASSWORD,
                "destination_ids": [Command.set(self.destination.ids)],
                **values,
            }
        )

    def _at(self, step, **values):
        """Return a set-up that has come to a step."""
        setup = self._begin(**values)
        while setup.step != step:
            before = setup.step
            setup.action_next()
            self.assertNotEqual(setup.step, before, setup.error)
        return setup

    def _refused(self, setup):
        """Press *Next* where it leads nowhere; return the code of the reason."""
        step = setup.step
        with mute_logger(INSTANCE_LOGGER):
            setup.action_next()
        self.assertEqual(setup.step, step)
        return setup.error_code

    def _world(self):
        """Return what a set-up may leave behind, as numbers."""
        models = ("backup.instance", "backup.database", "backup.job", "backup.run")
        return [
            self.env[model].with_context(active_test=False).search_count([]) for model in models
        ]


class TestSecretsOfASetup(SetupCase):
    """A password goes only to the server that it was entered for."""

    def _asked_with(self, setup):
        """Press *Next*; return the address and the password that were used."""
        instances = type(self.env["backup.instance"])
        refused = {"ok": False, "error_code": "wrong_master_password", "error": "No.", "hint": ""}
        with patch.object(instances, "_ask_server", return_value=refused) as asked:
            setup.action_next()
        source = asked.call_args.args[-1]
        return source["url"], source["master_password"]

    def test_what_was_entered_for_one_server_is_not_sent_to_another(self):
        for change in (self._write, self._fill_in):
            with self.subTest(change.__name__):
                setup = self._begin()
                self.assertEqual(self._asked_with(setup), (ADDRESS, PASSWORD))
                change(setup, "https://mallory.example")
                self.assertFalse(setup.has_master_password)
                self.assertEqual(self._asked_with(setup), ("https://mallory.example", ""))
                change(setup, ADDRESS)
                self.assertFalse(setup.has_master_password)

    def _write(self, setup, url):
        setup.write({"url": url})

    def _fill_in(self, setup, url):
        with Form(setup) as form:
            form.url = url

    def test_the_form_says_that_the_password_is_not_sent_there(self):
        setup = self._begin()
        with Form(setup) as form:
            form.url = f"{ADDRESS}/"
            self.assertFalse(form.secrets_to_forget)
            form.url = "https://mallory.example"
            self.assertEqual(form.secrets_to_forget, "Master Password")
            form.master_password = "of the other one"
            self.assertFalse(form.secrets_to_forget)
        self.assertEqual(
            self._asked_with(setup), ("https://mallory.example", "of the other one")
        )

    def test_the_same_server_in_another_spelling_keeps_it(self):
        setup = self._begin()
        setup.url = f"{ADDRESS.upper()}:443/"
        self.assertEqual(self._asked_with(setup)[1], PASSWORD)

    def test_another_server_than_the_chosen_instance_gets_no_password(self):
        setup = self._begin(instance_id=self.instance.id)
        setup.action_leave_instance()
        self.assertFalse(setup.has_master_password)


class TestSetup(SetupCase):
    def test_an_address_that_is_none_is_told_while_it_is_entered_and_on_next(self):
        for url in ("http://[::1", "http://[x]/", "http://h:99999", "http://h\n/"):
            with self.subTest(url):
                with Form(self.Setup) as form:
                    form.url = url
                    form.master_password = PASSWORD
                self._refused(form.record)
                self.assertTrue(form.record.error)

    def test_it_leads_from_the_address_to_runs_that_wait_for_a_worker(self):
        action = self._at("summary").action_start()
        instance = self.env["backup.instance"].search([("url", "=", ADDRESS)])
        self.assertRecordValues(
            instance, [{"name": "CRM", "check_status": "ok", "odoo_version": "18.0"}]
        )
        self.assertEqual(instance._source_order()["master_password"], PASSWORD)
        self.assertRecordValues(
            instance.job_ids,
            [{"database_scope": "all", "cron_expression": "0 2 * * *", "enabled": True}],
        )
        self.assertEqual(instance.job_ids.destination_ids, self.destination)
        self.assertFalse(instance.job_ids.gaps_accepted_by_id)
        runs = instance.run_ids.sorted("database_name")
        self.assertEqual(runs.mapped("database_name"), FOUND["databases"])
        self.assertEqual(set(runs.mapped("status")), {"queued"})
        self.assertEqual(action["domain"], [("id", "in", runs.ids)])

    def test_one_database_leads_to_its_run(self):
        self.discover.return_value = {"version": "18.0", "databases": ["crm"]}
        action = self._at("summary").action_start()
        run = self.env["backup.run"].browse(action["res_id"])
        self.assertEqual((run.database_name, action["views"]), ("crm", [(False, "form")]))

    def test_only_what_is_ticked_is_backed_up(self):
        setup = self._at("databases")
        setup.database_scope = "selected"
        setup.line_ids.filtered(lambda line: line.name == "mail").selected = False
        for _step in range(3):
            setup.action_next()
        setup.action_start()
        job = self.env["backup.job"].search([("instance_id.url", "=", ADDRESS)])
        self.assertEqual(job.database_ids.mapped("name"), ["crm"])
        self.assertEqual(job.run_ids.mapped("database_name"), ["crm"])
        self.assertEqual(job.instance_id.database_ids.mapped("name"), ["crm", "mail"])

    def test_who_accepts_what_the_first_archives_lack_is_remembered_for_them(self):
        manager = self._user("manager")
        setup = self._at("summary", job_name="Gaps", accept_first_gaps=True)
        setup.with_user(manager).sudo().action_start()
        job = self.env["backup.job"].search([("name", "=", "Gaps")])
        self.assertEqual(job.gaps_accepted_by_id, manager)
        with self.assertRaises(AccessError):
            job.with_user(manager).gaps_accepted_by_id = self.env.user

    def test_what_was_chosen_for_the_schedule_is_what_the_job_has(self):
        chosen = {
            "cron_expression": "30 4 * * sun",
            "timezone": "Europe/Paris",
            "retention_mode": "older_than_days",
            "retention_value": 90,
            "job_name": "Weekly",
        }
        setup = self._at("summary", **chosen)
        setup.action_start()
        job = self.env["backup.job"].search([("name", "=", "Weekly")])
        self.assertRecordValues(job, [{key: chosen[key] for key in chosen if key != "job_name"}])

    def test_until_the_last_step_nothing_is_left_behind(self):
        before = self._world()
        setup = self._at("summary")
        self.assertEqual(self._world(), before)
        setup.unlink()
        self.assertEqual(self._world(), before)

    def test_back_and_forth_keeps_what_was_entered(self):
        setup = self._at("databases")
        setup.database_scope = "selected"
        setup.line_ids[0].selected = False
        lines = setup.line_ids
        setup.action_next()
        setup.cron_expression = "0 5 * * *"
        for step in ("databases", "server", "server"):
            setup.action_back()
            self.assertEqual(setup.step, step)
        for _step in range(3):
            setup.action_next()
        self.assertEqual(setup.step, "destination")
        self.assertEqual(setup.line_ids, lines)
        self.assertEqual(lines.mapped("selected"), [False, True])
        self.assertEqual((setup.url, setup.cron_expression), (ADDRESS, "0 5 * * *"))

    def test_what_the_server_has_changed_meanwhile_is_listed_anew(self):
        setup = self._at("databases")
        setup.line_ids[0].selected = False
        setup.action_back()
        self.discover.return_value = {"version": "18.0", "databases": ["crm", "new"]}
        setup.action_next()
        listed = {line.name: line.selected for line in setup.line_ids}
        self.assertEqual(listed, {"crm": False, "new": True})

    def test_the_summary_says_in_words_what_it_will_do_and_what_is_missing(self):
        setup = self._at("summary")
        told = setup.summary.striptags()
        self.assertIn("Backs up all databases of CRM to Vault: at 02:00, every day (UTC).", told)
        self.assertIn("No destination is off this server.", setup.warnings)
        self.assertNotIn("No database", setup.warnings)

    def test_the_form_proposes_a_schedule_a_retention_and_a_destination(self):
        with Form(self.Setup) as form:
            self.assertEqual((form.step, form.cron_expression), ("server", "0 2 * * *"))
            form.url = "crm.example.com"
            self.assertEqual((form.url, form.name), (ADDRESS, "crm.example.com"))
            self.assertTrue(len(form.destination_ids))


class TestSetupRefusals(SetupCase):
    def test_a_server_that_cannot_be_used_is_told_with_what_to_do_and_nothing_is_lost(self):
        cases = (
            WrongMasterPassword("No."),
            ConnectionFailed("No."),
            InsecureRemote("No."),
        )
        for error in cases:
            with self.subTest(error.code):
                self.discover.side_effect = error
                setup = self._begin()
                self.assertEqual(self._refused(setup), error.code)
                self.assertEqual((setup.error, setup.hint), (error.message, error.hint))
                self.assertEqual((setup.url, setup.name), (ADDRESS, "CRM"))
                self.assertTrue(setup.has_master_password)

    def test_the_reason_is_gone_once_it_is_mended(self):
        self.discover.side_effect = WrongMasterPassword("No.")
        setup = self._begin()
        self._refused(setup)
        self.discover.side_effect = None
        setup.master_password = PASSWORD
        setup.action_next()
        self.assertRecordValues(
            setup, [{"step": "databases", "error": False, "error_code": False, "hint": False}]
        )

    def test_an_address_that_is_none_is_refused_without_asking_anybody(self):
        self.assertEqual(self._refused(self._begin(url="https://a b")), "connection_failed")
        self.discover.assert_not_called()

    def test_no_database_no_schedule_no_retention_and_no_destination_are_refused(self):
        setup = self._at("databases")
        setup.database_scope = "selected"
        setup.line_ids.selected = False
        self._refused(setup)
        self.assertIn("No database", setup.error)
        setup.database_scope = "all"
        setup.action_next()
        setup.cron_expression = "99 2 * * *"
        self._refused(setup)
        self.assertIn("minute", setup.error)
        setup.write({"cron_expression": "0 2 * * *", "retention_value": 0})
        self._refused(setup)
        self.assertIn("Keep", setup.error)
        setup.retention_value = 7
        setup.action_next()
        setup.destination_ids = False
        self._refused(setup)
        self.assertIn("No destination", setup.error)

    def test_a_destination_that_fails_its_check_is_refused_by_name(self):
        setup = self._at("destination")
        self.check.return_value = {
            "ok": False, "error_code": "no_space", "error": "Disk full.", "hint": "Free some.",
        }  # fmt: skip
        self.assertEqual(self._refused(setup), "no_space")
        self.assertEqual((setup.error, setup.hint), ("Vault: Disk full.", "Free some."))


class TestSetupOfAnInstance(SetupCase):
    def test_an_address_that_is_an_instance_leads_on_with_it(self):
        self.instance.url = ADDRESS
        self._gone(*FOUND["databases"])
        before = self._world()
        setup = self._begin(url="HTTPS://crm.example.com:443/")
        self.assertEqual(self._refused(setup), "known_instance")
        self.assertEqual(setup.known_instance_id, self.instance)
        self.discover.assert_not_called()
        setup.action_use_known()
        self.assertRecordValues(setup, [{"step": "databases", "instance_id": self.instance.id}])
        for _step in range(3):
            setup.action_next()
        setup.action_start()
        self.assertEqual(self._world()[0], before[0], "no other instance")
        runs = self.instance.job_ids.run_ids.sorted("database_name")
        self.assertEqual(runs.mapped("database_name"), ["crm", "mail"])

    def test_it_can_be_left_for_another_server(self):
        self.instance.url = ADDRESS
        setup = self._begin()
        setup.action_next()
        setup.action_use_known()
        setup.action_leave_instance()
        self.assertRecordValues(setup, [{"step": "server", "instance_id": False, "url": False}])
        self.assertFalse(setup.line_ids)

    def test_an_instance_of_another_company_is_nobody_elses_business(self):
        other = self.env["res.company"].create({"name": "Other"})
        self.instance.write({"url": ADDRESS, "company_id": other.id})
        manager = self._user("manager")
        setup = self.Setup.with_user(manager).create({"url": ADDRESS, "master_password": PASSWORD})
        setup.action_next()
        self.assertEqual(setup.step, "databases")
        with self.assertRaises(AccessError):
            setup.instance_id = self.instance

    def test_protecting_databases_begins_at_the_schedule_with_them_ticked(self):
        stock = self.instance.database_ids.filtered(lambda found: found.name == "stock")
        contexts = (
            {"default_database_names": ["stock"]},
            {"default_database_ids": stock.ids},
        )
        for context in contexts:
            with self.subTest(**context):
                setups = self.Setup.with_context(default_instance_id=self.instance.id, **context)
                setup = Form(setups).save()
                self.assertRecordValues(setup, [{"step": "schedule", "database_scope": "selected"}])
                self.assertEqual(setup._selected_names(), ["stock"])
                setup.destination_ids = self.destination
                setup.action_next()
                setup.action_next()
                setup.action_start()
                job = self.instance.job_ids.sorted("id")[-1]
                self.assertEqual(job.database_ids, stock)
        self.discover.assert_not_called()

    def test_an_instance_without_known_databases_begins_with_its_test(self):
        instance = self._make_instance("New")
        setup = Form(self.Setup.with_context(default_instance_id=instance.id)).save()
        self.assertEqual(setup.step, "server")
        setup.action_next()
        self.assertEqual(setup.line_ids.mapped("name"), FOUND["databases"])

    def test_addresses_are_the_same_however_they_are_written(self):
        cases = (
            ("https://a.example", "https://A.example:443/", True),
            ("http://a.example:80", "http://a.example", True),
            ("https://a.example/odoo/", "https://a.example/odoo", True),
            ("https://a.example", "http://a.example", False),
            ("https://a.example", "https://a.example:8443", False),
            ("https://a.example/one", "https://a.example/two", False),
            ("https://a.example", "nothing", False),
        )
        for one, other, same in cases:
            with self.subTest(f"{one} {other}"):
                self.assertEqual(same_address(one, other), same)


class TestSetupSecrets(SetupCase):
    def _rows(self):
        self.env.flush_all()
        rows = SQL("SELECT string_agg(t::text, ' ') FROM backup_setup t")
        self.env.cr.execute(rows)
        return self.env.cr.fetchone()[0] or ""

    def test_the_password_lies_nowhere_in_plain_and_is_read_by_nobody(self):
        setup = self._begin()
        self.assertNotIn(PASSWORD, self._rows())
        self.assertFalse(setup.master_password)
        self.assertFalse(setup.read(["master_password"])[0]["master_password"])
        with self.assertRaises(AccessError):
            setup.with_user(self.env.ref("base.user_admin")).read(["master_password_sealed"])

    def test_the_password_is_forgotten_once_the_instance_has_it(self):
        setup = self._at("summary")
        setup.action_start()
        self.assertFalse(setup.exists())
        self.assertFalse(self._rows())

    def test_what_was_started_cannot_be_started_again(self):
        setup = self._at("summary")
        setup.action_start()
        made = self._world()
        with self.assertRaises(MissingError):
            setup.action_start()
        self.assertEqual(self._world(), made)

    def test_an_empty_password_keeps_the_one_that_was_entered(self):
        setup = self._begin()
        setup.write({"master_password": False})
        setup.action_next()
        order = self.discover.call_args[0][0]
        self.assertEqual(order["source"]["master_password"], PASSWORD)

    def test_only_managers_set_up(self):
        for group in ("user", "operator"):
            with self.subTest(group), self.assertRaises(AccessError):
                self.Setup.with_user(self._user(group)).create({})
        manager = self._user("manager")
        setup = self.Setup.with_user(manager).create(
            {"url": ADDRESS, "destination_ids": [Command.set(self.destination.ids)]}
        )
        for _step in range(4):
            setup.action_next()
        setup.action_start()
        self.assertTrue(self.env["backup.instance"].search([("url", "=", ADDRESS)]).run_ids)

    def test_what_a_manager_entered_is_out_of_reach_for_the_others(self):
        """Else the password would go to whatever address another one writes there."""
        setup = self.Setup.with_user(self._user("manager")).create(
            {"url": ADDRESS, "master_password": PASSWORD}
        )
        setup.action_next()
        other = self._user("manager", name="Another Manager")
        ways = {
            "read": lambda record: record.read(["url"]),
            "write": lambda record: record.write({"url": "https://evil.example"}),
            "next": lambda record: record.action_next(),
            "start": lambda record: record.action_start(),
            "databases": lambda record: record.line_ids.mapped("name"),
        }
        for name, way in ways.items():
            self.env.invalidate_all()
            with self.subTest(name), self.assertRaises(AccessError):
                way(setup.with_user(other))
        self.assertFalse(self.Setup.with_user(other).search([]))
        lines = setup.line_ids.with_user(other)
        self.env.invalidate_all()
        with self.assertRaises(AccessError):
            lines.read(["name"])
        self.discover.assert_called_once()

    def test_nobody_learns_of_an_instance_that_is_not_theirs(self):
        self.instance.company_id = self.env["res.company"].create({"name": "Other"})
        setups = self.Setup.with_user(self._user("manager"))
        for field in ("instance_id", "known_instance_id"):
            with self.subTest(field), self.assertRaises(AccessError):
                setups.create({"url": ADDRESS, field: self.instance.id})

    def test_nobody_learns_of_a_destination_that_is_not_theirs(self):
        other = self.env["res.company"].create({"name": "Other"})
        self.destination.company_id = other
        manager = self._user("manager")
        with self.assertRaises(AccessError):
            self.Setup.with_user(manager).create(
                {"url": ADDRESS, "destination_ids": [Command.set(self.destination.ids)]}
            )
