"""Which tables a dump creates, and how many rows it has of each."""

import re

from ..errors import Inconsistent
from ..messages import _
from .copytext import NAME, codec_of, names_in, plain_name

PUBLIC = "public"
# The tables by which a schema is known for the one that Odoo has its tables in.
ANCHORS = ("ir_attachment", "ir_module_module", "res_users")
# Extensions that bring no table which a foreign key could lead to: Odoo's own two, the others of
# PostgreSQL's contrib, procedural languages, and vector (of Odoo 19's AI).
WITHOUT_TABLES = frozenset(
    b"plpgsql plperl plperlu plpython3u pltcl pg_trgm unaccent hstore citext uuid-ossp pgcrypto "
    b"btree_gin btree_gist ltree fuzzystrmatch intarray cube earthdistance tablefunc dblink "
    b"postgres_fdw file_fdw pg_stat_statements pg_buffercache pageinspect pgstattuple pg_prewarm "
    b"pgrowlocks amcheck lo isn seg bloom dict_int dict_xsyn sslinfo xml2 vector".split()
)

_STATEMENT = re.compile(
    rb"CREATE (?P<kind>UNLOGGED |FOREIGN )?TABLE (?:IF NOT EXISTS )?(?P<table>%b)"
    rb"(?: PARTITION OF (?P<whole>%b))?"
    rb"|CREATE MATERIALIZED VIEW (?P<view>%b)"
    rb"|ALTER TABLE (?:ONLY )?(?P<altered>%b)\s+ADD CONSTRAINT "
    rb"|ALTER TABLE (?:ONLY )?(?P<parent>%b) ATTACH PARTITION (?P<part>%b) "
    rb"|CREATE (?:UNIQUE )?INDEX %b ON (?:ONLY )?(?P<indexed>%b)"
    rb"|CREATE EXTENSION (?:IF NOT EXISTS )?(?P<extension>\"[^\"]{1,63}\"|\w{1,63})"
    rb"|SELECT pg_catalog\.lo_create\('(?P<object>[0-9]{1,10})'\)"
    rb"|SET client_encoding = '(?P<encoding>\w{1,63})'"
    rb"|SET search_path = (?P<path>%b)" % ((NAME,) * 9)
)
_FOREIGN_KEY, _REFERENCES = b" FOREIGN KEY (", b") REFERENCES "
_REFERENCED = re.compile(rb"(%b)\(" % NAME)
_CASCADE = b" ON DELETE CASCADE"
_PARTITIONED, _INHERITS = b"\nPARTITION BY ", b"\nINHERITS ("
# Bytes of a statement in which the names stand that are looked for: two at most, of 63 bytes each.
_HEAD = 1024
# An Odoo with every module that there is has a few thousand.
MAX_TABLES = 200_000
# Tables that a partition is looked for in, upwards; nobody has partitions of partitions of these.
MAX_ANCESTORS = 50


