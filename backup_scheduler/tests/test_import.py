"""The catalogue, rebuilt from what lies in a destination."""

import json
import os
import tempfile
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tools import mute_logger

from .. import engine_call
from ..engine import importing
from ..engine.destinations import local
from .common import DIGEST, SIZE, BackupCase, ago

IMPORT = "odoo.addons.backup_scheduler.models.destination.backup_import"
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


class ImportCase(BackupCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        self.place = self._make_destination("Bucket", path=self.root)

    def _lay(self, path=PATH, length=1000, **changes):
        """Lay an archive of ``length`` bytes with its JSON into the destination."""
        final = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(final), exist_ok=True)
        with open(final, "wb") as file:
            file.write(b"x" * length)
        content = {**CATALOGUE, **changes}
        with open(final + ".json", "w") as file:
            json.dump({key: value for key, value in content.items() if value != "-"}, file)
        return final

    def _lay_again(self, run, **changes):
        """Lay an archive that says to be this one, in another destination."""
        values = {
            "run": run._owner(), "database": run.database_name, "sha256": run.sha256,
            "scheduled_at": run.scheduled_at.isoformat() + "Z", "size": SIZE, "length": SIZE,
        }  # fmt: skip
        return self._lay(**{**values, **changes})

    def _lay_text(self, path, text):
        with open(self._lay(path) + ".json", "w") as file:
            file.write(text)

    @mute_logger(IMPORT)
    def _import(self):
        """Import archives of a server that is lost, whose key nobody has any more."""
        found = self.place.import_archives(accept_unsigned=True)
        return found["imported"], found["known"], found["unreadable"]

    def _imported(self):
        return self.Run.search([("catalogue_owner", "!=", False)])


