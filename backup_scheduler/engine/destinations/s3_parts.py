"""The parts of an S3 upload: cut from a growing file or from memory, sent side by side."""

import hashlib
import os
import re
import tempfile
import threading

from ..errors import BackupError, DestinationFailed
from ..messages import _

try:
    # Several times as fast.
    from isal.isal_zlib import crc32
except ImportError:
    from zlib import crc32

MIB = 1 << 20
# S3 takes parts of 5 MiB to 5 GiB, 10,000 of them, and objects up to 5 TiB. A stream's size is not
# known before its end: parts are of FIRST_PART until there are STEADY_PARTS, and from then on
# grow with what was sent. Part 10,000 would end beyond 5 TiB, and the largest on the way there has
# 4 GiB.
FIRST_PART = 8 * MIB
STEADY_PARTS = 1280
# This one wants all parts but the last to be of one size: 1 TB can be reached.
UNIFORM = re.compile(r"\.r2\.cloudflarestorage\.com$")
UNIFORM_PART = 100 * MIB
# Bytes that are read at once to be hashed or sent.
PIECE = 256 << 10
# Larger parts of a stream that is in no file wait in an unnamed one, and not in memory.
MEMORY_PART = FIRST_PART
# What their threads are called.
THREAD = "s3-part"
# Seconds that ending waits for parts which are just being sent. What hangs for longer is left to
# its own time-out, in a thread that keeps nobody.
ENDING = 5


