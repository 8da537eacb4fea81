import contextlib

from freezegun import freeze_time

from odoo import fields
from odoo.exceptions import AccessError, ValidationError
from odoo.tests import Form
from odoo.tools import SQL

from ..hooks import uninstall_hook
from ..models.restore.backup_restore import SCRATCH_PREFIX
from .common import PASSWORD, BackupCase

EVENING = fields.Datetime.to_datetime("2026-03-10 20:00:00")
TOMORROW_TWO = fields.Datetime.to_datetime("2026-03-11 02:00:00")


@freeze_time(EVENING)
class TestSettings(BackupCase):
    def _save(self, **values):
        self.env["res.config.settings"].create(values).execute()

    def test_the_time_zone_moves_the_jobs_that_have_none_of_their_own(self):
        ours, own, off = (
            self._make_job(),
            self._make_job(timezone="UTC"),
            self._make_job(enabled=False),
        )
        self._save(backup_timezone="Europe/Paris")
        self.assertEqual(ours.next_run_at, fields.Datetime.to_datetime("2026-03-11 01:00:00"))
        self.assertEqual(own.next_run_at, TOMORROW_TWO)
        self.assertFalse(off.next_run_at)

    def test_saving_the_settings_without_a_new_zone_moves_nothing(self):
        job = self._make_due(self._make_job(), EVENING)
        self._save(backup_workers=3)
        self.assertEqual(job.next_run_at, EVENING)

    def test_one_broken_job_does_not_keep_the_settings_from_being_saved(self):
        broken, sound = self._make_job(name="Broken"), self._make_job()
        self._sql("UPDATE backup_job SET cron_expression = 'x' WHERE id = %s", broken.id)
        self._save(backup_timezone="Europe/Paris")
        self.assertEqual(sound.next_run_at, fields.Datetime.to_datetime("2026-03-11 01:00:00"))
        self.assertIn("1 field where exactly 5 are needed", broken.planning_error)

    def test_the_defaults_are_utc_two_workers_and_a_process(self):
        self.assertRecordValues(
            self.env["res.config.settings"].create({}),
            [{"backup_timezone": "UTC", "backup_workers": 2, "backup_executor": "process"}],
        )

    def test_values_that_cannot_work_are_refused(self):
        cases = (
            ({"backup_workers": 0}, "Parallel Backups"),
            ({"backup_workers": 65}, "Parallel Backups"),
            ({"backup_spool_folder": "spool"}, "Spool Folder"),
        )
        for values, complaint in cases:
            with self.subTest(**values), self.assertRaisesRegex(ValidationError, complaint):
                self._save(**values)

    def test_a_zero_stays_a_zero_and_is_used(self):
        settings = self.env["res.config.settings"]
        self._save(backup_size_warning_percent=0)
        self.assertEqual(self.Run._warning_percent(), 0)
        # Saving anything else keeps it.
        with Form(settings) as form:
            self.assertEqual(form.backup_size_warning_percent, 0)
            form.backup_workers = 3
        form.record.execute()
        self.assertEqual(settings.create({}).backup_size_warning_percent, 0)
        self._save(backup_size_warning_percent=60)
        self.assertEqual(self.Run._warning_percent(), 60)

    def test_each_number_of_the_settings_can_be_zero_or_refuses_it(self):
        settings = self.env["res.config.settings"]
        ours = [
            name
            for name, field in settings._fields.items()
            if name.startswith("backup_") and field.type in ("integer", "float")
        ]
        kept = []
        for name in ours:
            with self.subTest(name), contextlib.suppress(ValidationError):
                self._save(**{"backup_retention_mode": "keep_all", name: 0})
                self.assertEqual(settings.create({})[name], 0)
                kept.append(name)
        self.assertEqual(kept, ["backup_retention_value", "backup_size_warning_percent"])
        self.assertEqual(self._make_job().retention_value, 30, "None of the new jobs' policy")

    def test_the_spool_folder_of_the_settings_is_used_with_a_part_for_each_database(self):
        self._save(backup_spool_folder="/var/spool/odoo-backups")
        folder = self.Task._spool_folder()
        self.assertEqual(folder, f"/var/spool/odoo-backups/{self.env.cr.dbname}")

    def test_the_executor_of_the_settings_decides_who_makes_the_backups(self):
        self._make_run()
        execute = self.env.ref("backup_scheduler.ir_cron_execute")
        domain = [("cron_id", "=", execute.id)]
        self._dispatch()
        self.launched.assert_called_once_with(self.env.cr.dbname)
        self._save(backup_executor="inline")
        self._dispatch()
        self.launched.assert_called_once()
        self.assertTrue(self.env["ir.cron.trigger"].search_count(domain))


