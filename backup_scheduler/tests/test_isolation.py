"""What the engine is told of keeping the SQL of archives from other databases, and by whom."""

import datetime
from unittest.mock import patch

from odoo import fields, tools
from odoo.exceptions import AccessError
from odoo.tests import Form

from ..models.instance.backup_instance import is_this_server
from ..models.restore.backup_restore import ROLE_PREFIX, SCRATCH_PREFIX
from .common import BackupCase, ago
from .test_upgrade import UpgradeCase

PASSWORD = "a-secret-password"
UNAVAILABLE = {
    "error_code": "isolation_unavailable",
    "error": "The SQL of the archive was not run.",
    "hint": "Run ALTER ROLE odoo CREATEROLE.",
}


class IsolationCase(BackupCase):
    def _save(self, **values):
        self.env["res.config.settings"].create(values).execute()

    def _drill(self, run):
        run.verify(4)
        self.assertEqual(self._take("reader"), run)
        return self._order(run)

    def _restore_order(self, run):
        restores = self.env["backup.restore"]
        restore = restores.browse(run.restore("a-new-database"))
        return restore._target_order()["isolation"]


class TestIsolation(IsolationCase):
    def test_a_drill_may_start_a_cluster_where_no_server_was_chosen(self):
        self.assertEqual(
            self._drill(self._stored())["isolation"], {"cluster": True, "trusted": False}
        )

    def test_a_drill_server_that_was_chosen_is_used(self):
        self._save(backup_scratch_host="drills.example", backup_restore_role="named")
        self.assertEqual(
            self._drill(self._stored())["isolation"], {"cluster": False, "trusted": False}
        )

    def test_odoo_s_own_server_can_be_chosen_for_drills_too(self):
        own = self.env["backup.restore"]._own_server()
        self._save(
            backup_scratch_host=own.get("host") or "localhost",
            backup_scratch_port=own.get("port"),
            backup_restore_role="named",
        )
        isolation = self._drill(self._stored())["isolation"]
        self.assertFalse(isolation["cluster"])
        if own.get("host"):
            self.assertEqual(isolation["role"]["user"], "named")

    def test_a_restore_to_this_server_is_isolated(self):
        self.assertEqual(self._restore_order(self._stored()), {"trusted": False})

    def test_the_role_of_the_settings_is_told_with_its_password(self):
        self._save(backup_restore_role="named", backup_restore_role_password=PASSWORD)
        role = {"user": "named", "password": PASSWORD}
        run = self._stored()
        self.assertEqual(self._drill(run)["isolation"]["role"], role)
        self.assertEqual(self._restore_order(run)["role"], role)
        kept = self.env["ir.config_parameter"].sudo().get_param(f"{ROLE_PREFIX}_password")
        self.assertTrue(kept)
        self.assertNotIn(PASSWORD, kept)

    def test_the_password_of_the_role_is_that_of_no_other_role(self):
        self._save(backup_restore_role="named", backup_restore_role_password=PASSWORD)
        self._save(backup_workers=3)
        self.assertEqual(self.env["backup.restore"]._restore_role()["password"], PASSWORD)
        self._save(backup_restore_role="other")
        role = self.env["backup.restore"]._restore_role()
        self.assertEqual(role, {"user": "other", "password": ""})
        self._save(backup_restore_role=False)
        self.assertEqual(self.env["backup.restore"]._restore_role(), {})
        kept = [("key", "=like", f"{ROLE_PREFIX}%")]
        self.assertFalse(self.env["ir.config_parameter"].sudo().search_count(kept))

    def test_what_could_not_be_determined_is_told_and_is_no_result(self):
        run = self._stored(level=3)
        self._drill(run)
        report = {"level": 3, "notes": ["Whether it can be restored could not be determined here."]}
        copies = [
            {"id": copy.id, "ok": True, "report": report, "undetermined": UNAVAILABLE}
            for copy in run.copy_ids
        ]
        self._report(run, {"event": "done", "copies": copies})
        self.assertRecordValues(
            run, [{"status": "verified", "verification_level": "3", "drilled_at": False}]
        )
        self.assertEqual(run.verification_report["notes"], report["notes"])
        self.assertIn("isolation_unavailable", run.log)
        self.assertIn("ALTER ROLE odoo CREATEROLE", run.log)
        self.assertEqual(set(run.copy_ids.mapped("status")), {"stored"})
        self.assertEqual(run.undetermined["hint"], UNAVAILABLE["hint"])

    def test_what_could_not_be_determined_stays_owed_and_waits_a_day(self):
        job = self._make_job(drill_interval="7")
        run = self._stored(job=job)
        now = fields.Datetime.now()
        job._request_drills(now)
        self.assertTrue(run.task_ids.filtered(lambda task: task.kind == "verify"))
        self._report_undetermined(run)
        for hours, asked in ((1, False), (23, False), (25, True)):
            job._request_drills(now + datetime.timedelta(hours=hours))
            found = run.task_ids.filtered(lambda task: task.kind == "verify")
            self.assertEqual(bool(found), asked, hours)

    def test_a_result_ends_what_could_not_be_determined_of_all_of_the_database(self):
        job = self._make_job(drill_interval="7")
        old, new, other = (self._stored(name, job) for name in ("sales", "sales", "stock"))
        (old + new + other).undetermined = UNAVAILABLE
        self._drill(new)
        copies = [
            {"id": copy.id, "ok": True, "report": {"level": 4}, "read": "archive"}
            for copy in new.copy_ids
        ]
        self._report(new, {"event": "done", "copies": copies})
        self.assertTrue(new.drilled_at)
        self.assertEqual([bool(run.undetermined) for run in (old, new, other)],
                         [False, False, True])  # fmt: skip

    def _report_undetermined(self, run):
        self._take("reader")
        self._order(run)
        copies = [
            {"id": copy.id, "ok": True, "report": {"level": 3}, "undetermined": UNAVAILABLE}
            for copy in run.copy_ids
        ]
        self._report(run, {"event": "done", "copies": copies})


