"""A folder of an SFTP server, such as a NAS has it, or OpenSSH."""

import contextlib
import posixpath
import uuid

from ..errors import ArchiveMissing, DestinationDenied, DestinationFailed, NoSpace
from ..kinds import Setting, host, port
from ..messages import _
from ..naming import ARCHIVE, CATALOGUE, described_by
from ..spool import human_size
from .base import Destination, another_folder
from .locations import parts_of
from .sftp_place import CATALOGUE_LIMIT, MARKER, PLAIN_MARKER, Place, parsed
from .sftp_protocol import END, FSYNC, NO_SUCH_FILE, Refused
from .sftp_session import Account
from .sftp_upload import SFTPUpload

CONTENT = b"backup_scheduler"
WARNINGS = {
    "read": _(
        "The account may not read: archives there cannot be verified again or restored from here, "
        "and another folder in its place would not be noticed."
    ),
    "list": _(
        "The account may not list the folder: archives there cannot be found again without this "
        "database, and what a killed upload leaves is not found either."
    ),
    "delete": _(
        "The account may not delete: retention is off, archives stay until somebody else deletes "
        "them."
    ),
}
VOLATILE = _(
    "The server cannot be told to write through to its disk (it lacks fsync@openssh.com): what was "
    "stored just before it loses power may be gone."
)


