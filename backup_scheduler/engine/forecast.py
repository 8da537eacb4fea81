"""Which fires are to come, day by day, for a picture of them: bounded, however often jobs fire."""

from typing import NamedTuple

# A day with more fires than are shown one by one is counted, as long as that is cheap: an
# expression such as "* * * * *" has 1,440 a day.
COUNT_LIMIT = 1500
# Fires that are computed for one picture, all schedules together, and those that are only counted;
# together about a second's work: the next fire of a nightly schedule takes some 0.08 ms to find.
FIRES_LIMIT = 10000
COUNTED_LIMIT = 40000


class Day(NamedTuple):
    """What one schedule does on one day.

    :param fires: aware datetimes in UTC, all of them or, when there are too many, the first one
    :param count: how many there are
    :param exact: whether ``count`` is all of them, or only what is known to be exceeded
    """

    number: int
    fires: list
    count: int
    exact: bool


class Forecast:
    """The fires of many schedules on consecutive days.

    :param bounds: aware datetimes, ascending: day ``i`` is from ``bounds[i]`` (excluded, as it is
        by :meth:`~.schedule.CronSchedule.next_after`) to ``bounds[i + 1]`` (included)
    :param limit: fires of one schedule and day that are told one by one
    """

    def __init__(self, bounds, limit):
        self._bounds, self._limit = bounds, limit
        self._fires_left, self._counted_left = FIRES_LIMIT, COUNTED_LIMIT

    def days(self, schedules):
        """Return ``({schedule: [Day]}, complete)``.

        ``complete`` is the number of days that are told of; fewer than asked for where that would
        take too long. What is told of a day is told of all schedules.
        """
        found = {schedule: [] for schedule in schedules}
        following = {schedule: schedule.next_after(self._bounds[0]) for schedule in found}
        for number, end in enumerate(self._bounds[1:]):
            if self._fires_left < 0:
                return found, number
            for schedule, days in found.items():
                if following[schedule] <= end:
                    day, following[schedule] = self._day(number, schedule, following[schedule], end)
                    days.append(day)
        return found, len(self._bounds) - 1

    def _day(self, number, schedule, first, end):
        fires = [first, *schedule.fires_between(first, end, self._limit)]
        self._fires_left -= len(fires)
        if len(fires) <= self._limit:
            return Day(number, fires, len(fires), True), schedule.next_after(fires[-1])
        rest, exact = [], self._counted_left > 0
        if exact:
            rest = schedule.fires_between(fires[-1], end, COUNT_LIMIT)
            self._counted_left -= len(rest)
        count = len(fires) + len(rest)
        return Day(number, fires[:1], count, exact), schedule.next_after(end)
