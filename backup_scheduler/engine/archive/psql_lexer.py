r"""Where the statements of a dump end, read as psql reads them.

psql does more with a script than send it: it runs commands that begin with a backslash, programs
among them, and replaces ``:NAME`` by variables of its own. pg_dump writes neither, apart from a
``\restrict`` at the beginning and its ``\unrestrict`` at the end. A dump that has more is refused
(:class:`UnsafeDump`). So is anything that one version of psql reads differently from the next, or
that pg_dump cannot have written, where a command could be hidden behind it.

The rules are those of psqlscan.l, psqlscanslash.l, mainloop.c and copy.c of PostgreSQL 10 to 18.
"""

import re

from ..errors import UnsafeDump
from ..messages import _
from .copytext import COPY

# Of identifiers, tags of dollar quotes and variables (bytes). PostgreSQL cuts names at 63.
LONGEST_NAME = 1000
SPACE = b" \t\n\r\f\v"

_NAME = rb"A-Za-z0-9_\x80-\xff"
_TOKEN = re.compile(rb"[()'\":;$\\]|--|/\*")
_WORD = re.compile(rb"[A-Za-z_\x80-\xff][$%b]*" % _NAME)
_REST_OF_WORD = re.compile(rb"[$%b]*" % _NAME)
_WORD_BYTES = bytes(
    number for number in range(256) if number >= 0x80 or _REST_OF_WORD.fullmatch(bytes([number]))
)
_DOLLAR_QUOTE = re.compile(rb"\$(?:[A-Za-z_\x80-\xff][%b]*)?\$" % _NAME)
_TAG_SO_FAR = re.compile(rb"\$[%b]*\Z" % _NAME)
_VARIABLE = re.compile(rb":(?:([%b]+)|'([%b]+)'|\"([%b]+)\"|(\{\?))" % (_NAME, _NAME, _NAME))
_VARIABLE_SO_FAR = re.compile(rb":(?:['\"]?[%b]*|\{)\Z" % _NAME)
_RESTRICT = re.compile(rb"\\restrict ([A-Za-z0-9]+)\r?\n")
_UNRESTRICT = re.compile(rb"\\unrestrict ([A-Za-z0-9]+)[ \t]*\r?\n")
_COMMAND = re.compile(rb"\\(?:[A-Za-z]{1,20}|.)", re.DOTALL)
_COPY_WORD = re.compile(rb"COPY(?![$%b])" % _NAME, re.IGNORECASE)
_STRINGS = re.compile(rb"SET standard_conforming_strings = (on|off);\Z")
_ENCODING = re.compile(rb"SET client_encoding = '([^']*)';\Z")
_END_OF_LINE, _ESCAPE, _COMMENT = (
    re.compile(pattern) for pattern in (rb"[\r\n]", rb"['\\]", rb"/\*|\*/")
)

UNLESS_SWITCHED = _(
    "psql reads it as meant unless the dump switches standard_conforming_strings off, which cannot "
    "be ruled out beforehand. Restore to this server instead, or by hand."
)
# Encodings in which a byte below 128 may be part of a letter. No server stores text in them.
CLIENT_ONLY = {b"BIG5", b"GBK", b"GB18030", b"JOHAB", b"SJIS", b"SHIFT_JIS_2004", b"UHC"}
# The variables that psql sets itself (startup.c, common.c, variables.c).
VARIABLES = frozenset(
    b"""
    AUTOCOMMIT COMP_KEYWORD_CASE DBNAME ECHO ECHO_HIDDEN ENCODING ERROR FETCH_COUNT HIDE_TABLEAM
    HIDE_TOAST_COMPRESSION HISTCONTROL HISTFILE HISTSIZE HOST IGNOREEOF LASTOID LAST_ERROR_MESSAGE
    LAST_ERROR_SQLSTATE ON_ERROR_ROLLBACK ON_ERROR_STOP PIPELINE_COMMAND_COUNT PIPELINE_RESULT_COUNT
    PIPELINE_SYNC_COUNT PORT PROMPT1 PROMPT2 PROMPT3 QUIET ROW_COUNT SERVER_VERSION_NAME
    SERVER_VERSION_NUM SERVICE SERVICEFILE SHELL_ERROR SHELL_EXIT_CODE SHOW_ALL_RESULTS SHOW_CONTEXT
    SINGLELINE SINGLESTEP SQLSTATE USER VERBOSITY VERSION VERSION_NAME VERSION_NUM WATCH_INTERVAL
    """.split()
)
# The words by which psql (14 and later) knows a routine whose body has statements of its own.
_ROUTINE = {b"create": "c", b"or": "o", b"replace": "r", b"function": "f", b"procedure": "p"}
_ROUTINES = ("cf", "cp", "corf", "corp")
_WORDS_COUNTED = 4


