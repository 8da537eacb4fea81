"""What retention keeps and deletes: its rules, each by an example worked out by hand."""

import unittest
from datetime import datetime, timedelta, timezone

from engine.retention import MODES, PERIODS, Archive, Policy, PolicyError, plan

UTC = timezone.utc
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def archives(*moments, **values):
    """Return archives made in the order given, all of one database."""
    return [
        Archive(number, "sales", at(text), **values) for number, text in enumerate(moments, 1)
    ]


def nights(count, **values):
    """Return an archive of 02:00 of each of the last ``count`` days; number 1 is the oldest."""
    first = at("2026-11-21T02:00") - timedelta(days=count - 1)
    return [
        Archive(number, "sales", first + timedelta(days=number - 1), **values)
        for number in range(1, count + 1)
    ]


def kept(decisions):
    return sorted(decision.archive.id for decision in decisions if decision.keep)


def deleted(decisions):
    return sorted(decision.archive.id for decision in decisions if not decision.keep)


def codes(decisions, number):
    (found,) = [decision for decision in decisions if decision.archive.id == number]
    return [reason.code for reason in found.reasons]


class TestModes(unittest.TestCase):
    def test_keep_all_deletes_nothing(self):
        self.assertEqual(deleted(plan(nights(50), Policy("keep_all"), NOW)), [])

    def test_keep_last_n_keeps_the_newest_and_numbers_them(self):
        decisions = plan(nights(5), Policy("keep_last_n", 3), NOW)
        self.assertEqual(kept(decisions), [3, 4, 5])
        self.assertEqual([decision.archive.id for decision in decisions], [5, 4, 3, 2, 1])
        self.assertEqual(decisions[1].reasons, (("last", 2, 3),))
        self.assertEqual(decisions[4].reasons, (("surplus", 0, 3),))

    def test_older_than_days_deletes_what_is_older_to_the_second(self):
        moments = "2026-11-14T11:59:59", "2026-11-14T12:00:00", "2026-11-21T02:00:00"
        decisions = plan(archives(*moments), Policy("older_than_days", 7), NOW)
        self.assertEqual(kept(decisions), [2, 3])
        self.assertEqual(codes(decisions, 1), ["old"])
        self.assertEqual(codes(decisions, 2), ["young"])

    def test_older_than_days_keeps_the_last_one_however_old_it_is(self):
        decisions = plan(archives("2020-01-01", "2020-01-02"), Policy("older_than_days", 7), NOW)
        self.assertEqual(kept(decisions), [2])
        self.assertEqual(codes(decisions, 2), ["floor"])

    def test_two_databases_are_planned_each_on_its_own_in_the_order_of_their_coming(self):
        mine = archives("2026-11-19", "2026-11-20")
        theirs = [Archive(9, "stock", at("2026-10-01")), Archive(8, "stock", at("2026-09-01"))]
        decisions = plan(mine + theirs, Policy("keep_last_n", 1), NOW)
        self.assertEqual([decision.archive.id for decision in decisions], [2, 1, 9, 8])
        self.assertEqual(kept(decisions), [2, 9])

    def test_nothing_to_plan_is_an_empty_report(self):
        self.assertEqual(plan([], Policy("keep_last_n", 1), NOW), [])


