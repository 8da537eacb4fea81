"""One archive on its way to an SFTP server: a ``.part`` beside its final name, renamed last."""

import contextlib
import posixpath
import threading
import uuid

from ..errors import BackupError, Damaged, DestinationFailed
from ..messages import _
from ..naming import CATALOGUE
from .base import Upload
from .sftp_place import PART
from .sftp_protocol import Refused
from .sftp_session import STALL_TIMEOUT

# Seconds for the server to write through to its disk what it still holds in memory: ten minutes at
# 30 MB a second are 18 GB.
SYNC_TIMEOUT = 600
# Seconds without an answer while a part is removed: a run that ends does not wait long for a server
# that hangs; the next attempt or a discard removes what stays.
REMOVE_TIMEOUT = 10
# Seconds that ending waits for a write of another thread, after its connection was closed.
ENDING = 5


class SFTPUpload(Upload):
    """:param open_place: connects, and returns the :class:`~.sftp_place.Place`

    What is compared in the end is the size: SFTP (as OpenSSH has it) knows no checksum, and to read
    an archive again would cost as much as to send it. On the way each packet is authenticated by
    SSH, and every write was confirmed; what a disk does to it later is found by reading it again.
    The file is written through to the medium where the server has ``fsync@openssh.com``; its name
    is not, for which SFTP has no request.

    Every unfinished attempt at this very path is removed at the beginning. The lease lets only one
    attempt of a run live; where an abandoned one still writes after all, it only loses its part,
    and can publish nothing any more.
    """

    def __init__(self, open_place, final, owner, token):
        self._open_place = open_place
        self._final = final
        self._owner = owner
        # Of its own even where two destinations lead to one folder.
        self._part = f"{final}.{token.replace('.', '_')}-{uuid.uuid4().hex[:8]}{PART}"
        self._size = 0
        self._at_rest = False
        self._busy = threading.Lock()
        self._place = open_place()
        try:
            self._handle = self._begin()
        except BaseException:
            self._place.close()
            raise

    def _begin(self):
        place = self._place
        place.make_folder(posixpath.dirname(self._final))
        what = _("%(part)s cannot be created", part=self._part)
        with place.failures_named(what):
            for part in place.parts_of(self._final):
                # An account that may not delete may still store.
                with contextlib.suppress(Refused):
                    place.remove(part)
            place.owned(self._final, self._owner)
        with unanswered_noted(), place.failures_named(what):
            return place.sftp.create(self._part)

    def write(self, block):
        with self._working(_("%(part)s cannot be written", part=self._part)):
            self._place.sftp.write(self._handle, self._size, block)
            self._size += len(block)

    def flush(self):
        with self._working(_("%(part)s cannot be written", part=self._part)):
            sftp = self._place.sftp
            sftp.finish_writes()
            self._place.patient(SYNC_TIMEOUT)
            sftp.sync(self._handle)
            self._place.patient(STALL_TIMEOUT)
            sftp.close(self._handle)
            self._handle = None

    @contextlib.contextmanager
    def _working(self, what):
        with self._busy, self._place.failures_named(what):
            yield

    def commit(self, catalogue):
        """The catalogue goes first: the archive's own name is the last thing to appear, and what
        has that name can always be told to be ours."""
        with self._working(_("%(part)s cannot be examined", part=self._part)):
            size = self._place.sftp.stat(self._part).size
            if size not in (self._size, None):
                raise Damaged(
                    _(
                        "%(part)s has %(size)s bytes; %(written)s were written.",
                        part=self._part,
                        size=size,
                        written=self._size,
                    )
                )
            self._place.owned(self._final, self._owner)
        try:
            with self._working(_("%(part)s cannot be given its name", part=self._part)):
                self._publish(catalogue)
        except BackupError:
            # In any case, for the answer to a request that worked may have been lost.
            with contextlib.suppress(BackupError):
                self._remove(self._final, self._final + CATALOGUE)
            raise
        self._at_rest = True

    def _publish(self, catalogue):
        place, part = self._place, self._part + CATALOGUE
        place.write_new(part, catalogue)
        if not place.sftp.replaces:
            # In two steps: what is ours and has that name goes before it gets another catalogue.
            place.remove(self._final)
        place.replace(part, self._final + CATALOGUE)
        place.replace(self._part, self._final)

    def abort(self):
        if self._at_rest or self._part is None:
            self._place.close()
            return
        if not self._busy.acquire(blocking=False):
            # Another thread waits for the server: that ends now.
            self._place.close()
            if not self._busy.acquire(timeout=ENDING):
                raise DestinationFailed(
                    _("%(part)s cannot be removed: it is still written to.", part=self._part)
                )
        try:
            self._remove()
            self._part = None
        finally:
            self._busy.release()
            self._place.close()

    def _remove(self, *published):
        """Remove the parts, then what was ``published``: by another connection where this one is
        lost. In this order a request of the lost one, that the server carries out only now, finds
        nothing to rename."""
        if not self._place.is_open:
            self._place, self._handle = self._open_place(), None
        place = self._place
        with place.failures_named(_("%(part)s cannot be removed", part=self._part)):
            place.patient(REMOVE_TIMEOUT)
            place.sftp.forget_writes()
            if self._handle is not None:
                # Some servers remove nothing that is open.
                with contextlib.suppress(Refused):
                    place.sftp.close(self._handle)
                self._handle = None
            for path in (self._part, self._part + CATALOGUE, *published):
                place.remove(path)


@contextlib.contextmanager
def unanswered_noted():
    """Note on a failure inside whether the server may have carried out what it was asked for."""
    try:
        yield
    except BackupError as error:
        error.in_order = isinstance(error.__cause__, Refused)
        raise
