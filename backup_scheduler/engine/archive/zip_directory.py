"""The structures of a zip file, as strictly as Odoo's zips allow.

The sections named below are those of PKWARE's APPNOTE.TXT 6.3.10. Python's own ``zipfile`` is not
used here: it accepts bytes before and after the archive, ignores most of the local headers, and
keeps every entry in memory (a filestore has up to millions).
"""

import struct
from typing import NamedTuple

from ..errors import Damaged, Truncated
from ..messages import _

_LOCAL = struct.Struct("<4s5H3L2H")  # 4.3.7
_ENTRY = struct.Struct("<4s6H3L5H2L")  # 4.3.12
_END64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
_LOCATOR = struct.Struct("<4sLQL")  # 4.3.15
_END = struct.Struct("<4s4H2LH")  # 4.3.16
_FIELD = struct.Struct("<2H")  # 4.5.1
_DESCRIPTORS = {  # 4.3.9: by their length; the signature is optional, the sizes have 4 or 8 bytes
    12: struct.Struct("<3L"),
    16: struct.Struct("<4s3L"),
    20: struct.Struct("<L2Q"),
    24: struct.Struct("<4sL2Q"),
}
_LOCAL_MAGIC, _ENTRY_MAGIC = b"PK\x03\x04", b"PK\x01\x02"
_END_MAGIC, _END64_MAGIC, _LOCATOR_MAGIC = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_DESCRIPTOR_MAGIC = b"PK\x07\x08"

_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
_ZIP64_EXTRA = 1
# The name in UTF-8 (4.6.9). Python 3.12 and later take it for the name: what is "filestore/x" here
# can be the "dump.sql" there that psql gets.
_UNICODE_PATH_EXTRA, _UNICODE_PATH_HEAD = 0x7075, 5

STORED, DEFLATED = 0, 8
# 4.4.4: strength of deflate (bits 1 and 2), data descriptor (3), UTF-8 names (11). Odoo writes no
# other, and Python, which restores the archive, reads no encrypted or patched member.
_DESCRIPTOR_FLAG = 1 << 3
_UTF8_FLAG = 1 << 11
_FLAGS = 0b110 | _DESCRIPTOR_FLAG | _UTF8_FLAG
# The highest version that Python's zipfile agrees to read.
_MAX_VERSION = 63


class End(NamedTuple):
    """Where the central directory is (byte), how long (bytes) and of how many entries."""

    start: int
    length: int
    count: int


class Entry(NamedTuple):
    """One member, as the central directory has it. Sizes and offset are bytes."""

    raw_name: bytes
    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    offset: int

    @property
    def name(self):
        encoding = "utf-8" if self.flags & _UTF8_FLAG else "cp437"
        return self.raw_name.decode(encoding, "replace")

    @property
    def has_descriptor(self):
        return bool(self.flags & _DESCRIPTOR_FLAG)


# --- the end of the file ------------------------------------------------------------------------


def find_end(source):
    """Return the :class:`End` of the archive; the file ends with its end record.

    Raises :class:`Truncated` where there is no such record, which is what a cut leaves, and
    :class:`Damaged` where there is one that does not lead to a central directory right before it,
    or bytes follow it. A member that is a zip file itself is not taken for the end of the archive:
    the offsets in its end record are not those of this file.
    """
    start = max(0, source.size - _END.size - _MAX16)
    source.seek(start)
    tail = source.read(source.size - start)
    at = len(tail)
    while (at := tail.rfind(_END_MAGIC, 0, at)) >= 0:
        if len(tail) - at < _END.size:
            continue
        surplus = len(tail) - at - _END.size - _END.unpack_from(tail, at)[-1]
        if surplus < 0:
            continue
        end = _end_at(source, start + at)
        if end and surplus:
            raise Damaged(_("%(surplus)s bytes follow the end of the archive.", surplus=surplus))
        if end:
            return end
        if not surplus:
            raise Damaged(
                _(
                    "The archive's directory is not where its last record says: bytes were "
                    "changed, or something else stands before the archive."
                )
            )
    raise Truncated(
        _("The file ends at byte %(size)s without the directory of the archive.", size=source.size)
    )


def _end_at(source, position):
    """Return the End of the record at ``position``, or None where it leads to no directory."""
    source.seek(position)
    fields = _END.unpack(source.read(_END.size))[1:-1]
    stop = position
    if position >= _LOCATOR.size:
        source.seek(position - _LOCATOR.size)
        locator = source.read(_LOCATOR.size)
        if locator.startswith(_LOCATOR_MAGIC):
            stop, fields = _end64(source, position - _LOCATOR.size, locator, fields)
            if fields is None:
                return None
    disk, directory_disk, count_here, count, length, start = fields
    if disk or directory_disk or count_here != count or start + length != stop:
        return None
    return End(start, length, count)


def _end64(source, position, locator, fields):
    """Return where the 64-bit end record begins and what it has in the place of ``fields``.

    The fields are None unless the record is where the locator says and agrees with the short one.
    """
    _magic, disk, start, disks = _LOCATOR.unpack(locator)
    if disk or disks > 1 or start + _END64.size > position:
        return start, None
    source.seek(start)
    magic, size, _made_by, _needed, *wide = _END64.unpack(source.read(_END64.size))
    # The size leaves out the magic and itself (4.3.14.1).
    if magic != _END64_MAGIC or start + 12 + size != position:
        return start, None
    limits = (_MAX16,) * 4 + (_MAX32,) * 2
    agree = all(
        narrow in (value, limit) for value, narrow, limit in zip(wide, fields, limits, strict=True)
    )
    return start, wide if agree else None


# --- the central directory ----------------------------------------------------------------------


