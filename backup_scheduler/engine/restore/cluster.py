"""A PostgreSQL of its own for one restore drill, of which nothing is left.

It listens on nothing but a Unix socket in a folder that only its user can enter. Its superuser
makes the role and the scratch database of the drill, and never runs SQL of a dump: as a superuser
that could run programs, as the user of the engine.

A killed engine leaves the folder without its lock, and the server running: :func:`sweep` ends it.
"""

import contextlib
import errno
import fcntl
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time

from ..errors import DatabaseServerFailed
from ..messages import _
from .psql import version_of
from .server import DatabaseServer

SUFFIX = ".cluster"
LOCK = "lock"
DEBIAN = "/usr/lib/postgresql"
SUPERUSER, PORT = "postgres", "5432"
# Whom root runs it as: PostgreSQL refuses root. Not `postgres`, whose databases those of others
# may be.
UNPRIVILEGED = "nobody"
# All of it is thrown away; it has one client at a time; and nothing of it is outside its folder.
SETTINGS = {
    "autovacuum": "off",
    "dynamic_shared_memory_type": "mmap",
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "logging_collector": "off",
    "max_connections": "10",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "port": PORT,
    "synchronous_commit": "off",
    "unix_socket_permissions": "0700",
    "wal_level": "minimal",
}
# What a dump compares and sorts by is its own affair; what Odoo's databases are made with first.
LOCALES = ("C.UTF-8", "C")
# Seconds.
INIT_TIMEOUT = 120
START_TIMEOUT = 60
STOP_TIMEOUT = 15
POLL = 0.05
LOCK_ATTEMPTS = 10
# Linux cuts the path of a socket after 107 bytes.
PATH_LIMIT = 107 - len(f"/.s.PGSQL.{PORT}")


class ClusterUnavailable(Exception):
    """No cluster can be had here; ``reason`` says why."""

    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


class Cluster:
    """A running cluster while inside; :attr:`libpq` says how its superuser reaches it.

    :param folder: the spool
    :param token: a name for this attempt
    :param newest: the first number of the PostgreSQL that the dump is of; 0 when unknown

    Entering raises :class:`ClusterUnavailable` where the programs are missing or too old, or may
    not be run by this user.
    """

    def __init__(self, folder, token, control, newest=0):
        self.folder = os.path.join(os.path.abspath(folder), token + SUFFIX)
        self._control, self._newest = control, newest
        self._user = {}
        self._process = None
        self._password = secrets.token_urlsafe(24)
        self.libpq = {}

    def __enter__(self):
        binaries = self._binaries()
        self._user = server_user()
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._place())
            self._initialise(binaries)
            stack.callback(self._stop)
            self._start(binaries)
            self._left = stack.pop_all()
        return self

    def __exit__(self, *reason):
        self._left.close()

    def _binaries(self):
        binaries = programs()
        if not binaries:
            raise ClusterUnavailable(_("PostgreSQL's server programs are not installed here."))
        major = version_of(os.path.join(binaries, "postgres"), None) // 10_000
        if major < self._newest:
            raise ClusterUnavailable(
                _(
                    "The PostgreSQL %(here)s of this machine is older than the dump, which is of "
                    "PostgreSQL %(newest)s.",
                    here=major,
                    newest=self._newest,
                )
            )
        return binaries

    @contextlib.contextmanager
    def _place(self):
        """Have the folder while inside, locked."""
        try:
            lock = make_locked(self.folder)
        except OSError as error:
            raise ClusterUnavailable(
                _("%(path)s cannot be used: %(reason)s", path=self.folder, reason=error.strerror)
            ) from error
        socket = f"{self.folder}/socket"
        try:
            os.mkdir(socket, 0o700)
            self._give(self.folder, socket)
            self._descriptor = os.open(socket, os.O_RDONLY | os.O_DIRECTORY)
            try:
                yield
            finally:
                os.close(self._descriptor)
        finally:
            # With the lock still held: nobody sweeps at the same time.
            end_server(f"{self.folder}/data")
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(lock)

    def _give(self, *paths):
        for path in paths if self._user else ():
            os.chown(path, self._user["user"], self._user["group"])

    def _initialise(self, binaries):
        secret = f"{self.folder}/password"
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(self._password)
        self._give(secret)
        for locale in LOCALES:
            said = self._initdb(binaries, locale, secret)
            if said is None:
                os.unlink(secret)
                return
            shutil.rmtree(f"{self.folder}/data", ignore_errors=True)
        raise ClusterUnavailable(_("initdb failed: %(words)s", words=said))

    def _initdb(self, binaries, locale, secret):
        """Make the cluster; return None, or what initdb said last."""
        command = [os.path.join(binaries, "initdb"), "-D", f"{self.folder}/data", "--no-sync"]
        command += ["--auth", "scram-sha-256", "--pwfile", secret, "--username", SUPERUSER]
        command += ["--encoding", "UTF8", "--locale", locale]
        process = subprocess.Popen(  # noqa: S603 - a fixed command
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(),
            cwd="/",
            **self._user,
        )
        try:
            with self._control.interrupted_by(process.kill):
                _out, said = process.communicate(timeout=INIT_TIMEOUT)
            self._control.check()
        except subprocess.TimeoutExpired:
            return f"no end after {INIT_TIMEOUT} s"
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
        return last_line(said) if process.returncode else None

    def _start(self, binaries):
        # From within its data folder, as a server sees it: the path may be too long for a socket.
        settings = {**SETTINGS, "unix_socket_directories": "../socket"}
        command = [os.path.join(binaries, "postgres"), "-D", f"{self.folder}/data"]
        for key, value in settings.items():
            command += ["-c", f"{key}={value}"]
        with open(f"{self.folder}/log", "wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a fixed command
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                cwd="/",
                **self._user,
            )
        socket = f"{self.folder}/socket"
        if len(os.fsencode(socket)) > PATH_LIMIT:
            socket = f"/proc/{os.getpid()}/fd/{self._descriptor}"
        self.libpq = {
            "host": socket,
            "port": PORT,
            "user": SUPERUSER,
            "password": self._password,
        }
        self._await_connections()

    def _await_connections(self):
        deadline = time.monotonic() + START_TIMEOUT
        server = DatabaseServer(self.libpq)
        while True:
            self._control.check()
            try:
                with server.session():
                    return
            except DatabaseServerFailed as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    with open(f"{self.folder}/log", "rb") as log:
                        said = last_line(log.read()) or error.message
                    raise ClusterUnavailable(
                        _("PostgreSQL does not start: %(words)s", words=said)
                    ) from error
            time.sleep(POLL)

    def _stop(self):
        if self._process is None:
            return
        # At once: nothing of it is needed. The server takes its processes and memory with it.
        self._process.send_signal(signal.SIGQUIT)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def programs():
    """Return the folder of the newest server programs of PostgreSQL; None where there are none."""
    found = []
    for version in os.listdir(DEBIAN) if os.path.isdir(DEBIAN) else ():
        folder = os.path.join(DEBIAN, version, "bin")
        if version.isdigit() and has_programs(folder):
            found.append((int(version), folder))
    if found:
        return max(found)[1]
    postgres = shutil.which("postgres")
    folder = os.path.dirname(os.path.realpath(postgres)) if postgres else ""
    return folder if folder and has_programs(folder) else None


