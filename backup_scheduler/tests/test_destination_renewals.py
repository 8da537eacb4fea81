"""What a destination renews by itself, such as a token of a cloud storage."""

from unittest.mock import PropertyMock, patch

from ..engine.destinations.rclone import RcloneDestination
from ..engine.errors import DestinationFailed
from .common import BackupCase


class TestRenewals(BackupCase):
    """What a place renews while it is asked something is stored, and changes nothing else."""

    OLD = "[drive]\ntype = drive\ntoken = old\n"
    NEW = "[drive]\ntype = drive\ntoken = new\n"

    def setUp(self):
        super().setUp()
        self.drive = self.env["backup.destination"].create(
            {"name": "Drive", "kind": "rclone", "rclone_remote": "drive", "rclone_config": self.OLD}
        )
        renewed = patch.object(
            RcloneDestination, "changed_settings", new_callable=PropertyMock,
            return_value={"config": self.NEW},
        )  # fmt: skip
        renewed.start()
        self.addCleanup(renewed.stop)

    def _asked(self, name, **answer):
        return patch.object(RcloneDestination, name, **answer)

    def test_a_check_that_renews_a_token_keeps_its_result(self):
        cases = (
            ({"return_value": {"warnings": ["Slow."]}}, "ok"),
            ({"side_effect": DestinationFailed("Full.", hint="Free some space.")}, "error"),
        )
        for answer, status in cases:
            with self.subTest(status), self._asked("check", **answer):
                self.drive.rclone_config = self.OLD
                self.drive.check()
                self.assertEqual(self.drive.check_status, status)
                self.assertEqual(self.drive.check_error, status == "error" and
                                 "Full.\nFree some space.")  # fmt: skip
                self.assertEqual(self.drive._settings()["config"], self.NEW)

    def test_the_doctor_stores_what_was_renewed_when_it_looked(self):
        with self._asked("check", return_value={}):
            self.assertEqual(self.env["backup.doctor"]._examine_one(self.drive), [])
        self.assertEqual(self.drive._settings()["config"], self.NEW)

    def test_an_import_stores_what_was_renewed_meanwhile(self):
        with self._asked("catalogues", return_value=iter(())):
            self.drive.import_archives()
        self.assertEqual(self.drive._settings()["config"], self.NEW)

    def _renewed(self, run):
        return {
            "event": "renewed", "id": run.copy_ids.id, "changed_settings": {"config": self.NEW},
        }  # fmt: skip

    def test_what_is_renewed_while_an_archive_is_read_or_deleted_is_stored(self):
        job = self._make_job(destination_ids=[(6, 0, self.drive.ids)])
        asks = {
            "verify": lambda run: run.verify(),
            "delete": lambda run: run.delete_archives("sales"),
        }
        for work, ask in asks.items():
            with self.subTest(work):
                self.drive.rclone_config = self.OLD
                run = self._stored(job=job)
                ask(run)
                self._take_task(work, run)
                self._order(run)
                self._report(run, self._renewed(run))
                self.assertEqual(run.work, work)
                self.assertEqual(self.drive._settings()["config"], self.NEW)

    def test_what_is_renewed_while_the_remains_of_a_run_are_removed_is_stored(self):
        run = self._running(job=self._make_job(destination_ids=[(6, 0, self.drive.ids)]))
        self._report(run, {"event": "lost", "exit_code": -9, "tail": ""})
        run.cancel()
        self._take_task("discard", run)._record(self._renewed(run))
        self.assertEqual(self.drive._settings()["config"], self.NEW)
        self.assertEqual(run.work, "discard")

    def test_a_renewed_setting_that_is_no_secret_asks_for_no_check_either(self):
        self.drive.check_status = "ok"
        self.drive._keep_changed_settings({"path": "Backups"})
        self.assertRecordValues(self.drive, [{"rclone_path": "Backups", "check_status": "ok"}])
