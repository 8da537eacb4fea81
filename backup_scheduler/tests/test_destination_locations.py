"""Two destinations never lie at one place: each could delete the archives of the other."""

import json
import os
import tempfile
from unittest.mock import patch

from odoo.exceptions import UserError, ValidationError

from ..engine.destinations.locations import folder_locations
from ..engine.destinations.sftp import SFTPDestination
from .common import DIGEST, SIZE, BackupCase
from .test_destination_kinds import S3, SFTP

RCLONE = {
    "kind": "rclone", "rclone_remote": "nas",
    "rclone_config": "[nas]\ntype = webdav\nurl = https://nas.example.com\nuser = a\npass = b\n",
}  # fmt: skip


class TestLocations(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ours = cls.env.company
        cls.theirs = cls.env["res.company"].create({"name": "Theirs"})

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = os.path.join(folder.name, "archives")
        os.mkdir(self.root)
        self.vault = self._make_destination("Secret name", path=self.root, company_id=self.ours.id)
        self.manager = self._user(
            "manager", company_id=self.theirs.id, company_ids=[(6, 0, self.theirs.ids)]
        )

    def _make_as_stranger(self, path, **values):
        destinations = self.env["backup.destination"].with_user(self.manager)
        values = {"name": "Mine", "path": path, "company_id": self.theirs.id, **values}
        return destinations.create(values)

    def _refused(self, path, words="same place, inside it"):
        with self.assertRaisesRegex(ValidationError, words) as caught, self.env.cr.savepoint():
            self._make_as_stranger(path)
        return str(caught.exception)

    def test_no_destination_lies_at_the_place_of_another_companys(self):
        link = f"{self.root}-link"
        os.symlink(self.root, link)
        below = os.path.join(self.root, "Paris")
        above = os.path.dirname(self.root)
        for path in (self.root, f"{self.root}/", f"{self.root}/.", above, "/", below,
                     os.path.join(below, "books"), f"{below}/..", link, f"{link}/x"):  # fmt: skip
            with self.subTest(path):
                self.assertNotIn("Secret name", self._refused(path))
        self._make_as_stranger(f"{self.root}-other")

    def test_a_new_destination_begins_with_a_folder_of_its_own(self):
        destinations = self.env["backup.destination"]
        for _time in range(2):
            destinations.create({"name": "New"})
        self.assertEqual(len(set(destinations.search([]).mapped("path"))),
                         destinations.search_count([]))  # fmt: skip

    def test_one_that_is_archived_counts_too(self):
        self.vault.active = False
        self._refused(self.root)

    def test_a_place_of_the_own_company_is_named(self):
        with self.assertRaisesRegex(ValidationError, "Secret name"):
            self._make_destination("Second", path=self.root)

    def test_a_destination_is_not_moved_there_either(self):
        mine = self._make_as_stranger(f"{self.root}-other")
        with self.assertRaises(ValidationError), self.env.cr.savepoint():
            mine.path = self.root
        self.env.invalidate_all()
        self.assertEqual(mine.path, f"{self.root}-other")

    def test_what_becomes_a_link_to_it_afterwards_is_neither_imported_nor_called_fine(self):
        mine = self._make_as_stranger(f"{self.root}-other")
        os.symlink(self.root, mine.path)
        with self.assertRaisesRegex(UserError, "another destination"):
            mine.import_archives()
        self.assertIn("same place", " ".join(mine.check()["warnings"]))

    def _pairs(self):
        other = {**S3, "s3_endpoint_url": "https://S3.example.com:443/"}
        nas = {**SFTP, "sftp_path": "a/b"}
        return (
            ({**S3, "s3_prefix": "a/b"}, {**other, "s3_prefix": "a/b/"}, True),
            ({**S3, "s3_prefix": "a/b"}, {**other, "s3_prefix": "/a"}, True),
            (S3, {**other, "s3_prefix": "a/b"}, True),
            ({**S3, "s3_prefix": "a/b"}, {**other, "s3_prefix": "a/bc"}, False),
            (S3, {**other, "s3_bucket": "another"}, False),
            (S3, {**other, "s3_endpoint_url": False}, False),
            (nas, {**SFTP, "sftp_path": "./a/b/c", "sftp_host": "NAS.example.com"}, True),
            (nas, {**SFTP, "sftp_path": "~/a"}, True),
            (nas, {**SFTP, "sftp_path": "a/b", "sftp_port": 2222}, False),
            (nas, {**SFTP, "sftp_path": "/a/b"}, False),
            (RCLONE, {**RCLONE, "rclone_path": "a"}, True),
            ({**RCLONE, "rclone_path": "b"}, {**RCLONE, "rclone_path": "a"}, False),
            (
                {**RCLONE, "rclone_path": "a/b"},
                {
                    **RCLONE,
                    "rclone_remote": "short",
                    "rclone_config": RCLONE["rclone_config"].replace("pass = b", "pass = c")
                    + "[short]\ntype = alias\nremote = nas:a\n",
                },
                True,
            ),
        )

    def test_other_kinds_are_compared_by_server_and_path(self):
        destinations = self.env["backup.destination"]
        for number, (one, other, refused) in enumerate(self._pairs()):
            with self.subTest(number), self.env.cr.savepoint():
                made = destinations.create({**one, "name": "One"})
                if refused:
                    with self.assertRaisesRegex(ValidationError, "One"), self.env.cr.savepoint():
                        destinations.create({**other, "name": "Other"})
                else:
                    destinations.create({**other, "name": "Other"}).unlink()
                made.unlink()

    def test_another_kind_at_the_same_place_is_refused_too(self):
        """Such as one of another addon that stores in a folder of this machine."""
        folder = folder_locations(self.root)
        found = patch.object(SFTPDestination, "locations", lambda _self: folder)
        with found, self.assertRaisesRegex(ValidationError, "another destination"):
            self._make_as_stranger(False, **SFTP)

    def test_a_place_that_cannot_be_opened_holds_up_nobody(self):
        self.env["backup.destination"].create({**SFTP, "name": "NAS"})
        with patch.object(SFTPDestination, "__init__", side_effect=UserError("lost")):
            self.assertFalse(self.vault._overlapping())

    # --- what was imported before there was such a check ----------------------------------------

    def _lay(self, run):
        path = "Shop/sales/2026-11-20T02-00-00Z.zip"
        final = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(final))
        with open(final, "wb") as file:
            file.write(bytes(SIZE))
        catalogue = {
            "run": run._owner(), "instance": "Shop", "database": "sales", "sha256": DIGEST,
            "size": SIZE, "archive_format": "zip",
            "scheduled_at": run.scheduled_at.isoformat() + "Z",
            "started_at": "2026-11-20T02:00:05Z", "stored_at": "2026-11-20T02:03:00Z",
        }  # fmt: skip
        with open(final + ".json", "w", encoding="utf-8") as file:
            json.dump(catalogue, file)
        return path

    def test_what_was_imported_from_the_place_of_another_company_is_not_deleted(self):
        run = self._stored()
        path = self._lay(run)
        mine = self._make_as_stranger(f"{self.root}-other")
        instance = self._make_instance("Stolen", company_id=self.theirs.id)
        stolen = run.copy({"instance_id": instance.id, "catalogue_owner": run._owner(),
                           "status": "success", "job_id": False})  # fmt: skip
        copy = self.env["backup.copy"].create(
            {"run_id": stolen.id, "destination_id": mine.id, "path": path, "status": "stored"}
        )
        copy._request_deletion("Before there was such a check.", by_retention=False)
        os.symlink(self.root, mine.path)
        with self.assertRaisesRegex(UserError, "not deleted"):
            stolen.with_user(self.manager).delete_archives("sales")
        self._take_task("delete", stolen)
        self.assertEqual(self._order(stolen)["copies"], [])
        self.assertFalse(copy.deletion_requested_at)