class TestTrust(IsolationCase):
    def test_no_instance_is_trusted_by_itself(self):
        self.assertFalse(self.instance.trusted)
        self.assertFalse(self.instance.copy().trusted)

    def test_this_server_itself_is_trusted(self):
        own = f"http://127.0.0.1:{tools.config['http_port']}"
        instance = self._make_instance("This", url=own)
        self.assertTrue(instance.trusted)
        self.assertIn("Trusted Archives", "".join(instance.message_ids.mapped("body")))
        self.assertFalse(self._make_instance("Doubted", url=own, trusted=False).trusted)
        for other in (own + "1", own + "/page", "http://127.0.0.1", "http://odoo.example:8069",
                      "http://[::1"):  # fmt: skip
            self.assertFalse(is_this_server(other), other)
        for interface, hosts in (
            ("0.0.0.0", ["127.0.0.1"]),  # noqa: S104 - it is asked for, and not listened on
            ("::", ["127.0.0.1", "localhost", "[::1]"]),
            ("192.0.2.1", []),
        ):
            with patch.dict(tools.config.options, http_interface=interface):
                found = [host for host in ("127.0.0.1", "localhost", "[::1]")
                         if is_this_server(own.replace("127.0.0.1", host))]  # fmt: skip
            self.assertEqual(found, hosts, interface)
        with Form(self.env["backup.instance"]) as form:
            form.name, form.url = "Typed", "https://shop.example"
            self.assertFalse(form.trusted)
            form.url = own
            self.assertTrue(form.trusted)
            form.url = "https://shop.example"
            self.assertFalse(form.trusted)

    def test_archives_of_a_trusted_instance_are(self):
        self.instance.trusted = True
        run = self._stored()
        self.assertTrue(self._drill(run)["isolation"]["trusted"])

    def test_archives_of_the_server_before_are_not_trusted(self):
        before = self._stored()
        before.started_at = ago(days=1)
        self.instance.write({"url": "https://shop.example", "trusted": True})
        self.assertFalse(self._drill(before)["isolation"]["trusted"])
        after = self._stored()
        after.started_at = ago(days=-1)
        self.assertTrue(self._drill(after)["isolation"]["trusted"])

    def test_what_was_imported_is_not_trusted(self):
        self.instance.trusted = True
        run = self._stored()
        run.catalogue_owner = "another-server/7"
        self.assertFalse(self._drill(run)["isolation"]["trusted"])

    def test_trust_is_for_the_server_that_it_was_given_to(self):
        self.instance.trusted = True
        self.instance.write({"url": self.instance.url, "max_parallel_runs": 2})
        self.assertTrue(self.instance.trusted)
        self.instance.url = "https://another.example"
        self.assertFalse(self.instance.trusted)
        self.instance.write({"url": "https://third.example", "trusted": True})
        self.assertTrue(self.instance.trusted)

    def test_trust_ends_where_certificates_are_not_verified_any_more(self):
        self.instance.write({"url": "https://shop.example", "trusted": True})
        self.instance.write({"verify_tls": True})
        self.assertTrue(self.instance.trusted)
        self.instance.verify_tls = False
        self.assertFalse(self.instance.trusted)
        self.instance.trusted = True
        self.instance.verify_tls = True
        self.assertTrue(self.instance.trusted)

    def test_who_trusts_an_instance_is_written_in_its_chatter(self):
        self.env.flush_all()
        self.env.cr.precommit.run()
        self.instance.trusted = True
        self.env.flush_all()
        self.env.cr.precommit.run()
        tracked = self.instance.message_ids.tracking_value_ids.field_id
        self.assertIn("trusted", tracked.mapped("name"))

    def test_only_a_manager_trusts(self):
        for group in ("user", "operator"):
            user = self._user(group)
            with self.subTest(group), self.assertRaises(AccessError):
                self.instance.with_user(user).trusted = True