class Lexer:
    """Finds the ends of statements, one after the other, in text that grows.

    :param strict: refuse also what is read as meant unless the dump switches
        ``standard_conforming_strings`` off behind the reader's back
    :ivar base: the byte of the dump at which the text begins, for messages
    """

    def __init__(self, strict=False):
        self._strict = strict
        self.base = 0
        # Offsets into the unfinished statement: what is looked through, where the last token ended,
        # and its first byte that is no space or comment.
        self._looked = self._seen = 0
        self._first = None
        self._closer, self._comments = None, 0
        self._parentheses = self._bodies = 0
        self._words, self._counted = "", 0
        self._after_escapes = False
        self._escapes_everywhere = False
        self._key, self._begun, self._closed = None, False, False

    @property
    def is_within_statement(self):
        return self._first is not None or self._closer is not None

    @property
    def is_within_routine(self):
        """Whether the last statement left the body of a routine open."""
        return bool(self._bodies)

    def statement(self, text, start):
        """Return where the statement behind ``start`` begins and ends, or None for not here.

        Then the next call gets the same statement again, from its beginning and with more of it.
        Raises :class:`UnsafeDump`.
        """
        at = start + self._looked
        seen = start + self._seen
        while True:
            if self._closer:
                at, waits = self._close(text, at)
                if waits:
                    return self._wait(start, at, at)
                seen = at
            token = _TOKEN.search(text, at)
            if not token:
                # The beginning of a token may stand at the end.
                return self._wait(start, max(at, len(text) - 1), seen)
            opener, position = token[0], token.start()
            segment = text[seen:position]
            depth = self._parentheses
            after = self._after(text, position, opener, segment)
            if after is None:
                return self._wait(start, position, seen)
            if opener == b"$" and not self._closer and after > position + 1:
                # The word goes on: it is counted once it is whole.
                segment = text[seen:after]
            self._note(text, start, seen, opener, segment, depth)
            at = seen = after
            if opener == b";" and not self._parentheses:
                if after == len(text) and self._is_copy(text, start):
                    # The line has to end behind it.
                    return self._wait(start, position, seen)
                return self._end(text, start, after), after

    def drop(self, text):
        """Return what has to be kept of an unfinished statement that is too long to be kept whole.

        Raises :class:`UnsafeDump` where that is too long as well.
        """
        kept = self._looked if self._closer else self._seen
        if self._strict or kept < len(text) // 2 or self._is_copy(text, 0):
            raise self._unsafe(0, _("a statement of more than %(size)s bytes", size=len(text)))
        self._looked, self._seen, self._first = self._looked - kept, max(self._seen - kept, 0), 0
        return text[kept:]

    def _wait(self, start, looked, seen):
        self._looked, self._seen = looked - start, seen - start

    # --- tokens ---------------------------------------------------------------------------------

    def _after(self, text, position, opener, segment):
        """Return where the token ends, or None where more text is needed to tell."""
        run = segment[len(segment.rstrip(_WORD_BYTES)) :]
        if opener == b"$":
            return self._after_dollar(text, position, run)
        if opener == b"'":
            self._open_string(text, position, run)
        elif opener == b":":
            return self._after_colon(text, position)
        elif opener == b"\\":
            return self._after_command(text, position, segment)
        elif opener == b"/*":
            self._closer, self._comments = opener, 1
        elif opener == b"--":
            self._require_no_exponent(text, position, run)
            self._closer = opener
        elif opener == b'"':
            self._closer = opener
        elif opener == b"(":
            self._parentheses += 1
        elif opener == b")" and self._parentheses:
            self._parentheses -= 1
        return position + len(opener)

    def _after_dollar(self, text, position, run):
        if run and not run[:1].isdigit():
            # Part of a name.
            end = _REST_OF_WORD.match(text, position).end()
            self._require_short(position, end - position + len(run))
            return None if end == len(text) else end
        if run and not run.isdigit():
            raise self._ambiguous(position)
        if quote := _DOLLAR_QUOTE.match(text, position):
            self._require_short(position, len(quote[0]))
            self._closer = quote[0]
            return quote.end()
        if so_far := _TAG_SO_FAR.match(text, position):
            self._require_short(position, len(so_far[0]))
            return None
        return position + 1

    def _open_string(self, text, position, run):
        self._require_no_exponent(text, position, run)
        escapes = self._escapes_everywhere or run.lower() == b"e"
        if escapes and not run and text[max(position - 2, 0) : position].lower() == b"u&":
            raise self._ambiguous(position)
        self._closer = b"E" if escapes else b"'"

    def _require_no_exponent(self, text, position, run):
        """Refuse ``1e'…'`` and ``1e--``: the E may be one of the number, or not."""
        point = position - len(run) - 1
        if run[-1:].lower() == b"e" and (
            run[:1].isdigit() or (point >= 0 and text[point : point + 1] == b".")
        ):
            raise self._ambiguous(position)

    def _after_colon(self, text, position):
        if text[position + 1 : position + 2] in (b":", b"="):
            return position + 2
        variable = _VARIABLE.match(text, position)
        if _VARIABLE_SO_FAR.match(text, position) and not (variable and variable[4]):
            self._require_short(position, len(text) - position)
            return None
        if not variable:
            return position + 1
        name = variable[1] or variable[2] or variable[3]
        if variable[4] or name in VARIABLES:
            raise self._unsafe(
                position, _("the psql variable %(name)s", name=variable[0].decode("ascii"))
            )
        return variable.end() if variable[1] else position + 1

    def _after_command(self, text, position, segment):
        line_begins = position == 0 or text[position - 1 : position] == b"\n"
        if line_begins and self._first is None and not segment.strip(SPACE):
            if (match := _RESTRICT.match(text, position)) and not self._begun and not self._key:
                self._key = match[1]
                return match.end()
            match = _UNRESTRICT.match(text, position)
            if match and match[1] == self._key and not self._closed:
                self._closed = True
                return match.end()
            if len(text) - position < LONGEST_NAME and text.find(b"\n", position) < 0:
                return None
        command = _COMMAND.match(text, position)
        name = command[0].decode("ascii", "replace") if command else "\\"
        raise self._unsafe(position, _("the psql command %(name)s", name=name))

    def _close(self, text, at):
        """Return where what is open ends, and False; or where to go on looking, and True."""
        closer = self._closer
        if closer == b"E":
            return self._close_escapes(text, at)
        if closer == b"/*":
            return self._close_comment(text, at)
        if closer == b"--":
            # The line end is space, and left to what follows.
            found = _END_OF_LINE.search(text, at)
            return self._closed_at(found.start()) if found else (len(text), True)
        end = text.find(closer, at)
        if end < 0:
            return max(at, len(text) - len(closer) + 1), True
        if closer == b"'" and self._strict and _backslashes_before(text, end) % 2:
            raise UnsafeDump(
                _(
                    "The text that ends at byte %(position)s of the dump has a backslash before "
                    "its quote, so psql may read it in another way.",
                    position=self.base + end,
                ),
                hint=UNLESS_SWITCHED,
            )
        return self._closed_at(end + len(closer))

    def _close_escapes(self, text, at):
        while found := _ESCAPE.search(text, at):
            following = text[found.end() : found.end() + 1]
            if not following:
                return found.start(), True
            if found[0] == b"'" and following != b"'":
                self._after_escapes = True
                return self._closed_at(found.end())
            at = found.end() + 1
        return len(text), True

    def _close_comment(self, text, at):
        while found := _COMMENT.search(text, at):
            at = found.end()
            self._comments += 1 if found[0] == b"/*" else -1
            if not self._comments:
                return self._closed_at(at)
        return max(at, len(text) - 1), True

    def _closed_at(self, at):
        self._closer = None
        return at, False

    # --- statements -----------------------------------------------------------------------------

    def _note(self, text, start, seen, opener, segment, depth):
        """Take note of the bytes before a token, which begin at ``seen``, in ``depth``
        parentheses."""
        is_comment = opener in (b"--", b"/*")
        content = segment.lstrip(SPACE)
        if self._after_escapes:
            if opener == b"'" and not content:
                # psql reads both as one string, on two lines.
                raise self._ambiguous(seen)
            self._after_escapes = is_comment and not content
        if self._first is None and (content or not (is_comment or opener in (b";", b"\\"))):
            first = seen + len(segment) - len(content)
            if self._closed or not text[first : first + 1].isalpha():
                raise self._unsafe(first, _("text that is no statement of pg_dump"))
            self._first, self._begun = first - start, True
        if self._counted < _WORDS_COUNTED or self._is_routine():
            # One by one: a list of millions of words would fill the memory.
            for word in _WORD.finditer(content):
                self._count(word[0].lower(), depth)

    def _count(self, word, depth):
        if self._counted < _WORDS_COUNTED:
            self._words += _ROUTINE.get(word, "-")
        self._counted += 1
        if depth or not self._is_routine():
            return
        if word == b"begin" or (word == b"case" and self._bodies):
            self._bodies += 1
        elif word == b"end" and self._bodies:
            self._bodies -= 1

    def _is_routine(self):
        return self._words.startswith(_ROUTINES)

    def _is_copy(self, text, start):
        return self._first is not None and bool(_COPY_WORD.match(text, start + self._first))

    def _end(self, text, start, end):
        first = end if self._first is None else start + self._first
        if self._is_copy(text, start):
            self._require_copy(text, start, end)
        elif self._first is not None:
            self._see_settings(text, start + self._first, end)
        self._looked = self._seen = 0
        self._first, self._after_escapes = None, False
        if not self._bodies:
            self._words, self._counted = "", 0
        return first

    def _require_copy(self, text, start, end):
        """Rows follow only where every psql takes them for such."""
        statement = text[start + self._first : end]
        if self._bodies or not COPY.match(statement) or text[end : end + 1] != b"\n":
            raise self._unsafe(start + self._first, _("a COPY of another form"))

    def _see_settings(self, text, first, end):
        if found := _STRINGS.match(text, first, end):
            self._escapes_everywhere = found[1] == b"off"
        elif (found := _ENCODING.match(text, first, end)) and found[1].upper() in CLIENT_ONLY:
            name = found[1].decode("ascii")
            raise self._unsafe(first, _("the client encoding %(name)s", name=name))

    # --- refusing -------------------------------------------------------------------------------

    def _require_short(self, position, length):
        if length > LONGEST_NAME:
            raise self._unsafe(position, _("a name of more than %(size)s bytes", size=length))

    def _ambiguous(self, position):
        return self._unsafe(position, _("text that psql versions read differently"))

    def _unsafe(self, position, what):
        return unsafe(self.base + position, what)


def _backslashes_before(text, end):
    count = 0
    while text[end - count - 1 : end - count] == b"\\":
        count += 1
    return count


def unsafe(position, what):
    """Return the error that names what is unsafe and the byte of the dump at which it stands."""
    return UnsafeDump(
        _(
            "The dump holds %(what)s at byte %(position)s, which pg_dump does not write.",
            what=what,
            position=position,
        )
    )
