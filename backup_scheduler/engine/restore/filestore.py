"""The filestore of an archive, unpacked beside its final place and moved there last.

While it is made, ``.<database>.<token>.restoring`` is the folder, and ``….restoring.lock`` beside
it is locked by the process that makes it. Before the folder gets its final name, the lock file
notes which folder that will be: until its database has its name too, a sweep takes it back.
"""

import contextlib
import fcntl
import json
import os
import shutil

from ..errors import Damaged, DatabaseExists, DestinationFailed, NoSpace
from ..messages import _
from ..spool import FULL, create_locked, write_all
from .members import FILESTORE, MARKS, STORED_FILE, Members

RESTORING = ".restoring"
LOCK = ".lock"
NO_FILESTORE = _(
    "The archive holds no filestore: attachments that are kept as files are not restored."
)


def require_vacant(path):
    """Raise :class:`DatabaseExists` where files lie in the folder already."""
    with failures_told(path):
        if os.path.lexists(path) and (not os.path.isdir(path) or os.listdir(path)):
            raise DatabaseExists(
                _("The filestore %(path)s exists already.", path=path),
                hint=_("Choose another name, or move the folder away if no database uses it."),
            )


class Filestore:
    """The files of a new database.

    :param path: the folder that they are for, absolute
    :param database: the name that the new database will have
    :param token: a name for this attempt
    """

    def __init__(self, path, database, token):
        self.path = path
        self._database = database
        folder, name = os.path.split(path)
        self._part = os.path.join(folder, f".{name}.{token}{RESTORING}")
        self._lock = None
        self._published = False

    def __enter__(self):
        with failures_told(self._part):
            os.makedirs(os.path.dirname(self._part), exist_ok=True)
            self._lock = create_locked(self._part + LOCK)
        try:
            with failures_told(self._part):
                os.mkdir(self._part)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, error, traceback):
        """Remove what has no final name. What was published stays for the sweep to judge when
        something failed after it: only the server knows whether the database has its name."""
        if error is None or not self._published:
            shutil.rmtree(self._part, ignore_errors=True)
            remove(self._part + LOCK)
        os.close(self._lock)

    def unpack(self, path, advance):
        """Unpack the filestore of the zip at ``path``; return notes for people.

        Only names that Odoo gives its files become paths. Raises :class:`Damaged` for a file that
        does not have its checksum, :class:`NoSpace` for a full disk.
        """
        files = others = 0
        with Members(path) as members:
            for entry in members.entries():
                match = STORED_FILE.match(entry.raw_name)
                if match:
                    self._write(match, members.blocks(entry), advance)
                    files += 1
                else:
                    others += is_odd(entry.raw_name)
        notes = [] if files else [NO_FILESTORE]
        if others:
            notes.append(
                _(
                    "%(count)s members of the filestore have no name of Odoo's: left out.",
                    count=others,
                )
            )
        return notes

    def _write(self, match, blocks, advance):
        folder = os.path.join(self._part, match["folder"].decode())
        file = os.path.join(self._part, match["path"].decode())
        with failures_told(file):
            os.makedirs(folder, exist_ok=True)
            try:
                descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            except FileExistsError:
                raise Damaged(
                    _("The archive holds %(name)s twice.", name=match[0].decode())
                ) from None
            try:
                for block in blocks:
                    write_all(descriptor, block)
                    advance(len(block))
            finally:
                os.close(descriptor)

    def publish(self, number):
        """Give the folder its final name; raise :class:`DatabaseExists` where files lie there.

        :param number: the database's own in PostgreSQL, which stays when it is renamed
        """
        with failures_told(self.path):
            if not os.listdir(self._part):
                return
            note = {"path": self.path, "database": self._database, "number": number}
            note.update(identity(self._part))
            write_all(self._lock, json.dumps(note).encode())
            require_vacant(self.path)
            os.rename(self._part, self.path)
            self._published = True


def sweep(folder, has_database):
    """Remove what killed restores have left below ``folder``; return the paths.

    :param has_database: called with a name and a number of PostgreSQL's, tells whether the server
        has this very database under this name
    """
    swept = []
    names = os.listdir(folder) if os.path.isdir(folder) else []
    for name in names:
        if name.startswith(".") and name.endswith(RESTORING + LOCK):
            swept += sweep_one(os.path.join(folder, name), has_database)
    return swept


def sweep_one(lock, has_database):
    """Remove what belongs to one lock file, unless a living process holds it."""
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except (FileNotFoundError, PermissionError):
        return []
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        abandoned = [lock.removesuffix(LOCK), published(descriptor, has_database)]
        abandoned = [path for path in abandoned if path and os.path.isdir(path)]
        for path in abandoned:
            shutil.rmtree(path)
        remove(lock)
    except OSError:
        # In use, or not ours to remove.
        return []
    else:
        return abandoned
    finally:
        os.close(descriptor)


def published(descriptor, has_database):
    """Return the final folder of a restore whose database never got its name, if there is one."""
    try:
        note = json.loads(os.read(descriptor, 1 << 16))
    except ValueError:
        return None
    with contextlib.suppress(OSError):
        same = identity(note["path"]).items() <= note.items()
        if same and not has_database(note["database"], note["number"]):
            return note["path"]
    return None


def identity(path):
    """Return what tells one folder from another that has its name later on."""
    status = os.stat(path)
    return {"device": status.st_dev, "inode": status.st_ino}


def is_odd(name):
    """Whether a member of the filestore is neither a file of Odoo's, nor a mark, nor a folder."""
    return name.startswith(FILESTORE) and not name.startswith(MARKS) and not name.endswith(b"/")


def remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


@contextlib.contextmanager
def failures_told(path):
    """Turn an OSError inside into a kind that people understand."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise NoSpace(_("The disk became full while writing %(path)s.", path=path)) from error
        raise DestinationFailed(
            _(
                "The filestore cannot be written: %(reason)s (%(path)s).",
                reason=error.strerror,
                path=path,
            ),
            hint=_("Give the user that runs Odoo the right to write there."),
        ) from error
