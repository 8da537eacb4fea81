"""A folder inside a destination on this machine, reached without following a link on the way.

What lies in a destination comes from outside: a folder in it may be a link, or become one at any
moment, to where other archives or other files of this machine are. So each folder is opened below
the one before it, as nothing but a folder, and its files are reached by its descriptor. The
destination's own root may be a link: the administrator has chosen it.
"""

import contextlib
import errno
import os
import stat

from ..catalogue import LIMIT as CATALOGUE_LIMIT
from ..catalogue import parsed
from ..errors import DestinationFailed
from ..messages import _
from ..naming import CATALOGUE
from ..spool import create_locked, remove_abandoned

PART = ".part"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# What the system answers for a link, or a file, in the place of a folder.
NO_FOLDER = (errno.ELOOP, errno.ENOTDIR)
FORBIDDEN = _("Give the user that runs Odoo the right to read and write there.")


@contextlib.contextmanager
def opened_folder(root, path, make=False):
    """Yield the :class:`Folder` in which ``path`` (relative to ``root``) lies.

    :param make: make the folders on the way

    Raises FileNotFoundError without them, and :class:`DestinationFailed` where one is a link.
    """
    descriptor = os.open(root, FOLDER)
    try:
        for name in os.path.dirname(path).split("/"):
            if name:
                inner = step_into(descriptor, name, make)
                os.close(descriptor)
                descriptor = inner
        yield Folder(descriptor)
    finally:
        os.close(descriptor)


def step_into(descriptor, name, make):
    if make:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=descriptor)
    try:
        return os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
    except OSError as error:
        if error.errno in NO_FOLDER and stat.S_ISLNK(os.lstat(name, dir_fd=descriptor).st_mode):
            raise DestinationFailed(
                _("%(name)s is a link that leads out of the destination's folder.", name=name),
                hint=_("Put a folder in its place. The destination's own folder may be a link."),
            ) from error
        raise


class Folder:
    """A folder, by its descriptor; its files are named without any path."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def open(self, name, flags, mode=0o600):
        """Open what stands there itself, no link followed, without waiting for anybody."""
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(name, flags, mode, dir_fd=self.descriptor)

    def file(self, name, mode):
        """Return an opened file; a new one is for its owner only: it has all of a company."""
        return open(name, mode, buffering=0, opener=self.open)

    def create_locked(self, name):
        return create_locked(name, self.descriptor)

    def status(self, name):
        """Return what lstat(2) says, or None where there is nothing."""
        try:
            return os.lstat(name, dir_fd=self.descriptor)
        except FileNotFoundError:
            return None

    def link(self, path, name):
        os.link(path, name, dst_dir_fd=self.descriptor)

    def rename(self, name, final):
        os.replace(name, final, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def remove(self, name):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    def sync(self, name=None):
        """Flush a file, or the folder's own list of names, to the medium."""
        if name is None:
            os.fsync(self.descriptor)
            return
        descriptor = self.open(name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove_abandoned_parts(self, name):
        """Remove what killed attempts at this very archive have left."""
        for entry in os.listdir(self.descriptor):
            if entry.startswith(name + ".") and entry.endswith((PART, PART + CATALOGUE)):
                remove_abandoned(entry, self.descriptor)

    def owned(self, name, owner, path):
        """Return whether something stands there and is the archive of ``owner``.

        Raises :class:`DestinationFailed` when it is anybody else's: what we did not write is not
        ours to replace or delete.
        """
        catalogue = self.status(name + CATALOGUE)
        if catalogue is None and self.status(name) is None:
            return False
        found = self.read_catalogue(name + CATALOGUE) if catalogue else None
        if found is None or found.get("run") != owner:
            raise DestinationFailed(
                _("%(path)s exists and was not written by this run.", path=path),
                hint=_("Let no other backup server write to the same folder under the same names."),
            )
        return True

    def read_catalogue(self, name):
        """Return a catalogue as a dict, or None where it is nothing of the kind."""
        return read_catalogue(name, self.descriptor)


def read_catalogue(name, folder):
    """Return the catalogue of a name in a folder (its descriptor), or None; see :class:`Folder`."""
    try:
        # Only of a file: others lead elsewhere, or never end.
        status = os.lstat(name, dir_fd=folder)
        if not stat.S_ISREG(status.st_mode):
            return None
        with Folder(folder).file(name, "rb") as file:
            content = file.read(CATALOGUE_LIMIT + 1)
    except OSError:
        return None
    return parsed(content)


def is_file(name, folder):
    """Return whether a file of that name stands in a folder, no link followed."""
    status = Folder(folder).status(name)
    return bool(status) and stat.S_ISREG(status.st_mode)
