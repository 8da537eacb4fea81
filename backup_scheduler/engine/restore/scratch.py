"""Scratch databases, and the restore drill: level 4 of a verification, *restored*.

A scratch database is marked three times over. Its *name* ends in a checksum of itself, so that
nobody else's database is ever taken for one. An *advisory lock* on that name, held on the server by
the session that made it, says that its process lives: several backup servers may share a PostgreSQL
and sweep it. And it is a *template*, which Odoo neither lists nor runs scheduled actions in: an
Odoo that serves all databases of its role would otherwise send the mail of a restored production.
"""

import hashlib
import re

from ..archive.levels import RESTORED
from ..errors import BackupError, DatabaseExists, DatabaseServerFailed
from ..messages import _
from .load import Meter, compare, count, load, size_of
from .server import DatabaseServer, psycopg2, sql

KINDS = ("drill", "restore")
NAME = re.compile(r"(?P<stem>backup_(?:drill|restore)_[a-z0-9_]*)_(?P<sum>[0-9a-f]{8})")
# PostgreSQL cuts names after 63 bytes; a token has 32 characters.
TOKEN_LIMIT = 38

CREATE = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' IS_TEMPLATE true"
# A template cannot be dropped, and nobody is to come in after it is none any more.
CLOSE = "ALTER DATABASE {} WITH ALLOW_CONNECTIONS false IS_TEMPLATE false"
# Not WITH (FORCE), which a role that is no superuser may not do while autovacuum is at work there;
# without it, DROP ends autovacuum by itself, and waits five seconds for everybody else to leave.
END_SESSIONS = """
    SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
     WHERE datname = %s AND pg_catalog.pg_has_role(usesysid, 'USAGE')
"""
DROP = "DROP DATABASE IF EXISTS {}"
DROP_ATTEMPTS = 4
EXISTS = "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = %s)"
EXISTS_AS = "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = %s AND oid = %s)"
NUMBER = "SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = %s"
OURS = (
    "SELECT datname FROM pg_catalog.pg_database "
    "WHERE pg_catalog.pg_has_role(datdba, 'USAGE') ORDER BY datname"
)
# What nobody else sees before it is made.
BEING_MADE = """
    SELECT substring(query FROM '^CREATE DATABASE "([^"]+)"') FROM pg_catalog.pg_stat_activity
     WHERE state = 'active' AND pg_catalog.pg_has_role(usesysid, 'USAGE')
       AND pg_catalog.starts_with(query, 'CREATE DATABASE "backup_')
"""
IS_SUPERUSER = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
SUPERUSER = _(
    "The dump was restored by a superuser of that PostgreSQL: what stands in a dump can then act "
    "on all of it. A role that may only create databases is safer."
)


def drill(path, archive_format, report, server, control, token):
    """Restore the archive's dump into a scratch database, count, and drop it again.

    :param archive_format: ``zip`` or ``dump``
    :param report: what the verification of the archive found, as a Report or its fields; counts
        that it does not know are not compared
    :param server: the PostgreSQL, as a dict of libpq's ``host port user password sslmode``
    :param token: a name for this attempt, no other one's
    :return: the fields of the report, with level 4

    Raises :class:`RestoreFailed` when PostgreSQL refuses the dump or a count differs, other kinds
    of :class:`ArchiveError` for a dump that cannot be read, :class:`DatabaseServerFailed` or
    :class:`NoSpace` for what is the server's own fault and says nothing about the archive. The
    scratch database is dropped in every case; after a kill, by the next :func:`sweep`.
    """
    report = dict(report if isinstance(report, dict) else report.as_dict())
    control.enter("restore")
    sweep(server)
    with Scratch(server, "drill", token, control) as scratch:
        notes = scratch.load(path, archive_format, Meter(control, size_of(path, archive_format)[0]))
        scratch.check(report)
    return {**report, "level": RESTORED, "notes": [*report.get("notes", []), *notes]}


def sweep(server):
    """Drop the scratch databases on ``server`` whose process is gone; return their names.

    Only those that this role may drop; of what cannot be dropped now, the next sweep takes care:
    see :func:`left`.
    """
    swept = []
    with DatabaseServer(server).session() as session:
        for name in [name for (name,) in session.rows(OURS) if is_scratch(name)]:
            if not lock(session, name):
                continue
            try:
                drop(session, name)
                swept.append(name)
            except BackupError:
                continue
            finally:
                session.rows("SELECT pg_catalog.pg_advisory_unlock(%s)", key_of(name))
    return swept


