"""The form of a destination, made from what its kind in the engine asks for."""

import tempfile
from unittest.mock import patch

from lxml import etree

from odoo import tools
from odoo.exceptions import AccessError, ValidationError
from odoo.tests import Form
from odoo.tools import file_open

from ..engine.destinations import KINDS
from ..engine.destinations.sftp import SFTPDestination
from ..engine.errors import HostKeyUnknown
from ..models.backup_kind_mixin import sealed_name
from .common import AT_REST, BackupCase, ago

S3 = {
    "name": "Bucket",
    "kind": "s3",
    "s3_bucket": "archives",
    "s3_endpoint_url": "https://s3.example.com",
    "s3_access_key": "AKIA",
    "s3_secret_key": "very secret",
}
SFTP = {"name": "NAS", "kind": "sftp", "sftp_host": "nas.example.com", "sftp_user": "odoo"}


class TestKinds(BackupCase):
    def _make(self, **values):
        return self.env["backup.destination"].create(values)

    def test_each_setting_of_each_kind_is_a_field(self):
        fields = self.env["backup.destination"]._fields
        for kind, name, setting in self.env["backup.destination"]._all_settings():
            with self.subTest(f"{kind}: {name}"):
                self.assertEqual(fields[name].string, setting.label)
                self.assertEqual(setting.secret, sealed_name(name) in fields)

    def test_the_field_of_a_secret_never_looks_as_if_nothing_could_be_stored(self):
        arch = etree.fromstring(self.env["backup.destination"].get_view(view_type="form")["arch"])
        for kind, name, setting in self.env["backup.destination"]._all_settings():
            if setting.secret:
                with self.subTest(f"{kind}: {name}"):
                    (node,) = arch.xpath(f"//field[@name='{name}']")
                    self.assertTrue(node.get("placeholder"))

    def test_the_engine_gets_what_the_form_has(self):
        destination = self._make(**S3)
        settings = destination._settings()
        self.assertEqual(settings["bucket"], "archives")
        self.assertEqual(settings["secret_key"], "very secret")
        self.assertIs(settings["verify_tls"], True)
        self.assertNotIn("host", settings, "Nothing of the other kinds")
        KINDS.load("s3")(**settings)

    def test_each_kind_takes_the_settings_that_its_form_makes(self):
        for kind in KINDS.names():
            destination = KINDS.load(kind)
            with self.subTest(kind):
                names = {setting.name for setting in destination.SETTINGS} | set(destination.KEPT)
                accepted = destination.__init__.__code__
                self.assertLessEqual(names, set(accepted.co_varnames[: accepted.co_argcount]))

    def test_secrets_are_sealed_and_never_read_back(self):
        destination = self._make(**S3)
        self.assertFalse(destination.s3_secret_key)
        self.assertNotIn("very secret", destination.sudo().s3_secret_key_sealed)
        self.assertEqual(destination.stored_secrets, "Secret Key")
        told = str(destination.read()) + str(destination.message_ids.mapped("body"))
        self.assertNotIn("very secret", told)
        self._sql("SELECT 1")
        self.env.cr.execute("SELECT * FROM backup_destination WHERE id = %s", [destination.id])
        self.assertNotIn("very secret", str(self.env.cr.fetchall()))

    def test_only_managers_write_secrets_and_nobody_reads_what_was_sealed(self):
        destination = self._make(**S3)
        for group in ("user", "operator"):
            with self.subTest(group), self.assertRaises(AccessError):
                destination.with_user(self._user(group)).write({"s3_secret_key": "x"})
        with self.assertRaises(AccessError):
            destination.with_user(self._user("manager")).read(["s3_secret_key_sealed"])

    def test_a_copy_of_the_database_knows_no_secret(self):
        setup = self.env["backup.setup"].create({})
        with file_open("backup_scheduler/data/neutralize.sql") as file:
            sql = file.read()
        for record in (self._make(**S3), self.instance, setup):
            sealed = [sealed_name(name) for name in record._secret_names()]
            record.sudo().write(dict.fromkeys(sealed, "sealed"))
            self.env.flush_all()
            self.env.cr.execute(sql)
            self.env.invalidate_all()
            with self.subTest(record._name):
                self.assertTrue(sealed)
                self.assertFalse([name for name in sealed if record.sudo()[name]])

    def test_what_is_missing_is_named(self):
        for values, field in (
            ({"name": "x", "kind": "s3"}, "Bucket"),
            ({"name": "x", "kind": "sftp", "sftp_user": "me"}, "Host"),
            ({"name": "x", "kind": "rclone"}, "Remote"),
        ):
            with self.subTest(field), self.assertRaisesRegex(ValidationError, f"{field}: enter"):
                self._make(**values)

    def test_what_the_kind_does_not_like_is_told_in_its_words(self):
        with self.assertRaisesRegex(ValidationError, "how many days"):
            self._make(**S3, s3_lock_mode="GOVERNANCE")

    def test_the_form_shows_the_fields_of_the_kind_that_is_chosen(self):
        arch = self.env["backup.destination"].get_view(view_type="form")["arch"]
        form = etree.fromstring(arch)
        for kind, name, setting in self.env["backup.destination"]._all_settings():
            with self.subTest(name):
                (node,) = form.xpath(f"//field[@name='{name}']")
                self.assertIn(f"kind != '{kind}'", node.get("invisible"))
                if setting.secret and setting.kind == "char":
                    self.assertEqual(node.get("password"), "True")

    def test_a_kind_without_advanced_settings_has_no_heading_for_them(self):
        arch = self.env["backup.destination"].get_view(view_type="form")["arch"]
        (group,) = etree.fromstring(arch).xpath("//group[@name='advanced_settings']")
        for kind in KINDS.names():
            destination = KINDS.load(kind)
            has_some = any(setting.advanced for setting in destination.SETTINGS)
            with self.subTest(kind):
                self.assertEqual(f"'{kind}'" in group.get("invisible"), has_some)

    def test_a_change_of_the_settings_asks_for_another_check(self):
        destination = self._make(**S3)
        destination.write({"check_status": "ok", "folder_marker": "abc"})
        destination.s3_bucket = "other"
        self.assertRecordValues(destination, [{"check_status": False, "folder_marker": False}])

    def test_what_a_place_has_renewed_is_stored(self):
        destination = self._make(
            name="Drive", kind="rclone", rclone_remote="drive",
            rclone_config="[drive]\ntype = drive\ntoken = old\n",
        )  # fmt: skip
        job = self._make_job(destination_ids=[(6, 0, destination.ids)])
        run = self._running(job=job)
        config = "[drive]\ntype = drive\ntoken = new\n"
        copies = [{"id": run.copy_ids.id, "stored": True, **AT_REST,
                   "changed_settings": {"config": config}}]  # fmt: skip
        destination.write({"check_status": "ok", "last_check_at": ago(hours=1)})
        self._report(run, {**self._done(run), "copies": copies})
        self.assertEqual(destination._settings()["config"], config)
        self.assertEqual(destination.check_status, "ok", "It is the destination that was checked")


