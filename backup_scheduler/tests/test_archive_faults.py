"""What goes wrong around archives at rest must neither stop the others nor make anything green."""

from unittest.mock import patch

from odoo import fields
from odoo.exceptions import UserError
from odoo.tools import mute_logger

from ..executor import Executor
from .common import AT_REST, SIZE, BackupCase, ago, archive
from .test_archive_levels import FINDING

MODELS = "odoo.addons.backup_scheduler.models"
QUIET = (
    f"{MODELS}.restore.backup_restore", f"{MODELS}.run.backup_run_reading",
    f"{MODELS}.run.backup_run_status", f"{MODELS}.task.backup_task_execution",
    "odoo.addons.backup_scheduler.executor",
)  # fmt: skip
AWAY = {"ok": False, "bad": False, "error_code": "destination_failed", "error": "I/O error"}
DAMAGED = {"bad": True, "error_code": "damaged", "error": "SHA-256", "hint": "", "retryable": True}


class FaultCase(BackupCase):
    def setUp(self):
        super().setUp()
        self.enterContext(mute_logger(*QUIET))

    def _executor(self):
        """Return an executor whose transactions are seen by this test."""
        self.env.flush_all()
        entered = self.enter_registry_test_mode()
        entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        return Executor(self.registry, "seat")

    def _asked(self, run, level=None):
        run.verify(level)
        self.assertEqual(self._take("reader"), run)
        return self._order(run)

    def _read(self, run, **result):
        copies = [{"id": copy.id, "ok": True, "report": None, **result} for copy in run.copy_ids]
        self._report(run, {"event": "done", "copies": copies})

    def _with_finding(self, job=None):
        run = self._running(job=job)
        copies = [{"id": copy.id, "stored": True, **AT_REST} for copy in run.copy_ids]
        self._report(run, {"event": "done", **archive(2), "finding": FINDING, "copies": copies})
        return run

    def _with_two_copies(self):
        second = self._make_destination("Second")
        job = self._make_job(destination_ids=[(6, 0, (self.destination + second).ids)])
        run = self._running(job=job)
        self._report(run, self._done(run, failed=run.copy_ids.sorted("id")[1]))
        return run


class TestNothingStopsTheOthers(FaultCase):
    def test_a_restore_whose_order_cannot_be_made_ends_and_the_next_thing_is_taken(self):
        run = self._stored()
        self.instance.sudo().master_password_sealed = "sealed with the key of the lost server"
        restore = self.env["backup.restore"].browse(run.restore("back", self.instance.id))
        waiting = self._make_run("stock")
        executor = self._executor()
        self.assertEqual(executor.claim().kind, "")
        self.assertEqual(executor.claim().kind, "")
        self.env.invalidate_all()
        self.assertEqual(waiting.status, "failed", "It was taken next, for the same reason")
        self.assertEqual(restore.status, "failed")
        self.assertIn("secret", restore.error)

    def test_a_restore_to_an_instance_that_was_deleted_ends_with_that_reason(self):
        run = self._stored()
        other = self._make_instance("Elsewhere")
        restore = self.env["backup.restore"].browse(run.restore("back", other.id))
        other.unlink()
        executor = self._executor()
        self.assertEqual(executor.claim().kind, "")
        self.assertIsNone(executor.claim())
        self.env.invalidate_all()
        self.assertEqual(restore.status, "failed")
        self.assertIn("deleted", restore.error)

    def test_a_copy_whose_order_cannot_be_made_is_put_off(self):
        run = self._with_two_copies()
        bad = run.copy_ids.sorted("id")[1]
        bad.retry()
        executor = self._executor()
        place = type(bad.destination_id)
        with patch.object(place, "_settings", side_effect=UserError("Its secret is unreadable.")):
            self.assertEqual(executor.claim().kind, "")
            self.assertIsNone(executor.claim())
        self.env.invalidate_all()
        self.assertIn("unreadable", bad.error)
        self.assertGreater(bad.next_attempt_at, fields.Datetime.now())

    def test_a_copy_on_its_way_when_the_worker_is_told_to_stop_is_made_later(self):
        run = self._with_two_copies()
        missed = run.copy_ids.filtered(lambda copy: copy.status == "failed")
        missed.retry()
        executor = self._executor()
        executor.give_back(executor.claim())
        self.env.invalidate_all()
        self.assertRecordValues(missed, [{"status": "failed"}])
        self.assertGreater(run.task_ids.due_at, fields.Datetime.now())

    def test_an_archive_that_was_deleted_before_it_was_read_is_read_no_more(self):
        run = self._stored()
        run.verify()
        run.delete_archives("sales")
        self._take_task("delete", run)
        gone = [{"id": each["id"], "ok": True} for each in self._order(run)["copies"]]
        self._report(run, {"event": "done", "copies": gone})
        self.assertEqual(self._take("w").work, "verify")
        self.assertEqual(self._order(run)["copies"], [])
        self._report(run, {"event": "done", "copies": []})
        self.assertRecordValues(run, [{"status": "verified", "task_ids": []}])

    def test_clocks_that_are_apart_make_no_work_of_nothing(self):
        run = self._with_two_copies()
        run.copy_ids.sorted("id")[1].retry()
        with patch.object(fields.Datetime, "now", return_value=ago(minutes=10)):
            self.assertEqual(self._take("w"), run)
            self.assertEqual(len(self._order(run)["destinations"]), 1)

    def test_what_breaks_after_an_archive_was_stored_costs_no_archive(self):
        run = self._running()
        with (
            patch.object(type(self.Job), "_apply_retention", side_effect=KeyError("x")),
            patch.object(type(run), "_size_warning", side_effect=ValueError("%")),
        ):
            self._report(run, self._done(run))
        self.assertEqual((run.status, run.copy_ids.status), ("verified", "stored"))

    def test_a_run_beyond_its_own_record_leaves_nothing_asked_for(self):
        run = self._stored()
        restore = self.env["backup.restore"].browse(run.restore("back"))
        run.verify()
        self.env.flush_all()
        run.task_ids[0]._end_unrecordable(KeyError("x"))
        self.env.invalidate_all()
        self.assertFalse(run.copy_ids.reading_requested)
        self.assertEqual((restore.status, run.task_ids), ("failed", self.Task))

    def test_no_run_stays_queued_without_a_task(self):
        run = self._running(job=self._make_job(max_attempts=1))
        self._lose(run)
        self._take(task_id=self._abandoned().task_ids.id)
        run.retry()
        self.env.flush_all()
        self._held(run)._end_unrecordable(KeyError("x"))
        self.env.invalidate_all()
        self.assertEqual((run.status, run.task_ids.mapped("kind")), ("failed", ["discard"]))


