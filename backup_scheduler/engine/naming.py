"""Where an archive lies inside a destination: readable, safe, and the same on every kind."""

import datetime
import hashlib
import re

EXTENSIONS = {"zip": "zip", "dump": "dump"}
# What the age program calls its files.
ENCRYPTED = ".age"
# Beside each archive, under its name with this behind.
CATALOGUE = ".json"
ARCHIVE = re.compile(r"\.(zip|dump)(\.age)?$")
# Some file systems end at 255 bytes a name, some object stores and tools well before.
NAME_LIMIT = 80
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
# What ends like this may be the safe spelling of another name, and is not taken as it is.
HASHED = re.compile(r"-[0-9a-f]{8}$")
# What ends a line, moves the cursor, turns the text around it, or is half a character: control
# characters, separators of lines and paragraphs, bidirectional marks, surrogates.
UNSHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"
    "\ud800-\udfff]"
)


def archive_path(instance, database, moment, archive_format, number=1, encrypted=False):
    """Return the relative path ``instance/database/2026-11-20T02-00-00Z.zip``.

    :param moment: aware datetime, or naive in UTC
    :param number: from 2 on it is part of the name, for archives of the same second
    :param encrypted: the name ends in ``.age``, as the program of that name has it
    """
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.timezone.utc)
    stamp = moment.strftime("%Y-%m-%dT%H-%M-%SZ")
    suffix = f"-{number}" if number > 1 else ""
    name = f"{stamp}{suffix}.{EXTENSIONS[archive_format]}{ENCRYPTED if encrypted else ''}"
    return "/".join((safe_name(instance), safe_name(database), name))


def is_encrypted(path):
    """Return whether an archive of this name is an encrypted one."""
    return path.endswith(ENCRYPTED)


def described_by(path):
    """Return the path of the archive that the catalogue at ``path`` would describe, or ``""``."""
    archive = path.removesuffix(CATALOGUE)
    return archive if archive != path and ARCHIVE.search(archive) else ""


def one_line(name):
    """Return a name from elsewhere as one line that is read as it is written.

    No name of an Odoo database has such characters, so a name that had is known by their stand-ins.
    """
    return UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", name)


def safe_name(name):
    """Return ``name`` as one path component that means nothing to a file system, shell or URL.

    Names that are safe stay as they are. Others lose their odd characters and gain a few digits of
    their hash, so that two different names never share a folder.
    """
    safe = UNSAFE.sub("_", name).lstrip(".-")[:NAME_LIMIT].rstrip(".")
    if safe and safe == name and not HASHED.search(name):
        return safe
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{safe or '_'}-{digest}"
