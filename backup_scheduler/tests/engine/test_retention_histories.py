"""What always holds, over thousands of random histories with everything that goes wrong in them."""

import unittest
import zoneinfo
from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import islice

from engine.retention import PERIODS, Archive, Policy, plan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

UTC = timezone.utc
START = datetime(2026, 1, 5, 1, 30, tzinfo=UTC)
DATABASES = ("sales", "stock", "wiki")
ZONES = ("UTC", "Europe/Paris", "Asia/Kathmandu", "America/New_York")
HOUR = timedelta(hours=1)
QUICK = settings(
    max_examples=400, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
THOROUGH = settings(QUICK, max_examples=1500)

counts = st.integers(0, 6)
policies = st.one_of(
    st.builds(Policy, st.just("keep_all"), floor=st.integers(1, 4)),
    st.builds(Policy, st.just("keep_last_n"), st.integers(1, 8), floor=st.integers(1, 4)),
    st.builds(Policy, st.just("older_than_days"), st.integers(1, 40), floor=st.integers(1, 4)),
    st.builds(
        Policy, st.just("gfs"), hourly=counts, daily=st.integers(1, 6), weekly=counts,
        monthly=counts, yearly=counts, floor=st.integers(1, 4), timezone=st.sampled_from(ZONES),
    ),
)  # fmt: skip


class History:
    """A machine that backs up, whose clock cannot be trusted, told by a string of bytes.

    Each event is three bytes: what happens, and two numbers for how. Its archives are those that
    still lie in the destinations; it checks what is promised wherever retention is applied.
    """

    def __init__(self, policy):
        self.policy = policy
        self.time = START
        self.clock_error = timedelta(0)
        self.archives = {}
        self.made = 0
        self.applied = 0
        self.lost = 0

    @property
    def now(self):
        return self.time + self.clock_error

    def live(self, story, other_policies):
        self.other_policies = other_policies
        events = iter(story)
        while len(event := tuple(islice(events, 3))) == 3:
            kind, *numbers = event
            EVENTS[kind % len(EVENTS)](self, *numbers)
        return self

    def back_up(self, number, how):
        self.time += HOUR * (1 + how % 60)
        self.keep_archive(number, good=True)
        self.apply()

    def overlap(self, number, how):
        """A backup that began before the last one and ended after it."""
        self.time += HOUR
        self.keep_archive(number, good=True, began=HOUR * (how % 30))
        self.apply()

    def keep_archive(self, number, good, began=timedelta(0), issues=None):
        self.made += 1
        database = DATABASES[number % len(DATABASES)]
        places = ("disk", "s3")[: 1 + number % 2]
        self.archives[self.made] = Archive(
            self.made, database, self.now - began, good, ended=self.now, places=places,
            issues=issues,
        )  # fmt: skip

    def fail(self, number, how):
        """A run that leaves nothing, or an archive that is not good: nothing is applied."""
        self.time += HOUR * (1 + how % 30)
        if how % 2:
            self.keep_archive(number, good=False)

    def lack_files(self, number, how):
        """An archive with issues, in the place of one that is good."""
        self.time += HOUR * (1 + how % 60)
        self.keep_archive(number, good=False, issues=how % 3)
        self.apply()

    def pause(self, number, how):
        self.time += timedelta(days=number)

    def set_clock(self, number, how):
        self.clock_error += (number - 128) * (timedelta(days=40), HOUR, timedelta(days=1))[how % 3]

    def right_clock(self, number, how):
        self.clock_error = timedelta(0)

    def pin(self, number, how):
        if archive := self.any_archive(number):
            self.archives[archive.id] = replace(archive, pinned=not archive.pinned)

    def turn_bad(self, number, how):
        if archive := self.any_archive(number):
            self.archives[archive.id] = replace(archive, good=False)
            self.apply()

    def change_policy(self, number, how):
        self.policy = self.other_policies[number % len(self.other_policies)]

    def any_archive(self, number):
        if self.archives:
            return list(self.archives.values())[number % len(self.archives)]
        return None

    def apply(self):
        """Delete what the plan deletes, having looked whether it may."""
        before = list(self.archives.values())
        decisions = plan(before, self.policy, self.now)
        check_promises(before, decisions, self.policy, self.now)
        self.archives = {
            decision.archive.id: decision.archive for decision in decisions if decision.keep
        }
        self.applied += 1
        self.lost += len(before) - len(self.archives)


EVENTS = (
    *[History.back_up] * 9, History.overlap, History.fail, History.lack_files,
    History.lack_files, History.pause, History.set_clock, History.right_clock, History.pin,
    History.turn_bad, History.change_policy,
)  # fmt: skip
stories = st.builds(
    lambda policy, story, others: History(policy).live(story, others),
    policies,
    st.binary(min_size=30, max_size=180),
    st.lists(policies, min_size=1, max_size=2),
)


def by_database(archives):
    groups = defaultdict(list)
    for archive in archives:
        groups[archive.database].append(archive)
    return groups


def kept_of(decisions):
    return {decision.archive.id for decision in decisions if decision.keep}


def check_promises(archives, decisions, policy, now):
    """Assert of one report what no report may break."""
    assert sorted(d.archive.id for d in decisions) == sorted(a.id for a in archives)
    assert all(decision.reasons for decision in decisions)
    kept = kept_of(decisions)
    for archive in archives:
        is_bad = not archive.good and archive.issues is None
        untouchable = archive.pinned or is_bad or archive.moment > now
        assert archive.id in kept or not untouchable, archive
    for group in by_database(archives).values():
        check_those_with_issues(group, kept, now)
    for group in by_database(archives).values():
        counted = [archive for archive in group if archive.good and archive.moment <= now]
        check_last_ones(counted, kept)
        staying = [archive for archive in counted if archive.id in kept]
        assert len(staying) >= min(policy.floor, len(counted))
        for archive in counted:
            newer = any(other.moment >= archive.moment for other in staying)
            assert archive.id in kept or newer, archive


def check_those_with_issues(group, kept, now):
    """One with issues goes only where a newer archive stays; and where no good one is newer, one
    that lacks no more than it does stays too."""
    past = [archive for archive in group if archive.moment <= now]
    present = [archive for archive in past if archive.good or archive.has_issues]
    staying = [archive for archive in present if archive.id in kept]
    good = max((archive.moment for archive in present if archive.good), default=None)
    for archive in present:
        if archive.has_issues and archive.id not in kept:
            assert any(other.moment >= archive.moment for other in staying), archive
            assert (good and good >= archive.moment) or any(
                other.has_issues and other.issues <= archive.issues for other in staying
            ), archive


def check_last_ones(counted, kept):
    """Whichever order one trusts, the last good archive stays: of all, and of each place."""
    orders = (
        lambda archive: (archive.moment, archive.id),
        lambda archive: (archive.ended or archive.moment, archive.id),
        lambda archive: archive.id,
    )
    if counted:
        assert {max(counted, key=order).id for order in orders} <= kept
    for place in {place for archive in counted for place in archive.places}:
        there = [archive for archive in counted if place in archive.places]
        assert max(there, key=orders[0]).id in kept, place


def heap_of(story):
    """Return archives as they may lie around, without the story of how they came; four bytes each.

    One in eight is of the future, one in five is not good, half of these with issues, and one in
    ten is pinned.
    """
    numbers = iter(story)
    drawn = iter(lambda: tuple(islice(numbers, 4)), ())
    return [
        Archive(
            number,
            DATABASES[quarters[0] % len(DATABASES)],
            START + HOUR * (quarters[1] * 16 + quarters[2] % 16 - 224 * 16),
            good=quarters[3] % 5 > 0,
            pinned=quarters[3] % 10 == 6,
            issues=None if quarters[3] % 2 else quarters[1] % 3,
        )
        for number, quarters in enumerate(drawn, 1)
        if len(quarters) == 4
    ]


heaps = st.builds(heap_of, st.binary(max_size=120))


class TestHistories(unittest.TestCase):
    """The promises are checked each time that a history applies its policy."""

    @THOROUGH
    @given(stories)
    def test_no_history_breaks_a_promise(self, history):
        ended = plan(history.archives.values(), history.policy, history.now)
        check_promises(list(history.archives.values()), ended, history.policy, history.now)

    def test_the_histories_are_worth_something(self):
        # Were nothing ever deleted in them, they would prove nothing.
        totals = defaultdict(int)

        @settings(QUICK, max_examples=200)
        @given(stories)
        def tell(history):
            totals["applied"] += history.applied
            totals["lost"] += history.lost
            totals["left"] += len(history.archives)

        tell()
        self.assertGreater(totals["applied"], 1000)
        self.assertGreater(totals["lost"], 200)
        self.assertGreater(totals["left"], 200)

    @QUICK
    @given(heaps, policies)
    def test_no_heap_breaks_a_promise(self, heap, policy):
        check_promises(heap, plan(heap, policy, START), policy, START)

    @QUICK
    @given(stories)
    def test_applied_twice_is_applied_once(self, history):
        decisions = plan(history.archives.values(), history.policy, history.now)
        left = [decision.archive for decision in decisions if decision.keep]
        self.assertEqual(len(kept_of(plan(left, history.policy, history.now))), len(left))

    @QUICK
    @given(heaps, policies)
    def test_the_reasons_stay_the_same_once_the_others_are_gone(self, heap, policy):
        before = [decision for decision in plan(heap, policy, START) if decision.keep]
        after = plan([decision.archive for decision in before], policy, START)
        # Databases come in the order in which they appear first.
        self.assertEqual(sorted(after, key=number), sorted(before, key=number))


def number(decision):
    return decision.archive.id


class TestIndependence(unittest.TestCase):
    @QUICK
    @given(heaps, policies)
    def test_archives_that_are_not_good_change_nothing_for_the_others(self, heap, policy):
        good = [archive for archive in heap if archive.good]
        with_bad = [d for d in plan(heap, policy, START) if d.archive.good]
        alone = plan(good, policy, START)
        self.assertEqual(sorted(with_bad, key=number), sorted(alone, key=number))

    @QUICK
    @given(heaps, policies)
    def test_archives_of_the_future_change_nothing_for_the_others(self, heap, policy):
        present = [archive for archive in heap if archive.moment <= START]
        with_future = [d for d in plan(heap, policy, START) if d.archive.moment <= START]
        alone = plan(present, policy, START)
        self.assertEqual(sorted(with_future, key=number), sorted(alone, key=number))

    @QUICK
    @given(heaps, policies)
    def test_databases_do_not_see_each_other(self, heap, policy):
        together = plan(heap, policy, START)
        apart = [
            decision
            for group in by_database(heap).values()
            for decision in plan(group, policy, START)
        ]
        self.assertEqual(together, apart)

    @QUICK
    @given(heaps, policies, st.randoms(use_true_random=False))
    def test_the_order_in_which_archives_are_given_does_not_matter(self, heap, policy, dice):
        shuffled = dice.sample(heap, len(heap))
        expected = sorted(plan(heap, policy, START), key=number)
        self.assertEqual(sorted(plan(shuffled, policy, START), key=number), expected)

    @QUICK
    @given(heaps, policies)
    def test_a_pin_deletes_nothing_and_its_removal_nothing_but_the_archive(self, heap, policy):
        unpinned = [replace(archive, pinned=False) for archive in heap]
        pins = {archive.id for archive in heap if archive.pinned}
        with_pins = kept_of(plan(heap, policy, START))
        self.assertEqual(with_pins, kept_of(plan(unpinned, policy, START)) | pins)


class TestModes(unittest.TestCase):
    @QUICK
    @given(heaps, st.integers(1, 12), st.integers(1, 4))
    def test_keep_last_n_keeps_exactly_the_newest(self, heap, count, floor):
        # Made in the order of their dates, as with a clock that is right.
        heap = [replace(archive, issues=None) for archive in heap]
        ordered = sorted(heap, key=lambda archive: archive.moment)
        history = [replace(archive, id=place) for place, archive in enumerate(ordered)]
        wanted = {archive.id for archive in history if archive.pinned or not archive.good}
        for group in by_database(history).values():
            good = [archive.id for archive in group if archive.good and archive.moment <= START]
            wanted.update(good[-max(count, floor) :])
            wanted.update(archive.id for archive in group if archive.moment > START)
        policy = Policy("keep_last_n", count, floor=floor)
        self.assertEqual(kept_of(plan(history, policy, START)), wanted)

    @QUICK
    @given(heaps, st.tuples(*[counts] * 5), st.tuples(*[counts] * 5), st.sampled_from(ZONES))
    def test_more_periods_never_delete_more(self, heap, some, more, zone):
        less = Policy("gfs", 0, *plus(some, (0, 1, 0, 0, 0)), timezone=zone)
        wider = Policy("gfs", 0, *plus(some, plus(more, (0, 1, 0, 0, 0))), timezone=zone)
        kept = kept_of(plan(heap, less, START))
        self.assertLessEqual(kept, kept_of(plan(heap, wider, START)))

    @QUICK
    @given(heaps, policies, st.integers(1, 5))
    def test_a_higher_value_or_floor_never_deletes_more(self, heap, policy, more):
        kept = kept_of(plan(heap, policy, START))
        for field in ("value", "floor"):
            wider = replace(policy, **{field: getattr(policy, field) + more})
            self.assertLessEqual(kept, kept_of(plan(heap, wider, START)), field)

    @QUICK
    @given(heaps, st.sampled_from(list(PERIODS)), st.integers(1, 6), st.sampled_from(ZONES))
    def test_a_period_is_kept_by_its_newest_archive_alone(self, heap, period, count, zone):
        policy = Policy("gfs", timezone=zone, **{period: count})
        decisions = [
            decision
            for decision in plan(heap, policy, START)
            if any(reason.code == period for reason in decision.reasons)
        ]
        for group in by_database(heap).values():
            good = [archive for archive in group if archive.good and archive.moment <= START]
            newest = newest_of_periods(good, period, zone)
            expected = sorted(newest, reverse=True)[:count]
            found = [(d.archive.moment, d.archive.id) for d in decisions if d.archive in good]
            self.assertEqual(found, expected)


def plus(some, more):
    return tuple(map(sum, zip(some, more, strict=True)))


def newest_of_periods(archives, period, zone):
    """Return when and which is the newest archive of each period, by a way of its own."""
    newest = {}
    for archive in sorted(archives, key=lambda archive: (archive.moment, archive.id)):
        local = archive.moment.astimezone(zoneinfo.ZoneInfo(zone))
        label = {
            "hourly": f"{local:%Y-%m-%d %H %z}",
            "daily": f"{local:%Y-%m-%d}",
            "weekly": f"{local:%G-%V}",
            "monthly": f"{local:%Y-%m}",
            "yearly": f"{local:%Y}",
        }[period]
        newest[label] = archive.moment, archive.id
    return newest.values()
