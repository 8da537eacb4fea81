"""Scratch databases, and the restore drill: level 4 of a verification, *restored*.

A scratch database is marked three times over. Its *name* ends in a checksum of itself, so that
nobody else's database is ever taken for one. An *advisory lock* on that name, held on the server by
the session that made it, says that its process lives: several backup servers may share a PostgreSQL
and sweep it. And it is a *template*, which Odoo neither lists nor runs scheduled actions in: an
Odoo that serves all databases of its role would otherwise send the mail of a restored production.
"""

import contextlib
import hashlib
import re

from ..archive.levels import RESTORED
from ..archive.report import without_rows
from ..archive.schema import PUBLIC
from ..errors import BackupError, DatabaseExists, DatabaseServerFailed, IsolationUnavailable
from ..messages import _
from . import cluster, roles, rows
from .load import Meter, compare, count, count_rows, load, made_by, size_of
from .preparation import prepare
from .server import DatabaseServer, sql

KINDS = ("drill", "restore")
NAME = re.compile(r"(?P<stem>backup_(?:drill|restore)_[a-z0-9_]*)_(?P<sum>[0-9a-f]{8})")
# PostgreSQL cuts names after 63 bytes; a token has 32 characters.
TOKEN_LIMIT = 38

CREATE = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' IS_TEMPLATE true"
OWNER = " OWNER {}"
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
ROLE_MISSING = re.compile(r'role "(?P<name>[^"]+)" does not exist')
DUPLICATE_DATABASE, OBJECT_IN_USE, UNDEFINED_OBJECT = "42P04", "55006", "42704"
# So many roles are made in a cluster of our own for a dump that grants rights to them; the dump is
# loaded anew after each.
GRANTEES = 20
IS_SUPERUSER = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
SHARED = _(
    "The SQL of the archive was run by the role of Odoo itself, for its instance is trusted and "
    "no other role could be had."
)
SUPERUSER = _(
    "The dump was restored by a superuser of that PostgreSQL: what stands in a dump can then act "
    "on all of it. A role that may only create databases is safer."
)


def drill(path, archive_format, report, server, control, token, isolation=None):  # noqa: PLR0913
    """Restore the archive's dump into a scratch database, count, and drop it again.

    :param archive_format: ``zip`` or ``dump``
    :param report: what the verification of the archive found, as a Report or its fields; counts
        that it does not know are not compared
    :param server: the PostgreSQL, as a dict of libpq's ``host port user password sslmode``
    :param token: a name for this attempt, no other one's
    :param isolation: how the SQL of the dump is kept from what else is on the server: ``spool``
        (a folder: a cluster of its own is started there, where that can be done), ``role`` (the
        ``user`` and ``password`` of one that the administrator has made), ``trusted`` (whether the
        role of Odoo may run it where nothing else can)
    :return: the fields of the report, with level 4

    Raises :class:`RestoreFailed` when PostgreSQL refuses the dump or a count differs, other kinds
    of :class:`ArchiveError` for a dump that cannot be read, :class:`IsolationUnavailable`,
    :class:`DatabaseServerFailed` or :class:`NoSpace` for what is the server's own fault and says
    nothing about the archive. The scratch database is dropped in every case; after a kill, by the
    next :func:`sweep`.
    """
    report = report if isinstance(report, dict) else report.with_rows()
    found = without_rows(report)
    control.enter("restore")
    isolation, reasons = isolation or {}, []
    with contextlib.ExitStack() as stack:
        if isolation.get("spool"):
            try:
                newest = made_by(path, archive_format)
                own = stack.enter_context(
                    cluster.Cluster(isolation["spool"], token, control, newest)
                )
                notes = drilled_alone(path, archive_format, report, own.libpq, control, token)
                return {**found, "level": RESTORED, "notes": [*found.get("notes", []), *notes]}
            except cluster.ClusterUnavailable as error:
                reasons.append(error.reason)
        sweep(server)
        isolation = {**isolation, "reasons": reasons}
        notes = drilled(path, archive_format, report, server, control, token, isolation)
    return {**found, "level": RESTORED, "notes": [*found.get("notes", []), *notes]}


def drilled(path, archive_format, report, server, control, token, isolation):  # noqa: PLR0913
    """Do what :func:`drill` does, on this server; return notes for people."""
    with Scratch(server, "drill", token, control, isolation) as scratch:
        notes = scratch.load(path, archive_format, Meter(control, size_of(path, archive_format)[0]))
        scratch.check(report)
    return notes


def drilled_alone(path, archive_format, report, server, control, token):  # noqa: PLR0913
    """Do what :func:`drilled` does, on a cluster of our own: it has what roles the dump names."""
    for _attempt in range(GRANTEES):
        with missing_role_made(server):
            return drilled(path, archive_format, report, server, control, token, {})
    return drilled(path, archive_format, report, server, control, token, {})


@contextlib.contextmanager
def missing_role_made(server):
    """Make the role that is missing on a cluster of our own, where what is inside fails for it."""
    try:
        yield
    except DatabaseServerFailed as error:
        failure = getattr(error, "failure", None)
        missing = failure and ROLE_MISSING.search(failure.words)
        if not missing or failure.sqlstate != UNDEFINED_OBJECT:
            raise
        with DatabaseServer(server).session() as session:
            session.rows(identified("CREATE ROLE {} NOLOGIN", missing["name"]))


