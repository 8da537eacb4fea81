"""A folder of a remote, by the commands of rclone that are needed of it."""

import dataclasses
import hashlib
import json
import os

from ..errors import DestinationFailed
from ..messages import _
from .rclone_child import Child
from .rclone_program import Rclone

# Of the checksums that rclone knows, those that are computed here too, the best one first. Others
# (Dropbox's, OneDrive's) are compared by rclone itself, which hashes what it is given as well.
HASHES = ("sha256", "sha1", "md5")
# Seconds for each step of publishing: the right to it does not last.
PUBLISH_LIMIT = 60
UNDELETABLE = _("The remote's user may not be allowed to delete: see its rights at the server.")
# What means something in a pattern of rclone's filters.
SPECIAL = "\\*?[]{},"
# The folder's list of names, without what costs a request for each of them.
BARE = ("--files-only", "--no-modtime", "--no-mimetype")


@dataclasses.dataclass(frozen=True)
class Features:
    """What a kind of remote can do."""

    s3: bool
    """It is an S3 server, also behind an alias."""
    streams: bool
    """It takes bytes whose number is not known yet; for others rclone has to keep them first."""
    direct: bool
    """A stream appears under its name when it is complete, all at once: an object store."""
    renames: bool
    """It gives a file another name by itself, without its bytes travelling again."""
    free: bool
    """It may tell its free space."""
    hash: str
    """The checksum that it has of a file at rest, and that is computed here as well, or empty."""
    compares: bool
    """It has some checksum: then rclone compares one by itself."""


