import tempfile

from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user

from .common import BackupCase


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

    # --- what all companies share -----------------------------------------------------------------

    def test_what_all_share_is_made_by_those_who_decide_for_all(self):
        instance = self._make_instance("Shared", company_id=False)
        values = {
            "backup.instance": {"url": "http://127.0.0.1:1", "company_id": False},
            "backup.destination": {"path": f"{tempfile.gettempdir()}/own", "company_id": False},
            "backup.alert.channel": {"kind": "mail", "company_id": False},
            "backup.job": {"instance_id": instance.id},
        }
        for name, given in values.items():
            model = self.env[name].with_user(self.user)
            with self.subTest(name):
                refused = self.assertRaisesRegex(AccessError, "Company: choose one")
                with refused, self.env.cr.savepoint():
                    model.create({"name": "Tap", **given})
                own = given if name == "backup.job" else {**given, "company_id": self.ours.id}
                own = {**own, **({"instance_id": self.instance.id} if "instance_id" in own else {})}
                record = model.create({"name": "Own", **own})
                self.assertEqual(record.company_id, self.ours)

    def test_no_record_is_handed_to_all_companies_or_to_another_one(self):
        for record in self._given_records(self.ours):
            for company in (self.env["res.company"], self.theirs):
                with self.subTest(record._name, company=company.name):
                    with self.assertRaises(AccessError), self.env.cr.savepoint():
                        record.with_user(self.user).company_id = company
                    self.assertEqual(record.company_id, self.ours)

    def test_what_all_share_is_changed_and_deleted_by_those_who_decide_for_all(self):
        for record in self._given_records(self.env["res.company"]):
            with self.subTest(record._name):
                shared = record.with_user(self.user)
                self.assertTrue(shared.read(["name"]))
                for change in (lambda one: one.write({"name": "Taken"}), lambda one: one.unlink()):
                    with self.assertRaises(AccessError):
                        change(shared)

    def test_users_of_all_companies_and_administrators_decide_for_all(self):
        everywhere = self._user("manager", company_ids=[(6, 0, (self.ours + self.theirs).ids)])
        admin = self._user("manager", company_id=self.ours.id, company_ids=[(6, 0, self.ours.ids)])
        admin.group_ids += self.env.ref("base.group_system")
        for user in (everywhere, admin):
            with self.subTest(user.login):
                channel = self.env["backup.alert.channel"].with_user(user)
                channel = channel.create({"name": "All", "kind": "mail", "company_id": False})
                channel.name = "Every one"
                self.assertFalse(self._make_destination("Shared").company_id)

    def test_who_does_not_decide_for_all_makes_destinations_for_the_own_company(self):
        destination = self.env["backup.destination"].with_user(self.user).create({"name": "Own"})
        self.assertEqual(destination.company_id, self.ours)

    def test_a_channel_is_told_of_no_more_than_its_maker_may_see(self):
        channels = self.env["backup.alert.channel"]
        old = channels.create({"name": "Of before the rule", "kind": "mail", "company_id": False})
        self._sql("UPDATE backup_alert_channel SET create_uid = %s", self.user.id)
        foreign = self._make_instance("Payroll", ["pay"], company_id=self.theirs.id)
        incidents = self.env["backup.incident"]
        for instance, told in ((self.instance, True), (foreign, False)):
            incident = incidents._see(
                "failed", {"instance_id": instance.id, "database_name": "x", "job_key": 1}
            )
            with self.subTest(instance.name):
                self.assertEqual(bool(self._announced(incident) & old), told)
                self.assertEqual(instance in old._digest_instances(), told)

    def _announced(self, incident):
        return self.env["backup.alert"]._announce(incident, "opened").channel_id

    def _given_records(self, company):
        """Make one record of each model whose company is entered; return them."""
        instance = self._make_instance(f"Of {company.name}", ["sales"], company_id=company.id)
        destination = self._make_destination(f"Of {company.name}", company_id=company.id)
        channel = self.env["backup.alert.channel"].create(
            {"name": "Channel", "kind": "mail", "company_id": company.id}
        )
        return [instance, destination, channel]


class TestRules(BackupCase):
    """Found by themselves: a model that is added without a rule fails here."""

    def _models(self):
        """Yield the models of ours that have records."""
        for model in self.env.values():
            if type(model)._original_module == "backup_scheduler" and model._auto:
                yield model

    def _domains(self, model, mode="read"):
        """Return the domains of the rules that hold for everybody."""
        rules = self.env["ir.rule"].search(
            [("model_id.model", "=", model._name), ("groups", "=", False),
             (f"perm_{mode}", "=", True)]
        )  # fmt: skip
        return rules.mapped("domain_force")

    def test_each_model_has_a_rule_on_companies_or_on_whose_it_is(self):
        models = list(self._models())
        self.assertGreater(len(models), 15)
        for model in models:
            named = "create_uid" if model._transient else "company_ids"
            for mode in ("read", "write", "create", "unlink"):
                with self.subTest(model._name, mode=mode):
                    self.assertIn(named, " ".join(self._domains(model, mode)))

    def test_each_model_with_companies_that_people_change_has_a_rule_on_what_is_shared(self):
        for model in self._models():
            if "company_id" not in model._fields or model._transient:
                continue
            access = self.env["ir.model.access"].search([("model_id.model", "=", model._name)])
            for mode in ("write", "create", "unlink"):
                if any(access.mapped(f"perm_{mode}")):
                    with self.subTest(model._name, mode=mode):
                        domains = " ".join(self._domains(model, mode))
                        self.assertIn("_shares_backups", domains)

    def test_what_one_manager_asks_in_a_wizard_is_read_by_no_other(self):
        one, other = (
            new_test_user(self.env, login, "backup_scheduler.group_backup_manager")
            for login in ("one", "other")
        )
        run = self._stored()
        values = {
            "backup.retention.preview": {"job_id": run.job_id.id},
            "backup.archive.deletion": {"run_ids": [(6, 0, run.ids)]},
            "backup.gap.acceptance": {"run_ids": [(6, 0, run.ids)]},
            "backup.setup": {"line_ids": [(0, 0, {"name": "sales"})]},
            "backup.restore.wizard": {"run_id": run.id},
            "backup.verification": {"run_id": run.id},
            "backup.run.confirmation": {"job_ids": [(6, 0, run.job_id.ids)]},
        }
        asked = [model for model in self._models() if model._transient]
        lines = {"backup.retention.preview.line", "backup.setup.database"}
        self.assertEqual({model._name for model in asked}, {*values, *lines})
        for name, given in values.items():
            wizard = self.env[name].with_user(one).create(given)
            self.env.flush_all()
            for records in (wizard, *(wizard[line] for line in ("line_ids",) if line in wizard)):
                with self.subTest(records._name):
                    self.assertTrue(records.read(["display_name"]))
                    self.env.invalidate_all()
                    with self.assertRaises(AccessError):
                        records.with_user(other).read(["display_name"])
                    self.assertFalse(records.with_user(other).search([]) & records)