def sweep(server):
    """Drop the scratch databases on ``server`` whose process is gone; return their names.

    With them go the roles that were made for them. Only what this role may drop; of what cannot be
    dropped now, the next sweep takes care: see :func:`left`.
    """
    swept = []
    with DatabaseServer(server).session() as session:
        for name in remains(session):
            if not lock(session, name):
                continue
            try:
                drop(session, name)
                roles.drop(session, name)
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
        making = [name for (name,) in session.rows(BEING_MADE) if name and is_scratch(name)]
        return sorted({*making, *remains(session)})


def remains(session):
    """Return the names of scratch databases, and of roles made for them, that are on a server."""
    names = [*session.rows(OURS), *session.rows(roles.OF_US)]
    return sorted({name for (name,) in names if is_scratch(name)})


class Scratch:
    """A database of our own, empty at first, dropped on exit unless it was published.

    :param server: a dict of libpq's keywords
    :param kind: one of :data:`KINDS`
    :param isolation: as :func:`drill` takes it
    """

    def __init__(self, server, kind, token, control, isolation=None):  # noqa: PLR0913
        self.server = DatabaseServer(server)
        self.owner = None
        """The role that the database belongs to, of :mod:`.roles`."""
        self.home = PUBLIC
        """The schema that Odoo has its tables in."""
        self._libpq, self._isolation = server, isolation or {}
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
            self._make()
        except BaseException:
            self._leave()
            raise
        return self

    def _make(self):
        """Make the database, for the first role that can be had."""
        refusals = []
        for owner in roles.owners(self.session, self._libpq, self.name, self._isolation):
            self.owner = owner
            try:
                owner.prepare(self.session)
                self.session.rows(self._creation(owner))
                owner.admit(self.session, self.name)
            except IsolationUnavailable as error:
                refusals.append(error)
                drop(self.session, self.name)
                owner.discard(self.session)
            else:
                return
        raise roles.unavailable(self.session, refusals, self._isolation.get("reasons", ()))

    def _creation(self, owner):
        if owner.name is None:
            return identified(CREATE, self.name)
        return sql.SQL(CREATE + OWNER).format(sql.Identifier(self.name), sql.Identifier(owner.name))

    def __exit__(self, kind, error, traceback):
        self._leave(tell=error is None)

    def load(self, path, archive_format, meter):
        """Load the dump of the archive; return notes for people. Raises as :func:`.load.load`."""
        notes = load(path, archive_format, self, meter, self._control)
        if self.owner.name is not None:
            return notes
        by = [SHARED, SUPERUSER] if self.session.value(IS_SUPERUSER) else [SHARED]
        return [*by, *notes]

    def prepare(self, extensions):
        """Make the empty database what Odoo itself makes it for a dump (:mod:`.preparation`)."""
        prepare(self, extensions)

    def check(self, report):
        """Count; return the counts. Raise :class:`RestoreFailed` unless they are the report's."""
        with self.inside() as session:
            counts, modules = count(session)
            compare(report, counts, modules)
            rows.compare(report, count_rows(session, report.get("rows") or {}))
        return counts

    def number(self):
        """Return the database's own number in PostgreSQL, which stays when it is renamed."""
        return self.session.value(NUMBER, self.name)

    def inside(self):
        """Return the context of a session of the database itself, of the role that owns it.

        A table may be a view by now, or have triggers: to count or change it runs what the dump
        has brought.
        """
        self.owner.renew(self.session, self.name)
        # What the dump made must not stand in the place of PostgreSQL's own functions.
        return self.owner.server.session(self.name, self._control, "-c search_path=pg_catalog")

    def publish(self, name):
        """Give the database its final name, at which it is seen and lives on: both or neither.

        It belongs to the role of Odoo then. Raises :class:`DatabaseExists` where the name was taken
        meanwhile.
        """
        self.owner.renew(self.session, self.name)
        self.owner.hand_over(self.session, self.name, self.server)
        try:
            with self.session.transaction():
                self.session.rows(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                        sql.Identifier(self.name), sql.Identifier(name)
                    )
                )
                self._set_search_path(name)
                self.session.rows(identified("ALTER DATABASE {} WITH IS_TEMPLATE false", name))
        except BackupError as error:
            if sqlstate_of(error) == DUPLICATE_DATABASE:
                raise DatabaseExists(
                    _("The server has a database %(name)r already.", name=name)
                ) from error
            raise

    def _set_search_path(self, name):
        """Have Odoo find its tables in another schema than ``public``: that was a setting of the
        database that they were dumped from, or of a role, and is no part of the dump."""
        if self.home != PUBLIC:
            change = sql.SQL("ALTER DATABASE {} SET search_path TO {}, public")
            self.session.rows(change.format(sql.Identifier(name), sql.Identifier(self.home)))

    def _leave(self, tell=False):
        """Drop the database, if it still has this name, and give the lock back."""
        try:
            # By another session: that of the run may be stopped, or may have been lost.
            with self.server.session() as session:
                drop(session, self.name)
                if self.owner:
                    self.owner.discard(session)
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
            in_use = sqlstate_of(error) == OBJECT_IN_USE
            if not in_use or attempt == DROP_ATTEMPTS:
                raise
        else:
            return


def sqlstate_of(error):
    """Return the SQLSTATE of what PostgreSQL refused; empty where it is something else."""
    failure = getattr(error, "failure", None)
    return failure.sqlstate if failure else ""


def identified(statement, name):
    return sql.SQL(statement).format(sql.Identifier(name))
