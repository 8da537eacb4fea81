import logging
from unittest.mock import patch

from odoo.exceptions import AccessError, ValidationError
from odoo.service.model import call_kw
from odoo.tools import mute_logger

from ..engine.masking import secrets_of
from ..models.alert import backup_alert_delivery
from .test_incidents import IncidentCase

ADDRESS = "https://hooks.example.com/services/T000/hush-hush"
ALERT_LOGGER = "odoo.addons.backup_scheduler.models.alert.backup_alert"


class TestChannelSecrets(IncidentCase):
    def test_an_address_and_a_token_can_be_replaced_and_never_read(self):
        channel = self.Channel.create(
            {"name": "Bot", "kind": "telegram", "telegram_token": "1:hush", "url": ADDRESS}
        )
        manager = self.env(user=self._user("manager"))
        fields_read = call_kw(manager["backup.alert.channel"], "read", [channel.ids], {})[0]
        self.assertNotIn("hush", str(fields_read))
        self.assertEqual(fields_read["url_host"], "hooks.example.com")
        for name in ("url_sealed", "telegram_token_sealed"):
            self.assertNotIn("hush", channel.sudo()[name])
            with self.assertRaises(AccessError):
                call_kw(manager["backup.alert.channel"], "read", [channel.ids, [name]], {})

    def test_a_watcher_cannot_ask_for_the_field_that_people_write(self):
        watcher = self.env(user=self._user("user"))
        with self.assertRaises(AccessError):
            call_kw(watcher["backup.alert.channel"], "read", [self.channel.ids, ["url"]], {})

    def test_what_is_no_address_is_refused_without_being_quoted(self):
        for address in ("hush", "https://user:hush@example.com/"):
            with self.subTest(address), self.assertRaises(ValidationError) as refused:
                self.channel.url = address
            self.assertNotIn("hush", str(refused.exception))

    def test_neither_the_log_nor_the_records_tell_the_address(self):
        self._fail()
        self.channel.url = ADDRESS
        with self.assertLogs(logging.getLogger("odoo.addons.backup_scheduler"), "WARNING") as log:
            alerts, notices = self._order_alerts()
            alerts._mark_delayed("hooks.example.com answered 500.", "")
        self.assertEqual(notices[0]["secret_url"], ADDRESS)
        told = "".join(log.output) + str(alerts.read()) + str(self.channel.read())
        self.assertNotIn("hush", told)

    def test_the_keys_of_an_order_name_what_is_secret(self):
        self.channel.url = ADDRESS
        self._fail()
        secrets = secrets_of({"notices": self._order_alerts()[1]})
        self.assertIn(ADDRESS, secrets)
        self.assertIn("services/T000/hush-hush", secrets)


class TestTokenOfAServer(IncidentCase):
    def _make_bot(self):
        return self.Channel.create(
            {"name": "Bot", "kind": "telegram", "telegram_token": "1:hush", "telegram_chat": "-1"}
        )

    def _sent_to(self, channel):
        """Press *Send Test*; return the addresses that anything was sent to."""
        with patch.object(
            backup_alert_delivery, "send_now", return_value={"ok": True}
        ) as send, mute_logger(ALERT_LOGGER):
            channel.send_test()
        return [call.args[0]["secret_url"] for call in send.call_args_list]

    def test_a_token_is_not_sent_to_a_server_that_it_was_not_given_for(self):
        channel = self._make_bot().with_user(self._user("manager"))
        channel.telegram_server = "https://evil.example"
        self.assertEqual(self._sent_to(channel), [])
        self.assertFalse(channel.has_telegram_token)
        self.assertIn("token of the bot", channel.last_error)
        # Neither is it there again for whoever goes back.
        channel.telegram_server = False
        self.assertEqual(self._sent_to(channel), [])

    def test_a_token_is_forgotten_on_each_channel_that_has_another_server_now(self):
        stays, goes = self._make_bot(), self._make_bot()
        stays.telegram_server = "https://bots.example"
        stays.telegram_token = "2:hush"
        (stays + goes).write({"telegram_server": "https://bots.example/"})
        self.assertEqual([stays.has_telegram_token, goes.has_telegram_token], [True, False])

    def test_a_token_that_comes_with_the_server_is_kept(self):
        channel = self._make_bot()
        channel.write({"telegram_server": "https://bots.example", "telegram_token": "2:hush"})
        self.assertEqual(self._sent_to(channel), ["https://bots.example/bot2:hush/sendMessage"])

    def test_an_empty_token_that_comes_with_the_server_saves_nothing(self):
        channel = self._make_bot()
        channel.write({"telegram_token": " ", "telegram_server": "https://bots.example"})
        self.assertFalse(channel.has_telegram_token)

    def test_a_server_that_is_written_otherwise_and_is_the_same_keeps_the_token(self):
        channel = self._make_bot()
        for server in ("https://api.telegram.org/", False):
            channel.telegram_server = server
            self.assertTrue(channel.has_telegram_token)
