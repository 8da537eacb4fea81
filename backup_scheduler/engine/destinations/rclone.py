"""Any remote that the program rclone reaches: Drive, OneDrive, Dropbox, Nextcloud, Azure, FTP …"""

import contextlib
import os
import uuid

from ..catalogue import LIMIT as CATALOGUE_LIMIT
from ..catalogue import parsed
from ..errors import ArchiveMissing, BackupError, DestinationFailed, NoSpace
from ..kinds import Setting
from ..messages import _
from ..naming import CATALOGUE, described_by
from ..spool import human_size
from .base import Destination
from .locations import parts_of
from .rclone_check import require_path
from .rclone_config import check_config, storage_of
from .rclone_remote import Remote
from .rclone_upload import (
    RcloneUpload,
    remove_unfinished,
    require_own,
)

# What check() writes: the name of nothing else.
MARKER = ".backup_scheduler-check-"
CONTENT = b"backup_scheduler"
# Catalogues that are fetched at a time, each batch by one command: their number, and bytes in all
# (they come to rest in memory, or in a temporary folder).
BATCH = 500
BATCH_SIZE = 32 << 20
ARCHIVES = ("*.zip", "*.zip.age", "*.dump", "*.dump.age")


class RcloneDestination(Destination):
    """:param config: the text of an rclone.conf (``rclone config show``), with its secrets
    :param remote: the name of a section in it
    :param path: the folder below the remote; the remote itself when empty
    """

    LABEL = "rclone"
    # No setting names the server: the configuration does, beside its secrets, and both are entered
    # as one.
    SETTINGS = (
        Setting(
            "config",
            "Configuration",
            kind="text",
            secret=True,
            required=True,
            placeholder="[drive]\ntype = drive\ntoken = …",
            help="What `rclone config show` prints on a machine where the remote works. Tokens "
            "that the storage renews are kept here by themselves.",
        ),
        Setting(
            "remote",
            "Remote",
            required=True,
            placeholder="drive",
            help="The name of the remote: what stands in brackets in the configuration.",
        ),
        Setting(
            "path",
            "Folder of the Remote",
            location=True,
            placeholder="Backups/Odoo",
            help="The folder below the remote; for object stores, the bucket and what follows it.",
        ),
    )

    def __init__(self, config, remote, path=""):
        check_config(config or "", remote or "")
        require_path(path or "")
        self._config = config
        self._remote = Remote(config, remote, path or "")

    @property
    def changed_settings(self):
        """The settings that have changed since, by their keyword: what has to be stored.

        rclone writes tokens that it was given anew into its configuration, also where the command
        then fails, and the old ones may be worthless from then on.
        """
        config = self._remote.rclone.config
        return {} if config == self._config else {"config": config}

    def locations(self):
        storage, path = storage_of(self._config, self._remote.name)
        return [(("rclone", *storage), (*parts_of(path), *parts_of(self._remote.root)))]

    # --- checking -------------------------------------------------------------------------------

    def check(self):
        """See :class:`Destination`. Returns ``free`` (bytes, or None), ``rights`` (``write read
        list delete``) and ``warnings`` (sentences).

        Without the rights to list, and to rename where that is how archives get their names,
        nothing can be stored: their absence is an error.
        """
        marker = MARKER + uuid.uuid4().hex
        with self._remote.rclone.configured():
            self._write(marker)
            if marker not in self._remote.beside(marker):
                with contextlib.suppress(BackupError):
                    self._remote.remove(marker)
                raise DestinationFailed(
                    _("%(remote)s does not list a file that was written.", remote=self._remote)
                )
            rights = {"write": True, "list": True}
            warnings = self._limitations()
            self._allowed(self._remote.drop_uploads, marker, warnings, UNSWEEPABLE)
            rights["read"] = self._allowed(self._read_back, marker, warnings, UNREADABLE)
            rights["delete"] = self._allowed(self._remote.remove, marker, warnings, UNDELETABLE)
            return {"free": self._remote.free(), "rights": rights, "warnings": warnings}

    def _write(self, marker):
        upload = RcloneUpload(self._remote, marker, "check", "check")
        try:
            upload.write(CONTENT)
            upload.flush()
            upload.publish()
        finally:
            upload.abort()

    def _read_back(self, marker):
        if self._remote.small(marker, len(CONTENT)) != CONTENT:
            raise DestinationFailed(_("%(remote)s gives back other bytes.", remote=self._remote))

    @staticmethod
    def _allowed(step, marker, warnings, without):
        try:
            step(marker)
        except BackupError as error:
            warnings.append(
                _("%(what)s (%(error)s)", what=without, error=error.message)
            )
            return False
        return True

    def _limitations(self):
        features = self._remote.features()
        warnings = []
        if not features.streams:
            warnings.append(NO_STREAM)
        if not features.compares:
            warnings.append(NO_CHECKSUM)
        return warnings

    def check_space(self, needed):
        with self._remote.rclone.configured():
            free = self._remote.free()
        if free is not None and free < needed:
            raise NoSpace(
                _(
                    "%(remote)s has %(free)s free; this backup is expected to need %(needed)s.",
                    remote=self._remote,
                    free=human_size(free),
                    needed=human_size(needed),
                ),
                hint=_("Free space in that storage, or choose another destination."),
            )

    # --- storing and deleting -------------------------------------------------------------------

    def begin(self, path, owner, token, spool=None):
        return RcloneUpload(
            self._remote, self._inside(path), owner, token, spool.path if spool else None
        )

    def delete(self, path, owner, version=""):
        path = self._inside(path)
        with self._remote.rclone.configured():
            found = self._remote.beside(path)
            if not found:
                self._require_root()
            remove_unfinished(self._remote, path, owner, found)
            if require_own(self._remote, path, owner, found):
                for name in (path, path + CATALOGUE):
                    if name in found:
                        self._remote.remove(name)

    def _inside(self, path):
        """Return ``path``, which never leads out of the root."""
        if any(part in ("", ".", "..") for part in path.split("/")):
            raise DestinationFailed(_("%(path)r leads out of the destination's folder.", path=path))
        return path

    # --- reading --------------------------------------------------------------------------------

    def stat(self, path):
        path = self._inside(path)
        with self._remote.rclone.configured():
            return self._size(path)

    def _size(self, path):
        stored = self._remote.stat(path)
        if stored:
            return stored[0]
        self._require_root()
        raise ArchiveMissing(_("%(path)s is not there any more.", path=self._remote.at(path)))

    def _require_root(self):
        """Raise where the folder is not there: that says nothing about what is in it."""
        if not self._remote.exists():
            raise DestinationFailed(
                _("%(remote)s is not there.", remote=self._remote),
                hint=_(
                    "Check remote and path of the destination. Where somebody moved the folder, "
                    "move it back."
                ),
            )

    def read(self, path):
        path = self._inside(path)
        with self._remote.rclone.configured():
            size = self._size(path)
            read = 0
            child = self._remote.reader(path)
            try:
                for block in child.blocks():
                    read += len(block)
                    yield block
            finally:
                child.end()
        if read != size:
            raise DestinationFailed(
                _(
                    "%(path)s ended after %(read)s of its %(size)s bytes.",
                    path=self._remote.at(path),
                    read=read,
                    size=size,
                ),
                hint=_(
                    "The connection was lost on the way, or somebody changes the file. It is tried "
                    "again later."
                ),
            )

    def catalogues(self, known=frozenset()):
        patterns = [name + ending for name in ARCHIVES for ending in ("", CATALOGUE)]
        with self._remote.rclone.configured() as folder:
            found = self._remote.listing("", patterns, recursive=True, limit=0)
            if found is None:
                raise DestinationFailed(
                    _("%(remote)s is not there: No such folder.", remote=self._remote)
                )
            described = {
                described_by(name) for name in found if described_by(name) in found and plain(name)
            }
            for batch in batches(sorted(described - known), found):
                yield from self._fetched(batch, found, os.path.join(folder, uuid.uuid4().hex))

    def _fetched(self, paths, sizes, folder):
        """Return ``(path, catalogue)`` of archives, by one command for all of them.

        rclone fetches several at a time; one that is gone meanwhile is passed over.
        """
        listed, names = f"{folder}.list", [path + CATALOGUE for path in paths]
        wanted = [name for name in names if 0 <= sizes[name] <= CATALOGUE_LIMIT]
        with open(listed, "w", encoding="utf-8") as file:
            file.write("".join(f"{name}\n" for name in wanted))
        self._remote.fetch(listed, folder)
        contents = [(path, take(os.path.join(folder, path + CATALOGUE))) for path in paths]
        return [(path, parsed(content)) for path, content in contents]


