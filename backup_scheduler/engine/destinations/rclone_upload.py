"""One archive on its way to a remote of rclone.

How it gets its final name depends on what the remote can do:

* An object store that takes streams: the stream goes to the final name, and is kept open until the
  commit. The object appears when the stream has ended, and never before. Nothing is to be renamed,
  which on such stores means to copy.
* Others: the bytes go to a part beside it, are compared there, and the commit renames the part.
* A remote that takes no stream of unknown length (OneDrive, WebDAV without Nextcloud's or
  ownCloud's extensions …) gets the finished spool, or what rclone has kept of the stream in a
  temporary folder: its upload begins when the archive is complete.

A part is named by path, owner and attempt. Of one owner (a run) only one attempt at a path lives,
which its lease sees to, and a late one publishes nothing any more: so whoever begins removes all
parts of its owner, of any age, and no part of others, who may be at work.
"""

import contextlib
import hashlib
import os
import tempfile
import threading

from ..catalogue import LIMIT as CATALOGUE_LIMIT
from ..catalogue import parsed
from ..errors import BackupError, DestinationFailed
from ..messages import _
from ..naming import CATALOGUE
from .base import Upload
from .rclone_child import Leash
from .rclone_config import private_folder
from .rclone_remote import PUBLISH_LIMIT, checksum_of

PART = ".part"
# Seconds for each step of tidying up: a run that was cancelled has half a minute for all.
ABORT_LIMIT = 8
# A server may come to a part's end after we have removed it: look again.
ABORT_ROUNDS = 3


class RcloneUpload(Upload):
    def __init__(self, remote, path, owner, token, spool_path=None):
        self._remote = remote
        self._path = path
        self._owner = owner
        self._part = f"{path}{mark_of(owner)}{token}{PART}"
        self._spool_path = spool_path
        self._size = 0
        self._child = None
        self._leash = Leash()
        self._ended = False
        self._lock = threading.Lock()
        with contextlib.ExitStack() as stack:
            self._folder = stack.enter_context(remote.rclone.configured())
            self._features = required_features(remote)
            self._checksum = checksum_of(self._features)
            self._begin(stack)
            self._stack = stack.pop_all()

    def _begin(self, stack):
        found = self._remote.beside(self._path)
        require_own(self._remote, self._path, self._owner, found)
        remove_unfinished(self._remote, self._path, self._owner, found)
        features = self._features
        if features.direct:
            self._child = self._remote.writer(self._path, self._leash)
        elif features.streams:
            self._child = self._remote.writer(self._part, self._leash)
        elif self._spool_path is None:
            folder = stack.enter_context(private_folder(tempfile.gettempdir()))
            self._child = self._remote.writer(self._part, self._leash, f"--temp-dir={folder}")

    def write(self, block):
        self._size += len(block)
        if self._checksum:
            self._checksum.update(block)
        if self._child:
            self._child.send(block)
        elif self._leash.pulled:
            raise DestinationFailed(
                _("%(path)s cannot be written: stopped.", path=self._remote.at(self._path))
            )

    def flush(self):
        """All but an object store has everything now, and was compared."""
        if self._features.direct:
            return
        if self._child:
            self._child.require(self._child.finish())
            self._child.end()
        else:
            self._remote.put(self._spool_path, self._part, limit=0, leash=self._leash)
        self._compare(self._part, with_checksum=True)

    def commit(self, catalogue):
        """The catalogue goes first: the archive's own name is the last thing to appear, and what
        has that name can always be told to be ours."""
        found = self._remote.beside(self._path, limit=PUBLISH_LIMIT)
        require_own(self._remote, self._path, self._owner, found)
        try:
            self._put_catalogue(catalogue)
            self.publish()
        except BackupError:
            self._end_stream()
            for path in (self._path, self._path + CATALOGUE):
                with contextlib.suppress(BackupError):
                    self._remote.remove(path, limit=ABORT_LIMIT)
            raise

    def publish(self):
        """Give the archive its name, and look that it is there."""
        if self._features.direct:
            self._child.require(self._child.finish(PUBLISH_LIMIT))
        else:
            self._remote.move(self._part, self._path, self._leash)
        self._compare(self._path, with_checksum=self._features.direct)
        self._ended = True

    def _put_catalogue(self, catalogue):
        file = os.path.join(self._folder, f"{os.path.basename(self._part)}{CATALOGUE}")
        try:
            with open(file, "wb") as written:
                written.write(catalogue)
        except OSError as error:
            raise DestinationFailed(
                _("%(file)s cannot be written: %(reason)s", file=file, reason=error.strerror)
            ) from error
        final = self._path + CATALOGUE
        place = final if self._features.direct else self._part + CATALOGUE
        self._remote.put(file, place, PUBLISH_LIMIT, self._leash)
        os.unlink(file)
        if place != final:
            self._remote.move(place, final, self._leash)

    def _compare(self, path, with_checksum):
        """Raise unless exactly what was written is at ``path``."""
        checksum = self._features.hash if with_checksum else ""
        limit = PUBLISH_LIMIT if path == self._path else None
        stored = self._remote.stat(path, checksum, limit=limit, leash=self._leash)
        if not stored:
            raise DestinationFailed(
                _("%(path)s was written, and is not there.", path=self._remote.at(path))
            )
        size, digest = stored
        if size != self._size:
            raise DestinationFailed(
                _(
                    "%(path)s has %(size)s bytes of the %(written)s that were written.",
                    path=self._remote.at(path),
                    size=size,
                    written=self._size,
                )
            )
        if digest and digest != self._checksum.hexdigest():
            raise DestinationFailed(
                _(
                    "%(path)s does not hold the bytes that were written: its %(checksum)s is "
                    "another.",
                    path=self._remote.at(path),
                    checksum=checksum,
                )
            )

    def abort(self):
        self._leash.pull()
        with self._lock, self._stack:
            self._end_stream()
            if not self._ended:
                self._remove_parts()
                self._ended = True

    def _end_stream(self):
        if self._child:
            self._child.end()

    def _remove_parts(self):
        with self._remote.rclone.configured():
            if self._features.direct:
                self._remote.drop_uploads(self._path, ABORT_LIMIT)
                return
            for _round in range(ABORT_ROUNDS):
                found = self._remote.beside(self._part, limit=ABORT_LIMIT)
                for path in found:
                    self._remote.remove(path, limit=ABORT_LIMIT)
                if not found:
                    return
            raise DestinationFailed(
                _("%(part)s cannot be removed.", part=self._remote.at(self._part))
            )


