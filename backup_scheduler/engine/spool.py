"""The spool: the local file that an archive is received into before it is anywhere else.

One side writes, any number of followers read the same file while it grows, each at its own speed.
The writer never waits for a follower. The file lives as long as the ``with`` block around it; a
process that is killed leaves it behind unlocked, which is how :func:`sweep` knows.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import threading

from .errors import ArchiveTooLarge, BackupError, NoSpace, SpoolFailed
from .messages import _

BLOCK = 1 << 20
SUFFIX = ".spool"
# What a spool leaves free on its disk for everything else there: this many bytes, or that share of
# a small disk; and after how many bytes it looks again at the latest.
RESERVE, RESERVED_SHARE = 1 << 30, 100
LOOK_EVERY = 16 << 20
# Errors of a full disk: the device, the user's quota, the file size limit.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Spool:
    """A growing file in ``folder``, locked while in use, removed on exit.

    Source: the lock is flock(2), which the kernel gives back when its holder dies.

    :param limit: the bytes that it takes at most; 0 for no limit but the disk's
    """

    def __init__(self, folder, name, limit=0):
        self.path = os.path.join(folder, name + SUFFIX)
        self.size = 0
        self._limit = limit
        self._look_at = 0
        self._grown = threading.Condition()
        self._finished = False
        self._error = None

    def __enter__(self):
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            self._fd = create_locked(self.path)
        except OSError as error:
            raise spool_error(error, self.path) from error
        return self

    def __exit__(self, kind, error, traceback):
        self.fail(error or BackupError(_("The spool was closed before it was complete.")))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        os.close(self._fd)

    def write(self, block):
        """Append bytes.

        Raises :class:`NoSpace` when the disk is full but for what is kept free on it, and
        :class:`ArchiveTooLarge` past the limit.
        """
        self._require_room(len(block))
        try:
            write_all(self._fd, block)
        except OSError as error:
            raise spool_error(error, self.path) from error
        with self._grown:
            self.size += len(block)
            self._grown.notify_all()

    def _require_room(self, length):
        if self._limit and self.size + length > self._limit:
            raise ArchiveTooLarge(
                _(
                    "The archive is larger than its limit of %(limit)s.",
                    limit=human_size(self._limit),
                )
            )
        if self.size + length <= self._look_at:
            return
        folder = os.path.dirname(self.path)
        free, reserve = free_space(folder), reserve_of(folder)
        left = free - reserve - length
        # Sooner and sooner towards the end.
        self._look_at = self.size + length + min(LOOK_EVERY, left // 2)
        if left < 0:
            raise NoSpace(
                _(
                    "%(folder)s has %(free)s free, of which %(reserve)s are left to others.",
                    folder=folder,
                    free=human_size(free),
                    reserve=human_size(reserve),
                )
            )

    def finish(self):
        """All bytes are here: followers end when they have read them."""
        with self._grown:
            self._finished = True
            self._grown.notify_all()

    def fail(self, error):
        """Nobody needs the bytes any more: followers that are not through get ``error``."""
        with self._grown:
            self._error = self._error or error
            self._grown.notify_all()

    def follow(self):
        """Yield the file's bytes from its beginning, in blocks, waiting for more until finished.

        Each block is only good until the next is asked for. Raises what :meth:`fail` was told.
        """
        buffer = memoryview(bytearray(BLOCK))
        with open(self.path, "rb", buffering=0) as file:
            position = 0
            while self._wait_beyond(position):
                read = file.readinto(buffer)
                if not read:
                    raise SpoolFailed(
                        _("%(path)s became shorter while it was read.", path=self.path)
                    )
                position += read
                yield buffer[:read]

    def _wait_beyond(self, position):
        with self._grown:
            self._grown.wait_for(
                lambda: self.size > position or self._finished or self._error is not None
            )
            if self._error is not None:
                raise self._error
            return self.size > position


class Digest:
    """SHA-256 of a spool, computed by a follower of its own beside the transfer."""

    def __init__(self, spool):
        self._hash = hashlib.sha256()
        self._error = None
        self._thread = threading.Thread(target=self._follow, args=(spool,), daemon=True)
        self._thread.start()

    def _follow(self, spool):
        try:
            for block in spool.follow():
                self._hash.update(block)
        except Exception as error:  # noqa: BLE001 - whatever it is, half a digest is none
            self._error = error

    def hexdigest(self):
        """Wait for the end of the spool; return the digest in hexadecimal."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._hash.hexdigest()


def create_locked(path, folder=None):
    """Create ``path`` (which must not exist) for its owner only, locked; return the descriptor.

    :param folder: the descriptor of the folder that a relative path lies in

    A sweep may catch the file between its creation and its lock and remove it: then do it again.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            # A file system without locks: what is made there could never be told from remains.
            os.close(descriptor)
            os.unlink(path, dir_fd=folder)
            raise
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


def write_all(descriptor, block):
    """Write the whole block: one write(2) may take less."""
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]


def remove_abandoned(path, folder=None):
    """Remove ``path`` unless a living process holds its lock; return whether it was removed.

    :param folder: the descriptor of the folder that a relative path lies in
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except (FileNotFoundError, PermissionError):
        # It is gone already, or another user's and none of our business.
        return False
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        # A link, which no process of ours makes.
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path, dir_fd=folder)
    except (BlockingIOError, FileNotFoundError):
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def sweep(folder):
    """Remove the spool files in ``folder`` whose process is gone; return their names."""
    if not os.path.isdir(folder):
        return []
    names = [name for name in os.listdir(folder) if name.endswith(SUFFIX)]
    return [name for name in names if remove_abandoned(os.path.join(folder, name))]


def check_space(folder, needed):
    """Raise :class:`NoSpace` when ``folder`` has fewer than ``needed`` bytes left for us."""
    free = free_space(folder)
    if free < needed:
        raise NoSpace(
            _(
                "%(folder)s has %(free)s free; this backup is expected to need %(needed)s.",
                folder=folder,
                free=human_size(free),
                needed=human_size(needed),
            )
        )


def free_space(folder):
    """Return the bytes that this user may still write below ``folder``, existing or not yet."""
    status = disk_of(folder)
    return status.f_bavail * status.f_frsize


def reserve_of(folder):
    """Return the bytes of its disk that spools leave free."""
    status = disk_of(folder)
    return min(RESERVE, status.f_blocks * status.f_frsize // RESERVED_SHARE)


def disk_of(folder):
    folder = os.path.abspath(folder)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return os.statvfs(folder)


def spool_error(error, path):
    """Return the error of a failed write, as a kind that people understand."""
    if error.errno in FULL:
        return NoSpace(_("The disk became full while writing %(path)s.", path=path))
    return SpoolFailed(
        _(
            "The spool folder cannot be used: %(reason)s (%(path)s).",
            reason=error.strerror,
            path=path,
        )
    )


def human_size(size):
    """Return ``size`` bytes as people write it: 1.4 GB (decimal units)."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