class TestDrillServer(BackupCase):
    """The PostgreSQL of restore drills, whose password no row and nobody shows."""

    def _settings(self, **values):
        return self.env["res.config.settings"].create(values)

    def _save(self, **values):
        self._settings(**values).execute()

    def _server(self):
        return self.env["backup.restore"]._scratch_server()

    def _set_up(self):
        self._save(
            backup_scratch_host="drills.example",
            backup_scratch_port="5433",
            backup_scratch_user="driller",
            backup_scratch_password=PASSWORD,
        )

    def test_the_password_is_sealed_from_the_first_moment_and_never_read_back(self):
        settings = self._settings(
            backup_scratch_host="drills.example", backup_scratch_password=PASSWORD
        )
        self.assertFalse(settings.backup_scratch_password)
        self.assertNotIn(PASSWORD, self._rows("res_config_settings"))
        settings.backup_scratch_password = PASSWORD[::-1]
        self.assertNotIn(PASSWORD[::-1], self._rows("res_config_settings"))
        settings.execute()
        self.assertEqual(self._server()["password"], PASSWORD[::-1])
        self.assertNotIn(PASSWORD[::-1], self._rows("ir_config_parameter"))
        self.assertFalse(settings.sudo().backup_scratch_password_sealed)
        self.assertFalse(settings.read(["backup_scratch_password"])[0]["backup_scratch_password"])

    def _rows(self, table):
        """Return all that the database holds in a table, as text."""
        self.env.flush_all()
        rows = SQL("SELECT string_agg(t::text, ' ') FROM %s t", SQL.identifier(table))
        self.env.cr.execute(rows)
        return self.env.cr.fetchone()[0] or ""

    def test_what_is_sealed_is_out_of_reach_too(self):
        settings = self._settings(backup_scratch_password=PASSWORD)
        with self.assertRaises(AccessError):
            settings.with_user(self.env.ref("base.user_admin")).read(
                ["backup_scratch_password_sealed"]
            )

    def test_an_empty_password_leaves_it_as_it_is(self):
        self._set_up()
        self._save(backup_workers=3)
        self._save(backup_scratch_password=False, backup_scratch_user="other")
        self.assertEqual(
            self._server(),
            {"host": "drills.example", "port": "5433", "user": "other", "password": PASSWORD},
        )

    def test_the_password_goes_to_no_server_that_it_was_not_given_for(self):
        cases = (
            ({"backup_scratch_host": "evil.example"}, False),
            ({"backup_scratch_port": "5434"}, False),
            ({"backup_scratch_port": False}, False),
            ({"backup_scratch_user": "other"}, True),
        )
        for values, kept in cases:
            with self.subTest(values):
                self._set_up()
                self._save(**values)
                self.assertEqual(self._server().get("password"), PASSWORD if kept else None)
        self._set_up()
        self._save(backup_scratch_host="new.example", backup_scratch_password="theirs")
        self.assertEqual(self._server()["password"], "theirs")

    def test_a_port_that_is_written_otherwise_and_is_the_same_keeps_the_password(self):
        self._save(backup_scratch_host="drills.example", backup_scratch_password=PASSWORD)
        self._save(backup_scratch_port="5432")
        self.assertEqual(self._server()["password"], PASSWORD)

    def test_clearing_the_host_forgets_user_and_password(self):
        self._set_up()
        self._save(backup_scratch_host=False)
        kept = [("key", "=like", f"{SCRATCH_PREFIX}%")]
        self.assertEqual(self.env["ir.config_parameter"].sudo().search_count(kept), 0)
        self._save(backup_scratch_host="drills.example")
        self.assertEqual(self._server(), {"host": "drills.example"})


class TestUninstallation(BackupCase):
    def test_the_settings_go_with_the_addon_and_those_of_others_stay(self):
        parameters = self.env["ir.config_parameter"]
        for key in ("backup_scheduler.workers", "backup_schedulers.workers", "backup.workers",
                    "backupxscheduler.workers"):
            parameters.set_param(key, "2")
        uninstall_hook(self.env)
        left = parameters.search([("key", "like", "workers")]).mapped("key")
        self.assertNotIn("backup_scheduler.workers", left)
        for key in ("backup_schedulers.workers", "backup.workers", "backupxscheduler.workers"):
            self.assertIn(key, left)
        self.assertFalse(parameters.search([("key", "=like", "backup\\_scheduler.%")]))
