"""The kinds of alert channel: the form of each, made from what its class declares; and Apprise."""

import http.server
import json
import threading

from lxml import etree

from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import Form
from odoo.tools import mute_logger

from ..engine.channels import KINDS
from ..engine.channels.base import Address
from ..engine.masking import secrets_of
from .test_incidents import IncidentCase

ALERT_LOGGER = "odoo.addons.backup_scheduler.models.alert.backup_alert"
URL = "json://mallory:hush-hush@127.0.0.1:9/hush"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.got.append((self.path, self.headers["Authorization"], json.loads(body)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments):
        pass


class TestKindsOfChannels(IncidentCase):
    def _form(self):
        return etree.fromstring(self.Channel.get_view(view_type="form")["arch"])

    def test_the_kinds_are_those_that_are_registered_and_odoos_own_come_first(self):
        kinds = [kind for kind, _label in self.Channel._kind_selection()]
        self.assertEqual(
            kinds, ["activity", "mail", "webhook", "slack", "teams", "telegram", "apprise"]
        )
        self.assertEqual(set(kinds), set(KINDS.names()))
        described = self.Channel.fields_get(["kind"])["kind"]["selection"]
        self.assertEqual([kind for kind, _label in described], kinds)

    def test_the_form_shows_the_settings_of_the_kind_that_is_chosen(self):
        form = self._form()
        for kind, name, setting in self.Channel._all_settings():
            with self.subTest(f"{kind}: {name}"):
                (node,) = form.xpath(f"//field[@name='{name}']")
                self.assertTrue(node.get("placeholder") or not setting.secret)
                self.assertEqual(node.get("password"), "True" if setting.secret else None)
                for other in KINDS.names():
                    hides = self._is_hidden(node, other)
                    shown = name in [field for field, _each in self.Channel._settings_of(other)]
                    self.assertEqual(hides, not shown, other)

    def _is_hidden(self, node, kind):
        # The expressions of these are Python's, too.
        return eval(node.get("invisible"), {"kind": kind})  # noqa: S307 - our own view

    def test_the_form_of_a_kind_can_be_filled_in_and_saved(self):
        with Form(self.Channel.with_user(self._user("manager"))) as form:
            form.name = "Bot"
            form.kind = "telegram"
            form.telegram_token = "1:hush"
            form.telegram_chat = "-1"
        channel = form.record
        self.assertTrue(channel.has_telegram_token)
        self.assertEqual(channel.stored_secrets, "Bot Token")
        self.assertEqual(channel.sent_to, "api.telegram.org")

    def test_kinds_with_the_same_address_share_it(self):
        for kind in ("webhook", "slack", "teams"):
            self.channel.kind = kind
            self.assertEqual(self.channel.sent_to, "hooks.example.com")
            self.assertEqual(self.channel.stored_secrets, "Address")
        self.channel.kind = "apprise"
        self.assertFalse(self.channel.stored_secrets)
        self.assertFalse(self.channel.sent_to)

    def test_only_what_goes_over_the_network_waits_for_an_engine(self):
        for kind in KINDS.names():
            message = self.Alert._message(
                self.Channel.create({"name": kind, "kind": kind}), "test",
                self.Incident, self.env.company, self.env.cr.now(),
            )  # fmt: skip
            with self.subTest(kind):
                self.assertEqual(message["over_network"], kind not in ("activity", "mail"))

    def test_each_kind_that_makes_records_has_its_two_methods(self):
        for kind in KINDS.names():
            if not KINDS.load(kind).OVER_NETWORK:
                self.assertTrue(callable(getattr(self.Alert, f"_make_{kind}")))
                self.assertTrue(getattr(self.Alert, f"_made_{kind}")())

    def test_a_server_that_is_no_address_is_refused(self):
        with self.assertRaisesRegex(ValidationError, "no address"):
            self.Channel.create(
                {"name": "Bot", "kind": "telegram", "telegram_server": "ftp://bots.example"}
            )

    def test_each_notice_names_what_of_it_is_secret(self):
        secrets = {
            "url": "https://hooks.example.com/hush-hush", "telegram_token": "1:hush",
            "telegram_chat": "-1", "apprise_url": URL,
        }  # fmt: skip
        for kind in KINDS.names():
            channel = self.Channel.create({"name": kind, "kind": kind, **secrets})
            if channel.over_network:
                with self.subTest(kind):
                    notice = channel._notice(self.Alert._make_test(channel)._facts())
                    self.assertEqual(notice["place"], channel.sent_to)
                    self.assertFalse(
                        [text for text in secrets_of(notice) if text in str(channel.read())]
                    )
                    self.assertTrue([text for text in secrets_of(notice) if "hush" in text])

    @mute_logger(ALERT_LOGGER)
    def test_a_channel_whose_addon_is_gone_says_so_and_can_be_read(self):
        self.channel.flush_recordset()
        self._sql("UPDATE backup_alert_channel SET kind = 'pager'")
        self.env.invalidate_all()
        self.assertIn("pager", self.channel.kind_error)
        self.assertIn("no installed addon", self.channel.send_test()["error"])
        self.assertFalse(self.channel.sent_to)
        selection = self.Channel.fields_get(["kind"])["kind"]["selection"]
        self.assertIn("pager", dict(selection))


class TestApprise(IncidentCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        cls.receiver.daemon_threads = True
        cls.receiver.got, cls.receiver.status = [], 200
        cls.addClassCleanup(cls.receiver.server_close)
        threading.Thread(target=cls.receiver.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.receiver.shutdown)
        cls.place = f"json://127.0.0.1:{cls.receiver.server_port}"

    def setUp(self):
        super().setUp()
        self.receiver.got.clear()
        self.receiver.status = 200

    def _make(self, **values):
        url = self.place.replace("//", "//mallory:hush-hush@")
        return self.Channel.create(
            {"name": "Pager", "kind": "apprise", "apprise_url": f"{url}/hush", **values}
        )

    def test_a_test_arrives(self):
        channel = self._make()
        action = channel.action_send_test()
        self.assertEqual(action["params"]["type"], "success", action)
        self.assertIn(self.place, action["params"]["message"])
        ((path, authorization, body),) = self.receiver.got
        self.assertEqual(path.rstrip("/"), "/hush")
        self.assertTrue(authorization)
        self.assertIn("Test of the alerts", body["title"])
        self.assertEqual(channel.status, "ok")

    @mute_logger(ALERT_LOGGER)
    def test_what_is_refused_is_told_without_any_part_of_the_url(self):
        self.receiver.status = 401
        channel = self._make()
        answer = channel.send_test()
        self.assertEqual(answer["error_code"], "notice_refused")
        self.assertIn(f"{self.place} answered 401 Unauthorized", answer["error"])
        told = str(answer) + str(channel.read()) + str(self.Alert.search([]).read())
        for secret in ("hush", "mallory"):
            self.assertNotIn(secret, told)

    def test_an_incident_is_a_notice_of_an_engines_order(self):
        self.channel.active = False
        self._make()
        self._fail()
        _alerts, (notice,) = self._order_alerts()
        self.assertEqual((notice["kind"], notice["type"]), ("apprise", "failure"))
        self.assertIn("sales", notice["title"])
        self.assertIn("It did not work.", notice["body"])
        self.assertIn("/odoo/", notice["body"])

    def test_the_url_can_be_replaced_and_never_read(self):
        channel = self._make()
        self.assertEqual(channel.apprise_url_host, self.place)
        manager = self._user("manager")
        self.assertNotIn("hush", str(channel.with_user(manager).read()))
        self.assertNotIn("hush", channel.sudo().apprise_url_sealed)
        with self.assertRaises(AccessError):
            channel.with_user(manager).read(["apprise_url_sealed"])
        with self.assertRaises(AccessError):
            channel.with_user(self._user("operator")).write({"apprise_url": URL})
        channel.apprise_url = URL
        self.assertEqual(channel.sent_to, "json://127.0.0.1:9")
        channel.apprise_url = False
        self.assertRecordValues(channel, [{"sent_to": False, "has_apprise_url": False}])
        with self.assertRaisesRegex(UserError, "Enter the Apprise URL"):
            channel._notice({})

    def test_what_reaches_this_machine_or_nothing_is_refused_when_it_is_entered(self):
        for url, reason in (
            ("syslog://hush", "no network service"),
            ("dbus://", "no network service"),
            ("discord://1111111/hush-hush?template=/etc/passwd", "names a file"),
            ("hush", "has no service"),
        ):
            with self.subTest(url), self.assertRaisesRegex(ValidationError, reason) as refused:
                self._make(apprise_url=url)
            self.assertNotIn("hush", str(refused.exception))

    def test_each_address_says_where_it_leads(self):
        for _kind, name, setting in self.Channel._all_settings():
            if isinstance(setting, Address):
                self.assertIn(f"{name}_host", self.Channel._fields)
