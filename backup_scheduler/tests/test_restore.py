"""Restores: who may, what is asked, what is recorded."""

from unittest.mock import patch

from odoo import release
from odoo.exceptions import AccessError, UserError
from odoo.tools import mute_logger

from ..models.restore import backup_run_restore
from .common import AT_REST, PASSWORD, BackupCase

RESTORE_LOGGER = "odoo.addons.backup_scheduler.models.restore.backup_restore"
DONE = {
    "event": "done",
    "database": "sales-back",
    "checked": {"tables": 120, "users": 5},
    "notes": ["Three files were missing already."],
}


class RestoreCase(BackupCase):
    def setUp(self):
        super().setUp()
        self.enterContext(mute_logger(RESTORE_LOGGER))
        self.archive = self._stored()

    def _restore(self, name="sales-back", **values):
        return self.env["backup.restore"].browse(self.archive.restore(name, **values))

    def _claimed(self, **values):
        restore = self._restore(**values)
        self.assertEqual(self._take("restorer"), self.archive)
        self.order = self._order(self.archive)
        return restore


class TestRestore(RestoreCase):
    def test_to_an_instance_its_database_manager_is_told_all_it_needs(self):
        restore = self._claimed(instance_id=self.instance.id)
        target = self.order["target"]
        self.assertEqual((self.order["action"], target["kind"]), ("restore", "http"))
        self.assertEqual((target["database"], target["neutralize"]), ("sales-back", True))
        self.assertEqual((target["url"], target["master_password"]), (self.instance.url, PASSWORD))
        self.assertEqual([each["id"] for each in self.order["candidates"]],
                         self.archive.copy_ids.ids)  # fmt: skip
        self.assertEqual(restore.status, "running")

    def test_to_this_server_the_neutralisation_of_its_modules_comes_along(self):
        self._claimed()
        target = self.order["target"]
        self.assertEqual(target["kind"], "postgres")
        self.assertTrue(target["filestore"].endswith("filestore/sales-back"))
        self.assertIn("ir_cron", target["neutralization"]["base"])
        self.assertIn("backup_job", target["neutralization"]["backup_scheduler"])
        self.assertNotEqual(
            target["uuid"], self.env["ir.config_parameter"].get_param("database.uuid")
        )

    def test_several_restores_to_this_server_are_read_together(self):
        restores = self._restore("one") + self._restore("two")
        restores.status = "done"
        addresses = [restore["url"] for restore in restores.read(["url"])]
        root = self.env["ir.config_parameter"].get_param("web.base.url")
        self.assertEqual(addresses, [f"{root}/web?db=one", f"{root}/web?db=two"])

    def test_without_neutralisation_nothing_is_changed(self):
        self._claimed(neutralize=False)
        self.assertIsNone(self.order["target"]["neutralization"])

    def test_a_restore_that_is_done_is_told_everywhere(self):
        restore = self._claimed(instance_id=self.instance.id)
        self._report(self.archive, {"event": "stage", "stage": "restore"})
        self._report(self.archive, {"event": "progress", "stage": "restore", "done": 1, "total": 4})
        self.assertEqual(restore.progress, 25)
        self._report(self.archive, DONE)
        self.assertRecordValues(
            restore, [{"status": "done", "checked": DONE["checked"], "notes": DONE["notes"][0]}]
        )
        self.assertIn("sales-back", self.archive.log)
        self.assertIn("sales-back", self.instance.message_ids[0].body)
        self.assertIn("sales-back", self.instance.database_ids.mapped("name"))
        self.assertEqual(restore.url, f"{self.instance.url}/web?db=sales-back")
        self.assertFalse(self.archive.task_ids)

    def test_a_restore_that_failed_says_why_and_leaves_the_archive_as_good_as_it_was(self):
        restore = self._claimed()
        self._report(self.archive,
            {"event": "failed", "error_code": "database_exists", "error": "It is there.",
             "hint": "Choose another name.", "retryable": False}
        )  # fmt: skip
        self.assertRecordValues(
            restore,
            [{"status": "failed", "error_code": "database_exists", "hint": "Choose another name."}],
        )
        self.assertEqual(self.archive.status, "verified")
        self.assertFalse(self.archive.task_ids)

    def test_a_restore_that_was_lost_is_not_begun_again_by_itself(self):
        restore = self._claimed()
        self._expire_lease(self.archive)
        self.Task._reap()
        self.assertRecordValues(restore, [{"status": "failed", "error_code": "worker_lost"}])
        self.assertTrue(self._take_task("sweep"), "What it left goes")

    def test_a_restore_comes_before_the_backups(self):
        waiting = self._make_run("stock")
        self._restore()
        self.assertEqual(self._take(), self.archive)
        self.assertEqual(self._take(), waiting)

    def test_two_restores_of_one_archive_come_one_after_the_other(self):
        first, second = self._restore("one"), self._restore("two")
        self._take("w")
        self._order(self.archive)
        self.assertEqual((first.status, second.status), ("running", "queued"))
        self._report(self.archive, {**DONE, "database": "one"})
        self.assertEqual(self._take("w"), self.archive)
        self._order(self.archive)
        self.assertEqual(second.status, "running")

    def test_an_archive_is_not_deleted_while_it_is_restored(self):
        self._claimed()
        self.archive.delete_archives("sales")
        self.assertFalse(self._take("other"))

    def test_the_copy_that_was_chosen_is_read_first(self):
        second = self._make_destination("Second")
        job = self._make_job(destination_ids=[(6, 0, (self.destination + second).ids)])
        self.archive = self._stored(job=job)
        chosen = self.archive.copy_ids[1]
        self._claimed(copy_id=chosen.id)
        self.assertEqual(self.order["candidates"][0]["id"], chosen.id)
        self.assertEqual(len(self.order["candidates"]), 2)

    def test_a_queued_restore_is_cancelled_at_once_and_a_running_one_soon(self):
        restore = self._restore()
        restore.cancel()
        self.assertEqual(restore.status, "cancelled")
        self.assertFalse(self.archive.task_ids)
        running = self._claimed()
        running.cancel()
        self.assertTrue(self.archive.cancel_requested)
        self._report(self.archive,
            {"event": "failed", "error_code": "cancelled", "error": "Cancelled.",
             "hint": "", "retryable": False}
        )  # fmt: skip
        self.assertEqual(running.status, "cancelled")


