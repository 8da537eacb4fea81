"""The fires to come, day by day: all of them, counted right, and bounded."""

import unittest
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from unittest.mock import patch

import pytz
from engine import forecast
from engine.forecast import Forecast
from engine.schedule import CronSchedule

UTC = timezone.utc
PARIS = pytz.timezone("Europe/Paris")
TICK = datetime.resolution
EXPRESSIONS = ("0 2 * * *", "30 2 * * *", "*/5 * * * *", "0 */6 * * *", "0 4 1 * *", "0 0 29 2 *")


def midnights(first, count):
    """Return the ends of days in Paris, the first one being that of the day before ``first``."""
    days = [first + timedelta(days=number) for number in range(count + 1)]
    return [PARIS.localize(day).astimezone(UTC) - TICK for day in days]


class TestForecast(unittest.TestCase):
    def test_the_days_have_all_fires_also_where_the_clocks_change(self):
        for first in (datetime(2026, 3, 27), datetime(2026, 10, 23)):  # noqa: DTZ001
            bounds = midnights(first, 5)
            schedules = [CronSchedule(text, "Europe/Paris") for text in EXPRESSIONS]
            found, complete = Forecast(bounds, 4).days(schedules)
            self.assertEqual(complete, 5)
            for schedule in schedules:
                with self.subTest(schedule=schedule.expression, first=first):
                    expected = {}
                    for number, (start, end) in enumerate(pairwise(bounds)):
                        if fires := schedule.fires_between(start, end, 2000):
                            expected[number] = fires
                    told = {day.number: day for day in found[schedule]}
                    self.assertEqual(told.keys(), expected.keys())
                    for number, fires in expected.items():
                        shown = fires if len(fires) <= 4 else fires[:1]
                        self.assertEqual(told[number], (number, shown, len(fires), True))

    def test_what_is_computed_is_bounded_and_whole_days_are_told(self):
        bounds = midnights(datetime(2026, 3, 1), 30)  # noqa: DTZ001
        often, nightly = (CronSchedule(text, "UTC") for text in ("* * * * *", "0 2 * * *"))
        with patch.object(forecast, "FIRES_LIMIT", 20), \
                patch.object(forecast, "COUNTED_LIMIT", 2000):  # fmt: skip
            found, complete = Forecast(bounds, 4).days([often, nightly])
        self.assertLess(complete, 30)
        self.assertEqual([len(days) for days in found.values()], [complete, complete])
        counts = [(day.count, day.exact) for day in found[often]]
        self.assertEqual(counts[:2], [(1440, True), (1440, True)])
        self.assertEqual(set(counts[2:]), {(5, False)})


if __name__ == "__main__":
    unittest.main()
