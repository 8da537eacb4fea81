"""What a server answers, read in linear time and within bounds, whatever it sends.

A server that we back up may be hostile. No regular expression here can be made to look at the same
bytes more than a few times, and what an answer becomes is limited in length, count and depth.
"""

import html
import json
import re
import xmlrpc.client
from xml.parsers.expat import ExpatError

# Characters. What Odoo says of a failure is a sentence; a traceback has its reason at its end.
TEXT_LIMIT = 1000
# Characters of a page from which such a text is made.
PART_LIMIT = 4000
# "saas~18.2+e-20261101" and the like.
VERSION_LIMIT = 64
# Bytes of a name in PostgreSQL (NAMEDATALEN).
NAME_LIMIT = 63

# What Odoo puts before the reason of a failure.
PREFIX = re.compile(r"^Database (backup|restore) error: ")
PASSWORD_FIELD, DEFAULT_VALUE = 'name="master_pwd"', 'value="admin"'
# How the error pages of werkzeug begin, which Odoo 20 answers with.
ERROR_PAGE = re.compile(
    r"<!doctype html>\s*<html lang=en>\s*<title>\d{3} [\w ]{1,60}</title>\s*"
    r"<h1>[\w ]{1,60}</h1>\s*<p>",
    re.I,
)
# How werkzeug's own reasons begin, which say no more than the status.
NO_REASONS = (
    "The browser (or proxy) sent", "The server could not verify", "You don't have the permission",
    "The requested URL was not found", "The method is not allowed", "The data value transmitted",
    "This user has exceeded", "The server encountered an internal error", "The proxy server",
    "The server is temporarily unable", "The connection to an upstream",
)  # fmt: skip
# What a broken answer may make xmlrpc.client raise.
BROKEN_XML = (
    ArithmeticError, AssertionError, AttributeError, ExpatError, LookupError, TypeError, ValueError,
    xmlrpc.client.Error,
)  # fmt: skip


# --- pages --------------------------------------------------------------------------------------


def page_message(page):
    """Return what an HTML page of Odoo says to its reader: in an alert, or as the reason of an
    error's page; of other pages nothing.

    They are of servers that only this machine may reach, perhaps, and whoever enters an address is
    not to read what answers there.
    """
    if alerted := alert(page):
        return PREFIX.sub("", text_of(alerted))
    message = text_of(reason(page))
    return "" if message.startswith(NO_REASONS) else message


def text_of(part):
    """Return the text of a part of a page, in one line."""
    text = html.unescape(without_tags(part[:PART_LIMIT]))
    return " ".join(text.split())[:TEXT_LIMIT]


def alert(page):
    """Return the content of the page's first alert of an error, or nothing."""
    for tag, end in tags(page, "<div"):
        if "alert-danger" in tag.partition('class="')[2].partition('"')[0]:
            return page[end:].partition("</div>")[0]
    return ""


def reason(page):
    """Return the reason that an error's page of Odoo gives, or nothing."""
    begin = ERROR_PAGE.match(page)
    return page[begin.end() :].partition("</p>")[0] if begin else ""


def tags(page, opening):
    """Yield each tag that begins with ``opening``, and the position behind it."""
    at = page.find(opening)
    while at >= 0 and (end := page.find(">", at)) >= 0:
        yield page[at:end], end + 1
        at = page.find(opening, end)


def without_tags(text):
    """Return a text with a space in the place of each tag."""
    first, *others = text.split("<")
    parts = [first]
    for part in others:
        _tag, closed, rest = part.partition(">")
        parts.append(f" {rest}" if closed else f"<{part}")
    return "".join(parts)


def has_default_password(page):
    """Whether the page's own form sends the default master password as the old one."""
    at = page.find(PASSWORD_FIELD)
    while at >= 0:
        end = page.find(">", at)
        if end < 0:
            return DEFAULT_VALUE in page[at:]
        if DEFAULT_VALUE in page[at:end]:
            return True
        at = page.find(PASSWORD_FIELD, end)
    return False


# --- JSON and XML-RPC ---------------------------------------------------------------------------


def json_value(page, key):
    """Return a value of the JSON object that a page is; ValueError where it is none or has none."""
    try:
        return json.loads(page)[key]
    except (LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"no JSON object with {key!r}") from error


def rpc_error(page):
    """Return the name of the exception that an answer of JSON-RPC is the failure of, or nothing."""
    try:
        name = json_value(page, "error")["data"]["name"]
    except (LookupError, TypeError, ValueError):
        return ""
    return name if isinstance(name, str) else ""


def version_of(page, *keys):
    """Return the version that an answer tells at a path of keys; ValueError where it is none."""
    value = json_value(page, keys[0])
    for key in keys[1:]:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, str) or not 0 < len(value) <= VERSION_LIMIT:
        raise ValueError("no version")
    if not (value.isascii() and value.isprintable()):
        raise ValueError("no version")
    return value


def names_of(page):
    """Return the names of databases that an answer lists, each once; ValueError for other content.
    """
    names = json_value(page, "result")
    if not isinstance(names, list):
        raise ValueError("no list")
    return sorted({database_name(name) for name in names})


def database_name(name):
    """Return a name that a database can have; ValueError for any other value."""
    # Encoding a lone surrogate raises ValueError too.
    if not isinstance(name, str) or not 0 < len(name.encode()) <= NAME_LIMIT or "\0" in name:
        raise ValueError("no name")
    return name


def xmlrpc_value(page):
    """Return the one value of an XML-RPC answer; ValueError where it is none.

    Raises :class:`xmlrpc.client.Fault` where the answer is a fault. Odoo declares no document type:
    an answer with one, in which entities may be defined and multiplied, is refused unread.
    """
    if "<!" in page:
        raise ValueError("a declaration")
    try:
        (value,), _method = xmlrpc.client.loads(page)
    except xmlrpc.client.Fault:
        raise
    except BROKEN_XML as error:
        raise ValueError("no answer of XML-RPC") from error
    return value
