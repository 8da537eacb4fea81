"""Making Odoo's own zip, as a stream that goes forward only.

``dump.sql`` is first: each attachment that it lists has its file by then. ``manifest.json`` and the
files of the filestore follow, without the marks of what may be deleted (``checklist/``): that is
what Odoo's database manager restores.
"""

import hashlib
import itertools
import os
import time

from .checkers import DUMP, FILESTORE, MANIFEST
from .inventory import checksum_in
from .manifest import written_manifest
from .zip_writer import ZipWriter, is_compressible

# Bytes. A file up to this size is read before it is written, so that its header has its size.
WHOLE = 4 << 20
BLOCK = 1 << 20


class Writer:
    """One archive on its way to ``write(block)``: dump, manifest, files, in this order."""

    def __init__(self, write):
        self._zip = ZipWriter(write)
        self._began = time.time()

    def dump(self, blocks):
        """Add the script of pg_dump."""
        self._zip.stream(DUMP, blocks, self._began, compress=True)

    def manifest(self, manifest):
        """Add ``manifest.json``, see :func:`.manifest.make_manifest`."""
        self._zip.add(MANIFEST, written_manifest(manifest), self._began)

    def file(self, name, descriptor, status, check):
        """Add a file of the filestore, and return whether its content is that of its name.

        :param name: relative to the filestore, such as ``ab/ab…``; other names say nothing about
            their content
        :param descriptor: the open file, at its beginning
        :param status: what :func:`os.fstat` says of it
        :param check: called with each block of a large file; what it raises ends the archive
        """
        digest = hashlib.sha1(usedforsecurity=False)
        head = begin_of(descriptor, status.st_size)
        member = FILESTORE + name
        if len(head) < WHOLE:
            digest.update(head)
            self._zip.add(member, head, status.st_mtime)
        else:
            blocks = checked(itertools.chain([head], rest_of(descriptor)), digest.update, check)
            self._zip.stream(member, blocks, status.st_mtime, is_compressible(head))
        return checksum_in(name.encode()) in (None, digest.digest())

    def close(self):
        """Write the end: only now it is an archive."""
        self._zip.close()


def begin_of(descriptor, size):
    """Return the first :data:`WHOLE` bytes of a file, or all of one that is shorter.

    :param size: what it is said to have: a file that is being written may have more
    """
    begin = os.read(descriptor, min(size + 1, WHOLE))
    while len(begin) < WHOLE and (more := os.read(descriptor, WHOLE - len(begin))):
        begin += more
    return begin


def rest_of(descriptor):
    while block := os.read(descriptor, BLOCK):
        yield block


def checked(blocks, *takers):
    """Yield the blocks, after each of the takers has had them."""
    for block in blocks:
        for take in takers:
            take(block)
        yield block
