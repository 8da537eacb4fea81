"""The compression of an archive's parts, and undoing it, in bounded memory.

``isal`` inflates up to twice as fast as CPython's zlib, deflates five times as fast, and is used
where it is installed. Both find the same damage.
"""

import zlib

from ..errors import Damaged
from ..messages import _

try:
    from isal import isal_zlib as backend

    # Its best: in a fifth of the time, as small as what zlib makes at its default.
    LEVEL = backend.ISAL_BEST_COMPRESSION
except ImportError:
    backend = zlib
    # As Odoo compresses its zips.
    LEVEL = zlib.Z_DEFAULT_COMPRESSION

# A block of hostile input may inflate a thousandfold: no more than this comes out at once (bytes).
PLAIN_BLOCK = 512 * 1024
RAW_DEFLATE = -15
ZLIB = 15


def crc32(block, value=0):
    """Return the CRC-32 of ``block`` that continues ``value``."""
    return backend.crc32(block, value)


def deflater():
    """Return what deflates one member of a zip: ``compress(block)``, and ``flush()`` at its end."""
    return backend.compressobj(LEVEL, zlib.DEFLATED, RAW_DEFLATE)


def deflated(content):
    """Return ``content`` as one deflate stream."""
    stream = deflater()
    return stream.compress(content) + stream.flush()


class Stored:
    """The decoder of what was not compressed."""

    def feed(self, block):
        yield block

    def finish(self):
        """Nothing tells the end of stored bytes but their length."""


class Framed:
    """In the place of a decoder that is not there: only how the stream begins is looked at."""

    def __init__(self, magic, name):
        self._magic = magic
        self._name = name
        self._begun = False

    def feed(self, block):
        """Yield nothing; raise :class:`Damaged` when the stream is none of this compression."""
        if not self._begun and not block.startswith(self._magic):
            raise Damaged(
                _("The compressed data of %(name)s do not begin as they should.", name=self._name)
            )
        self._begun = True
        yield from ()

    def finish(self):
        if not self._begun:
            raise Damaged(_("The compressed data of %(name)s are not there.", name=self._name))


class Inflater:
    """The decoder of one deflate stream; it ends exactly with its last byte.

    :param wbits: :data:`RAW_DEFLATE` (zip members) or :data:`ZLIB` (pg_dump; its Adler-32 is
        checked)
    :param name: what is inflated, for the messages of :class:`Damaged`
    """

    def __init__(self, wbits, name):
        self._stream = backend.decompressobj(wbits)
        self._name = name

    def feed(self, block):
        """Yield what comes out of ``block``, in blocks of at most :data:`PLAIN_BLOCK` bytes."""
        while True:
            plain = self._inflate(block)
            if plain:
                yield plain
            block = self._stream.unconsumed_tail
            # A full block may leave more inside the decoder although it took all of its input.
            if self._stream.eof or not (block or len(plain) == PLAIN_BLOCK):
                break
        if self._stream.unused_data:
            length = len(self._stream.unused_data)
            raise Damaged(
                _(
                    "%(length)s bytes follow the end of the compressed data of %(name)s.",
                    length=length,
                    name=self._name,
                )
            )

    def finish(self):
        """Raise :class:`Damaged` when the stream has not come to its end mark and checksum."""
        if not self._stream.eof:
            raise Damaged(
                _("The compressed data of %(name)s stops before its end.", name=self._name)
            )

    def _inflate(self, block):
        try:
            return self._stream.decompress(block, PLAIN_BLOCK)
        except (zlib.error, backend.error) as error:
            raise Damaged(
                _(
                    "The compressed data of %(name)s is damaged (%(error)s).",
                    name=self._name,
                    error=error,
                )
            ) from error
