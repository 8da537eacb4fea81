"""Deleting archives: by hand, by retention, and when a destination does not let us."""

from odoo.exceptions import AccessError, UserError

from .common import BackupCase, ago


class TestDeletion(BackupCase):
    def setUp(self):
        super().setUp()
        self.job = self._make_job(retention_mode="keep_all")

    def _delete(self, run, **result):
        """Let an executor do what was asked for; return its order."""
        self.assertEqual(self._take("executor"), run)
        self.assertEqual(run.work, "delete")
        order = self._order(run)
        copies = [{"id": each["id"], "ok": True, **result} for each in order["copies"]]
        self._report(run, {"event": "done", "copies": copies})
        return order

    def test_an_archive_that_was_deleted_leaves_its_run_as_history(self):
        run = self._stored(job=self.job)
        self._stored(job=self.job)
        path = run.copy_ids.path
        run.delete_archives()
        order = self._delete(run)
        self.assertEqual((order["action"], order["owner"]), ("discard", run._owner()))
        self.assertEqual([each["archive_path"] for each in order["copies"]], [path])
        self.assertRecordValues(run.copy_ids, [{"status": "deleted", "path": False}])
        self.assertRecordValues(run, [{"status": "verified", "stored_copies": 0}])
        self.assertIn("Deleted in Vault", run.log)
        self.assertFalse(run.task_ids)

    def test_the_last_good_archive_of_a_database_goes_only_by_its_name(self):
        run = self._stored(job=self.job)
        self._stored("stock", job=self.job)
        for confirmation in (None, "", "Sales", "stock"):
            with self.subTest(confirmation), self.assertRaisesRegex(UserError, "last good archive"):
                run.delete_archives(confirmation)
        run.delete_archives("sales")
        self._delete(run)

    def test_several_at_once_may_not_leave_a_database_bare_either(self):
        runs = self._stored(job=self.job) + self._stored(job=self.job)
        with self.assertRaisesRegex(UserError, "last good archive"):
            runs.delete_archives()

    def test_one_that_waits_to_be_deleted_is_no_good_archive_to_rely_on(self):
        first, second = self._stored(job=self.job), self._stored(job=self.job)
        first.delete_archives()
        with self.assertRaisesRegex(UserError, "last good archive"):
            second.delete_archives()

    def test_a_pinned_archive_is_not_deleted(self):
        run = self._stored(job=self.job)
        run.pin()
        with self.assertRaisesRegex(UserError, "unpin"):
            run.delete_archives("sales")

    def test_a_pin_takes_back_what_was_not_done_yet(self):
        run = self._stored(job=self.job)
        run.delete_archives("sales")
        run.pin()
        self.assertFalse(run.copy_ids.deletion_requested_at)
        self.assertFalse(self._take("executor"))

    def test_a_run_without_an_archive_has_nothing_to_delete(self):
        with self.assertRaisesRegex(UserError, "no stored archive"):
            self._make_run(job=self.job).delete_archives()

    def test_only_managers_delete(self):
        run = self._stored(job=self.job)
        with self.assertRaises(AccessError):
            run.with_user(self._user("operator")).delete_archives("sales")
        run.with_user(self._user("manager")).delete_archives("sales")

    def test_what_could_not_be_deleted_stays_recorded_and_is_tried_again(self):
        run = self._stored(job=self.job)
        path = run.copy_ids.path
        run.delete_archives("sales")
        self._delete(run, ok=False, error_code="destination_failed", error="Read-only.")
        self.assertRecordValues(
            run.copy_ids, [{"status": "stored", "path": path, "error": "Read-only."}]
        )
        self.assertFalse(self._take("executor"), "Not at once")
        run.copy_ids.next_attempt_at = ago(minutes=1)
        run._plan_tasks()
        self._delete(run)
        self.assertEqual(run.copy_ids.status, "deleted")

    def test_a_deletion_that_was_cut_short_is_tried_again(self):
        run = self._stored(job=self.job)
        run.delete_archives("sales")
        self._take("executor")
        self._expire_lease(run)
        self.Task._reap()
        self.assertEqual(run.copy_ids.status, "stored")
        self.assertTrue(run.task_ids)

    def _retired(self, stored_at=False):
        """Return a run of two copies, of which the retention has given up the one that is stored;
        the other one has failed, and something of it may lie in its place."""
        places = self.destination + self._make_destination("Shed")
        run = self._running(job=self._make_job(destination_ids=[(6, 0, places.ids)]))
        stored, missed = run.copy_ids.sorted("id")
        self._report(run, self._done(run, failed=missed))
        missed.stored_at = stored_at
        run.job_id = False
        stored._request_deletion("Newer ones fill the 1 that are kept.", by_retention=False)
        return run, stored, missed

    def test_what_a_missed_copy_may_have_left_goes_with_the_last_whole_one(self):
        run, stored, missed = self._retired()
        path = missed.path
        self.assertTrue(path)
        self.assertEqual([copy["id"] for copy in self._delete(run)["copies"]], stored.ids)
        order = self._delete(run)
        self.assertEqual([copy["archive_path"] for copy in order["copies"]], [path])
        self.assertRecordValues(missed, [{"status": "deleted", "path": False}])
        self.assertFalse(run.task_ids)

    def test_a_damaged_copy_stays_when_the_last_whole_one_goes(self):
        run, _stored, damaged = self._retired(stored_at=ago(days=1))
        self._delete(run)
        self.assertRecordValues(damaged, [{"status": "failed", "deletion_requested_at": False}])

    def test_the_wizard_asks_for_the_name_only_where_it_matters(self):
        run, other = self._stored(job=self.job), self._stored("stock", job=self.job)
        wizard = self.env["backup.archive.deletion"].create({"run_ids": [(6, 0, run.ids)]})
        self.assertRecordValues(
            wizard, [{"archive_count": 1, "bare_database": "sales"}]
        )
        self._stored("stock", job=self.job)
        wizard = self.env["backup.archive.deletion"].create({"run_ids": [(6, 0, other.ids)]})
        self.assertFalse(wizard.bare_database)
        wizard.action_delete()
        self.assertTrue(other.copy_ids.deletion_requested_at)


