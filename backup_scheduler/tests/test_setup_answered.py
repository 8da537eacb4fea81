from odoo.exceptions import AccessError, UserError

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
