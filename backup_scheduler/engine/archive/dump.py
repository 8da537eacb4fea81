"""Verifying a custom dump of pg_dump."""

import hashlib
import re

from ..errors import Damaged, Inconsistent, Truncated
from ..messages import _
from .codec import ZLIB, Framed, Inflater, Stored
from .levels import COMPLETE, INTACT
from .pgcustom import BLOCK_OF_LARGE_OBJECTS, CustomDump
from .report import Report

# Chunks are a few KB; the decoder is called for this many bytes at once.
BATCH = 128 * 1024

_WORDS = re.compile(r"\S+")
_DECODERS = {
    "none": lambda _name: Stored(),
    "gzip": lambda name: Inflater(ZLIB, name),
    "lz4": lambda name: Framed(b"\x04\x22\x4d\x18", name),
    "zstd": lambda name: Framed(b"\x28\xb5\x2f\xfd", name),
}
_DECODED = ("none", "gzip")


def complete(source, database):
    """Level 1: walk from chunk to chunk to the exact end of the file.

    Returns the :class:`Report`. Every entry of the table of contents that promises data has its
    block, once, at its noted position; nothing follows the last one but, where pg_dump appended to
    a file, the table of contents once more. No data is decompressed.
    """
    walk = _Walk(source, database)
    walk.run(walk.skip_stream)
    return walk.report


def intact(source, wanted, checks_of):
    """Level 2: as level 1, and each stream is decompressed to its end and checksum.

    Returns the :class:`Report` and the checkers that ``checks_of(report, wanted)`` gave.

    What the format does not protect cannot be vouched for: the texts of the table of contents
    (definitions of tables, names) and the data of an uncompressed dump have no checksum. Only the
    SHA-256 of the archive finds a changed byte there.

    lz4 and zstd, which pg_dump uses only when told to, cannot be undone by Python's own library:
    the bytes of such a dump are read, but the report says level 1 and why.
    """
    walk = _Walk(source, wanted.database)
    compression = walk.header.compression
    checks = checks_of(walk.report, wanted)

    def read(entry, name):
        checkers = checks.of_table(entry) if compression in _DECODED else []
        walk.read_stream(_DECODERS[compression](name), name, checkers)

    walk.run(read, checks.see_entry)
    if compression in _DECODED:
        walk.report.level = INTACT
    else:
        walk.report.notes.append(
            _(
                "The dump is compressed by %(method)s, which cannot be undone here: it is "
                "complete, but its rows were not read.",
                method=compression,
            )
        )
    return walk.report, checks