class TestPeriods(unittest.TestCase):
    def test_each_period_keeps_its_newest_archive_and_says_so(self):
        # 21 November 2026 is a Saturday; weeks begin on Monday.
        policy = Policy("gfs", daily=3, weekly=2, monthly=2)
        decisions = plan(nights(60), policy, NOW)
        days = {decision.archive.moment.date().isoformat(): decision for decision in decisions}
        wanted = {
            "2026-11-21": ["daily", "weekly", "monthly"],
            "2026-11-20": ["daily"],
            "2026-11-19": ["daily"],
            "2026-11-15": ["weekly"],
            "2026-10-31": ["monthly"],
        }
        found = {
            day: [reason.code for reason in decision.reasons]
            for day, decision in days.items()
            if decision.keep
        }
        self.assertEqual(found, wanted)
        self.assertEqual(days["2026-11-15"].reasons, (("weekly", 2, 2),))

    def test_periods_without_an_archive_are_not_counted(self):
        moments = "2020-03-01", "2022-05-05", "2022-06-06", "2026-11-20"
        decisions = plan(archives(*moments), Policy("gfs", yearly=3), NOW)
        self.assertEqual(kept(decisions), [1, 3, 4])

    def test_periods_begin_in_the_zone_of_the_policy(self):
        # 23:30 UTC is the next day, month and year in Paris.
        moments = "2025-12-31T22:30", "2025-12-31T23:30", "2026-01-01T10:00"
        for zone, expected in (("UTC", [2, 3]), ("Europe/Paris", [1, 3])):
            for period in ("daily", "monthly", "yearly"):
                with self.subTest(zone=zone, period=period):
                    policy = Policy("gfs", timezone=zone, **{period: 2})
                    self.assertEqual(kept(plan(archives(*moments), policy, NOW)), expected)

    def test_an_hour_that_comes_twice_is_two_hours(self):
        # In Paris 00:30 and 01:30 UTC both read 02:30.
        moments = "2026-10-25T00:10", "2026-10-25T00:30", "2026-10-25T01:30"
        policy = Policy("gfs", hourly=2, timezone="Europe/Paris")
        self.assertEqual(kept(plan(archives(*moments), policy, NOW)), [2, 3])

    def test_hours_begin_where_the_clock_on_the_wall_says(self):
        # Kathmandu is 5:45 ahead: 00:10 is 05:55 there, 00:20 is 06:05.
        policy = Policy("gfs", hourly=2, timezone="Asia/Kathmandu")
        moments = "2026-11-20T00:10", "2026-11-20T00:20", "2026-11-20T00:50"
        self.assertEqual(kept(plan(archives(*moments), policy, NOW)), [1, 3])

    def test_a_week_across_new_year_is_one_week(self):
        moments = "2025-12-28", "2025-12-29", "2026-01-04", "2026-01-05"
        decisions = plan(archives(*moments), Policy("gfs", weekly=3), NOW)
        self.assertEqual(kept(decisions), [1, 3, 4])

    def test_the_same_week_or_month_of_two_years_is_two(self):
        for period in ("weekly", "monthly"):
            with self.subTest(period):
                policy = Policy("gfs", **{period: 2})
                decisions = plan(archives("2024-11-20", "2026-11-20"), policy, NOW)
                self.assertEqual(kept(decisions), [1, 2])


