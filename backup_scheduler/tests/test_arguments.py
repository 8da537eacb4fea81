"""Scripts send what they like: each refusal is a sentence for people, and none is a traceback."""

import contextlib
import inspect

import psycopg2

from odoo import models
from odoo.exceptions import AccessDenied, UserError, ValidationError
from odoo.service.model import call_kw
from odoo.tests import tagged
from odoo.tools import mute_logger

from ..models import arguments
from .common import BackupCase

ADDON = __name__.rpartition(".tests.")[0]
FOR_PEOPLE = (UserError, AccessDenied)
DEEP = []
for _level in range(400):
    DEEP = [DEEP]
BAD = [
    None, True, -1, 0, 2**31, 2**63, 1e308, float("nan"), "", "x", "\x00", "\ud800", "a" * 100_000,
    "../../etc/passwd", "'; DROP TABLE backup_run;--", "%s%n", [], [[]], ["x"], [None], {},
    {"a": 1}, {"retention_mode": []}, {"retention_value": {}}, [{"x": {}}], [["x", "=", 1]],
    [["id", "=", "x"]], [["id", "in", 1]], ["&"], ["|", ["id", "=", 1]], [["id", "any", DEEP]],
    [["instance_id.name", "=?", [1]]], DEEP, {"x": DEEP}, "2026-13-45", "²", "١", "9" * 400,
    "0001-01-01", "9999-12-31T23:59:59-14:00",
]  # fmt: skip
GOOD = {
    "database_name": "zz_other", "cron_expression": "0 2 * * *", "count": 5, "limit": 4,
    "start": "2026-01-01", "end": "2026-02-01",
}  # fmt: skip


class ArgumentCase(BackupCase):
    def _answer_to(self, act):
        """Return what ``act`` raises that is no answer for people; nothing of it stays."""
        savepoint = self.env.cr.savepoint(flush=False)
        try:
            act()
        except FOR_PEOPLE as error:
            return "" if str(error).strip() else "an empty sentence"
        except psycopg2.IntegrityError:
            # Odoo answers with the message of the constraint.
            return ""
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            return f"{type(error).__name__}: {error}"[:160]
        finally:
            with contextlib.suppress(psycopg2.Error):
                savepoint.close(rollback=True)
            self.env.invalidate_all()
        return ""


# Once all modules are loaded: another addon may add methods of ours.
@tagged("post_install", "-at_install")
class TestArguments(ArgumentCase):
    def _methods(self):
        """Yield each public method of our own: of which model, its name and its parameters."""
        for name, model in sorted(self.env.items()):
            for method, found in inspect.getmembers(type(model), inspect.isfunction):
                if method.startswith("_") or not found.__module__.startswith(ADDON):
                    continue
                if hasattr(models.Model, method) and method != "get_empty_list_help":
                    # What Odoo's own methods say of such arguments is Odoo's.
                    continue
                yield name, method, found

    def _calls(self, method):
        """Yield arguments, each wrong in one place."""
        known = [each for each in inspect.signature(method).parameters if each != "self"]
        for position, _name in enumerate(known):
            before = [GOOD.get(each) for each in known[:position]]
            yield from ([*before, bad] for bad in BAD)
        if known:
            yield from ([1] * (len(known) + 1), {"no_such_argument": 1})

    def _call(self, model, method, given, ids=None):
        """Call as over RPC; return what is no answer for people."""
        record = [] if ids is None else [ids]
        positional, named = (record, given) if isinstance(given, dict) else ([*record, *given], {})
        return self._answer_to(lambda: call_kw(self.env[model], method, positional, named))

    @mute_logger("odoo.sql_db", "odoo.domains", "odoo.osv.expression", "odoo.models")
    def test_each_public_method_answers_wrong_arguments_with_a_sentence(self):
        run = self._stored()
        self._make_due(run.job_id, run.scheduled_at)
        found, tried = [], 0
        for model, name, method in self._methods():
            is_model = getattr(method, "_api_model", False)
            records = self.env[model].search([], limit=1) if self.env[model]._auto else []
            ids = None if is_model else list(records and records.ids)
            for given in self._calls(method):
                tried += 1
                if problem := self._call(model, name, given, ids):
                    found.append(f"{model}.{name}{given!r:.90}: {problem}")
        self.assertGreater(tried, 300)
        self.assertFalse(found, f"{len(found)} of {tried}:\n" + "\n".join(found))

    def test_each_method_with_arguments_says_what_they_may_be(self):
        for model, name, method in self._methods():
            known = [each for each in inspect.signature(method).parameters if each != "self"]
            with self.subTest(f"{model}.{name}"):
                self.assertEqual(known, list(getattr(method, arguments.ACCEPTED, {})))


