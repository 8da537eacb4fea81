"""A folder of this machine, or one that is mounted here."""

import contextlib
import errno
import json
import os
import stat
import threading
import uuid

from ..errors import ArchiveMissing, DestinationFailed, NoSpace
from ..kinds import Setting
from ..messages import _
from ..naming import CATALOGUE, described_by
from ..spool import (
    BLOCK,
    FULL,
    check_space,
    create_locked,
    free_space,
    remove_abandoned,
    write_all,
)
from .base import Destination, Upload, another_folder
from .locations import folder_locations

PART = ".part"
GIGABYTE = 10**9
LINKING = threading.Lock()
# Seconds that an abort waits for a write to end.
ABORT_PATIENCE = 1
# By this file in it, a folder is known again.
MARKER = ".backup_scheduler"
# Bytes. What is larger is no catalogue of ours: they are some 20 kB.
CATALOGUE_LIMIT = 16 << 20
# What link(2) answers where a hard link cannot be had: another device, a file system without links,
# the kernel's protected_hardlinks.
NO_LINK = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)


@contextlib.contextmanager
def failures_named(what):
    """Turn an OSError inside into a failure of the destination that says ``what`` was tried."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise NoSpace(_("The disk of the destination is full: %(what)s.", what=what)) from error
        raise DestinationFailed(
            _("%(what)s: %(reason)s", what=what, reason=error.strerror)
        ) from error


class LocalDestination(Destination):
    """:param path: the folder, absolute
    :param reserve: gigabytes of its disk that backups leave free for others
    :param marker: what :meth:`check` has returned as ``marker`` once. From then on only the folder
        that has it is the destination: where a disk is not mounted, the empty folder in its place
        is neither written to nor taken for one whose archives are gone. Empty: any folder will do
    """

    LABEL = "Folder of this server"
    SETTINGS = (
        Setting(
            "path", "Folder", required=True, location=True, placeholder="/var/backups/odoo"
        ),
        Setting(
            "reserve",
            "Keep Free (GB)",
            kind="integer",
            advanced=True,
            help="Gigabytes of the disk that backups leave free for others.",
        ),
    )
    KEPT = ("marker",)

    def __init__(self, path, marker="", reserve=0):
        if not os.path.isabs(path or ""):
            raise DestinationFailed(
                _("The folder %(path)r is not an absolute path.", path=path),
                hint=_("Enter an absolute path, such as /var/backups/odoo."),
            )
        self.path = path
        self._marker = marker
        self._reserve = max(0, reserve) * GIGABYTE

    def locations(self):
        return folder_locations(self.path)

    def check(self):
        """See :class:`Destination`. Returns ``free`` (bytes) and ``marker`` (what the folder is
        known by, made where there was none)."""
        self._require_marker()
        with failures_named(_("The folder %(path)s cannot be written to", path=self.path)):
            os.makedirs(self.path, mode=0o700, exist_ok=True)
            self._try_to_write()
            return {"free": free_space(self.path), "marker": self._mark()}

    def _try_to_write(self):
        name, content = os.path.join(self.path, f".check-{uuid.uuid4().hex}"), b"backup_scheduler"
        with open(name, "xb") as file:
            file.write(content)
        try:
            with open(name, "rb") as file:
                if file.read() != content:
                    raise DestinationFailed(
                        _("The folder %(path)s gives back other bytes.", path=self.path)
                    )
        finally:
            os.unlink(name)

    def _mark(self):
        """Return what the folder is known by. Others may use it too: the first one marks it."""
        if not self._found_marker():
            made = os.path.join(self.path, f"{MARKER}-{uuid.uuid4().hex}")
            try:
                with open(made, "x", encoding="ascii") as file:
                    file.write(uuid.uuid4().hex)
                sync(made)
                put_first(made, os.path.join(self.path, MARKER))
            finally:
                remove(made)
        return self._found_marker()

    def _found_marker(self):
        try:
            with open(os.path.join(self.path, MARKER), encoding="ascii", errors="replace") as file:
                return file.read(100).strip()
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def _require_marker(self):
        """Raise where the folder is not the one that was checked."""
        if not self._marker:
            return
        with failures_named(_("The folder %(path)s cannot be read", path=self.path)):
            found = self._found_marker()
        if found != self._marker:
            raise DestinationFailed(
                another_folder(self.path, MARKER, bool(found)),
                hint=_(
                    "If it is a mounted disk or share, mount it again. If another folder was put "
                    "there on purpose, accept it on the destination's form."
                ),
            )

    def check_space(self, needed):
        with failures_named(_("The folder %(path)s cannot be examined", path=self.path)):
            check_space(self.path, needed + self._reserve)

    def begin(self, path, owner, token, spool=None):
        self._require_marker()
        return LocalUpload(self._locate(path), owner, token, spool.path if spool else None)

    def delete(self, path, owner, version=""):
        self._require_marker()
        final = self._locate(path)
        with failures_named(_("%(path)s cannot be deleted", path=path)):
            remove_abandoned_parts(final)
            if owned(final, owner):
                remove(final)
                remove(final + CATALOGUE)

    def path_of(self, path):
        self._require_marker()
        final = self._locate(path)
        if not os.path.isdir(self.path):
            raise DestinationFailed(_("The folder %(path)s is not there.", path=self.path))
        with failures_named(_("%(path)s cannot be examined", path=final)):
            mode = mode_of(final)
            self._require_inside(final)
        if stat.S_ISLNK(mode):
            raise DestinationFailed(
                _("%(path)s is a link to another file, and no archive of ours.", path=final)
            )
        if not stat.S_ISREG(mode):
            raise ArchiveMissing(_("%(path)s is not there any more.", path=final))
        return final

    def _require_inside(self, final):
        """Raise where a link of the folder leads elsewhere, out of what the destination is."""
        root, folder = os.path.realpath(self.path), os.path.realpath(os.path.dirname(final))
        if os.path.commonpath([root, folder]) != root:
            raise DestinationFailed(
                _("%(path)s lies outside the destination's folder, by a link.", path=final)
            )

    def stat(self, path):
        final = self.path_of(path)
        with failures_named(_("%(path)s cannot be examined", path=final)):
            return os.stat(final).st_size

    def read(self, path):
        final = self.path_of(path)
        buffer = memoryview(bytearray(BLOCK))
        with (
            failures_named(_("%(path)s cannot be read", path=final)),
            open(final, "rb", buffering=0, opener=itself) as file,
        ):
            while length := file.readinto(buffer):
                yield buffer[:length]

    def catalogues(self, known=frozenset()):
        self._require_marker()
        with failures_named(_("The folder %(path)s cannot be read", path=self.path)):
            for place, folders, names in os.walk(self.path, onerror=raise_it):
                folders.sort()
                for name in sorted(names):
                    final = os.path.join(place, described_by(name))
                    path = os.path.relpath(final, self.path).replace(os.sep, "/")
                    if described_by(name) and path not in known and stat.S_ISREG(mode_of(final)):
                        yield path, read_catalogue(final + CATALOGUE)

    def _locate(self, path):
        """Return the absolute path, which never lies outside the folder."""
        root = os.path.realpath(self.path)
        final = os.path.normpath(os.path.join(root, path))
        if os.path.commonpath([root, final]) != root or final == root:
            raise DestinationFailed(_("%(path)r leads out of the destination's folder.", path=path))
        return final


class LocalUpload(Upload):
    """An archive on its way to ``final``, as a ``.part`` beside it.

    Where spool and destination share a file system the part *is* the spool, by a hard link: its
    bytes are written once. Elsewhere, and where it gets other bytes than the spool, it is a file of
    its own, locked so that a sweep leaves it alone.
    """

    def __init__(self, final, owner, token, spool_path):
        self.final = final
        self._owner = owner
        self._part = f"{final}.{token}{PART}"
        self._file = None
        self._writing = threading.Lock()
        self._aborted = False
        with failures_named(_("%(part)s cannot be created", part=self._part)):
            os.makedirs(os.path.dirname(final), mode=0o700, exist_ok=True)
            remove_abandoned_parts(final)
            owned(final, owner)
            if not self._linked_to(spool_path):
                self._file = create_locked(self._part)

    def _linked_to(self, spool_path):
        # Several uploads of one spool begin at the same time.
        with LINKING:
            return self._link_first(spool_path)

    def _link_first(self, spool_path):
        if spool_path is None:
            return False
        if os.stat(spool_path).st_nlink > 1:
            # Another destination has its bytes already: two copies are two sets of bytes.
            return False
        try:
            os.link(spool_path, self._part)
        except OSError as error:
            if error.errno in NO_LINK:
                return False
            raise
        return True

    def write(self, block):
        with self._writing, failures_named(_("%(part)s cannot be written", part=self._part)):
            if self._aborted:
                raise DestinationFailed(_("The upload of %(part)s was ended.", part=self._part))
            if self._file is not None:
                write_all(self._file, block)

    def flush(self):
        with failures_named(_("%(part)s cannot be written", part=self._part)):
            sync(self._part)

    def commit(self, catalogue):
        """The catalogue goes first: the archive's own name is the last thing to appear, and what
        has that name can always be told to be ours."""
        with failures_named(_("%(path)s cannot be written", path=self.final)):
            owned(self.final, self._owner)
            try:
                self._write_catalogue(catalogue)
                os.replace(self._part, self.final)
                sync(os.path.dirname(self.final))
            except OSError:
                remove(self.final)
                remove(self.final + CATALOGUE)
                raise

    def _write_catalogue(self, catalogue):
        part = f"{self._part}{CATALOGUE}"
        try:
            with open(part, "xb", opener=private) as file:
                file.write(catalogue)
            sync(part)
            os.replace(part, self.final + CATALOGUE)
        finally:
            remove(part)

    def abort(self):
        # Not under a write that hangs: its descriptor would be somebody else's next.
        if self._writing.acquire(timeout=ABORT_PATIENCE):
            if self._file is not None:
                os.close(self._file)
                self._file = None
            self._aborted = True
            self._writing.release()
        with failures_named(_("%(part)s cannot be removed", part=self._part)):
            remove(self._part)


def owned(final, owner):
    """Return whether something stands at ``final`` and is the archive of ``owner``.

    Raises :class:`DestinationFailed` when it is anybody else's: what we did not write is not ours
    to replace or delete.
    """
    try:
        with open(final + CATALOGUE, "rb") as file:
            ours = json.load(file).get("run") == owner
    except FileNotFoundError:
        if not os.path.lexists(final):
            return False
        ours = False
    except (ValueError, AttributeError):
        ours = False
    if not ours:
        raise DestinationFailed(
            _("%(path)s exists and was not written by this run.", path=final),
            hint=_("Let no other backup server write to the same folder under the same names."),
        )
    return True


def read_catalogue(path):
    """Return the catalogue at ``path`` as a dict, or None where it is nothing of the kind."""
    try:
        found = os.lstat(path)
        # Only of a file: others lead elsewhere, or never end.
        if not stat.S_ISREG(found.st_mode) or found.st_size > CATALOGUE_LIMIT:
            return None
        with open(path, "rb", opener=itself) as file:
            catalogue = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    return catalogue if isinstance(catalogue, dict) else None


def mode_of(path):
    """Return the mode of what stands at ``path`` itself, no link followed; 0 where nothing does."""
    try:
        return os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def itself(path, flags):
    """Open what stands at ``path`` itself, no link followed, without waiting for anybody."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def put_first(made, path):
    """Give ``made`` the name ``path``, unless somebody was quicker."""
    try:
        os.link(made, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        os.replace(made, path)


def raise_it(error):
    raise error


def remove_abandoned_parts(final):
    """Remove what killed attempts at this very archive have left."""
    folder, name = os.path.split(final)
    with contextlib.suppress(FileNotFoundError):
        for entry in os.listdir(folder):
            if entry.startswith(name + ".") and entry.endswith((PART, PART + CATALOGUE)):
                remove_abandoned(os.path.join(folder, entry))


def private(path, flags):
    """Open for the owner only: an archive holds all that a company has."""
    return os.open(path, flags, 0o600)


def remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def sync(path):
    """Flush a file, or a folder's list of names, to the medium."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