def read_directory(source, end):
    """Yield each :class:`Entry` of the central directory, in its order.

    Raises :class:`Damaged` unless it has exactly the length and the number of entries that the end
    record says.
    """
    source.seek(end.start)
    stop = end.start + end.length
    for number in range(1, end.count + 1):
        yield _read_entry(source, stop, number)
    if source.position != stop:
        raise Damaged(
            _("The archive's directory has more than its %(count)s entries.", count=end.count)
        )


def read_entry_at(source, end, position):
    """Return the entry of the central directory at a byte where :func:`read_directory` found one.
    """
    source.seek(position)
    return _read_entry(source, end.start + end.length, 0)


def _read_entry(source, stop, number):
    if source.position + _ENTRY.size > stop:
        raise Damaged(_("The archive's directory ends before its entry %(number)s.", number=number))
    (magic, _made_by, version, flags, method, _time, _date, crc, compressed, size,
     name_length, extra_length, comment_length, disk, _internal, _external,
     offset) = _ENTRY.unpack(source.read(_ENTRY.size))  # fmt: skip
    if magic != _ENTRY_MAGIC or source.position + name_length + extra_length > stop:
        raise Damaged(
            _(
                "There is no sound entry %(number)s of the archive's directory at byte "
                "%(position)s.",
                number=number,
                position=source.position - _ENTRY.size,
            )
        )
    name = source.read(name_length)
    extra = _zip64_extra(source.read(extra_length), name)
    source.read(comment_length)
    size, compressed, offset = _widen((size, compressed, offset), extra, name)
    if disk or version & 0xFF > _MAX_VERSION or flags & ~_FLAGS or not name or b"\0" in name:
        raise Damaged(
            _(
                "Entry %(number)s of the archive's directory has values that Odoo does not write.",
                number=number,
            )
        )
    if method not in (STORED, DEFLATED):
        raise Damaged(
            _(
                "%(name)s is compressed by a method (%(method)s) that Odoo does not use.",
                name=_show(name),
                method=method,
            )
        )
    return Entry(name, flags, method, crc, compressed, size, offset)


def _zip64_extra(extra, name):
    """Return the content of the ZIP64 field (4.5.3) of an extra field, empty when it has none.

    Raises :class:`Damaged` for a field that gives the member another name.
    """
    found = b""
    at = 0
    while at < len(extra):
        # A field of no length where less than its head is left.
        kind, length = _FIELD.unpack_from(extra, at) if at + _FIELD.size <= len(extra) else (0, 0)
        if at + 4 + length > len(extra):
            raise Damaged(_("The extra field of %(name)s is damaged.", name=_show(name)))
        content = extra[at + 4 : at + 4 + length]
        if kind == _ZIP64_EXTRA:
            found = content
        elif kind == _UNICODE_PATH_EXTRA and content[_UNICODE_PATH_HEAD:] != name:
            raise Damaged(_("%(name)s has another name besides.", name=_show(name)))
        at += 4 + length
    return found


def _widen(values, extra, name):
    """Replace the values that stand for "see the ZIP64 field" by what it has, in its order."""
    wide = []
    for value in values:
        if value == _MAX32:
            if len(extra) < 8:
                raise Damaged(_("The 64-bit sizes of %(name)s are missing.", name=_show(name)))
            value, extra = int.from_bytes(extra[:8], "little"), extra[8:]
        wide.append(value)
    return wide


def _show(name):
    return name.decode("utf-8", "replace")


# --- around a member ----------------------------------------------------------------------------


def read_local_header(source, entry):
    """Read the header before a member's data; raise :class:`Damaged` unless it says the same.

    Time and version are not compared: nobody reads them here, and writers differ.
    """
    position = source.position

    def where():
        return _(
            "The header of %(name)s at byte %(position)s", name=entry.name, position=position
        )

    (magic, _version, flags, method, _time, _date, crc, compressed, size, name_length,
     extra_length) = _LOCAL.unpack(source.read(_LOCAL.size, where))  # fmt: skip
    if magic != _LOCAL_MAGIC:
        raise Damaged(_("%(where)s is not there.", where=where()))
    name = source.read(name_length, where)
    extra = _zip64_extra(source.read(extra_length, where), name)
    size, compressed = _widen((size, compressed), extra, name)
    if (name, flags, method) != (entry.raw_name, entry.flags, entry.method):
        raise Damaged(_("%(where)s contradicts the archive's directory.", where=where()))
    pairs = ((crc, entry.crc), (compressed, entry.compressed), (size, entry.size))
    for value, expected in pairs:
        # A writer that could not go back leaves zeros and appends a descriptor (4.4.4, bit 3).
        if value != expected and (value or not entry.has_descriptor):
            raise Damaged(_("%(where)s contradicts the archive's directory.", where=where()))


def read_descriptor(source, entry, stop):
    """Read what stands between a member's data and ``stop``: its descriptor, or nothing."""
    length = stop - source.position
    if not (entry.has_descriptor or length):
        return
    layout = _DESCRIPTORS.get(length) if entry.has_descriptor else None
    if layout is None:
        raise Damaged(
            _(
                "%(length)s unexpected bytes after %(name)s, at byte %(position)s.",
                length=length,
                name=entry.name,
                position=source.position,
            )
        )
    fields = layout.unpack(source.read(length))
    if len(fields) == 4:
        magic, *fields = fields
        if magic != _DESCRIPTOR_MAGIC:
            raise Damaged(_("The descriptor of %(name)s is damaged.", name=entry.name))
    if tuple(fields) != (entry.crc, entry.compressed, entry.size):
        raise Damaged(
            _("The descriptor of %(name)s contradicts the archive's directory.", name=entry.name)
        )
