"""Keeps the secrets of an order out of everything that is told about it."""

import html
import json
import re
import traceback
import urllib.parse

from .messages import Message

MASK = "********"
# The keys of events whose values may quote what another program said.
PROSE = ("error", "hint", "traceback", "notes")
# What is secret in an order and is no setting of a kind: the keys of encrypted archives, the
# password of a PostgreSQL server, and the addresses of alerts.
OTHERS = ("identity", "password", "secret_url", "secret_path")
# A line of a secret text is secret from this length on; shorter ones stand in many words.
LINE = 8
# Its errors quote rows of a database.
DATABASE_DRIVER = "psycopg2"
# How they stand in what another program passes on, a server of Odoo above all.
ROWS = re.compile(r"(?<!\w)(?:DETAIL|CONTEXT|QUERY|LINE \d{1,9}):\s")
# The ways of quoting a text.
QUOTED = (
    str,
    urllib.parse.quote,
    lambda text: urllib.parse.quote(text, safe=""),
    urllib.parse.quote_plus,
    lambda text: repr(text)[1:-1],
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    # As PHP and many templates write it.
    lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    html.escape,
    lambda text: html.escape(text).replace("/", "&#x2F;"),
)


def secrets_of(order):
    """Return every spelling of the order's secrets, longest first."""
    values = {part for value in find_secrets(order) if value for part in parts_of(str(value))}
    spellings = {spelling for value in values for spelling in spellings_of(value)}
    return sorted(spellings, key=len, reverse=True)


def parts_of(value):
    """Return what is secret in ``value``: the text, and each line of one such as a key file."""
    lines = (line.strip() for line in value.splitlines())
    return {value, *(line for line in lines if len(line) >= LINE and not line.startswith("#"))}


def spellings_of(value):
    """Return how a text may quote ``value``: as it is, in an address, Python, JSON or HTML, and
    one of these in another, such as JSON in an address."""
    once = {quoted(value) for quoted in QUOTED}
    return once | {quoted(text) for text in once for quoted in QUOTED}


def find_secrets(node):
    """Yield what is secret in an order: what the part of each kind names as its ``secrets`` (see
    :meth:`.kinds.Registry.order`), beside them or among its ``settings``, and :data:`OTHERS`."""
    if isinstance(node, dict):
        names, settings = node.get("secrets") or (), node.get("settings") or {}
        yield from (settings.get(name) or node.get(name) for name in names)
        for key, value in node.items():
            if key in OTHERS:
                yield value
            elif value is not settings:
                yield from find_secrets(value)
    elif isinstance(node, list):
        for value in node:
            yield from find_secrets(value)


def masked(node, secrets, told=False):
    """Return ``node`` with the secrets blotted out of every text that is written for people.

    Names and paths stay as they are: a database may well be called like somebody's password.
    """
    if isinstance(node, Message):
        return node.changed(lambda text: masked(text, secrets, told=True))
    if isinstance(node, dict):
        return {key: masked(value, secrets, key in PROSE) for key, value in node.items()}
    if isinstance(node, list):
        return [masked(value, secrets, told) for value in node]
    if told and isinstance(node, str):
        for secret in secrets:
            node = blotted(node, secret)
    return node


def blotted(text, secret):
    """Return ``text`` without the secret in any case of its letters, and without the beginning of
    it at the end of a text that was cut."""
    if len(secret) < LINE:
        return text.replace(secret, MASK)
    text = re.sub(re.escape(secret), MASK, text, flags=re.IGNORECASE)
    begin = text.rfind(secret[:LINE])
    if begin >= 0 and secret.startswith(text[begin:].rstrip(".…")):
        text = text[:begin] + MASK
    return text


# --- rows of a database -------------------------------------------------------------------------


def without_rows(text):
    """Return a text, or what a message quotes, up to where PostgreSQL begins to quote rows."""
    if isinstance(text, Message):
        return text.changed(without_rows)
    found = ROWS.search(text) if isinstance(text, str) else None
    return text[: found.start()].rstrip() if found else text


# --- errors that nobody foresaw -----------------------------------------------------------------


def said_by(error):
    """Return an exception as one line, without its text where that may quote a row."""
    name = type(error).__name__
    return name if quotes_rows(error) else f"{name}: {error}"


def traceback_of(error):
    """Return the traceback of an exception, without the text of any that may quote a row."""
    if not any(quotes_rows(each) for each in chain_of(error)):
        return "".join(traceback.format_exception(error))
    lines = traceback.format_tb(error.__traceback__)
    return "".join(["Traceback (most recent call last):\n", *lines, f"{said_by(error)}\n"])


def quotes_rows(error):
    return type(error).__module__.split(".")[0] == DATABASE_DRIVER


def chain_of(error):
    """Yield an exception and those that a traceback shows it to come from."""
    seen = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)
