"""Feeding a dump to psql or pg_restore.

A dump comes from a server that is not ours, and psql runs what a script tells it to, commands of
the shell included (CVE-2025-8714). So each block is read as psql will read it, and nothing with a
command in it is fed (:mod:`..archive.psql_lexer`). And psql is locked: ``\\restrict key`` makes
that of August 2025 and later refuse every command of its own until ``\\unrestrict`` names the key,
which is ours, made up for each restore. A psql that does not know it is not used at all.

psql takes the end of its input for the end of what it is to do, in the middle of a table's rows
too: that a script came to its end is found here, never told by its exit code.
"""

import collections
import contextlib
import fcntl
import os
import re
import secrets
import shutil
import subprocess
import threading

from ..archive import sqlscript
from ..archive.checkers import PlainDump
from ..archive.source import BLOCK
from ..errors import LibraryMissing, UnsafeDump
from ..messages import _
from ..spool import write_all

CLIENT = _("Install the package postgresql-client where Odoo runs.")
UNRESTRICTED = _(
    "Update postgresql-client where Odoo runs: PostgreSQL 13.22, 14.19, 15.14, 16.10, 17.6, or a "
    "later one."
)
PROBE_TIMEOUT = 30
# The last lines that a program has to say for itself; with ON_ERROR_STOP that is about one error.
LAST_LINES = 8
LINE_LIMIT = 500
# The first statement of a dump comes long before, its last one is shorter than this (bytes).
HEAD = TAIL = 4096
# More of the dump is inflated while psql is at work (bytes; a pipe has 64 KiB unless told).
PIPE = 1 << 20
UNTIL_STOPPED = 10

# Before anything but comments, as pg_dump writes it.
RESTRICT = re.compile(rb"\A((?:(?:--[^\n]*)?\r?\n)*)\\restrict ([A-Za-z0-9]+)\r?\n")
DUMPED = re.compile(rb"^-- Dumped (?:from database|by pg_dump) version (\d+)", re.MULTILINE)
# Written by pg_dump 17 and later for any server, and unknown to those before.
TRANSACTION_TIMEOUT = re.compile(rb"^SET transaction_timeout = 0;", re.MULTILINE)
WITH_TRANSACTION_TIMEOUT = 170_000
PROGRAM_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
# What COPY says of where it failed ends with the row, which is nobody's business.
ROW = re.compile(r"(CONTEXT:  COPY [^:]*?, line \d+(?:, column [^:]+)?): .*")
LOCATION = re.compile(r"LOCATION:  ")


class Script:
    """A plain dump on its way to psql.

    :param blocks: its bytes, in order
    :param version: of the server that it is for, as PostgreSQL numbers them
    """

    def __init__(self, blocks, version):
        self._blocks = iter(blocks)
        self._version = version
        self.made_by = 0
        """The newest PostgreSQL (its first number) that the dump says to be of; 0 when unknown."""

    def confined(self):
        """Yield the script as psql gets it: locked first, without the locks of its own.

        Raises :class:`Truncated` or :class:`Inconsistent` where it is no whole dump of pg_dump,
        and :class:`UnsafeDump` instead of a block that psql might obey.
        """
        yield f"\\restrict {secrets.token_hex(16)}\n".encode()
        whole, reader = PlainDump(), sqlscript.Script()
        blocks = self._safe_blocks(whole, reader)
        held = b""
        while len(held) < HEAD and (block := next(blocks, b"")):
            held += block
        held, key = self._unlocked(held)
        for block in blocks:
            # What is held is enough to find the last statement in it.
            kept = b"" if len(block) >= TAIL else held[-TAIL:]
            yield held[: len(held) - len(kept)]
            held = kept + block
        whole.finish()
        reader.finish()
        yield re.sub(rb"\n\\unrestrict " + key + rb"\s*\Z", b"\n", held) if key else held

    def _safe_blocks(self, whole, reader):
        for block in self._blocks:
            whole.feed(block)
            reader.feed(block)
            try:
                reader.require_safe()
            except UnsafeDump:
                # A damaged byte can make anything of what follows: a checksum says so at the end.
                collections.deque(self._blocks, maxlen=0)
                raise
            yield block

    def _unlocked(self, head):
        """Return the beginning of the script as it is fed, and the key of its own lock."""
        self.made_by = newest_of(head)
        if self._version < WITH_TRANSACTION_TIMEOUT:
            head = TRANSACTION_TIMEOUT.sub(b"", head[:HEAD]) + head[HEAD:]
        match = RESTRICT.match(head)
        if not match:
            return head, b""
        return match[1] + b"\n" + head[match.end() :], match[2]


def newest_of(head):
    """Return the newest PostgreSQL that a script says, at its beginning, to be of; 0 when none."""
    return max((int(major) for major in DUMPED.findall(head[:HEAD])), default=0)


