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
import io
import os
import re
import secrets
import shutil
import subprocess
import threading
from itertools import chain

from ..archive import sqlscript
from ..archive.checkers import PlainDump
from ..archive.source import BLOCK
from ..errors import LibraryMissing, UnsafeDump
from ..messages import _
from ..spool import write_all
from .failures import is_error, of_program

CLIENT = _("Install the package postgresql-client where Odoo runs.")
UNRESTRICTED = _(
    "Update postgresql-client where Odoo runs: PostgreSQL 13.22, 14.19, 15.14, 16.10, 17.6, or a "
    "later one."
)
PROBE_TIMEOUT = 30
# Of what a program says, so many lines of so many characters each are looked at: those of its first
# error. The value of a row, which precedes its position, may have more.
LINES, LINE_LIMIT = 2_000, 1_000
# More refusals than this are not reported (statements that may be refused; see `statements`).
REFUSALS = 1_000
# The first statement of a dump comes long before, its last one is shorter than this (bytes).
HEAD = TAIL = 4096
# Lines before the dump's: the one that locks psql.
LOCKS = 1
# The extensions of a dump stand before all that uses them, and behind the schemas (bytes).
LONG_HEAD = 1 << 20
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


class Script:
    """A plain dump on its way to psql.

    :param blocks: its bytes, in order
    :param version: of the server that it is for, as PostgreSQL numbers them
    :param feed: a :class:`.statements.Feed`, which may exchange statements; without one the script
        is fed as it is
    :param prepare: called with what the feed knows of the dump's extensions before any of it is fed
    """

    def __init__(self, blocks, version, feed=None, prepare=None):
        self._blocks = iter(blocks)
        self._version = version
        self._prepare = prepare
        self.feed = feed
        self.made_by = 0
        """The newest PostgreSQL (its first number) that the dump says to be of; 0 when unknown."""

    def confined(self):
        """Yield the script as psql gets it: locked first, without the locks of its own.

        Raises :class:`Truncated` or :class:`Inconsistent` where it is no whole dump of pg_dump,
        and :class:`UnsafeDump` instead of a block that psql might obey.
        """
        blocks = self._safe_blocks()
        held = b""
        while self._is_at_its_head(held) and (block := next(blocks, b"")):
            held += block
        held, key = self._unlocked(held)
        if self._prepare:
            self._prepare(self.feed.extensions)
        yield f"\\restrict {secrets.token_hex(16)}\n".encode()
        for block in blocks:
            # What is held is enough to find the last statement in it.
            kept = b"" if len(block) >= TAIL else held[-TAIL:]
            yield held[: len(held) - len(kept)]
            held = kept + block
        yield re.sub(rb"\n\\unrestrict " + key + rb"\s*\Z", b"\n", held) if key else held

    def _is_at_its_head(self, held):
        if len(held) < HEAD:
            return True
        return bool(self._prepare) and not self.feed.is_past_extensions and len(held) < LONG_HEAD

    def _safe_blocks(self):
        whole, taken = PlainDump(), self.feed or Verbatim()
        reader = sqlscript.Script(feed=taken)
        for block in self._blocks:
            whole.feed(block)
            reader.feed(block)
            try:
                reader.require_safe()
            except UnsafeDump:
                # A damaged byte can make anything of what follows: a checksum says so at the end.
                collections.deque(self._blocks, maxlen=0)
                raise
            if text := taken.take():
                yield text
        whole.finish()
        reader.finish()
        yield taken.take()

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
    """Run a plain dump in ``database``, up to its first error; return notes for people.

    Raises :class:`ProgramFailed`.
    """
    psql = program("psql")
    require_restrict(psql)
    command = [psql, "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"]
    command += ["-d", database, "-f", "-"]
    said, blocks = Said(script.feed and script.feed.refused_pattern()), script.confined()
    # Before psql connects: a role may have one connection, and the database is prepared by it.
    first = next(blocks)
    try:
        run(command, server.environment(options), chain([first], blocks), control, said)
    except ProgramFailed as failed:
        if script.feed and failed.failure.line:
            failed.failure.line -= LOCKS
            failed.failure.note_statement(script.feed.at(failed.failure.line))
        raise
    if not script.feed:
        return []
    return script.feed.notes((line - LOCKS, sqlstate) for line, sqlstate in said.refusals)


def as_script(file, environment):
    """Return the script of a custom dump, in blocks; pg_restore reads ``file`` by itself.

    So a custom dump is read as closely as a plain one before any of it is run, and what the server
    says of it comes from psql, which adds the position of a row. Raises :class:`ProgramFailed` when
    it does not come to the end of the dump.
    """
    command = [program("pg_restore"), "--no-owner", "--no-acl", "--no-tablespaces", "-f", "-"]
    return output_blocks(command, file, environment)


def output_blocks(command, file, environment):
    # Where Python's buffer has read to is not where pg_restore is to begin.
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    process = subprocess.Popen(  # noqa: S603 - a fixed command
        command,
        env=environment,
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    said = Said()
    said.follow(process.stderr)
    try:
        while block := process.stdout.read(BLOCK):
            yield block
        if code := process.wait():
            said.join()
            raise ProgramFailed(said.failure(ended_with(command, code))) from None
    finally:
        process.kill()
        process.wait()
        said.join()
        process.stdout.close()
        process.stderr.close()


class ProgramFailed(Exception):
    """psql or pg_restore ended with an error: ``failure``, a :class:`.failures.Failure`."""

    def __init__(self, failure):
        super().__init__(failure.message())
        self.failure = failure


def run(command, environment, blocks, control, said):
    """Feed the blocks to a program; return when it has read all of them and ended well.

    :param said: a :class:`Said`, which hears what it says

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
    said.follow(process.stderr)
    try:
        with control.interrupted_by(process.kill):
            taken = feed(process, blocks)
            code = process.wait()
        control.check()
    finally:
        end(process, said)
    if code or not taken:
        raise ProgramFailed(said.failure(ended_with(command, code))) from None


def ended_with(command, code):
    return f"{os.path.basename(command[0])} ended with code {code}."


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


def end(process, said):
    """Leave nothing running and nothing open."""
    process.kill()
    process.wait()
    said.join()
    process.stderr.close()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


class Said:
    """Hears what a program says, so that it never waits: its first error, and the refusals of
    statements that may be refused.

    :param refusal: the pattern of a line on the latter, with the number of the line and SQLSTATE
    :ivar refusals: the ``(line, SQLSTATE)`` of each
    """

    def __init__(self, refusal=None):
        self._refusal = refusal
        self._lines = []
        self._thread = None
        self.refusals = []

    def follow(self, stream):
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        stream = io.BufferedReader(stream)
        while line := stream.readline(LINE_LIMIT):
            self._note(line.decode("utf-8", "replace").rstrip())

    def _note(self, text):
        if self._refusal and (refused := self._refusal.match(text)):
            if len(self.refusals) < REFUSALS:
                self.refusals.append((int(refused[1]), refused[2]))
        elif self._lines or is_error(text):
            self._lines.append(text)
            # The middle of it is the value of a row.
            if len(self._lines) > LINES:
                del self._lines[LINES // 2]

    def failure(self, otherwise):
        """Return the :class:`.failures.Failure` that it spoke of."""
        return of_program(self._lines, otherwise)

    def join(self, timeout=UNTIL_STOPPED):
        self._thread.join(timeout)


class Verbatim:
    """What is fed is what was read."""

    def __init__(self):
        self._parts = []

    def raw(self, text):
        self._parts.append(text)

    statement = raw

    def take(self):
        text = b"".join(self._parts)
        self._parts.clear()
        return text


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