class SFTPDestination(Destination):
    """:param host: name or address of the server, with ``port``
    :param user: the account, with a ``password``, a ``private_key`` (as ssh-keygen or openssl write
        it, with a ``passphrase`` if it has one), or both
    :param host_key: the key that the server must have: ``ssh-ed25519 AAAA…``. Empty: nobody has
        accepted one yet, and every method raises :class:`~..errors.HostKeyUnknown`, which has it
    :param path: the folder; relative: below the account's home, and empty: the home itself
    :param marker: what :meth:`check` has returned as ``marker`` once. From then on only the folder
        that has it is the destination, as with :class:`~.local.LocalDestination`
    """

    LABEL = "SFTP server"
    SETTINGS = (
        Setting(
            "host",
            "Host",
            server=True,
            required=True,
            accepts=host,
            placeholder="nas.example.com",
            help="Another server needs the password or key entered again: what is stored was given "
            "for this one alone.",
        ),
        Setting("port", "Port", kind="integer", server=True, default=22, accepts=port),
        Setting("user", "User", required=True, help="The account on that server."),
        Setting("password", "Password", secret=True),
        Setting(
            "private_key",
            "Private Key",
            kind="text",
            secret=True,
            placeholder="-----BEGIN OPENSSH PRIVATE KEY-----",
            help="The whole file, not the one that ends in .pub.",
        ),
        Setting("passphrase", "Passphrase", secret=True, help="Of the private key, if it has one."),
        Setting(
            "host_key",
            "Host Key",
            proof=True,
            placeholder="Filled in when its fingerprint is accepted after a check",
            help="The key that the server must have. Another one is an error, never accepted. "
            "Where it is replaced, password and private key have to be entered again.",
        ),
        Setting(
            "path",
            "Folder on the Server",
            location=True,
            placeholder="backups",
            help="Relative: below the account's home.",
        ),
    )
    KEPT = ("marker",)

    def __init__(self, host, user, port=22, password="", private_key="", passphrase="",
                 host_key="", path="", marker=""):  # fmt: skip
        if not host or not user:
            raise DestinationFailed(
                _("The SFTP destination has no user.")
                if host
                else _("The SFTP destination has no host."),
                hint=_("Enter the server's name or address, and the account on it."),
            )
        self._account = Account(
            host, int(port or 22), user, password or "", private_key or "", passphrase or "",
            host_key or "",
        )  # fmt: skip
        self.path = posixpath.normpath((path or ".").removeprefix("~/"))
        self._marker = marker

    def locations(self):
        account = self._account
        # Below a home, which is another one for each user.
        home = "" if self.path.startswith("/") else account.user
        server = ("sftp", account.host.lower(), account.port, home)
        return [(server, parts_of(self.path))]

    def check(self):
        """See :class:`Destination`. Returns ``free`` (bytes, or None), ``marker``, ``rights``
        (``write read list delete``) and ``warnings`` (sentences on what is missing)."""
        with self._open() as place:
            place.make_folder(self.path)
            name, marker = self._try_writing(place)
            with place.failures_named(_("The folder %(path)s cannot be examined", path=self.path)):
                rights = {"write": True, **self._rights(place, name)}
                marker = self._mark(place, marker) if rights["read"] else ""
                space = place.space()
                return {
                    "free": space.free if space else None,
                    "marker": marker,
                    "rights": rights,
                    "warnings": self._warnings(place, rights),
                }

    def _try_writing(self, place):
        """Write a file; return its path, and the name that the folder's marker may have. Some
        servers refuse names that begin with a dot."""
        try:
            return self._written(place, ".check-"), MARKER
        except DestinationDenied:
            return self._written(place, "check-"), PLAIN_MARKER

    def _written(self, place, name):
        path = posixpath.join(self.path, f"{name}{uuid.uuid4().hex}")
        with place.failures_named(_("The folder %(path)s cannot be written to", path=self.path)):
            place.write_new(f"{path}.part", CONTENT)
            place.replace(f"{path}.part", path)
        return path

    def _rights(self, place, name):
        """Return what else may be done with the file at ``name``, which is removed if possible."""
        rights = dict.fromkeys(("read", "list", "delete"), False)
        with contextlib.suppress(Refused):
            if place.content(name, len(CONTENT)) != CONTENT:
                place.remove(name)
                raise DestinationFailed(
                    _("The folder %(path)s gives back other bytes.", path=self.path)
                )
            rights["read"] = True
        with contextlib.suppress(Refused):
            rights["list"] = posixpath.basename(name) in place.sftp.list(self.path)
        with contextlib.suppress(Refused):
            place.sftp.remove(name)
            rights["delete"] = True
        return rights

    def _warnings(self, place, rights):
        warnings = [sentence for right, sentence in WARNINGS.items() if not rights[right]]
        return warnings if FSYNC in place.sftp.extensions else [*warnings, VOLATILE]

    def _mark(self, place, name):
        """Return what the folder is known by, a file of that name. Others may use it too: the first
        one marks it."""
        if not place.marker(name):
            made = posixpath.join(self.path, f"{name}-{uuid.uuid4().hex}")
            final = posixpath.join(self.path, name)
            place.write_new(made, uuid.uuid4().hex.encode())
            try:
                # An empty one is what a crash has left.
                place.sftp.rename(made, final, replace=place.exists(final))
            except Refused:
                place.remove(made)
        return place.marker(name)

    def check_space(self, needed):
        with self._open() as place, place.failures_named(_("The free space cannot be asked for")):
            space = place.space()
        if space is not None and space.free < needed:
            raise NoSpace(
                _(
                    "%(server)s has %(free)s free; this backup is expected to need %(needed)s.",
                    server=self._account.server,
                    free=human_size(space.free),
                    needed=human_size(needed),
                ),
                hint=_("Free space on that server, or choose another destination."),
            )

    def begin(self, path, owner, token, spool=None):
        return SFTPUpload(self._open, self._locate(path), owner, token)

    def delete(self, path, owner, version=""):
        final = self._locate(path)
        with self._open() as place, place.failures_named(
            _("%(path)s cannot be deleted", path=final)
        ):
            for part in place.parts_of(final):
                place.remove(part)
            if place.owned(final, owner):
                place.remove(final)
                place.remove(final + CATALOGUE)
            else:
                place.require_folder()

    def stat(self, path):
        final = self._locate(path)
        with self._open() as place, self._archive_named(place, final):
            found = place.sftp.stat(final)
            if found.is_folder or found.size is None:
                raise Refused(NO_SUCH_FILE, "No such file")
            return found.size

    def read(self, path):
        final = self._locate(path)
        with self._open() as place, self._archive_named(place, final):
            handle = place.sftp.open(final)
            size = place.sftp.size(handle)
            if size is None:
                raise DestinationFailed(
                    _("%(server)s does not tell the size of files.", server=self._account.server)
                )
            yield from place.sftp.read(handle, size)

    @contextlib.contextmanager
    def _archive_named(self, place, final):
        """Tell apart that the archive is not there, and that the place cannot be asked."""
        with place.failures_named(_("%(path)s cannot be read", path=final)):
            try:
                yield
            except Refused as refusal:
                if refusal.code == END:
                    raise DestinationFailed(
                        _("%(path)s became shorter while it was read.", path=final)
                    ) from None
                if refusal.code != NO_SUCH_FILE:
                    raise
                place.require_folder()
                raise ArchiveMissing(
                    _(
                        "%(path)s is not there any more on %(server)s.",
                        path=final,
                        server=self._account.server,
                    )
                ) from None

    def catalogues(self, known=frozenset()):
        with self._open() as place, place.failures_named(
            _("%(path)s cannot be read", path=self.path)
        ):
            yield from self._catalogues(place, "", known)

    def _catalogues(self, place, folder, known):
        """Yield those of one folder, then those below it. Links to folders are not followed."""
        found = place.sftp.list(posixpath.join(self.path, folder) if folder else self.path)
        for name in found:
            archive = described_by(name)
            if archive in found and not found[archive].is_folder:
                path = posixpath.join(folder, archive)
                if path not in known:
                    yield path, self._catalogue(place, path)
        for name, attributes in found.items():
            if self._is_folder(place, posixpath.join(folder, name), attributes):
                yield from self._catalogues(place, posixpath.join(folder, name), known)

    def _is_folder(self, place, path, attributes):
        if attributes.has_type or ARCHIVE.search(path.removesuffix(CATALOGUE)):
            return attributes.is_folder
        return place.is_folder(posixpath.join(self.path, path))

    def _catalogue(self, place, path):
        try:
            content = place.content(posixpath.join(self.path, path) + CATALOGUE, CATALOGUE_LIMIT)
        except Refused:
            return None
        return parsed(content)

    def _open(self):
        """Connect; raise where the folder is not the one that was checked."""
        place = Place(self._account, self.path)
        try:
            self._require_marker(place)
        except BaseException:
            place.close()
            raise
        return place

    def _require_marker(self, place):
        if not self._marker:
            return
        with place.failures_named(_("The folder %(path)s cannot be read", path=self.path)):
            found = place.marker()
        if found != self._marker:
            raise DestinationFailed(
                another_folder(
                    _("%(path)s on %(server)s", path=self.path, server=self._account.server),
                    MARKER,
                    bool(found),
                ),
                hint=_(
                    "If it is on a disk of its own there, see that it is mounted. If another "
                    "folder was put there on purpose, accept it on the destination's form."
                ),
            )

    def _locate(self, path):
        """Return the path on the server, which never lies outside the folder."""
        inside = posixpath.normpath(path)
        if inside == "." or inside.startswith(("/", "../")) or inside == "..":
            raise DestinationFailed(_("%(path)r leads out of the destination's folder.", path=path))
        return inside if self.path == "." else posixpath.join(self.path, inside)
