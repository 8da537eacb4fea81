import datetime
from unittest.mock import patch

from freezegun import freeze_time

from odoo import fields

from .common import BackupCase

ZONES = (
    "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo",
    "UTC", "Asia/Kolkata",
)  # fmt: skip
# Fixed times inside the hours that changes skip and repeat, and one that follows elapsed time.
EXPRESSIONS = ("30 2 * * *", "30 0,1 * * fri,sun", "15 */12 * * *")
START = datetime.datetime(2026, 1, 1)  # noqa: DTZ001 - as Odoo keeps it
LIMIT = 100


class TestPreviewedYear(BackupCase):
    """What the preview shows is what the dispatcher fires, over a year with all its changes."""

    def _preview(self, job, start):
        answer = job.preview_cron(
            job.cron_expression, job.timezone, LIMIT, fields.Datetime.to_string(start)
        )
        return [
            datetime.datetime.fromisoformat(text)
            .astimezone(datetime.timezone.utc)
            .replace(tzinfo=None)
            for text in answer["next_runs"]
        ]

    def _previewed_year(self, job):
        fires = []
        while not fires or fires[-1].year == START.year:
            fires += self._preview(job, fires[-1] if fires else START)
        return [fire for fire in fires if fire.year == START.year]

    def _fired_year(self, job):
        """Go from fire to fire as the dispatcher does, each planned at the moment it is due."""
        with freeze_time(START):
            job._plan()
        fired = []

        def note(_run, _job, _names, scheduled_at, trigger):
            self.assertEqual(trigger, "schedule")
            fired.append(scheduled_at)
            return self.Run

        with patch.object(type(self.Run), "_create_for", note):
            while job.next_run_at.year == START.year:
                job._plan_fire(job.next_run_at)
        return fired

    def test_what_was_previewed_is_what_fires(self):
        for zone in ZONES:
            for expression in EXPRESSIONS:
                job = self._make_job(timezone=zone, cron_expression=expression)
                with self.subTest(zone=zone, expression=expression):
                    previewed = self._previewed_year(job)
                    self.assertGreater(len(previewed), 100)
                    self.assertEqual(self._fired_year(job), previewed)
