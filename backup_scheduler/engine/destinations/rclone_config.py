"""The configuration of rclone, as a setting: looked through, and lent to the program for a while.

rclone takes its configuration from a file, and writes the tokens that it was given anew back into
it (OAuth: Drive, OneDrive, Dropbox, Box …; some of them refuse the old one from then on). So it has
to be a file, in a folder of its own; that lies in memory where the machine has such a place, is
for its owner only, goes when the work is done, and when its process was killed goes with the next
piece of work on this machine: its lock is free then, which is how :func:`sweep` knows.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import tempfile

from ..errors import DestinationFailed
from ..messages import _
from .rclone_check import sections_of
from .rclone_ini import parse, written

PREFIX = "backup_scheduler-rclone-"
# Memory, on Linux: what is written here is on no disk.
MEMORY = "/dev/shm"  # noqa: S108 - the folders made there are private, under names nobody can guess
ENCRYPTED = "RCLONE_ENCRYPT_V"
# Options whose values may be quoted: they say where things are, and of what kind.
HARMLESS = re.compile(
    r"type|vendor|provider|host|port|user|username|(?:auth_|token_)?url|endpoint|region|remote|"
    r"upstreams|.*(?:_id|_type|_size|_name|_dir|directory|folder|bucket|encoding|location|class|tls)"
)
# Options that say whose storage it is, and which one: others say how it is used.
STORAGE = frozenset((
    "type", "host", "port", "url", "endpoint", "account", "user", "username", "access_key_id",
    "drive_id", "root_folder_id", "team_drive", "share_name", "library", "domain", "tenant",
    "root_prefix", "device", "mountpoint", "remote", "upstreams", "token",
))  # fmt: skip
# Shorter values stand in many words, and so do these.
SECRET_LENGTH = 4
NO_SECRET = re.compile(r"true|false|\d{1,5}|\d+[kKmMgG]i?")
# The password in an address.
USERINFO = re.compile(r"//[^/@\s]*:([^/@\s]+)@")
# The texts in a token, which is JSON.
JSON_TEXT = re.compile(r'"[\w-]*(?:token|secret)"\s*:\s*"([^"]{8,})"', re.IGNORECASE)


def check_config(config, remote):
    """Raise :class:`DestinationFailed` unless ``remote`` is defined by ``config``, harmlessly."""
    if ENCRYPTED in config:
        raise DestinationFailed(
            _("The rclone configuration is encrypted."),
            hint=_("Enter what `rclone config show` prints. It is kept encrypted here as well."),
        )
    sections_of(config, remote)


def lent(config, remote):
    """Return the text that rclone is given: of ``remote``, and of those that it is made of."""
    return written(sections_of(config, remote))


def taken_back(config, remote, text):
    """Return ``config`` with what rclone has changed in the text that it was given.

    It writes it in a form of its own; where nothing else is different, ``config`` is as it was.
    """
    mine, theirs = sections_of(config, remote), sections_of(text, remote)
    if mine == theirs:
        return config
    merged = parse(config)
    for name, options in theirs.items():
        merged[name].update(options)
    return written(merged)


def storage_of(config, remote):
    """Return what names the storage of a remote, as a tuple, and the folder of it that it begins
    with. An alias is the storage that it stands for."""
    sections, path = sections_of(config, remote), ""
    seen = set()
    while sections[remote]["type"] == "alias" and remote not in seen:
        seen.add(remote)
        remote, _colon, folder = sections[remote]["remote"].partition(":")
        path = f"{folder}/{path}"
    named = {remote: sections[remote]} if "token" in sections[remote] else sections
    return tuple(
        (option, account_of(value) if option == "token" else value)
        for name in sorted(named)
        if name not in seen
        for option, value in sorted(named[name].items())
        if option in STORAGE
    ), path


def account_of(token):
    """Return the part of a token that is kept when the access is renewed."""
    try:
        return json.loads(token)["refresh_token"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return token


def secrets_in(config):
    """Return the values in ``config`` that no message may repeat, longest first."""
    found = set(USERINFO.findall(config)) | set(JSON_TEXT.findall(config))
    for options in parse(config).values():
        for option, value in options.items():
            if value and not HARMLESS.fullmatch(option) and not NO_SECRET.fullmatch(value):
                found.add(value)
    return sorted((text for text in found if len(text) >= SECRET_LENGTH), key=len, reverse=True)


@contextlib.contextmanager
def private_folder(parent):
    """Yield a new folder below ``parent``, for this user only, which is gone afterwards."""
    try:
        sweep_all()
        folder, lock = create_locked(parent)
    except OSError as error:
        raise DestinationFailed(
            _(
                "No private folder can be made in %(parent)s: %(reason)s",
                parent=parent,
                reason=error.strerror,
            ),
            hint=_("Give the user that runs Odoo the right to write there."),
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def create_locked(parent):
    """A sweep may catch the folder between its creation and its lock: then do it again."""
    while True:
        folder = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(folder):
            return folder, lock
        os.close(lock)


def sweep_all():
    """Remove all that killed processes left: configurations, and what rclone kept of streams."""
    for parent in {for_secrets(), tempfile.gettempdir()}:
        sweep(parent)


def sweep(parent):
    """Remove the folders below ``parent`` whose process is gone."""
    with os.scandir(parent) as entries:
        names = [entry.path for entry in entries if entry.name.startswith(PREFIX)]
    for folder in names:
        with contextlib.suppress(OSError):
            remove_abandoned(folder)


def remove_abandoned(folder):
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(lock).st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
    finally:
        os.close(lock)


def for_secrets():
    """Return where a folder for secrets is made: in memory where that can be had."""
    return MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else tempfile.gettempdir()