class TestGuards(unittest.TestCase):
    def test_bad_archives_count_for_nothing_and_are_kept(self):
        good = nights(4)
        bad = [
            Archive(10 + number, "sales", archive.moment + timedelta(hours=1), good=False)
            for number, archive in enumerate(good)
        ]
        decisions = plan(good + bad, Policy("keep_last_n", 2), NOW)
        self.assertEqual(deleted(decisions), [1, 2])
        self.assertEqual(codes(decisions, 10), ["not_good"])

    def test_a_database_with_nothing_but_bad_archives_keeps_them(self):
        decisions = plan(nights(9, good=False), Policy("keep_last_n", 1), NOW)
        self.assertEqual(deleted(decisions), [])

    def test_archives_with_issues_are_counted_beside_the_good_ones(self):
        history = nights(8)
        for number in (1, 2, 5, 7):
            moment = history[number - 1].moment
            history[number - 1] = Archive(number, "sales", moment, good=False, issues=1)
        decisions = plan(history, Policy("keep_last_n", 3), NOW)
        # Of all eight, number 7 is the second newest; the good ones are 3, 4, 6 and 8.
        self.assertEqual(kept(decisions), [4, 6, 7, 8])
        self.assertEqual(codes(decisions, 7), ["has_issues", "last"])
        self.assertEqual(codes(decisions, 5), ["has_issues", "surplus"])
        self.assertEqual(codes(decisions, 3), ["surplus"])

    def test_a_database_with_nothing_but_issues_keeps_so_many(self):
        history = nights(9, good=False, issues=2)
        for mode, value, wanted in (
            ("keep_all", 0, list(range(1, 10))),
            ("keep_last_n", 2, [8, 9]),
            ("older_than_days", 2, [8, 9]),
        ):
            with self.subTest(mode):
                self.assertEqual(kept(plan(history, Policy(mode, value), NOW)), wanted)
        thinned = Policy("gfs", daily=1, weekly=2)
        self.assertEqual(kept(plan(history, thinned, NOW)), [3, 9])

    def test_the_last_archive_of_a_database_without_a_good_one_stays_whatever_its_age(self):
        history = [Archive(1, "sales", at("2020-01-01T02:00"), good=False, issues=5)]
        decisions = plan(history, Policy("older_than_days", 1), NOW)
        self.assertEqual((kept(decisions), codes(decisions, 1)), ([1], ["has_issues", "floor"]))

    def test_the_one_with_the_fewest_issues_stays_until_a_newer_good_one_is_there(self):
        issues = (9, 3, 3, 7, 8)
        history = [
            Archive(each.id, "sales", each.moment, good=False, issues=number)
            for each, number in zip(nights(5), issues, strict=True)
        ]
        decisions = plan(history, Policy("keep_last_n", 1), NOW)
        self.assertEqual(kept(decisions), [3, 5])
        self.assertEqual(codes(decisions, 3), ["has_issues", "fewest_issues"])
        good = Archive(6, "sales", at("2026-11-21T03:00"))
        self.assertEqual(kept(plan([*history, good], Policy("keep_last_n", 1), NOW)), [6])

    def test_what_has_issues_costs_no_good_archive(self):
        good = nights(3)
        later = [
            Archive(each.id + 10, "sales", each.moment + timedelta(days=99), False, issues=0)
            for each in nights(30)
        ]
        decisions = plan([*good, *later], Policy("keep_last_n", 3), NOW + timedelta(days=99))
        self.assertEqual(kept(decisions)[:3], [1, 2, 3])
        self.assertEqual(len(kept(decisions)), 6)

    def test_pinned_archives_with_issues_and_those_of_the_future_stay(self):
        old = at("2026-01-01T02:00")
        pinned = Archive(1, "sales", old, good=False, pinned=True, issues=1)
        future = Archive(2, "sales", at("2027-01-01T02:00"), good=False, issues=1)
        decisions = plan([pinned, future, Archive(3, "sales", NOW)], Policy("keep_last_n", 1), NOW)
        self.assertEqual(kept(decisions), [1, 2, 3])
        self.assertEqual(codes(decisions, 2), ["future"])

    def test_pinned_archives_are_kept_and_counted(self):
        history = nights(5)
        history[0] = Archive(1, "sales", history[0].moment, pinned=True)
        history[4] = Archive(5, "sales", history[4].moment, pinned=True)
        decisions = plan(history, Policy("keep_last_n", 2), NOW)
        self.assertEqual(kept(decisions), [1, 4, 5])
        self.assertEqual(codes(decisions, 1), ["pinned"])
        self.assertEqual(codes(decisions, 5), ["pinned", "last"])

    def test_the_floor_stands_above_each_mode(self):
        policies = (
            Policy("keep_last_n", 1, floor=3),
            Policy("older_than_days", 1, floor=3),
            Policy("gfs", monthly=1, floor=3),
        )
        for policy in policies:
            with self.subTest(policy.mode):
                decisions = plan(nights(6), policy, NOW + timedelta(days=900))
                self.assertEqual(kept(decisions), [4, 5, 6])
                self.assertEqual(codes(decisions, 4), ["floor"])

    def test_archives_of_the_future_are_kept_and_count_for_nothing(self):
        # Two nights with a clock ten years ahead, which then was put right.
        strange = [Archive(7, "sales", at("2036-11-20")), Archive(8, "sales", at("2036-11-21"))]
        for policy, expected in (
            (Policy("keep_last_n", 2), [5, 6, 7, 8]),
            (Policy("older_than_days", 2), [5, 6, 7, 8]),
            (Policy("gfs", daily=2, yearly=1), [5, 6, 7, 8]),
        ):
            with self.subTest(policy.mode):
                decisions = plan(nights(6) + strange, policy, NOW)
                self.assertEqual(kept(decisions), expected)
                self.assertEqual(codes(decisions, 8), ["future"])

    def test_a_clock_set_back_by_years_makes_nothing_of_the_real_archives_old(self):
        history = [*nights(6), Archive(7, "sales", at("2016-01-01"))]
        decisions = plan(history, Policy("keep_last_n", 1), at("2016-01-01T05:00"))
        self.assertEqual(deleted(decisions), [])

    def test_the_last_one_made_is_kept_though_the_clock_was_behind(self):
        history = [*nights(6), Archive(7, "sales", at("2016-01-01"))]
        decisions = plan(history, Policy("keep_last_n", 2), NOW)
        self.assertEqual(kept(decisions), [5, 6, 7])
        self.assertEqual(codes(decisions, 7), ["last_made"])

    def test_the_one_that_ended_last_is_kept_though_it_began_earlier(self):
        slow = Archive(1, "sales", at("2026-11-20T01:00"), ended=at("2026-11-20T09:00"))
        quick = Archive(2, "sales", at("2026-11-20T02:00"), ended=at("2026-11-20T02:10"))
        decisions = plan([slow, quick], Policy("keep_last_n", 1), NOW)
        self.assertEqual(kept(decisions), [1, 2])
        self.assertEqual(codes(decisions, 1), ["last_made"])

    def test_a_destination_that_gets_no_new_archives_keeps_its_last_one(self):
        cloud = {1, 2, 3}
        history = [
            Archive(old.id, "sales", old.moment, places=("disk", "s3")[: 1 + (old.id in cloud)])
            for old in nights(9)
        ]
        decisions = plan(history, Policy("keep_last_n", 2), NOW)
        self.assertEqual(kept(decisions), [3, 8, 9])
        self.assertEqual(codes(decisions, 3), ["last_in_place"])

    def test_a_guard_is_named_only_where_the_policy_does_not_keep(self):
        decisions = plan(nights(2), Policy("keep_last_n", 2, floor=2), NOW)
        self.assertEqual(codes(decisions, 2), ["last"])


