import os
import stat
import tempfile
from unittest.mock import patch

from cryptography.fernet import Fernet

from odoo.exceptions import AccessError, UserError
from odoo.tools import mute_logger

from ..models import backup_secret_mixin as secret
from .common import PASSWORD, BackupCase


class TestSecrets(BackupCase):
    def _sealed(self, instance=None):
        """Return what is stored in the database."""
        self.env.flush_all()
        self.env.cr.execute(
            "SELECT master_password_sealed FROM backup_instance WHERE id = %s",
            ((instance or self.instance).id,),
        )
        return self.env.cr.fetchone()[0]

    def _password(self):
        return self.instance._source_order()["master_password"]

    def test_no_way_of_reading_gives_the_password(self):
        manager = self._user("manager")
        manager.group_ids += self.env.ref("base.group_allow_export")
        record = self.instance.with_user(manager)
        ways = {
            "read": lambda: record.read(["master_password"]),
            "read all": lambda: record.read(),
            "search_read": lambda: record.search_read([], ["master_password"]),
            "export_data": lambda: record.export_data(["name", "master_password"]),
            "web_read": lambda: record.web_read({"master_password": {}}),
            "copy_data": lambda: record.copy_data(),
            "attribute": lambda: record.master_password,
            "superuser": lambda: record.sudo().read(["master_password"]),
        }
        for name, way in ways.items():
            with self.subTest(name):
                self.assertNotIn(PASSWORD, str(way()))

    def test_the_password_is_not_read_back_in_the_request_that_wrote_it(self):
        record = self.instance.with_user(self._user("manager"))
        record.master_password = "new secret"
        self.assertFalse(record.master_password)
        saved = record.web_save({"master_password": "newer secret"}, {"master_password": {}})
        self.assertEqual(saved[0]["master_password"], False)
        created = record.web_save.__func__(
            record.browse(),
            {"name": "Made", "url": "http://127.0.0.1:1", "master_password": "newest secret"},
            {"master_password": {}},
        )
        self.assertNotIn("newest secret", str(created))

    def test_the_sealed_password_is_out_of_reach_for_everybody(self):
        for group in ("user", "operator", "manager"):
            record = self.instance.with_user(self._user(group))
            with self.subTest(group), self.assertRaises(AccessError):
                record.read(["master_password_sealed"])
            with self.subTest(group), self.assertRaises(AccessError):
                record.write({"master_password_sealed": "x"})
            with self.subTest(group), self.assertRaises(AccessError):
                record.search([("master_password_sealed", "=like", "g%")])

    def test_the_password_cannot_be_searched_for(self):
        record = self.instance.with_user(self._user("manager"))
        with self.assertRaises(ValueError), mute_logger("odoo.domains", "odoo.models"):
            record.search([("master_password", "=", PASSWORD)])

    def test_only_managers_reach_the_field(self):
        for group in ("user", "operator"):
            record = self.instance.with_user(self._user(group))
            with self.subTest(group), self.assertRaises(AccessError):
                record.read(["master_password"])
            with self.subTest(group):
                self.assertNotIn("master_password", record.fields_get())

    def test_what_is_stored_is_not_the_password(self):
        self.assertTrue(self._sealed())
        self.assertNotIn(PASSWORD, self._sealed())

    def test_the_same_password_is_stored_differently_each_time(self):
        first = self._sealed()
        self.instance.master_password = PASSWORD
        self.assertNotEqual(self._sealed(), first)

    def test_the_engine_gets_the_password(self):
        self.assertEqual(self._password(), PASSWORD)

    def test_a_password_is_replaced(self):
        self.instance.master_password = "another one ✓"
        self.assertEqual(self._password(), "another one ✓")

    def test_a_password_is_cleared(self):
        self.assertTrue(self.instance.has_master_password)
        self.instance.master_password = False
        self.assertFalse(self._sealed())
        self.assertFalse(self.instance.has_master_password)
        self.assertEqual(self._password(), "")

    def test_a_change_of_something_else_keeps_the_password(self):
        self.instance.name = "Renamed"
        self.assertEqual(self._password(), PASSWORD)

    def test_a_password_is_forgotten_where_the_address_leads_to_another_server(self):
        cases = (
            ("http://127.0.0.1:1/", True),
            ("http://127.0.0.1:1/odoo", True),
            ("http://127.0.0.1:2", False),
            ("https://127.0.0.1:1", False),
            ("http://127.0.0.2:1", False),
        )
        for address, kept in cases:
            with self.subTest(address), self.env.cr.savepoint() as savepoint:
                self.instance.with_user(self._user("manager")).url = address
                self.assertEqual(self.instance.has_master_password, kept)
                self.assertEqual(self._password(), PASSWORD if kept else "")
                told = "forgotten" in str(self.instance.message_ids.mapped("body"))
                self.assertEqual(told, not kept)
                savepoint.rollback()
            self.env.invalidate_all()

    def test_a_password_that_comes_with_the_address_is_kept(self):
        self.instance.write({"url": "http://127.0.0.2:1", "master_password": "theirs"})
        self.assertEqual(self._password(), "theirs")
        self.instance.write({"url": "http://127.0.0.1:1", "master_password": False})
        self.assertFalse(self.instance.has_master_password)

    def test_a_password_is_forgotten_where_the_certificate_is_not_verified_any_more(self):
        """Whoever stands in between reads what is sent then."""
        self.instance.with_user(self._user("manager")).verify_tls = False
        self.assertFalse(self.instance.has_master_password)
        self.assertIn("forgotten", str(self.instance.message_ids.mapped("body")))
        self.instance.master_password = "entered again"
        self.instance.verify_tls = True
        self.assertEqual(self._password(), "entered again")
        self.instance.write({"verify_tls": False, "master_password": "and again"})
        self.assertEqual(self._password(), "and again")

    def test_a_copy_of_an_instance_has_no_password(self):
        self.assertFalse(self._sealed(self.instance.copy()))

    def test_the_chatter_does_not_tell_the_password(self):
        self.env.flush_all()
        self.cr.precommit.run()  # what was made before this test is not tracked
        self.instance.write({"master_password": "told nobody", "url": "http://127.0.0.2:1"})
        self.env.flush_all()
        self.cr.precommit.run()
        messages = self.instance.message_ids
        tracked = messages.tracking_value_ids
        self.assertIn("url", tracked.field_id.mapped("name"), "Changes are tracked here")
        self.assertNotIn("told nobody", str(messages.mapped("body")) + str(tracked.read()))


