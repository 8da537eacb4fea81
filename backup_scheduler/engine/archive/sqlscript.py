r"""The plain script of pg_dump as a stream: its statements, and the rows between them.

pg_dump writes the definitions of tables, then ``COPY … FROM stdin;`` with the rows of each table
up to a line ``\.``, then indexes and constraints. Rows and texts can hold anything, also what looks
like a statement: a COPY counts only where a statement can begin, and nothing within its rows does.
"""

import re

from ..errors import Damaged
from ..messages import _
from .copytext import COPY, column_names, plain_name

# No definition comes near this: what does is a text whose end is missing (bytes).
MAX_STATEMENT = 16 * 1024 * 1024

# How a script begins whose lines end as on Windows.
_WINDOWS = b"--\r\n"
_END_OF_ROWS = b"\n\\.\n"
_TAIL = len(_END_OF_ROWS) - 1
# What ends a statement or begins something in which a semicolon means nothing. pg_dump doubles
# quotes and backslashes, so a text ends at the next quote, or goes on right behind it.
_TOKEN = re.compile(rb"[;'\"]|--|/\*|\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$")
_CLOSERS = {b"--": b"\n", b"/*": b"*/"}
_LONGEST_TOKEN = 70
# Before a statement: empty lines, comments, and the commands of psql (\restrict, \connect).
_LEADING = re.compile(rb"(?:\s+|--[^\n]*\n|\\[^\n]*\n)*")


class Script:
    """The checker of ``dump.sql``.

    :param schema: a :class:`.schema.Schema`, which sees each statement
    :param rows_of: called with (table, columns) at each COPY; returns a reader of its rows with
        their end mark, or None
    """

    def __init__(self, schema, rows_of):
        self._schema = schema
        self._rows_of = rows_of
        self._text = b""
        # How far the unfinished statement in the text has been looked through.
        self._looked = 0
        self._table = self._rows = None
        # The last bytes of the rows so far, which their end mark may begin in.
        self._tail = b""
        self._finished = []
        self._windows, self._held = None, b""
        self.readable = True

    def feed(self, block):
        text = self._unix(block)
        if self._text:
            text, self._text = self._text + text, b""
        at = 0
        while at < len(text) and self.readable:
            at = self._skim_rows(text, at) if self._table else self._skim_statements(text, at)

    def finish(self):
        """Raise :class:`Damaged` for rows that are none, or an end within rows or a statement."""
        for rows in self._finished:
            rows.finish()
        if self._table:
            raise Damaged(_("The rows of %(table)s have no end in the dump.", table=self._table))
        if self.readable and _LEADING.sub(b"", self._text + self._held + b"\n", count=1).strip():
            raise Damaged(_("The last statement of the dump has no end."))

    def _unix(self, block):
        """Undo the CR LF of a server on Windows; a CR within a value is written as ``\\r``."""
        if self._windows is False:
            return block
        block, self._held = self._held + block, b""
        if self._windows is None:
            if len(block) < len(_WINDOWS):
                self._held = block
                return b""
            self._windows = block.startswith(_WINDOWS)
            return self._unix(block)
        if block.endswith(b"\r"):
            self._held = b"\r"
        return block[: len(block) - len(self._held)].replace(b"\r\n", b"\n")

    # --- statements -----------------------------------------------------------------------------

    def _skim_statements(self, text, start):
        """Look at the statements that begin at ``start``; return where rows or nothing follow."""
        while end := self._end_of_statement(text, start + self._looked, start):
            self._looked = 0
            statement = text[_LEADING.match(text, start, end).end() : end]
            start = end
            if statement.startswith(b"COPY ") and self._begin_rows(statement):
                return end
            self._schema.see(statement)
        self._text = text[start:]
        if len(self._text) > MAX_STATEMENT:
            self.readable, self._text = False, b""
        return len(text)

    def _end_of_statement(self, text, at, start):
        """Return where the statement that is known up to ``at`` ends, or None for not here."""
        while token := _TOKEN.search(text, at):
            opener = token[0]
            if opener == b";":
                return token.end()
            closer = _CLOSERS.get(opener, opener)
            end = text.find(closer, token.end())
            if end < 0:
                self._looked = token.start() - start
                return None
            at = end + len(closer)
        # The beginning of a token may stand at the end.
        self._looked = max(at, len(text) - _LONGEST_TOKEN) - start
        return None

    # --- rows -----------------------------------------------------------------------------------

    def _begin_rows(self, statement):
        copy = COPY.match(statement)
        if not copy:
            return False
        self._table = plain_name(copy[1], self._schema.default)
        self._tail = b""
        self._schema.has_rows(self._table)
        self._rows = self._rows_of(self._table, column_names(copy[2]))
        return True

    def _skim_rows(self, text, at):
        """Go over the rows from ``at`` on; return where they end with their mark, or the text."""
        if not self._tail:
            # The line end behind the COPY, which the mark begins with where there is no row.
            self._tail = b"\n"
            at += 1
        end = self._end_of_rows(text, at)
        stop = end or len(text)
        if self._rows and stop > at:
            self._rows.feed(text[at:stop])
        if end:
            self._finished += [self._rows] if self._rows else []
            self._table = self._rows = None
        else:
            self._tail = (self._tail + text[max(at, stop - _TAIL) :])[-_TAIL:]
        return stop

    def _end_of_rows(self, text, at):
        """Return where the end mark of the rows ends, or None; it may have begun in the tail."""
        begun = (self._tail + text[at : at + _TAIL]).find(_END_OF_ROWS)
        if begun >= 0:
            return at + begun + len(_END_OF_ROWS) - len(self._tail)
        found = text.find(_END_OF_ROWS, at)
        return found + len(_END_OF_ROWS) if found >= 0 else None
