"""The bytes of an archive, taken in order and counted."""

import os

from ..errors import Truncated
from ..messages import _

# Large enough that a disk streams, small enough that two of them in flight are nothing.
BLOCK = 128 * 1024
# People see progress and cancelling works at least this often (bytes).
ANNOUNCE_EVERY = 512 * 1024
ARCHIVE = _("the archive")


class Source:
    """A file that is read forward, never past its end without saying so.

    :param file: a buffered binary file; its read errors (:class:`OSError`) are passed on, because
        a disk that cannot be read says nothing about the archive
    :param progress: called with (position, size) in bytes at least each MB; it may raise to stop
    :param digest: a ``hashlib`` object that gets every byte; nothing is then skipped unread
    """

    def __init__(self, file, progress=None, digest=None):
        self._file = file
        self._progress = progress
        self._digest = digest
        self._next_announcement = 0
        self.size = os.fstat(file.fileno()).st_size
        self.position = 0

    @property
    def remaining(self):
        return self.size - self.position

    def read(self, length, what=ARCHIVE):
        """Return exactly ``length`` bytes; raise :class:`Truncated` where the file ends first.

        Nothing is allocated for a length that the file cannot hold. ``what`` is read, or a function
        that returns it.
        """
        self._require(length, what)
        block = self._file.read(length)
        if len(block) != length:
            raise self._cut(length, what)
        if self._digest:
            self._digest.update(block)
        self._advance(length)
        return block

    def blocks(self, length, what=ARCHIVE):
        """Yield the next ``length`` bytes in blocks of at most :data:`BLOCK` bytes."""
        self._require(length, what)
        while length > BLOCK:
            yield self.read(BLOCK, what)
            length -= BLOCK
        if length:
            yield self.read(length, what)

    def skip(self, length, what=ARCHIVE):
        """Go ``length`` bytes on without reading them, unless a digest needs them."""
        self._require(length, what)
        if self._digest:
            for _block in self.blocks(length, what):
                pass
        else:
            self._file.seek(length, os.SEEK_CUR)
            self._advance(length)

    def seek(self, position):
        """Go to ``position``; only for a source without digest."""
        self._next_announcement = position
        self._file.seek(position)
        self.position = position

    def drain(self):
        """Read what is left, so that the digest has seen all."""
        self.skip(self.remaining)

    def _advance(self, length):
        self.position += length
        if self._progress and self.position >= self._next_announcement:
            self._next_announcement = self.position + ANNOUNCE_EVERY
            self._progress(self.position, self.size)

    def _require(self, length, what):
        if length > self.size - self.position:
            raise self._cut(length, what)

    def _cut(self, length, what):
        return Truncated(
            _(
                "The file ends at byte %(size)s, within %(what)s: %(missing)s more bytes were to "
                "come.",
                size=self.size,
                what=name_of(what),
                missing=self.position + length - self.size,
            )
        )


def name_of(what):
    """Return what is read, as messages call it; a function makes it where it is seldom needed."""
    return what() if callable(what) else what
