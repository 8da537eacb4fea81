"""What packets of SFTP are made of: fields, and the attributes of files."""

import collections
import stat
import struct

HAS_SIZE, HAS_OWNER, HAS_MODE, HAS_TIMES, HAS_MORE = 0x1, 0x2, 0x4, 0x8, 0x80000000
# How the line of a file in a listing begins, which is made for people.
TYPES = {b"d": stat.S_IFDIR, b"-": stat.S_IFREG, b"l": stat.S_IFLNK}


class NotSFTP(EOFError):
    """What came is no SFTP, or the end of it."""


class Attributes(collections.namedtuple("Attributes", "size mode")):
    """Of a file: both None where the server does not report them. The mode may lack the type."""

    @property
    def has_type(self):
        return self.mode is not None and bool(stat.S_IFMT(self.mode))

    @property
    def is_folder(self):
        return self.mode is not None and stat.S_ISDIR(self.mode)

    def typed(self, line):
        """Return the attributes with the type that a line like those of ``ls -l`` begins with."""
        kind = TYPES.get(line[:1])
        return self if self.has_type or not kind else self._replace(mode=(self.mode or 0) | kind)


class Fields:
    """Reads the fields of a packet, one after the other."""

    def __init__(self, packet):
        self._packet = packet
        self._position = 0

    def __bool__(self):
        return self._position < len(self._packet)

    def number(self, form=">I"):
        end = self._position + struct.calcsize(form)
        if end > len(self._packet):
            raise NotSFTP("a packet ends in the middle of a field")
        (value,) = struct.unpack_from(form, self._packet, self._position)
        self._position = end
        return value

    def long(self):
        return self.number(">Q")

    def bytes(self):
        size = self.number()
        begin, self._position = self._position, self._position + size
        if self._position > len(self._packet):
            raise NotSFTP("a packet ends in the middle of a field")
        return self._packet[begin : self._position]

    def text(self):
        return self.bytes().decode("utf-8", "surrogateescape")

    def attributes(self):
        flags = self.number()
        size = self.long() if flags & HAS_SIZE else None
        if flags & HAS_OWNER:
            self.long()
        mode = self.number() if flags & HAS_MODE else None
        if flags & HAS_TIMES:
            self.long()
        if flags & HAS_MORE:
            for _pair in range(self.number()):
                self.bytes()
                self.bytes()
        return Attributes(size, mode)


def field(value):
    """Return a text or bytes as a field: its length, and itself."""
    content = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return struct.pack(">I", len(content)) + content


def mode_field(mode):
    return struct.pack(">II", HAS_MODE, mode)
