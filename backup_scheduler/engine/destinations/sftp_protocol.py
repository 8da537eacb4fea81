"""SFTP, version 3, over one channel of an SSH connection, with many requests on their way at once.

paramiko has a client of its own, for other needs: it forgets what the server answered to the last
of many writes that are on their way, so that a full disk goes unnoticed; it does not tell which
extensions the server has; and its small requests cost half of the speed.

Source: https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL
for the extensions.
"""

import collections
import struct

from .sftp_packets import Fields, NotSFTP, field, mode_field

VERSION = 3
# Bytes. What every server takes, by the draft, and what is asked of those that say more: OpenSSH's
# own limit. Eight times fewer requests are eight times fewer answers to wait for and to read.
PIECE = 32 << 10
LARGEST_PIECE = 255 << 10
# Requests on their way before an answer is waited for. With the largest pieces these are 8 MiB: at
# 40 ms there and back, 200 MB a second.
IN_FLIGHT = 32
# Bytes that the server may send before they were taken: everything that is asked for at a time.
WINDOW = 16 << 20
# Bytes. A packet that claims more is no SFTP (a login message, most often).
LARGEST_PACKET = 1 << 20

INIT, VERSION_REPLY = 1, 2
OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, OPENDIR, READDIR = 3, 4, 5, 6, 7, 8, 11, 12
REMOVE, MKDIR, REALPATH, STAT, RENAME, EXTENDED = 13, 14, 16, 17, 18, 200
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED_REPLY = 101, 102, 103, 104, 105, 201

OK, END, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, UNSUPPORTED = 0, 1, 2, 3, 4, 8
# Of later versions of SFTP; some servers answer them whatever version was agreed on.
ALREADY_EXISTS, WRITE_PROTECTED, NO_SPACE, QUOTA_EXCEEDED = 11, 12, 14, 15

READING = 0x1
CREATING, EXCLUSIVE, TRUNCATING = 0x2 | 0x8, 0x20, 0x10

FSYNC = "fsync@openssh.com"
POSIX_RENAME = "posix-rename@openssh.com"
SPACE = "statvfs@openssh.com"
LIMITS = "limits@openssh.com"
READ_ONLY = 0x1

Space = collections.namedtuple("Space", "free read_only")


class Refused(Exception):
    """The server's answer to a request is no: ``code`` (as above), and its own words."""

    def __init__(self, code, words):
        super().__init__(words)
        self.code = code
        self.words = words