class _Walk:
    """One pass over the blocks of a dump, with its table of contents at hand."""

    def __init__(self, source, database):
        self._source = source
        self._dump = CustomDump(source)
        self.header = self._dump.read_header()
        if database is not None and self.header.database != database:
            raise Inconsistent(
                _(
                    "The dump is of the database %(database)r, not of %(wanted)r.",
                    database=self.header.database,
                    wanted=database,
                )
            )
        self.report = Report("dump", COMPLETE, source.size)
        self.report.database = self.header.database
        self.report.pg_version = self.header.server_version
        self._promised, self._starts = {}, {}
        self._contents = _Contents()
        self._listed, self._found = _Numbers(), _Numbers()

    def run(self, visit, see_entry=None):
        """Visit each stream: ``visit(entry, name)`` has to go to its end.

        ``see_entry(entry)`` is called before, with each entry of the table of contents.
        """
        self._read_contents(see_entry or (lambda _entry: None))
        while self._promised:
            self._visit_block(visit)
        if self._source.remaining:
            self._read_contents_again()
        if self.report.large_objects and self._listed != self._found:
            raise Damaged(_("The large objects of the dump are not those that it lists."))

    def _read_contents(self, see_entry):
        for entry in self._dump.entries():
            see_entry(entry)
            self._contents.add(entry)
            if entry.has_data:
                # All that is needed later on: definitions can be long.
                self._promised[entry.dump_id] = entry._replace(definition="")
            elif entry.description == "BLOB":
                self._listed.add(_number(entry.tag))
            elif entry.description == "BLOB METADATA":
                for word in _WORDS.finditer(entry.definition):
                    self._listed.add(_number(word[0]))

    def _read_contents_again(self):
        """Accept the table of contents once more behind the data, with their positions in it.

        ``pg_dump -Fc > file`` of PostgreSQL 17 leaves it there, and with ``>> file`` any pg_dump:
        where the output is open for appending (as _allocAH in pg_backup_archiver.c opens it), what
        it goes back to write over the first one is appended. pg_restore does not read so far.
        """
        surplus = Damaged(
            _(
                "%(remaining)s bytes follow the end of the dump at byte %(position)s.",
                remaining=self._source.remaining,
                position=self._source.position,
            )
        )
        again = _Contents()
        try:
            for entry in self._dump.entries():
                again.add(entry)
                if entry.position != self._starts.get(entry.dump_id):
                    raise surplus
        except Truncated as error:
            if again.count:
                raise
            raise surplus from error
        except Damaged as error:
            raise surplus from error
        if again != self._contents or self._contents.noted or self._source.remaining:
            raise surplus

    def _visit_block(self, visit):
        start = self._source.position
        if not self._source.remaining:
            raise self._missing()
        kind, dump_id = self._dump.read_block_header()
        entry = self._promised.pop(dump_id, None)
        if entry is None:
            raise Damaged(
                _(
                    "The block at byte %(start)s belongs to no entry of the dump's contents.",
                    start=start,
                )
            )
        if entry.position not in (None, start):
            raise Damaged(
                _(
                    "The data of %(name)s are at byte %(start)s, not at %(position)s.",
                    name=entry.name,
                    start=start,
                    position=entry.position,
                )
            )
        self._starts[dump_id] = start
        if (kind == BLOCK_OF_LARGE_OBJECTS) != (entry.description == "BLOBS"):
            raise Damaged(
                _(
                    "The block at byte %(start)s has not the kind of %(name)s.",
                    start=start,
                    name=entry.name,
                )
            )
        if kind == BLOCK_OF_LARGE_OBJECTS:
            self._visit_large_objects(entry, visit)
        else:
            visit(entry, entry.name)
            self.report.tables += entry.description == "TABLE DATA"

    def _visit_large_objects(self, entry, visit):
        for number in self._dump.large_object_ids():
            visit(entry, f"large object {number}")
            self._found.add(number)
            self.report.large_objects += 1

    def skip_stream(self, _entry, name):
        what = _data_of(name)
        for length in self._dump.chunk_lengths(what):
            self._source.skip(length, what)

    def read_stream(self, decoder, name, checkers):
        for batch in self._batches(_data_of(name)):
            for plain in decoder.feed(batch):
                for checker in checkers:
                    checker.feed(plain)
        decoder.finish()
        for checker in checkers:
            checker.finish()

    def _batches(self, what):
        chunks, filled = [], 0
        for length in self._dump.chunk_lengths(what):
            for chunk in self._source.blocks(length, what):
                chunks.append(chunk)
                filled += len(chunk)
                if filled >= BATCH:
                    yield b"".join(chunks)
                    chunks, filled = [], 0
        if chunks:
            yield b"".join(chunks)

    def _missing(self):
        names = [entry.name for entry in self._promised.values()]
        size, count = self._source.size, len(names) - 1
        if not count:
            return Truncated(
                _(
                    "The file ends at byte %(size)s, before the data of %(name)s.",
                    size=size,
                    name=names[0],
                )
            )
        return Truncated(
            _(
                "The file ends at byte %(size)s, before the data of %(name)s and %(count)s more.",
                size=size,
                name=names[0],
                count=count,
            )
        )


class _Contents:
    """A table of contents but for the positions of the data, known by a digest: it may be long."""

    def __init__(self):
        self.count, self.noted = 0, False
        self._digest = hashlib.sha256()

    def add(self, entry):
        self.count += 1
        self.noted |= entry.position is not None
        self._digest.update(repr(entry._replace(position=None)).encode())

    def __eq__(self, other):
        return self._digest.digest() == other._digest.digest()

    __hash__ = None


def _number(text):
    """Return the number of a large object, or 0 for what is none: it has 32 bits."""
    return int(text) if text.isdecimal() and len(text) <= 10 else 0


def _data_of(name):
    """Return what :func:`.source.name_of` takes: there may be a million of them."""
    return lambda: _("the data of %(name)s", name=name)


class _Numbers:
    """A set of object numbers, known by count and sum alone: there may be millions."""

    def __init__(self):
        self._count = self._sum = 0

    def add(self, number):
        self._count += 1
        self._sum += number

    def __eq__(self, other):
        return (self._count, self._sum) == (other._count, other._sum)

    __hash__ = None
