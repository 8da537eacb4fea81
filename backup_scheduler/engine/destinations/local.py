"""A folder of this machine, or one that is mounted here."""

import contextlib
import errno
import os
import stat
import threading
import uuid

from ..errors import ArchiveMissing, DestinationDenied, DestinationFailed, NoSpace
from ..kinds import Setting
from ..messages import _
from ..naming import CATALOGUE, described_by
from ..spool import BLOCK, FULL, check_space, free_space, write_all
from .base import Destination, Upload, another_folder
from .local_folder import FOLDER, FORBIDDEN, PART, is_file, opened_folder, read_catalogue
from .locations import folder_locations

GIGABYTE = 10**9
LINKING = threading.Lock()
# Seconds that an abort waits for a write to end.
ABORT_PATIENCE = 1
# By this file in it, a folder is known again.
MARKER = ".backup_scheduler"
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
        message = _("%(what)s: %(reason)s", what=what, reason=error.strerror)
        if isinstance(error, PermissionError):
            raise DestinationDenied(message, hint=FORBIDDEN) from error
        raise DestinationFailed(message) from error


class LocalDestination(Destination):
    """:param path: the folder, absolute
    :param reserve: gigabytes of its disk that backups leave free for others
    :param all_machines: whether all machines that make backups have this very folder, as a share
        that is mounted there; only with its marker is it used
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
        Setting(
            "all_machines",
            "Shared by All Machines",
            kind="boolean",
            advanced=True,
            help="All machines that make backups have this folder, as a share that is mounted at "
            "the same place. Each one makes sure of it by a hidden file in the folder, which "
            "Check makes. Where queue_job makes the backups, only such folders can be used.",
        ),
    )
    KEPT = ("marker",)

    def __init__(self, path, marker="", reserve=0, all_machines=False):
        if not os.path.isabs(path or ""):
            raise DestinationFailed(
                _("The folder %(path)r is not an absolute path.", path=path),
                hint=_("Enter an absolute path, such as /var/backups/odoo."),
            )
        self.path = path
        self._marker = marker
        self._all_machines = all_machines
        self._reserve = max(0, reserve) * GIGABYTE

    def locations(self):
        return folder_locations(self.path)

    @classmethod
    def is_of_one_machine(cls, settings):
        return not settings.get("all_machines")

    def check(self):
        """See :class:`Destination`. Returns ``free`` (bytes) and ``marker`` (what the folder is
        known by, made where there was none)."""
        if self._marker:
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
            name = os.path.join(self.path, MARKER)
            with open(name, encoding="ascii", errors="replace", opener=itself) as file:
                return file.read(100).strip()
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def _require_marker(self):
        """Raise where the folder is not the one that was checked."""
        if not self._marker:
            if self._all_machines:
                raise DestinationFailed(
                    _("Nothing says yet which folder %(path)s all machines have.", path=self.path),
                    hint=_("Press Check on the destination's form: it marks the folder."),
                )
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
        spooled = spool.path if spool else None
        return LocalUpload(self.path, self._locate(path), owner, token, spooled)

    def delete(self, path, owner, version=""):
        self._require_marker()
        path = self._locate(path)
        self._require_folder()
        name = os.path.basename(path)
        with (
            failures_named(_("%(path)s cannot be deleted", path=path)),
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            opened_folder(self.path, path) as folder,
        ):
            folder.remove_abandoned_parts(name)
            if folder.owned(name, owner, self._final(path)):
                folder.remove(name)
                folder.remove(name + CATALOGUE)

    def _require_folder(self):
        """Raise where the folder is not there: that says nothing about what is in it."""
        if not os.path.isdir(self.path):
            raise DestinationFailed(_("The folder %(path)s is not there.", path=self.path))

    def path_of(self, path):
        return self._examined(path)[0]

    def _examined(self, path):
        """Return the name of the archive's file, and what lstat(2) says of it."""
        self._require_marker()
        path = self._locate(path)
        final = self._final(path)
        self._require_folder()
        status = None
        with (
            failures_named(_("%(path)s cannot be examined", path=final)),
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            opened_folder(self.path, path) as folder,
        ):
            status = folder.status(os.path.basename(path))
        mode = status.st_mode if status else 0
        if stat.S_ISLNK(mode):
            raise DestinationFailed(
                _("%(path)s is a link to another file, and no archive of ours.", path=final)
            )
        if not stat.S_ISREG(mode):
            raise ArchiveMissing(_("%(path)s is not there any more.", path=final))
        return final, status

    def stat(self, path):
        return self._examined(path)[1].st_size

    def read(self, path):
        final = self.path_of(path)
        path = self._locate(path)
        buffer = memoryview(bytearray(BLOCK))
        with (
            failures_named(_("%(path)s cannot be read", path=final)),
            opened_folder(self.path, path) as folder,
            folder.file(os.path.basename(path), "rb") as file,
        ):
            while length := file.readinto(buffer):
                yield buffer[:length]

    def catalogues(self, known=frozenset()):
        self._require_marker()
        with failures_named(_("The folder %(path)s cannot be read", path=self.path)):
            root = os.open(self.path, FOLDER)
            try:
                yield from self._described(root, known)
            finally:
                os.close(root)

    def _described(self, root, known):
        for place, folders, names, folder in os.fwalk(".", onerror=raise_it, dir_fd=root):
            folders.sort()
            for name in sorted(names):
                archive = described_by(name)
                path = os.path.normpath(os.path.join(place, archive)).replace(os.sep, "/")
                if archive and path not in known and is_file(archive, folder):
                    yield path, read_catalogue(name, folder)

    def _locate(self, path):
        """Return the path below the folder, by its text; links are looked at when it is opened."""
        plain = os.path.normpath(path)
        if os.path.isabs(plain) or plain.split(os.sep)[0] in ("", ".", ".."):
            raise DestinationFailed(_("%(path)r leads out of the destination's folder.", path=path))
        return plain

    def _final(self, path):
        return os.path.join(os.path.realpath(self.path), path)


