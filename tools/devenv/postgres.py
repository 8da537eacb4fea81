"""A private PostgreSQL that only its Unix socket leads to."""

import contextlib
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from . import processes
from .fail import DevError
from .paths import DEV, ROOT

ADMIN = "postgres"
ROLE = "odoo"
PORT = 5432  # only a part of the socket's name: nothing listens on TCP
SOCKET_PATH_LIMIT = 100  # Linux cuts at 108 bytes, "/.s.PGSQL.5432" comes on top
START_TIMEOUT = 60
COMMAND_TIMEOUT = 300
PATH_HASH = hashlib.sha256(str(ROOT).encode()).hexdigest()[:10]
OUTSIDE = Path("/var/tmp") / f"backup_scheduler-{PATH_HASH}"  # noqa: S108


def binaries():
    """Return the folder of the newest PostgreSQL server installed; DevError without one."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    found = sorted(folders, key=lambda folder: int(folder.parent.name))
    if found:
        return found[-1]
    elsewhere = shutil.which("postgres")
    if not elsewhere:
        raise DevError("no PostgreSQL server found: apt-get install postgresql")
    return Path(elsewhere).resolve().parent


class Cluster:
    """One PostgreSQL of its own; roles need no password, for nobody else reaches the socket.

    Its roles may create databases and roles and nothing more, as the documentation of restores
    asks for. Odoo shows only
    the databases that its own role owns, so servers with a role each do not see one another.

    `fsync=False` is for speed and survives a killed PostgreSQL, but not a machine without power;
    a test that kills PostgreSQL passes True where it wants the real thing.
    """

    def __init__(self, name="postgres", *, fsync=False, settings=None):
        self.name = name
        switch = "on" if fsync else "off"
        durability = dict.fromkeys(("fsync", "full_page_writes", "synchronous_commit"), switch)
        self.settings = {**durability, "listen_addresses": "", **(settings or {})}
        self.folder = (OUTSIDE if _needs_outside() else DEV) / name
        self.data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self.socket_dir = self.folder / "socket"
        if len(str(self.socket_dir)) > SOCKET_PATH_LIMIT:
            self.socket_dir = OUTSIDE / name / "socket"

    def dsn(self, role=ROLE):
        """The connection's parameters, as psycopg2 and libpq's tools understand them."""
        return {"host": str(self.socket_dir), "port": str(PORT), "user": role}

    @property
    def running(self):
        pid = self._pid()
        return bool(pid) and processes.is_running(pid, str(self.data))

    def start(self):
        """Start it, making it first if it is new; return when it takes connections."""
        if self.running:
            return self
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        # A container's first process may not bury the dead, whom PostgreSQL takes for running.
        for lock in (self.data / "postmaster.pid", self.socket_dir / f".s.PGSQL.{PORT}.lock"):
            lock.unlink(missing_ok=True)
        self._own(self.socket_dir)
        self._server_tool("pg_ctl", "start", "-w", "-t", START_TIMEOUT, "-l", self.log)
        self.ensure_role(ROLE)
        return self

    def stop(self):
        """Stop it and wait for its end; clients are thrown out. Stopped already is no error."""
        if self.running:
            self._server_tool("pg_ctl", "stop", "-w", "-m", "fast", "-t", START_TIMEOUT)

    def kill(self):
        """SIGKILL to every process of it at once, as the kernel out of memory would."""
        pid = self._pid()
        if not pid:
            return
        victims = [pid, *processes.children(pid)]
        for victim in victims:
            processes.send(victim, signal.SIGKILL)
        processes.wait_until(lambda: not any(map(processes.is_running, victims)), START_TIMEOUT)

    def restart(self):
        self.stop()
        return self.start()

    def ensure_role(self, role):
        """Make a role that may create databases and roles, unless it is there."""
        if not self.psql(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
            self.psql(f'CREATE ROLE "{role}" LOGIN')
        # Also one that an older checkout has made.
        self.psql(f'ALTER ROLE "{role}" CREATEDB CREATEROLE')

    def psql(self, sql, database="postgres", role=ADMIN):
        """Run SQL and return what psql prints, unaligned and without headings."""
        words = ("-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql)
        return self.tool("psql", *words, role=role).strip()

    def databases(self):
        """Return the names of all databases that are somebody's, templates left out."""
        sql = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
        return self.psql(sql + " ORDER BY datname").split()

    def drop(self, database):
        """Drop a database if there, with whoever is connected."""
        self.tool("dropdb", "--if-exists", "--force", database)

    def tool(self, name, *arguments, role=ADMIN):
        """Run a client tool (psql, createdb, pg_dump …) against it; return its output."""
        return _run([binaries() / name, *arguments], env=self.environment(role))

    def environment(self, role=ROLE):
        """The environment in which libpq finds this cluster by itself."""
        libpq = {f"PG{name.upper()}": value for name, value in self.dsn(role).items()}
        return {**os.environ, **libpq}

    def remove(self):
        """Stop it and delete all of it."""
        self.stop()
        for folder in {self.folder, self.socket_dir}:
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another cluster's folder is still there
            OUTSIDE.rmdir()

    def _initialise(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self._own(self.folder)
        self._server_tool("initdb", "--username", ADMIN, "--auth", "trust", "--encoding", "UTF8",
                          "--locale", "C.UTF-8", "--no-sync")

    def _server_tool(self, name, *arguments):
        """Run initdb or pg_ctl as the user who may: PostgreSQL refuses to be root."""
        if "start" in arguments:
            options = {**self.settings, "unix_socket_directories": self.socket_dir, "port": PORT}
            words = " ".join(f"-c {key}='{value}'" for key, value in options.items())
            arguments = (*arguments, "-o", words)
        command = [binaries() / name, "-D", self.data, *map(str, arguments)]
        _run(command, cwd=self.folder, **_server_user())

    def _own(self, folder):
        """Make a folder that only the server's user (and root) can enter."""
        folder.mkdir(parents=True, exist_ok=True)
        if OUTSIDE in folder.parents and OUTSIDE.stat().st_uid != os.geteuid():
            raise DevError(f"{OUTSIDE} is another user's: delete it")
        user = _server_user()
        if user:
            os.chown(folder, user["user"], user["group"])
        folder.chmod(0o700)

    def _pid(self):
        try:
            return int((self.data / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError):
            return None


def remove_outside():
    """Delete what had to lie outside the checkout."""
    shutil.rmtree(OUTSIDE, ignore_errors=True)


def _server_user():
    """Return how subprocess changes to a user that PostgreSQL accepts."""
    if os.geteuid() != 0:
        return {}
    try:
        account = pwd.getpwnam("postgres")
    except KeyError:
        raise DevError("no user 'postgres' for PostgreSQL to run as: adduser --system postgres "
                       "--group") from None
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _needs_outside():
    """Whether the server's user cannot reach the checkout, as below /root."""
    return os.geteuid() == 0 and not all(
        folder.stat().st_mode & 0o001 for folder in [ROOT, *ROOT.parents]
    )


def _run(command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, timeout=COMMAND_TIMEOUT, **options)
    if done.returncode:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise DevError(f"{Path(command[0]).name} failed: {last}")
    return done.stdout