NO_STREAM = _(
    "Remotes of this type take no stream: an upload begins when the archive is complete, and an "
    "encrypted archive needs its size in this server's temporary folder meanwhile."
)
NO_CHECKSUM = _(
    "Remotes of this type tell no checksum that can be compared after an upload: only the size is."
)
UNSWEEPABLE = _(
    "Unfinished uploads that a killed process leaves cannot be found there: let the storage end "
    "them by itself after some days."
)
UNREADABLE = _(
    "Archives cannot be read there: verification of stored copies, restore and import are off."
)
UNDELETABLE = _(
    "Archives cannot be deleted there: retention is off, and the file of this check stays."
)


def plain(name):
    """Return whether a listed name is one that archives of ours can have."""
    return "\n" not in name and not any(part in ("", ".", "..") for part in name.split("/"))


def batches(paths, sizes):
    """Yield the paths in groups whose catalogues are neither too many nor too large."""
    batch, size = [], 0
    for path in paths:
        batch.append(path)
        size += sizes[path + CATALOGUE]
        if len(batch) >= BATCH or size >= BATCH_SIZE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def take(file):
    """Return the content of ``file`` and remove it; empty without it."""
    try:
        with open(file, "rb") as opened:
            content = opened.read()
        os.unlink(file)
    except OSError:
        return b""
    return content