ADDRESSES = [
    "file:///etc/passwd", "gopher://127.0.0.1:70/x", "http+unix://%2Fvar%2Frun%2Fdocker.sock",
    "http://user:pass@h/", "http://h\\\\@evil/", "http://h#@evil/", "http://h?@evil/",
    "http://h/ path", "http://h/\r\nX: y", "http://h\r\nX: y/", "http://\r\n", "http://[::1",
    "http://[::1]]/", "http://[x]/", "http://[::1%25eth0]/", "http://:80/", "http://h:0/",
    "http://h:99999/", "http://h:80:80/", "http://h:+80/", "http://h:8_0/", "http://h:²/",
    "http://h:١/", "http://", "https:///x", "//h/x", "h", " ", "javascript:alert(1)",
    "http://" + "a" * 300 + "/", "http://h/" + "a" * 100_000, "http://xn--/", "http://..",
    "http://a..b/", "http://h\x00/", "http://h/\x00", "http://h/\ud800", "http://ｈost/",
    "http://h\t/", "http://h/\u202e", "http://\u202eh/", "http://[" * 1000,
]  # fmt: skip
TEXTS = [
    "", " ", "\x00", "x\n", "\r\nx: y", "\ud800", "a" * 100_000, "\u202eexe", "%s", "é", [], {}, 1,
]  # fmt: skip
HOSTS = [
    *TEXTS, "-oProxyCommand=x", "h h", "h\nx", "[::1]", "h:22", "user@h", "h/x", "a" * 300, "::1",
    "h\u2028x",
]  # fmt: skip
PORTS = [-1, 0, 65_536, 70_000, 2**31, 2**63, "x", None, 1.5, [], {}]
PATHS = [*TEXTS, "relative", "../x", "~", "/x\x00y", "/" + "a" * 5000, "//h/x", "\n/etc", "/a\nb"]
CRONS = [
    *TEXTS, "* * * * * *", "60 * * * *", "0 0 31 2 *", "*/0 * * * *", "*/-1 * * * *",
    "*/99999999999999999999 * * * *", "0-59/99999999999999999999 * * * *", "0" * 490 + " * * * *",
    "１ * * * *", "٣ * * * *", "*\n* * * *", "1/2/3 * * * *", ", * * * *", "%s %s %s %s %s",
    "0 0 * * 9999999999999999999",
]  # fmt: skip
KEYS = [*TEXTS, "ssh-ed25519 !!!", "ssh-rsa AAAA", "A" * 10_000, "-----BEGIN RSA PRIVATE KEY-----"]
SFTP = {"kind": "sftp", "sftp_host": "h", "sftp_user": "u", "sftp_password": "p"}
# The model, what is entered beside it, the field and what is tried there.
FIELDS = [
    ("backup.instance", {}, "url", ADDRESSES),
    ("backup.instance", {"url": "http://h"}, "master_password", TEXTS),
    ("backup.alert.channel", {"kind": "webhook"}, "url", ADDRESSES),
    ("backup.alert.channel", {"kind": "telegram"}, "telegram_server", ADDRESSES),
    ("backup.alert.channel", {"kind": "telegram"}, "telegram_token", TEXTS),
    ("backup.destination", {"kind": "s3", "s3_bucket": "b"}, "s3_endpoint_url", ADDRESSES),
    ("backup.destination", {"kind": "s3"}, "s3_bucket", TEXTS),
    ("backup.destination", {"kind": "local"}, "path", PATHS),
    ("backup.destination", SFTP, "sftp_host", HOSTS),
    ("backup.destination", SFTP, "sftp_port", PORTS),
    ("backup.destination", SFTP, "sftp_user", TEXTS),
    ("backup.destination", SFTP, "sftp_host_key", KEYS),
    ("backup.destination", SFTP, "sftp_private_key", KEYS),
    ("backup.destination", {"kind": "local", "path": "/tmp/x"}, "recipients", KEYS),  # noqa: S108
    ("backup.setup", {}, "url", ADDRESSES),
    ("backup.job", {}, "cron_expression", CRONS),
    ("backup.job", {}, "ping_url", ADDRESSES),
    *(("backup.job", {}, name, PORTS) for name in
      ("max_attempts", "retry_delay", "time_limit", "retention_value", "max_age")),
    *(("backup.job", {}, name, ["tar", "9", 1, [], "\x00"]) for name in
      ("archive_format", "verify_after_backup", "overlap_policy")),
    ("backup.job", {}, "timezone", ["Mars/X", "../../etc/passwd", "UTC\x00", []]),
]  # fmt: skip


