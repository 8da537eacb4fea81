"""What PostgreSQL says when it refuses something, without the values of rows.

PostgreSQL's errors quote rows: DETAIL ("Failing row contains …"), CONTEXT ("COPY t, line 1: …"),
the texts of RAISE, and the messages on values that do not fit. A :class:`Failure` keeps those to
itself. It reports the SQLSTATE with the names of what was concerned, and PostgreSQL's primary
message only where that is of a kind that names objects and never values.

psql is asked for verbose messages, so that all this stands in fields of their own. pg_restore has
no such option, and never talks to a server here.
"""

import re

from ..messages import _, joined

NAMES = (
    ("schema", "SCHEMA NAME"),
    ("table", "TABLE NAME"),
    ("column", "COLUMN NAME"),
    ("datatype", "DATATYPE NAME"),
    ("constraint", "CONSTRAINT NAME"),
)
QUERY, CONTEXT, LOCATION = "QUERY:  ", "CONTEXT:  ", "LOCATION:  "
# The severity is in the server's language, and the file that of a script on stdin.
SERVER_ERROR = re.compile(r"psql:<stdin>:(\d+): (?:[^:\s]+:  )([0-9A-Z]{5}): (.*)")
OWN_ERROR = re.compile(r"(?:psql:<stdin>:(?P<line>\d+): |(?:psql|pg_restore): )(?P<text>.*)")
# Successful completion, warning, no data.
NO_ERROR = ("00", "01", "02")

# The first characters of SQLSTATEs whose primary messages name objects, and never values.
NAMES_OBJECTS = (
    "08", "0A", "0L", "0P", "23", "25", "28", "2B", "3D", "3F", "42", "53", "54", "55", "57", "58",
)  # fmt: skip
# The same of messages about the rows of a COPY, whose values may be names of objects.
NAMES_OBJECTS_IN_ROWS = ("08", "23", "53", "54", "57", "58")
# A syntax error quotes what it stumbles over.
QUOTES_STATEMENT = ("42601",)
# Of other classes, messages that quote what a statement of pg_dump says of an object,
# and those that quote nothing.
DEFINITIONS = re.compile(
    r'extra data after last expected column|missing data for column "[^"]*"'
    r'|could not create locale "[^"]*".*'
    r'|invalid value for parameter "default_(?:tablespace|table_access_method)": "[^"]*"'
    r'|could not open collator for locale "[^"]*".*'
)
RAISED_BY = "exec_stmt_raise"
COPY_CONTEXT = re.compile(
    r'COPY (?P<table>[^,\n]+)(?:, line (?P<row>\d+))?(?:, column (?P<column>[^:\n]+))?(?::|$)'
)
# Code of a dump that does not put statements together from values.
STATIC = (
    r'SQL function "[^"\n]+" (?:statement \d+|during (?:inlining|startup))'
    r"|PL/pgSQL function (?P<pl>[\w.\"$]+\([\w ,.\"\[\]]*\)) line \d+ at "
    r"(?:RETURN|IF|PERFORM|assignment|SQL statement|statement block)"
)
CODE_CONTEXT = re.compile(
    r"(?:PL/\S+|SQL) function (?P<name>\"[^\"\n]+\"|[\w.\"$]+\([\w ,.\"\[\]]*\))"
)
# SQL statement "…, in any language.
WRAPPED = r'[^"„»«]{1,40}["„»«]\s?'
CODE = re.compile(r"function |PL/|inline_code_block|SQL statement|SQL expression")
STATIC_CONTEXT = re.compile(rf"(?:{STATIC})")
# What static code lacks, by a name that stands in the code: PostgreSQL shows the query where it
# finds that in its text, and not where a value was taken for a name (v::regclass).
LACKING = re.compile(
    r"(?:function|relation|type|schema|column|operator|text search dictionary) "
    r"\"?[a-z_][a-z0-9_.$]*\"?(?:\([a-z0-9_ ,.\[\]]*\))? does not exist"
)
# What psql, pg_restore and libpq say by themselves, of which nothing is of a dump's rows.
OWN_TEXT = re.compile(
    r"(?:error: |fatal: |FATAL:  )*(?:"
    r"connection to server.*|server closed the connection unexpectedly.*|"
    r"could not (?:connect|translate host name|receive data|send data).*|"
    r"SSL (?:connection|error|SYSCALL).*|fe_sendauth: .*|.*timeout expired|"
    r"backslash commands are restricted; only \\unrestrict is allowed|\\unrestrict: wrong key|"
    r".*: No space left on device|out of memory|role \"[^\"]+\" does not exist|"
    r"(?:connection|cursor) already closed|sorry, too many clients already|"
    r"terminating connection.*|"
    r"(?:psql|pg_restore) ended with code -?\d+\.)"
)
# A message of several lines goes on with rows.
TEXT_LIMIT = 500


