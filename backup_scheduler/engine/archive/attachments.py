"""Where the content of attachments is, according to their rows in a dump.

Odoo keeps it in a file of the filestore, whose name is in ``store_fname``, or in the row itself,
``db_datas``. Modules keep it elsewhere. What is recognised here as no file of the filestore is only
what cannot be one, or what the dump proves to hold, because a wrong guess would hide a missing
file:

* an address with ``://`` is of another storage (OCA's fs_attachment and storage_backend,
  attachment_s3 and its like): Odoo takes each colon out of a path (``_full_path`` in
  ir_attachment.py), so no file of a filestore is found by such a name;
* the type ``cloud_storage`` is that of Odoo's own module for it, which keeps no file;
* a number is a file unless the dump creates the large object of that number
  (attachment_large_object; muk_attachment_lobject has it in a column of its own);
* a path is a file unless the table ``ir_attachment_content`` has the content of that path
  (attachment_db_by_checksum).

Any other name is that of a file, and is missed where the archive does not hold it.
"""

import re

from .copytext import NULL, unescape
from .inventory import checksum_in

# The columns that are read of each attachment.
COLUMNS = (
    "store_fname", "create_date", "write_date", "type", "db_datas", "store_lobject",
)  # fmt: skip
# Of the table of contents by checksum.
CONTENT_COLUMNS = ("checksum", "db_datas")
CLOUD = b"cloud_storage"
SHA1 = re.compile(rb"[0-9a-f]{40}\Z")
# No value, an empty text, and bytea without a byte.
EMPTY = (NULL, b"", b"\\\\x")


class Attachments:
    """Sorts the rows of ``ir_attachment`` by where their content is.

    :param inventory: an :class:`.inventory.Inventory`, which records the names of the files
    :param is_late: takes the date of a row; returns whether its file may not have been copied yet
    :param gone: the names of files that were deleted while the archive was made

    :ivar in_files: rows whose content is a file of the filestore, according to the row
    :ivar in_rows: rows that have their content themselves
    :ivar elsewhere: rows whose content is neither in the database nor in the filestore
    """

    def __init__(self, inventory, is_late, gone=frozenset()):
        self._inventory = inventory
        self._is_late = is_late
        self._gone = gone
        self.in_files = self.in_rows = self.elsewhere = 0

    def row(self, name, created, written, kind, content, large_object):
        """Take a row of ``ir_attachment``: the values of :data:`COLUMNS`."""
        if name in EMPTY:
            if large_object in EMPTY or large_object == b"0":
                self.in_rows += content not in EMPTY
                self.elsewhere += kind == CLOUD
                return
            name = large_object
        if checksum_in(name) is None:
            name = unescape(name).encode()
            if b"://" in name:
                self.elsewhere += 1
                return
            name = path_of(name)
        self.in_files += 1
        late = self._is_late(created) or self._is_late(written)
        self._inventory.listed(name, late or name in self._gone)

    def content(self, checksum, content):
        """Take a row of the table of contents by checksum."""
        if checksum not in EMPTY and content not in EMPTY:
            if SHA1.match(checksum):
                # As its first versions wrote it.
                checksum = checksum[:2] + b"/" + checksum
            self._inventory.in_database(path_of(unescape(checksum).encode()))

    def large_object(self, number):
        """Take the number (bytes) of a large object that the dump creates."""
        self._inventory.in_database(number)


def path_of(name):
    """Return the path of the file that Odoo makes of a name (_full_path in ir_attachment.py)."""
    return name.translate(None, b".:").strip(b"/\\")