class TestRefusedRestores(RestoreCase):
    def test_a_database_that_exists_is_never_replaced(self):
        with self.assertRaisesRegex(UserError, "New Database: sales exists"):
            self._restore("sales", instance_id=self.instance.id)
        with self.assertRaisesRegex(UserError, "exists there"):
            self._restore(self.env.cr.dbname)

    def test_a_name_that_odoo_would_not_take_is_refused(self):
        for name in ("", "a", "x y", "../etc", "naïve", "-x", "x;DROP"):
            with self.subTest(name), self.assertRaises(UserError):
                self._restore(name)

    def test_an_archive_of_another_odoo_is_not_neutralized_here(self):
        for version, found in (("17.0", "17.0"), ("saas~18.2", "saas~18.2"), ("14.0-2022", "14.0")):
            self.archive.odoo_version = version
            with self.subTest(version), self.assertRaises(UserError) as caught:
                self._restore(f"copy-{found[:2]}")
            self.assertIn(f"Odoo {found}", str(caught.exception))
            self.assertIn(release.major_version, str(caught.exception))
        self.archive.odoo_version = "17.0"
        self._restore("instead", neutralize=False)
        self._restore("there", instance_id=self.instance.id)

    def test_what_the_archive_says_of_its_version_goes_first(self):
        self.archive.odoo_version = "17.0"
        self.archive.verification_report = {"manifest": {"major_version": release.major_version}}
        self._restore()
        self.archive.odoo_version = False
        self.archive.verification_report = {"manifest": {"major_version": ["17.0"]}}
        self._restore("unknown")

    def test_a_run_without_an_archive_cannot_be_restored(self):
        self.archive.copy_ids._mark_deleted()
        with self.assertRaisesRegex(UserError, "no stored archive"):
            self._restore()

    def test_an_encrypted_archive_needs_its_identity(self):
        self.archive.copy_ids.encryption = "age"
        with self.assertRaisesRegex(UserError, "Identity"):
            self._restore()
        restore = self._claimed(identity="AGE-SECRET-KEY-1ABC")
        self.assertEqual(self.order["identity"], "AGE-SECRET-KEY-1ABC")
        self.assertFalse(restore.sudo().identity_sealed)

    def test_only_managers_restore(self):
        for group in ("user", "operator"):
            with self.subTest(group), self.assertRaises(AccessError):
                self.archive.with_user(self._user(group)).restore("x1")
        self.archive.with_user(self._user("manager")).restore("x1")

    def test_nobody_restores_to_an_instance_that_is_not_theirs_to_see(self):
        company = self.env["res.company"].create({"name": "Other"})
        hidden = self._make_instance("Hidden", company_id=company.id)
        with self.assertRaises(AccessError):
            self.archive.with_user(self._user("manager")).restore("x1", hidden.id)