class Failure:
    """A refusal.

    :ivar sqlstate: five characters; empty where a program or libpq speaks for itself
    :ivar text: the primary message. Not for people: see :meth:`message`
    :ivar place: the function of PostgreSQL's source that refused it, in any language the same
    :ivar names: by ``schema table column datatype constraint function``, those that are known
    :ivar line: of the script that was run; 0 when not known
    :ivar row: the line within the rows of its COPY; 0 when none
    :ivar is_of_code: whether it happened within a function that the dump brought
    :ivar statement: a :class:`.statements.Statement` that was refused, where it is known
    """

    def __init__(  # noqa: PLR0913
        self, sqlstate="", text="", names=None, line=0, context="", raised_by="", query=""
    ):
        self.sqlstate, self.line = sqlstate, line
        self.text = text.split("\n", 1)[0].strip()[:TEXT_LIMIT]
        self.row, self.statement, self.place = 0, None, raised_by
        self._is_raised, self._is_of_text = raised_by == RAISED_BY, bool(query)
        # RAISE … USING sets these to whatever it likes.
        self.names = {} if self._is_raised else dict(names or {})
        self._context = [line.strip() for line in context.split("\n") if line.strip()]
        self._note_context()
        self.is_of_code = self._is_code()

    def _is_code(self):
        return self._is_raised or any(CODE.search(line) for line in self._outside_rows())

    def _note_context(self):
        for line in self._context:
            if copy := COPY_CONTEXT.match(line):
                self.names["table"] = self.names.get("table") or copy["table"]
                self.names["column"] = self.names.get("column") or copy["column"]
                self.row = int(copy["row"] or 0)
            elif (code := CODE_CONTEXT.match(line)) and "function" not in self.names:
                self.names["function"] = code["name"].strip('"')
        self.names = {key: name for key, name in self.names.items() if name}

    def note_statement(self, statement):
        """Note which statement was refused, or None where that is not known."""
        self.statement = statement
        if statement and statement.tried:
            # What it was wrapped in is no code of the dump.
            wrapped = re.compile(WRAPPED + re.escape(statement.first_line[:40]))
            found = [at for at, line in enumerate(self._context) if wrapped.match(line)]
            if found:
                del self._context[found[-1] :]
                self.is_of_code = self._is_code()

    # --- what may be reported -------------------------------------------------------------------

    @property
    def is_raised(self):
        return self._is_raised or self.sqlstate.startswith("P0")

    @property
    def words(self):
        """The primary message where it holds no value of a row; else an empty text."""
        return self.text if self._names_objects() else ""

    def _outside_rows(self):
        return [line for line in self._context if not line.startswith("COPY ")]

    def _names_objects(self):
        if not self.sqlstate:
            is_pg_restore = self.text.startswith("pg_restore: error: ")
            return is_pg_restore or bool(OWN_TEXT.fullmatch(self.text))
        if self.is_raised or self.sqlstate in QUOTES_STATEMENT:
            return False
        if self.is_of_code:
            code = [line for line in self._outside_rows() if CODE.search(line)]
            is_static = bool(code) and all(STATIC_CONTEXT.fullmatch(line) for line in code)
            return is_static and self._is_of_text and bool(LACKING.fullmatch(self.text))
        known = NAMES_OBJECTS_IN_ROWS if self._context else NAMES_OBJECTS
        return self.sqlstate.startswith(known) or bool(DEFINITIONS.fullmatch(self.text))

    def message(self):
        """Return what people may read of it."""
        text = self.words or condition_of(self.sqlstate)
        head = f"{self.sqlstate}: {text}" if self.sqlstate else text
        if places := self._places():
            return _(
                "PostgreSQL: %(words)s (%(places)s)", words=head, places=joined("; ", places)
            )
        return _("PostgreSQL: %(words)s", words=head)

    def _places(self):
        names, said = self.names, self.words
        table = ".".join(names[key] for key in ("schema", "table") if key in names)
        kinds = (
            (_("table %(name)s", name=table), table),
            (_("column %(name)s", name=names.get("column")), names.get("column")),
            (_("type %(name)s", name=names.get("datatype")), names.get("datatype")),
            (_("constraint %(name)s", name=names.get("constraint")), names.get("constraint")),
            (_("function %(name)s", name=names.get("function")), names.get("function")),
        )
        places = [text for text, name in kinds if name and f'"{name}"' not in said]
        if self.statement:
            places.append(_("statement %(name)s", name=self.statement.title))
        if self.row:
            places.append(_("row %(number)s of the table's data", number=self.row))
        if self.line:
            places.append(_("line %(number)s of the dump", number=self.line))
        return places


