"""The strips of the overview: what became of the runs of each database, day by day."""

import collections
import datetime
from typing import NamedTuple

from ...engine.schedule import ScheduleError
from ..job.backup_job_planning import utc

DAYS = 30
GOOD_KINDS = ("verified", "stored")
# What counts most on a day tells its colour; each kind has its letter in a strip.
LETTERS = {
    "running": "r",
    "verified": "v",
    "stored": "s",
    "failed": "f",
    "missed": "m",
    "skipped": "k",
    "cancelled": "c",
}
NOTHING = "-"


class Day(NamedTuple):
    """A day of the user's calendar, and where it begins and ends (UTC, the end excluded)."""

    date: datetime.date
    start: datetime.datetime
    end: datetime.datetime


class End(NamedTuple):
    """The last run that ended in a certain way."""

    at: datetime.datetime
    run_id: int


class Known(NamedTuple):
    """A database, and since when it is known."""

    id: int
    since: datetime.datetime


class Group(NamedTuple):
    """Runs of a database (or, without a name, of all of the job's) that ended alike on a day."""

    instance_id: int
    name: str
    # Only of runs that stand for others: for a server whose databases could not be asked for, for
    # fires that were missed.
    job_id: int
    day: datetime.date
    kind: str
    count: int
    last_id: int
    last_at: datetime.datetime
    missed_since: datetime.datetime


def window(zone, count=DAYS):
    """Return the last ``count`` days in a pytz time zone, today the last one."""
    today = datetime.datetime.now(zone).date()
    dates = [today + datetime.timedelta(days=offset) for offset in range(1 - count, 2)]
    starts = [start_of(date, zone) for date in dates]
    return [
        Day(date, start, end) for date, start, end in zip(dates, starts, starts[1:], strict=False)
    ]


def start_of(date, zone):
    """Return the first moment of a day, which is not midnight where clocks are changed then."""
    midnight = datetime.datetime.combine(date, datetime.time())
    for is_dst in (True, False):
        moment = zone.normalize(zone.localize(midnight, is_dst=is_dst))
        if moment.date() == date:
            break
    return moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)


class Strips:
    """Collects what became of the runs, by database and day."""

    def __init__(self, days, jobs, databases):
        self.days = days
        self.jobs = {job.id: job for job in jobs}
        self.position = {day.date: number for number, day in enumerate(days)}
        self._counts = collections.defaultdict(lambda: collections.defaultdict(dict))
        self._ends = collections.defaultdict(dict)
        self._fires = {}
        self._known = {}
        self._of_instance = collections.defaultdict(list)
        for database in databases:
            known = Known(database.id, database.create_date.replace(microsecond=0))
            instance_id = database.instance_id.id
            self._known[instance_id, database.name] = known
            self._of_instance[instance_id].append(known)

    # --- putting in -----------------------------------------------------------------------------

    def add(self, groups):
        """Add groups of runs: see :class:`Group`."""
        for group in groups:
            for known in self._meant(group):
                self._count(known, group.day, group.kind, group.count)
                self._note_end(known, group)
                if group.missed_since:
                    self._add_missed(known, group)

    def _meant(self, group):
        """Return the databases of which the runs are, or for which they stand."""
        if group.name:
            known = self._known.get((group.instance_id, group.name))
            return [known] if known else []
        job = self.jobs.get(group.job_id)
        if not job:
            return []
        chosen = set(job.database_ids.ids) if job.database_scope == "selected" else None
        return [
            known
            for known in self._of_instance[group.instance_id]
            if (chosen is None or known.id in chosen) and group.last_at >= known.since
        ]

    def _count(self, known, date, kind, count):
        if (number := self.position.get(date)) is not None:
            counts = self._counts[known.id][number]
            counts[kind] = counts.get(kind, 0) + count

    def _note_end(self, known, group):
        ends = self._ends[known.id]
        before = ends.get(group.kind)
        if not before or before.at < group.last_at:
            ends[group.kind] = End(group.last_at, group.last_id)

    def _add_missed(self, known, group):
        """Mark the days before a run on which its job was due, and nothing was running."""
        job = self.jobs.get(group.job_id)
        since = max(group.missed_since, known.since)
        for day in self.days if job else ():
            if day.end > since and day.date < group.day and self._fires_on(job, day, since):
                self._count(known, day.date, "missed", 1)

    def _fires_on(self, job, day, since):
        """Return whether a job's schedule, as it is now, fires on a day (after ``since``)."""
        start = max(day.start, since)
        key = (job.cron_expression, job.timezone, start)
        if key not in self._fires:
            self._fires[key] = fires_within(job, start, day.end)
        return self._fires[key]

    # --- reading --------------------------------------------------------------------------------

    def of(self, database_id):
        """Return the strip of a database.

        :return: ``{kinds: a letter of LETTERS (or "-") a day, oldest first, counts: {number of the
            day: {kind: runs}}}``; a day that is not among the counts had one run
        """
        days = self._counts.get(database_id, {})
        kinds = [
            LETTERS[next(kind for kind in LETTERS if kind in days[number])]
            if number in days
            else NOTHING
            for number in range(len(self.days))
        ]
        counts = {str(number): found for number, found in days.items() if total(found) > 1}
        return {"kinds": "".join(kinds), "counts": counts}

    def last_ends(self, database_id):
        """Return ``{kind: the End of the last run of that kind}``."""
        return self._ends.get(database_id, {})


def fires_within(job, start, end):
    """Return whether a job's schedule, as it is now, fires between two naive moments in UTC, of
    which the end is excluded."""
    second = datetime.timedelta(seconds=1)
    try:
        return bool(job._schedule().fires_between(utc(start) - second, utc(end) - second, limit=1))
    except ScheduleError:
        return False


def total(counts):
    return sum(counts.values())
