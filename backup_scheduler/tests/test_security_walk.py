"""All public methods of all models, as each role of the company of the records and of another one.

New models, methods and fields are found in the registry; the tables are in ``security_table``.
"""

import inspect

from odoo.exceptions import AccessError
from odoo.service.model import get_public_method
from odoo.tests import tagged

from .security_table import ARGUMENTS, METHODS, MODELS, NOBODY, OPENS
from .security_world import ROLES, SecurityWorld, models_of, public_methods

OURS, THEIRS = "oursZq7", "theirsXk3"
# Of Odoo's own methods, by the name of a parameter.
GIVEN = {
    "aggregates": ["__count"],
    "domain": [],
    "fields": ["display_name"],
    "field_names": ["display_name"],
    "field_name": "company_id",
    "group_by": "company_id",
    "groupby": ["display_name"],
    "grouping_sets": [["company_id"], []],
    "help_message": "",
    "name": "",
    "operation": "read",
    "progress_bar": {"field": "status", "colors": {"queued": "info"}},
    "vals": {"name": "walked"},
    "vals_list": [{"name": "walked"}],
    "values": {},
    "views": [[False, "form"], [False, "list"], [False, "search"]],
}
ALL_FIELDS = {
    "fields_spec", "specification", "fields_to_export", "unfold_read_specification",
}  # fmt: skip
CHANGING = {"copy", "create", "load", "name_create", "unlink", "web_save", "write"}
# The others may do less than one of these in every respect.
WALKERS = (
    ("ours", "portal"), ("ours", "employee"), ("ours", "user"), ("ours", "operator"),
    ("theirs", "manager"),
)  # fmt: skip
# What shows parts of our records besides them.
AROUND = (
    "bus.bus", "ir.attachment", "ir.logging", "ir.model.data", "mail.activity", "mail.followers",
    "mail.mail", "mail.message", "mail.notification", "mail.tracking.value",
)  # fmt: skip


def is_below(role, least):
    return least == NOBODY or ROLES.index(role) < ROLES.index(least)


@tagged("post_install", "-at_install")
class TestSecurityTable(SecurityWorld):
    def test_each_public_method_is_in_the_table(self):
        for model in models_of(self.env):
            own = {name for name, own in public_methods(model).items() if own}
            for name in sorted(own - set(METHODS.get(model._name, ()))):
                with self.subTest(model._name):
                    self.fail(
                        f"{model._name}.{name} can be called over RPC: add it to METHODS in "
                        "tests/security_table.py with the least role that may call it, or begin "
                        "its name with an underscore."
                    )

    def test_each_model_is_in_the_table(self):
        stored = {model._name for model in models_of(self.env) if not model._abstract}
        self.assertEqual(stored, set(MODELS), "Add it to MODELS in tests/security_table.py")

    def test_the_table_names_no_method_that_is_gone(self):
        for model, methods in METHODS.items():
            self.assertEqual(set(methods) - set(public_methods(self.env[model])), set(), model)

    def test_the_rights_on_models_are_those_of_the_table(self):
        for side, role in self.users:
            env = self._env_of(side, role)
            for name, (reads, writes) in MODELS.items():
                for operation in ("read", "write", "create", "unlink"):
                    least = reads if operation == "read" else writes
                    with self.subTest(model=name, role=role, operation=operation):
                        allowed = env[name].has_access(operation)
                        self.assertEqual(allowed, not is_below(role, least))