class TestValues(ArgumentCase):
    """What a form or a script enters: accepted, or refused with a sentence."""

    def _enter(self, model, beside, field, value):
        """Return what is no answer for people."""
        values = {"name": "Fuzz", **beside, field: value}
        if model == "backup.job":
            values["instance_id"] = self.instance.id

        def create():
            self.env[model].create(values)
            self.env.flush_all()

        return self._answer_to(create)

    @mute_logger("odoo.sql_db")
    def test_each_value_is_accepted_or_refused_with_a_sentence(self):
        found = [
            f"{model}.{field} = {value!r:.60}: {problem}"
            for model, beside, field, values in FIELDS
            for value in values
            if (problem := self._enter(model, beside, field, value))
        ]
        self.assertFalse(found, f"{len(found)}:\n" + "\n".join(found))

    def test_a_value_that_cannot_be_right_is_refused_with_the_name_of_its_field(self):
        cases = {
            "sftp_port": ([-1, 65_536, 70_000, 2**31, "x"], "Port: enter a"),
            "sftp_host": (["h h", "h\nx", "h:22", "h/x", "user@h", "-o", "a" * 300, "h\u2028x"],
                          "Host: enter"),
            "sftp_user": (["x\ny", "\u202ex"], "User: enter one line"),
            "sftp_path": (["a\nb"], "Folder on the Server: enter one line"),
            "name": (["a\nb", "a\u202eb"], "Name: enter one line"),
        }  # fmt: skip
        for field, (values, sentence) in cases.items():
            for value in values:
                refused = self.assertRaisesRegex(ValidationError, sentence)
                with self.subTest(f"{field} {value!r:.30}"), refused:
                    self.env["backup.destination"].create({"name": "NAS", **SFTP, field: value})
        for host in ("nas", "nas.example.com", "192.0.2.7", "::1", "[2001:db8::1]", "naß.example"):
            place = self.env["backup.destination"].create(
                {"name": "NAS", **SFTP, "sftp_host": host, "sftp_port": 2222}
            )
            self.assertEqual(place.sftp_host, host)

    def test_the_port_of_the_drill_server_is_one(self):
        for port in ("²", "70000", "0", "-1", "x"):
            with self.assertRaisesRegex(ValidationError, "Drill Port"):
                self.env["res.config.settings"].create({"backup_scratch_port": port})
