r"""The plain script of pg_dump as a stream: its statements, and the rows between them.

pg_dump writes the definitions of tables, then ``COPY … FROM stdin;`` with the rows of each table
up to a line ``\.``, then indexes and constraints. Rows and texts can hold anything, also what looks
like a statement: the script is read as psql reads it (:mod:`.psql_lexer`).
"""

from ..errors import Damaged, Inconsistent, UnsafeDump
from ..messages import _
from .copytext import COPY, column_names
from .psql_lexer import Lexer, unsafe
from .schema import Schema

# No definition of Odoo's comes near this (bytes). What does is not kept to be looked at.
MAX_STATEMENT = 16 * 1024 * 1024
# pg_dump writes the rows of a table once, or once for each of its partitions.
MAX_PARTS = 10_000

# How a script begins whose lines end as on Windows.
_WINDOWS = b"--\r\n"
_END_OF_ROWS = b"\n\\."
_TAIL = len(_END_OF_ROWS)
# Bytes in which the mark is looked for at first, as most tables are small, and then.
_NEAR, _FAR = 4 * 1024, 64 * 1024


class Script:
    """The checker of ``dump.sql``.

    Unsafe content (:mod:`.psql_lexer`) is reported by :meth:`finish`, like all verdicts, because a
    damaged byte is no attack. A caller that feeds psql calls :meth:`require_safe` after each block.

    :param schema: a :class:`.schema.Schema`, which sees each statement
    :param rows_of: called with (table, columns) at each COPY; returns a reader of its rows with
        their end mark, or None
    :param strict: see :class:`.psql_lexer.Lexer`
    :param feed: gets all of the script as it was read: ``statement(text)`` each whole statement,
        ``raw(text)`` what else there is, in order
    """

    def __init__(self, schema=None, rows_of=None, strict=False, feed=None):
        self._to, self._within_routine = feed, False
        self._schema = schema or Schema()
        self._rows_of = rows_of or (lambda _table, _columns: None)
        self._lexer = Lexer(strict)
        self._refusal = None
        # The unfinished statement, and the bytes up to its end so far.
        self._text, self._position = b"", 0
        self._is_whole = True
        self._table = self._rows = None
        # The last bytes of the rows so far, which their end mark may begin in.
        self._tail = b""
        self._finished = []
        self._windows, self._held = None, b""
        self.readable = True

    def feed(self, block):
        if self._refusal:
            return
        try:
            self._feed(self._unix(block))
        except UnsafeDump as error:
            self._refusal, self._text = error, b""

    def require_safe(self):
        """Raise :class:`UnsafeDump` where what was fed so far must not go to psql."""
        if self._refusal:
            raise self._refusal

    def finish(self):
        """Raise :class:`UnsafeDump`; :class:`Damaged` for rows that are none, or an end within
        rows or a statement."""
        held, self._held, self._windows = self._held, b"", False
        # The last line may lack its line end.
        self.feed(held + b"\n")
        self.require_safe()
        self._pass_on(self._text)
        for rows in self._finished:
            rows.finish()
        if self._table:
            raise Damaged(_("The rows of %(table)s have no end in the dump.", table=self._table))
        if self._lexer.is_within_statement:
            raise Damaged(_("The last statement of the dump has no end."))

    def _feed(self, text):
        self._position += len(text)
        if self._text:
            text, self._text = self._text + text, b""
        self._lexer.base = self._position - len(text)
        if b"\0" in text:
            # psql reads no further in such a line.
            raise unsafe(self._lexer.base + text.index(b"\0"), _("a zero byte"))
        at = 0
        while at < len(text):
            at = self._skim_rows(text, at) if self._table else self._skim_statements(text, at)

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
        while found := self._lexer.statement(text, start):
            self._pass_on(text[start : found[0]])
            first, start = found
            statement = text[first:start] if self._is_whole else b""
            self._pass_on(text[first:start], self._is_whole and not self._is_of_routine())
            self._is_whole = True
            if self._begin_rows(statement):
                return start
            self._schema.see(statement)
        self._text = text[start:]
        if len(self._text) > MAX_STATEMENT:
            self._lexer.base += start
            kept = self._lexer.drop(self._text)
            self._pass_on(self._text[: len(self._text) - len(kept)])
            self._text = kept
            self.readable = self._is_whole = False
        return len(text)

    def _is_of_routine(self):
        """Return whether the statement is one of the body of a routine, or its beginning or end."""
        was_within, self._within_routine = self._within_routine, self._lexer.is_within_routine
        return was_within or self._within_routine

    def _pass_on(self, text, is_statement=False):
        if self._to and text:
            (self._to.statement if is_statement else self._to.raw)(text)

    # --- rows -----------------------------------------------------------------------------------

    def _begin_rows(self, statement):
        copy = COPY.match(statement)
        if not copy:
            return False
        self._table = self._schema.name_of(copy[1])
        self._tail = b""
        self._schema.has_rows(self._table)
        self._rows = self._rows_of(self._table, column_names(copy[2]))
        return True

    def _skim_rows(self, text, at):
        """Go over the rows from ``at`` on; return where they end with their mark, or the text."""
        begin = at
        if not self._tail:
            # The line end behind the COPY, which the mark begins with where there is no row.
            self._tail = b"\n"
            at += 1
        end = self._end_of_rows(text, at)
        stop = end or len(text)
        self._pass_on(text[begin:stop])
        if self._rows and stop > at:
            self._rows.feed(text[at:stop])
        # A line a row, and one for their end mark.
        self._schema.has_rows(self._table, text.count(b"\n", at, stop) - bool(end))
        if end:
            self._finished += [self._rows] if self._rows else []
            if len(self._finished) > MAX_PARTS:
                raise Inconsistent(
                    _("The dump has the rows of %(table)s too many times.", table=self._table)
                )
            self._table = self._rows = None
        else:
            self._tail = (self._tail + text[max(at, stop - _TAIL) :])[-_TAIL:]
        return stop

    def _end_of_rows(self, text, at):
        """Return where the end mark of the rows ends, or None; it may have begun in the tail."""
        begun = (self._tail + text[at : at + _TAIL]).find(_END_OF_ROWS)
        mark = at + begun - len(self._tail) if begun >= 0 else _end_mark(text, at)
        end = mark + _TAIL
        if (mark < 0 and begun < 0) or end == len(text):
            return None
        if text[end : end + 1] != b"\n":
            # A value is never written so, and psql would end the rows at some of these.
            raise unsafe(self._lexer.base + end, _("rows with a false end mark"))
        return end + 1


def _end_mark(text, at):
    """Return where the first end mark from ``at`` on is, or -1.

    CPython's rfind() takes less than half the time of find() to see that there is none, which makes
    up for the counting of the rows.
    """
    window = _NEAR
    while at < len(text):
        stop = at + window + _TAIL - 1
        if text.rfind(_END_OF_ROWS, at, stop) >= 0:
            return text.find(_END_OF_ROWS, at, stop)
        at, window = at + window, _FAR
    return -1