class TestSecretsOfAServer(BackupCase):
    """Who may change the address reads no secret at a server of theirs."""

    NAS = {**SFTP, "sftp_password": "hush", "sftp_private_key": "key", "sftp_passphrase": "open"}

    def setUp(self):
        super().setUp()
        # Of a key of no use, no object is made that could tell.
        self.enterContext(patch.object(SFTPDestination, "locations", return_value=[]))

    def _make(self, values):
        # A key of no use would be refused when it is saved.
        with patch.object(SFTPDestination, "__init__", return_value=None):
            return self.env["backup.destination"].create(values)

    def _stored(self, destination):
        return destination.stored_secrets or ""

    def test_each_kind_that_keeps_secrets_names_their_server_or_enters_both_as_one(self):
        servers = self.env["backup.destination"]._servers_of_secrets
        for kind, name, setting in self.env["backup.destination"]._all_settings():
            if setting.secret:
                with self.subTest(name):
                    self.assertEqual(bool(servers[name]), kind != "rclone")

    def test_secrets_are_forgotten_where_the_server_changes_and_nowhere_else(self):
        cases = (
            (self.NAS, {"sftp_host": "evil.example"}, False),
            (self.NAS, {"sftp_port": 2222}, False),
            (self.NAS, {"sftp_host": "NAS.example.com ", "sftp_port": 0}, True),
            (self.NAS, {"sftp_user": "other", "speed_limit": 2}, True),
            (S3, {"s3_endpoint_url": "https://evil.example"}, False),
            (S3, {"s3_endpoint_url": "http://s3.example.com"}, False),
            (S3, {"s3_endpoint_url": "https://s3.example.com:444"}, False),
            (S3, {"s3_endpoint_url": False}, False),
            (S3, {"s3_endpoint_url": "https://S3.example.com:443/"}, True),
            (S3, {"s3_region": "eu-central-1", "s3_bucket": "other"}, True),
            # What proves that it is the server.
            (S3, {"s3_verify_tls": False}, False),
            ({**S3, "s3_verify_tls": False}, {"s3_verify_tls": True}, True),
            (self.NAS, {"sftp_host_key": "ssh-ed25519 AAAA"}, True),
            ({**self.NAS, "sftp_host_key": "ssh-ed25519 AAAA"}, {"sftp_host_key": "x y"}, False),
            ({**self.NAS, "sftp_host_key": "ssh-ed25519 AAAA"}, {"sftp_host_key": False}, False),
        )
        for made, written, kept in cases:
            with self.subTest(written):
                destination = self._make(made)
                stored = self._stored(destination)
                with patch.object(SFTPDestination, "__init__", return_value=None):
                    destination.write(written)
                self.assertEqual(self._stored(destination), stored if kept else "")
                self.assertEqual("very secret" in str(destination._settings()),
                                 kept and made["kind"] == "s3")  # fmt: skip
                told = str(destination.message_ids.mapped("body"))
                self.assertEqual("forgotten" in told and stored in told, not kept)
                destination.unlink()

    def test_another_kind_in_between_does_not_carry_a_secret_elsewhere(self):
        destination = self._make(S3)
        destination.write({"kind": "local", "path": f"{self.destination.path}-other"})
        destination.s3_endpoint_url = "https://evil.example"
        destination.kind = "s3"
        self.assertEqual(self._stored(destination), "")

    def test_a_default_of_whoever_asks_is_not_taken_for_the_server_before(self):
        destination = self._make({**S3, "s3_endpoint_url": False})
        address = "https://evil.example"
        destination.with_context(default_s3_endpoint_url=address).s3_endpoint_url = address
        self.assertEqual(self._stored(destination), "")

    def test_a_secret_that_comes_with_the_server_is_kept_and_the_others_are_not(self):
        destination = self._make(self.NAS)
        destination.write({"sftp_host": "new.example.com", "sftp_password": "theirs"})
        self.assertEqual(destination._settings()["password"], "theirs")
        self.assertEqual(self._stored(destination), "Password")
        destination.write({"sftp_host": "newer.example.com", "sftp_password": " "})
        self.assertEqual(self._stored(destination), "")

    def test_a_check_afterwards_says_which_secret_is_missing(self):
        nas, bucket = self._make({**SFTP, "sftp_password": "hush"}), self._make(S3)
        nas.sftp_host = "127.0.0.1"
        answer = nas.check()
        self.assertIn("neither a password nor a key", answer["error"])
        self.assertIn("entered again", answer["hint"])
        bucket.s3_endpoint_url = "http://127.0.0.1:1"
        answer = bucket.check()
        self.assertIn("secret key is missing", answer["error"])
        self.assertIn("entered again", bucket.check_error)

    def test_the_form_says_beforehand_what_is_going_to_be_forgotten(self):
        destination = self._make({**SFTP, "sftp_password": "hush"})
        with Form(destination.with_user(self._user("manager"))) as form:
            self.assertFalse(form.secrets_to_forget)
            form.sftp_host = "new.example.com"
            self.assertEqual(form.secrets_to_forget, "Password")
            form.sftp_password = "theirs"
            self.assertFalse(form.secrets_to_forget)
        self.assertEqual(destination._settings()["password"], "theirs")
        with Form(self.instance.with_user(self._user("manager", name="Other"))) as form:
            form.url = "http://127.0.0.2:1"
            self.assertEqual(form.secrets_to_forget, "Master Password")
            form.url = "http://127.0.0.1:1"
            self.assertFalse(form.secrets_to_forget)
            form.verify_tls = False
            self.assertEqual(form.secrets_to_forget, "Master Password")
            form.verify_tls = True
            self.assertFalse(form.secrets_to_forget)
        self.assertTrue(self.instance.has_master_password)