class LocalUpload(Upload):
    """An archive on its way to ``final``, as a ``.part`` beside it.

    Where spool and destination share a file system the part *is* the spool, by a hard link: its
    bytes are written once. Elsewhere, and where it gets other bytes than the spool, it is a file of
    its own, locked so that a sweep leaves it alone.
    """

    def __init__(self, root, path, owner, token, spool_path):
        self.final = os.path.join(os.path.realpath(root), path)
        self._root = root
        self._path = path
        self._name = os.path.basename(path)
        self._owner = owner
        self._part = f"{self._name}.{token}{PART}"
        self._file = None
        self._writing = threading.Lock()
        self._aborted = False
        with (
            failures_named(_("%(part)s cannot be created", part=self._shown)),
            self._folder(make=True) as folder,
        ):
            folder.remove_abandoned_parts(self._name)
            folder.owned(self._name, owner, self.final)
            if not self._linked_to(spool_path, folder):
                self._file = folder.create_locked(self._part)

    def _folder(self, make=False):
        if make:
            os.makedirs(self._root, mode=0o700, exist_ok=True)
        return opened_folder(self._root, self._path, make)

    @property
    def _shown(self):
        return os.path.join(os.path.dirname(self.final), self._part)

    def _linked_to(self, spool_path, folder):
        # Several uploads of one spool begin at the same time.
        with LINKING:
            return self._link_first(spool_path, folder)

    def _link_first(self, spool_path, folder):
        if spool_path is None:
            return False
        if os.stat(spool_path).st_nlink > 1:
            # Another destination has its bytes already: two copies are two sets of bytes.
            return False
        try:
            folder.link(spool_path, self._part)
        except OSError as error:
            if error.errno in NO_LINK:
                return False
            raise
        return True

    def write(self, block):
        with self._writing, failures_named(_("%(part)s cannot be written", part=self._shown)):
            if self._aborted:
                raise DestinationFailed(_("The upload of %(part)s was ended.", part=self._shown))
            if self._file is not None:
                write_all(self._file, block)

    def flush(self):
        what = _("%(part)s cannot be written", part=self._shown)
        with failures_named(what), self._folder() as folder:
            folder.sync(self._part)

    def commit(self, catalogue):
        """The catalogue goes first: the archive's own name is the last thing to appear, and what
        has that name can always be told to be ours."""
        what = _("%(path)s cannot be written", path=self.final)
        with failures_named(what), self._folder() as folder:
            folder.owned(self._name, self._owner, self.final)
            try:
                self._write_catalogue(catalogue, folder)
                folder.rename(self._part, self._name)
                folder.sync()
            except OSError:
                folder.remove(self._name)
                folder.remove(self._name + CATALOGUE)
                raise

    def _write_catalogue(self, catalogue, folder):
        part = f"{self._part}{CATALOGUE}"
        try:
            with folder.file(part, "xb") as file:
                write_all(file.fileno(), catalogue)
            folder.sync(part)
            folder.rename(part, self._name + CATALOGUE)
        finally:
            folder.remove(part)

    def abort(self):
        # Not under a write that hangs: its descriptor would be somebody else's next.
        if self._writing.acquire(timeout=ABORT_PATIENCE):
            if self._file is not None:
                os.close(self._file)
                self._file = None
            self._aborted = True
            self._writing.release()
        what = _("%(part)s cannot be removed", part=self._shown)
        # A folder that is not there may be one whose disk is away, with the part on it.
        with failures_named(what), self._folder() as folder:
            folder.remove(self._part)


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
