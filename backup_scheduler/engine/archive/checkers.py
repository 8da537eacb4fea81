"""What is asked of the plain bytes of each part while an archive is read once, front to back.

A *checker* sees the bytes of one part in order, ``feed(block)`` by ``feed(block)``, and says its
verdict in ``finish()``, which is called only once the checksum and the size of the part are known
to be right. :class:`Intact` says which part gets which checkers; a higher level is a subclass that
gives some parts more of them.
"""

import re
from typing import NamedTuple

from ..errors import Damaged, Inconsistent, Truncated
from ..messages import _
from .manifest import MAX_SIZE, check_manifest, parse_manifest
from .sqlscript import Script

DUMP = "dump.sql"
MANIFEST = "manifest.json"
FILESTORE, MARKS = "filestore/", "filestore/checklist/"

PG_DUMP_FAILED = _(
    "pg_dump ended early on the server although the archive was completed. The log of that server "
    "says why: often its disk was full or its database was stopped."
)

# The end mark, then at most the one line that pg_dump prints after it since its releases of
# August 2025. Anchored at the end of the script: a row of data may hold the text of the mark, and
# a dump cut right behind such a row must not pass.
_END_OF_DUMP = re.compile(
    rb"(^|\n)-- PostgreSQL database dump complete\n--\s*(\\unrestrict [^\s]+\s*)?\Z"
)
_START_OF_DUMP = b"--\n-- PostgreSQL database dump\n--\n"


def is_stored_file(name):
    """Whether a member of a zip is a file of the filestore, and no mark of what may be deleted."""
    return name.startswith(FILESTORE) and not name.startswith(MARKS) and not name.endswith("/")


class Wanted(NamedTuple):
    """What the archive is held against.

    ``database``: its name, or None. ``since``: the aware datetime at which the backup was asked
    for, or None. ``filestore``: whether a zip is to hold the filestore. ``known_gaps``: the names
    of files that are known to be ``missing`` and ``damaged``, or None. ``gone``: the names (bytes)
    of files that were deleted, with their attachments, while it was made. ``hashed``: whether the
    writer has found each file to have the content of its name.
    """

    database: str | None = None
    since: object = None
    filestore: bool = True
    known_gaps: dict | None = None
    gone: frozenset = frozenset()
    hashed: bool = False


class Intact:
    """The checkers of level 2.

    :param report: where they write down what they learn
    :param wanted: a :class:`Wanted`
    """

    def __init__(self, report, wanted):
        self._report = report
        self._wanted = wanted
        self._script = self._script_reader()

    def _script_reader(self):
        return Script()

    def of_member(self, name):
        """Return the checkers of a member of the zip."""
        if name == DUMP:
            return [PlainDump(), self._script]
        if name == MANIFEST:
            return [Manifest(self._report, self._wanted.database)]
        return []

    def of_table(self, entry):
        """Return the checkers of the rows that a custom dump has for ``entry``."""
        return [CopyRows(entry, self._counted)] if entry.copy_statement else []

    # A higher level may have the rows of the tables of a custom dump counted.
    _counted = None

    def see_entry(self, entry):
        """Look at one entry of a custom dump's table of contents, before all data."""

    def conclude(self):
        """Say the verdict on the whole, after all of it was read and found intact."""


class Tail:
    """The last ``length`` bytes of what was fed."""

    def __init__(self, length):
        self._length = length
        self.content = b""

    def feed(self, block):
        if len(block) < self._length:
            block = self.content + block
        self.content = block[-self._length :]


class PlainDump:
    """An SQL script of pg_dump, from its first comment to its last.

    A script without its end inside a sound zip is :class:`Truncated`: the zip was made well, around
    a dump whose pg_dump had died. Trying again may help, as with any cut.
    """

    def __init__(self):
        self._head = b""
        self._tail = Tail(4096)

    def feed(self, block):
        if len(self._head) < 1024:
            self._head += block[:1024]
        self._tail.feed(block)

    def finish(self):
        # A server on Windows writes CR LF.
        head = self._head.replace(b"\r\n", b"\n")
        if not head:
            raise Truncated(_("%(dump)s is empty.", dump=DUMP), hint=PG_DUMP_FAILED)
        if not head.startswith(_START_OF_DUMP):
            if _START_OF_DUMP.startswith(head):
                raise Truncated(
                    _("%(dump)s ends in its first line.", dump=DUMP), hint=PG_DUMP_FAILED
                )
            raise Inconsistent(_("%(dump)s is not an SQL script of pg_dump.", dump=DUMP))
        if not _END_OF_DUMP.search(self._tail.content.replace(b"\r\n", b"\n")):
            raise Truncated(
                _("%(dump)s stops before “PostgreSQL database dump complete”.", dump=DUMP),
                hint=PG_DUMP_FAILED,
            )


class Manifest:
    """``manifest.json``: readable, whole, and of the database that was asked for."""

    def __init__(self, report, database):
        self._report = report
        self._database = database
        self._content = bytearray()

    def feed(self, block):
        if len(self._content) + len(block) > MAX_SIZE:
            raise Inconsistent(
                _(
                    "%(manifest)s is longer than %(limit)s bytes.",
                    manifest=MANIFEST,
                    limit=MAX_SIZE,
                )
            )
        self._content += block

    def finish(self):
        manifest = parse_manifest(bytes(self._content))
        if self._database is not None:
            check_manifest(manifest, self._database)
        self._report.manifest = manifest
        self._report.database = manifest["db_name"]
        self._report.odoo_version = manifest["version"]
        self._report.pg_version = manifest["pg_version"]


class CopyRows:
    r"""The rows of one table as COPY text; pg_dump ends them with ``\.`` and empty lines.

    (dumpTableData_copy in pg_dump.c: the mark is part of the data of the archive.)

    :param counted: called with the name of the table and the number of its rows, or None
    """

    def __init__(self, entry, counted=None):
        self._name = entry.name
        self._tail = Tail(16)
        self._counted, self._lines = counted, 0

    def feed(self, block):
        self._tail.feed(block)
        if self._counted:
            self._lines += block.count(b"\n")

    def finish(self):
        text = self._tail.content.replace(b"\r\n", b"\n")
        rows = text.rstrip(b"\n")
        if rows != b"\\." and not rows.endswith(b"\n\\."):
            raise Damaged(_("The rows of %(name)s stop before their end mark.", name=self._name))
        if self._counted:
            self._counted(self._name, self._lines - (len(text) - len(rows)))
