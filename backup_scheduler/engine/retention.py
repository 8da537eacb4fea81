"""What to keep and what to delete of the archives of a job, and why: a report, nothing is done.

Two layers. The *policy* names what is to be kept, by number, by age or by periods. The *guards*
stand above it and can only keep more, whatever the policy and the clocks say:

- An archive that is not good counts for nothing, and is kept: it is for people to look at. One
  *with issues*, a sound copy of a server that lacks something, is counted apart, see below.
- A pinned archive is kept. It is counted like any other.
- An archive dated after ``now`` is kept and counts for nothing, because a clock was or is wrong:
  nobody can tell what it is newer than. It counts from the moment of its date on.
- The newest good archives, as many as the *floor* says, are kept; so are the one that ended last
  and the one that was made last, which are others only after a clock was set back or runs
  overlapped.
- The newest good archive in each *place* is kept, so that a destination which gets no new archives
  does not lose its last one.

Therefore a good archive is only ever deleted where a newer good one of its database stays.

*Archives with issues* are kept as long as a good archive of their date would be, but beside the
good ones and never in the place of one: what becomes of a good archive is the same whether they are
there or not. One is only ever deleted where a newer archive of its database stays; as long as no
newer good one is there, the one with the fewest issues stays too, as it may be the only one that
has what the later ones lack.

The same archives, policy and moment give the same report. What a report keeps, it keeps again once
the others are gone: rules count archives and periods that have archives, never empty periods.
"""

import itertools
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytz

from .messages import _

MODES = ("keep_all", "keep_last_n", "older_than_days", "gfs")
# What archives of one period have in common: their date and hour on the wall of the policy's zone.
# An hour that comes twice is two hours.
PERIODS = {
    "hourly": lambda local: (local.date(), local.hour, local.utcoffset()),
    "daily": lambda local: local.date(),
    "weekly": lambda local: local.isocalendar()[:2],
    "monthly": lambda local: (local.year, local.month),
    "yearly": lambda local: local.year,
}
# A longer age than a calendar has days is no age.
LONGEST_AGE = 36_500


class PolicyError(ValueError):
    """A policy that cannot be: ``str()`` is a sentence such as ``value: 0 is less than 1``.

    :ivar field: the field of :class:`Policy` that is wrong
    :ivar problem: the sentence without the field
    """

    def __init__(self, field, problem):
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self):
        return f"{self.field}: {self.problem}"


@dataclass(frozen=True)
class Archive:
    """One archive, as far as the retention is concerned.

    :ivar id: a number that grows with each archive that is made
    :ivar database: what tells databases apart; each is planned on its own
    :ivar moment: aware datetime, of which the content is
    :ivar issues: of an archive that is not good but sound: how much it lacks; else None
    :ivar ended: aware datetime at which it was complete; None: as ``moment``
    :ivar places: what tells the destinations apart in which it should not be the last one to go
    """

    id: int
    database: Any
    moment: datetime
    good: bool = True
    pinned: bool = False
    ended: datetime | None = None
    places: tuple = ()
    issues: int | None = None

    @property
    def has_issues(self):
        return not self.good and self.issues is not None


@dataclass(frozen=True)
class Policy:
    """What is to be kept of each database; see the module for what is kept besides.

    :ivar mode: ``keep_all``; ``keep_last_n``: the ``value`` newest; ``older_than_days``: what is
        not older than ``value`` times 24 hours; ``gfs``: of each of the last ``hourly`` hours,
        ``daily`` days, ``weekly`` weeks (from Monday), ``monthly`` months and ``yearly`` years that
        have good archives, the newest one
    :ivar floor: that many of the newest stay whatever the mode says
    :ivar timezone: name of the zone in which hours, days … begin
    :raise PolicyError: naming the field that is wrong and what is allowed
    """

    mode: str
    value: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    floor: int = 1
    timezone: str = "UTC"

    def __post_init__(self):
        if self.mode not in MODES:
            problem = _("%(mode)r is none of %(modes)s", mode=self.mode, modes=MODES)
            raise PolicyError("mode", problem)
        self._require("floor", 1)
        if self.mode in ("keep_last_n", "older_than_days"):
            self._require("value", 1)
        if self.mode == "older_than_days" and self.value > LONGEST_AGE:
            problem = _("%(value)s is more than %(limit)s", value=self.value, limit=LONGEST_AGE)
            raise PolicyError("value", problem)
        if self.mode == "gfs":
            self._require_periods()
        if self.timezone not in pytz.all_timezones_set:
            problem = _("%(name)s is not the name of a time zone", name=repr(self.timezone))
            raise PolicyError("timezone", problem)

    def _require(self, field, least):
        value = getattr(self, field)
        if isinstance(value, bool) or not isinstance(value, int):
            raise PolicyError(field, _("%(value)s is not a whole number", value=repr(value)))
        if value < least:
            problem = _("%(value)s is less than %(least)s", value=value, least=least)
            raise PolicyError(field, problem)

    def _require_periods(self):
        for period in PERIODS:
            self._require(period, 0)
        if not any(getattr(self, period) for period in PERIODS):
            raise PolicyError("daily", _("at least one of the periods needs a number above 0"))


class Reason(NamedTuple):
    """Why an archive is kept or deleted.

    ``code`` is one of

    - kept by the policy: ``keep_all``, ``last`` (it is number ``number`` of ``limit``), ``young``
      (``limit`` days), ``hourly`` … ``yearly`` (the newest of its period, which is number
      ``number`` of ``limit``)
    - kept by a guard: ``pinned``, ``not_good``, ``future``, ``floor``, ``last_made``,
      ``last_in_place``; of those with issues ``fewest_issues``
    - deleted: ``surplus`` (beyond ``limit`` newer ones), ``old`` (``limit`` days), ``no_period``
    - ``has_issues``, before the others, of each archive with issues that has no guard of its own:
      it is counted apart
    """

    code: str
    number: int = 0
    limit: int = 0


