"""What an expression may say, what is refused in which words, and how it reads as a sentence."""

import builtins
import pickle
import unittest
from datetime import datetime, timezone
from unittest import mock

from engine.schedule import CronSchedule, ScheduleError

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
FIVE = "where exactly 5 are needed: minute, hour, day of month, month, day of week"
NAMED_MONTH = "is not a whole number in 1-12, or a name (jan-dec)"
NAMED_DAY = "is not a whole number in 0-7, or a name (sun-sat)"

# expression, the whole message
REFUSED = [
    # Values out of range.
    ("60 * * * *", "minute: 60 is outside 0-59"),
    ("0 24 * * *", "hour: 24 is outside 0-23"),
    ("0 0 0 * *", "day of month: 0 is outside 1-31"),
    ("0 0 32 * *", "day of month: 32 is outside 1-31"),
    ("0 0 * 0 *", "month: 0 is outside 1-12"),
    ("0 0 * 13 *", "month: 13 is outside 1-12"),
    ("0 0 * * 8", "day of week: 8 is outside 0-7"),
    ("0 0-24 * * *", "hour: 24 is outside 0-23"),
    ("0 24-25/2 * * *", "hour: 24 is outside 0-23"),
    ("0,15,75 * * * *", "minute: 75 is outside 0-59"),
    ("60/5 * * * *", "minute: 60 is outside 0-59"),
    ("0 99999999999999999999 * * *", "hour: 99999999999999999999 is outside 0-23"),
    # Ranges that run backwards: other crons wrap them around, each in its own way.
    ("0 22-2 * * *", "hour: 22-2 runs backwards; a range goes up within 0-23"),
    ("0 0 * * fri-mon", "day of week: fri-mon runs backwards; a range goes up within 0-7"),
    ("0 0 * * fri-sun", "day of week: fri-sun runs backwards; a range goes up within 0-7"),
    ("0 0 * nov-feb *", "month: nov-feb runs backwards; a range goes up within 1-12"),
    ("30-10/5 * * * *", "minute: 30-10/5 runs backwards; a range goes up within 0-59"),
    # Other crons' own forms.
    ("0 0 L * *", "day of month: L is not a whole number in 1-31"),
    ("0 0 15W * *", "day of month: 15W is not a whole number in 1-31"),
    ("0 0 ? * *", "day of month: ? is not a whole number in 1-31"),
    ("0 0 * * ?", f"day of week: ? {NAMED_DAY}"),
    ("0 0 * * L5", f"day of week: L5 {NAMED_DAY}"),
    ("0 0 * * 5#2", f"day of week: 5#2 {NAMED_DAY}"),
    ("H * * * *", "minute: H is not a whole number in 0-59"),
    ("H/5 * * * *", "minute: H is not a whole number in 0-59"),
    ("R * * * *", "minute: R is not a whole number in 0-59"),
    ("h(0-5) * * * *", "minute: h(0 is not a whole number in 0-59"),
    ("0 ~12 * * *", "hour: ~12 is not a whole number in 0-23"),
    # Malformed.
    ("-5 * * * *", "minute: -5 is not a whole number in 0-59"),
    ("5- * * * *", "minute: 5- is not a whole number in 0-59"),
    ("1-2-3 * * * *", "minute: 2-3 is not a whole number in 0-59"),
    ("+5 * * * *", "minute: +5 is not a whole number in 0-59"),
    ("1.5 * * * *", "minute: 1.5 is not a whole number in 0-59"),
    ("1e1 * * * *", "minute: 1e1 is not a whole number in 0-59"),
    ("1_0 * * * *", "minute: 1_0 is not a whole number in 0-59"),
    ("0x5 * * * *", "minute: 0x5 is not a whole number in 0-59"),
    ("** * * * *", "minute: ** is not a whole number in 0-59"),
    ("*5 * * * *", "minute: *5 is not a whole number in 0-59"),
    ("*-5 * * * *", "minute: *-5 is not a whole number in 0-59"),
    ("5-* * * * *", "minute: 5-* is not a whole number in 0-59"),
    ("/5 * * * *", "minute: /5 is not a whole number in 0-59"),
    ("٣ * * * *", "minute: ٣ is not a whole number in 0-59"),
    ("５ * * * *", "minute: ５ is not a whole number in 0-59"),
    ("² * * * *", "minute: ² is not a whole number in 0-59"),
    ("mon * * * *", "minute: mon is not a whole number in 0-59"),
    ("0 0 * mon *", f"month: mon {NAMED_MONTH}"),
    ("0 0 * * jan", f"day of week: jan {NAMED_DAY}"),
    ("0 0 * january *", f"month: january {NAMED_MONTH}"),
    ("0 0 * * monday", f"day of week: monday {NAMED_DAY}"),
    ("0 0 * * mon-", f"day of week: mon- {NAMED_DAY}"),
    ("0,, * * * *", "minute: 0,, has an empty item"),
    (", * * * *", "minute: , has an empty item"),
    ("0 0 * * mon,", "day of week: mon, has an empty item"),
    ("*/0 * * * *", "minute: */0 has a step that is not a whole number from 1 up"),
    ("*/00 * * * *", "minute: */00 has a step that is not a whole number from 1 up"),
    ("*/ * * * *", "minute: */ has a step that is not a whole number from 1 up"),
    ("*/-5 * * * *", "minute: */-5 has a step that is not a whole number from 1 up"),
    ("*/5/2 * * * *", "minute: */5/2 has a step that is not a whole number from 1 up"),
    ("*/1.5 * * * *", "minute: */1.5 has a step that is not a whole number from 1 up"),
    ("0 0 * * */mon", "day of week: */mon has a step that is not a whole number from 1 up"),
    # The number of fields.
    ("", f"expression: 0 fields {FIVE}"),
    ("   ", f"expression: 0 fields {FIVE}"),
    ("@daily", f"expression: 1 field {FIVE}"),
    ("* * * *", f"expression: 4 fields {FIVE}"),
    ("0 0 * * * *", f"expression: 6 fields {FIVE}"),
    ("0 0 0 * * * 2026", f"expression: 7 fields {FIVE}"),
    # Only spaces and tabs separate.
    ("0\u00a00 * * *", f"expression: 4 fields {FIVE}"),
    ("0\n0 * * * *", r"minute: '0\n0' is not a whole number in 0-59"),
    ("0 0 * * *\n", r"day of week: '*\n' is not a whole number in 0-7, or a name (sun-sat)"),
    ("0\x00 0 * * *", r"minute: '0\x00' is not a whole number in 0-59"),
    # No expression at all.
    (None, "expression: None is not a text"),
    (False, "expression: False is not a text"),
    (5, "expression: 5 is not a text"),
    ("0," * 300 + "0 * * * *", "expression: it is longer than 500 characters"),
    # Never.
    ("0 0 31 2 *", "expression: 0 0 31 2 * never fires: month 2 has no day 31"),
    ("0 0 30 2 *", "expression: 0 0 30 2 * never fires: month 2 has no day 30"),
    ("0  0 30-31 feb *", "expression: 0 0 30-31 feb * never fires: month 2 has no day 30"),
    ("0 0 31 4,6,9,11 *",
     "expression: 0 0 31 4,6,9,11 * never fires: month 4,6,9,11 has no day 31"),
    ("0 0 31 2/9 *", "expression: 0 0 31 2/9 * never fires: month 2,11 has no day 31"),
    # A weekday that begins with a star is AND-ed, and cannot save it.
    ("0 0 31 2 */2", "expression: 0 0 31 2 */2 never fires: month 2 has no day 31"),
]  # fmt: skip