class Remote:
    """The folder ``root`` of the remote ``name`` of a configuration."""

    def __init__(self, config, name, root):
        self.rclone = Rclone(config, name)
        self.name = name
        self.root = root.strip().rstrip("/") or ("/" if root.strip() else "")
        self._features = None

    def __str__(self):
        return f"{self.name}:{self.root}"

    def at(self, path):
        """Return what rclone calls ``path`` below the root."""
        if not path or not self.root:
            return f"{self.name}:{self.root}{path}"
        return f"{self.name}:{self.root.rstrip('/')}/{path}"

    def features(self):
        if self._features is None:
            printed = self.rclone.run(
                _("%(remote)s cannot be reached", remote=self), "backend", "features", self.at("")
            )
            self._features = features_in(json_of(printed))
        return self._features

    # --- looking --------------------------------------------------------------------------------

    def listing(self, folder, patterns, recursive=False, limit=None):
        """Return the sizes of the files in ``folder`` that match, by their path in it.

        None where there is no such folder (object stores know none, and say that it is empty).
        """
        options = [option for pattern in patterns for option in ("--include", pattern)]
        if recursive:
            options += ["--recursive", "--fast-list"]
        printed = self.rclone.run(
            _("%(folder)s cannot be listed", folder=self.at(folder)),
            "lsjson", *BARE, *options, self.at(folder),
            limit=limit,
            missing=b"",
        )  # fmt: skip
        if not printed:
            return None
        return {entry["Path"]: entry["Size"] for entry in json_of(printed)}

    def beside(self, path, limit=None):
        """Return the sizes of the files whose names begin with that of ``path``, by their path."""
        folder, name = os.path.split(path)
        found = self.listing(folder, [f"/{escaped(name)}*"], limit=limit) or {}
        return {os.path.join(folder, entry): size for entry, size in found.items()}

    def stat(self, path, checksum="", limit=None, leash=None):
        """Return size and checksum (empty where it has none) of a file, or None without it."""
        options = ["--hash", f"--hash-type={checksum}"] if checksum else []
        printed = self.rclone.run(
            _("%(path)s cannot be examined", path=self.at(path)),
            "lsjson", "--stat", *BARE[1:], *options, self.at(path),
            limit=limit,
            missing=b"null",
            leash=leash,
        )  # fmt: skip
        entry = json_of(printed)
        if not entry or entry.get("IsDir"):
            return None
        return entry["Size"], (entry.get("Hashes") or {}).get(checksum, "").lower()

    def exists(self):
        """Return whether the root itself is there."""
        printed = self.rclone.run(
            _("%(remote)s cannot be listed", remote=self),
            "lsjson", "--dirs-only", *BARE[1:], self.at(""),
            missing=b"",
        )  # fmt: skip
        return bool(printed)

    def free(self):
        """Return the bytes that are free there, or None where nobody knows."""
        if not self.features().free:
            return None
        try:
            told = json_of(
                self.rclone.run(
                    _("%(remote)s tells no free space", remote=self), "about", "--json", self.at("")
                )
            )
        except DestinationFailed:
            return None
        return told.get("free")

    # --- bytes ----------------------------------------------------------------------------------

    def small(self, path, size):
        """Return the content of a small file, of ``size`` bytes as it was listed."""
        return self.rclone.run(
            _("%(path)s cannot be read", path=self.at(path)),
            "cat",
            f"--head={size}",
            self.at(path),
        )

    def reader(self, path):
        """Return a :class:`Child` that yields the file's bytes."""
        what = _("%(path)s cannot be read", path=self.at(path))
        return Child(self.rclone, what, ("cat", self.at(path)), readable=True)

    def writer(self, path, leash, *options):
        """Return a :class:`Child` that is sent the file's bytes."""
        what = _("%(path)s cannot be written", path=self.at(path))
        arguments = ("rcat", *options, self.at(path))
        return Child(self.rclone, what, arguments, stream=True, leash=leash)

    def put(self, file, path, limit, leash=None):
        """Store a file of this machine, however long that takes where ``limit`` is 0."""
        what = _("%(path)s cannot be written", path=self.at(path))
        arguments = ("copyto", "--ignore-times", file, self.at(path))
        self.rclone.run(what, *arguments, limit=limit, leash=leash)

    def fetch(self, listed, folder):
        """Bring the files whose paths the file ``listed`` names, a line each, into ``folder``."""
        what = _("%(remote)s cannot be read", remote=self)
        arguments = ("copy", f"--files-from-raw={listed}", "--no-traverse", self.at(""), folder)
        self.rclone.run(what, *arguments)

    # --- names ----------------------------------------------------------------------------------

    def move(self, path, final, leash=None):
        """Rename a file, replacing what is at ``final``.

        Without the option rclone keeps what is there when that looks the same (size, time).
        """
        what = _("%(path)s cannot be given its name", path=self.at(final))
        arguments = ("moveto", "--ignore-times", self.at(path), self.at(final))
        self.rclone.run(what, *arguments, limit=PUBLISH_LIMIT, leash=leash)

    def remove(self, path, limit=None):
        """Delete a file, and look that it is gone; one that was gone before is no error.

        rclone takes a refusal of some servers (FTP: 550) for a file that is not there.
        """
        what = _("%(path)s cannot be deleted", path=self.at(path))
        refused = DestinationFailed(_("%(what)s: it is still there.", what=what), hint=UNDELETABLE)
        try:
            self.rclone.run(what, "deletefile", self.at(path), limit=limit, missing=b"")
        except DestinationFailed as error:
            refused = error
        if self.stat(path, limit=limit):
            raise refused

    def drop_uploads(self, path, limit=None):
        """End unfinished multipart uploads to ``path``, which a killed rclone leaves.

        Other object stores forget them by themselves (Azure and Google after a week), or keep them
        until somebody cleans up there (B2's lifecycle rules).
        """
        if self.features().s3:
            what = _("Unfinished uploads to %(path)s cannot be ended", path=self.at(path))
            # It takes a prefix of names, but not the name of an object that is there.
            arguments = ("backend", "cleanup", self.at(path[:-1]), "-o", "max-age=0s")
            self.rclone.run(what, *arguments, limit=limit)


def features_in(told):
    able = told["Features"]
    streams = able["PutStream"]
    known = told.get("Hashes") or []
    return Features(
        s3=told["String"].startswith("S3 "),
        streams=streams,
        direct=streams and able["BucketBased"],
        renames=able["Move"] or able["Copy"],
        free=able["About"],
        hash=next((name for name in HASHES if name in known), ""),
        compares=bool(known),
    )


def checksum_of(features):
    """Return a new hash of the kind that the remote has too, or None."""
    return hashlib.new(features.hash, usedforsecurity=False) if features.hash else None


def json_of(printed):
    try:
        return json.loads(printed)
    except ValueError:
        raise DestinationFailed(_("rclone printed something that is not its JSON.")) from None


def escaped(name):
    """Return a pattern of rclone's that means exactly ``name``."""
    return "".join(f"\\{letter}" if letter in SPECIAL else letter for letter in name)
