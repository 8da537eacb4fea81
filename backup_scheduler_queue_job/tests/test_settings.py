from odoo.addons.backup_scheduler.tests.common import BackupCase
from odoo.addons.queue_job.jobrunner.runner import PG_ADVISORY_LOCK_ID
from odoo.exceptions import ValidationError

from ..hooks import post_init_hook, uninstall_hook
from .common import QueueCase

PARAMETER = "backup_scheduler.executor"


class TestSettings(QueueCase):
    def _chosen(self, value=None):
        """Return what is chosen, after choosing ``value`` where one is given."""
        parameters = self.env["ir.config_parameter"]
        if value is not None:
            parameters.set_param(PARAMETER, value)
        return parameters.get_param(PARAMETER)

    def test_queue_job_can_be_chosen_in_settings(self):
        self._chosen("process")
        self.env["res.config.settings"].create({"backup_executor": "queue_job"}).execute()
        self.assertEqual(self._chosen(), "queue_job")

    def test_queue_job_is_refused_where_each_machine_has_a_folder_of_its_own(self):
        self._chosen("process")
        self.destination.all_machines = False
        settings = self.env["res.config.settings"]
        with self.assertRaisesRegex(ValidationError, "Shared by All Machines"):
            settings.create({"backup_executor": "queue_job"})
        self.destination.active = False
        settings.create({"backup_executor": "queue_job"}).execute()
        self.assertEqual(self._chosen(), "queue_job")
        for change in ({"active": True}, {"active": True, "all_machines": False}):
            with self.assertRaisesRegex(ValidationError, self.destination.name):
                self.destination.write(change)
        self.destination.write({"active": True, "all_machines": True})

    def test_installing_chooses_nothing_where_each_machine_has_a_folder_of_its_own(self):
        self._chosen(False)
        self.destination.all_machines = False
        post_init_hook(self.env)
        self.assertFalse(self._chosen())

    def test_installing_chooses_queue_job_where_nobody_chose(self):
        self._chosen(False)
        post_init_hook(self.env)
        self.assertEqual(self._chosen(), "queue_job")

    def test_installing_leaves_what_somebody_chose(self):
        self._chosen("inline")
        post_init_hook(self.env)
        self.assertEqual(self._chosen(), "inline")

    def test_installing_chooses_nothing_where_no_job_runner_is_at_work(self):
        self._chosen(False)
        self.runner.return_value = False
        post_init_hook(self.env)
        self.assertFalse(self._chosen())

    def test_uninstalling_gives_the_backups_back_to_the_worker(self):
        uninstall_hook(self.env)
        self.assertEqual(self._chosen(), "process")

    def test_the_settings_say_that_no_job_runner_is_at_work(self):
        self.runner.return_value = False
        self.assertTrue(self.env["res.config.settings"].create({}).backup_runner_missing)
        self.runner.return_value = True
        self.assertFalse(self.env["res.config.settings"].create({}).backup_runner_missing)


class TestDoctor(QueueCase):
    def _problems(self, check):
        return [each for each in self.env["backup.doctor"]._examine() if each["check"] == check]

    def test_queue_job_is_an_executor_that_the_doctor_knows(self):
        self.assertFalse(self._problems("executor"))

    def test_the_doctor_names_folders_that_each_machine_has_of_its_own(self):
        self.assertFalse(self._problems("destination"))
        # As an upgrade leaves them, or queue_job chosen by a parameter.
        self.env.cr.execute("UPDATE backup_destination SET all_machines = false")
        self.env.invalidate_all()
        (found,) = self._problems("destination")
        self.assertEqual(found["record"]["id"], self.destination.id)
        self.assertIn("Shared by All Machines", found["problem"])

    def test_the_doctor_misses_a_job_runner_where_queue_job_was_chosen(self):
        self.assertFalse(self._problems("worker"))
        self.runner.return_value = False
        self.assertEqual(len(self._problems("worker")), 1)
        self.env["ir.config_parameter"].set_param(PARAMETER, "process")
        self.assertFalse(self._problems("worker"))


class TestRunner(BackupCase):
    def test_a_job_runner_is_known_by_its_lock(self):
        self.assertFalse(self.dispatcher._runner_is_at_work())
        self.env.cr.execute("SELECT pg_advisory_xact_lock(%s)", (PG_ADVISORY_LOCK_ID,))
        self.assertTrue(self.dispatcher._runner_is_at_work())