# Two ways to write the same.
SAME = [
    ("0 4 * * mon,THU", "0 4 * * 1,4"),
    ("0 0 1 JAN-mar *", "0 0 1 1-3 *"),
    ("  0\t4  * *   * ", "0 4 * * *"),
    ("00 004 01 02 00", "0 4 1 2 0"),
    ("5/20 4 * * *", "5,25,45 4 * * *"),
    ("0 0 * * 1/3", "0 0 * * 1,4,7"),
    ("0 0 * * mon/2", "0 0 * * mon,wed,fri,sun"),
    ("0 0 * * 7/3", "0 0 * * sun"),
    ("0 0 * * 5-7", "0 0 * * fri,sat,sun"),
    ("0 0 * * 0-7", "0 0 * * *"),
    ("0 0 * 11/1 *", "0 0 * 11,12 *"),
    ("10-10 4 * * *", "10 4 * * *"),
    ("3,1,2,1 4 * * *", "1-3 4 * * *"),
    ("*/90 4 * * *", "0 4 * * *"),
    ("*/1 4 * * *", "* 4 * * *"),
]

SENTENCES = [
    ("0 4 * * mon,thu", "en_US", "At 04:00, only on Monday and Thursday"),
    ("*/15 * * * *", "en_US", "Every 15 minutes"),
    ("* * * * *", "en_US", "Every minute"),
    ("30 18 * * 1-5", "en_US", "At 18:30, Monday through Friday"),
    ("0 0 1-7 * 1", "en_US", "At 00:00, between day 1 and 7 of the month, or on Monday"),
    # It says what happens, and not what the writer may have hoped for.
    ("*/90 * * * *", "en_US", "Every hour"),
    ("0 0 * * 5/2", "en_US", "At 00:00, only on Sunday and Friday"),
    ("0 0 1 * 0-7", "en_US", "At 00:00, every day"),
    ("0 2,14 * * *", "en_US", "At 02:00 and 14:00, every day"),
    ("0 2 * * *", "fr_FR", "À 02:00, tous les jours"),
    ("0 0 */2 * mon", "en_US",
     "When minute is 0 and hour is 0 and day of month is */2 and day of week is mon"),
    ("0 4 * * 1,4", "fr_FR", "À 04:00, uniquement le lundi et jeudi"),
    ("0 4 * * 1,4", "fr_BE", "À 04:00, uniquement le lundi et jeudi"),
    ("0 0 1 3 *", "de_DE", "Um 00:00, am 1 Tag des Monats, nur im März"),
    ("0 0 1 3 *", "nl_NL", "Om 00:00, op dag 1 van de maand, alleen in maart"),
    ("0 0 1-7 * 1", "ja_JP", "次において実施 00:00、月の 1 日から 7 日の間, または月曜日"),
    ("0 4 * * 1", "xx_YY", "At 04:00, only on Monday"),
    ("0 4 * * 1", "../../etc/passwd", "At 04:00, only on Monday"),
    ("0 4 * * 1", None, "At 04:00, only on Monday"),
]  # fmt: skip