class TestChecks(BackupCase):
    def test_a_host_key_is_shown_and_accepted_by_a_manager(self):
        destination = self.env["backup.destination"].create(SFTP)
        error = HostKeyUnknown(
            "Not accepted yet.", host_key="ssh-ed25519 AAAA", fingerprint="SHA256:abc"
        )
        with patch.object(SFTPDestination, "check", side_effect=error):
            answer = destination.check()
        self.assertEqual(answer["error_code"], "host_key_unknown")
        self.assertRecordValues(
            destination,
            [{"offered_host_key": "ssh-ed25519 AAAA", "offered_fingerprint": "SHA256:abc",
              "check_status": "error"}],
        )  # fmt: skip
        with patch.object(SFTPDestination, "check", return_value={}):
            with self.assertRaises(AccessError):
                destination.with_user(self._user("operator")).action_accept_host_key()
            destination.with_user(self._user("manager")).action_accept_host_key()
        self.assertRecordValues(
            destination,
            [{"sftp_host_key": "ssh-ed25519 AAAA", "offered_host_key": False,
              "check_status": "ok"}],
        )  # fmt: skip

    def test_what_may_not_be_done_there_is_a_warning(self):
        destination = self.env["backup.destination"].create(SFTP)
        found = {
            "free": None,
            "rights": {"write": True, "read": False, "list": True, "delete": False},
            "warnings": ["The account may not delete."],
        }
        with patch.object(SFTPDestination, "check", return_value=found):
            answer = destination.check()
        self.assertEqual((answer["ok"], answer["warnings"]), (True, found["warnings"]))
        self.assertRecordValues(
            destination, [{"may_read": False, "may_delete": False, "check_status": "ok"}]
        )

    def test_a_folder_on_the_disk_of_odoos_data_is_told(self):
        with tempfile.TemporaryDirectory(dir=tools.config["data_dir"]) as folder:
            (warning,) = self._make_destination("Here", path=folder).check()["warnings"]
        self.assertIn("same disk", warning)

    def test_a_folder_that_was_checked_is_known_again(self):
        with tempfile.TemporaryDirectory() as folder:
            destination = self._make_destination("Here", path=folder)
            destination.check()
            marker = destination.folder_marker
            self.assertTrue(marker)
            with patch.object(type(destination), "_own_warnings", return_value=["same disk"]):
                self.assertEqual(destination.check()["warnings"], ["same disk"])
            self.assertEqual(destination._settings()["marker"], marker)


