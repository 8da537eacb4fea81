"""The rule of the schedule, written as simply as possible: a clock that is looked at each minute.

It shares nothing with the engine: it reads expressions by a few lines of its own, trusts that they
are valid, and never computes a time; it only waits for it.
"""

from datetime import timedelta, timezone

import pytz

MINUTE = timedelta(minutes=1)
# More than any clock was set back since 1970: what it has shown before matters.
LEAD = timedelta(days=1)
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
NAMES = {
    3: ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    4: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}


def wall_clock(zone, start, end):
    """Return (instant, what the clock shows) for each minute from a day before ``start``."""
    zone = pytz.timezone(zone)
    now = start - LEAD
    clock = []
    while now <= end:
        clock.append((now, now.astimezone(zone).replace(tzinfo=None)))
        now += MINUTE
    return clock


def fires(expression, clock):
    """Yield the instants at which a job is due on a wall clock."""
    fields = expression.lower().split()
    matches = matcher(fields)
    wildcard = fields[0].startswith("*") or fields[1].startswith("*")
    furthest = clock[0][1]
    for now, local in clock[1:]:
        due = wildcard and matches(local)
        while furthest < local:
            # Shown for the first time, or jumped over.
            furthest += MINUTE
            due = due or (not wildcard and matches(furthest))
        if due:
            yield now.astimezone(timezone.utc)


def matcher(fields):
    minutes, hours, days, months, weekdays = (values(i, text) for i, text in enumerate(fields))
    either = not fields[2].startswith("*") and not fields[4].startswith("*")

    def matches(local):
        if local.minute not in minutes or local.hour not in hours or local.month not in months:
            return False
        in_days = local.day in days
        in_week = local.isoweekday() in weekdays or local.isoweekday() - 7 in weekdays
        return (in_days or in_week) if either else (in_days and in_week)

    return matches


def values(index, text):
    low, high = BOUNDS[index]
    found = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            first, last = low, high
        elif not last:
            last = high if step else first
        found.update(range(number(index, first), number(index, last) + 1, int(step or 1)))
    return found


def number(index, text):
    names = NAMES.get(index, [])
    return names.index(text) if text in names else int(text)
