from odoo.exceptions import AccessError, UserError
from odoo.tests import Form

from .test_setup import SetupCase


class TestSetupAnswered(SetupCase):
    def test_no_server_is_called_reachable_that_was_not_asked(self):
        """By the form nobody comes so far; a script does."""
        never = self._begin(step="summary", odoo_version="18.0")
        moved = self._at("summary")
        moved.write({"url": "https://other.example"})
        renamed = self._at("summary")
        renamed.write({"master_password": "another"})
        before = self._world()
        for setup in (never, moved, renamed):
            with self.assertRaisesRegex(UserError, "Test the server first"):
                setup.action_start()
            self.assertTrue(setup.exists())
        self.assertEqual(self._world(), before)
        with self.assertRaises(AccessError):
            never.with_user(self.env.ref("base.user_admin")).write({"answered": True})
        never.step = "server"
        for _step in range(4):
            never.action_next()
        never.action_start()
        self.assertNotEqual(self._world(), before)


class TestSetupChoice(SetupCase):
    def test_all_databases_or_none_are_chosen_at_once(self):
        setup = self._at("databases", database_scope="selected")
        for choose, chosen in (("none", False), ("all", True)):
            with self.subTest(choose):
                shown = getattr(setup, f"action_choose_{choose}")()
                self.assertEqual(shown["res_id"], setup.id)
                self.assertEqual(setup.line_ids.mapped("selected"), [chosen, chosen])
        self.assertEqual(setup.step, "databases")

    def test_what_was_wrong_with_the_choice_before_is_told_no_more(self):
        setup = self._at("databases", database_scope="selected")
        setup.action_choose_none()
        self._refused(setup)
        setup.action_choose_all()
        self.assertFalse(setup.error)


class TestSetupMended(SetupCase):
    def test_what_was_wrong_is_told_no_more_once_it_was_changed(self):
        cases = (
            ("schedule", {"cron_expression": "0 25 * * *"}, "cron_expression", "0 5 * * *"),
            ("databases", {"database_scope": "selected"}, "database_scope", "all"),
        )
        for step, wrong, field, right in cases:
            with self.subTest(step):
                setup = self._at(step)
                setup.write(wrong)
                if step == "databases":
                    setup.line_ids.selected = False
                setup.action_next()
                self.assertEqual(setup.step, step)
                with Form(setup) as form:
                    self.assertTrue(form.error)
                    setattr(form, field, right)
                    self.assertFalse(form.error)