class TestImport(ImportCase):
    def test_names_of_several_lines_are_imported_as_one_line(self):
        self._lay(database="books\r\nX: y", instance="Paris\u202e\n", job="Every\nnight")
        self.assertEqual(self._import(), (1, 0, 0))
        run = self.place.copy_ids.run_id
        for name in (run.database_name, run.instance_id.name, run.job_name):
            self.assertEqual(len(name.splitlines()), 1)
            self.assertIn("\ufffd", name)

    def test_a_fresh_server_knows_what_lies_there(self):
        self._lay()
        found = self.place.import_archives(accept_unsigned=True)
        wanted = {"imported": 1, "known": 0, "unreadable": 0, "unsigned": 0, "complete": True}
        self.assertEqual(found, wanted)
        run = self._imported()
        self.assertRecordValues(
            run,
            [
                {
                    "status": "success", "verification_level": "1", "database_name": "books",
                    "job_name": "Every night", "size": 1000, "sha256": DIGEST, "job_id": False,
                    "odoo_version": "19.0", "stored_copies": 1, "trigger": "schedule",
                }
            ],
        )  # fmt: skip
        self.assertRecordValues(run.copy_ids, [{"status": "stored", "path": PATH}])
        self.assertEqual(run.instance_id.url, "https://paris.example.com")
        self.assertFalse(run.instance_id.has_master_password)
        self.assertFalse(run.instance_id.database_ids.last_good_run_id)

    def test_doing_it_twice_changes_nothing(self):
        self._lay()
        self.place.import_archives(accept_unsigned=True)
        found = self.place.import_archives(accept_unsigned=True)
        self.assertEqual((found["imported"], found["known"]), (0, 1))
        self.assertEqual(len(self._imported()), 1)

    def test_the_copy_of_another_destination_joins_its_run(self):
        self._lay()
        self.place.import_archives(accept_unsigned=True)
        with tempfile.TemporaryDirectory() as folder:
            self.root = folder
            self._lay()
            self._make_destination("Second", path=folder).import_archives(accept_unsigned=True)
        self.assertEqual(len(self._imported()), 1)
        self.assertEqual(self._imported().stored_copies, 2)

    def test_it_is_still_ours_to_delete(self):
        self._lay()
        self.place.import_archives(accept_unsigned=True)
        run = self._imported()
        self.assertEqual(run._owner(), OWNER)
        run.delete_archives("books")
        self._take("executor")
        self.assertEqual(self._order(run)["owner"], OWNER)

    def test_an_encrypted_archive_keeps_what_is_known_of_its_bytes(self):
        path = PATH + ".age"
        self._lay(path, 1234, encryption="age", stored_size=1234.0, stored_sha256="cd" * 32)
        self.place.import_archives(accept_unsigned=True)
        copy = self._imported().copy_ids
        self.assertRecordValues(copy, [{"encryption": "age", "size": 1234, "sha256": "cd" * 32}])
        self.assertEqual(copy.run_id.size, 1000)

    def test_an_archive_with_a_finding_is_no_good_one(self):
        finding = {"error_code": "inconsistent", "error": "Files are missing.", "hint": ""}
        self._lay(finding=finding, report={"level": 2})
        self.place.import_archives(accept_unsigned=True)
        self.assertRecordValues(
            self._imported(), [{"status": "verify_failed", "error_code": "inconsistent"}]
        )

    def test_a_known_instance_takes_its_archives_back(self):
        paris = self._make_instance("Paris")
        self._lay()
        self.place.import_archives(accept_unsigned=True)
        self.assertEqual(self._imported().instance_id, paris)

    def test_what_is_no_catalogue_of_ours_is_told_and_left(self):
        deep = []
        for _level in range(100):
            deep = [deep]
        broken = (
            {"run": "-"}, {"sha256": 5}, {"sha256": "ab"}, {"size": -1}, {"archive_format": "tar"},
            {"archive_format": ["zip"]}, {"scheduled_at": "yesterday"}, {"database": ""},
            {"instance": "a\0b"}, {"instance": "a" * 10_000}, {"finding": "text"},
            {"finding": {"error_code": 5}}, {"finding": {"error_code": "x", "error": "a\0b"}},
            {"size": 10**400}, {"size": 1e30}, {"size": float("inf")}, {"size": float("nan")},
            {"report": {"users": 10**400}}, {"report": {"users": float("nan")}},
            {"report": {"a\0": 1}}, {"report": {"since": 5}}, {"report": {"since": "soon"}},
            {"report": {"level": "3"}}, {"report": {"level": 9}}, {"report": {"notes": "x"}},
            {"report": {"notes": [3]}}, {"report": {"manifest": []}}, {"report": {"users": "5"}},
            {"report": {"users": [5]}}, {"report": {"users": True}}, {"report": {"database": 5}},
            {"size": 1000.5}, {"size": "1000"}, {"size": True}, {"include_filestore": "false"},
            {"include_filestore": 1}, {"run": "a\rb"},
            {"odoo_version": 19}, {"archive_format": {"zip": 1}}, {"trigger\0": 1},
            {"report": {"users": ["\ud800"]}}, {"report": [3]},
            {"report": {"deep": deep}}, {"scheduled_at": "0001-01-01T00:00:00+10:00"},
            {"started_at": "9999-12-31T23:59:59-10:00"}, {"job": {"name": "x"}},
            {"url": "javascript:alert(1)"}, {"encryption": "age"}, {"encryption": "gpg"},
        )  # fmt: skip
        for number, changes in enumerate(broken):
            with self.subTest(str(changes)[:80]), self.env.cr.savepoint():
                path = f"Paris/books/{number}.zip"
                final = self._lay(path, **changes)
                self.assertEqual(self._import(), (0, 0, 1))
                os.unlink(final)
        self._lay_text("Paris/books/cut.zip", '{"run": ')
        self._lay_text("Paris/books/long.zip", '{"size": ' + "1" * 10_000 + "}")
        self._lay_text("Paris/books/deep.zip", '{"run": ' + "[" * 900 + "]" * 900 + "}")
        self._lay()
        self.assertEqual(self._import(), (1, 0, 3))
        self.assertEqual(len(self._imported()), 1)

    def test_a_path_that_no_table_takes_holds_up_no_other(self):
        self._lay("/".join(["x" * 200] * 8) + "/1.zip")
        self._lay(os.fsdecode(b"Paris/\xff/1.zip"))
        self._lay("Paris/a\nb/1.zip")
        self._lay("Paris/books/a\x1bb.zip")
        self._lay()
        self.assertEqual(self._import(), (1, 0, 4))

    def test_what_the_database_refuses_holds_up_no_other(self):
        """Whatever was not thought of."""
        self._lay(finding={"error_code": "x", "error": "a\0b"})
        self._lay("Paris/books/good.zip", run="lost/18")
        bounds = "odoo.addons.backup_scheduler.engine.catalogue.require_bounded"
        with patch(bounds), mute_logger("odoo.sql_db"):
            self.assertEqual(self._import(), (1, 0, 1))

    def test_a_link_is_no_archive(self):
        final = self._lay()
        os.rename(final, os.path.join(self.root, "elsewhere"))
        os.symlink(os.path.join(self.root, "elsewhere"), final)
        self.assertEqual(self._import(), (0, 0, 0))

    # --- what it is worth -----------------------------------------------------------------------

    def test_what_was_not_read_here_is_not_called_verified(self):
        self._lay(report={"level": 4, "users": 5})
        self._import()
        run = self._imported()
        self.assertRecordValues(
            run,
            [{"status": "success", "verification_level": "1", "verified_at": False,
              "wanted_level": "3"}],
        )  # fmt: skip
        self.assertEqual(run.verification_report, {"level": 4, "users": 5})
        self.assertIn("not read here yet", run.log)

    def test_it_is_the_first_that_the_destination_reads_again_and_then_verified(self):
        self._lay()
        self._import()
        run = self._imported()
        other = self._stored()
        other.copy_ids.write({"destination_id": self.place.id, "checked_at": ago(days=300)})
        self.place.write({"reread_interval": 30, "reread_budget": 1})
        other.copy_ids.size = 10**9
        self.place._request_readings(fields.Datetime.now())
        self.assertTrue(run.verification_requested_at)
        self.assertFalse(other.verification_requested_at)
        self.assertEqual(self._take("reader"), run)
        order = self._order(run)
        self.assertEqual((order["verify_level"], order["sha256"]), (3, DIGEST))
        result = {"id": run.copy_ids.id, "ok": True, "report": {"level": 3}}
        self._report(run, {"event": "done", "copies": [result]})
        self.assertRecordValues(run, [{"status": "verified", "verification_level": "3"}])

    def test_an_archive_of_another_size_is_none_of_ours(self):
        self._lay(length=999)
        path = PATH + ".age"
        self._lay(path, 1000, encryption="age", stored_size=1234, stored_sha256="cd" * 32)
        self.assertEqual(self._import(), (0, 0, 2))

    def test_a_finding_counts_until_a_reading_finds_it_no_more(self):
        self._lay(finding={"error_code": "inconsistent", "error": "Files are missing."})
        self._import()
        run = self._imported()
        self.assertEqual((run.finding["level"], run.verification_level), (3, "1"))
        run._mark_verified({"level": 2})
        self.assertEqual(run.status, "verify_failed")
        run._mark_verified({"level": 3})
        self.assertEqual(run.status, "verified")

    # --- which run it belongs to ----------------------------------------------------------------

    def test_a_copy_of_a_run_of_ours_joins_it(self):
        run = self._stored()
        self._lay_again(run)
        self.assertEqual(self._import(), (1, 0, 0))
        self.assertEqual(run.stored_copies, 2)
        self.assertFalse(self._imported())
        self.assertIn("Bucket", run.log)

    def test_a_number_alone_makes_it_nobodys_copy(self):
        """Where the backup server's own database was restored, numbers come again."""
        run = self._stored()
        queued = self._make_run("stock")
        queued.sha256 = DIGEST
        differences = (
            {"sha256": "cd" * 32}, {"database": "stock"}, {"scheduled_at": "2026-01-01T02:00:00Z"},
        )  # fmt: skip
        for number, changes in enumerate(differences):
            self._lay_again(run, path=f"Shop/sales/{number}.zip", **changes)
        self._lay_again(queued, path="Shop/stock/queued.zip")
        self.assertEqual(self._import(), (4, 0, 0))
        self.assertEqual((len(run.copy_ids), len(queued.copy_ids)), (1, 1))
        self.assertEqual(len(self._imported()), 4)

    def test_an_imported_run_takes_only_copies_of_its_archive(self):
        self._lay()
        self._lay("Paris/books/other.zip", sha256="cd" * 32)
        self._import()
        self.assertEqual(self._imported().mapped("stored_copies"), [1, 1])
        self.assertEqual(set(self._imported().mapped("catalogue_owner")), {OWNER})

    def test_the_run_of_another_company_is_not_joined(self):
        run = self._stored()
        self.instance.company_id = self.env.company
        run.company_id = self.env.company
        other = self.env["res.company"].create({"name": "Other"})
        manager = self._user("manager", company_id=other.id, company_ids=[(6, 0, other.ids)])
        self._lay_again(run)
        self.env.flush_all()
        self.place = self.place.with_user(manager)
        self.place.sudo().company_id = other
        self.assertEqual(self._import(), (1, 0, 0))
        self.assertEqual(len(run.copy_ids), 1)
        self.assertEqual(self._imported().company_id, other)

    # --- a large destination --------------------------------------------------------------------

    def test_what_is_known_is_not_read_again(self):
        self._lay()
        self._import()
        self._lay("Paris/books/new.zip", run="lost/18")
        with patch.object(local, "read_catalogue", wraps=local.read_catalogue) as read:
            self.assertEqual(self._import(), (1, 1, 0))
        self.assertEqual(read.call_count, 1)

    def test_what_one_call_has_no_time_for_the_next_one_finds(self):
        for number in range(3):
            self._lay(f"Paris/books/{number}.zip", run=f"lost/{number}")
        with patch.object(importing, "TIME_LIMIT", -1):
            found = self.place.import_archives(accept_unsigned=True)
            self.assertEqual((found["imported"], found["complete"]), (1, False))
        self.assertEqual(self._import(), (2, 1, 0))

    def test_a_destination_is_listed_by_a_process(self):
        self._lay()
        calls = []

        def carry_out(order, time_limit):
            calls.append((order["action"], time_limit))
            return engine_call.carry_out_here(order, time_limit)

        with patch.object(engine_call, "carry_out", carry_out):
            self.assertEqual(self._import(), (1, 0, 0))
        ((action, limit),) = calls
        self.assertEqual(action, "archives")
        self.assertGreater(limit, importing.TIME_LIMIT)

    # --- who and how ----------------------------------------------------------------------------

    def test_a_destination_that_is_not_there_says_so(self):
        self.place.path = os.path.join(self.root, "missing")
        with self.assertRaisesRegex(UserError, "missing"):
            self.place.import_archives(accept_unsigned=True)

    def test_only_managers_import(self):
        self._lay()
        with self.assertRaises(AccessError):
            self.place.with_user(self._user("operator")).import_archives(True)
        self.place.with_user(self._user("manager")).import_archives(True)
        self.assertTrue(self._imported())

    def test_the_button_tells_what_was_found(self):
        self._lay()
        answer = self.place.action_import_archives()
        self.assertIn("0 imported", answer["params"]["message"])
        self.assertIn("did not sign them: 1.", answer["params"]["message"])
        self.assertEqual(self.place.unsigned_archives, 1)
        answer = self.place.action_import_unsigned()
        self.assertIn("1 imported", answer["params"]["message"])
        self.assertEqual(self.place.unsigned_archives, 0)
