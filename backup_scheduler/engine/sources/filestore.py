"""The files of a filestore on this machine, beside a database that is in use.

Source of the rules: ``addons/base/models/ir_attachment.py``. A file is written before its
attachment is committed, and deleted some time after the last attachment with its content was
(``_gc_file_store``). So while an archive is made whose dump came first, each file that the dump
lists is there, or was deleted since; and what the dump does not list may be half written.
"""

import errno
import os
import stat

from ..errors import FilestoreUnreadable, Inconsistent
from ..messages import _

# Marks of what may be deleted, which are no attachments.
MARKS = "checklist"
# What Odoo leaves out of its zips (odoo.tools.osutil.zip_dir).
LEFT_OUT = (".pyc", ".pyo", ".swp", ".DS_Store")
# A file, and one on another machine, that was deleted since its folder was read.
VANISHED = (errno.ENOENT, errno.ESTALE)
# Seconds. What the dump does not list and is younger than the backup by no more than this is of a
# transaction that it did not see. The clock of a file server may differ.
YOUNG = 600
# The most files deleted meanwhile whose names are kept for later verifications.
MAX_GONE = 2000
# How many are named in a message.
NAMED = 3


class Filestore:
    """The filestore of one database, on its way into an archive.

    :param folder: its path
    :param writer: a :class:`~..archive.writer.Writer`
    :param listed: what the dump lists, a :class:`~.snapshot.Listed`
    :param began: when the dump did, in seconds since 1970
    :param check: called at each file; what it raises ends the archive
    """

    def __init__(self, folder, writer, listed, began, check):  # noqa: PLR0913
        self._folder = folder
        self._writer = writer
        self._listed = listed
        self._check = check
        self._young = began - YOUNG
        self.missing = set()
        self.missing_count = 0
        self.damaged, self.odd = Some(), Some()

    def copy(self):
        """Write all of its files; what the dump lists and is not there comes to be ``missing``."""
        for entry in entries_of(self._folder):
            if entry.name == MARKS:
                continue
            # Some spread a large filestore over several disks by links in the place of folders.
            if not entry.is_dir():
                self._file(entry.name, entry.path, ())
                continue
            wanted = self._before(entry.name)
            self._folder_of(entry.name, entry.path, wanted)
            self._miss(wanted)
        self._before(None)

    def _before(self, folder):
        """Return the names that are listed in a folder; those of folders before it are missing."""
        wanted = set()
        for name, names in self._listed.until(folder):
            if name == folder:
                wanted = names
            else:
                self._miss(names)
        return wanted

    def _miss(self, names):
        self.missing_count += len(names)
        self.missing.update(sorted(names)[: MAX_GONE + 1 - len(self.missing)])

    def _folder_of(self, name, path, wanted):
        folders = [(name, path)]
        while folders:
            name, path = folders.pop()
            for entry in entries_of(path):
                below = f"{name}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.append((below, entry.path))
                elif self._file(below, entry.path, wanted):
                    wanted.discard(below)

    def _file(self, name, path, wanted):
        """Write a file; return whether it was there."""
        self._check()
        if os.path.splitext(name)[1] in LEFT_OUT or os.path.basename(name) in LEFT_OUT:
            return False
        try:
            # What is no file keeps nobody waiting.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in VANISHED:
                return False
            raise unreadable(path, error) from error
        try:
            return self._open_file(name, descriptor, name in wanted)
        except OSError as error:
            raise unreadable(path, error) from error
        finally:
            os.close(descriptor)

    def _open_file(self, name, descriptor, listed):
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not name.isprintable():
            # No zip has a name that is not text, and no attachment a file that is none.
            self.odd.add(name)
            return False
        if not listed and status.st_mtime > self._young:
            return False
        if not self._writer.file(name, descriptor, status, lambda _block: self._check()):
            self.damaged.add(name)
        return True

    def gone(self, still_listed):
        """Return the names of the missing files whose attachments were deleted since the dump.

        :param still_listed: returns those of given names that attachments have by now

        Raises :class:`Inconsistent` where there are more than can be remembered.
        """
        if not self.missing:
            return ()
        gone = self.missing - still_listed(self.missing)
        if len(gone) > MAX_GONE:
            raise Inconsistent(
                _(
                    "More than %(limit)s files of the filestore were deleted while the backup was "
                    "made.",
                    limit=MAX_GONE,
                ),
                hint=_(
                    "Odoo deletes once a day what no attachment needs any more. Let the job run at "
                    "another time."
                ),
            )
        return tuple(sorted(gone))

    def notes(self):
        """Return what a reader of the archive should know of its files, as sentences."""
        notes = []
        if self.damaged.count:
            notes.append(
                _(
                    "Files of the filestore whose content is not that of their name: %(count)s "
                    "(%(names)s).",
                    count=self.damaged.count,
                    names=self.damaged.first,
                )
            )
        if self.odd.count:
            notes.append(
                _(
                    "Entries of the filestore that no attachment can have, left out: %(count)s "
                    "(%(names)s).",
                    count=self.odd.count,
                    names=self.odd.first,
                )
            )
        return notes


class Some:
    """A count of names, and the first of them."""

    def __init__(self):
        self.count = 0
        self.first = []

    def add(self, name):
        self.count += 1
        if len(self.first) < NAMED:
            self.first.append(repr(name)[1:-1])


def entries_of(folder):
    """Return what a folder holds, by name; nothing where it is not there (any more)."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreadable(folder, error) from error


def unreadable(path, error):
    return FilestoreUnreadable(
        _("%(path)s cannot be read: %(reason)s.", path=repr(path)[1:-1], reason=error.strerror)
    )


