"""Who may do what with archives: restoring, deleting, reading, importing, and the wizards of it."""

import tempfile

from odoo.exceptions import AccessError
from odoo.tests import new_test_user
from odoo.tools import mute_logger

from .common import BackupCase
from .test_access import FROM_OPERATOR, FROM_USER, MANAGER, NOBODY, AccessCase

IDENTITY = "AGE-SECRET-KEY-1ABC"
RESTORE_LOGGER = "odoo.addons.backup_scheduler.models.restore.backup_restore"


class TestAccessToArchives(AccessCase):
    def setUp(self):
        super().setUp()
        self.enterContext(mute_logger(RESTORE_LOGGER))
        self.job = self._make_job(retention_mode="keep_all")
        self.archive = self._stored(job=self.job)

    def _restore(self):
        return self.env["backup.restore"].browse(self.archive.restore("sales-back"))

    def test_managers_restore_and_cancel_restores(self):
        self._assert_allowed(MANAGER, self.archive, "restore", "sales-back")
        self._assert_allowed(
            MANAGER, self.archive, "restore", "sales-back", self.instance.id, None, False, IDENTITY
        )
        self._assert_allowed(MANAGER, self._restore(), "cancel")

    def test_managers_delete_archives(self):
        self._assert_allowed(MANAGER, self.archive, "delete_archives", "sales")

    def test_operators_verify_to_any_level_with_and_without_a_key(self):
        for arguments in ((), ("1",), ("4",), ("3", IDENTITY), ("4", IDENTITY)):
            self._assert_allowed(FROM_OPERATOR, self.archive, "verify", *arguments)
            self._assert_allowed(FROM_OPERATOR, self.archive.copy_ids, "verify", *arguments)

    def test_operators_retry_copies(self):
        second = self._make_destination("Second")
        job = self._make_job(destination_ids=[(6, 0, (self.destination + second).ids)])
        run = self._running(job=job)
        bad = run.copy_ids[1]
        self._report(run, self._done(run, failed=bad))
        self._assert_allowed(FROM_OPERATOR, bad, "retry")

    def test_managers_import_archives(self):
        with tempfile.TemporaryDirectory() as folder:
            place = self._make_destination("Bucket", path=folder)
            self._assert_allowed(MANAGER, place, "import_archives")

    def test_who_sees_the_job_previews_its_retention(self):
        self._assert_allowed(FROM_USER, self.job, "preview_retention")

    def test_restores_are_read_by_all_and_written_by_nobody(self):
        restore = self._restore()
        values = {"run_id": self.archive.id, "target": "server", "database_name": "x1"}
        self._assert_allowed(FROM_USER, restore, "read", ["display_name", "status", "url"])
        self._assert_allowed(FROM_USER, restore.browse(), "search_read", [], ["display_name"])
        self._assert_allowed(NOBODY, restore, "write", {"status": "done"})
        self._assert_allowed(NOBODY, restore, "unlink")
        self._assert_allowed(NOBODY, restore.browse(), "create", [values])

    def test_the_wizards_are_for_those_who_may_do_what_they_ask_for(self):
        run = self.archive.id
        wizards = {
            "backup.restore.wizard": ({"run_id": run}, MANAGER),
            "backup.archive.deletion": ({"run_ids": [(6, 0, [run])]}, MANAGER),
            "backup.verification": ({"run_id": run}, FROM_OPERATOR),
            "backup.retention.preview": ({"job_id": self.job.id}, FROM_OPERATOR),
        }
        for model, (values, allowed) in wizards.items():
            self._assert_allowed(allowed, self.env[model], "create", [values])
            self._assert_allowed(allowed, self.env[model], "search_read", [], ["display_name"])

    def test_an_operator_cannot_make_the_previewed_policy_that_of_the_job(self):
        previews = self.env["backup.retention.preview"]
        for group in ("operator", "manager"):
            preview = previews.with_user(self.users[group]).create({"job_id": self.job.id})
            # Nobody else's: a preview is read and used by who opened it.
            self._assert_allowed(MANAGER & {group}, preview, "action_use")

    def test_a_key_that_waits_is_out_of_reach(self):
        self.archive.verify("3", IDENTITY)
        values = {"run_id": self.archive.id, "identity": IDENTITY}
        wizards = [
            self.env[model].with_user(self.users["manager"]).create(values)
            for model in ("backup.restore.wizard", "backup.verification")
        ]
        for record in (self.archive.task_ids, self._restore(), *wizards):
            with self.subTest(record._name), self.assertRaises(AccessError):
                self._call("manager", record, "read", ["identity_sealed"])
        for wizard in wizards:
            with self.subTest(wizard._name):
                self.assertTrue(wizard.sudo().identity_sealed)
                self.assertFalse(self._call("manager", wizard, "read", ["identity"])[0]["identity"])

    def test_what_begins_with_an_underscore_cannot_be_called(self):
        calls = (
            (self.archive, "_request_verification", self.archive.copy_ids.ids),
            (self.archive, "_plan_tasks"),
            (self.env["backup.task"], "_claim", "mallory"),
            (self.archive.copy_ids, "_mark_deleted"),
            (self.archive.copy_ids, "_engine_orders"),
            (self._restore().task_ids, "_engine_order"),
            (self.env["backup.restore"], "_own_server"),
            (self.env["backup.restore"], "_scratch_server"),
        )
        for record, method, *arguments in calls:
            with self.subTest(method), self.assertRaises(AccessError):
                self._call("manager", record, method, *arguments)