class TestRefusedExpressions(unittest.TestCase):
    def test_each_is_refused_in_words_that_name_field_value_and_what_is_allowed(self):
        for expression, message in REFUSED:
            with self.subTest(expression), self.assertRaises(ScheduleError) as caught:
                CronSchedule(expression, "UTC")
            self.assertEqual(str(caught.exception), message)
            self.assertEqual(caught.exception.field, message.partition(":")[0])

    def test_a_day_that_no_month_has_is_refused_and_any_other_is_not(self):
        longest = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        for month, length in enumerate(longest, start=1):
            for day in range(28, 32):
                expression = f"0 0 {day} {month} *"
                with self.subTest(expression):
                    if day > length:
                        self.assertRaises(ScheduleError, CronSchedule, expression, "UTC")
                    else:
                        fire = CronSchedule(expression, "UTC").next_after(START)
                        self.assertEqual((fire.day, fire.month), (day, month))

    def test_a_zone_that_does_not_exist_is_refused(self):
        for zone in ("", "Europe/Pariss", "GMT+5", "../../etc/passwd", "é", "a\0b", None, 5, []):
            with self.subTest(zone), self.assertRaises(ScheduleError) as caught:
                CronSchedule("* * * * *", zone)
            expected = f"{zone!r} is not the name of a time zone, such as UTC or Europe/Paris"
            self.assertEqual(str(caught.exception), f"timezone: {expected}")
            self.assertEqual(caught.exception.field, "timezone")

    def test_the_error_is_a_value_error_that_can_be_sent_to_another_process(self):
        error = pickle.loads(pickle.dumps(ScheduleError("hour", "24 is outside 0-23")))  # noqa: S301
        self.assertIsInstance(error, ValueError)
        self.assertEqual((error.field, str(error)), ("hour", "hour: 24 is outside 0-23"))

    def test_what_people_read_beside_the_schedule_does_not_name_the_whole_of_it(self):
        for expression, said in (
            ("0 0 30 2 *", "0 0 30 2 * never fires: month 2 has no day 30"),
            ("* *", f"2 fields {FIVE}"),
            ("0 24 * * *", "hour: 24 is outside 0-23"),
        ):
            with self.subTest(expression), self.assertRaises(ScheduleError) as raised:
                CronSchedule(expression, "UTC")
            self.assertEqual(raised.exception.for_people, said)


