"""What becomes of single statements of a dump on their way to psql.

Some have nothing to do with whether an archive can be restored, and depend on the server: who owns
what, on which disk a table lies, what other roles may do, what only a superuser may make. They are
*left out*, or *tried*: run so that a refusal for such a reason is a note, and the restore goes on.

Only whole statements, as :mod:`..archive.psql_lexer` reads them, are exchanged, and each keeps its
number of lines, so that psql's numbers of lines are those of the dump.
"""

import collections
import re
import secrets

from ..archive.copytext import NAME
from ..messages import _, joined

# Bytes of a statement in which its kind and its names stand.
HEAD = 300
# The same of one that is looked at: the columns of a GRANT stand before its table.
LOOK = 8192
# Statements that psql may not have come to yet: it is a megabyte behind.
RECENT = 8_000
# Of a dump that is made to do harm. No database has as many.
EXTENSIONS = 1_000
# Statements of each kind that are counted, and named, in a note.
NOTED, NAMED = 1_000, 10
# Keywords, a name, and the name of what that is of or for: nothing that quotes a value.
TITLE = re.compile(
    rb"[A-Z]+(?: [A-Z]+)*(?:\s+%b(?:\s+(?:ON|ADD CONSTRAINT)(?: ONLY)? %b)?)?" % (NAME, NAME)
)
OWNED = (
    b"AGGREGATE|COLLATION|CONVERSION|DOMAIN|EVENT TRIGGER|FOREIGN DATA WRAPPER|FOREIGN TABLE|"
    b"FUNCTION|LANGUAGE|PROCEDURAL LANGUAGE|LARGE OBJECT|MATERIALIZED VIEW|OPERATOR|"
    b"OPERATOR CLASS|OPERATOR FAMILY|PROCEDURE|PUBLICATION|SCHEMA|SEQUENCE|SERVER|STATISTICS|"
    b"SUBSCRIPTION|TABLE|TEXT SEARCH CONFIGURATION|TEXT SEARCH DICTIONARY|TYPE|VIEW"
)
# Where a table lies and whose it is: of the source's server, and of no restore.
LEFT_OUT = re.compile(
    rb"SET default_tablespace = [^;'$\\]*(?:'[^'\\]*')?;\Z"
    rb"|(?:SET SESSION AUTHORIZATION (?:DEFAULT|%b)|RESET SESSION AUTHORIZATION);\Z"
    rb"|ALTER (?:%b) [^;'$\\]{1,%d} OWNER TO %b;\Z" % (NAME, OWNED, HEAD, NAME)
)
# As pg_dump writes it, with no quoted text before it, and space behind it: with the word gone, no
# quote behind it gets another meaning (as in LANGUAGE e LEAKPROOF'…').
LEAKPROOF = re.compile(
    rb"CREATE (?:OR REPLACE )?FUNCTION [^'$\n]{1,%d}\n    LANGUAGE \w+(?: [A-Z]+)*?"
    rb"(?P<word> LEAKPROOF)(?=[ \n])" % HEAD
)
# What all of these begin with: of a dump with millions of statements the others are passed quickly.
CONCERNED = re.compile(rb"ALTER |COMMENT |CREATE |GRANT |REFRESH |RESET |REVOKE |SECURITY |SET ")
EXTENSION = re.compile(
    rb"CREATE EXTENSION (?:IF NOT EXISTS )?(?P<name>%b)(?: WITH)? SCHEMA (?P<schema>%b);\Z"
    % (NAME, NAME)
)
# What stands before the first extension, or beside it.
BEFORE_EXTENSIONS = re.compile(
    rb"SET |SELECT pg_catalog\.set_config|(?:CREATE|ALTER|COMMENT ON) (?:SCHEMA|EXTENSION) "
)


class Tried:
    """A kind of statement that may be refused.

    :param pattern: what such a statement begins with (bytes)
    :param states: the SQLSTATEs, or their first characters, of refusals that end nothing
    :param note: what to say of it, with ``%(names)s`` for the statements
    :param but: SQLSTATEs that end the restore anyway
    """

    def __init__(self, pattern, states, note, but=()):
        self.pattern, self.states, self.note, self.but = re.compile(pattern), states, note, but

    def condition(self):
        """Return the SQL that is true where the refusal ends nothing."""
        tests = [f"SQLSTATE LIKE '{state}%'" for state in self.states]
        unless = [f"AND SQLSTATE NOT LIKE '{state}%'" for state in self.but]
        return f"({' OR '.join(tests)}) {' '.join(unless)}"


NOT_ALLOWED, DUPLICATE, UNDEFINED = "42501", ("42710", "42P06"), "42704"
# A full disk, a stop, or a defect of the server.
NOT_OF_THE_STATEMENT = ("08", "40", "53", "57", "58", "XX")
TRIED = (
    Tried(
        rb"(?:GRANT|REVOKE)\b[^;'$]* ON |ALTER DEFAULT PRIVILEGES ",
        (NOT_ALLOWED, UNDEFINED, "0L"),
        lambda names: _(
            "Privileges of other roles were left out, because the role is not on that PostgreSQL "
            "or may not be given them by this one: %(names)s",
            names=names,
        ),
    ),
    Tried(
        rb"(?:CREATE|ALTER|COMMENT ON) (?:EVENT TRIGGER|PUBLICATION|SUBSCRIPTION) "
        rb"|SECURITY LABEL ",
        (NOT_ALLOWED, UNDEFINED, "22023"),
        lambda names: _(
            "What only a superuser of that PostgreSQL may make was left out: %(names)s",
            names=names,
        ),
    ),
    Tried(
        rb"REFRESH MATERIALIZED VIEW ",
        ("",),
        lambda names: _(
            "A materialized view could not be computed. It holds no data of its own; refresh it "
            "after a restore. A dump is restored with an empty search_path: most often, what the "
            "view calls names its tables or functions without their schema. %(names)s",
            names=names,
        ),
        NOT_OF_THE_STATEMENT,
    ),
    Tried(
        rb"CREATE POLICY |ALTER TABLE (?:ONLY )?%b (?:ENABLE|FORCE) ROW LEVEL SECURITY;" % NAME,
        (NOT_ALLOWED, *DUPLICATE),
        lambda names: _(
            "Row security that an extension brings by itself was left as it is: %(names)s",
            names=names,
        ),
    ),
    Tried(
        rb"COMMENT ON (?:EXTENSION|SCHEMA) |CREATE SCHEMA public;",
        (NOT_ALLOWED, UNDEFINED, *DUPLICATE),
        None,
    ),
)


