"""What a cron expression means, or why it is refused, and how a person would say it.

The grammar is that of Debian's cron (``crontab(5)`` and ``entry.c``) and nothing more.
"""

import re
from bisect import bisect_right
from calendar import day_name, month_name
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from croniter import croniter

from .messages import _, joined

# Whole leap cycles: every pause between two days comes about in them, but for those longer still.
CALENDAR_BEGIN, CALENDAR_END = date(2024, 1, 1), date(2032, 1, 1)
DAY_LENGTH = timedelta(days=1)
# Every field written out as a full list takes 355 characters; what is longer is no schedule.
MAX_LENGTH = 500
SEPARATOR = re.compile(r"[ \t]+")
NUMBER = re.compile(r"[0-9]+")
DAILY = re.compile(r"[0-9,-]+ [0-9,-]+ \* \* \*")
MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


class ScheduleError(ValueError):
    """A schedule that cannot be: ``str()`` is a sentence such as ``hour: 24 is outside 0-23``.

    :ivar field: ``minute``, ``hour``, ``day of month``, ``month``, ``day of week``, or
        ``expression`` for the whole of it, or ``timezone``
    :ivar problem: the sentence without the field
    """

    def __init__(self, field, problem):
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self):
        return f"{self.field}: {self.problem}"

    @property
    def message(self):
        """The whole sentence, for people."""
        return joined(": ", (NAMES.get(self.field, self.field), self.problem))

    @property
    def for_people(self):
        """The sentence where the schedule stands beside it: of the whole it needs no name."""
        return self.problem if self.field == "expression" else self.message


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    size: int
    names: tuple = ()


FIELDS = (
    _Field("minute", 0, 59, 60),
    _Field("hour", 0, 23, 24),
    _Field("day of month", 1, 31, 31),
    _Field("month", 1, 12, 12, MONTH_NAMES),
    # Sunday is 0 and 7: the field counts to 7, the week has 7 days.
    _Field("day of week", 0, 7, 7, DAY_NAMES),
)
MINUTE, HOUR, DAY, MONTH, WEEKDAY = FIELDS
# What people call the field of an error.
NAMES = {
    "minute": _("minute"),
    "hour": _("hour"),
    "day of month": _("day of month"),
    "month": _("month"),
    "day of week": _("day of week"),
    "timezone": _("timezone"),
    "expression": _("expression"),
}
LONGEST_MONTH = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}


def _split(expression):
    """Return the texts of the five fields."""
    if not isinstance(expression, str):
        raise ScheduleError("expression", _("%(text)s is not a text", text=repr(expression)))
    if len(expression) > MAX_LENGTH:
        problem = _("it is longer than %(limit)s characters", limit=MAX_LENGTH)
        raise ScheduleError("expression", problem)
    texts = [text for text in SEPARATOR.split(expression) if text]
    if len(texts) != len(FIELDS):
        raise ScheduleError("expression", _not_five(len(texts)))
    return texts


def _not_five(count):
    names = [NAMES[field.name] for field in FIELDS]
    if count == 1:
        return _("1 field where exactly 5 are needed: %(names)s", names=names)
    return _(
        "%(count)s fields where exactly 5 are needed: %(names)s", count=count, names=names
    )


def _parse_field(field, text):
    """Return the values that a field names, as Debian's cron reads it (``entry.c``)."""
    values = set()
    for item in text.split(","):
        if not item:
            raise ScheduleError(field.name, _("%(text)s has an empty item", text=_shown(text)))
        values.update(_parse_item(field, item))
    if field is WEEKDAY:
        return frozenset(value % 7 for value in values)
    return frozenset(values)


def _parse_item(field, item):
    span, slash, step = item.partition("/")
    first, last = _bounds(field, span, item)
    if not slash:
        return range(first, last + 1)
    if "-" not in span:
        # n/step is n-max/step, as in Debian's cron and not in the original one.
        last = field.high
    return range(first, last + 1, _step(field, step, item))


def _bounds(field, span, item):
    if span == "*":
        return field.low, field.high
    start, dash, end = span.partition("-")
    first = _value(field, start, item)
    last = _value(field, end, item) if dash else first
    if last < first:
        raise ScheduleError(
            field.name,
            _(
                "%(item)s runs backwards; a range goes up within %(range)s",
                item=item,
                range=f"{field.low}-{field.high}",
            ),
        )
    return first, last