class TestDrillPassword(IsolationCase):
    """It goes to the server that it was entered for, however the address is changed."""

    def _password(self):
        return self.env["backup.restore"]._scratch_server().get("password")

    def test_a_changed_parameter_does_not_take_the_password_along(self):
        changes = {"host": "evil.example", "port": "5434"}
        for key, value in changes.items():
            with self.subTest(key):
                self._save(backup_scratch_host="drills.example", backup_scratch_port="5433",
                           backup_scratch_password=PASSWORD)  # fmt: skip
                self.assertEqual(self._password(), PASSWORD)
                parameters = self.env["ir.config_parameter"].sudo()
                parameters.set_param(SCRATCH_PREFIX + key, value)
                self.assertIsNone(self._password())
                # The settings do not make it the new server's either.
                self._save(backup_workers=3)
                self.assertIsNone(self._password())


class TestUpgradeOfDrillPassword(UpgradeCase, IsolationCase):
    """From 19.0.4.0.0, which kept the password without its server."""

    version = "19.0.5.0.0"
    before = "19.0.4.0.0"
    script = "post-drill-password"

    def test_the_password_is_kept_for_its_server(self):
        parameters = self.env["ir.config_parameter"].sudo()
        sealed = self.env["backup.secret.mixin"]._seal(PASSWORD)
        parameters.set_param(f"{SCRATCH_PREFIX}host", "drills.example")
        parameters.set_param(f"{SCRATCH_PREFIX}password", sealed)
        for _time in range(2):
            self._upgrade()
            server = self.env["backup.restore"]._scratch_server()
            self.assertEqual(server["password"], PASSWORD)
        parameters.set_param(f"{SCRATCH_PREFIX}host", "evil.example")
        self.assertNotIn("password", self.env["backup.restore"]._scratch_server())

    def test_without_a_drill_server_there_is_nothing_to_do(self):
        self._upgrade()
        self.assertNotIn("password", self.env["backup.restore"]._scratch_server() or {})
