"""The PostgreSQL server that is restored into.

A *server* is told by libpq's own words: ``host port user password sslmode``; what is absent, or
empty, is libpq's default. The password goes to psql in its environment, never in its arguments.
"""

import contextlib
import os

from ..errors import DatabaseServerFailed, LibraryMissing
from ..messages import _
from .causes import error_of
from .failures import of_driver

try:
    import psycopg2
    import psycopg2.extensions
    from psycopg2 import sql
except ImportError:
    psycopg2 = sql = None

KEYWORDS = ("host", "port", "user", "password", "sslmode")
MAINTENANCE = "postgres"
CONNECT_TIMEOUT = 15
# What nobody has to wait for longer while cleaning up: dropping waits for a checkpoint (ms).
CLEANUP_TIMEOUT = 300_000
# A session that only holds a lock is silent for hours: firewalls must not take it for dead, and
# the server must not end it (seconds).
KEEPALIVE = {"keepalives_idle": 60, "keepalives_interval": 15, "keepalives_count": 4}
# A scratch database is worth nothing after a crash, and is loaded once. Indexes and the checks of
# foreign keys are made in the memory of one (kB); a small server can spare this.
MAINTENANCE_WORK_MEM = 256 * 1024
LZ4 = "default_toast_compression"


class DatabaseServer:
    """One PostgreSQL server, with the way to reach it.

    :param libpq: a dict of :data:`KEYWORDS`
    """

    def __init__(self, libpq):
        if psycopg2 is None:
            raise LibraryMissing(_("The Python package psycopg2 is not installed."))
        self._libpq = {key: str(libpq[key]) for key in KEYWORDS if libpq.get(key)}

    def environment(self, options):
        """Return the environment in which psql finds the server, with ``options`` for sessions."""
        own = {f"PG{key.upper()}": value for key, value in self._libpq.items()}
        return {
            **os.environ,
            **own,
            "PGOPTIONS": options,
            "PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT),
            "PGCLIENTENCODING": "UTF8",
            # Its words are looked at, and told in English.
            "LC_ALL": "C",
        }

    @contextlib.contextmanager
    def session(self, database=MAINTENANCE, control=None, options=""):
        """Yield a :class:`Session`, each of whose statements is committed at once.

        :param control: stops what waits; None while cleaning up, which has a time limit instead

        Raises :class:`DatabaseServerFailed` with the server's words where it cannot be had.
        """
        limit = 0 if control else CLEANUP_TIMEOUT
        with self.failures_told(control):
            connection = psycopg2.connect(
                **self._libpq,
                **KEEPALIVE,
                dbname=database,
                connect_timeout=CONNECT_TIMEOUT,
                application_name="backup_scheduler",
                options=f"-c statement_timeout={limit} {options}",
            )
        try:
            connection.autocommit = True
            yield Session(self, connection, control)
        finally:
            connection.close()

    @contextlib.contextmanager
    def failures_told(self, control=None):
        """Turn what PostgreSQL says no to into a :class:`BackupError` without values of rows.

        Its ``failure`` is the :class:`.failures.Failure`.
        """
        try:
            yield
        except psycopg2.Error as error:
            if control:
                control.check()
            # Not from it: a traceback would show all that PostgreSQL said.
            raise error_of(of_driver(error), DatabaseServerFailed) from None


class Session:
    """One connection. Failures are told as :meth:`DatabaseServer.failures_told` does."""

    def __init__(self, server, connection, control):
        self._server = server
        self._connection = connection
        self._control = control

    @property
    def version(self):
        """The server's version, as PostgreSQL numbers them: 150018."""
        return self._connection.server_version

    @property
    def pid(self):
        """The id of the server's process for this connection."""
        return self._connection.info.backend_pid

    def verifier(self, password, role):
        """Return what PostgreSQL stores of a password: the password itself is not sent to it."""
        return psycopg2.extensions.encrypt_password(
            password, role, self._connection, "scram-sha-256"
        )

    def rows(self, query, *values):
        """Run a statement; return its rows, none where it has none."""
        with (
            self._server.failures_told(self._control),
            self._interruptible(),
            self._connection.cursor() as cursor,
        ):
            cursor.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, query, *values):
        """Return the first value of the first row, None without one."""
        rows = self.rows(query, *values)
        return rows[0][0] if rows else None

    @contextlib.contextmanager
    def transaction(self):
        """What is done inside is done wholly or not at all."""
        self.rows("BEGIN")
        try:
            yield
        except BaseException:
            with contextlib.suppress(psycopg2.Error), self._connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
            raise
        self.rows("COMMIT")

    def _interruptible(self):
        if self._control is None:
            return contextlib.nullcontext()
        return self._control.interrupted_by(self._interrupt)

    def _interrupt(self):
        with contextlib.suppress(psycopg2.Error):
            self._connection.cancel()


def session_options(session):
    """Return the settings under which a new database is loaded fastest, as PGOPTIONS takes them.

    Values that are stored compressed are most of the work of a load: lz4, where the server was
    built with it, takes a fraction of the time of PostgreSQL's own method.
    """
    options = [
        "-c synchronous_commit=off",
        "-c jit=off",
        f"-c maintenance_work_mem={MAINTENANCE_WORK_MEM}",
    ]
    known = "SELECT 'lz4' = ANY(enumvals) FROM pg_catalog.pg_settings WHERE name = %s"
    if session.value(known, LZ4):
        options.append(f"-c {LZ4}=lz4")
    return " ".join(options)
