from unittest.mock import patch

from odoo.exceptions import AccessError
from odoo.service.model import call_kw

from ..engine.sources import http
from .common import BackupCase

GROUPS = (None, "user", "operator", "manager")
FROM_USER = {"user", "operator", "manager"}
FROM_OPERATOR = {"operator", "manager"}
MANAGER = {"manager"}
NOBODY = set()


class AccessCase(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.users = {group: cls._user(cls, group) for group in GROUPS}

    def _call(self, group, record, method, *arguments):
        """Call a method as a script of the user does, over RPC; undo what it did."""
        model = self.env(user=self.users[group])[record._name]
        savepoint = self.env.cr.savepoint(flush=True)
        try:
            ids = [record.ids] if record else []
            return call_kw(model, method, [*ids, *arguments], {})
        finally:
            savepoint.close(rollback=True)
            self.env.invalidate_all()

    def _assert_allowed(self, allowed, record, method, *arguments):
        for group in GROUPS:
            with self.subTest(f"{group}: {record._name}.{method}"):
                if group in allowed:
                    self._call(group, record, method, *arguments)
                else:
                    with self.assertRaises(AccessError):
                        self._call(group, record, method, *arguments)


class TestAccess(AccessCase):
    def test_who_may_read_create_write_and_delete_what(self):
        run = self._stored()
        records = {
            run.copy_ids: ({"path": "elsewhere"}, NOBODY),
            run: ({"status": "success"}, NOBODY),
            self.instance.database_ids[0]: ({"name": "other"}, NOBODY),
            self._make_job(name="Free"): ({"name": "Other"}, MANAGER),
            self._make_destination("Free"): ({"name": "Other"}, MANAGER),
            self._make_instance("Free"): ({"name": "Other"}, MANAGER),
        }
        values = {
            "backup.copy": {"run_id": run.id, "destination_id": self.destination.id},
            "backup.run": {
                "instance_id": self.instance.id,
                "trigger": "manual",
                "scheduled_at": "2026-01-01 00:00:00",
            },
            "backup.database": {"instance_id": self.instance.id, "name": "made up"},
            "backup.job": {"instance_id": self.instance.id, "name": "New"},
            "backup.destination": {"name": "New"},
            "backup.instance": {"name": "New", "url": "http://127.0.0.1:1"},
        }
        for record, (change, writers) in records.items():
            self._assert_allowed(FROM_USER, record, "read", ["display_name"])
            self._assert_allowed(FROM_USER, record.browse(), "search_read", [], ["display_name"])
            self._assert_allowed(writers, record, "write", change)
            self._assert_allowed(writers, record, "unlink")
            self._assert_allowed(writers, record.browse(), "create", [values[record._name]])

    def test_who_may_do_what_with_runs(self):
        stored = self._stored()
        actions = (
            (stored, "verify"),
            (stored, "pin"),
            (stored, "unpin"),
            (self._make_run(), "cancel"),
            (self._make_run(status="failed"), "retry"),
        )
        for run, action in actions:
            self._assert_allowed(FROM_OPERATOR, run, action)

    def test_who_may_do_what_with_jobs(self):
        job = self._make_job()
        self._assert_allowed(FROM_OPERATOR, job, "run_now")
        self._assert_allowed(FROM_OPERATOR, job, "action_run_now")
        self._assert_allowed(MANAGER, job, "action_pause")
        self._assert_allowed(MANAGER, job, "action_resume")
        self._assert_allowed(set(GROUPS), job.browse(), "preview_cron", "0 2 * * *")
        self._assert_allowed(set(GROUPS), job.browse(), "default_timezone")

    def test_who_may_ask_instances_and_destinations(self):
        server = http.Server(version="19.0", databases=("sales",))
        with patch.object(http.HttpSource, "probe", return_value=server):
            self._assert_allowed(FROM_OPERATOR, self.instance, "test_connection")
            self._assert_allowed(FROM_OPERATOR, self.instance, "refresh_databases")
            self._assert_allowed(FROM_OPERATOR, self.instance, "action_test_connection")
        self._assert_allowed(FROM_OPERATOR, self.destination, "check")
        self._assert_allowed(FROM_OPERATOR, self.destination, "action_check")

    def test_an_operator_without_rights_on_the_models_does_what_the_buttons_do(self):
        run = self._make_run()
        run.with_user(self.users["operator"]).cancel()
        self.assertEqual(run.status, "cancelled")
        self.assertIn(self.users["operator"].name, run.error)

    def test_what_begins_with_an_underscore_cannot_be_called(self):
        run = self._running()
        calls = (
            (run, "_mark_stored", {}),
            (run, "_record", {"event": "done"}),
            (self.instance, "_source_order"),
            (self.instance, "_unseal", "x"),
            (self.dispatcher, "_cron_dispatch"),
        )
        for record, method, *arguments in calls:
            with self.subTest(method), self.assertRaises(AccessError):
                self._call("manager", record, method, *arguments)

    def test_the_lease_is_out_of_reach(self):
        task = self._held(self._running())
        for field in ("lease_token", "lease_until"):
            with self.subTest(field), self.assertRaises(AccessError):
                self._call("manager", task, "read", [field])

    def test_the_settings_are_for_administrators_of_the_system(self):
        values = {"backup_timezone": "Europe/Paris"}
        with self.assertRaises(AccessError):
            self._call("manager", self.env["res.config.settings"], "create", [values])