def has_programs(folder):
    return all(os.access(os.path.join(folder, name), os.X_OK) for name in ("initdb", "postgres"))


def server_user():
    """Return how subprocess changes to a user that PostgreSQL accepts; nothing for other users."""
    if os.geteuid() != 0:
        return {}
    try:
        account = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise ClusterUnavailable(_("PostgreSQL does not run as root.")) from None
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def environment():
    """Return the environment of the server's programs: nothing of ours, secrets above all."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def last_line(said):
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].strip()[:500] if lines else ""


def make_locked(folder):
    """Make the folder, which must not exist; return the descriptor of its lock.

    A sweep may catch it before it is locked, and remove it: then do it again.
    """
    for attempt in range(LOCK_ATTEMPTS):
        os.makedirs(folder, mode=0o700, exist_ok=attempt > 0)
        descriptor = None
        try:
            descriptor = os.open(f"{folder}/{LOCK}", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except FileNotFoundError:
            pass
        if descriptor is not None:
            os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)


# --- what killed engines leave ------------------------------------------------------------------


def sweep(spool):
    """Stop the clusters in the folder whose engine is gone, and remove them; return their names."""
    if not os.path.isdir(spool):
        return []
    names = [name for name in os.listdir(spool) if name.endswith(SUFFIX)]
    return [name for name in names if remove_abandoned(os.path.join(spool, name))]


def remove_abandoned(folder):
    """Remove a cluster unless a living engine holds its lock; return whether it was removed."""
    try:
        descriptor = os.open(f"{folder}/{LOCK}", os.O_RDWR)
    except FileNotFoundError:
        # Just being made, or killed in the very moment: a folder with nothing in it goes.
        with contextlib.suppress(OSError):
            os.rmdir(folder)
            return True
        return False
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not end_server(f"{folder}/data"):
            return False
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return not os.path.exists(folder)


def end_server(data):
    """End the processes at work in a data folder; return whether they are gone."""
    deadline = time.monotonic() + STOP_TIMEOUT
    for number in (signal.SIGQUIT, signal.SIGKILL):
        for pid in processes_in(data):
            with contextlib.suppress(OSError):
                os.kill(pid, number)
        while processes_in(data) and time.monotonic() < deadline:
            time.sleep(POLL)
        deadline += STOP_TIMEOUT
    return not processes_in(data)


def processes_in(data):
    """Return the ids of the processes that work in a folder: all of a server's do in its own."""
    here = os.path.realpath(data)
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{name}/cwd") == here:
                    found.append(int(name))
    return found