@tagged("post_install", "-at_install")
class TestSecurityWalk(SecurityWorld):
    def setUp(self):
        super().setUp()
        self.world = self._make_world(self.ours, OURS)

    def _record(self, model):
        self.assertTrue(
            model._abstract or model._name in self.world,
            f"Add a record of {model._name} to tests/security_world.py",
        )
        return self.world.get(model._name, model)

    # --- the methods of the product -------------------------------------------------------------

    def test_each_method_refuses_those_below_its_role_and_other_companies(self):
        for name, methods in METHODS.items():
            record = self._record(self.env[name])
            for method, least in methods.items():
                for who in self.users:
                    with self.subTest(f"{name}.{method}", who=" ".join(who)), self._undone():
                        self._walk_own(record, method, who, least)

    def _walk_own(self, record, method, who, least):
        """Call the method, and see whether it refuses as it should."""
        env, (side, role) = self._env_of(*who), who
        if record._transient and side == "ours":
            self._give(record, env.uid)
        foreign = side == "theirs" and bool(record) and not self._is_of_model(record, method)
        refuses = least != OPENS and (foreign or is_below(role, least))
        before = self._rows() if refuses or least == OPENS else None
        text, error = self._call(env, record, method, ARGUMENTS.get(method, []))
        if refuses:
            self.assertIsInstance(error, AccessError, f"The least role is {least}")
        elif side == "ours" and least != OPENS:
            self.assertNotIsInstance(error, AccessError, f"The least role is {least}")
        if before is not None:
            self.assertEqual(self._rows(), before, "It has an effect")
        if side == "theirs" or is_below(role, "user"):
            self.assertNotIn(OURS, text)

    def _is_of_model(self, record, method):
        return getattr(get_public_method(record, method), "_api_model", False)

    # --- the methods of Odoo --------------------------------------------------------------------

    def test_odoos_methods_show_and_change_nothing_that_is_not_theirs(self):
        for who in WALKERS:
            for model in models_of(self.env):
                if model._name in MODELS:
                    with self.subTest(model=model._name, who=" ".join(who)), self._undone():
                        self._walk_odoos(model, who)

    def _walk_odoos(self, model, who):
        """Call all methods that come from Odoo, one after the other."""
        env, record, (side, role) = self._env_of(*who), self._record(model), who
        reads, writes = MODELS[model._name]
        blind = side == "theirs" or is_below(role, reads)
        powerless = side == "theirs" or is_below(role, writes)
        methods = [name for name, own in public_methods(model).items() if not own]
        worlds = [self.world] if side == "theirs" else ()
        before = self._rows(worlds)
        for method in methods:
            text, _error = self._call(env, record, method, self._given(env, model, method))
            if blind:
                self.assertNotIn(OURS, text, f"{method} shows it")
            if powerless and method in CHANGING:
                self.assertEqual(self._rows(worlds), before, f"{method} changes something")
        if powerless:
            self.assertEqual(self._rows(worlds), before, f"One of {methods} changes something")

    def _given(self, env, model, method):
        """Return arguments for a method of Odoo."""
        parameters = inspect.signature(getattr(type(model), method)).parameters.values()
        given = []
        for parameter in list(parameters)[1:]:
            if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                break
            if parameter.name in ALL_FIELDS:
                given.append(self._all_fields(env[model._name], parameter.name))
            elif parameter.name in GIVEN:
                given.append(GIVEN[parameter.name])
            elif parameter.default is parameter.empty:
                given.append("walked")
            else:
                given.append(parameter.default)
        return given

    def _all_fields(self, model, parameter):
        """Return all fields that the user may ask for, as a list or as a specification."""
        known = set(model.fields_get()) if model.has_access("read") else ()
        names = [name for name in model._fields if name in known] or ["display_name", "id"]
        if parameter == "fields_to_export":
            return names
        named = {"fields": {"display_name": {}}}
        return {name: named if model._fields[name].relational else {} for name in names}

    # --- around the models ----------------------------------------------------------------------

    def test_what_surrounds_records_is_as_hidden_as_they_are(self):
        self.world["backup.instance"].message_post(body=OURS, subject=OURS)
        self.world["backup.job"].write({"name": f"{OURS} renamed"})
        self.env.flush_all()
        self.cr.precommit.run()
        for who in (("ours", "portal"), ("ours", "employee"), ("theirs", "manager")):
            for name in AROUND:
                if name in self.env:
                    with self.subTest(model=name, who=" ".join(who)), self._undone():
                        text, _error = self._call(
                            self._env_of(*who), self.env[name], "search_read", [[]]
                        )
                        self.assertNotIn(OURS, text)

    def test_no_record_is_linked_with_one_of_another_company(self):
        theirs = self._make_world(self.theirs, THEIRS)
        env = self._env_of("theirs", "manager")
        for name, record in theirs.items():
            if record._transient:
                self._give(record, env.uid)
            if not env[name].has_access("write"):
                continue
            for field in self._relations_to_ours(record):
                with self.subTest(f"{name}.{field.name}"), self._undone():
                    self._assert_not_linked(env, record, field)

    def _relations_to_ours(self, record):
        return [
            field
            for field in record._fields.values()
            if field.relational and field.comodel_name in self.world and not field.readonly
        ]

    def _assert_not_linked(self, env, record, field):
        ours = self.world[field.comodel_name].id
        value = ours if field.type == "many2one" else [(4, ours)]
        before = self._rows([self.world])
        text, error = self._call(env, record, "web_save", [{field.name: value}, {field.name: {}}])
        self.assertIsNotNone(error, "It is linked")
        self.assertNotIn(OURS, text)
        text, _error = self._call(env, record, "read", [])
        self.assertNotIn(OURS, text)
        self.assertEqual(self._rows([self.world]), before)
