"""What the arguments of public methods may be: scripts send what they like.

``@accepts(count=number, start=moment)`` has each argument looked at before the method sees it: what
it cannot be is refused by a ValidationError that names the argument, and nothing else gets through.
``None`` and ``False`` stand for *not given*, as a client of XML-RPC may send no ``None``.

``@one_record`` refuses several records, and none, in the same way.
"""

import functools
import inspect
import math

from odoo import fields
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain
from odoo.tools import LazyTranslate

_lt = LazyTranslate(__name__)

# Where the decorator leaves the names, for the test that looks for methods without it.
ACCEPTED = "_accepted_arguments"
# Characters of a text: the file of a key is a few kB, and nothing else is as long.
TEXT_LIMIT = 20_000
# Of what is quoted in a refusal.
SHOWN = 60
LARGEST_ID = 2**31 - 1
# Items of a list, and lists in lists.
ITEMS, DEPTH = 10_000, 20
NOT_GIVEN = (None, False)
# What an argument can be, in words, by the name of the function that looks at it.
EXPECTED = {
    "text": _lt("a text"),
    "number": _lt("a whole number"),
    "flag": _lt("true or false"),
    "moment": _lt("a time such as 2026-11-20 04:00:00"),
    "record": _lt("the id of a record"),
    "records": _lt("a list of ids of records"),
    "texts": _lt("a list of texts"),
    "table": _lt("a table of names and values"),
    "domain": _lt('a domain of fields that exist, such as [["status", "=", "failed"]]'),
    "plain": _lt("a text or a number"),
}


def accepts(**kinds):
    """Decorate a public method: look at the arguments of these names before it is called."""

    def decorate(method):
        signature = inspect.signature(method)

        @functools.wraps(method)
        def checked(self, *arguments, **named):
            try:
                given = signature.bind(self, *arguments, **named)
            except TypeError as error:
                message = self.env._(
                    "%(method)s: %(error)s.", method=method.__name__, error=str(error)
                )
                raise ValidationError(message) from error
            for name in given.arguments.keys() & kinds.keys():
                given.arguments[name] = _accepted(self, name, given.arguments[name], kinds[name])
            return method(*given.args, **given.kwargs)

        setattr(checked, ACCEPTED, kinds)
        return checked

    return decorate


def one_record(method):
    """Decorate a public method that works on one record: another count of them is refused."""

    @functools.wraps(method)
    def checked(self, *arguments, **named):
        if len(self) != 1:
            raise UserError(
                self.env._(
                    "Choose one record of “%(model)s” (%(count)s are chosen): %(method)s works on "
                    "one at a time.",
                    model=self.env["ir.model"]._get(self._name).sudo().name,
                    count=len(self),
                    method=method.__name__,
                )
            )
        return method(self, *arguments, **named)

    return checked


def _accepted(model, name, value, kind):
    if any(value is nothing for nothing in NOT_GIVEN):
        return value
    try:
        return kind(model, value)
    except (ValueError, TypeError, OverflowError, RecursionError, KeyError) as error:
        raise ValidationError(
            model.env._(
                "%(name)s: %(value)s is not %(expected)s.",
                name=name,
                value=ascii(value)[:SHOWN] if _is_flat(value) else type(value).__name__,
                expected=EXPECTED[kind.__name__],
            )
        ) from error


def _is_flat(value):
    return isinstance(value, (str, int, float))


# --- the kinds ----------------------------------------------------------------------------------


def text(_model, value):
    if not isinstance(value, str) or len(value) > TEXT_LIMIT or "\0" in value:
        raise ValueError
    # A lone surrogate has no bytes, and cannot be stored.
    value.encode()
    return value


def number(_model, value):
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError
    return int(value if isinstance(value, (int, float)) else text(None, value))


def plain(_model, value):
    if isinstance(value, float) and math.isfinite(value):
        return value
    return value if isinstance(value, int) else text(None, value)


def flag(_model, value):
    if value not in (0, 1):
        raise ValueError
    return bool(value)


def moment(_model, value):
    """Return what was given: a text, or a time such as Odoo's own code gives."""
    if not isinstance(value, str):
        return fields.Datetime.to_datetime(value)
    return text(None, value)


def record(_model, value):
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST_ID:
        raise ValueError
    return value


def records(model, value):
    return [record(model, each) for each in _items(value)]


def texts(model, value):
    return [text(model, each) for each in _items(value)]


def _items(value):
    if not isinstance(value, (list, tuple)) or len(value) > ITEMS:
        raise ValueError
    return value


def table(model, value):
    """Return a dict of texts and plain values."""
    if not isinstance(value, dict) or len(value) > ITEMS:
        raise ValueError
    for key, each in value.items():
        text(model, key)
        if isinstance(each, str):
            text(model, each)
        elif each is not None and not isinstance(each, (int, float)):
            raise ValueError
    return value


def domain(model, value):
    """Return a domain of runs."""
    _require_shallow(value)
    runs = model.env["backup.run"]
    checked = Domain([tuple(each) if isinstance(each, list) else each for each in _items(value)])
    checked.validate(runs)
    # Some values fit no operator: that is found out where they are compared.
    runs.new({}).filtered_domain(checked)
    return list(checked)


def _require_shallow(value, depth=DEPTH):
    if isinstance(value, str):
        text(None, value)
    elif isinstance(value, dict) or not depth:
        raise ValueError
    elif isinstance(value, (list, tuple)):
        for each in _items(value):
            _require_shallow(each, depth - 1)
