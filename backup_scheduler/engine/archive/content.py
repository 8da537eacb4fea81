"""Telling what a file is that should be an archive and is not."""

import re

from ..errors import NotAnArchive, Truncated
from ..messages import _

# Enough to see the title of a web page.
HEAD = 4096

_TITLE, _END_OF_TITLE = re.compile(rb"<title", re.I), re.compile(rb"</title", re.I)

ZIP = b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"
PG_CUSTOM = b"PGDMP"
# By name: Odoo's exporter takes a bracket after a message for another one, and no bytes in it.
SQL_SCRIPT, GZIP, OBJECT = b"--\n-- PostgreSQL database dump", b"\x1f\x8b", b"{"
# What can be mistaken for the archive that was asked for, by its first bytes.
DUMP, WEB_PAGE = _("a pg_dump custom dump"), _("a web page")
KNOWN = (
    (ZIP, _("a zip archive")),
    (EMPTY_ZIP, _("an empty zip archive")),
    (PG_CUSTOM, DUMP),
    (SQL_SCRIPT, _("an SQL script of pg_dump")),
    (GZIP, _("a gzip file")),
    (OBJECT, "JSON"),
)


def require_magic(head, magics, wanted):
    """Raise unless ``head``, the first bytes of the file, begins as one of ``magics``.

    A file that ends within a magic is :class:`Truncated`; anything else is :class:`NotAnArchive`
    with a word on what it is instead.
    """
    if head.startswith(tuple(magics)):
        return
    if not head:
        raise Truncated(_("The file is empty."))
    if any(magic.startswith(head) for magic in magics):
        raise Truncated(_("The file ends after its first %(count)s bytes.", count=len(head)))
    raise NotAnArchive(
        _("The file is not %(wanted)s but %(found)s.", wanted=wanted, found=_name(head))
    )


def _name(head):
    if re.match(rb"(\xef\xbb\xbf)?\s*<", head):
        text = _title(head)[:120].decode("utf-8", "replace")
        return _("a web page (“%(title)s”)", title=text) if text else WEB_PAGE
    for magic, name in KNOWN:
        if head.startswith(magic):
            return name
    return _("something else (it begins with %(head)s)", head=repr(head[:16]))


def _title(page):
    begin = _TITLE.search(page)
    end = begin and _END_OF_TITLE.search(page, begin.end())
    return page[begin.end() : end.start()].partition(b">")[2].strip() if end else b""
