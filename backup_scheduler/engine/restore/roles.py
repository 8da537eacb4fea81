"""The role that runs the SQL of a dump.

A dump comes from a server that may be hostile, and its SQL may do whatever its role may. So it is
run by a role that owns nothing but the scratch database: made for one attempt where our role may
do that, else named by the administrator. Only the archives of a trusted instance are ever loaded
by the role of Odoo itself.

Such a role cannot read, rename, drop or change what is not its own, and runs no programs. Two
things are left that PostgreSQL grants to everybody: the names of databases and roles can be read,
and every role may connect to each database that leaves CONNECT to PUBLIC. That is refused
otherwise: the role may have *one* connection, which is the one that its SQL runs in. Taking the
privilege away from PUBLIC would lock out roles that we know nothing about.
"""

import secrets
import time
import zlib

from ..errors import DatabaseServerFailed, IsolationUnavailable, RestoreFailed
from ..messages import _, joined
from .server import DatabaseServer, sql

# Not NOINHERIT: from PostgreSQL 15 on the schema "public" is the owner's by way of the role
# pg_database_owner. There is nothing else to inherit, for it is a member of no other role.
ATTRIBUTES = (
    "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 1"
)
MAKE = "CREATE ROLE {} " + ATTRIBUTES + " PASSWORD {}"
# Only a member of a role can create a database for it.
JOIN = "GRANT {} TO CURRENT_USER"
RENEW = "ALTER ROLE {} PASSWORD {}"
MAY_MAKE = "SELECT rolsuper OR rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = current_user"
# In pg_hba.conf a socket often belongs to the user of the system with the role's own name (peer),
# and passwords to TCP.
LOOPBACK = "127.0.0.1"
# The same on every connection to one server, and known to nobody who cannot connect to it.
STARTED = "SELECT pg_catalog.pg_postmaster_start_time()::text"
CONNECTED = "SELECT pid FROM pg_catalog.pg_stat_activity WHERE usename = %s"
# Whether the server still has a process: it signals those that it knows.
END = "SELECT pg_catalog.pg_terminate_backend(%s)"
# Until a connection that was closed, or ended, is gone (seconds).
GONE_TIMEOUT, GONE_INTERVAL = 30, 0.02
OF_US = (
    "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname LIKE 'backup\\_%'"
    " AND pg_catalog.pg_has_role(oid, 'USAGE') ORDER BY rolname"
)
IS_ROLE = "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %s)"
# What a role that the administrator names must not be: each with what to say of it.
FAULTS = (
    (_("is a superuser"), "r.rolsuper"),
    (_("may create databases"), "r.rolcreatedb"),
    (_("may create roles"), "r.rolcreaterole"),
    (_("may replicate"), "r.rolreplication"),
    (_("bypasses row security"), "r.rolbypassrls"),
    (_("does not inherit (the schema “public” is not its own then)"), "NOT r.rolinherit"),
    (_("has no connection limit of 1"), "r.rolconnlimit <> 1"),
    (
        _("is a member of other roles"),
        "EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid)",
    ),
    (
        _("owns something, or was granted something, outside scratch databases"),
        "EXISTS (SELECT FROM pg_catalog.pg_shdepend d WHERE d.refobjid = r.oid "
        "AND d.refclassid = 'pg_catalog.pg_authid'::regclass)",
    ),
    (
        _("is not granted to the role of Odoo"),
        "NOT pg_catalog.pg_has_role(r.oid, 'USAGE')",
    ),
)
FIND = (
    "SELECT " + ", ".join(f"({test})" for _fault, test in FAULTS) + " "
    "FROM pg_catalog.pg_roles r WHERE r.rolname = %s"
)
EXAMPLE = "backup_restore"


class Shared:
    """The role of Odoo itself, for archives of trusted instances."""

    name = None

    def __init__(self, libpq):
        self.server = DatabaseServer(libpq)

    def prepare(self, session):
        """Make the role, or see that it is fit; raise :class:`IsolationUnavailable` if not."""

    def admit(self, session, database):
        """Find the way by which the role connects to its database."""

    def renew(self, session, database):
        """Undo what the dump did to the role, so that it can connect once more."""

    def hand_over(self, session, database, server):
        """Give all that the role has made to the role of Odoo."""

    def discard(self, session):
        """Leave nothing of it."""


