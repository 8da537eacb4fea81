"""The custom format of pg_dump: header, table of contents, blocks of data.

Source of the layout: ``pg_backup_archiver.c`` (ReadHead, ReadToc, ReadInt, ReadStr, ReadOffset) and
``pg_backup_custom.c`` of PostgreSQL. What is read here are versions 1.12 to 1.16 of the format,
which pg_dump 9.0 to 18 write. Numbers are taken only as pg_dump writes them (one sign byte, no
negative zero, NULL as -1), which finds damage that ``pg_restore`` reads over.
"""

import re
import struct
from typing import NamedTuple

from ..errors import Damaged, NotAnArchive
from ..messages import _
from .content import DUMP, HEAD, PG_CUSTOM, require_magic
from .source import name_of

OLDEST, NEWEST = (1, 12), (1, 16)
WITH_TABLE_ACCESS_METHOD = (1, 14)
WITH_COMPRESSION_ALGORITHM = (1, 15)
WITH_KIND_OF_RELATION = (1, 16)

BLOCK_OF_ROWS, BLOCK_OF_LARGE_OBJECTS = 1, 3
COMPRESSIONS = {0: "none", 1: "gzip", 2: "lz4", 3: "zstd"}

_PREFIX = struct.Struct("<5s6B")
# Every PostgreSQL of the last decade writes int as 4 and offsets as 8 bytes.
_INT = struct.Struct("<BI")
_OFFSET = struct.Struct("<BQ")
_OFFSET_NOT_SET, _OFFSET_SET, _NO_DATA = 1, 2, 3
_FORMATS = {1: "custom", 3: "tar", 5: "directory"}
# Ranges of struct tm, in the order in which the header has them.
_TIME = ((0, 60), (0, 59), (0, 23), (1, 31), (0, 11), (70, 1100), (-1, 1))
# No definition comes near this; a damaged length must not allocate it (bytes).
MAX_TEXT = 16 * 1024 * 1024

# What is read, for the messages: some of it a hundred thousand times.
CONTENTS, NUMBER = _("the table of contents"), _("a number")
OBJECT_NUMBER, ENTRY_KIND = _("an object number"), _("the kind of an entry")
ENTRY_SECTION, RELATION_KIND = _("the section of an entry"), _("the kind of a relation")

_DIGITS = re.compile(rb"[0-9]{1,10}\Z")
_DESCRIPTION = re.compile(rb"[A-Z][A-Z ]*\Z")
_VERSION = re.compile(r"[0-9]")


class Header(NamedTuple):
    version: tuple
    compression: str
    database: str
    server_version: str
    pg_dump_version: str


class Entry(NamedTuple):
    """One line of the table of contents.

    ``position`` is the byte at which its data begin, or None where pg_dump could not go back to
    note it (it writes into a pipe, as Odoo has it do).
    """

    dump_id: int
    has_data: bool
    description: str
    schema: str
    tag: str
    definition: str
    copy_statement: str
    position: int | None

    @property
    def name(self):
        """What people call it: ``public.res_partner``."""
        return f"{self.schema}.{self.tag}" if self.schema else self.tag


