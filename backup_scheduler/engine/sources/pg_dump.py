"""pg_dump on this machine: which one, and what comes out of it.

Source of the rule: pg_dump refuses a server of a newer major version than its own ("aborting
because of server version mismatch").
"""

import contextlib
import fcntl
import glob
import io
import os
import re
import subprocess
import threading

from ..child_environment import guarded
from ..errors import DatabaseServerFailed, DumpProgramTooOld, LibraryMissing, RemoteError
from ..messages import _
from ..restore.psql import CLIENT, PIPE, UNTIL_STOPPED, version_of

NAME = "pg_dump"
# Where Debian, Red Hat and FreeBSD put the programs of each version that is installed.
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql*/bin")
# As Odoo calls it (odoo.service.db.dump_db).
OPTIONS = ("--no-owner",)
FORMATS = {"zip": (), "dump": ("--format=c",)}
BLOCK = 1 << 20
# Of what it says: lines, and bytes of each.
LINES, LINE_LIMIT = 8, 500
# How it says that the connection could not be had, or was lost.
LOST = re.compile(
    r"connection to server .* failed|server closed the connection|terminating connection|"
    r"could not (?:connect|receive data|send data)|SSL |too many clients|not yet accepting|"
    r"the database system is "
)
SERIES = 10_000


def program_for(version, folder=""):
    """Return the path of the pg_dump for a server: the oldest that is not older than it.

    :param version: of the server, as PostgreSQL numbers them
    :param folder: another place to look in

    A newer one may write what the server itself does not know. Raises :class:`DumpProgramTooOld`
    and, without any, :class:`LibraryMissing`.
    """
    wanted, found = version // SERIES, {}
    for paths in programs(folder):
        found |= {path: version_of(path, None) for path in paths}
        if fit := [path for path, its in found.items() if its // SERIES >= wanted]:
            return min(fit, key=found.get)
    if not found:
        raise LibraryMissing(_("The program %(name)s is not installed.", name=NAME), hint=CLIENT)
    newest = max(found, key=found.get)
    raise DumpProgramTooOld(
        _(
            "The databases are on PostgreSQL %(server)s, and the newest pg_dump that is installed "
            "where Odoo runs is of PostgreSQL %(program)s (%(path)s).",
            server=wanted,
            program=found[newest] // SERIES,
            path=newest,
        ),
        hint=_("Install the package postgresql-client-%(version)s there.", version=wanted),
    )


def programs(folder=""):
    """Yield the paths of each pg_dump that is installed, as lists: first those of single versions;
    what the path leads to may be a script that chooses among these, and slow."""
    installed = [name for place in PLACES for name in sorted(glob.glob(place))]
    for folders in ([folder, *installed], os.get_exec_path()):
        paths = [os.path.join(name, NAME) for name in folders if name]
        yield [path for path in dict.fromkeys(paths) if os.access(path, os.X_OK)]


def environment_of(server):
    """Return the environment of pg_dump: as for psql, but the dump is in the encoding of the
    database."""
    environment = server.environment("")
    del environment["PGCLIENTENCODING"]
    return environment


def dumped(server, program, database, archive_format, snapshot, control, warn):  # noqa: PLR0913
    """Yield the dump of a database; a block is good until the next is asked for.

    :param snapshot: the exported snapshot that it shows
    :param warn: called with what pg_dump said although it ended well

    Raises what its exit code and its last words mean. Whatever is raised, it has ended.
    """
    command = [program, *OPTIONS, *FORMATS[archive_format], f"--snapshot={snapshot}"]
    # A name with an equals sign, or one that begins with a dash, is a name as well.
    command += [f"--dbname={conninfo(dbname=database)}"]
    process = subprocess.Popen(  # noqa: S603 - a fixed command, and a name that is quoted
        guarded(command),
        env=environment_of(server),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    words = Words(process.stderr)
    try:
        with control.interrupted_by(process.terminate):
            yield from blocks_of(process.stdout)
            code = process.wait()
        control.check()
    finally:
        end(process, words)
    if code:
        said = words.text() or f"{NAME} ended with code {code}."
        raise failure_of(said)
    if words.text():
        warn(words.text())


class Words(threading.Thread):
    """Hears what pg_dump says, so that it never waits, and keeps the beginning of it: the error
    stands there, and the query after it may be long."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self._stream = io.BufferedReader(stream)
        self._lines = []
        self.start()

    def run(self):
        while line := self._stream.readline(LINE_LIMIT):
            if len(self._lines) < LINES:
                self._lines.append(line.decode("utf-8", "replace").rstrip())

    def text(self):
        return " ".join(line.strip() for line in self._lines if line.strip())

    def join(self, timeout=UNTIL_STOPPED):
        super().join(timeout)


def failure_of(words):
    """Return the error that the words of pg_dump mean."""
    kind = DatabaseServerFailed if LOST.search(words) else RemoteError
    return kind(_("PostgreSQL: %(words)s", words=words))


def end(process, words):
    """Leave nothing running, here and on the server: pg_dump cancels what it asked for there."""
    process.terminate()
    try:
        process.wait(UNTIL_STOPPED)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    words.join()
    process.stdout.close()
    process.stderr.close()


def blocks_of(pipe):
    """Yield what a program writes; a block is good until the next is asked for."""
    with contextlib.suppress(AttributeError, OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)
    buffer = memoryview(bytearray(BLOCK))
    while read := pipe.readinto(buffer):
        yield buffer[:read]


def conninfo(**values):
    """Return parameters of a connection as libpq reads them (34.1.1.1, "Keyword/Value")."""
    quoted = {
        name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in values.items()
    }
    return " ".join(f"{name}='{value}'" for name, value in quoted.items())