class TestNothingTurnsGreen(FaultCase):
    def test_a_reading_that_does_not_look_for_it_lifts_no_finding(self):
        readings = {
            "sealed bytes": {"read": "sealed"},
            "a lower level": {"report": {"level": 2}},
        }
        for name, result in readings.items():
            with self.subTest(name):
                run = self._with_finding()
                self._asked(run)
                self._read(run, **result)
                self.assertRecordValues(
                    run, [{"status": "verify_failed", "error": FINDING["error"]}]
                )

    def test_a_reading_that_does_not_find_it_any_more_lifts_it(self):
        run = self._with_finding()
        self._asked(run)
        self._read(run, report={"level": 3})
        self.assertRecordValues(run, [{"status": "verified", "error": False, "finding": False}])

    def test_only_a_drill_lifts_a_failed_drill(self):
        run = self._stored(level=3)
        self._asked(run, 4)
        failure = {"error_code": "restore_failed", "error": "relation exists", "hint": "Look."}
        self._read(run, report={"level": 3}, finding=failure)
        self._asked(run)
        self._read(run, report={"level": 3})
        self.assertEqual((run.status, run.error_code), ("verify_failed", "restore_failed"))
        self._asked(run, 4)
        self._read(run, report={"level": 4})
        self.assertEqual((run.status, run.verification_level), ("verified", "4"))

    def test_a_damage_is_seen_before_a_finding_and_the_finding_after_it(self):
        run = self._with_finding()
        self._asked(run)
        self._read(run, ok=False, **DAMAGED)
        self.assertEqual(run.error_code, "damaged")
        self._asked(run)
        self._read(run, report={"level": 2})
        self.assertEqual((run.status, run.error_code), ("verify_failed", "inconsistent"))

    def test_retention_does_not_rely_on_what_is_not_good(self):
        job = self._make_job(retention_mode="keep_last_n", retention_value=1)
        good, bad = self._stored(job=job, level=3), self._with_finding(job)
        bad.copy_ids.encryption = "age"
        self._asked(bad)
        self._read(bad, read="sealed")
        kept = {each["run_id"]: each["keep"] for each in job.preview_retention()}
        self.assertTrue(kept[good.id])

    def test_a_copy_that_cannot_be_read_says_so_and_waits_a_day(self):
        self.destination.write({"reread_interval": 30, "reread_budget": 1})
        run = self._stored(level=3)
        run.copy_ids.write({"checked_at": ago(days=40), "size": SIZE})
        self._asked(run)
        posted = len(self.instance.message_ids)
        self._read(run, **AWAY)
        self.assertRecordValues(
            run.copy_ids, [{"status": "stored", "error_code": "destination_failed"}]
        )
        self.assertEqual(len(self.instance.message_ids), posted + 1)
        self.env["ir.config_parameter"].set_param("backup_scheduler.housekeeping_at", False)
        self._dispatch()
        self.assertFalse(run.verification_requested_at, "Not each hour")
        self._asked(run)
        self._read(run, **AWAY)
        self.assertEqual(len(self.instance.message_ids), posted + 1, "Not each time")

    def test_damage_that_is_found_on_the_way_to_another_copy_is_marked(self):
        run = self._with_two_copies()
        run.copy_ids.sorted("id")[1].retry()
        self._take("w")
        self._order(run)
        self._report(run, {"event": "unreadable", "id": run.copy_ids.sorted("id")[0].id, **DAMAGED})
        self._report(run, {"event": "failed", **DAMAGED})
        self.assertEqual(run.copy_ids.sorted("id")[0].status, "failed")

    def test_damage_that_a_restore_finds_on_its_way_is_repaired_from_the_other_copy(self):
        second = self._make_destination("Second")
        job = self._make_job(destination_ids=[(6, 0, (self.destination + second).ids)])
        run = self._stored(job=job)
        run.restore("back")
        self._take("w")
        self._order(run)
        self._report(run, {"event": "unreadable", "id": run.copy_ids[0].id, **DAMAGED})
        done = {"event": "done", "database": "back", "checked": {}, "notes": []}
        self._report(run, done)
        self.assertEqual(run.copy_ids[0].status, "failed")
        self.assertEqual(run.task_ids.mapped("kind"), ["replicate"])

    def test_a_restore_that_finds_damage_has_the_copies_read(self):
        run = self._stored()
        run.restore("back")
        self._take("w")
        self._order(run)
        self._report(run, {"event": "failed", **DAMAGED})
        self.assertTrue(run.copy_ids.reading_requested)

    def test_what_is_found_is_told_to_people(self):
        posted = len(self.instance.message_ids)
        self._with_finding()
        self.assertEqual(len(self.instance.message_ids), posted + 1)
        self.assertIn("not a good one", self.instance.message_ids[0].body)


