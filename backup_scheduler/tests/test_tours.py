"""The main journeys, in a real browser."""

from unittest.mock import patch

from odoo.tests import HttpCase, tagged

from ..models.restore import backup_run_restore
from .common import BackupCase, failure


@tagged("post_install", "-at_install")
class TestTours(HttpCase, BackupCase):
    def setUp(self):
        super().setUp()
        # The browser's own databases are none of the wizard's business.
        names = patch.object(backup_run_restore, "list_dbs", return_value=[])
        names.start()
        self.addCleanup(names.stop)

    def _tour(self, group, path, name):
        """Go through a tour as a user of the group, and see what it left in the database."""
        # Tours log in with the login as the password.
        user = self._user(group, password=f"{group}1")
        self._go(user.login, path, name)

    def _go(self, login, path, name):
        self.env.flush_all()
        self.start_tour(f"/odoo/{path}", name, login=login)
        self.env.invalidate_all()

    def _failed(self):
        run = self._running()
        self._report(run, failure(retryable=False))
        return run

    def test_a_failed_run_leads_to_its_cause_and_is_tried_again(self):
        run = self._failed()
        self._tour("operator", "backup-runs", "backup_failed_run")
        self.assertRecordValues(run, [{"status": "queued", "attempt": 0}])

    def test_an_archive_is_restored_into_a_new_database(self):
        run = self._stored()
        self._tour("manager", f"backup-runs/{run.id}", "backup_restore")
        self.assertRecordValues(
            run.restore_ids,
            [
                {
                    "status": "queued", "target": "instance", "neutralize": True,
                    "instance_id": self.instance.id, "database_name": "sales-back",
                }
            ],
        )  # fmt: skip

    def test_a_job_is_paused_and_resumed(self):
        job = self._make_job()
        self._tour("manager", "backup-jobs", "backup_pause_job")
        self.assertRecordValues(job, [{"enabled": False, "next_run_at": False}])
        self._go("manager1", "backup-jobs", "backup_resume_job")
        self.assertTrue(job.enabled)
        self.assertTrue(job.next_run_at)

    def test_who_only_looks_sees_everything_and_can_do_nothing(self):
        run = self._failed()
        self._tour("user", "backup-runs", "backup_look_only")
        self.assertEqual(run.status, "failed")
