"""When a job is due: cron expressions in a time zone, as Debian's cron keeps them.

The calendar and the clock are kept apart, because each alone is simple: a
:class:`~.cron_expression.CronExpression` finds the next minute of a plain calendar and never hears
of zones, and a :class:`_Zone` knows at which instant the clock on the wall gets there.

Everything here is pure and immutable, and may be shared between threads.
"""

from bisect import bisect_right
from contextlib import suppress
from datetime import datetime, timedelta
from datetime import timezone as fixed_zone
from functools import lru_cache

import pytz

from .cron_expression import CronExpression, ScheduleError
from .messages import _

UTC = fixed_zone.utc
TICK = datetime.resolution
# Clocks on walls are naive, and so are pytz's own tables.
BEGIN, END = datetime.min, datetime.max  # noqa: DTZ901


class _Zone:
    """The clock on the wall of a zone, against naive UTC.

    Between two changes the clock is a fixed offset from UTC. *Segment* ``i`` begins at the instant
    ``starts[i]`` and has ``offsets[i]``; just before ``ends[i]``, a time on the wall, the clock is
    changed. The ends only grow: no clock was ever set back by more than the time since its last
    change, so an end is also the furthest that the clock has ever been.
    """

    def __init__(self, zone):
        # pytz keeps the changes in naive UTC; a zone that never changed has none.
        starts = getattr(zone, "_utc_transition_times", None) or [BEGIN]
        transitions = getattr(zone, "_transition_info", None) or [(zone.utcoffset(None),)]
        # Cron looks at its clock each minute, so the change that came at 00:44:30 (Monrovia 1972)
        # is seen at 00:45. pytz has rounded the offsets already.
        self.starts = [start + timedelta(seconds=-start.second % 60) for start in starts]
        self.offsets = [transition[0] for transition in transitions]
        changes = zip(self.starts[1:], self.offsets, strict=False)
        self.ends = [start + offset for start, offset in changes] + [END]

    def segment(self, instant):
        return max(bisect_right(self.starts, instant) - 1, 0)

    def furthest_local(self, instant):
        """Return the latest time that the clock has shown up to the instant."""
        index = self.segment(instant)
        local = instant + self.offsets[index]
        return max(local, self.ends[index - 1] - TICK) if index else local

    def first_reached(self, local):
        """Return the instant at which the clock first reads ``local`` or jumps over it."""
        index = bisect_right(self.ends, local)
        return max(self.starts[index], local - self.offsets[index])


@lru_cache(maxsize=1024)
def _zone(name):
    return _Zone(pytz.timezone(name))


def _checked_zone(name):
    with suppress(pytz.UnknownTimeZoneError):
        if isinstance(name, str):
            return _zone(name)
    problem = _(
        "%(name)s is not the name of a time zone, such as UTC or Europe/Paris", name=repr(name)
    )
    raise ScheduleError("timezone", problem)


class CronSchedule:
    """A cron expression in a time zone: the one answer to the preview and to the dispatcher.

    Five fields: numbers, names (``mon``, ``jan``), ranges, lists, steps, ``*``; Sunday is 0 and 7.
    Nothing else. The rules are those of Debian's cron (``crontab(5)``, ``cron(8)``), where what
    counts is the *first character* of a field:

    - Both day fields restrict: a day needs to match one of them, unless a field begins with ``*``,
      also as ``*/2``: then it needs to match both.
    - *Fixed-time* jobs, whose minute and hour both do not begin with ``*``, run once whatever the
      clock does: at the end of a gap that swallows their time (several times in one gap make one
      fire), and only the first time in a repeated hour.
    - *Wildcard* jobs follow elapsed time: in both passes of a repeated hour, and not in a gap.

    Debian's cron takes changes of three hours and more for corrections of the clock. Here they
    follow the same rules, so that a zone that skips a day does not lose the fires of that day.

    :param expression: such as ``0 4 * * mon,thu``
    :param timezone: name of a time zone that pytz knows; its changes are known up to 2037
    :raise ScheduleError: naming the field that is wrong, the value and what is allowed
    """

    def __init__(self, expression, timezone):
        self._cron = CronExpression(expression)
        self._zone = _checked_zone(timezone)
        self.expression = self._cron.text
        self.timezone = timezone

    def __repr__(self):
        return f"CronSchedule({self.expression!r}, {self.timezone!r})"

    def next_after(self, moment):
        """Return the first fire strictly after ``moment``.

        :param moment: aware datetime in any zone
        :return: aware datetime in UTC
        :raise ValueError: ``moment`` is naive
        :raise ScheduleError: there is no fire before the year 9999 ends
        """
        if moment.utcoffset() is None:
            raise ValueError(f"{moment} has no time zone")
        search = self._next_elapsed if self._cron.wildcard else self._next_fixed
        try:
            fire = search(moment.astimezone(UTC).replace(tzinfo=None))
        except (OverflowError, ValueError) as error:
            problem = _(
                "%(expression)s has no fire after %(moment)s and before the year 10000",
                expression=self.expression,
                moment=moment,
            )
            raise ScheduleError("expression", problem) from error
        return fire.replace(tzinfo=UTC)

    def upcoming(self, count, start):
        """Return the next ``count`` fires strictly after ``start``, as :meth:`next_after` does."""
        fires = []
        for _number in range(count):
            start = self.next_after(start)
            fires.append(start)
        return fires

    def fires_between(self, start, end, limit):
        """Return the first ``limit`` fires after ``start`` and not after ``end``, in order.

        The time it takes grows with ``limit`` and not with the interval: who counts the fires that
        a stopped scheduler has missed asks for one more than the number that is worth telling.

        :param start: aware datetime, excluded
        :param end: aware datetime, included
        :return: list of aware datetimes in UTC; fewer than ``limit`` are all there are
        """
        fires = []
        while len(fires) < limit:
            start = self.next_after(start)
            if start > end:
                break
            fires.append(start)
        return fires

    def longest_pause(self):
        """Return the longest time between two fires, as a timedelta.

        By the calendar: where clocks are changed, a pause may be an hour longer.
        """
        return self._cron.longest_pause()

    def describe(self, lang="en_US"):
        """Return a sentence such as “At 04:00, only on Monday and Thursday”. It never fails.

        :param lang: language code as Odoo writes it, such as ``fr_BE``; English where there is no
            translation, and a plain sentence where cron_descriptor is missing
        """
        return self._cron.describe(lang)

    def _next_fixed(self, instant):
        return self._zone.first_reached(self._cron.next_local(self._zone.furthest_local(instant)))

    def _next_elapsed(self, instant):
        zone = self._zone
        index = zone.segment(instant)
        searched = instant + zone.offsets[index]
        local = self._cron.next_local(searched)
        while local >= zone.ends[index]:
            index += 1
            first = zone.starts[index] + zone.offsets[index]
            if not searched < first <= local:
                # The clock jumped over what was found, or back to before what was searched.
                searched = first - TICK
                local = self._cron.next_local(searched)
        return local - zone.offsets[index]


@lru_cache(maxsize=4096)
def cached_schedule(expression, timezone):
    """Return :class:`CronSchedule` ``(expression, timezone)``, parsed once for all that ask."""
    return CronSchedule(expression, timezone)
