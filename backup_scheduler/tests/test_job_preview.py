import datetime
import xmlrpc.client

from freezegun import freeze_time

from odoo.exceptions import ValidationError

from .common import BackupCase


class TestPreview(BackupCase):
    def test_the_preview_is_what_xmlrpc_can_carry(self):
        preview = self.Job.preview_cron("0 2 * * *")
        xmlrpc.client.dumps((preview,), methodresponse=True, allow_none=False)
        self.assertEqual(set(preview), {"next_runs", "description"})
        self.assertEqual(len(preview["next_runs"]), 5)
        self.assertIn("02:00", preview["description"])

    def test_the_fires_are_iso_8601_with_the_offset_of_their_zone(self):
        cases = (
            ("UTC", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00+00:00"),
            ("Europe/Paris", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00+01:00"),
            ("Europe/Paris", "2026-07-01T00:30:00+02:00", "2026-07-01T02:00:00+02:00"),
            ("Asia/Kolkata", "2026-01-01 00:00:00", "2026-01-02T02:00:00+05:30"),
            ("America/St_Johns", "2026-01-01T00:00:00", "2026-01-01T02:00:00-03:30"),
        )
        for zone, start, expected in cases:
            with self.subTest(zone=zone, start=start):
                preview = self.Job.preview_cron("0 2 * * *", zone, 1, start)
                self.assertEqual(preview["next_runs"], [expected])

    def test_the_preview_starts_now_where_no_start_is_given(self):
        with freeze_time("2026-03-10 12:00:00"):
            preview = self.Job.preview_cron("0 2 * * *", "UTC", 1)
        self.assertEqual(preview["next_runs"], ["2026-03-11T02:00:00+00:00"])

    def test_the_zone_is_the_one_of_the_settings_where_none_is_given(self):
        self.env["ir.config_parameter"].set_param("backup_scheduler.timezone", "Asia/Tokyo")
        for nothing in (None, False, ""):
            with self.subTest(nothing):
                preview = self.Job.preview_cron("0 2 * * *", nothing, 1, "2026-01-01")
                self.assertEqual(preview["next_runs"], ["2026-01-02T02:00:00+09:00"])

    def test_the_zone_of_the_settings_can_be_asked_for(self):
        self.assertEqual(self.Job.default_timezone(), "UTC")
        self.env["ir.config_parameter"].set_param("backup_scheduler.timezone", "Asia/Tokyo")
        self.assertEqual(self.Job.default_timezone(), "Asia/Tokyo")

    def test_the_count_is_kept_between_1_and_100(self):
        for asked, given in ((0, 1), (-3, 1), (3, 3), ("7", 7), (1000, 100)):
            with self.subTest(asked):
                fires = self.Job.preview_cron("* * * * *", "UTC", asked)["next_runs"]
                self.assertEqual(len(fires), given)

    def test_what_is_wrong_is_told_with_the_field_that_is_wrong(self):
        cases = (
            (("0 24 * * *",), "hour: 24 is outside 0-23"),
            (("61 * * * *",), "minute: 61 is outside 0-59"),
            (("0 0 31 2 *",), "expression: "),
            (("",), "expression: "),
            ((False,), "expression: "),
            (("0 2 * * *", "Mars/Base"), "timezone: 'Mars/Base'"),
            (("0 2 * * *", "UTC", "many"), "count: "),
            (("0 2 * * *", "UTC", None), "count: "),
            (("0 2 * * *", "UTC", float("inf")), "count: "),
            (("0 2 * * *", "UTC", 5, "soon"), "start: "),
            (("0 2 * * *", "UTC", 5, "9999-12-31T23:59:59Z"), "start: "),
            (("0 2 * * *", "UTC", 5, "0001-01-01T00:00:00+14:00"), "start: "),
            ((["0", "2", "*", "*", "*"],), "expression: "),
            (("0 2 * * *", {"name": "UTC"}), "timezone: "),
        )
        for arguments, complaint in cases:
            with self.subTest(arguments), self.assertRaisesRegex(ValidationError, complaint):
                self.Job.preview_cron(*arguments)

    def test_what_is_previewed_is_what_is_planned(self):
        with freeze_time("2026-03-28 12:00:00"):
            job = self._make_job(cron_expression="30 2 * * *", timezone="Europe/Paris")
            previewed = self.Job.preview_cron("30 2 * * *", "Europe/Paris", 3)["next_runs"]
        for text in previewed:
            fire = datetime.datetime.fromisoformat(text)
            fire = fire.astimezone(datetime.timezone.utc).replace(tzinfo=None)
            self.assertEqual(job.next_run_at, fire)
            self._plan(fire)

    def test_the_description_is_in_the_language_of_the_user(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        french = self.Job.with_context(lang="fr_FR").preview_cron("0 4 * * mon")["description"]
        self.assertIn("lundi", french)
