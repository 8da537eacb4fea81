"""Members of an Odoo zip, read where they are."""

import contextlib
import re

from ..archive.codec import RAW_DEFLATE, Inflater, Stored, crc32
from ..archive.source import BLOCK, Source
from ..archive.zip_directory import DEFLATED, find_end, read_directory, read_local_header
from ..errors import Damaged, Inconsistent
from ..messages import _

# The names under which Odoo keeps the files of a database: the SHA-1 of their content. Nothing else
# becomes a path here.
STORED_FILE = re.compile(rb"filestore/(?P<path>(?P<folder>[0-9a-f]{2})/(?P=folder)[0-9a-f]{38})\Z")
FILESTORE, MARKS = b"filestore/", b"filestore/checklist/"


def is_stored_file(entry):
    """Return whether an entry is a file of the filestore, and no mark of Odoo's clean-up."""
    return bool(STORED_FILE.match(entry.raw_name))


class Members:
    """The members of the zip at ``path``, in memory that does not grow with their number."""

    def __init__(self, path):
        self._path = path
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        # One is read along the directory while the other one reads what the entries lead to.
        directory = self._stack.enter_context(open(self._path, "rb", buffering=BLOCK))
        content = self._stack.enter_context(open(self._path, "rb", buffering=0))
        self._directory, self._content = Source(directory), Source(content)
        self._end = find_end(self._directory)
        return self

    def __exit__(self, *reason):
        self._stack.close()

    def entries(self):
        """Yield each entry of the directory."""
        return read_directory(self._directory, self._end)

    def find(self, name):
        """Return the entry of that name; raise :class:`Inconsistent` without one."""
        for entry in self.entries():
            if entry.name == name:
                return entry
        raise Inconsistent(
            _("The archive holds no %(name)s, so it is no backup of Odoo's.", name=name)
        )

    def blocks(self, entry):
        """Yield the content of a member; raise :class:`Damaged` unless it has its checksum."""
        source = self._content
        source.seek(entry.offset)
        read_local_header(source, entry)
        deflated = entry.method == DEFLATED
        decoder = Inflater(RAW_DEFLATE, entry.name) if deflated else Stored()
        crc = size = 0
        for packed in source.blocks(entry.compressed, entry.name):
            for block in decoder.feed(packed):
                size += len(block)
                crc = crc32(block, crc)
                yield block
        decoder.finish()
        if (crc, size) != (entry.crc, entry.size):
            raise Damaged(
                _("The content of %(name)s does not have its size or checksum.", name=entry.name)
            )