def part_size(sent, host=""):
    """Return the size of the part that begins after ``sent`` bytes."""
    if UNIFORM.search(host):
        return UNIFORM_PART
    return max(FIRST_PART, sent // STEADY_PARTS)


class Ended(BaseException):
    """The upload is over while a part is read to be sent.

    No Exception: boto3 takes any of those for a failure of the network, and tries again.
    """


class Part:
    """A stretch of a file or of memory, as a file that boto3 reads, seeks and asks for its end."""

    def __init__(self, number, read_at, size, ended):
        self.number = number
        self.size = size
        self._read_at = read_at
        self._ended = ended
        self._position = 0

    def __len__(self):
        return self.size

    def read(self, size=-1):
        """Return the next bytes, PIECE at most. Who sends asks for 16 kB, and takes more."""
        if self._ended.is_set():
            raise Ended
        wanted = self.size - self._position
        if size is not None and size >= 0:
            wanted = min(wanted, PIECE)
        piece = self._read_at(self._position, wanted) if wanted else b""
        if wanted and not piece:
            raise OSError("the file became shorter while it was sent")
        self._position += len(piece)
        return piece

    def seek(self, offset, whence=os.SEEK_SET):
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = base + offset
        return self._position

    def tell(self):
        return self._position

    def pieces(self):
        """Yield all of it, from the beginning, and go back there."""
        self.seek(0)
        while piece := self.read(PIECE):
            yield piece
        self.seek(0)

    def crc32(self):
        """Return the CRC-32 as S3 writes it: four bytes."""
        value = 0
        for piece in self.pieces():
            value = crc32(piece, value)
        return value.to_bytes(4, "big")

    def md5(self):
        digest = hashlib.md5(usedforsecurity=False)
        for piece in self.pieces():
            digest.update(piece)
        return digest.digest()


class FileSource:
    """Cuts parts from a file that grows: nothing is copied.

    :ivar parallel: parts that may be on their way at the same time
    """

    parallel = 4

    def __init__(self, path):
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - open as long as the upload is
        self._begin = 0

    def add(self, block):
        """The block is in the file."""

    def cut(self, size):
        """Return what reads the next ``size`` bytes, and what has to be done after that."""
        begin, self._begin = self._begin, self._begin + size
        file = self._file
        return lambda offset, length: os.pread(file.fileno(), length, begin + offset), nothing

    def close(self):
        self._file.close()


def nothing():
    """There is nothing to be done."""


class StreamSource:
    """Cuts parts from what it is given, kept until they are sent: in memory that is used again, or
    where they are large, in unnamed files."""

    parallel = 3

    def __init__(self):
        self._spare = []
        self._memory = None
        self._filled = 0
        self._file = None

    def add(self, block):
        if self._file is None and self._filled + len(block) > MEMORY_PART:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the part is sent
            self._file.write(memoryview(self._memory or b"")[: self._filled])
        if self._file is not None:
            self._file.write(block)
            return
        if self._memory is None:
            self._memory = self._spare.pop() if self._spare else bytearray(MEMORY_PART)
        self._memory[self._filled : self._filled + len(block)] = block
        self._filled += len(block)

    def cut(self, _size):
        self._filled = 0
        if (file := self._file) is not None:
            self._file = None
            file.flush()
            return lambda offset, length: os.pread(file.fileno(), length, offset), file.close
        memory, self._memory = self._memory, None
        view = memoryview(memory)
        return (
            lambda offset, length: bytes(view[offset : offset + length]),
            lambda: self._spare.append(memory),
        )

    def close(self):
        if self._file is not None:
            self._file.close()


class Parts:
    """The parts of one open upload, each sent by a thread of its own, a few at a time.

    :param send: sends a :class:`Part`, and returns what its completion needs
    """

    def __init__(self, send, source, host=""):
        self.sent = []
        self.size = 0
        self._send = send
        self._source = source
        self._host = host
        self._filled = 0
        self._number = 0
        self._running = 0
        self._error = None
        self._closing = False
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._wanted = part_size(0, host)

    def write(self, block):
        """Take bytes; wait while enough parts are on their way. Raises why a part failed."""
        view = memoryview(block)
        while view:
            taken = view[: self._wanted - self._filled]
            self._add(taken)
            view = view[len(taken) :]
            if self._filled == self._wanted:
                self._submit()

    def _add(self, piece):
        try:
            self._source.add(piece)
        except OSError as error:
            raise DestinationFailed(
                _("A part cannot be kept until it is sent: %(reason)s.", reason=error.strerror),
                hint=_("Free space in the folder for temporary files (TMPDIR) where Odoo runs."),
            ) from error
        self._filled += len(piece)
        self.size += len(piece)

    def flush(self):
        """Send what is left, and wait until all parts have arrived."""
        if self._filled:
            self._submit()
        with self._changed:
            self._changed.wait_for(lambda: not self._running or self._is_over())
            self._raise()

    def _submit(self):
        with self._changed:
            self._changed.wait_for(lambda: self._running < self._source.parallel or self._is_over())
            self._raise()
            self._running += 1
        self._number += 1
        read_at, done = self._source.cut(self._filled)
        part = Part(self._number, read_at, self._filled, self._ended)
        self._filled, self._wanted = 0, part_size(self.size, self._host)
        threading.Thread(target=self._run, args=(part, done), name=THREAD, daemon=True).start()

    def _is_over(self):
        return self._error is not None or self._ended.is_set()

    def _raise(self):
        if self._error is not None:
            raise self._error
        if self._ended.is_set():
            raise BackupError(_("The upload was ended."))

    def _run(self, part, done):
        sent, error = None, None
        try:
            sent = self._send(part)
        except BackupError as failure:
            error = failure
        except Ended:
            error = BackupError(_("The upload was ended."))
        except Exception as failure:  # noqa: BLE001 - as copies do: a defect is told as a failure
            error = DestinationFailed.of(failure)
        # Before the next one may be cut: memory is bounded by it.
        done()
        with self._changed:
            self._running -= 1
            self._error = self._error or error
            if sent:
                self.sent.append(sent)
            if error:
                # The others need not be sent any more.
                self._ended.set()
            self._changed.notify_all()
            if self._closing and not self._running:
                self._source.close()

    def end(self):
        """Send nothing more; whoever writes or waits gets an error. Harmless at the end."""
        with self._changed:
            self._closing = True
            self._ended.set()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._running, ENDING)
            if not self._running:
                self._source.close()
