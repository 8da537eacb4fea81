"""All public methods and all fields, on several records and on none, as scripts call them."""

from odoo.exceptions import UserError
from odoo.tests import tagged

from .security_table import ARGUMENTS, METHODS
from .security_world import SecurityWorld, models_of, public_methods

MARKS = "oneZq7", "twoXk3"


@tagged("post_install", "-at_install")
class TestSeveralRecords(SecurityWorld):
    def setUp(self):
        super().setUp()
        first, second = (self._make_world(self.ours, mark) for mark in MARKS)
        self.several = {name: first[name] | second[name] for name in first}
        self.manager = self._env_of("ours", "manager")
        for records in self.several.values():
            if records._transient:
                self._give(records, self.manager.uid)

    def test_all_fields_of_several_records_are_read(self):
        for name, records in self.several.items():
            seen = records.with_env(self.manager)
            for field in seen.fields_get():
                with self.subTest(f"{name}.{field}"):
                    self.env.invalidate_all()
                    rows = seen.read([field])
                    self.assertEqual([row["id"] for row in rows], seen.ids)

    def test_restores_that_ended_are_read(self):
        restores = self.several["backup.restore"]
        restores[0].target = "instance"
        restores[0].instance_id = self.several["backup.instance"][0]
        restores[1].target = "server"
        restores.status = "done"
        rows = restores.with_env(self.manager).read([])
        self.assertEqual([row["progress"] for row in rows], [100, 100])
        self.assertTrue(all(row["url"].endswith("sales-back") for row in rows))

    def test_forms_of_new_records_are_computed(self):
        for model in models_of(self.manager):
            if not model._abstract and model.has_access("create"):
                with self.subTest(model._name):
                    blank = model.new()
                    for field in blank.fields_get():
                        blank[field]  # noqa: B018 - it is computed

    def test_each_method_takes_several_records_or_none_or_says_that_it_does_not(self):
        for name, methods in METHODS.items():
            model = self.env[name]
            several = self.several.get(name, model)
            for method in methods:
                for records in (several, several.browse()):
                    with self.subTest(f"{name}.{method}", records=len(records)), self._undone():
                        _text, error = self._call(
                            self.manager, records, method, ARGUMENTS.get(method, [])
                        )
                        if error is not None:
                            self.assertIsInstance(error, UserError)
                            self.assertNotIn("singleton", str(error))

    def test_a_record_of_each_model_is_there(self):
        self.assertEqual(
            {model._name for model in models_of(self.env) if not model._abstract},
            set(self.several),
        )
        self.assertTrue(all(public_methods(self.env[name]) for name in self.several))