def condition_of(sqlstate):
    """Return PostgreSQL's name of a condition, such as ``check_violation``."""
    try:
        from psycopg2 import errorcodes  # noqa: PLC0415 - needed only here

        return errorcodes.lookup(sqlstate).lower()
    except (ImportError, KeyError):
        return "error"


# --- where they come from -----------------------------------------------------------------------


def of_driver(error):
    """Return the :class:`Failure` of an error of psycopg2."""
    diagnosis = error.diag
    if not error.pgcode:
        # The words of libpq, before or after a session.
        text = " ".join(str(error).split()) or type(error).__name__
        return Failure(text=text)
    names = {
        "schema": diagnosis.schema_name,
        "table": diagnosis.table_name,
        "column": diagnosis.column_name,
        "datatype": diagnosis.datatype_name,
        "constraint": diagnosis.constraint_name,
    }
    return Failure(
        error.pgcode,
        diagnosis.message_primary or "",
        names,
        context=diagnosis.context or "",
        raised_by=diagnosis.source_function or "",
        query=diagnosis.internal_query or "",
    )


def of_program(lines, otherwise):
    """Return the :class:`Failure` that the lines of psql or pg_restore report.

    :param otherwise: the text where they report none
    """
    for position, line in enumerate(lines):
        if (found := SERVER_ERROR.match(line)) and not found[2].startswith(NO_ERROR):
            return of_fields(found, lines[position + 1 :])
    for line in lines:
        if (own := OWN_ERROR.match(line)) and not is_notice(own["text"]):
            text = line if line.startswith("pg_restore: ") else own["text"]
            return Failure(text=text, line=int(own["line"] or 0))
    return Failure(text=otherwise)


def is_notice(text):
    return bool(re.match(r"warning: |[^:\s]+:  0[0-2]\w{3}: ", text))


def is_error(line):
    """Return whether a line of a program begins an error."""
    if found := SERVER_ERROR.match(line):
        return not found[2].startswith(NO_ERROR)
    own = OWN_ERROR.match(line)
    return bool(own) and not is_notice(own["text"])


def of_fields(found, lines):
    """Return the failure whose first line was ``found`` and whose fields are in ``lines``.

    A value of a row may have lines that look like fields: those that are reported are read from the
    end on, where psql writes them last and in this order.
    """
    located, names = ends_with(lines), {}
    end = len(lines) if located is None else located
    for key, label in reversed(NAMES):
        if end and (field := re.fullmatch(rf"{label}:  (.*)", lines[end - 1])):
            names[key] = field[1]
            end -= 1
    marks = [at for at, line in enumerate(lines[:end]) if line.startswith(CONTEXT)]
    context = lines[marks[-1] : end] if marks else []
    failure = Failure(
        found[2],
        found[3],
        names,
        int(found[1]),
        "\n".join(context).removeprefix(CONTEXT),
        "" if located is None else lines[located].removeprefix(LOCATION).partition(",")[0],
        next((line for line in lines[: marks[-1]] if line.startswith(QUERY)), "") if marks else "",
    )
    # Of whatever may be a context, code makes its message one that is not reported.
    failure.is_of_code |= any(CODE.search(line) for at in marks[:-1] for line in lines[at:end])
    return failure


def ends_with(lines):
    """Return at which line the place in PostgreSQL's source is named, or None."""
    located = [at for at, line in enumerate(lines) if line.startswith(LOCATION)]
    return located[-1] if located else None