class TestPolicy(unittest.TestCase):
    def test_what_is_wrong_is_told_with_its_field(self):
        cases = (
            ({"mode": "all"}, "mode", "'all' is none of keep_all, keep_last_n"),
            ({"mode": "keep_last_n"}, "value", "0 is less than 1"),
            ({"mode": "keep_last_n", "value": -5}, "value", "-5 is less than 1"),
            ({"mode": "keep_last_n", "value": 2.5}, "value", "2.5 is not a whole number"),
            ({"mode": "keep_last_n", "value": True}, "value", "True is not a whole number"),
            ({"mode": "older_than_days", "value": 0}, "value", "0 is less than 1"),
            ({"mode": "older_than_days", "value": 10**9}, "value", "is more than 36500"),
            ({"mode": "gfs", "weekly": -1}, "weekly", "-1 is less than 0"),
            ({"mode": "gfs"}, "daily", "at least one of the periods"),
            ({"mode": "keep_all", "floor": 0}, "floor", "0 is less than 1"),
            ({"mode": "keep_all", "timezone": "Mars"}, "timezone", "'Mars' is not the name"),
        )
        for values, field, problem in cases:
            with self.subTest(values), self.assertRaises(PolicyError) as caught:
                Policy(**values)
            self.assertEqual(caught.exception.field, field)
            self.assertIn(problem, str(caught.exception))

    def test_what_a_mode_does_not_use_is_not_looked_at(self):
        Policy("keep_all", value=0)
        Policy("keep_last_n", 1, daily=-1)
        Policy("gfs", value=-1, daily=1)

    def test_each_mode_and_period_has_its_rule(self):
        for mode in MODES:
            plan(nights(3), Policy(mode, 1, **dict.fromkeys(PERIODS, 1)), NOW)

    def test_naive_moments_are_refused(self):
        naive = datetime(2026, 11, 20)  # noqa: DTZ001
        with self.assertRaisesRegex(ValueError, "has no time zone"):
            plan([], Policy("keep_all"), naive)
        with self.assertRaisesRegex(ValueError, "has no time zone"):
            plan([Archive(1, "sales", naive)], Policy("keep_all"), NOW)
