"""A hunt for secrets: each one is a marker of its own, looked for wherever people can read.

Secrets are found by their declaration: settings of kinds that are ``secret``, and every field that
ends in ``_sealed``. The markers are looked for as they are, in other cases, and in base64 and hex;
quotes of addresses, JSON, Python and HTML leave their core unchanged.
"""

import base64
import functools
import json
import logging
import os
import re
import subprocess
import traceback
import urllib.parse
from unittest.mock import patch

from odoo import fields
from odoo.tests import tagged
from odoo.tools import SQL

from ..engine_process import EngineProcess
from ..inline import execute_all
from .security_world import ROLES, SecurityWorld, models_of

MODELS_LOGGER = "odoo.addons.backup_scheduler.models"
STEM = "zk7qmw"
# What each marker has around its core, so that quoting it changes it.
AROUND = ' "{}"<&\\ü/+%'
# Settings that a kind cannot do without, by the field: what their own check accepts.
PLAIN = {
    "path": "/tmp/backup_scheduler_tests_of_secrets",  # noqa: S108 - nothing is written there
    "rclone_remote": "remote",
    "s3_endpoint": "http://127.0.0.1:1",
    "s3_access_key": "AKIA",
    "s3_bucket": "bucket",
    "sftp_host": "127.0.0.1",
    "sftp_port": 1,
    "sftp_user": "user",
    "telegram_chat": "-1",
    "url": "http://127.0.0.1:1",
}
# Secrets that are checked when they are entered: one that is accepted, with the marker in it.
ACCEPTED = {
    "url": "http://127.0.0.1:1/{}",
    "ping_url": "http://127.0.0.1:1/{}",
    "apprise_url": "json://user:{}@127.0.0.1:1/",
    "rclone_config": "[remote]\ntype = webdav\nurl = http://127.0.0.1:1\npass = {}\n",
}
# Fields that are called like secrets and are none, with the reason.
NO_SECRETS = {
    "backup.alert.key": "an Idempotency-Key, which the receiver reads",
    "backup.alert.fire_key": "the UUID of a fire",
    "backup.incident.job_key": "the number of a job",
    "backup.destination.s3_access_key": "a public name; its secret is the secret key",
    "backup.destination.s3_kms_key": "the name of a key that stays with AWS",
    "backup.destination.offered_host_key": "a public key",
    "backup.destination.sftp_host_key": "a public key",
    "backup.task.lease_token": "no credential: it is beyond everybody's reach, and ends soon",
}
SECRETIVE = re.compile(r"passw|passphrase|secret|token|credential|identity|(^|_)key($|_)|private")
# This server itself has no secret, and belongs to no company, as the others here do.
WITHOUT_COMPANY = [("backup.instance", "local")]
HAS = ("has_", "stored_secrets", "kind_has_secrets", "secrets_to_forget")


@functools.cache
def pattern_of(cores):
    encoded = {
        base64.b64encode(b"\0" * shift + core.encode())[4 if shift else 0 : -4].decode()
        for core in cores
        for shift in range(3)
    }
    return "|".join([STEM, STEM.encode().hex(), *map(re.escape, sorted(encoded))])


class Markers:
    """The markers that were given out, and where one of them turned up."""

    def __init__(self):
        self.names = {}
        self.found = []

    def new(self, name, pattern=AROUND):
        core = f"{STEM}{len(self.names):02d}x"
        self.names[core] = name
        return pattern.format(core)

    def pattern(self):
        """Return a regular expression of every spelling, for Python and PostgreSQL."""
        return pattern_of(tuple(self.names))

    def look(self, place, text):
        for match in re.finditer(self.pattern(), str(text), re.IGNORECASE):
            start = max(0, match.start() - 40)
            self.found.append(f"{place}: …{str(text)[start : match.end() + 20]}…")


class LogKeeper(logging.Handler):
    def __init__(self, markers):
        super().__init__(logging.INFO)
        self._markers = markers

    def emit(self, record):
        text = logging.Formatter().format(record)
        self._markers.look(f"log {record.name}", text)