class TestNothingIsLost(FaultCase):
    def test_an_archive_that_is_being_deleted_cannot_be_pinned(self):
        run = self._stored()
        run.delete_archives("sales")
        self._take("w")
        with self.assertRaisesRegex(UserError, "being deleted"):
            run.pin()

    def test_a_destination_with_archives_stays_where_it_is(self):
        self._stored()
        with self.assertRaisesRegex(UserError, "Folder: 1 archives are stored"):
            self.destination.path = "/somewhere/else"
        with self.assertRaisesRegex(UserError, "archives are stored"):
            self.destination.kind = "sftp"
        self.destination.write({"path": self.destination.path, "name": "Other name"})

    def test_copies_that_are_damaged_or_were_missed_are_deleted_too(self):
        run = self._with_two_copies()
        run.copy_ids.sorted("id")[0]._mark_damaged("damaged", "x")
        run.delete_archives("sales")
        self._take("w")
        order = self._order(run)
        there = run.copy_ids.filtered("path")
        self.assertEqual({each["id"] for each in order["copies"]}, set(there.ids))
        results = [{"id": copy.id, "ok": True} for copy in there]
        self._report(run, {"event": "done", "copies": results})
        self.assertFalse(run.copy_ids.filtered("path"))
        self.assertFalse(run.task_ids, "And nothing is copied there again")

    def test_encryption_that_is_switched_on_leaves_no_plain_copy_behind(self):
        run = self._with_two_copies()
        missed = run.copy_ids.sorted("id")[1]
        missed.path = "Shop/sales/old.zip"
        with patch.object(type(missed.destination_id), "_recipients", lambda self: ["age1x"]):
            missed.retry()
            self._take("w")
            order = self._order(run)
        (place,) = order["destinations"]
        self.assertTrue(place["archive_path"].endswith(".zip.age"))
        self.assertTrue(missed.deletion_requested_at, "What may lie under the old name goes")

    def test_what_takes_the_place_of_a_lost_database_keeps_its_identity(self):
        run = self._stored()
        run.restore("back", neutralize=False)
        self._take("w")
        self.assertEqual(self._order(run)["target"]["uuid"], "")
        self._report(run, {"event": "failed", "error_code": "x", "error": "x", "retryable": False})
        run.restore("again", self.instance.id, neutralize=False)
        self._take("w")
        self.assertIs(self._order(run)["target"]["copy"], False)

    def test_a_second_request_joins_the_first(self):
        run = self._stored()
        run.verify(4, "AGE-SECRET-KEY-1ABC")
        run.verify(2)
        self._take("w")
        order = self._order(run)
        self.assertEqual(order["verify_level"], 4)
        self.assertTrue(order["copies"][0]["identity"])
        with self.assertRaisesRegex(UserError, "right now"):
            run.verify()

    def test_a_restore_does_not_wait_for_a_reading(self):
        run = self._stored()
        self._asked(run)
        run.restore("back")
        self.assertTrue(run.cancel_requested)

    def test_a_name_that_postgresql_cannot_have_is_refused_at_once(self):
        with self.assertRaisesRegex(UserError, "63"):
            self._stored().restore("x" * 64)

    def test_two_last_archives_are_deleted_by_both_names(self):
        runs = self._stored("sales") | self._stored("stock")
        with self.assertRaisesRegex(UserError, "sales, stock"):
            runs.delete_archives("sales")
        runs.delete_archives("sales, stock")