class Schema:
    """What the statements of a dump say about its tables; names are ``schema.table``.

    ``default`` is the schema of a name without one: pg_dump before March 2018 wrote such names.
    ``encoding`` is that of the dump, as Python calls it. ``rows`` is the number of rows that the
    dump has of each table.

    :param large_object: called with the number (bytes) of each large object that is created
    """

    def __init__(self, large_object=None):
        self.default, self.encoding = PUBLIC, "utf-8"
        self.rows = {}
        self._large_object = large_object or (lambda _number: None)
        self._created, self._ordinary = set(), set()
        self._known, self._used = set(), set()
        # What a foreign key leads to, and the tables whose rows go with a row of it.
        self._referenced, self._cascades = set(), {}
        # The tables that a partition, or a table that inherits, belongs to.
        self._parents = {}
        self._links = 0
        self._extended = False
        self._anchors, self._home = {}, None

    def see(self, statement):
        """Note what a statement (bytes, from its first word) creates or needs."""
        found = _STATEMENT.match(statement, 0, _HEAD)
        if not found:
            return
        if found["object"]:
            self._large_object(found["object"])
        elif found["extension"]:
            self._extended |= found["extension"].strip(b'"') not in WITHOUT_TABLES
        elif found["encoding"]:
            self.encoding = codec_of(found["encoding"])
        elif found["path"]:
            self.default = self.name_of(found["path"]).rpartition(".")[2]
        elif found["table"]:
            self._create(found, statement)
        elif found["part"]:
            self._belongs(self.name_of(found["part"]), [found["parent"]])
        elif found["view"]:
            self._known.add(self.name_of(found["view"]))
        elif found["altered"]:
            self._constrain(self.name_of(found["altered"]), statement)
        else:
            self._used.add(self.name_of(found["indexed"]))
        self._require_few()

    def has_rows(self, name, number=0):
        """Note that the dump has ``number`` more rows of a table, were it none."""
        self.rows[name] = self.rows.get(name, 0) + number
        self._known.add(name)
        self._require_few()

    @property
    def home(self):
        """The schema that Odoo has its tables in; it stays what it is once it was asked for.

        The one that has all of :data:`ANCHORS`; ``public`` where it has them, or none has: it is
        the one that PostgreSQL and Odoo use unless the database or the role sets another one.
        """
        if self._home is None:
            whole = [name for name, found in self._anchors.items() if len(found) == len(ANCHORS)]
            self._home = PUBLIC if PUBLIC in whole else min(whole, default=PUBLIC)
        return self._home

    def odoo_table(self, name):
        """Return the name of the table of Odoo that a table is or belongs to, without the schema.

        None for a table of another schema. The rows of a partition, or of a table that inherits,
        are rows of the whole.
        """
        todo, seen = [name], set()
        while todo and len(seen) < MAX_ANCESTORS:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += self._parents.get(name, ())
        roots = [name for name in seen if name.rpartition(".")[0] == self.home]
        roots.sort(key=lambda name: (name in self._parents, name))
        return roots[0].rpartition(".")[2] if roots else None

    def is_known(self, name):
        """Whether the dump creates the table, or has rows of it."""
        return name in self._known

    def of_extensions(self):
        """Return the tables that the dump has rows of and does not create."""
        return sorted(self.rows.keys() - self._created)

    def emptied_with(self, names):
        """Return the tables with rows that foreign keys empty together with those, and them."""
        todo, found = list(names), set()
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += self._cascades.get(name, ())
        return sorted(found & self.rows.keys())

    def without_rows(self):
        """Return the tables that are created and get no rows, sorted.

        A table that is empty has a section of no rows. None have partitioned and foreign tables;
        and unlogged ones where the dump was made on a standby server.
        """
        return sorted(self._ordinary - self.rows.keys())

    def never_created(self):
        """Return the tables of Odoo's schema that have an index or a key and nothing else.

        Where the dump makes an extension that may bring tables, a foreign key may lead to one of
        these, which no dump creates: see :meth:`perhaps_of_extensions`.
        """
        used = self._used if self._extended else self._used | self._referenced
        return self._at_home(used - self._known)

    def perhaps_of_extensions(self):
        """Return the tables of Odoo's schema that only foreign keys mention, where an extension
        may have brought them."""
        return self._at_home(self._referenced - self._used - self._known) if self._extended else []

    def _at_home(self, names):
        return sorted(name for name in names if name.startswith(f"{self.home}."))

    def name_of(self, name):
        """Return ``schema.table`` of an SQL name (bytes)."""
        return plain_name(name, self.default, self.encoding)

    def _require_few(self):
        """Raise :class:`Inconsistent` for a dump that names more tables than Odoo can have."""
        names = max(map(len, (self._known, self._used, self._referenced)))
        if max(names, self._links) > MAX_TABLES:
            raise Inconsistent(
                _(
                    "The dump names more than %(limit)s tables: it is not of an Odoo database.",
                    limit=MAX_TABLES,
                )
            )

    def _create(self, found, statement):
        name = self.name_of(found["table"])
        self._known.add(name)
        self._created.add(name)
        if found["kind"] is None and _PARTITIONED not in statement:
            self._ordinary.add(name)
        schema, _dot, table = name.rpartition(".")
        if table in ANCHORS:
            self._anchors.setdefault(schema, set()).add(table)
        self._belongs(name, [found["whole"]] if found["whole"] else _inherited(statement))

    def _belongs(self, name, parents):
        if parents:
            self._parents[name] = [self.name_of(parent) for parent in parents[:MAX_ANCESTORS]]
            self._links += len(self._parents[name])

    def _constrain(self, name, statement):
        self._used.add(name)
        if foreign := _referenced(statement):
            foreign = self.name_of(foreign)
            self._referenced.add(foreign)
            if _CASCADE in statement:
                self._cascades.setdefault(foreign, set()).add(name)
                self._links += 1


def _referenced(statement):
    """Return the table that a statement's foreign key leads to, or None."""
    columns = statement.find(_FOREIGN_KEY)
    references = statement.find(_REFERENCES, columns) if columns >= 0 else -1
    if references < 0:
        return None
    found = _REFERENCED.match(statement, references + len(_REFERENCES))
    return found and found[1]


def _inherited(statement):
    """Return the names of the tables that a new table inherits from."""
    at = statement.rfind(_INHERITS)
    return names_in(statement, at + len(_INHERITS)) if at >= 0 else []