class CustomDump:
    """A reader of one custom dump, front to back.

    Raises :class:`Truncated` where the file ends too early and :class:`Damaged` for anything that
    pg_dump does not write.
    """

    def __init__(self, source):
        self._source = source
        self._header = None
        self._encoding = "latin-1"

    # --- header ---------------------------------------------------------------------------------

    def read_header(self):
        """Return the :class:`Header`; raise :class:`NotAnArchive` for what is no such dump."""
        version, compression = self._read_prefix()
        if version < WITH_COMPRESSION_ALGORITHM:
            compression = self._compression_of_level(self._int())
        self._read_time()
        texts = [self._text(_("the header")) for _text in range(3)]
        if not all(texts) or not all(map(_VERSION.match, texts[1:])):
            raise self._damaged(_("the header names no database or no version"))
        # Names are bytes to pg_dump; those of Odoo are UTF-8.
        texts = [text.encode("latin-1").decode("utf-8", "replace") for text in texts]
        self._header = Header(version, compression, *texts)
        return self._header

    def _read_prefix(self):
        head = self._source.read(min(_PREFIX.size, self._source.size), _("its first bytes"))
        if not head.startswith(PG_CUSTOM):
            # More of it, to say what it is instead.
            more = self._source.read(min(HEAD, self._source.remaining))
            require_magic(head + more, [PG_CUSTOM], DUMP)
        if len(head) < _PREFIX.size:
            self._source.read(_PREFIX.size - len(head), _("the header"))
        _magic, major, minor, _revision, int_size, offset_size, kind = _PREFIX.unpack(head)
        self._require_version((major, minor))
        if kind != 1:
            name = _FORMATS.get(kind, "unknown")
            raise NotAnArchive(
                _("The dump is of pg_dump's %(name)s format, not of the custom one.", name=name)
            )
        if (int_size, offset_size) != (4, 8):
            raise self._damaged(
                _(
                    "numbers of %(int_size)s and %(offset_size)s bytes",
                    int_size=int_size,
                    offset_size=offset_size,
                )
            )
        compression = None
        if (major, minor) >= WITH_COMPRESSION_ALGORITHM:
            compression = COMPRESSIONS.get(self._byte())
            if compression is None:
                raise self._damaged(_("an unknown compression"))
        return (major, minor), compression

    def _require_version(self, version):
        if not OLDEST <= version <= NEWEST:
            major, minor = version
            raise NotAnArchive(
                _(
                    "The dump has version %(version)s of pg_dump's custom format; this "
                    "program knows %(oldest)s to %(newest)s.",
                    version=f"{major}.{minor}",
                    oldest=f"{OLDEST[0]}.{OLDEST[1]}",
                    newest=f"{NEWEST[0]}.{NEWEST[1]}",
                ),
                hint=_(
                    "Update Backup Scheduler if the server runs a newer PostgreSQL; else the first "
                    "bytes of the file were changed."
                ),
            )

    def _compression_of_level(self, level):
        if not -1 <= level <= 9:
            raise self._damaged(_("compression level %(level)s", level=level))
        return "gzip" if level else "none"

    def _read_time(self):
        for lowest, highest in _TIME:
            if not lowest <= self._int() <= highest:
                raise self._damaged(_("a creation time that does not exist"))

    # --- table of contents ----------------------------------------------------------------------

    def entries(self):
        """Yield each :class:`Entry` of the table of contents."""
        count = self._int()
        if count < 0:
            raise self._damaged(_("%(count)s entries", count=count))
        known = set()
        for _number in range(count):
            entry = self._read_entry()
            if entry.dump_id in known:
                raise self._damaged(_("entry %(dump_id)s is there twice", dump_id=entry.dump_id))
            known.add(entry.dump_id)
            if entry.description == "ENCODING" and "'UTF8'" in entry.definition:
                self._encoding = "utf-8"
            yield entry

    def _read_entry(self):
        dump_id = self._int()
        if dump_id <= 0:
            raise self._damaged(_("an entry with the number %(dump_id)s", dump_id=dump_id))
        has_data = self._flag()
        for _oid in range(2):
            self._matching(_DIGITS, OBJECT_NUMBER)
        tag = self._text()
        description = self._matching(_DESCRIPTION, ENTRY_KIND)
        self._int_within(1, 4, ENTRY_SECTION)
        definition, _drop, copy_statement, schema = (self._text() for _text in range(4))
        self._read_storage()
        self._dependencies()
        position = self._data_position(has_data)
        return Entry(
            dump_id, has_data, description, schema, tag, definition, copy_statement, position
        )

    def _read_storage(self):
        """Go over tablespace, access method, kind of relation, owner and the old OIDS mark."""
        version = self._header.version
        self._text()
        if version >= WITH_TABLE_ACCESS_METHOD:
            self._text()
        if version >= WITH_KIND_OF_RELATION:
            self._int_within(0, 127, RELATION_KIND)
        self._text()
        if self._text() not in ("true", "false"):
            raise self._damaged(_("the OIDS mark of an entry"))

    def _dependencies(self):
        while (number := self._bytes()) is not None:
            if not _DIGITS.match(number):
                raise self._damaged(_("the dependency of an entry"))

    def _data_position(self, has_data):
        state, position = _OFFSET.unpack(self._source.read(_OFFSET.size, CONTENTS))
        # Dumps of no data but with the promise of some do not exist, nor the other way round.
        if has_data != (state in (_OFFSET_NOT_SET, _OFFSET_SET)):
            raise self._damaged(_("an entry that contradicts itself about its data"))
        if state != _OFFSET_SET and (position or state not in (_OFFSET_NOT_SET, _NO_DATA)):
            raise self._damaged(_("the data position of an entry"))
        return position if state == _OFFSET_SET else None

    # --- blocks of data -------------------------------------------------------------------------

    def read_block_header(self):
        """Return the kind of the block that begins here, and the entry whose data it has."""
        kind = self._byte()
        if kind not in (BLOCK_OF_ROWS, BLOCK_OF_LARGE_OBJECTS):
            raise self._damaged(_("a block of the unknown kind %(kind)s", kind=kind))
        return kind, self._int()

    def large_object_ids(self):
        """Yield the number of each large object of a block; its chunks are to be read in between.

        Numbers above 2^31 are written as negative ones.
        """
        while number := self._int():
            yield number % (1 << 32)

    def chunk_lengths(self, what):
        """Yield the length of each chunk of one stream; the caller goes over its bytes."""
        read, unpack, size = self._source.read, _INT.unpack, _INT.size
        while True:
            sign, length = unpack(read(size, what))
            if sign:
                raise self._damaged(_("a negative length in %(what)s", what=name_of(what)))
            if not length:
                return
            yield length

    # --- the smallest parts ---------------------------------------------------------------------

    def _byte(self):
        return self._source.read(1)[0]

    def _int(self):
        sign, magnitude = _INT.unpack(self._source.read(_INT.size, NUMBER))
        if sign > 1 or (sign and not magnitude) or magnitude > 1 << 31:
            raise self._damaged(_("a number that pg_dump does not write"))
        return -magnitude if sign else magnitude

    def _int_within(self, lowest, highest, what):
        if not lowest <= self._int() <= highest:
            raise self._damaged(what)

    def _flag(self):
        value = self._int()
        if value not in (0, 1):
            raise self._damaged(_("%(value)s where only yes or no can be", value=value))
        return bool(value)

    def _bytes(self, what=CONTENTS):
        length = self._int()
        if length == -1:
            return None
        if not 0 <= length <= MAX_TEXT:
            raise self._damaged(_("a text of %(length)s bytes", length=length))
        content = self._source.read(length, what)
        if b"\0" in content:
            raise self._damaged(_("a text with a NUL in it"))
        return content

    def _text(self, what=CONTENTS):
        content = self._bytes(what)
        try:
            return (content or b"").decode(self._encoding)
        except UnicodeDecodeError as error:
            raise self._damaged(_("a text that is no UTF-8")) from error

    def _matching(self, pattern, what):
        content = self._bytes()
        if content is None or not pattern.match(content):
            raise self._damaged(what)
        return content.decode()

    def _damaged(self, what):
        return Damaged(
            _(
                "The dump is damaged before byte %(position)s: %(what)s.",
                position=self._source.position,
                what=what,
            )
        )