def required_features(remote):
    """Return what the remote can do; raise where that is not enough to keep archives."""
    features = remote.features()
    if not features.direct and not features.renames:
        raise DestinationFailed(
            _(
                "%(remote)s: a remote of this type can neither rename a file nor make one appear "
                "when it is complete: half an archive could be taken for a whole one.",
                remote=remote,
            ),
            hint=_("Choose a remote of another type."),
        )
    return features


def mark_of(owner):
    """Return what stands in the names of the parts of ``owner``, between path and attempt."""
    return f".{hashlib.sha256(owner.encode()).hexdigest()[:12]}-"


def remove_unfinished(remote, path, owner, found):
    """Remove what killed attempts of ``owner`` at ``path`` have left.

    :param found: what :meth:`Remote.beside` has told of it
    """
    for name in found:
        if name.startswith(path + mark_of(owner)) and PART in name[len(path) :]:
            remote.remove(name)
    # A key may well store archives without the right to see unfinished ones: check() tells.
    with contextlib.suppress(DestinationFailed):
        remote.drop_uploads(path)


def require_own(remote, path, owner, found):
    """Return whether something stands at ``path`` and is the archive of ``owner``.

    Raises :class:`DestinationFailed` when it is anybody else's: what we did not write is not ours
    to replace or delete.
    """
    described = path + CATALOGUE
    if path not in found and described not in found:
        return False
    size = found.get(described, -1)
    catalogue = None
    if 0 <= size <= CATALOGUE_LIMIT:
        catalogue = parsed(remote.small(described, size))
    if not catalogue or catalogue.get("run") != owner:
        raise DestinationFailed(
            _("%(path)s exists and was not written by this run.", path=remote.at(path)),
            hint=_("Let no other backup server write to the same folder under the same names."),
        )
    return True
