"""Where the cron builder in the browser and the server meet: what the one takes for the same."""

import datetime
import json
import re
from pathlib import Path

from odoo.tests import BaseCase
from odoo.tools.misc import file_path

from ..engine.schedule import ScheduleError, cached_schedule

CASES = "backup_scheduler/static/tests/fields/cron_expression/cron_shapes.test.js"
# Where the clocks change at 2 or 3: “0 */2” and “0 0-23/2” part ways there.
ZONE = "Europe/Paris"
STARTS = [
    datetime.datetime(2026, *day, tzinfo=datetime.timezone.utc)
    for day in ((1, 1), (2, 27), (3, 27), (10, 23))
]


class TestCronShapes(BaseCase):
    """The cases are those of the browser's own test, so that neither side can drift alone."""

    def _read_cases(self, name):
        text = Path(file_path(CASES)).read_text(encoding="utf-8")
        table = re.search(rf"^const {name} = \[\n(.*?)^\];", text, re.DOTALL | re.MULTILINE)[1]
        lines = [line.strip() for line in table.splitlines()]
        found = [json.loads(re.sub(r",(\s*//.*)?$", "", line)) for line in lines if line[0] in '"[']
        self.assertGreater(len(found), 10, name)
        return found

    def _fires(self, expression):
        schedule = cached_schedule(expression, ZONE)
        return [list(schedule.upcoming(50, start)) for start in STARTS]

    def test_what_the_builder_writes_anew_fires_as_before(self):
        for expression, written in self._read_cases("RESPELT"):
            with self.subTest(expression):
                self.assertTrue(self._fires(expression) == self._fires(written), written)

    def test_what_has_no_shape_is_valid_all_the_same(self):
        for expression in self._read_cases("CUSTOM"):
            with self.subTest(expression):
                self.assertTrue(self._fires(expression))

    def test_what_looks_alike_and_is_not_fires_otherwise(self):
        for expression, other in (
            ("0 0-23/2 * * *", "0 */2 * * *"),
            ("0 0-23 * * *", "0 * * * *"),
            ("0 2 1-31 * mon", "0 2 * * mon"),
            ("0 2 */2 * mon", "0 2 1-31/2 * mon"),
        ):
            with self.subTest(expression):
                self.assertTrue(self._fires(expression) != self._fires(other), other)

    def test_what_the_builder_cannot_read_is_refused(self):
        for expression in self._read_cases("BROKEN"):
            with self.subTest(expression), self.assertRaises(ScheduleError):
                cached_schedule(expression, ZONE)