class TestAcceptedExpressions(unittest.TestCase):
    def test_two_ways_to_write_the_same_fire_the_same(self):
        for one, other in SAME:
            with self.subTest(one):
                fires = [CronSchedule(text, "UTC").upcoming(12, START) for text in (one, other)]
                self.assertEqual(*fires)

    def test_every_field_written_out_in_full_is_not_too_long(self):
        bounds = (0, 59), (0, 23), (1, 31), (1, 12), (0, 7)
        full = (",".join(map(str, range(low, high + 1))) for low, high in bounds)
        schedule = CronSchedule(" ".join(full), "UTC")
        self.assertEqual(schedule.next_after(START), START.replace(minute=1))

    def test_the_expression_is_kept_with_single_spaces(self):
        schedule = CronSchedule("\t0  4 * *  MON ", "Europe/Paris")
        self.assertEqual(schedule.expression, "0 4 * * MON")
        self.assertEqual(schedule.timezone, "Europe/Paris")


class TestSentences(unittest.TestCase):
    def test_each_expression_reads_as_a_sentence_in_the_language_of_the_user(self):
        for expression, lang, sentence in SENTENCES:
            with self.subTest(expression=expression, lang=lang):
                self.assertEqual(CronSchedule(expression, "UTC").describe(lang), sentence)

    def test_equal_schedules_have_equal_sentences(self):
        for one, other in SAME:
            with self.subTest(one):
                said = [CronSchedule(text, "UTC").describe() for text in (one, other)]
                self.assertEqual(*said)

    def test_without_cron_descriptor_it_is_a_plain_sentence(self):
        plain = [
            ("* * * * *", "Every minute"),
            ("0 4 * * mon", "When minute is 0 and hour is 4 and day of week is mon"),
            ("0 4 1 jan fri", "When minute is 0 and hour is 4 and month is jan"
             " and day of month is 1 or day of week is fri"),
        ]  # fmt: skip
        with mock.patch.object(builtins, "__import__", without("cron_descriptor")):
            for expression, sentence in plain:
                self.assertEqual(CronSchedule(expression, "UTC").describe("fr_FR"), sentence)

    def test_without_babel_the_sentence_keeps_the_names_of_the_process(self):
        with mock.patch.object(builtins, "__import__", without("babel")):
            sentence = CronSchedule("0 4 * * 1", "UTC").describe("fr_FR")
        self.assertTrue(sentence.startswith("À 04:00, uniquement le "), sentence)


def without(missing):
    """Return an ``__import__`` for a machine on which a package is not installed."""
    real = builtins.__import__

    def importer(name, *args, **kwargs):
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    return importer
