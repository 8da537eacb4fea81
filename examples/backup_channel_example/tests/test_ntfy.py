"""A kind of channel that another addon adds: in the form, sealed, and sent by an engine process."""

import http.server
import json
import threading

from odoo.addons.backup_scheduler.engine_process import EngineProcess
from odoo.exceptions import ValidationError
from odoo.tests import Form, TransactionCase, new_test_user
from odoo.tools import mute_logger

TOPIC = "hush-hush"
ALERT_LOGGER = "odoo.addons.backup_scheduler.models.alert.backup_alert"


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(json.loads(body))
        answer = b"" if self.server.status == 200 else f"topic {TOPIC} is reserved".encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments):
        pass


class TestNtfy(TransactionCase):
    def setUp(self):
        super().setUp()
        self.receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.receiver.got, self.receiver.status = [], 200
        self.addCleanup(self.receiver.server_close)
        threading.Thread(target=self.receiver.serve_forever, daemon=True).start()
        self.addCleanup(self.receiver.shutdown)
        self.place = f"127.0.0.1:{self.receiver.server_port}"
        manager = new_test_user(
            self.env, "ntfy-manager", "base.group_user,backup_scheduler.group_backup_manager"
        )
        with Form(self.env["backup.alert.channel"].with_user(manager)) as form:
            form.name = "Phone"
            form.kind = "ntfy"
            form.ntfy_server = f"http://{self.place}"
            form.ntfy_topic = TOPIC
        self.channel = form.record

    def test_its_settings_are_sealed_and_shown_like_those_of_any_kind(self):
        self.assertIn(("ntfy", "ntfy"), self.channel._kind_selection())
        self.assertNotIn(TOPIC, str(self.channel.read()))
        self.assertNotIn(TOPIC, self.channel.sudo().ntfy_topic_sealed)
        self.assertEqual(self.channel.sent_to, self.place)
        self.assertTrue(self.channel.over_network)
        with self.assertRaises(ValidationError):
            self.channel.ntfy_server = "ftp://ntfy.example"

    def test_the_secret_goes_to_no_other_server(self):
        self.channel.ntfy_server = "https://evil.example"
        self.assertFalse(self.channel.has_ntfy_topic)

    def test_a_test_arrives(self):
        self.assertTrue(self.channel.send_test()["ok"])
        (message,) = self.receiver.got
        self.assertEqual(message["topic"], TOPIC)
        self.assertIn("Test of the alerts", message["title"])

    @mute_logger(ALERT_LOGGER)
    def test_a_refusal_tells_no_secret(self):
        self.receiver.status = 403
        answer = self.channel.send_test()
        self.assertIn("403 Forbidden", answer["error"])
        self.assertNotIn(TOPIC, str(answer))
        self.assertIn("Choose another one", answer["hint"])

    def test_an_engine_process_finds_the_class_and_sends(self):
        alert = self.env["backup.alert"].sudo()._make_test(self.channel.sudo())
        events, ended = [], threading.Event()

        def deliver(event):
            events.append(event)
            if event["event"] != "notice":
                ended.set()

        order = {"action": "notify", "notices": [alert._notice()]}
        process = EngineProcess(order, deliver)
        self.addCleanup(process.end)
        self.assertTrue(ended.wait(60))
        self.assertEqual([event["event"] for event in events], ["notice", "done"])
        self.assertTrue(events[0]["ok"], events)
        self.assertEqual(len(self.receiver.got), 1)
