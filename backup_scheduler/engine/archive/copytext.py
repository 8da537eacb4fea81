r"""Rows as PostgreSQL's COPY writes them, read as a stream.

The text format (chapter COPY of PostgreSQL's manual): one line a row, tabs between the values,
``\N`` for NULL; a tab, a line end or a backslash within a value is written with a backslash. So a
tab or a line end that is there as such always separates, and no value has to be understood to tell
where it ends.
"""

import codecs
import operator
import re

from ..errors import Damaged
from ..messages import _

NULL = b"\\N"
END_OF_ROWS = b"\\."
# The longest value that is of use here; store_fname has at most 1,024 characters (bytes).
MAX_VALUE = 4096
# PostgreSQL's own limit (MaxHeapAttributeNumber).
MAX_COLUMNS = 1600
# From here on a row is worth not to be copied. An attachment that is kept in the database makes one
# of hundreds of MB (bytes).
_LONG = 16 * 1024

# Names have at most 63 bytes. The bound keeps the memory of re small, which remembers each
# repetition of a group: a name of 16 MB would cost 2 GB.
_IDENTIFIER = rb'(?:"(?:[^"]|""){1,256}"|[\w\x80-\xff]{1,256})'
NAME = rb"(?:%b\.)?%b" % (_IDENTIFIER, _IDENTIFIER)
_PARTS = re.compile(_IDENTIFIER)
_NAME, _NAMES = re.compile(NAME), re.compile(rb"%b(?:, %b){0,99}" % (NAME, NAME))
_COLUMNS = rb"%b(?:, %b){0,%d}" % (_IDENTIFIER, _IDENTIFIER, MAX_COLUMNS - 1)
COPY = re.compile(rb"COPY (%b) (?:\((%b)\))? ?FROM stdin;\s*\Z" % (NAME, _COLUMNS))
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPED = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def plain_name(name, schema, encoding="utf-8"):
    """Return ``schema.name`` of an SQL name, without quotes; ``schema`` when it names none."""
    parts = [_unquote(part, encoding) for part in _PARTS.findall(name)]
    return ".".join(parts if len(parts) > 1 else [schema, *parts])


def names_in(text, at):
    """Return the SQL names of the list, separated by commas, that begins at ``at``."""
    found = _NAMES.match(text, at)
    return [part[0] for part in _NAME.finditer(found[0])] if found else []


def column_names(listed):
    """Return the names in the column list of a COPY statement."""
    return [_unquote(part) for part in _PARTS.findall(listed or b"")]


def codec_of(name):
    """Return Python's name for an encoding of PostgreSQL's (bytes).

    That of ASCII for one that Python does not have; of SQL_ASCII, which says nothing, UTF-8.
    """
    name = name.decode("ascii", "replace").lower()
    if name in ("utf8", "unicode", "sql_ascii"):
        return "utf-8"
    try:
        return codecs.lookup(re.sub("^win", "cp", name).replace("koi8", "koi8_")).name
    except LookupError:
        return "ascii"


def _unquote(part, encoding="utf-8"):
    if part.startswith(b'"'):
        part = part[1:-1].replace(b'""', b'"')
    return part.decode(encoding, "replace")


def unescape(value):
    """Return the text of a value, or None for NULL."""
    if value == NULL:
        return None
    if b"\\" in value:
        value = _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), value)
    return value.decode("utf-8", "replace")


class Rows:
    """A reader of the rows of one table.

    :param table: its name, for messages
    :param columns: the names of its columns, in the order of the values
    :param wanted: the columns to be read; one that the table does not have is NULL in each row
    :param take: called with the values of these columns of each row, as COPY wrote them, cut off
        at :data:`MAX_VALUE` bytes or later
    """

    def __init__(self, table, columns, wanted, take):
        self._table = table
        self._width = len(columns)
        # The last value is a NULL that is added to each row.
        places = [columns.index(name) if name in columns else -1 for name in wanted]
        self._pick = operator.itemgetter(*places)
        self._take = take
        # The beginning of a row, and whether its last value is cut off already.
        self._rest, self._cut = b"", False
        self._ended = False
        self._fault = None
        self.count = 0

    def feed(self, block):
        """Take the rows that end within ``block``, up to their end mark or one that is no row."""
        if self._ended:
            return
        at = 0
        if self._cut:
            at = _next_separator(block)
            if at < 0:
                return
        if self._rest:
            end = block.find(b"\n", at)
            if end < 0:
                self._keep(self._rest + block[at:])
                return
            self._take_row(self._rest + block[at:end])
            at = end + 1
        while not self._ended and (end := block.find(b"\n", at)) >= 0:
            # Bytes are copied as little as can be: attachments have long texts in their rows.
            if end - at > _LONG:
                self._take_values(self._shortened(block, at, end))
            else:
                self._take_row(block[at:end])
            at = end + 1
        if not self._ended:
            self._keep(block[at:])

    def finish(self):
        """Raise :class:`Damaged` when a row has too many values or too few, or no end."""
        if self._rest and not self._ended:
            self._fault = _(
                "The last row of %(table)s stops before its end.", table=self._table
            )
        if self._fault:
            raise Damaged(self._fault)

    def _keep(self, rest):
        """Keep the beginning of a row, of which no value is longer than of use."""
        self._cut = False
        if len(rest) > _LONG:
            values = self._shortened(rest, 0, len(rest))
            if len(values) > self._width:
                # Whatever follows: more of its values need not be kept to say so.
                self._rest = b""
                self._take_values(values)
                return
            self._cut = len(values[-1]) == MAX_VALUE
            rest = b"\t".join(values)
        self._rest = rest

    def _take_row(self, row):
        if row == END_OF_ROWS:
            self._ended = True
        else:
            self._take_values(row.split(b"\t"))

    def _take_values(self, values):
        self.count += 1
        if len(values) != self._width:
            self._ended = True
            self._fault = _(
                "Row %(row)s of %(table)s has %(count)s values where %(expected)s belong.",
                row=self.count,
                table=self._table,
                count=len(values),
                expected=self._width,
            )
            return
        values.append(NULL)
        self._take(*self._pick(values))

    def _shortened(self, text, at, end):
        """Return the values of the row in ``text`` from ``at`` to ``end``, each cut off; of a row
        with too many values, one more than belong there."""
        values = []
        while (tab := text.find(b"\t", at, end)) >= 0 and len(values) < self._width:
            values.append(text[at : min(tab, at + MAX_VALUE)])
            at = tab + 1
        values.append(text[at : min(end, at + MAX_VALUE)])
        return values


def _next_separator(block):
    """Return where the first tab or line end is, or -1."""
    end = block.find(b"\n")
    tab = block.find(b"\t", 0, end) if end >= 0 else block.find(b"\t")
    return tab if tab >= 0 else end
