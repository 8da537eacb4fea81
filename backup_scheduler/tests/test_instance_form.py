from lxml import etree

from odoo.exceptions import AccessError
from odoo.fields import Domain
from odoo.tests import Form
from odoo.tools.safe_eval import safe_eval

from ..engine.errors import WrongMasterPassword
from .common import BackupCase, ago, discovering

INSTANCE_LOGGER = "odoo.addons.backup_scheduler.models.instance.backup_instance"


class TestInstanceForm(BackupCase):
    def _test(self, instance, **answer):
        with discovering(**answer):
            return instance.action_test_connection()

    def test_a_failed_test_is_told_with_its_reason_and_what_to_do(self):
        error = WrongMasterPassword("The server does not accept the master password.")
        with self.assertLogs(INSTANCE_LOGGER, "WARNING"):
            self._test(self.instance, side_effect=error)
        self.assertRecordValues(
            self.instance,
            [
                {
                    "check_status": "error",
                    "check_code": "wrong_master_password",
                    "check_reason": error.message,
                    "check_hint": error.hint,
                }
            ],
        )

    def test_the_reason_is_told_without_the_full_stop_that_the_notification_sets(self):
        error = WrongMasterPassword("The server does not accept the master password.")
        with self.assertLogs(INSTANCE_LOGGER, "WARNING"):
            told = self._test(self.instance, side_effect=error)["params"]
        self.assertEqual(told["title"], "The server does not accept the master password")
        self.assertEqual(told["message"], error.hint)

    def test_a_test_that_succeeds_forgets_the_reason(self):
        self.instance.write({"check_status": "error", "check_code": "timeout", "check_error": "x"})
        self._test(self.instance, return_value={"version": "19.0", "databases": ["sales"]})
        self.assertRecordValues(
            self.instance, [{"check_status": "ok", "check_code": False, "check_reason": ""}]
        )

    def test_the_next_step_leads_from_the_address_to_the_job(self):
        instance = self._make_instance("New")
        self.assertEqual(instance.next_step, "test")
        self._test(instance, return_value={"version": "19.0", "databases": ["one"]})
        self.assertEqual(instance.next_step, "job")
        self._make_job(instance_id=instance.id)
        self.assertFalse(instance.next_step)

    def test_an_instance_that_is_not_saved_has_no_next_step(self):
        self.assertFalse(Form(self.env["backup.instance"]).next_step)

    def test_the_databases_are_counted_by_how_they_are_protected(self):
        self.assertEqual(self.instance.unprotected_count, 2)
        self._stored()
        self.env.invalidate_all()
        self.assertRecordValues(
            self.instance,
            [{"protected_count": 1, "pending_count": 1, "late_count": 0, "unprotected_count": 0}],
        )

    def test_the_age_of_the_last_good_backup_is_told_in_words(self):
        run = self._stored()
        run.finished_at = ago(hours=3)
        sales, stock = self.instance.database_ids.sorted("name")
        self.assertEqual(sales.last_good_age, "3 hours ago")
        self.assertEqual(sales.last_good_size, run.size)
        self.assertEqual(sales.action_open_last_good()["res_id"], run.id)
        self.assertFalse(stock.last_good_age)

    def _listed(self, action):
        """Return what the list of an action shows at first, its filters switched on."""
        model = self.env[action["res_model"]]
        arch = etree.fromstring(model.get_view(view_type="search")["arch"])
        domain = Domain(action["domain"])
        for key in action["context"]:
            if name := key.partition("search_default_")[2]:
                (node,) = arch.xpath(f"//filter[@name='{name}']")
                domain &= Domain(safe_eval(node.get("domain")))
        return model.search(domain)

    def test_each_button_leads_to_as_many_as_it_counts(self):
        instance, other = self.instance, self._make_instance("Other", ["sales"])
        self._make_run(job=self._make_job())
        self._make_run(job=self._make_job(instance_id=other.id))
        incidents = self.env["backup.incident"]
        for database in ("sales", "stock"):
            place = {"instance_id": instance.id, "database_name": database, "job_key": 0}
            incidents._see("verify_failed", place)
        incidents.search([("instance_id", "=", instance.id)], limit=1)._recover()
        self._gone("sales")
        self.env.invalidate_all()
        for field, button in (
            ("database_count", "action_open_databases"),
            ("job_count", "action_open_jobs"),
            ("run_count", "action_open_runs"),
            ("open_incident_count", "action_open_incidents"),
        ):
            with self.subTest(button):
                self.assertEqual(instance[field], 1)
                self.assertEqual(len(self._listed(getattr(instance, button)())), 1)

    def test_of_many_databases_the_first_are_named_and_all_are_counted(self):
        names = [f"tenant_{number:03}" for number in range(300)]
        for found, told in (
            ([], "It has no database."),
            (["one", "two"], "Databases: one, two"),
            (names, f"300 databases: {', '.join(names[:10])} and 290 more"),
        ):
            with self.subTest(len(found)):
                answer = {"version": "19.0", "databases": found}
                action = self._test(self._make_instance("Many"), return_value=answer)
                self.assertEqual(action["params"]["message"], told)

    def test_deleting_a_job_on_the_form_leaves_runs_and_archives(self):
        run = self._stored()
        job = run.job_id
        job.with_user(self._user("manager")).action_delete()
        self.assertFalse(job.exists())
        self.assertEqual((run.status, run.copy_ids.status), ("verified", "stored"))

    def test_only_managers_delete_jobs(self):
        job = self._make_job()
        for group in ("user", "operator"):
            with self.subTest(group), self.assertRaises(AccessError):
                job.with_user(self._user(group)).action_delete()

    def test_an_unprotected_database_leads_to_its_job(self):
        sales = self.instance.database_ids.sorted("name")[0]
        context = sales.action_protect()["context"]
        self.assertEqual(context["default_instance_id"], self.instance.id)
        self.assertEqual(context["default_database_ids"], sales.ids)


class TestEmptyLists(BackupCase):
    def test_who_may_set_up_is_led_there_and_others_are_not(self):
        for group, led in (("user", False), ("operator", False), ("manager", True)):
            user = self._user(group)
            for model in ("backup.instance", "backup.job", "backup.run", "backup.database"):
                actions = self.env["ir.actions.act_window"].with_user(user)
                xmlid = f"{model.replace('.', '_scheduler.backup_', 1)}_action"
                with self.subTest(group=group, model=model):
                    told = actions._for_xml_id(xmlid)["help"]
                    self.assertIn("<p", told)
                    self.assertEqual("backup_setup_action" in told, led)
