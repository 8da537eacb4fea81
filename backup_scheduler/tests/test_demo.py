from ..models.backup_demo import SERVERS
from ..models.run.backup_run import STATUSES
from .common import BackupCase


class TestDemo(BackupCase):
    def setUp(self):
        super().setUp()
        self.env["backup.demo"]._make()
        hosts = [f"https://{server[1]}" for server in SERVERS]
        self.instances = self.env["backup.instance"].search([("url", "in", hosts)])

    def test_every_status_is_shown(self):
        statuses = set(self.instances.run_ids.mapped("status"))
        self.assertEqual(statuses, {status for status, _label in STATUSES})
        copies = set(self.instances.run_ids.copy_ids.mapped("status"))
        self.assertEqual(copies, {"stored", "failed"})

    def test_there_are_protected_late_and_unprotected_databases(self):
        states = {database.name: database.protection for database in self.instances.database_ids}
        self.assertEqual(states["shop"], "protected")
        self.assertEqual(states["branch"], "late")
        self.assertEqual(states["playground"], "unprotected")

    def test_nothing_of_it_ever_happens(self):
        for job in self.instances.job_ids.filtered("next_run_at"):
            self.assertEqual((job.next_run_at.month, job.next_run_at.day), (2, 29))
        before = self.Run.search_count([])
        self._dispatch()
        self.assertFalse(self._claim("tester"))
        self.assertEqual(self.Run.search_count([]), before)
        self.assertFalse(self.env["backup.copy"].search([("deletion_requested_at", "!=", False)]))

    def test_it_is_made_once(self):
        before = self.Run.search_count([])
        self.env["backup.demo"]._make()
        self.assertEqual(self.Run.search_count([]), before)
