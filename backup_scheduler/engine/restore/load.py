"""Loading the dump of an archive into an empty database, and counting what came of it."""

import contextlib
import os

from ..archive.checkers import DUMP
from ..archive.levels import CONSISTENT
from ..archive.pgcustom import CustomDump
from ..archive.schema import ANCHORS, PUBLIC
from ..archive.source import Source
from ..errors import BackupError, DatabaseServerFailed, LibraryMissing, RestoreFailed
from ..messages import _
from .causes import NOT_THE_ARCHIVE, error_of
from .members import Members, is_stored_file
from .psql import CLIENT, ProgramFailed, Script, as_script, newest_of, run_script
from .server import session_options, sql
from .statements import Feed

# What is counted, and how people call it.
COUNTS = {
    "tables": _("tables"),
    "attachments": _("attachments"),
    "users": _("users"),
    "modules": _("installed modules"),
}
# Modules that are named in a message.
NAMED = 5

# pg_dump has the rows of ordinary tables, and of those of an extension that asked for it.
TABLES = """
    SELECT count(*)
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r'
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_depend d
             JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
            WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
              AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e'
              AND c.oid <> ALL (coalesce(e.extconfig, '{}')))
"""
# Where Odoo has its tables, as level 3 finds it (Schema.home).
HOME = """
    SELECT n.nspname
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relname = ANY(%s) AND n.nspname !~ '^pg_'
     GROUP BY 1 HAVING count(*) = %s
     ORDER BY n.nspname <> 'public', 1 LIMIT 1
"""
IS_TABLE = "SELECT pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %s, %s)) IS NOT NULL"
ROWS = {"attachments": "ir_attachment", "users": "res_users"}
MODULES = "ir_module_module"
INSTALLED = "SELECT name FROM {} WHERE state IN %s ORDER BY id"
# All tables that may have rows in a dump; of a partitioned one they are counted in its partitions.
RELATIONS = """
    SELECT n.nspname, c.relname, c.relkind = 'p', c.relrowsecurity AND c.relforcerowsecurity
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_'
"""
COUNT, COUNT_OF_ALL = "SELECT count(*) FROM ONLY {}", "SELECT count(*) FROM {}"


# --- the dump -----------------------------------------------------------------------------------


def load(path, archive_format, scratch, meter, control):
    """Load the dump of the archive into the scratch database, and stop at its first error.

    :param scratch: a :class:`.scratch.Scratch`, empty
    :param meter: a :class:`Meter`, which is told each block
    :return: notes for people, on what was left out

    Raises the kinds of the archive for a dump that cannot be read to its end,
    :class:`RestoreFailed` for one that PostgreSQL refuses, :class:`NoSpace` and
    :class:`DatabaseServerFailed` for what is the server's own.
    """
    with contextlib.ExitStack() as stack:
        if archive_format == "zip":
            members = stack.enter_context(Members(path))
            blocks = meter.counted(members.blocks(members.find(DUMP)))
            return load_script(blocks, scratch, control)
        file = stack.enter_context(open(path, "rb"))
        made_by = version_of(file)
        environment = scratch.owner.server.environment("")
        blocks = stack.enter_context(contextlib.closing(as_script(file, environment)))
        return load_script(meter.followed(file, blocks), scratch, control, made_by)


def load_script(blocks, scratch, control, made_by=0):
    """Load the script that comes in blocks by psql; return notes for people.

    :param made_by: the newest PostgreSQL that the dump is of, where its script does not say it
    """
    options = session_options(scratch.session)
    script = Script(blocks, scratch.session.version, Feed(), scratch.prepare)
    with failures_told(scratch, lambda: made_by or script.made_by):
        return run_script(scratch.owner.server, scratch.name, script, options, control)


def size_of(path, archive_format):
    """Return the bytes of the dump that are to be fed, and those of the filestore."""
    if archive_format == "dump":
        with open(path, "rb") as file:
            return Source(file).size, 0
    dump = files = 0
    with Members(path) as members:
        for entry in members.entries():
            if entry.name == DUMP:
                dump = entry.size
            elif is_stored_file(entry):
                files += entry.size
    return dump, files


def made_by(path, archive_format):
    """Return the newest PostgreSQL that the dump says to be of; 0 where that is not known."""
    try:
        if archive_format == "dump":
            with open(path, "rb") as file:
                return version_of(file)
        with Members(path) as members:
            head = next(members.blocks(members.find(DUMP)), b"")
        return newest_of(head)
    except BackupError:
        # Loading the archive reports its fault.
        return 0


def version_of(file):
    """Return the newest PostgreSQL that a custom dump says to be of; go back to its beginning."""
    header = CustomDump(Source(file)).read_header()
    file.seek(0)
    texts = (header.server_version, header.pg_dump_version)
    return max(int(text.split(".")[0].split()[0]) for text in texts)


