"""The folder of an SFTP server, connected to: what stands there, whose it is, what has to go."""

import contextlib
import posixpath
import re

from ..catalogue import LIMIT as CATALOGUE_LIMIT
from ..catalogue import parsed
from ..errors import DestinationDenied, DestinationFailed, NoSpace
from ..messages import _
from ..naming import CATALOGUE
from .sftp_keys import library
from .sftp_protocol import (
    FAILURE,
    LARGEST_PIECE,
    NO_SPACE,
    NO_SUCH_FILE,
    PERMISSION_DENIED,
    QUOTA_EXCEEDED,
    WRITE_PROTECTED,
    Refused,
)
from .sftp_session import Session
from .words import is_full as is_said_full
from .words import quoted

PART = ".part"
# What follows the name of an archive and an attempt. Without a dot in the attempt's name: what is
# encrypted of the same moment is another archive, of this name and ".age".
PARTS = rf"{re.escape(PART)}({re.escape(CATALOGUE)})?"
# By this file in it, a folder is known again.
MARKER = ".backup_scheduler"
# Where the server refuses names that begin with a dot.
PLAIN_MARKER = "backup_scheduler.marker"
MARKER_LIMIT = 100
# What servers answer that know the reason; OpenSSH has no word for it and says FAILURE.
FULL = (NO_SPACE, QUOTA_EXCEEDED)
DENIED = (PERMISSION_DENIED, WRITE_PROTECTED)
FORBIDDEN = _(
    "Give the account the right to write there. Where it is locked into a folder (chroot), that "
    "folder itself is never writable: enter one inside it that belongs to the account."
)
QUOTA = _(
    "The server does not say why: its disk may be full, or the account's quota used up. Its log "
    "has more."
)