class TestArchivesOfCompanies(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.theirs = cls.env["res.company"].create({"name": "Theirs"})
        cls.user = new_test_user(
            cls.env,
            "our_archivist",
            "backup_scheduler.group_backup_manager",
            company_id=cls.env.company.id,
            company_ids=[(6, 0, cls.env.company.ids)],
        )

    def setUp(self):
        super().setUp()
        self.enterContext(mute_logger(RESTORE_LOGGER))

    def _archive(self, company):
        """Return an archive of a company, with a restore of it."""
        instance = self._make_instance(f"Of {company.name}", ["sales"], company_id=company.id)
        place = self._make_destination(f"Of {company.name}", company_id=company.id)
        job = self._make_job(instance_id=instance.id, destination_ids=[(6, 0, place.ids)])
        run = self._stored(job=job)
        return run, self.env["backup.restore"].browse(run.restore("sales-back"))

    def _seen(self, record):
        record = record.with_user(self.user)
        return record in record.search([])

    def test_restores_and_copies_are_seen_with_their_company(self):
        for company, seen in ((self.env.company, True), (self.theirs, False)):
            run, restore = self._archive(company)
            for record in (run, run.copy_ids, restore):
                with self.subTest(record._name, company=company.name):
                    self.assertEqual(record.company_id, company)
                    self.assertEqual(self._seen(record), seen)
                    self.assertEqual(record.with_user(self.user).has_access("read"), seen)

    def test_archives_of_another_company_are_not_acted_on(self):
        run, restore = self._archive(self.theirs)
        own, _restore = self._archive(self.env.company)
        actions = (
            (run, "restore", "x1"),
            (run, "delete_archives", "sales"),
            (run, "verify", "4", IDENTITY),
            (run.copy_ids, "verify", "3"),
            (run.copy_ids, "retry"),
            (run.copy_ids.destination_id, "import_archives"),
            (run.job_id, "preview_retention"),
            (restore, "cancel"),
            (own, "restore", "x1", run.instance_id.id),
        )
        for record, action, *arguments in actions:
            with self.subTest(f"{record._name}.{action}"), self.assertRaises(AccessError):
                getattr(record.with_user(self.user), action)(*arguments)
        self.assertEqual((restore.status, run.copy_ids.status), ("queued", "stored"))
        self.assertFalse(run.verification_requested_at or run.copy_ids.deletion_requested_at)

    def test_restores_and_copies_follow_their_instance(self):
        run, restore = self._archive(self.env.company)
        tasks = restore.task_ids
        run.instance_id.company_id = self.theirs
        self.assertEqual(tasks.company_id, self.theirs)
        self.assertFalse(self._seen(tasks))
        self.assertEqual((run.copy_ids.company_id, restore.company_id), (self.theirs,) * 2)
        self.assertFalse(self._seen(restore) or self._seen(run.copy_ids))
