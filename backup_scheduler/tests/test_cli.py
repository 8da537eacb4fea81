"""What ``odoo-bin backup`` says and how it exits. That it runs is for the end-to-end tests."""

import contextlib
import io
import types
from unittest.mock import patch

from odoo import fields
from odoo.tools import mute_logger

from ..cli.backup import Backup
from .common import BackupCase, ago

READING = "odoo.addons.backup_scheduler.models.run.backup_run_reading"
AWAY = {"ok": False, "bad": False, "error_code": "destination_failed", "error": "It is away."}
DAMAGED = {"ok": False, "bad": True, "error_code": "damaged", "error": "Other bytes."}
READ = {"ok": True, "report": {"level": 3}}
SEALED = {"ok": True, "report": None}


class CommandCase(BackupCase):
    """Commands in this test's transaction, and their workers put in."""

    def _command(self, action, work=None, **options):
        """Return the exit code of a command, and what it wrote."""
        command, written = Backup(), io.StringIO()
        options = types.SimpleNamespace(**options)
        environment = contextlib.nullcontext(self.env)
        with (
            patch.object(command, "_environment", lambda *_arguments: environment),
            patch.object(command, "_execute", lambda _options, _run: work and work()),
            contextlib.redirect_stdout(written),
            contextlib.redirect_stderr(written),
        ):
            try:
                getattr(command, f"_{action}")(options, [])
            except SystemExit as end:
                return end.code, written.getvalue()
        return 0, written.getvalue()


class TestVerify(CommandCase):
    def setUp(self):
        super().setUp()
        second = self._make_destination("Second")
        job = self._make_job(destination_ids=[(6, 0, (self.destination + second).ids)])
        self.run_ = self._stored(job=job, level=3)
        self.enterContext(mute_logger(READING))
        self.assertEqual(self.run_.copy_ids.mapped("status"), ["stored", "stored"])

    def _verify(self, *results, event=None, level=None):
        """Verify by the command line, where a worker finds ``results``, copy by copy."""
        copies = self.run_.copy_ids.sorted(lambda copy: copy.destination_id.name)

        def work():
            self.assertEqual(self._take("worker"), self.run_)
            self._order(self.run_)
            told = [
                {"id": copy.id, **result} for copy, result in zip(copies, results, strict=False)
            ]
            self._report(self.run_, event or {"event": "done", "copies": told})

        return self._command("verify", work, run=self.run_.id, level=level, identity=None)

    def test_all_copies_read_are_a_good_archive(self):
        code, written = self._verify(READ, READ)
        self.assertEqual(code, 0)
        self.assertIn("Second: read", written)
        self.assertIn("Vault: read", written)
        self.assertIn("verified, level 3", written)

    def test_sealed_bytes_that_are_the_stored_ones_were_read(self):
        self.assertEqual(self._verify(READ, SEALED)[0], 0)

    def test_nothing_read_is_no_success_whatever_was_known_before(self):
        self.run_.copy_ids.read_at = ago(days=1)
        code, written = self._verify(AWAY, AWAY)
        self.assertEqual((code, self.run_.status), (1, "verified"))
        self.assertIn("Nothing was read", written)
        self.assertIn("Vault: not read", written)
        self.assertIn("It is away.", written)

    def test_one_copy_that_was_not_read_is_one_too_many(self):
        code, written = self._verify(AWAY, READ)
        self.assertEqual(code, 1)
        self.assertIn("Second: not read", written)
        self.assertIn("It is away.", written)
        self.assertIn("Vault: read", written)
        self.assertNotIn("Nothing was read", written)

    def test_one_copy_that_is_damaged_is_told(self):
        code, written = self._verify(READ, DAMAGED)
        self.assertEqual((code, self.run_.status), (1, "verified"))
        self.assertIn("Vault: failed: damaged: Other bytes.", written)

    def test_a_finding_is_no_success(self):
        finding = {"error_code": "inconsistent", "error": "Files are missing.", "hint": "Look."}
        code, written = self._verify({**READ, "finding": finding}, READ)
        self.assertEqual(code, 1)
        self.assertIn("verify_failed", written)
        self.assertIn("Files are missing.", written)

    def test_a_drill_that_was_kept_from_a_result_is_no_success(self):
        failure = {"error_code": "database_server_failed", "error": "No room.", "hint": "Make it."}
        undetermined = {**READ, "undetermined": failure}
        code, written = self._verify(undetermined, undetermined, level=4)
        self.assertEqual((code, self.run_.status), (1, "verified"))
        self.assertIn("database_server_failed: No room. Make it.", written)

    def test_a_reading_that_did_not_come_about_is_told(self):
        failed = {"event": "failed", "error_code": "internal", "error": "KeyError: x"}
        code, written = self._verify(event=failed)
        self.assertEqual(code, 1)
        self.assertIn("KeyError: x", written)

    def test_a_copy_that_was_deleted_meanwhile_was_not_read(self):
        def work():
            self.run_.copy_ids[0]._mark_deleted()
            self.run_.copy_ids[1].read_at = fields.Datetime.now()
            self.run_.verification_requested_at = False

        code, _written = self._command("verify", work, run=self.run_.id, level=None, identity=None)
        self.assertEqual(code, 1)


class TestImportCommand(CommandCase):
    def _import(self, *answers):
        answers = [
            dict(zip(("imported", "known", "unreadable", "complete"), answer, strict=True))
            for answer in answers
        ]
        kind = type(self.env["backup.destination"])
        with patch.object(kind, "import_archives", side_effect=answers):
            return self._command("import", destination="Vault", accept_unsigned=False)

    def test_it_goes_on_until_all_were_looked_at(self):
        code, written = self._import((5, 0, 0, False), (2, 5, 0, True))
        self.assertEqual((code, len(written.splitlines())), (0, 2))

    def test_it_ends_where_it_gets_no_further(self):
        code, written = self._import((5, 0, 9, False), (0, 5, 9, False))
        self.assertEqual(code, 1)
        self.assertIn("There are more", written)