class TestLocksAndParts(BackupCase):
    def test_retention_waits_for_the_lock_of_an_archive(self):
        run = self._stored()
        run.copy_ids.immutable_until = ago(days=-3)
        run.delete_archives("sales")
        self.assertEqual(run.task_ids.due_at, run.copy_ids.immutable_until)
        self.assertFalse(self._take("w"))
        run.copy_ids.immutable_until = ago(minutes=1)
        run._plan_tasks()
        self.assertEqual(self._take("w").work, "delete")

    def test_what_a_destination_tells_of_an_archive_is_recorded_and_told_back(self):
        run = self._running()
        details = {"version": "v7", "immutable_until": "2030-01-01T00:00:00+00:00"}
        copies = [{"id": run.copy_ids.id, "stored": True, **AT_REST, "details": details}]
        self._report(run, {**self._done(run), "copies": copies})
        self.assertEqual(run.copy_ids.version, "v7")
        self.assertEqual(str(run.copy_ids.immutable_until), "2030-01-01 00:00:00")
        self.assertEqual(run.copy_ids._engine_orders()[0]["version"], "v7")

    def test_an_archive_at_rest_in_one_place_ends_the_run_well_whatever_happens_then(self):
        second = self._make_destination("Slow")
        job = self._make_job(destination_ids=[(6, 0, (self.destination + second).ids)])
        ends = {
            "killed": lambda run: self._report(run, {"event": "lost", "exit_code": -9, "tail": ""}),
            "failed": lambda run: self._report(run,
                {"event": "failed", "error_code": "timeout", "error": "Slow.", "retryable": True}
            ),
            "worker gone": lambda run: (self._expire_lease(run), self.Task._reap()),
            "told to stop": lambda run: self._held(run)._give_back(),
        }
        for name, end in ends.items():
            with self.subTest(name):
                run = self._running(job=job)
                done = self._done(run)
                self._report(run, {**done, "event": "ready"})
                self._report(run, {"event": "stored", "copies": done["copies"][:1]})
                self.assertEqual((run.status, run.stored_copies), ("running", 1))
                end(run)
                self.assertRecordValues(
                    run, [{"status": "verified", "verification_level": "2"}]
                )
                missed = run.copy_ids - run.copy_ids.browse(done["copies"][0]["id"])
                self.assertEqual(missed.status, "failed")
                self.assertTrue(missed.next_attempt_at, "It gets its copy from the other one")

    def test_a_limit_of_speed_is_told_to_the_engine(self):
        self.destination.speed_limit = 2.5
        self.assertEqual(self._stored().copy_ids._engine_orders()[0]["bytes_per_second"], 2500000)

    def test_field_names_are_those_that_scripts_know(self):
        names = [name for name, _setting in self.env["backup.destination"]._settings_of("local")]
        self.assertEqual(names, ["path", "reserve", "all_machines"])
