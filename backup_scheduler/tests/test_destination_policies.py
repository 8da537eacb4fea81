"""What a destination decides by itself: how long archives stay, and when it may be used."""

import datetime
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import ValidationError

from .common import AT_REST, BackupCase, ago


class TestOwnRetention(BackupCase):
    def setUp(self):
        super().setUp()
        self.bucket = self._make_destination("Bucket")
        self.job = self._make_job(
            retention_mode="keep_last_n",
            retention_value=1,
            destination_ids=[(6, 0, (self.destination + self.bucket).ids)],
        )

    def _marked(self, run):
        return run.copy_ids.filtered("deletion_requested_at").destination_id

    def test_each_destination_keeps_by_its_own_policy(self):
        self.bucket.write({"own_retention": True, "retention_mode": "keep_last_n",
                           "retention_value": 2})  # fmt: skip
        oldest, older, newest = (self._stored(job=self.job) for _time in range(3))
        self.assertEqual(self._marked(oldest), self.destination | self.bucket)
        self.assertEqual(self._marked(older), self.destination)
        self.assertFalse(self._marked(newest))

    def test_without_one_of_its_own_it_follows_the_job(self):
        older, _newest = self._stored(job=self.job), self._stored(job=self.job)
        self.assertEqual(self._marked(older), self.destination | self.bucket)

    def test_the_preview_tells_of_which_destination(self):
        self.bucket.write({"own_retention": True, "retention_mode": "keep_all"})
        older, _newest = self._stored(job=self.job), self._stored(job=self.job)
        told = {
            each["destination"]: each["keep"]
            for each in self.job.preview_retention()
            if each["run_id"] == older.id
        }
        self.assertEqual(told, {"": False, "Bucket": True})

    def test_a_policy_that_cannot_be_is_refused_with_its_field(self):
        with self.assertRaisesRegex(ValidationError, "enter 1 or more archives"):
            self.bucket.write({"own_retention": True, "retention_mode": "keep_last_n",
                               "retention_value": 0})  # fmt: skip

    def test_where_nothing_may_be_deleted_nothing_is_marked(self):
        self.bucket.may_delete = False
        older, _newest = self._stored(job=self.job), self._stored(job=self.job)
        self.assertEqual(self._marked(older), self.destination)


class TestHours(BackupCase):
    def _at(self, moment, zone="UTC", **hours):
        self.env["ir.config_parameter"].set_param("backup_scheduler.timezone", zone)
        self.destination.write(hours)
        opens = self.destination._opens_at(fields.Datetime.to_datetime(moment))
        return fields.Datetime.to_string(opens)

    def test_a_place_is_open_within_its_hours_and_opens_at_the_first_of_them(self):
        cases = (
            # from, to, now, opens
            (0, 0, "2026-11-21 12:00:00", "2026-11-21 12:00:00"),
            (22, 6, "2026-11-21 23:00:00", "2026-11-21 23:00:00"),
            (22, 6, "2026-11-21 05:59:00", "2026-11-21 05:59:00"),
            (22, 6, "2026-11-21 06:00:00", "2026-11-21 22:00:00"),
            (1.5, 4, "2026-11-21 01:29:00", "2026-11-21 01:30:00"),
            (1.5, 4, "2026-11-21 04:00:00", "2026-11-22 01:30:00"),
            (22, 24, "2026-11-21 21:00:00", "2026-11-21 22:00:00"),
        )
        for start, end, now, opens in cases:
            with self.subTest(start=start, end=end, now=now):
                self.assertEqual(self._at(now, hours_from=start, hours_to=end), opens)

    def test_the_hours_are_those_of_the_zone_in_the_settings(self):
        opens = self._at("2026-11-21 12:00:00", "Europe/Paris", hours_from=22, hours_to=6)
        self.assertEqual(opens, "2026-11-21 21:00:00")

    def test_an_opening_that_summer_time_skips_is_an_hour_later(self):
        opens = self._at("2026-03-29 00:30:00", "Europe/Paris", hours_from=2.5, hours_to=4)
        self.assertEqual(opens, "2026-03-29 01:30:00")

    def test_a_time_that_does_not_exist_is_refused(self):
        with self.assertRaisesRegex(ValidationError, "Open To: enter a time"):
            self.destination.hours_to = 25

    def test_a_closed_destination_gets_its_copy_later_from_another_one(self):
        night = self._make_destination("Night")
        job = self._make_job(destination_ids=[(6, 0, (self.destination + night).ids)])
        opening = fields.Datetime.now() + datetime.timedelta(hours=5)

        def opens_at(place, moment):
            return max(moment, opening) if place == night else moment

        with patch.object(type(night), "_opens_at", opens_at):
            run = self._running(job=job)
            order = self._order(run)
            self.assertEqual(len(order["destinations"]), 1)
            copies = [{"id": order["destinations"][0]["id"], "stored": True, **AT_REST}]
            self._report(run, {**self._done(run), "copies": copies})
            waiting = run.copy_ids.filtered(lambda copy: copy.destination_id == night)
            self.assertEqual((run.status, waiting.status), ("verified", "pending"))
            self.assertEqual(run.task_ids.due_at, opening)
        waiting.next_attempt_at = ago(minutes=1)
        run._plan_tasks()
        self.assertEqual(self._take("w").work, "replicate")

    def test_a_run_waits_until_the_first_of_its_destinations_is_open(self):
        opening = fields.Datetime.now() + datetime.timedelta(hours=5)
        with patch.object(type(self.destination), "_opens_at", lambda place, moment: opening):
            run = self._make_run()
        self.assertEqual(run.retry_at, opening)
        self.assertFalse(self._claim("w"))
