from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user

from .common import BackupCase

MODELS = (
    "backup.instance",
    "backup.database",
    "backup.job",
    "backup.run",
    "backup.copy",
    "backup.destination",
)


class TestCompanies(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ours = cls.env.company
        cls.theirs = cls.env["res.company"].create({"name": "Theirs"})
        cls.user = new_test_user(
            cls.env,
            "our_manager",
            "backup_scheduler.group_backup_manager",
            company_id=cls.ours.id,
            company_ids=[(6, 0, cls.ours.ids)],
        )

    def _records(self, company):
        """Make one record of each model that belongs to a company; return them."""
        instance = self._make_instance(f"Of {company.name}", ["sales"], company_id=company.id)
        destination = self._make_destination(f"Of {company.name}", company_id=company.id)
        job = self._make_job(instance_id=instance.id, destination_ids=[(6, 0, destination.ids)])
        run = self._make_run(job=job)
        return [instance, instance.database_ids, job, run, run.copy_ids, destination]

    def test_what_belongs_to_another_company_is_not_seen(self):
        for record in self._records(self.theirs):
            with self.subTest(record._name):
                record = record.with_user(self.user)
                self.assertNotIn(record, record.search([]))
                with self.assertRaises(AccessError):
                    record.read(["display_name"])

    def test_what_belongs_to_the_own_company_or_to_none_is_seen(self):
        for company in (self.ours, self.env["res.company"]):
            for record in self._records(company):
                with self.subTest(record._name, company=company.name):
                    record = record.with_user(self.user)
                    self.assertIn(record, record.search([]))
                    self.assertTrue(record.read(["display_name"]))

    def test_what_belongs_to_another_company_is_not_acted_on(self):
        instance, _database, job, run, _copy, destination = self._records(self.theirs)
        actions = (
            (job, "run_now"),
            (job, "action_pause"),
            (run, "cancel"),
            (run, "retry"),
            (run, "verify"),
            (run, "pin"),
            (instance, "test_connection"),
            (destination, "check"),
        )
        for record, action in actions:
            with self.subTest(action), self.assertRaises(AccessError):
                getattr(record.with_user(self.user), action)()
        self.assertEqual(run.status, "queued")

    def test_no_job_is_made_on_the_instance_of_another_company(self):
        instance = self._make_instance("Of theirs", company_id=self.theirs.id)
        with self.assertRaises(AccessError):
            self.Job.with_user(self.user).create({"name": "Sly", "instance_id": instance.id})

    def test_all_follow_the_company_of_their_instance(self):
        records = self._records(self.ours)
        records[0].company_id = self.theirs
        for record in records[1:-1]:
            with self.subTest(record._name):
                self.assertEqual(record.company_id, self.theirs)

    def test_a_job_stores_nothing_in_the_destination_of_another_company(self):
        foreign = self._make_destination("Foreign", company_id=self.theirs.id)
        with self.assertRaisesRegex(UserError, "Foreign"):
            self._make_job(destination_ids=[(6, 0, foreign.ids)])

    def test_each_model_has_a_rule(self):
        ruled = self.env["ir.rule"].search([("model_id.model", "in", MODELS)])
        self.assertEqual(set(ruled.model_id.mapped("model")), set(MODELS))
