"""What is known of a destination once people have changed its settings."""

import os
import tempfile

from lxml import etree

from .common import BackupCase
from .test_destination_kinds import S3, SFTP


class TestChanges(BackupCase):
    def _make(self, **values):
        return self.env["backup.destination"].create(values)

    def test_only_another_place_makes_the_marker_of_the_folder_be_forgotten(self):
        nas = {**SFTP, "sftp_password": "hush", "sftp_path": "archives"}
        folder = {"name": "Disk", "path": "/mnt/backups"}
        cases = (
            (folder, {"reserve": 20}, True),
            (folder, {"path": "/mnt/backups", "kind": "local"}, True),
            (folder, {"path": "/mnt/other"}, False),
            (nas, {"sftp_password": "better"}, True),
            (nas, {"sftp_user": "other"}, True),
            (nas, {"sftp_host": "nas2.example.com"}, True),
            (nas, {"sftp_path": "elsewhere"}, False),
            (nas, {"kind": "local", "path": "/mnt/backups"}, False),
        )
        for made, written, kept in cases:
            with self.subTest(written):
                destination = self._make(**made)
                destination.write({"check_status": "ok", "folder_marker": "abc"})
                destination.write(written)
                self.assertEqual(destination.folder_marker, kept and "abc")
                destination.unlink()

    def test_a_folder_with_archives_that_is_the_same_one_elsewhere_keeps_its_marker(self):
        with tempfile.TemporaryDirectory() as disk:
            before, after = os.path.join(disk, "before"), os.path.join(disk, "after")
            self.destination.path = before
            self.destination.check()
            marker = self.destination.folder_marker
            self._stored()
            os.rename(before, after)
            self.env.invalidate_all()
            self.destination.path = after
            self.assertTrue(marker)
            self.assertEqual(self.destination.folder_marker, marker)

    def test_what_is_written_without_a_change_asks_for_no_check(self):
        destination = self._make(**S3)
        destination.write({"check_status": "ok"})
        destination.write({"s3_bucket": "archives", "s3_prefix": False, "name": "Other"})
        self.assertEqual(destination.check_status, "ok")

    def test_a_key_that_another_server_showed_is_not_offered_for_this_one(self):
        destination = self._make(**SFTP)
        destination.write({"offered_host_key": "ssh-ed25519 AAAA", "offered_fingerprint": "SHA"})
        destination.sftp_host = "nas2.example.com"
        self.assertRecordValues(
            destination, [{"offered_host_key": False, "offered_fingerprint": False}]
        )

    def test_each_kind_that_knows_its_folder_lets_a_manager_accept_another(self):
        arch = etree.fromstring(self.env["backup.destination"].get_view(view_type="form")["arch"])
        (button,) = arch.xpath("//button[@name='action_accept_folder']")
        self.assertNotIn("kind", button.get("invisible"))

    def test_accepting_a_folder_that_cannot_be_used_changes_nothing(self):
        with tempfile.TemporaryDirectory() as disk:
            path = os.path.join(disk, "folder")
            destination = self._make_destination("Here", path=path)
            destination.check()
            marker = destination.folder_marker
            os.rename(path, path + "-unmounted")
            open(path, "w").close()
            destination.action_accept_folder()
            self.assertRecordValues(
                destination, [{"folder_marker": marker, "check_status": "error"}]
            )
            os.remove(path)
            destination.action_accept_folder()
            self.assertEqual(destination.check_status, "ok")
            self.assertNotEqual(destination.folder_marker, marker)