def _value(field, token, item):
    if token.lower() in field.names:
        return field.low + field.names.index(token.lower())
    allowed = f"{field.low}-{field.high}"
    if not NUMBER.fullmatch(token):
        shown = _shown(item if token in ("", "*") else token)
        raise ScheduleError(field.name, _no_number(field, shown, allowed))
    if not field.low <= int(token) <= field.high:
        problem = _("%(number)s is outside %(range)s", number=token, range=allowed)
        raise ScheduleError(field.name, problem)
    return int(token)


def _no_number(field, shown, allowed):
    if not field.names:
        return _("%(text)s is not a whole number in %(range)s", text=shown, range=allowed)
    return _(
        "%(text)s is not a whole number in %(range)s, or a name (%(names)s)",
        text=shown,
        range=allowed,
        names=f"{field.names[0]}-{field.names[-1]}",
    )


def _step(field, token, item):
    if not NUMBER.fullmatch(token) or not int(token):
        raise ScheduleError(
            field.name,
            _("%(text)s has a step that is not a whole number from 1 up", text=_shown(item)),
        )
    return int(token)


def _shown(text):
    return text if text.isprintable() else ascii(text)


def _listed(field, values):
    """Write values as both croniter and cron_descriptor take them, a full field as ``*``."""
    return "*" if len(values) == field.size else ",".join(map(str, sorted(values)))


class CronExpression:
    """A parsed expression: the minutes of a plain calendar, without any zone, that it names.

    Where both day fields restrict, a day needs to match one of them, unless a field begins with
    ``*``, also as ``*/2``: then it needs to match both. croniter finds the days; it is handed
    plain lists only, and never a time zone.

    :ivar text: the expression with one space between its fields
    :ivar wildcard: whether minute or hour begins with ``*``, as in ``*/5``
    :raise ScheduleError: naming the field that is wrong, the value and what is allowed
    """

    def __init__(self, expression):
        texts = _split(expression)
        values = [_parse_field(*pair) for pair in zip(FIELDS, texts, strict=True)]
        minutes, hours, days, months, weekdays = values
        self.text = " ".join(texts)
        self.wildcard = texts[0][0] == "*" or texts[1][0] == "*"
        self._either_day = texts[2][0] != "*" and texts[4][0] != "*"
        if self._either_day and (len(days) == DAY.size or len(weekdays) == WEEKDAY.size):
            # “Any day, or a Monday” is every day; croniter would read the full list as “*” and
            # keep the Mondays alone.
            days, weekdays = frozenset(range(1, 32)), frozenset(range(7))
        self._minutes, self._hours = sorted(minutes), sorted(hours)
        self._days, self._months, self._weekdays = days, months, weekdays
        dates = (DAY, days), (MONTH, months), (WEEKDAY, weekdays)
        self._calendar = " ".join(["0 0", *(_listed(*pair) for pair in dates)])
        self._check_fires()

    def _check_fires(self):
        # A day of the week comes in every month, and every 29 February finds each of them once.
        first = min(self._days)
        if not self._either_day and all(
            first > LONGEST_MONTH.get(month, 31) for month in self._months
        ):
            problem = _(
                "%(expression)s never fires: month %(months)s has no day %(day)s",
                expression=self.text,
                months=_listed(MONTH, self._months),
                day=first,
            )
            raise ScheduleError("expression", problem)

    def next_local(self, after):
        """Return the first minute that matches, strictly after the naive datetime ``after``.

        :raise ValueError: or OverflowError, where the calendar ends
        """
        if self._matches_day(after):
            later = self._later_on_day(after)
            if later:
                return later
        midnight = after.replace(hour=0, minute=0, second=0, microsecond=0)
        # A croniter of its own each time: it keeps state, and an expression is shared by threads.
        days = croniter(self._calendar, midnight, day_or=self._either_day)
        return days.get_next(datetime).replace(hour=self._hours[0], minute=self._minutes[0])

    def longest_pause(self):
        """Return the longest time between two minutes that match, one after the other."""
        minutes = [60 * hour + minute for hour in self._hours for minute in self._minutes]
        pauses = [later - earlier for earlier, later in zip(minutes, minutes[1:], strict=False)]
        overnight = timedelta(minutes=minutes[0] - minutes[-1])
        return max(
            timedelta(minutes=max(pauses, default=0)), self._longest_pause_of_days() + overnight
        )

    def _longest_pause_of_days(self):
        last, longest, day = None, timedelta(0), CALENDAR_BEGIN
        while day < CALENDAR_END:
            if self._matches_day(day):
                longest = max(longest, day - last if last else longest)
                last = day
            day += DAY_LENGTH
        return longest or CALENDAR_END - CALENDAR_BEGIN

    def _matches_day(self, local):
        if local.month not in self._months:
            return False
        in_days = local.day in self._days
        in_week = local.isoweekday() % 7 in self._weekdays
        return (in_days or in_week) if self._either_day else (in_days and in_week)

    def _later_on_day(self, after):
        hours, minutes = self._hours, self._minutes
        if after.hour in hours:
            index = bisect_right(minutes, after.minute)
            if index < len(minutes):
                return after.replace(minute=minutes[index], second=0, microsecond=0)
        index = bisect_right(hours, after.hour)
        if index == len(hours):
            return None
        return after.replace(hour=hours[index], minute=minutes[0], second=0, microsecond=0)

    def describe(self, lang="en_US"):
        """Return a sentence such as “At 04:00, only on Monday and Thursday”. It never fails.

        :param lang: language code as Odoo writes it, such as ``fr_BE``; English where there is no
            translation, and a plain sentence where cron_descriptor is missing
        """
        fields = (MINUTE, self._minutes), (HOUR, self._hours), (DAY, self._days)
        fields += (MONTH, self._months), (WEEKDAY, self._weekdays)
        both_days = len(self._days) < DAY.size and len(self._weekdays) < WEEKDAY.size
        if both_days and not self._either_day:
            # cron_descriptor has no words for days that match both fields.
            return self._describe_plainly()
        try:
            return _sentence(" ".join(_spoken(*pair) for pair in fields), lang, both_days)
        except Exception:  # noqa: BLE001 - a sentence for people must not stop a schedule
            return self._describe_plainly()

    def _describe_plainly(self):
        minute, hour, day, month, weekday = zip(FIELDS, self.text.split(), strict=True)
        order = minute, hour, month, day, weekday
        parts = [
            _("%(field)s is %(values)s", field=NAMES[field.name], values=text)
            for field, text in order
            if text != "*"
        ]
        if self._either_day:
            parts[-2:] = [joined(_(" or "), parts[-2:])]
        return _("When %(parts)s", parts=joined(_(" and "), parts)) if parts else _("Every minute")