class Protocol:
    """Files and folders on the other side of ``channel``, by their paths there.

    Raises :class:`Refused` for what the server refuses, and what the channel raises: ``EOFError``
    and ``OSError`` (``TimeoutError`` after the channel's own time-out without a byte). For one
    thread at a time; closing the channel ends what another thread waits for.
    """

    def __init__(self, channel):
        self._channel = channel
        self._received = bytearray()
        self._number = 0
        # Writes without an answer so far, and answers that came before somebody waited for them.
        self._writes = set()
        self._forgotten = set()
        self._early = {}
        self.extensions = self._start()
        self._largest_read, self._largest_write = self._ask_limits()

    def _start(self):
        try:
            self._transmit(struct.pack(">IBI", 5, INIT, VERSION))
        except TimeoutError:
            raise
        except OSError:
            # Closed already: what was said before is still there, and tells why.
            self._packet()
            raise
        kind, fields = self._packet()
        if kind != VERSION_REPLY or fields.number() < VERSION:
            raise NotSFTP("the server speaks a version of SFTP that is too old")
        extensions = {}
        while fields:
            name = fields.text()
            extensions[name] = fields.text()
        return extensions

    def _ask_limits(self):
        if LIMITS not in self.extensions:
            return PIECE, PIECE
        answer = self._extended(LIMITS)
        answer.long()
        return tuple(min(answer.long() or PIECE, LARGEST_PIECE) for _kind in range(2))

    # --- files ----------------------------------------------------------------------------------

    def open(self, path):
        """Return a handle to read the file at ``path`` by."""
        return self._handle(OPEN, field(path), struct.pack(">II", READING, 0))

    def create(self, path, mode=0o600):
        """Return a handle to write the file at ``path`` by, which must not exist.

        Some servers do not know how to make only what is not there: there it is looked at before.
        """
        try:
            return self._create(path, EXCLUSIVE, mode)
        except Refused as refusal:
            if refusal.code not in (UNSUPPORTED, FAILURE) or not self._is_absent(path):
                raise
        return self._create(path, TRUNCATING, mode)

    def _create(self, path, flag, mode):
        flags = struct.pack(">I", CREATING | flag)
        return self._handle(OPEN, field(path), flags, mode_field(mode))

    def _is_absent(self, path):
        try:
            self.stat(path, follow=False)
        except Refused as refusal:
            return refusal.code == NO_SUCH_FILE
        return False

    def close(self, handle):
        self._request(CLOSE, field(handle))

    def size(self, handle):
        """Return the size in bytes, or None where the server does not tell."""
        return self._reply(ATTRS, FSTAT, field(handle)).attributes().size

    def write(self, handle, offset, block):
        """Send bytes, without waiting for all the answers; earlier writes may be refused here."""
        view = memoryview(block)
        for start in range(0, len(view), self._largest_write):
            piece = view[start : start + self._largest_write]
            position = struct.pack(">QI", offset + start, len(piece))
            self._writes.add(self._send(WRITE, field(handle), position, piece))
            self._settle(IN_FLIGHT)

    def finish_writes(self):
        """Wait until the server has confirmed every write."""
        self._settle(0)

    def _settle(self, limit):
        while len(self._writes) > limit or self._packet_is_there():
            self._take_in()

    def forget_writes(self):
        """What becomes of the writes that are on their way is not asked any more."""
        self._forgotten |= self._writes
        self._writes.clear()

    def sync(self, handle):
        """Have the file written to the medium; return whether the server can."""
        if FSYNC not in self.extensions:
            return False
        self._request(EXTENDED, field(FSYNC), field(handle))
        return True

    def read(self, handle, size):
        """Yield ``size`` bytes from the beginning of a file, as ``bytes`` of up to 255 KiB.

        Raises ``Refused(END)`` where the file ends before that.
        """
        asked, position, next_position = collections.deque(), 0, 0
        while position < size:
            while next_position < size and len(asked) < IN_FLIGHT:
                length = min(self._largest_read, size - next_position)
                asked.append((self._ask(handle, next_position, length), length))
                next_position += length
            number, length = asked.popleft()
            block = self._answer(number, DATA).bytes()
            if not block:
                raise Refused(END, "No bytes.")
            if len(block) < length:
                # Servers may give less than was asked for.
                rest = length - len(block)
                asked.appendleft((self._ask(handle, position + len(block), rest), rest))
            position += len(block)
            yield block

    def _ask(self, handle, position, length):
        return self._send(READ, field(handle), struct.pack(">QI", position, length))

    # --- names ----------------------------------------------------------------------------------

    def stat(self, path, follow=True):
        """:param follow: tell about what a symbolic link leads to, and not about the link"""
        return self._reply(ATTRS, STAT if follow else LSTAT, field(path)).attributes()

    def list(self, path):
        """Return ``{name: Attributes}`` of what is in the folder."""
        handle = self._handle(OPENDIR, field(path))
        found = {}
        while True:
            try:
                answer = self._reply(NAME, READDIR, field(handle))
            except Refused as refusal:
                if refusal.code != END:
                    raise
                break
            for _entry in range(answer.number()):
                name, line = answer.text(), answer.bytes()
                found[name] = answer.attributes().typed(line)
        self.close(handle)
        return {name: found[name] for name in sorted(found) if name not in (".", "..")}

    def is_folder(self, path):
        """Return whether there is a folder. Where the server reports no type, it is one if it
        can be listed."""
        found = self.stat(path)
        if found.has_type:
            return found.is_folder
        try:
            self.close(self._handle(OPENDIR, field(path)))
        except Refused as refusal:
            if refusal.code in (PERMISSION_DENIED, WRITE_PROTECTED):
                raise
            return False
        return True

    def remove(self, path):
        self._request(REMOVE, field(path))

    def make_folder(self, path, mode=0o700):
        self._request(MKDIR, field(path), mode_field(mode))

    def rename(self, path, new_path, replace=True):
        """Rename; what stands at ``new_path`` is replaced where the server :attr:`replaces`."""
        if replace and self.replaces:
            self._request(EXTENDED, field(POSIX_RENAME), field(path), field(new_path))
        else:
            self._request(RENAME, field(path), field(new_path))

    @property
    def replaces(self):
        return POSIX_RENAME in self.extensions

    def space(self, path):
        """Return the :class:`Space` below ``path``, or None where the server does not tell."""
        if SPACE not in self.extensions:
            return None
        answer = self._extended(SPACE, field(path))
        # Of struct statvfs: f_frsize, f_bavail, f_flag.
        _bsize, unit, _blocks, _bfree, free, *_files, flags, _name = (
            answer.long() for _field in range(11)
        )
        return Space(unit * free, bool(flags & READ_ONLY))

    # --- requests and answers -------------------------------------------------------------------

    def _request(self, kind, *fields):
        """Ask for something that is answered by a status alone."""
        self._answer(self._send(kind, *fields), STATUS)

    def _reply(self, expected, kind, *fields):
        return self._answer(self._send(kind, *fields), expected)

    def _handle(self, kind, *fields):
        return self._reply(HANDLE, kind, *fields).bytes()

    def _extended(self, name, *fields):
        return self._reply(EXTENDED_REPLY, EXTENDED, field(name), *fields)

    def _send(self, kind, *fields):
        """Send a request; return its number."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        size = 5 + sum(map(len, fields))
        self._transmit(b"".join((struct.pack(">IBI", size, kind, self._number), *fields)))
        return self._number

    def _transmit(self, message):
        view = memoryview(message)
        while view:
            sent = self._channel.send(view)
            if not sent:
                raise EOFError
            view = view[sent:]

    def _answer(self, number, expected):
        """Wait for the answer to one request; return its fields."""
        while number not in self._early:
            self._take_in()
        kind, fields = self._early.pop(number)
        if kind == STATUS:
            require_ok(fields)
        if kind != expected:
            raise NotSFTP(f"the server answered with a packet of kind {kind}")
        return fields

    def _take_in(self):
        """Wait for one more answer, whichever it is."""
        kind, fields = self._packet()
        number = fields.number()
        if number in self._forgotten:
            self._forgotten.remove(number)
            return
        if number not in self._writes:
            self._early[number] = kind, fields
            return
        self._writes.remove(number)
        if kind != STATUS:
            raise NotSFTP(f"the server answered a write with a packet of kind {kind}")
        require_ok(fields)

    def _packet(self):
        while not self._complete():
            self._receive()
        size = self._size()
        kind, packet = self._received[4], bytes(memoryview(self._received)[5 : 4 + size])
        del self._received[: 4 + size]
        return kind, Fields(packet)

    def _packet_is_there(self):
        while not self._complete() and self._channel.recv_ready():
            self._receive()
        return self._complete()

    def _complete(self):
        return len(self._received) >= 4 and len(self._received) >= 4 + self._size()

    def _size(self):
        size = int.from_bytes(self._received[:4], "big")
        if not 1 <= size <= LARGEST_PACKET:
            raise NotSFTP("something else is said there, by a login script perhaps")
        return size

    def _receive(self):
        # All that is there: paramiko moves what is left behind.
        received = self._channel.recv(WINDOW)
        if not received:
            raise EOFError
        self._received += received


def require_ok(status):
    """Raise :class:`Refused` unless a status says that all is well."""
    code = status.number()
    if code != OK:
        raise Refused(code, status.text() if status else "")