def run_script(server, database, script, options, control):
    """Run a plain dump in ``database``, up to its first error; raise what that means."""
    psql = program("psql")
    require_restrict(psql)
    command = [psql, "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"]
    command += ["-d", database, "-f", "-"]
    run(command, server.environment(options), script.confined(), control)


def run_custom(server, database, blocks, options, control):
    """Restore a custom dump into ``database``, up to its first error; raise what that means.

    It is fed as well: pg_restore reads a file of pg_dump's front to back, and one that lost us
    ends at the end of its input. What may stand behind the last data it leaves alone.
    """
    command = [program("pg_restore"), "-w", "--exit-on-error", "--no-owner", "--no-acl"]
    command += ["-d", database]
    run(command, server.environment(options), blocks, control, takes_all=False)


def needs_script(environment, version):
    """Return whether a custom dump can only be restored as a script, by psql.

    :param environment: that of the restore: Debian chooses a version of its programs by it
    :param version: of the server, as PostgreSQL numbers them

    pg_restore 17 and later sets transaction_timeout on any server, and those before 17 refuse
    that. In a script it can be left out, which changes nothing: its value is 0, for no limit.
    """
    return version < WITH_TRANSACTION_TIMEOUT <= version_of(program("pg_restore"), environment)


def as_script(file, environment):
    """Yield the script of a custom dump, as pg_restore writes it; it reads ``file`` by itself.

    Raises :class:`ProgramFailed` when it does not come to the end of the dump.
    """
    # Where Python's buffer has read to is not where pg_restore is to begin.
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    process = subprocess.Popen(  # noqa: S603 - a fixed command
        [program("pg_restore"), "--no-owner", "--no-acl", "-f", "-"],
        env=environment,
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    words = LastWords(process.stderr)
    try:
        while block := process.stdout.read(BLOCK):
            yield block
        if process.wait():
            words.join()
            raise ProgramFailed(words.text() or "pg_restore failed.")
    finally:
        process.kill()
        process.wait()
        words.join()
        process.stdout.close()
        process.stderr.close()


class ProgramFailed(Exception):
    """psql or pg_restore ended with an error; ``words`` is what it said last."""

    def __init__(self, words):
        super().__init__(words)
        self.words = words


def run(command, environment, blocks, control, takes_all=True):
    """Feed the blocks to a program; return when it has ended well.

    :param takes_all: whether it ends well only when it has read all of them

    Raises :class:`ProgramFailed` when it did not end well. Whatever is raised, it has ended.
    """
    process = subprocess.Popen(  # noqa: S603 - a fixed command, and a name that we made
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    words = LastWords(process.stderr)
    try:
        with control.interrupted_by(process.kill):
            taken = feed(process, blocks)
            code = process.wait()
        control.check()
    finally:
        end(process, words)
    if code or (takes_all and not taken):
        raise ProgramFailed(words.text() or f"{command[0]} ended with code {code}.")


def feed(process, blocks):
    """Write all blocks; return whether the program took them all."""
    pipe = process.stdin.fileno()
    with contextlib.suppress(AttributeError, OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)
    try:
        for block in blocks:
            write_all(pipe, block)
    except BrokenPipeError:
        return False
    process.stdin.close()
    return True


def end(process, words):
    """Leave nothing running and nothing open."""
    process.kill()
    process.wait()
    words.join()
    process.stderr.close()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


class LastWords(threading.Thread):
    """Reads what a program says, so that it never waits, and keeps the end of it."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self._stream = stream
        self._lines = collections.deque(maxlen=LAST_LINES)
        self.start()

    def run(self):
        for line in self._stream:
            text = line.decode("utf-8", "replace").rstrip()
            if text and not LOCATION.match(text):
                self._lines.append(ROW.sub(r"\1", text)[:LINE_LIMIT])

    def text(self):
        return "\n".join(self._lines)

    def join(self, timeout=UNTIL_STOPPED):
        super().join(timeout)


# --- the programs -------------------------------------------------------------------------------


def program(name):
    """Return the path of a program of PostgreSQL's; raise :class:`LibraryMissing` without it."""
    path = shutil.which(name)
    if path is None:
        raise LibraryMissing(_("The program %(name)s is not installed.", name=name), hint=CLIENT)
    return path


def version_of(path, environment):
    """Return the version of a program as PostgreSQL numbers its servers'; 0 when unknown."""
    match = PROGRAM_VERSION.search(output_of(path, "--version", env=environment))
    return int(match[1]) * 10_000 if match else 0


def output_of(*command, env=None):
    """Return what a program of PostgreSQL's prints about itself."""
    done = subprocess.run(  # noqa: S603 - a fixed command
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PROBE_TIMEOUT,
        check=False,
    )
    return done.stdout.decode("utf-8", "replace")


def require_restrict(psql):
    """Raise :class:`LibraryMissing` for a psql that cannot be locked."""
    if "\\restrict" not in output_of(psql, "--help=commands"):
        raise LibraryMissing(
            _("The psql of this machine is too old: it would run commands that a dump may hold."),
            hint=UNRESTRICTED,
        )