class Isolated:
    """A role that owns the scratch database and nothing else.

    :param libpq: how Odoo reaches the server, as a dict of libpq's keywords
    """

    def __init__(self, libpq, name, password):
        self._libpq, self.name, self._password = libpq, name, password
        self.server = None

    def admit(self, session, database):
        refusal = None
        for libpq in self._ways():
            self.server = DatabaseServer(libpq)
            try:
                with self.server.session(database) as own:
                    same = own.value(STARTED) == session.value(STARTED)
                    pid = own.pid
            except DatabaseServerFailed as error:
                refusal = error
                continue
            if same:
                self._await_gone(session, [pid])
                return
        raise IsolationUnavailable(
            _(
                "The role %(role)s cannot connect to that PostgreSQL with its password: %(error)s",
                role=self.name,
                error=refusal.message if refusal else _("another server answers there."),
            ),
            hint=_("Allow it in pg_hba.conf, with scram-sha-256."),
        )

    def _ways(self):
        own = {**self._libpq, "user": self.name, "password": self._password}
        yield own
        if str(own.get("host") or "/").startswith("/"):
            yield {**own, "host": LOOPBACK}

    def renew(self, session, database):
        self._await_gone(session, [])
        session.rows(sql.SQL("ALTER DATABASE {} RESET ALL").format(sql.Identifier(database)))

    def _await_gone(self, session, pids):
        """End the connections of the role: it may have one, and that is to be ours."""
        pids, deadline = set(pids), time.monotonic() + GONE_TIMEOUT
        while pids := {
            pid
            for pid in pids.union(pid for (pid,) in session.rows(CONNECTED, self.name))
            if session.value(END, pid)
        }:
            if time.monotonic() > deadline:
                raise DatabaseServerFailed(
                    _("A connection of the role %(role)s does not end.", role=self.name)
                )
            time.sleep(GONE_INTERVAL)

    def hand_over(self, session, database, server):
        # Nobody is to see it before it has its name: the dump's role may have changed this.
        for change in ("ALTER DATABASE {} WITH IS_TEMPLATE true", "ALTER DATABASE {} RESET ALL"):
            session.rows(sql.SQL(change).format(sql.Identifier(database)))
        with server.session(database, options="-c search_path=pg_catalog") as inside:
            role = sql.Identifier(self.name)
            with inside.transaction():
                inside.rows(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
                # What is left are privileges.
                inside.rows(sql.SQL("DROP OWNED BY {}").format(role))


class Made(Isolated):
    """A role made for one attempt, with the name of the scratch database."""

    def __init__(self, libpq, name):
        super().__init__(libpq, name, secrets.token_urlsafe(24))

    def prepare(self, session):
        with session.transaction():
            session.rows(self._with_password(MAKE, session))
            session.rows(sql.SQL(JOIN).format(sql.Identifier(self.name)))

    def _with_password(self, statement, session):
        # Not the password itself: the server may log statements.
        verifier = session.verifier(self._password, self.name)
        return sql.SQL(statement).format(sql.Identifier(self.name), sql.Literal(verifier))

    def renew(self, session, database):
        super().renew(session, database)
        session.rows(self._with_password(RENEW, session))
        session.rows(sql.SQL("ALTER ROLE {} RESET ALL").format(sql.Identifier(self.name)))

    def discard(self, session):
        drop(session, self.name)


class Named(Isolated):
    """A role that the administrator has made. One attempt at a time uses it."""

    def prepare(self, session):
        session.rows("SELECT pg_catalog.pg_advisory_lock(%s, 0)", lock_of(self.name))
        found = session.rows(FIND, self.name)
        if not found:
            raise IsolationUnavailable(_("There is no role %(role)s.", role=self.name))
        faults = [fault for (fault, _test), true in zip(FAULTS, found[0], strict=True) if true]
        if faults:
            raise IsolationUnavailable(
                _(
                    "The role %(role)s is not fit to run the SQL of a dump: it %(faults)s.",
                    role=self.name,
                    faults=faults,
                )
            )

    def renew(self, session, database):
        super().renew(session, database)
        try:
            with self.server.session(database, options="-c search_path=pg_catalog") as own:
                own.rows("ALTER ROLE CURRENT_USER RESET ALL")
                pid = own.pid
        except DatabaseServerFailed as error:
            raise RestoreFailed(
                _(
                    "After the dump was loaded, its role cannot connect any more: %(error)s",
                    error=error.message,
                ),
                hint=_(
                    "The dump may have changed the password of the role %(role)s: set a new one, "
                    "and enter it in the settings.",
                    role=self.name,
                ),
            ) from error
        self._await_gone(session, [pid])

    def discard(self, session):
        # The lock goes with the session.
        pass


def lock_of(name):
    """Return the first key of the advisory lock on a role: 32 bits, with their sign."""
    return zlib.crc32(name.encode()) - (1 << 31)


def owners(session, libpq, database, isolation):
    """Yield the roles that may own the scratch database, in the order in which they are tried.

    :param isolation: see :func:`.scratch.drill`
    """
    if session.value(MAY_MAKE):
        yield Made(libpq, database)
    if role := isolation.get("role"):
        yield Named(libpq, role["user"], role.get("password", ""))
    if isolation.get("trusted"):
        yield Shared(libpq)


def drop(session, name):
    """Drop a role of ours, which owns nothing any more; one that is not there is no error."""
    if session.value(IS_ROLE, name):
        session.rows(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


def unavailable(session, refusals, reasons=()):
    """Return the error that says why the SQL cannot be isolated, and how it can.

    :param refusals: the errors of the roles that were tried
    :param reasons: further sentences, such as why there is no cluster
    """
    said = [part for error in refusals for part in (error.message, error.hint) if part]
    wanted = commands(session)
    return IsolationUnavailable(
        _(
            "The SQL of the archive was not run: here it cannot be kept from the other databases "
            "of that PostgreSQL. This says nothing about the archive."
        ),
        hint=_(
            "%(reasons)s Run one of these as a superuser of that PostgreSQL. To have a role made "
            "for each restore: %(let)s; or to make one yourself: %(make)s; %(grant)s; and enter "
            "its name and password in Settings → Backups → Restore Role. Or mark the instance as "
            "trusted.",
            reasons=joined(" ", [*reasons, *said]),
            let=wanted["let"],
            make=wanted["make"],
            grant=wanted["grant"],
        ),
    )


def commands(session):
    """Return the SQL by which an administrator gives us a role, each as text."""
    ours = session.value("SELECT pg_catalog.quote_ident(current_user)")
    return {
        "let": f"ALTER ROLE {ours} CREATEROLE",
        "make": f"CREATE ROLE {EXAMPLE} {ATTRIBUTES} PASSWORD '…'",
        "grant": f"GRANT {EXAMPLE} TO {ours}",
    }