class Decision(NamedTuple):
    """What becomes of an archive.

    Of a kept one ``reasons`` are all rules of the policy that keep it, and whether it is pinned;
    the other guards are named where nothing else keeps it. Of a deleted one there is one reason,
    after ``has_issues``.
    """

    archive: Archive
    keep: bool
    reasons: tuple


def plan(archives, policy, now):
    """Decide about each archive; return a list of :class:`Decision`, database by database.

    The databases come in the order in which they first appear, their archives newest first.

    :param now: aware datetime
    :raise ValueError: a datetime is naive
    """
    require_aware(now)
    by_database = defaultdict(list)
    for archive in archives:
        require_aware(archive.moment)
        by_database[archive.database].append(archive)
    decisions = []
    for group in by_database.values():
        decisions += _plan_database(group, policy, now)
    return decisions


def require_aware(moment):
    if moment.utcoffset() is None:
        raise ValueError(f"{moment} has no time zone")


def _plan_database(archives, policy, now):
    newest_first = sorted(archives, key=_by_date, reverse=True)
    past = [archive for archive in newest_first if archive.moment <= now]
    counted = [archive for archive in past if archive.good]
    with_issues = [archive for archive in past if archive.has_issues]
    reasons = defaultdict(list)
    for archive in newest_first:
        reasons[archive.id] += _own_reasons(archive, now)
    _add_reasons(reasons, counted, counted, policy, now)
    # Beside the good ones, which are older or newer than they are, and not touched by them.
    beside = [archive for archive in past if archive.good or archive.has_issues]
    _add_reasons(reasons, beside, with_issues, policy, now)
    for archive in _fewest_issues(beside):
        reasons[archive.id] = reasons[archive.id] or [Reason("fewest_issues")]
    return [_decision(archive, reasons[archive.id], policy, now) for archive in newest_first]


def _add_reasons(reasons, counted, decided, policy, now):
    """Add why those of ``decided`` are kept, where ``counted`` are the ones that count."""
    ids = {archive.id for archive in decided}
    for archive, reason in KEEPERS[policy.mode](counted, policy, now):
        if archive.id in ids:
            reasons[archive.id].append(reason)
    for archive, reason in _guarded(counted, policy):
        if archive.id in ids:
            reasons[archive.id] = reasons[archive.id] or [reason]


def _decision(archive, reasons, policy, now):
    counts_apart = archive.has_issues and archive.moment <= now
    shown = tuple(reasons) or (_deletion_reason(policy),)
    return Decision(
        archive, bool(reasons), (Reason("has_issues"), *shown) if counts_apart else shown
    )


def _by_date(archive):
    return archive.moment, archive.id


def _by_end(archive):
    return archive.ended or archive.moment, archive.id


def _own_reasons(archive, now):
    """Return what keeps an archive whatever others there are."""
    if archive.pinned:
        yield Reason("pinned")
    if not archive.good and not archive.has_issues:
        yield Reason("not_good")
    elif archive.moment > now:
        yield Reason("future")


# --- the modes: which of the good archives, newest first, the policy keeps ------------------------


def _keep_all(counted, _policy, _now):
    return [(archive, Reason("keep_all")) for archive in counted]


def _keep_last(counted, policy, _now):
    return [
        (archive, Reason("last", number, policy.value))
        for number, archive in enumerate(counted[: policy.value], 1)
    ]


def _keep_young(counted, policy, now):
    age = timedelta(days=policy.value)
    return [
        (archive, Reason("young", 0, policy.value))
        for archive in counted
        if now - archive.moment <= age
    ]


def _keep_periods(counted, policy, _now):
    zone = pytz.timezone(policy.timezone)
    local = [(archive, archive.moment.astimezone(zone)) for archive in counted]
    for code, period_of in PERIODS.items():
        limit, seen = getattr(policy, code), set()
        for archive, moment in local:
            if len(seen) == limit:
                break
            period = period_of(moment)
            if period not in seen:
                seen.add(period)
                yield archive, Reason(code, len(seen), limit)


KEEPERS = dict(zip(MODES, (_keep_all, _keep_last, _keep_young, _keep_periods), strict=True))


# --- the guards -----------------------------------------------------------------------------------


def _guarded(counted, policy):
    """Return good archives, newest first, that stay whatever the mode says."""
    for number, archive in enumerate(counted[: policy.floor], 1):
        yield archive, Reason("floor", number, policy.floor)
    if counted:
        yield max(counted, key=_by_end), Reason("last_made")
        yield max(counted, key=lambda archive: archive.id), Reason("last_made")
    seen = set()
    for archive in counted:
        if not seen.issuperset(archive.places):
            seen.update(archive.places)
            yield archive, Reason("last_in_place")


def _fewest_issues(beside):
    """Return, of those with issues that have no good archive after them, the newest of those that
    lack the least; none where there are none."""
    unreplaced = list(itertools.takewhile(lambda archive: not archive.good, beside))
    return [min(unreplaced, key=lambda archive: archive.issues)] if unreplaced else []


def _deletion_reason(policy):
    code = {"keep_last_n": "surplus", "older_than_days": "old"}.get(policy.mode, "no_period")
    return Reason(code, 0, policy.value)
