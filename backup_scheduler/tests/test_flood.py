"""Servers that list very many databases: what is recorded of them, and what one click makes."""

from odoo.exceptions import AccessError
from odoo.tools import mute_logger

from ..models.instance import backup_instance
from ..models.job import backup_job
from .common import BackupCase, discovering

LIMIT = 5
NAMES = [f"d{number:04}" for number in range(2000)]


class TestFlood(BackupCase):
    def setUp(self):
        super().setUp()
        self._allow(LIMIT)

    def _allow(self, limit):
        self.env["ir.config_parameter"].set_param("backup_scheduler.max_databases", limit)

    @mute_logger(backup_instance.__name__)
    def _test(self, names):
        with discovering(return_value={"version": "19.0", "databases": names}):
            return self.instance.test_connection()

    def _recorded(self):
        return self.instance.with_context(active_test=False).database_ids

    def test_of_very_many_databases_as_many_as_allowed_are_recorded_and_the_check_fails(self):
        answer = self._test([*NAMES, "sales", "stock"])
        self.assertEqual((answer["ok"], answer["error_code"]), (False, "too_many_databases"))
        self.assertEqual(answer["error"], "The server lists 2002 databases; at most 5 of one "
                                          "server are recorded.")  # fmt: skip
        self.assertIn("backup_scheduler.max_databases", answer["hint"])
        self.assertEqual(answer["databases"], ["d0000", "d0001", "d0002", "sales", "stock"])
        self.assertEqual(sorted(self._recorded().mapped("name")), answer["databases"])
        self.assertTrue(all(self._recorded().mapped("present")), "The known ones stay")
        self.assertRecordValues(
            self.instance, [{"check_status": "error", "check_code": "too_many_databases"}]
        )
        self._allow(3000)
        answer = self._test([*NAMES, "sales", "stock"])
        self.assertTrue(answer["ok"])
        self.assertEqual(len(self._recorded()), 2002)
        self.assertEqual(self.instance.check_status, "ok")

    def test_the_limit_is_a_thousand_where_nobody_says_otherwise(self):
        for value in (False, "many", "-1", "9" * 50):
            self._allow(value)
            self.assertEqual(self.instance._max_databases(), 1000)

    def test_other_names_each_time_do_not_add_up_for_ever(self):
        for number in range(0, 500, LIMIT):
            self._test(NAMES[number : number + LIMIT])
        self.assertEqual(len(self._recorded()), 10 * LIMIT)

    def test_a_run_that_finds_very_many_databases_makes_runs_of_the_recorded_ones(self):
        run = self._running(trigger="schedule")
        databases = [*NAMES, "sales"]
        self._report(run, {"event": "source", "version": "19.0", "databases": databases})
        self.assertEqual(len(run.job_id.run_ids), LIMIT)
        self.assertEqual(self.instance.check_code, "too_many_databases")

    def test_a_discovery_of_very_many_databases_makes_runs_of_the_recorded_ones(self):
        instance = self._make_instance("New")
        job = self._make_job(instance_id=instance.id)
        job.run_now()
        run = self._take(ordered=True, task_id=job.run_ids.task_ids.id)
        self._report(run, {"event": "done", "version": "19.0", "databases": NAMES})
        self.assertEqual(len(job.run_ids), LIMIT)

    @mute_logger(backup_instance.__name__)
    def test_the_set_up_of_such_a_server_says_so_and_lists_nothing(self):
        setup = self.env["backup.setup"].create({"url": "http://127.0.0.9:1"})
        with discovering(return_value={"version": "19.0", "databases": NAMES}):
            setup.action_next()
        self.assertEqual((setup.step, setup.error_code), ("server", "too_many_databases"))
        self.assertFalse(setup.line_ids)


class TestManyRuns(BackupCase):
    def setUp(self):
        super().setUp()
        self.job = self._make_job()
        self.operator = self._user("operator")

    def _fill(self, count):
        values = [{"instance_id": self.instance.id, "name": name} for name in NAMES[:count]]
        self.env["backup.database"].create(values)

    def test_few_backups_are_started_by_one_click(self):
        self._fill(backup_job.ASK_ABOVE - 2)
        self.job.with_user(self.operator).action_run_now()
        self.assertEqual(len(self.job.run_ids), backup_job.ASK_ABOVE)

    def test_very_many_backups_are_started_when_a_person_has_confirmed_it(self):
        self._fill(backup_job.ASK_ABOVE)
        asked = self.job.with_user(self.operator).action_run_now()
        self.assertFalse(self.job.run_ids)
        wizard = self.env[asked["res_model"]].with_user(self.operator).browse(asked["res_id"])
        self.assertEqual(wizard.run_count, backup_job.ASK_ABOVE + 2)
        self.assertEqual(wizard.action_run()["res_model"], "backup.run")
        self.assertEqual(len(self.job.run_ids), backup_job.ASK_ABOVE + 2)

    def test_who_may_not_run_jobs_is_not_asked(self):
        self._fill(backup_job.ASK_ABOVE)
        watcher = self._user("user")
        with self.assertRaises(AccessError):
            self.job.with_user(watcher).action_run_now()
        with self.assertRaises(AccessError):
            self.env["backup.run.confirmation"].with_user(watcher).create(
                {"job_ids": [(6, 0, self.job.ids)]}
            )

    def test_scripts_start_them_without_being_asked(self):
        self._fill(backup_job.ASK_ABOVE)
        self.assertEqual(len(self.job.run_now()), backup_job.ASK_ABOVE + 2)
