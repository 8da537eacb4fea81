"""The catalogue, rebuilt from what lies in a destination."""

import json
import os
import tempfile

from odoo.exceptions import AccessError, UserError

from .common import DIGEST, BackupCase

OWNER = "d3b0-uuid-of-the-lost-server/17"
PATH = "Paris/books/2026-11-20T02-00-00Z.zip"
CATALOGUE = {
    "run": OWNER,
    "instance": "Paris",
    "url": "https://paris.example.com",
    "database": "books",
    "job": "Every night",
    "trigger": "schedule",
    "scheduled_at": "2026-11-20T02:00:00Z",
    "started_at": "2026-11-20T02:00:05Z",
    "stored_at": "2026-11-20T02:03:00+00:00",
    "archive_format": "zip",
    "odoo_version": "19.0",
    "size": 1000,
    "sha256": DIGEST,
    "report": {"level": 3, "users": 5},
}


class TestImport(BackupCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        self.place = self._make_destination("Bucket", path=self.root)

    def _lay(self, path=PATH, **changes):
        """Lay an archive with its JSON into the destination."""
        final = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(final), exist_ok=True)
        with open(final, "wb") as file:
            file.write(b"an archive")
        catalogue = {**CATALOGUE, **changes}
        with open(final + ".json", "w") as file:
            json.dump({key: value for key, value in catalogue.items() if value != "-"}, file)
        return final

    def _imported(self):
        return self.Run.search([("catalogue_owner", "!=", False)])

    def test_a_fresh_server_knows_what_lies_there(self):
        self._lay()
        found = self.place.import_archives()
        self.assertEqual(found, {"imported": 1, "known": 0, "unreadable": 0, "complete": True})
        run = self._imported()
        self.assertRecordValues(
            run,
            [
                {
                    "status": "verified", "verification_level": "3", "database_name": "books",
                    "job_name": "Every night", "size": 1000, "sha256": DIGEST, "job_id": False,
                    "odoo_version": "19.0", "stored_copies": 1, "trigger": "schedule",
                }
            ],
        )  # fmt: skip
        self.assertRecordValues(run.copy_ids, [{"status": "stored", "path": PATH}])
        self.assertEqual(run.instance_id.url, "https://paris.example.com")
        self.assertFalse(run.instance_id.has_master_password)
        self.assertEqual(run.instance_id.database_ids.last_good_run_id, run)

    def test_doing_it_twice_changes_nothing(self):
        self._lay()
        self.place.import_archives()
        found = self.place.import_archives()
        self.assertEqual((found["imported"], found["known"]), (0, 1))
        self.assertEqual(len(self._imported()), 1)

    def test_the_copy_of_another_destination_joins_its_run(self):
        self._lay()
        self.place.import_archives()
        with tempfile.TemporaryDirectory() as folder:
            self.root = folder
            self._lay()
            self._make_destination("Second", path=folder).import_archives()
        self.assertEqual(len(self._imported()), 1)
        self.assertEqual(self._imported().stored_copies, 2)

    def test_it_is_still_ours_to_delete(self):
        self._lay()
        self.place.import_archives()
        run = self._imported()
        self.assertEqual(run._owner(), OWNER)
        run.delete_archives("books")
        self.Run._claim_work("executor")
        self.assertEqual(run._work_order()["owner"], OWNER)

    def test_an_encrypted_archive_keeps_what_is_known_of_its_bytes(self):
        self._lay(PATH + ".age", encryption="age", stored_size=1234, stored_sha256="cd" * 32)
        self.place.import_archives()
        copy = self._imported().copy_ids
        self.assertRecordValues(
            copy, [{"encryption": "age", "size": 1234, "sha256": "cd" * 32}]
        )
        self.assertEqual(copy.run_id.size, 1000)

    def test_an_archive_with_a_finding_is_no_good_one(self):
        finding = {"error_code": "inconsistent", "error": "Files are missing.", "hint": ""}
        self._lay(finding=finding, report={"level": 2})
        self.place.import_archives()
        self.assertRecordValues(
            self._imported(), [{"status": "verify_failed", "error_code": "inconsistent"}]
        )

    def test_a_known_instance_takes_its_archives_back(self):
        paris = self._make_instance("Paris")
        self._lay()
        self.place.import_archives()
        self.assertEqual(self._imported().instance_id, paris)

    def test_what_is_no_catalogue_of_ours_is_told_and_left(self):
        broken = (
            {"run": "-"}, {"sha256": 5}, {"size": -1}, {"archive_format": "tar"},
            {"scheduled_at": "yesterday"}, {"database": ""}, {"instance": "a\0b"},
        )  # fmt: skip
        for number, changes in enumerate(broken):
            self._lay(f"Paris/books/{number}.zip", **changes)
        with open(self._lay("Paris/books/cut.zip") + ".json", "w") as file:
            file.write('{"run": ')
        found = self.place.import_archives()
        self.assertEqual((found["imported"], found["unreadable"]), (0, len(broken) + 1))
        self.assertFalse(self._imported())

    def test_a_destination_that_is_not_there_says_so(self):
        self.place.path = os.path.join(self.root, "missing")
        with self.assertRaisesRegex(UserError, "missing"):
            self.place.import_archives()

    def test_only_managers_import(self):
        self._lay()
        with self.assertRaises(AccessError):
            self.place.with_user(self._user("operator")).import_archives()
        self.place.with_user(self._user("manager")).import_archives()
        self.assertTrue(self._imported())

    def test_the_button_tells_what_was_found(self):
        self._lay()
        answer = self.place.action_import_archives()
        self.assertIn("1 imported", answer["params"]["message"])