@tagged("post_install", "-at_install")
class TestSecretHunt(SecurityWorld):
    listens = True

    def setUp(self):
        super().setUp()
        self.markers = Markers()
        for name in ("", MODELS_LOGGER):
            keeper = LogKeeper(self.markers)
            logging.getLogger(name).addHandler(keeper)
            self.addCleanup(logging.getLogger(name).removeHandler, keeper)
        # What fails here is meant to.
        self.patch(logging.getLogger(MODELS_LOGGER), "propagate", False)

    # --- entering them --------------------------------------------------------------------------

    def _enter_all(self, refusals):
        """Store a marker in each secret that there is; return the records.

        :param refusals: the way that people take, and wrong ones are entered before
        """
        self._refusals = refusals
        made = [
            self._make_of_kind(model, kind)
            for model in models_of(self.env)
            if not model._abstract and hasattr(model, "_kind_names") and not model._transient
            for kind in model._kind_names()
            if (model._name, kind) not in WITHOUT_COMPANY
        ]
        world = self._make_world(self.ours, "ours")
        settings = self.env["res.config.settings"].create({"backup_scratch_host": "127.0.0.1"})
        for record in [*world.values(), settings]:
            if not hasattr(record, "_kind_names") or record._transient:
                for name in self._sealed_of(record):
                    self._enter(record, name)
        settings.execute()
        self.env.flush_all()
        self.cr.precommit.run()
        return made

    def _sealed_of(self, record):
        return [
            name.removesuffix("_sealed") for name in record._fields if name.endswith("_sealed")
        ]

    def _make_of_kind(self, model, kind):
        """Return a record of the kind, with all its secrets entered."""
        values = {"name": f"{kind} of {model._name}", model._kind_field: kind}
        if "company_id" in model._fields:
            values["company_id"] = self.ours.id
        secrets = []
        for name, setting in model._settings_of(kind):
            if setting.secret:
                secrets.append(name)
            elif name in PLAIN:
                values[name] = PLAIN[name]
            elif setting.required:
                values[name] = setting.placeholder or "walked"
        record = model.create(values)
        for name in secrets:
            self._enter(record, name)
        return record

    def _enter(self, record, name):
        """Enter a secret: a wrong one, of which the refusal is kept, and one that is stored."""
        where = f"{record._name}.{name}"
        if name not in record._fields:
            record[f"{name}_sealed"] = self._seal(self.markers.new(where))
            return
        if self._refusals:
            self._try(record, name, self.markers.new(where))
        stored = self.markers.new(where, ACCEPTED.get(name, AROUND))
        if self._refusals and name in ACCEPTED:
            self._try(record, name, stored)
        # What it takes may be no marker, as with a private key.
        record.sudo()[f"{name}_sealed"] = self._seal(stored)

    def _seal(self, marker):
        return self.env["backup.secret.mixin"]._seal(marker)

    def _try(self, record, name, marker):
        try:
            with self.env.cr.savepoint():
                record.write({name: marker})
        except Exception as error:  # noqa: BLE001 - whatever it says is looked at
            self.markers.look(f"refusal of {name}", "".join(traceback.format_exception(error)))

    # --- looking for them -----------------------------------------------------------------------

    def _look_at_database(self):
        """Look into every row of every table."""
        self.env.flush_all()
        self.env.cr.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' "
            "AND relnamespace = current_schema::regnamespace"
        )
        for (table,) in self.env.cr.fetchall():
            self.env.cr.execute(
                SQL("SELECT t::text FROM %s t WHERE t::text ~* %s", SQL.identifier(table),
                    self.markers.pattern())
            )  # fmt: skip
            for (row,) in self.env.cr.fetchall():
                self.markers.look(f"table {table}", row)

    def _look_as(self, role):
        env = self._env_of("ours", role)
        for name in [*(m._name for m in models_of(self.env)), "res.config.settings"]:
            model = env[name]
            if model._abstract or not model.has_access("read"):
                continue
            records = model.with_context(active_test=False).search([])
            for way, answer in self._ways(model, records):
                with self._undone():
                    text, _error = self._call(env, *answer)
                self.markers.look(f"{name}.{way} as {role}", text)

    def _ways(self, model, records):
        described = model.fields_get()
        names = [name for name in model._fields if name in described]
        plain = [name for name in names if not model._fields[name].relational]
        spec = {name: {} for name in names}
        calls = {
            "read": [],
            "web_read": [spec],
            "export_data": [names],
            "get_metadata": [],
            "fields_get": [],
            "default_get": [names],
            "search_read": [],
            "web_search_read": [[], spec],
            "name_search": [STEM],
        }
        yield from ((way, (records, way, arguments)) for way, arguments in calls.items())
        for record in records:
            yield "copy_data", (record, "copy_data", [])
            for name in plain[:1]:
                yield "onchange", (record, "onchange", [{name: record[name]}, [name], spec])

    def _assert_nothing_found(self):
        self.assertGreater(len(self.markers.names), 15, "Hardly a secret was found")
        found = sorted(set(self.markers.found))
        names = {core: name for core, name in self.markers.names.items() if core in str(found)}
        self.assertFalse(found, f"Secrets that can be read: {names}\n" + "\n".join(found[:30]))

    # --- the hunts ------------------------------------------------------------------------------

    def test_the_hunt_finds_what_is_in_the_open(self):
        marker = self.markers.new("a test")
        spellings = (
            marker, marker.upper(), json.dumps(marker), urllib.parse.quote(marker), repr(marker),
            *(base64.b64encode(b"x" * n + marker.encode()).decode() for n in range(6)),
            marker.encode().hex(), marker[:10],
        )  # fmt: skip
        for spelling in spellings:
            self.markers.found.clear()
            self.markers.look("here", spelling)
            self.assertTrue(self.markers.found, spelling)

    def test_each_field_that_is_called_like_a_secret_is_sealed(self):
        for model in [*models_of(self.env), self.env["res.config.settings"]]:
            for name, field in model._fields.items():
                if not self._may_be_secret(model, name, field):
                    continue
                with self.subTest(f"{model._name}.{name}"):
                    self.assertIn(
                        f"{name}_sealed",
                        model._fields,
                        "Declare it as secret, or list it in NO_SECRETS with the reason",
                    )
                    self.assertFalse(field.store)

    def _may_be_secret(self, model, name, field):
        ours = model._name.startswith("backup.") or name.startswith("backup_")
        return (
            ours
            and field.type in ("char", "text", "json")
            and SECRETIVE.search(name)
            and not name.endswith("_sealed")
            and not name.startswith(HAS)
            and f"{model._name}.{name}" not in NO_SECRETS
        )

    def test_what_is_sealed_is_out_of_reach(self):
        for model in [*models_of(self.env), self.env["res.config.settings"]]:
            for name in self._sealed_of(model):
                with self.subTest(f"{model._name}.{name}"):
                    sealed = model._fields[f"{name}_sealed"]
                    self.assertEqual(sealed.groups, fields.NO_ACCESS)
                    stays = not (model._transient or model._abstract)
                    self.assertFalse(sealed.copy and stays, "A copy has it too")

    # --- in what is carried out -----------------------------------------------------------------

    def _prepare_tasks(self, refusals=True):
        """Queue a task of each kind whose order has secrets."""
        made = self._enter_all(refusals)
        places = self.env["backup.destination"].concat(
            *(record for record in made if record._name == "backup.destination")
        )
        instance = next(record for record in made if record._name == "backup.instance")
        instance.max_parallel_runs = 0
        self.env["backup.database"].create({"instance_id": instance.id, "name": "sales"})
        job = self._make_job(instance_id=instance.id, destination_ids=[(6, 0, places.ids)])
        self._enter(job, "ping_url")
        stored = self._stored(job=job)
        identity = self.markers.new("identity of a verification")
        stored.verify("3", identity)
        restored = self._stored("other", job=job)
        restored.restore("sales-back", instance.id, None, True, self.markers.new("of a restore"))
        self._make_run("third", job=job)
        channels = [record for record in made if record._name == "backup.alert.channel"]
        self.env["backup.alert"].create(
            [
                {
                    "event": "test",
                    "channel_id": channel.id,
                    "company_id": self.ours.id,
                    "over_network": channel.over_network,
                }
                for channel in channels
            ]
        )
        self.env["backup.alert"]._plan_tasks()
        self.Task.search([]).due_at = fields.Datetime.now()

    def _fail_with_everything(self, order, control):
        """Fail as a library does that quotes all it was given."""
        control.enter("connect")
        quoted = json.dumps(order)
        raise ValueError(f"{order!r} {quoted} {urllib.parse.quote(quoted)}")

    def test_nobody_reads_a_secret_before_or_after_work_failed_with_all_of_them_in_its_error(self):
        self._prepare_tasks()
        self._look_at_database()
        self._look_as("manager")
        actions = ("backup", "verify", "restore", "notify", "discard", "delete", "replicate")
        failing = dict.fromkeys(actions, self._fail_with_everything)
        done = self._execute(failing)
        self.env.invalidate_all()
        self.assertGreater(done, 3)
        self._look_at_database()
        for role in ROLES:
            self._look_as(role)
        self._assert_nothing_found()

    def _execute(self, actions=()):
        with (
            patch.dict("odoo.addons.backup_scheduler.inline.transfer.ACTIONS", actions),
            self.enter_registry_test_mode(),
        ):
            return execute_all(self.registry)

    def test_no_process_is_started_with_a_secret_in_its_arguments_or_environment(self):
        self._prepare_tasks(refusals=False)
        started, popen = [], subprocess.Popen

        def start(arguments, *others, **options):
            started.append(arguments)
            self.markers.look("arguments", arguments)
            self.markers.look("environment", options.get("env") or dict(os.environ))
            return popen(arguments, *others, **options)

        with patch.object(subprocess, "Popen", start):
            while task := self.Task._claim("tester"):
                self._run_engine(task._engine_order())
                task.unlink()
        self.assertGreater(len(started), 3)
        self._assert_nothing_found()

    def _run_engine(self, order):
        events = []
        engine = EngineProcess(order, events.append)
        engine._reader.join(60)
        engine.end()
        self.markers.look(f"events of {order['action']}", json.dumps(events, default=str))