def left(server):
    """Return the names of the scratch databases that are on ``server``, or are just being made.

    A process lives for those, or somebody is connected. Or it was killed in the middle of a
    statement: PostgreSQL carries that out, and only then ends the session with its lock.
    """
    with DatabaseServer(server).session() as session:
        names = [*session.rows(BEING_MADE), *session.rows(OURS)]
    return sorted({name for (name,) in names if name and is_scratch(name)})


class Scratch:
    """A database of our own, empty at first, dropped on exit unless it was published.

    :param server: a dict of libpq's keywords
    :param kind: one of :data:`KINDS`
    """

    def __init__(self, server, kind, token, control):
        self.server = DatabaseServer(server)
        self.name = scratch_name(kind, token)
        self.session = None
        """A session of the maintenance database, which holds the lock."""
        self._control = control

    def __enter__(self):
        self._held = self.server.session(control=self._control)
        self.session = self._held.__enter__()
        try:
            if not lock(self.session, self.name):
                raise DatabaseServerFailed(
                    _("The scratch database %(name)s is in use.", name=self.name)
                )
            self.session.rows(identified(CREATE, self.name))
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, kind, error, traceback):
        self._leave(tell=error is None)

    def load(self, path, archive_format, meter):
        """Load the dump of the archive; return notes for people. Raises as :func:`.load.load`."""
        load(path, archive_format, self, meter, self._control)
        return [SUPERUSER] if self.session.value(IS_SUPERUSER) else []

    def check(self, report):
        """Count; return the counts. Raise :class:`RestoreFailed` unless they are the report's."""
        with self.inside() as session:
            counts, modules = count(session)
        compare(report, counts, modules)
        return counts

    def number(self):
        """Return the database's own number in PostgreSQL, which stays when it is renamed."""
        return self.session.value(NUMBER, self.name)

    def inside(self):
        """Return the context of a session of the database itself."""
        # What the dump made must not stand in the place of PostgreSQL's own functions.
        return self.server.session(self.name, self._control, "-c search_path=pg_catalog")

    def publish(self, name):
        """Give the database its final name, at which it is seen and lives on: both or neither.

        Raises :class:`DatabaseExists` where the name was taken meanwhile.
        """
        try:
            with self.session.transaction():
                self.session.rows(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                        sql.Identifier(self.name), sql.Identifier(name)
                    )
                )
                self.session.rows(identified("ALTER DATABASE {} WITH IS_TEMPLATE false", name))
        except BackupError as error:
            if isinstance(error.__cause__, psycopg2.errors.DuplicateDatabase):
                raise DatabaseExists(
                    _("The server has a database %(name)r already.", name=name)
                ) from error
            raise

    def _leave(self, tell=False):
        """Drop the database, if it still has this name, and give the lock back."""
        try:
            # By another session: that of the run may be stopped, or may have been lost.
            with self.server.session() as session:
                drop(session, self.name)
        except BackupError:
            # The next sweep does it; what went wrong before is what is to be told.
            if tell:
                raise
        finally:
            self._held.__exit__(None, None, None)


def scratch_name(kind, token):
    """Return the name of a scratch database, which :func:`is_scratch` knows again."""
    stem = f"backup_{kind}_{re.sub('[^a-z0-9_]', '_', token.lower())[:TOKEN_LIMIT]}"
    return f"{stem}_{checksum(stem)}"


def is_scratch(name):
    match = NAME.fullmatch(name)
    return bool(match) and checksum(match["stem"]) == match["sum"]


def checksum(stem):
    return hashlib.sha256(b"backup_scheduler " + stem.encode()).hexdigest()[:8]


def key_of(name):
    """Return the key of the advisory lock on a name: a number of 64 bits, with its sign."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def lock(session, name):
    """Return whether the session holds the lock on the name now."""
    return session.value("SELECT pg_catalog.pg_try_advisory_lock(%s)", key_of(name))


def drop(session, name):
    """Drop a database with whoever is connected; one that is not there is no error."""
    if not session.value(EXISTS, name):
        return
    session.rows(identified(CLOSE, name))
    for attempt in range(1, DROP_ATTEMPTS + 1):
        session.rows(END_SESSIONS, name)
        try:
            session.rows(identified(DROP, name))
        except DatabaseServerFailed as error:
            in_use = isinstance(error.__cause__, psycopg2.errors.ObjectInUse)
            if not in_use or attempt == DROP_ATTEMPTS:
                raise
        else:
            return


def identified(statement, name):
    return sql.SQL(statement).format(sql.Identifier(name))
