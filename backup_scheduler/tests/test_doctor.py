import datetime
import os
import socket
import tempfile
from unittest.mock import patch

from cryptography.fernet import Fernet

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import Form
from odoo.tools.convert import convert_file

from ..models.backup_secret_mixin import KEY_VARIABLE, SecretKeyError
from .common import BackupCase, ago

MODULE = "odoo.addons.backup_scheduler.models.doctor.backup_doctor"
SCHEDULED_ACTIONS = (
    "ir_cron_dispatch", "ir_cron_execute", "ir_cron_watch", "ir_cron_digest", "ir_cron_notify",
)  # fmt: skip


class TestDoctor(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.doctor = cls.env["backup.doctor"]
        cls.cron = cls.env.ref("backup_scheduler.ir_cron_dispatch")
        # Destinations that come with the installation may lie where these tests cannot write.
        cls.env["backup.destination"].search([("id", "!=", cls.destination.id)]).active = False

    def setUp(self):
        super().setUp()
        self._set_cron(lastcall=fields.Datetime.now())

    def _set_cron(self, **values):
        """Write to the cron as Odoo itself does: by SQL, since a form refuses a running one."""
        for name, value in values.items():
            self.env.cr.execute(f"UPDATE ir_cron SET {name} = %s WHERE id = %s",  # noqa: S608
                                (value, self.cron.id))
        self.cron.invalidate_recordset()

    def _upgrade(self, *names):
        for name in names:
            convert_file(self.env, "backup_scheduler", f"data/{name}.xml", {}, mode="update")

    def _checks(self):
        return [found["check"] for found in self.doctor._examine()]

    def test_where_all_is_well_there_is_nothing_to_tell(self):
        self.assertEqual(self.doctor._examine(), [])
        health = self.doctor.health()
        self.assertEqual((health["ok"], health["problems"]), (True, []))
        self.assertEqual(
            health["last_dispatch_at"], fields.Datetime.to_string(self.cron.lastcall)
        )

    def test_a_dispatcher_that_is_more_than_five_minutes_late_is_told(self):
        created_at = ago(days=1)
        for minutes, late in ((4, False), (6, True)):
            with self.subTest(minutes):
                self._set_cron(lastcall=ago(minutes=minutes), create_date=created_at)
                self.assertEqual(self.doctor.health()["ok"], not late)
        self.assertIn("6 minutes", self.doctor.health()["problems"][0]["problem"])

    def test_a_dispatcher_that_never_ran_is_late_from_its_installation_on(self):
        self._set_cron(lastcall=None, create_date=ago(minutes=1))
        self.assertTrue(self.doctor.health()["ok"])
        self._set_cron(create_date=ago(minutes=10))
        self.assertFalse(self.doctor.health()["ok"])

    def test_a_dispatcher_that_is_off_is_told_and_by_whom(self):
        for failures, words in ((0, "is switched off"), (5, "Odoo has switched")):
            with self.subTest(words):
                self._set_cron(active=False, failure_count=failures)
                (found,) = self.doctor.health()["problems"]
                self.assertIn(words, found["problem"])
                self.assertIn("set it active", found["hint"])

    def test_a_dispatcher_that_was_deleted_is_told_wherever_people_look(self):
        self.cron.unlink()
        health = self.doctor.health()
        self.assertEqual((health["ok"], health["last_dispatch_at"]), (False, False))
        (found,) = health["problems"]
        self.assertIn("was deleted", found["problem"])
        self.assertEqual(self.doctor._examine(), [found])
        self.assertEqual(self.env["backup.overview"].load()["health"], [found])
        with Form(self.env["res.config.settings"]) as form:
            self.assertIn("was deleted", form.backup_problems)
            self.assertFalse(form.backup_last_dispatch_at)

    def test_an_upgrade_brings_deleted_scheduled_actions_and_templates_back(self):
        for name in (*SCHEDULED_ACTIONS, "mail_template_alert", "mail_template_digest"):
            self.env.ref(f"backup_scheduler.{name}").unlink()
        self._upgrade("ir_cron_data", "backup_alert_data", "mail_template_data")
        for name in (*SCHEDULED_ACTIONS, "mail_template_alert", "mail_template_digest"):
            self.assertTrue(self.env.ref(f"backup_scheduler.{name}"))

    def test_what_people_do_waits_for_a_dispatcher_that_was_deleted(self):
        self.cron.unlink()
        job = self._make_job()
        runs = self.Run.browse(job.run_now())
        runs.cancel()
        runs.retry()
        self.instance.database_ids[0].run_now()
        self.assertEqual(set(job.run_ids.mapped("status")), {"queued"})

    def test_cron_threads_without_their_scheduled_actions_are_told(self):
        self.env["ir.config_parameter"].set_param("backup_scheduler.executor", "inline")
        self.assertEqual(self.doctor._examine(), [])
        self._make_run()
        for name in ("ir_cron_execute", "ir_cron_notify"):
            action = self.env.ref(f"backup_scheduler.{name}")
            action.active = False
            self.assertIn(action.name, self.doctor._examine()[0]["problem"])
            action.unlink()
            (found,) = self.doctor._examine()
            self.assertEqual(found["check"], "executor")
            with patch.object(type(self.env["ir.cron"]), "_commit_progress"):
                self.dispatcher._hand_over(self.dispatcher._places_to_hand_over())
            self._upgrade("ir_cron_data", "backup_alert_data")

    def test_only_who_may_look_at_jobs_hears_of_it(self):
        stranger = self.env["res.users"].create({"name": "Stranger", "login": "stranger"})
        with self.assertRaises(AccessError):
            self.doctor.with_user(stranger).health()

    def test_an_unknown_executor_is_told(self):
        self.env["ir.config_parameter"].set_param("backup_scheduler.executor", "horses")
        self.assertEqual(self._checks(), ["executor"])

    def test_a_run_that_waits_without_a_worker_is_told(self):
        run = self._make_run()
        self.env.flush_all()
        run.task_ids.write({"requested_at": ago(minutes=10), "due_at": ago(minutes=10)})
        self.assertEqual(self._checks(), ["worker"])

    def test_folders_that_cannot_be_used_are_told(self):
        with tempfile.NamedTemporaryFile() as file:
            self.destination.path = os.path.join(file.name, "below a file")
            self.env["ir.config_parameter"].set_param("backup_scheduler.spool_folder", file.name)
            self.assertEqual(self._checks(), ["spool", "destination"])

    def test_a_disk_that_is_all_but_full_is_told(self):
        with patch(f"{MODULE}.free_space", return_value=1000):
            self.assertEqual(self._checks(), ["spool"])

    def test_a_key_that_opens_no_secret_is_told(self):
        with patch.dict(os.environ, {KEY_VARIABLE: Fernet.generate_key().decode()}):
            self.assertEqual(self._checks(), ["key"])

    def test_a_key_that_opens_no_secret_of_a_destination_is_told(self):
        self.env["backup.instance"].search([]).sudo().master_password_sealed = False
        values = {"name": "Bucket", "kind": "s3", "s3_bucket": "b", "s3_secret_key": "secret"}
        self.env["backup.destination"].create(values)
        with patch.dict(os.environ, {KEY_VARIABLE: Fernet.generate_key().decode()}):
            self.assertEqual(self._checks(), ["key"])

    def test_each_secret_that_cannot_be_opened_is_told_first(self):
        instance, job = self.instance, self._make_job(ping_url="https://ping.example.com/x")
        channel = {"name": "Hook", "kind": "webhook", "url": "https://hooks.example.com/T"}
        channel = self.env["backup.alert.channel"].create(channel)
        settings = self.env["ir.config_parameter"]
        seal = self.env["backup.secret.mixin"]._seal
        kept = {
            "instance": lambda: instance.sudo().write({"master_password_sealed": seal("x")}),
            "job": lambda: job.sudo().write({"ping_url_sealed": seal("x")}),
            "channel": lambda: channel.sudo().write({"url_sealed": seal("x")}),
            "drill": lambda: settings.set_param("backup_scheduler.scratch_password", seal("x")),
            "role": lambda: settings.set_param("backup_scheduler.restore_role_password", seal("x")),
        }
        for model, name in self.doctor._sealed_fields():
            model.sudo().with_context(active_test=False).search([]).write({name: False})
        self.assertNotIn("key", self._checks())
        for name, keep in kept.items():
            with self.subTest(name), self.env.cr.savepoint() as savepoint:
                keep()
                with patch.dict(os.environ, {KEY_VARIABLE: Fernet.generate_key().decode()}):
                    first = self.doctor._examine()[0]
                self.assertEqual(first["check"], "key")
                self.assertIn(socket.gethostname(), first["problem"])
                self.assertIn(KEY_VARIABLE, first["hint"])
                savepoint.rollback()
                self.env.invalidate_all()

    def test_a_key_that_cannot_be_read_is_told_first(self):
        with (
            tempfile.TemporaryDirectory() as folder,
            patch.dict(os.environ, {KEY_VARIABLE: ""}),
            patch("odoo.addons.backup_scheduler.models.backup_secret_mixin.key_path",
                  return_value=folder),
        ):  # fmt: skip
            first = self.doctor._examine()[0]
        self.assertEqual(first["check"], "key")
        self.assertIn("cannot be read", first["problem"])

    def test_a_run_on_a_machine_with_another_key_says_so(self):
        run = self._make_run()
        task = self._take_task("backup", run)
        with (
            patch.dict(os.environ, {KEY_VARIABLE: Fernet.generate_key().decode()}),
            self.assertRaises(SecretKeyError) as raised,
        ):
            task._engine_order()
        task._end_broken(raised.exception)
        self.assertEqual((run.status, run.error_code), ("failed", "wrong_secret_key"))

    def test_a_key_that_others_can_read_is_told(self):
        with tempfile.NamedTemporaryFile() as file:
            os.chmod(file.name, 0o644)
            with (
                patch.dict(os.environ, {KEY_VARIABLE: ""}),
                patch(f"{MODULE}.key_path", return_value=file.name),
                patch.object(type(self.env["backup.instance"]), "_unseal", return_value=""),
            ):
                self.assertEqual(self._checks(), ["key"])

    def test_a_missing_library_is_told_with_the_command_that_brings_it(self):
        with patch(f"{MODULE}.REQUIRED", ("no_such_library",)):
            (found,) = self.doctor._examine()
        self.assertEqual(found["hint"], "pip install no_such_library")

    def test_missing_extras_are_told_but_nothing_is_wrong_without_them(self):
        with patch(f"{MODULE}.importlib.util.find_spec", return_value=None):
            self.assertEqual(
                [found["hint"] for found in self.doctor._missing_extras()],
                ["pip install cron-descriptor", "pip install isal", "pip install pyrage"],
            )
        self.assertEqual(self.doctor._missing_extras(), [])
        self.assertEqual(self.doctor._examine(), [])

    def test_clocks_that_are_apart_are_told(self):
        ahead = fields.Datetime.now() + datetime.timedelta(minutes=5)
        with patch.object(type(self.Task), "_clock", return_value=ahead):
            self.assertEqual(self._checks(), ["clock"])

    def test_settings_show_when_the_dispatcher_ran_and_what_is_wrong(self):
        settings = self.env["res.config.settings"].create({})
        self.assertEqual(settings.backup_last_dispatch_at, self.cron.lastcall)
        self.assertFalse(settings.backup_problems)
        self._set_cron(active=False)
        settings.invalidate_recordset()
        self.assertIn("switched off", settings.backup_problems)


UNDETERMINED = {
    "error_code": "database_server_failed",
    "error": "PostgreSQL: 42501: permission denied to create extension.",
    "hint": "Install the extension.",
}


class TestDrillsWithoutResult(BackupCase):
    """A drill that ends badly is told by its run; one that is never done would be by nobody."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.doctor = cls.env["backup.doctor"]
        cls.job = cls._make_job(drill_interval="7")

    def setUp(self):
        super().setUp()
        self.run_ = self._old_run()
        self.job.drills_since = ago(days=60)

    def _old_run(self, database="sales"):
        run = self._stored(database, self.job)
        run.finished_at = ago(days=40)
        return run

    def _problems(self):
        self.env.flush_all()
        return self.doctor._examine_drills()

    def test_a_drill_that_never_came_to_a_result_is_told_with_its_run(self):
        (found,) = self._problems()
        self.assertIn("No restore drill of sales (job “Nightly”)", found["problem"])
        self.assertIn("The log of the run says why", found["hint"])
        self.assertEqual(found["record"]["id"], self.run_.id)
        self.assertIn(found, self.doctor._examine())
        self.assertIn(found, self.doctor.health()["problems"])

    def test_it_is_told_once_its_promise_and_another_attempt_are_over(self):
        for days, told in ((8, False), (10, True)):
            with self.subTest(days):
                self.run_.drilled_at = ago(days=days)
                self.assertEqual(bool(self._problems()), told)

    def test_what_keeps_a_drill_from_a_result_is_told_at_once_with_the_remedy(self):
        self.run_.write({"drilled_at": ago(days=1), "undetermined": UNDETERMINED})
        (found,) = self._problems()
        self.assertIn("sales (job “Nightly”) can be restored could not be determined here",
                      found["problem"])
        self.assertIn(UNDETERMINED["error"], found["problem"])
        self.assertIn(UNDETERMINED["hint"], found["hint"])
        self.assertEqual(found["record"]["id"], self.run_.id)
        for change in ({"undetermined": False}, {"stored_copies": 0}):
            with self.subTest(change), self.env.cr.savepoint() as savepoint:
                self.run_.write(change)
                self.assertEqual(self._problems(), [])
                savepoint.rollback()
            self.env.invalidate_all()
        self.job.drill_interval = "never"
        self.assertEqual(self._problems(), [])

    def test_of_many_that_were_kept_from_a_result_one_is_told(self):
        (self.run_ + self._old_run("stock")).undetermined = UNDETERMINED
        (found,) = self._problems()
        self.assertIn("of 2 databases", found["problem"])

    def test_a_drill_that_ended_badly_is_a_result(self):
        self.run_.write({"drill_requested_at": ago(days=2), "verified_at": ago(days=3)})
        self._stored(job=self.job).finished_at = ago(days=39)
        self.run_.status = "verify_failed"
        self.assertTrue(self._problems(), "It was read before the drill was asked for")
        self.run_.verified_at = ago(days=1)
        self.assertEqual(self._problems(), [])

    def test_only_what_is_promised_and_can_be_restored_is_told(self):
        cases = {
            "none is wanted": lambda: self.job.write({"drill_interval": "never"}),
            "switched off": lambda: self.job.write({"enabled": False}),
            "promised anew": lambda: self.job.write({"drill_interval": "30"}),
            "nothing is stored": lambda: self.run_.write({"stored_copies": 0}),
            "the first archive is new": lambda: self.run_.write({"finished_at": ago(days=1)}),
        }
        for name, change in cases.items():
            with self.subTest(name), self.env.cr.savepoint() as savepoint:
                change()
                self.assertEqual(self._problems(), [])
                savepoint.rollback()
            self.env.invalidate_all()

    def test_what_is_written_without_a_change_promises_nothing_anew(self):
        self.job.write({"drill_interval": "7", "enabled": True})
        self.assertTrue(self._problems())

    def test_archives_that_were_deleted_still_tell_how_long_there_was_something_to_drill(self):
        self._stored(job=self.job).finished_at = ago(days=1)
        self.run_.stored_copies = 0
        self.assertTrue(self._problems())

    def test_encrypted_archives_ask_for_an_identity(self):
        self.run_.copy_ids.encryption = "age"
        (found,) = self._problems()
        self.assertIn("identity", found["hint"])

    def test_many_are_one_line(self):
        self._old_run("stock")
        (found,) = self._problems()
        self.assertIn("of 2 databases", found["problem"])

    def test_nobody_hears_of_instances_of_other_companies(self):
        self.instance.company_id = self.env["res.company"].create({"name": "Other"})
        doctor = self.doctor.with_user(self._user("manager"))
        self.assertEqual(doctor._examine_drills(), [])