class Place:
    """A :class:`Session` on an account, and the folder ``root`` there.

    The ``with`` block around it ends the connection.
    """

    def __init__(self, account, root):
        self.root = root
        self._session = Session(account)
        self.sftp = self._session.sftp
        self.patient = self._session.patient

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.close()

    def close(self):
        """End the connection. Any thread may do so; what another one waits for fails."""
        self._session.close()

    @property
    def is_open(self):
        return self._session.is_open

    # --- failures -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def failures_named(self, what):
        """Turn what goes wrong inside into a failure of the destination: ``what`` cannot be done.

        After a lost connection the place is closed.
        """
        try:
            yield
        except Refused as refusal:
            raise self._refusal(what, refusal) from refusal
        except (EOFError, OSError, library().SSHException) as error:
            failure = self._session.lost(error)
            self.close()
            raise failure from error

    def _refusal(self, what, refusal):
        server = self._session.account.server
        words = quoted(refusal.words) or _("code %(code)s", code=refusal.code)
        if refusal.code in DENIED:
            return DestinationDenied(
                _("%(what)s on %(server)s: %(words)s.", what=what, server=server, words=words),
                hint=FORBIDDEN,
            )
        is_full = refusal.code in FULL or is_said_full(refusal.words)
        if is_full or (refusal.code != NO_SUCH_FILE and self._is_full()):
            return NoSpace(
                _("The disk of %(server)s is full: %(what)s.", server=server, what=what),
                hint=_("Free space on that server, or raise the account's quota."),
            )
        hint = None if refusal.code == NO_SUCH_FILE else QUOTA
        return DestinationFailed(
            _("%(what)s on %(server)s: %(words)s.", what=what, server=server, words=words),
            hint=hint,
        )

    def _is_full(self):
        self.sftp.forget_writes()
        with contextlib.suppress(Refused, EOFError, OSError, library().SSHException):
            space = self.space()
            return space is not None and space.free < LARGEST_PIECE
        return False

    # --- the folder -----------------------------------------------------------------------------

    def space(self):
        """Return the space below the folder, existing or not yet; None where nobody tells."""
        path = self.root
        while True:
            try:
                return self.sftp.space(path)
            except Refused as refusal:
                if refusal.code != NO_SUCH_FILE or path in ("", ".", "/"):
                    return None
            path = posixpath.dirname(path) or "."

    def require_folder(self):
        """Raise where the folder is not there: that says nothing about its archives."""
        if not self.is_folder(self.root):
            raise DestinationFailed(
                _(
                    "The folder %(path)s is not there on %(server)s.",
                    path=self.root,
                    server=self._session.account.server,
                )
            )

    def is_folder(self, path):
        try:
            return self.sftp.is_folder(path)
        except Refused as refusal:
            if refusal.code == NO_SUCH_FILE:
                return False
            raise

    def make_folder(self, path):
        """Make the folder and those that lead to it, for the account only, where there is none."""
        if path in ("", ".", "/") or self.is_folder(path):
            return
        self.make_folder(posixpath.dirname(path))
        with self.failures_named(_("The folder %(path)s cannot be made", path=path)):
            try:
                self.sftp.make_folder(path)
            except Refused:
                # Somebody else may have been quicker; SFTP has no word for that.
                if self.is_folder(path):
                    return
                if self.exists(path):
                    raise Refused(FAILURE, "a file has that name") from None
                raise

    def marker(self, *names):
        """Return what the folder is known by, in a file of one of the names, or an empty text."""
        refused = []
        for name in names or (MARKER, PLAIN_MARKER):
            if found := self._marker_in(name, refused):
                return found
        if refused:
            raise refused[0]
        return ""

    def _marker_in(self, name, refused):
        try:
            content = self.content(posixpath.join(self.root, name), MARKER_LIMIT)
        except Refused as refusal:
            if refusal.code in DENIED:
                refused.append(refusal)
            elif refusal.code != NO_SUCH_FILE:
                raise
            return ""
        return content.decode("ascii", "replace").strip()

    # --- files ----------------------------------------------------------------------------------

    def exists(self, path):
        try:
            self.sftp.stat(path, follow=False)
        except Refused as refusal:
            if refusal.code == NO_SUCH_FILE:
                return False
            raise
        return True

    def content(self, path, limit):
        """Return the content of a file, and nothing of one that is longer than ``limit``."""
        handle = self.sftp.open(path)
        try:
            size = self.sftp.size(handle) or 0
            return b"".join(self.sftp.read(handle, size)) if size <= limit else b""
        finally:
            self.sftp.close(handle)

    def write_new(self, path, content):
        """Write a file that must not exist, through to the medium where the server can."""
        handle = self.sftp.create(path)
        try:
            self.sftp.write(handle, 0, content)
            self.sftp.finish_writes()
            self.sftp.sync(handle)
            self.sftp.close(handle)
        except Refused:
            self.sftp.forget_writes()
            with contextlib.suppress(Refused):
                self.sftp.close(handle)
            with contextlib.suppress(Refused):
                self.sftp.remove(path)
            raise

    def replace(self, part, path):
        """Give ``part`` the name ``path``; what has that name goes."""
        if not self.sftp.replaces:
            self.remove(path)
        try:
            self.sftp.rename(part, path)
        except Refused:
            with contextlib.suppress(Refused):
                self.sftp.remove(part)
            raise

    def remove(self, path):
        """Remove a file; one that is not there is removed."""
        try:
            self.sftp.remove(path)
        except Refused as refusal:
            if refusal.code != NO_SUCH_FILE:
                raise

    # --- archives -------------------------------------------------------------------------------

    def owned(self, final, owner):
        """Return whether something stands at ``final`` and is the archive of ``owner``.

        Raises :class:`DestinationFailed` when it is anybody else's: what we did not write is not
        ours to replace or delete.
        """
        try:
            catalogue = parsed(self.content(final + CATALOGUE, CATALOGUE_LIMIT)) or {}
        except Refused as refusal:
            if refusal.code == NO_SUCH_FILE and not self.exists(final):
                return False
            catalogue = {}
        if catalogue.get("run") != owner:
            raise DestinationFailed(
                _(
                    "%(path)s exists on %(server)s and was not written by this run.",
                    path=final,
                    server=self._session.account.server,
                ),
                hint=_("Let no other backup server write to the same folder under the same names."),
            )
        return True

    def parts_of(self, final):
        """Return what attempts at this very archive have left, or are leaving."""
        folder, name = posixpath.split(final)
        try:
            names = self.sftp.list(folder or ".")
        except Refused as refusal:
            if refusal.code in (NO_SUCH_FILE, *DENIED):
                return []
            raise
        part = re.compile(rf"{re.escape(name)}\.[^.]+{PARTS}")
        return [posixpath.join(folder, found) for found in names if part.fullmatch(found)]
