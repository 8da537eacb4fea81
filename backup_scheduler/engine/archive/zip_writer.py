"""Writing a zip forward only, into what can neither be read nor gone back in.

The structures are those of :mod:`.zip_directory`, by the same sections of APPNOTE.TXT. Python's own
``zipfile`` keeps up to 1 kB of each member in memory; here it is the entry of the directory as
it is written in the end, some 100 bytes.
"""

import struct
import time

from .codec import crc32, deflated, deflater
from .zip_directory import DEFLATED, STORED

_LOCAL = struct.Struct("<4s5H3L2H")  # 4.3.7
_DESCRIPTOR64 = struct.Struct("<4sL2Q")  # 4.3.9
_ENTRY = struct.Struct("<4s6H3L5H2L")  # 4.3.12
_END64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
_LOCATOR = struct.Struct("<4sLQL")  # 4.3.15
_END = struct.Struct("<4s4H2LH")  # 4.3.16
_ZIP64_EXTRA = 1  # 4.5.3
_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
# 4.4.3: with what version each is read.
_VERSION, _VERSION64 = 20, 45
_BY_UNIX = 3 << 8
# 4.4.4: a data descriptor follows; the name is in UTF-8.
_DESCRIPTOR_FLAG, _UTF8_FLAG = 1 << 3, 1 << 11
# A regular file of its owner only.
_MODE = 0o100600 << 16
# The years that a zip can store.
_FIRST_YEAR, _LAST_YEAR = 1980, 2107
# Bytes. What is smaller is put together before it is written.
_GATHERED = 256 * 1024
# Bytes: a sample this long says whether the rest is worth being compressed. From the beginning and
# the middle: many formats begin with text, and are compressed behind it.
_SAMPLE = 8 * 1024
# The share of its size that compression has to save.
_WORTH = 20


class ZipWriter:
    """Writes members one after the other with ``write(block)``; :meth:`close` makes it a zip."""

    def __init__(self, write):
        self._write = write
        self._gathered = bytearray()
        self._directory = bytearray()
        self._position = 0
        self.members = 0

    def add(self, name, content, modified):
        """Add a member that is in memory; it is stored where it does not shrink.

        :param modified: seconds since 1970, as :func:`os.stat` has it
        """
        packed = deflated(content) if is_compressible(content) else content
        method = DEFLATED if len(packed) < len(content) else STORED
        packed = packed if method == DEFLATED else content
        member = _Member(name, method, 0, self._position, modified)
        member.sizes(crc32(content), len(packed), len(content))
        self._put(member.header())
        self._put(packed)
        self._finish(member)

    def stream(self, name, blocks, modified, compress):
        """Add a member of unknown size: what ``blocks`` yields, compressed or as it is."""
        member = _Member(
            name, DEFLATED if compress else STORED, _DESCRIPTOR_FLAG, self._position, modified
        )
        self._put(member.header())
        begin = self._position
        crc = size = 0
        stream = deflater() if compress else None
        for block in blocks:
            crc = crc32(block, crc)
            size += len(block)
            self._put(stream.compress(block) if stream else block)
        if stream:
            self._put(stream.flush())
        member.sizes(crc, self._position - begin, size)
        self._put(member.descriptor())
        self._finish(member)

    def close(self):
        """Write the directory: only now it is a zip."""
        start = self._position
        directory, self._directory = self._directory, bytearray()
        self._put(directory)
        self._put(_end(self.members, len(directory), start))
        self._flush()

    def _finish(self, member):
        self._directory += member.entry()
        self.members += 1

    def _put(self, block):
        """Write a block, with others where it is small. What is given may be changed afterwards."""
        self._position += len(block)
        if len(block) < _GATHERED:
            self._gathered += block
        if len(self._gathered) >= _GATHERED or len(block) >= _GATHERED:
            self._flush()
        if len(block) >= _GATHERED:
            self._write(block)

    def _flush(self):
        if self._gathered:
            self._write(bytes(self._gathered))
            self._gathered.clear()


class _Member:
    """One member: its header, its descriptor, and its entry in the directory."""

    def __init__(self, name, method, flags, offset, modified):  # noqa: PLR0913
        self._name = name.encode()
        self._flags = flags | (0 if name.isascii() else _UTF8_FLAG)
        self._method = method
        self._offset = offset
        self._time, self._date = _dos_time(modified)
        # What is streamed may come to be larger than 4 GB.
        self._wide = bool(flags & _DESCRIPTOR_FLAG)
        self.sizes(0, 0, 0)

    def sizes(self, crc, compressed, size):
        self._crc, self._compressed, self._size = crc, compressed, size

    def header(self):
        wide = struct.pack("<2H2Q", _ZIP64_EXTRA, 16, 0, 0) if self._wide else b""
        sizes = (_MAX32, _MAX32) if self._wide else (self._compressed, self._size)
        version = _VERSION64 if self._wide else _VERSION
        head = _LOCAL.pack(
            b"PK\3\4", version, self._flags, self._method, self._time, self._date, self._crc,
            *sizes, len(self._name), len(wide),
        )  # fmt: skip
        return head + self._name + wide

    def descriptor(self):
        return _DESCRIPTOR64.pack(b"PK\7\x08", self._crc, self._compressed, self._size)

    def entry(self):
        values = (self._size, self._compressed, self._offset)
        large = [value for value in values if value >= _MAX32]
        size, compressed, offset = (min(value, _MAX32) for value in values)
        extra = struct.pack(f"<2H{len(large)}Q", _ZIP64_EXTRA, 8 * len(large), *large)
        extra = extra if large else b""
        version = _VERSION64 if large or self._wide else _VERSION
        entry = _ENTRY.pack(
            b"PK\1\2", _BY_UNIX | version, version, self._flags, self._method, self._time,
            self._date, self._crc, compressed, size, len(self._name), len(extra), 0, 0, 0, _MODE,
            offset,
        )  # fmt: skip
        return entry + self._name + extra


def is_compressible(content):
    """Return whether it is worth the time to compress what begins with, or is, ``content``."""
    if len(content) <= 2 * _SAMPLE:
        return bool(content)
    middle = len(content) // 2
    sample = content[:_SAMPLE] + content[middle : middle + _SAMPLE]
    return len(deflated(sample)) < len(sample) - len(sample) // _WORTH


def _end(count, length, start):
    """Return what ends the file: the 64-bit records only where they are needed."""
    short = _END.pack(
        b"PK\5\6", 0, 0, min(count, _MAX16), min(count, _MAX16), min(length, _MAX32),
        min(start, _MAX32), 0,
    )  # fmt: skip
    if count < _MAX16 and length < _MAX32 and start < _MAX32:
        return short
    wide = _END64.pack(
        b"PK\6\6", _END64.size - 12, _BY_UNIX | _VERSION64, _VERSION64, 0, 0, count, count, length,
        start,
    )  # fmt: skip
    return wide + _LOCATOR.pack(b"PK\6\7", 0, start + length, 1) + short


def _dos_time(moment):
    """Return a moment as a zip has it: local time, in steps of two seconds."""
    year, month, day, hour, minute, second = time.localtime(moment)[:6]
    if year < _FIRST_YEAR:
        year, month, day, hour, minute, second = _FIRST_YEAR, 1, 1, 0, 0, 0
    year = min(year, _LAST_YEAR)
    return hour << 11 | minute << 5 | second // 2, (year - _FIRST_YEAR) << 9 | month << 5 | day