class TestRetentionAtWork(BackupCase):
    """From a good backup to the file that goes, and what can come between."""

    def setUp(self):
        super().setUp()
        self.job = self._make_job(retention_mode="keep_last_n", retention_value=1)
        self.old = self._stored(job=self.job)
        self.new = self._stored(job=self.job)

    def test_a_good_backup_puts_the_ones_too_many_on_the_list(self):
        self.assertTrue(self.old.copy_ids.deletion_requested_at)
        self.assertFalse(self.new.copy_ids.deletion_requested_at)
        self.assertEqual(self._take("executor"), self.old)
        self.assertEqual(len(self._order(self.old)["copies"]), 1)

    def test_what_was_decided_is_decided_again_before_a_file_goes(self):
        changes = {
            "the newer one turned out to be bad": lambda: self.new.write(
                {"status": "verify_failed"}
            ),
            "the policy was widened": lambda: self.job.write({"retention_value": 2}),
            "its job was deleted": lambda: self.job.unlink(),
        }
        self._take("executor")
        for change, make in changes.items():
            with self.subTest(change):
                savepoint = self.env.cr.savepoint(flush=True)
                make()
                self.assertEqual(self._order(self.old)["copies"], [])
                self._report(self.old, {"event": "done", "copies": []})
                self.assertFalse(self.old.copy_ids.deletion_requested_at)
                self.assertEqual(self.old.copy_ids.status, "stored")
                savepoint.close(rollback=True)
                self.env.invalidate_all()

    def test_pausing_the_job_deletes_nothing_more(self):
        third = self._stored(job=self.job)
        self.assertTrue(self.new.copy_ids.deletion_requested_at)
        self.job.enabled = False
        self.assertFalse(third.copy_ids.deletion_requested_at)