def _spoken(field, values):
    """Write values so that cron_descriptor says what happens, and not how it was typed.

    From ``*/90`` it would make “every 90 minutes”, and from ``5/2`` days “every 2 weeks”.
    """
    values = sorted(values)
    first, last, count = values[0], values[-1], len(values)
    step = field.size // count
    if count >= 4 and values == list(range(field.low, field.low + field.size, step)):
        return "*" if step == 1 else f"*/{step}"
    if count > 2 and last - first == count - 1:
        return f"{first}-{last}"
    return _listed(field, values)


def _sentence(expression, lang, both_days):
    from cron_descriptor import ExpressionDescriptor, Options

    for locale in (_locale(lang or "en_US"), "en_US"):
        # “At 02:00” leaves open on which day.
        verbose = bool(DAILY.fullmatch(expression))
        options = Options(locale_code=locale, use_24hour_time_format=True, verbose=verbose)
        descriptor = ExpressionDescriptor(expression, options)
        # A translation without these words would say “only on” where either day will do.
        if not both_days or descriptor.translate(", or on {0}"):
            break
    return _name_days(descriptor.get_description(), locale)


def _locale(lang):
    """Return the nearest locale to a language of Odoo that cron_descriptor is translated to."""
    import cron_descriptor

    folder = Path(cron_descriptor.__file__).with_name("locale")
    locales = sorted(path.stem for path in folder.glob("*.mo"))
    language = re.split("[_@]", lang)[0]
    relatives = [locale for locale in locales if locale.split("_")[0] == language]
    return lang if lang in locales else (relatives or ["en_US"])[0]


def _name_days(sentence, locale):
    """Put the names of days and months into the language of the sentence.

    cron_descriptor leaves them in the locale of the process, which on a server is nobody's.
    """
    try:
        from babel import Locale
    except ImportError:
        return sentence
    # Babel 2.18 answers "stand-alone" with another language's names once several are loaded.
    names = Locale.parse(locale)
    days, months = names.days["format"]["wide"], names.months["format"]["wide"]
    words = {name: days[number] for number, name in enumerate(day_name)}
    words.update({name: months[number] for number, name in enumerate(month_name) if name})
    # ASCII: a Chinese character right before the name is no part of it.
    pattern = re.compile(rf"\b({'|'.join(words)})\b", re.ASCII)
    return pattern.sub(lambda match: words[match[0]], sentence)
