"""The wizards of archives: what they propose, and that they show nobody what is not theirs."""

from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user

from .common import BackupCase

LONG = "a-shop-with-a-very-long-name-of-its-own-and-then-some-more"


class TestArchiveWizards(BackupCase):
    def _wizard(self, model, **values):
        return self.env[model].create(values)

    def test_the_proposed_name_is_one_that_postgresql_takes(self):
        for name, proposed in (
            ("sales", "sales-2026-11-20"),
            (LONG, f"{LONG[:52]}-2026-11-20"),
            ("x" * 63, f"{'x' * 52}-2026-11-20"),
        ):
            run = self._stored()
            run.write({"database_name": name, "scheduled_at": "2026-11-20 02:00:00"})
            with self.subTest(name):
                wizard = self._wizard("backup.restore.wizard", run_id=run.id)
                self.assertEqual(wizard.database_name, proposed)
                self.assertLessEqual(len(wizard.database_name), 63)

    def test_the_last_archives_of_several_databases_go_by_all_their_names(self):
        runs = self._stored("stock") + self._stored("sales")
        wizard = self._wizard("backup.archive.deletion", run_ids=[(6, 0, runs.ids)])
        self.assertEqual(wizard.bare_database, "sales, stock")
        for confirmation in (False, "sales", "stock", "stock, sales"):
            wizard.confirmation = confirmation
            with self.subTest(confirmation), self.assertRaisesRegex(UserError, "last good archive"):
                wizard.action_delete()
        self.assertFalse(any(runs.copy_ids.mapped("deletion_requested_at")))
        wizard.confirmation = " sales, stock "
        wizard.action_delete()
        self.assertTrue(all(runs.copy_ids.mapped("deletion_requested_at")))


class TestWizardsOfOtherCompanies(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        other = cls.env["res.company"].create({"name": "Other"})
        cls.other = other
        cls.user = new_test_user(
            cls.env,
            "their_manager",
            "backup_scheduler.group_backup_manager",
            company_id=other.id,
            company_ids=[(6, 0, other.ids)],
        )

    def setUp(self):
        super().setUp()
        self.instance.company_id = self.env.company
        self.job = self._make_job()
        self.archive = self._stored("secret-project", self.job)
        self.theirs = self._make_instance("Theirs", ["open"], company_id=self.other.id)
        place = self._make_destination("Their Vault", company_id=self.other.id)
        job = self._make_job(instance_id=self.theirs.id, destination_ids=[(6, 0, place.ids)])
        self.own = self._stored("open", job)
        self.preview = self._as_user("backup.retention.preview").create({"job_id": job.id})

    def _as_user(self, model):
        self.env.flush_all()
        self.env.invalidate_all()
        return self.env[model].with_user(self.user).with_company(self.other)

    def _cases(self):
        """Return each way to name what is ours in a wizard of theirs."""
        run, own = self.archive.id, self.own.id
        full = {"database_name": "x1", "copy_id": self.own.copy_ids.id}
        return {
            "restore": ("backup.restore.wizard", {"run_id": run}),
            "restore, all given": (
                "backup.restore.wizard",
                {**full, "run_id": run, "instance_id": self.theirs.id},
            ),
            "restore, its copy": (
                "backup.restore.wizard",
                {"run_id": own, "copy_id": self.archive.copy_ids.id},
            ),
            "restore, its instance": (
                "backup.restore.wizard",
                {"run_id": own, "instance_id": self.instance.id},
            ),
            "verification": ("backup.verification", {"run_id": run}),
            "verification, all given": ("backup.verification", {"run_id": run, "level": "3"}),
            "deletion": ("backup.archive.deletion", {"run_ids": [(6, 0, [run])]}),
            "deletion, among others": (
                "backup.archive.deletion",
                {"run_ids": [(6, 0, [own, run])]},
            ),
            "preview": ("backup.retention.preview", {"job_id": self.job.id}),
            "line of a preview": (
                "backup.retention.preview.line",
                {"preview_id": self.preview.id, "run_id": run, "decision": "keep"},
            ),
        }

    def test_no_wizard_is_made_of_what_belongs_to_another_company(self):
        for case, (model, values) in self._cases().items():
            with self.subTest(case), self.assertRaises(AccessError):
                self._as_user(model).create(values)

    def test_no_wizard_is_turned_to_what_belongs_to_another_company(self):
        turns = (
            ("backup.restore.wizard", {"run_id": self.own.id}, {"run_id": self.archive.id}),
            ("backup.verification", {"run_id": self.own.id}, {"run_id": self.archive.id}),
            ("backup.archive.deletion", {"run_ids": [(6, 0, self.own.ids)]},
             {"run_ids": [(4, self.archive.id)]}),
            ("backup.retention.preview", {"job_id": self.own.job_id.id}, {"job_id": self.job.id}),
        )  # fmt: skip
        for model, values, turn in turns:
            with self.subTest(model):
                wizard = self._as_user(model).create(values)
                with self.assertRaises(AccessError), self.env.cr.savepoint():
                    wizard.write(turn)

    def test_a_form_that_is_filled_in_shows_nothing_either(self):
        fields = {
            "backup.restore.wizard": ("database_name", "archive_size", "verification_level"),
            "backup.verification": ("level", "encrypted"),
        }
        for model, names in fields.items():
            with self.subTest(model), self.assertRaises(AccessError):
                self._as_user(model).onchange(
                    {"run_id": self.archive.id}, ["run_id"], {name: {} for name in names}
                )

    def test_what_is_their_own_is_shown(self):
        wizard = self._as_user("backup.restore.wizard").create({"run_id": self.own.id})
        self.assertRecordValues(
            wizard, [{"archive_size": self.own.size, "copy_id": self.own.copy_ids.id}]
        )
        self.assertIn("open-", wizard.database_name)
        self.assertEqual(self._as_user("backup.verification").create(
            {"run_id": self.own.id}).level, self.own.wanted_level)  # fmt: skip
        wizard = self._as_user("backup.archive.deletion").create(
            {"run_ids": [(6, 0, self.own.ids)]}
        )
        self.assertEqual(wizard.bare_database, "open")