class TestWizard(RestoreCase):
    def _wizard(self, **values):
        return self.env["backup.restore.wizard"].create({"run_id": self.archive.id, **values})

    def test_it_proposes_the_instance_the_copy_and_a_free_name(self):
        wizard = self._wizard()
        self.assertRecordValues(
            wizard,
            [
                {
                    "instance_id": self.instance.id, "copy_id": self.archive.copy_ids.id,
                    "neutralize": True,
                    "database_name": f"sales-{self.archive.scheduled_at:%Y-%m-%d}",
                }
            ],
        )  # fmt: skip

    def test_it_does_not_propose_to_neutralize_what_it_cannot(self):
        self.archive.odoo_version = "17.0"
        wizard = self._wizard()
        self.assertTrue(wizard.neutralize)
        self.assertFalse(wizard.neutralization_refusal)
        wizard.target = "server"
        self.assertFalse(wizard.neutralize)
        self.assertIn("Odoo 17.0", wizard.neutralization_refusal)
        self.assertFalse(self._wizard(target="server").neutralize)

    def test_it_begins_the_restore_and_shows_it(self):
        action = self._wizard(target="server", database_name="fresh").action_restore()
        restore = self.env["backup.restore"].browse(action["res_id"])
        self.assertRecordValues(
            restore,
            [{"target": "server", "database_name": "fresh", "instance_id": False}],
        )

    def test_an_identity_is_used_for_no_other_archive(self):
        wizard = self._wizard(target="server", identity="AGE-SECRET-KEY-1ABC")
        wizard.write({"database_name": "other", "run_id": wizard.run_id.id})
        self.assertTrue(wizard.sudo().identity_sealed)
        wizard.run_id = self._stored("stock")
        self.assertFalse(wizard.sudo().identity_sealed)
        wizard.write({"run_id": self.archive.id, "identity": "AGE-SECRET-KEY-1ABC"})
        self.assertTrue(wizard.sudo().identity_sealed)

    def test_the_identity_is_never_read_back(self):
        wizard = self._wizard(target="server", identity="AGE-SECRET-KEY-1ABC")
        self.assertFalse(wizard.identity)
        self.assertNotIn("SECRET", wizard.sudo().identity_sealed)
        wizard.action_restore()
        self.assertFalse(wizard.sudo().identity_sealed)

    def test_the_databases_of_this_server_are_asked_for(self):
        with patch.object(backup_run_restore, "list_dbs", return_value=["taken"]), \
                self.assertRaisesRegex(UserError, "taken"):  # fmt: skip
            self._wizard(target="server", database_name="taken").action_restore()


class TestCopyRetries(BackupCase):
    def test_a_copy_that_failed_is_made_later_from_one_that_did_not(self):
        second = self._make_destination("Second")
        job = self._make_job(destination_ids=[(6, 0, (self.destination + second).ids)])
        run = self._running(job=job)
        good, bad = run.copy_ids
        self._report(run, self._done(run, failed=bad))
        self.assertEqual((run.status, bad.status), ("verified", "failed"))
        self.assertTrue(bad.next_attempt_at, "By itself, later")
        self.assertFalse(self._take("w"))
        bad.retry()
        self.assertEqual(self._take("w").work, "replicate")
        order = self._order(run)
        self.assertEqual([each["id"] for each in order["destinations"]], bad.ids)
        self.assertTrue(bad.path, "Recorded before a byte is written there")
        self.assertEqual(bad.status, "uploading")
        self._report(run, {"event": "done", "copies": [{"id": bad.id, "stored": True, **AT_REST}]})
        self.assertRecordValues(bad, [{"status": "stored", "next_attempt_at": False}])
        self.assertEqual(good.status, "stored")

    def test_the_pause_grows_and_has_an_end(self):
        copy = self._stored().copy_ids
        pauses = []
        for attempt in (1, 2, 3, 11, 12):
            copy.attempt = attempt
            copy._postpone_retry()
            pauses.append(copy.next_attempt_at and copy.next_attempt_at - self.env.cr.now())
        minutes = [pause and round(pause.total_seconds() / 60) for pause in pauses]
        self.assertEqual(minutes, [5, 10, 20, 360, False])

    def test_a_copy_without_another_one_says_what_to_do(self):
        run = self._stored()
        run.copy_ids._mark_failed("no_space", "Full.")
        with self.assertRaisesRegex(UserError, "no other copy"):
            run.copy_ids.retry()

    def test_a_copy_that_is_stored_is_not_retried(self):
        with self.assertRaisesRegex(UserError, "only copies that failed"):
            self._stored().copy_ids.retry()