class TestSecretKey(BackupCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "backup_scheduler", secret.KEY_FILE)

    def _without_environment(self):
        """Take the key from the file in a folder of our own."""
        environment = patch.dict(os.environ)
        environment.start()
        self.addCleanup(environment.stop)
        del os.environ[secret.KEY_VARIABLE]
        self.patch(secret, "key_path", lambda: self.path)

    def _with_environment(self, *keys):
        return patch.dict(os.environ, {secret.KEY_VARIABLE: ",".join(keys)})

    def test_the_key_is_made_on_first_use_for_its_owner_only(self):
        self._without_environment()
        self.instance.master_password = PASSWORD
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(self.path)).st_mode), 0o700)
        self.assertEqual(os.listdir(os.path.dirname(self.path)), [secret.KEY_FILE])
        self.assertEqual(self.instance._source_order()["master_password"], PASSWORD)

    def test_the_key_is_made_once(self):
        self._without_environment()
        first = secret.load_keys()
        secret.create_key(self.path)
        self.assertEqual(secret.load_keys(), first)

    def test_no_key_file_is_made_where_the_environment_has_the_key(self):
        self.patch(secret, "key_path", lambda: self.path)
        self.instance.master_password = PASSWORD
        self.assertFalse(os.path.exists(self.path))

    def test_a_changed_key_is_told_with_what_to_do(self):
        with (
            self._with_environment(Fernet.generate_key().decode()),
            self.assertRaisesRegex(UserError, f"{secret.KEY_VARIABLE}.*enter the secret again"),
        ):
            self.instance._source_order()

    def test_a_new_key_before_the_old_one_reads_both(self):
        old, new = os.environ[secret.KEY_VARIABLE], Fernet.generate_key().decode()
        other = self._make_instance("Other")
        with self._with_environment(new, old):
            other.master_password = "under the new key"
            self.assertEqual(self.instance._source_order()["master_password"], PASSWORD)
        with self._with_environment(new):
            self.assertEqual(other._source_order()["master_password"], "under the new key")

    def test_a_key_that_is_none_is_told_with_what_to_do(self):
        for key in ("not a key", ",", "abc,def"):
            with (
                self.subTest(key),
                self._with_environment(key),
                self.assertRaisesRegex(UserError, secret.KEY_VARIABLE) as raised,
            ):
                self.instance.master_password = "x"
            self.assertNotIn("abc", str(raised.exception), "Keys are not told")