@contextlib.contextmanager
def failures_told(scratch, made_by):
    """Say what an error of psql or pg_restore means.

    A server older than the dump does not know all that stands in it, so that its refusal proves
    nothing against the archive.
    """
    try:
        yield
    except ProgramFailed as error:
        failure, newest = error.failure, made_by()
        served = scratch.session.version // 10_000
        if "in file header" in failure.words:
            raise LibraryMissing(
                _(
                    "The pg_restore of this machine is too old for the dump: %(words)s",
                    words=failure.words,
                ),
                hint=_new_enough(newest),
            ) from None
        if newest > served:
            older = _(
                "The dump is of PostgreSQL %(newest)s, and the server that it was restored "
                "into is a PostgreSQL %(served)s: take one at least as new. %(note)s",
                newest=newest,
                served=served,
                note=NOT_THE_ARCHIVE,
            )
            raise error_of(failure, DatabaseServerFailed, older) from None
        raise error_of(failure) from None


def _new_enough(newest):
    if not newest:
        return _("%(client)s It must be of the remote's PostgreSQL or later.", client=CLIENT)
    return _(
        "%(client)s It must be of PostgreSQL %(newest)s or later.", client=CLIENT, newest=newest
    )


class Meter:
    """How many bytes of all went in.

    :param dump: bytes of the dump
    :param files: bytes of the filestore
    """

    def __init__(self, control, dump, files=0):
        self._control = control
        self.dump = dump
        self._total = dump + files
        self._done = 0

    def counted(self, blocks):
        """Yield the blocks, and count each when the next one is asked for."""
        for block in blocks:
            yield block
            self.advance(len(block))

    def followed(self, file, blocks):
        """Yield the blocks that another process makes of the file; count what it has read of it.

        They may be more than the file has.
        """
        for block in blocks:
            yield block
            self.advance(os.lseek(file.fileno(), 0, os.SEEK_CUR) - self._done)

    def advance(self, length):
        """Count ``length`` bytes; raise the reason to stop, if there is one."""
        self._done += length
        self._control.progress(self._done, self._total)


# --- what came of it ----------------------------------------------------------------------------


def count(session):
    """Return the :data:`COUNTS` of a database, and the names of its modules."""
    counts, home = {"tables": session.value(TABLES)}, home_of(session)
    for key, table in ROWS.items():
        there = session.value(IS_TABLE, home, table)
        counts[key] = session.value(of_table(COUNT_OF_ALL, home, table)) if there else 0
    modules = installed(session, ("installed",))
    return {**counts, "modules": len(modules)}, modules


def installed(session, states):
    """Return the names of the modules in these states, in the order of their making."""
    home = home_of(session)
    if not session.value(IS_TABLE, home, MODULES):
        return []
    return [name for (name,) in session.rows(of_table(INSTALLED, home, MODULES), states)]


def home_of(session):
    """Return the schema in which Odoo has its tables."""
    return session.value(HOME, list(ANCHORS), len(ANCHORS)) or PUBLIC


def of_table(query, schema, table):
    """Return a query of a table."""
    return sql.SQL(query).format(sql.Identifier(schema, table))


def count_rows(session, names):
    """Return the number of rows of those of the tables (``schema.table``) that are there."""
    rows = {}
    if not names:
        return rows
    for schema, table, partitioned, forced in session.rows(RELATIONS):
        if (name := f"{schema}.{table}") in names:
            query = of_table(COUNT_OF_ALL if partitioned else COUNT, schema, table)
            with unforced(session, schema, table) if forced else contextlib.nullcontext():
                rows[name] = session.value(query)
    return rows


@contextlib.contextmanager
def unforced(session, schema, table):
    """Count as the owner of a table whose row-level security is forced on its owner too."""
    force = "ALTER TABLE {} %s ROW LEVEL SECURITY"
    with session.transaction():
        session.rows(of_table(force % "NO FORCE", schema, table))
        yield
        session.rows(of_table(force % "FORCE", schema, table))


def compare(report, counts, modules):
    """Raise :class:`RestoreFailed` where the database is not what the archive was found to hold.

    :param report: as a verification left it; below level 3 a count of 0 means that it is unknown
    """
    for key, what in COUNTS.items():
        expected = report.get(key, 0)
        if key == "tables" and (report.get("rows") or counts[key] > expected):
            # Where they are known, their rows are compared. A newer extension may have more tables.
            continue
        if (expected or report.get("level", 0) >= CONSISTENT) and counts[key] != expected:
            raise RestoreFailed(
                _(
                    "The restored database has %(found)s %(what)s, the archive %(expected)s.",
                    found=counts[key],
                    what=what,
                    expected=expected,
                )
            )
    promised = (report.get("manifest") or {}).get("modules")
    if promised is not None and set(promised) != set(modules):
        odd = sorted(set(promised) ^ set(modules))
        raise RestoreFailed(
            _(
                "The installed modules of the restored database are not those of the manifest: "
                "%(names)s.",
                names=_listed(odd),
            )
        )


def _listed(names):
    """Return the first names, and how many more there are."""
    if not names[NAMED:]:
        return ", ".join(names)
    more = len(names) - NAMED
    return _("%(names)s and %(count)s more", names=names[:NAMED], count=more)
