"""Which tables a dump creates, and whether it has the rows of each."""

import re

from ..errors import Inconsistent
from ..messages import _
from .copytext import NAME, plain_name

# Odoo's tables are in it. What is elsewhere belongs to extensions, which create tables unseen.
PUBLIC = "public"

_STATEMENT = re.compile(
    rb"CREATE (?P<kind>UNLOGGED |FOREIGN )?TABLE (?:IF NOT EXISTS )?(?P<table>%b)"
    rb"|CREATE MATERIALIZED VIEW (?P<view>%b)"
    rb"|ALTER TABLE (?:ONLY )?(?P<altered>%b)\s+ADD CONSTRAINT "
    rb"|CREATE (?:UNIQUE )?INDEX %b ON (?:ONLY )?(?P<indexed>%b)"
    rb"|SET search_path = (?P<path>%b)" % (NAME, NAME, NAME, NAME, NAME, NAME)
)
_FOREIGN_KEY, _REFERENCES = b" FOREIGN KEY (", b") REFERENCES "
_REFERENCED = re.compile(rb"(%b)\(" % NAME)
_PARTITIONED = b"\nPARTITION BY "
# Bytes of a statement in which the names stand that are looked for: two at most, of 63 bytes each.
_HEAD = 1024
# An Odoo with every module that there is has a few thousand.
MAX_TABLES = 200_000


class Schema:
    """What the statements of a dump say about its tables; names are ``schema.table``.

    ``default`` is the schema of a name without one: pg_dump before March 2018 wrote such names.
    """

    def __init__(self):
        self.default = PUBLIC
        self._ordinary, self._known, self._used = set(), set(), set()
        self.with_rows = set()

    def see(self, statement):
        """Note what a statement (bytes, from its first word) creates or needs."""
        found = _STATEMENT.match(statement, 0, _HEAD)
        if not found:
            return
        kind, name = found.lastgroup, found[found.lastgroup]
        if kind == "path":
            self.default = plain_name(name, "").rpartition(".")[2]
            return
        name = plain_name(name, self.default)
        if kind == "table":
            self._create(name, found["kind"], statement)
        elif kind == "view":
            self._known.add(name)
        else:
            self._used.add(name)
            if kind == "altered" and (foreign := _referenced(statement)):
                self._used.add(plain_name(foreign, self.default))
        self._require_few()

    def has_rows(self, name):
        """Note that the dump has the rows of a table, were it none."""
        self.with_rows.add(name)
        self._known.add(name)
        self._require_few()

    def without_rows(self):
        """Return the tables that are created and get no rows, sorted.

        A table that is empty has a section of no rows. None have partitioned and foreign tables;
        and unlogged ones where the dump was made on a standby server.
        """
        return sorted(self._ordinary - self.with_rows)

    def never_created(self):
        """Return the tables of Odoo's schema that have an index or a key and nothing else."""
        return sorted(name for name in self._used - self._known if name.startswith(f"{PUBLIC}."))

    def _require_few(self):
        """Raise :class:`Inconsistent` for a dump that names more tables than Odoo can have."""
        if len(self._known) + len(self._used) > 2 * MAX_TABLES:
            raise Inconsistent(
                _(
                    "The dump names more than %(limit)s tables: it is not of an Odoo database.",
                    limit=MAX_TABLES,
                )
            )

    def _create(self, name, kind, statement):
        self._known.add(name)
        if kind is None and _PARTITIONED not in statement:
            self._ordinary.add(name)


def _referenced(statement):
    """Return the table that a statement's foreign key leads to, or None."""
    columns = statement.find(_FOREIGN_KEY)
    references = statement.find(_REFERENCES, columns) if columns >= 0 else -1
    if references < 0:
        return None
    found = _REFERENCED.match(statement, references + len(_REFERENCES))
    return found and found[1]