class Statement:
    """What may be reported of a statement.

    :ivar head: its first bytes. Not for people: values may stand in them
    :ivar tried: the :class:`Tried` that it is run as, or None
    """

    __slots__ = ("head", "tried")

    def __init__(self, text, tried=None):
        self.head, self.tried = text[:HEAD], tried

    @property
    def title(self):
        """Its keywords and the names in it."""
        found = TITLE.match(self.head)
        return " ".join((found[0] if found else b"").decode("utf-8", "replace").split())

    @property
    def first_line(self):
        """What PostgreSQL quotes of it first where it happens within something else."""
        return self.head.decode("utf-8", "replace").split("\n", 1)[0]


class Feed:
    """The text of a script as psql gets it, and what of it stands on which line, from 1 on.

    :ivar extensions: ``(name, schema)`` of each that the dump creates, as they stand in it
    :ivar is_past_extensions: whether a statement came that stands behind all of them
    """

    def __init__(self):
        self._line, self._parts = 1, []
        self._recent = collections.deque(maxlen=RECENT)
        self._tried, self._leakproof = {}, []
        self._key = secrets.token_hex(8)
        self.extensions, self.is_past_extensions = [], False

    def raw(self, text):
        """Take text as it is."""
        self._parts.append(text)
        self._line += text.count(b"\n")

    def statement(self, text):
        """Take a whole statement; it may be exchanged."""
        if not CONCERNED.match(text):
            self.is_past_extensions |= not BEFORE_EXTENSIONS.match(text)
            self._pass(text, text)
        elif LEFT_OUT.match(text):
            self.raw(b"\n" * text.count(b"\n"))
        else:
            self._note_extension(text)
            tried = next((kind for kind in TRIED if kind.pattern.match(text, 0, LOOK)), None)
            fed = self._as_tried(text, tried) if tried else self._without_leakproof(text)
            self._pass(text, fed, tried)

    def _pass(self, text, fed, tried=None):
        self.raw(fed)
        statement = Statement(text, tried)
        self._recent.append((self._line, statement))
        if tried and len(self._tried) < NOTED:
            self._tried[self._line] = statement

    def _note_extension(self, text):
        if found := EXTENSION.match(text):
            if len(self.extensions) < EXTENSIONS:
                self.extensions.append(tuple(found.group("name", "schema")))
        elif not BEFORE_EXTENSIONS.match(text):
            self.is_past_extensions = True

    def _without_leakproof(self, text):
        found = LEAKPROOF.match(text)
        if not found:
            return text
        if len(self._leakproof) < NOTED:
            self._leakproof.append(Statement(text).title)
        return text[: found.start("word")] + text[found.end("word") :]

    def take(self):
        """Return what came since the last time."""
        text = b"".join(self._parts)
        self._parts.clear()
        return text

    def _as_tried(self, text, tried):
        tags = [f"$backup_{secrets.token_hex(8)}$" for _tag in range(2)]
        beginning = f"DO {tags[0]}BEGIN EXECUTE {tags[1]}"
        end = (
            f"{tags[1]}; EXCEPTION WHEN OTHERS THEN IF {tried.condition()} THEN "
            f"RAISE WARNING '{self._key} %', SQLSTATE; ELSE RAISE; END IF; END{tags[0]};"
        )
        return beginning.encode() + text + end.encode()

    # --- what became of them --------------------------------------------------------------------

    def at(self, line):
        """Return the :class:`Statement` that ends on a line of what psql was fed, or None."""
        return next((found for at, found in self._recent if at == line), None)

    def refused_pattern(self):
        """Return the pattern of psql's line on a tried statement that was refused."""
        return re.compile(rf"psql:<stdin>:(\d+): [^:\s]+:  01000: {self._key} (\w{{5}})$")

    def notes(self, refusals):
        """Return notes for people on the ``(line, SQLSTATE)`` of what was refused and tolerated."""
        titles = collections.defaultdict(list)
        for line, sqlstate in refusals:
            statement = self._tried.get(line)
            if statement and statement.tried.note:
                titles[statement.tried].append(f"{statement.title} ({sqlstate})")
        notes = [tried.note(listed(names)) for tried, names in titles.items()]
        if self._leakproof:
            notes.append(
                _(
                    "LEAKPROOF, which only a superuser may say of a function, was left out: "
                    "%(names)s",
                    names=listed(self._leakproof),
                )
            )
        return notes


def listed(names):
    """Return the first names, and how many more there are."""
    shown = joined(", ", names[:NAMED])
    if not names[NAMED:]:
        return shown
    return _("%(names)s and %(count)s more", names=shown, count=len(names) - NAMED)
