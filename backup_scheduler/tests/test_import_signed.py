"""Whose the catalogues are that an import finds, and when what was imported counts."""

import json
import os
from unittest.mock import patch

from cryptography.fernet import Fernet

from ..engine import catalogue
from ..engine.masking import secrets_of
from ..models.backup_secret_mixin import KEY_VARIABLE, signing_keys
from .test_import import OWNER, PATH, ImportCase
from .test_upgrade import UpgradeCase


class TestImportSigned(ImportCase):
    # --- who wrote it ---------------------------------------------------------------------------

    def _sign(self, key=None, path=PATH):
        """Sign what lies at a path, as the engine does."""
        file = os.path.join(self.root, path + ".json")
        with open(file) as opened:
            content = catalogue.parsed(opened.read().encode())
        with open(file, "wb") as opened:
            opened.write(catalogue.written(content, key or signing_keys()[0]))

    def test_what_this_installation_has_signed_is_imported_at_once(self):
        self._lay()
        self._sign()
        found = self.place.import_archives()
        self.assertEqual((found["imported"], found["unsigned"]), (1, 0))
        self.assertEqual(self._imported().unverified_import, "signed")

    def test_what_somebody_planted_is_told_apart_and_left(self):
        self._lay("Paris/books/none.zip", run="lost/1")
        self._lay("Paris/books/other.zip", run="lost/2")
        self._sign("another installation's key", "Paris/books/other.zip")
        self._lay("Paris/books/changed.zip", run="lost/3")
        self._sign(path="Paris/books/changed.zip")
        file = os.path.join(self.root, "Paris/books/changed.zip.json")
        with open(file) as opened:
            content = json.load(opened)
        with open(file, "w") as opened:
            json.dump({**content, "sha256": "cd" * 32}, opened)
        for number, signature in enumerate((5, None, [], "", "é", "a" * 64, {"a": 1})):
            self._lay(f"Paris/books/{number}.zip", run=f"lost/1{number}", signature=signature)
        self._lay()
        self._sign()
        found = self.place.import_archives()
        self.assertEqual((found["imported"], found["unsigned"], found["unreadable"]), (1, 10, 0))
        self.assertEqual(self._imported().catalogue_owner, OWNER)

    def test_with_a_key_that_was_replaced_an_archive_is_still_ours(self):
        self._lay()
        self._sign()
        old = os.environ[KEY_VARIABLE]
        with patch.dict(os.environ, {KEY_VARIABLE: f"{Fernet.generate_key().decode()},{old}"}):
            self.assertEqual(self.place.import_archives()["imported"], 1)

    def test_the_order_of_a_backup_has_the_key_as_a_secret(self):
        run = self._running()
        order = self._order(run)
        self.assertEqual(order["signature"]["settings"]["key"], signing_keys()[0])
        self.assertIn(signing_keys()[0], secrets_of(order))

    def test_what_was_not_verified_here_is_not_signed_as_ours(self):
        self._lay()
        self._import()
        self.assertEqual(self._imported()._signature_order()["settings"]["key"], "")

    # --- when it counts -------------------------------------------------------------------------

    def _counts(self, run):
        database = run.instance_id.database_ids.filtered(lambda one: one.name == "books")
        self.env.invalidate_all()
        stand = database._protections(database.ids)[database.id]
        counted = {database.last_good_run_id == run, stand["last_good_run_id"] == run.id}
        self.assertEqual(len(counted), 1)
        return counted.pop()

    def test_an_imported_archive_counts_once_it_was_verified_here(self):
        self._lay()
        self._sign()
        self.place.import_archives()
        run = self._imported()
        self.assertFalse(self._counts(run))
        run._mark_verified({"level": 2})
        self.assertTrue(self._counts(run))
        self.assertFalse(run.unverified_import)

    def test_the_stored_bytes_of_a_sealed_archive_prove_only_what_is_signed(self):
        self._lay()
        self._sign()
        self._lay("Paris/books/planted.zip", run="lost/18", scheduled_at="2026-11-21T02:00:00Z")
        self._import()
        for run in self._imported():
            signed = run.unverified_import == "signed"
            run._mark_verified(None)
            self.assertEqual(not run.unverified_import, signed)

    def test_an_archive_that_nobody_read_does_not_make_the_last_good_one_expendable(self):
        run = self._stored("books", self._make_job(instance_id=self._make_instance(
            "Paris", ["books"]).id))  # fmt: skip
        self._lay()
        self._import()
        self.assertEqual(run._databases_left_bare(), ["books"])


class TestUpgradeOfImports(UpgradeCase, ImportCase):
    """From 19.0.4.0.0, in which an imported archive counted at once."""

    version = "19.0.5.0.0"
    before = "19.0.4.0.0"
    script = "post-unverified_imports"

    def test_an_imported_archive_that_was_never_verified_counts_no_more(self):
        own = self._stored("books", self._make_job())
        self._lay()
        self._lay("Paris/books/read.zip", run="lost/18", scheduled_at="2026-11-21T02:00:00Z")
        self._import()
        never, read = self._imported().sorted("catalogue_owner")
        read._mark_verified({"level": 2})
        self._sql("UPDATE backup_run SET unverified_import = NULL")
        self._upgrade()
        self.env.invalidate_all()
        self.assertEqual(never.unverified_import, "unsigned")
        self.assertFalse(read.unverified_import or own.unverified_import)
