"""The configuration of rclone, as a setting: looked through, and lent to the program for a while.

rclone takes its configuration from a file, and writes the tokens that it was given anew back into
it (OAuth: Drive, OneDrive, Dropbox, Box …; some of them refuse the old one from then on). So it has
to be a file, in a folder of its own; that lies in memory where the machine has such a place, is
for its owner only, goes when the work is done, and when its process was killed goes with the next
piece of work on this machine: its lock is free then, which is how :func:`sweep` knows.
"""

import configparser
import contextlib
import fcntl
import os
import re
import shutil
import tempfile

from ..errors import DestinationFailed
from ..messages import _

PREFIX = "backup_scheduler-rclone-"
# Memory, on Linux: what is written here is on no disk.
MEMORY = "/dev/shm"  # noqa: S108 - the folders made there are private, under names nobody can guess
# What rclone takes for the name of a remote, and what is no part of a path or of its parameters.
REMOTE = re.compile(r"[\w.+@](?:[\w.+@ -]*[\w.+@-])?")
ENCRYPTED = "RCLONE_ENCRYPT_V"
# Options by which a configuration runs programs on this machine, or changes what rclone is told
# here. They may also stand in the parameters of another remote, or be put together by references.
FORBIDDEN = re.compile(
    r"(?:^|[\s,:;'\"])(bearer[_-]token[_-]command|ssh|(?:global|override)\.[\w-]+)\s*[=:]|%\([^)]*\)s",
    re.IGNORECASE | re.MULTILINE,
)
# Options whose values may be quoted: they say where things are, and of what kind.
HARMLESS = re.compile(
    r"type|vendor|provider|host|port|user|username|(?:auth_|token_)?url|endpoint|region|remote|"
    r"upstreams|.*(?:_id|_type|_size|_name|_dir|directory|folder|bucket|encoding|location|class|tls)"
)
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
    sections = parse(config).sections()
    if not remote or not REMOTE.fullmatch(remote) or remote not in sections:
        known = [name for name in sections if REMOTE.fullmatch(name)] or _("none")
        raise DestinationFailed(
            _(
                "The rclone configuration has no remote %(remote)r. It has: %(known)s.",
                remote=remote,
                known=known,
            ),
            hint=_("Choose one of these, or add its section to the configuration."),
        )
    if found := FORBIDDEN.search(config):
        raise DestinationFailed(
            _(
                "The rclone configuration has %(found)s, which is not allowed here: it can run "
                "programs on this server.",
                found=found[1] or _("references to other options"),
            ),
            hint=_("Take it out. Remotes that cannot do without it cannot be used."),
        )


def parse(config):
    """Return the sections of an rclone.conf; raise :class:`DestinationFailed`, quoting nothing."""
    parser = configparser.RawConfigParser(
        strict=False, allow_no_value=True, default_section="", empty_lines_in_values=False
    )
    try:
        parser.read_string(config)
    except configparser.Error:
        raise DestinationFailed(
            _("The rclone configuration cannot be read."),
            hint=_("Enter what `rclone config show` prints."),
        ) from None
    return parser


def secrets_in(config):
    """Return the values in ``config`` that no message may repeat, longest first."""
    parser = parse(config)
    found = set(USERINFO.findall(config)) | set(JSON_TEXT.findall(config))
    for section in parser.sections():
        for option, value in parser.items(section):
            if value and not HARMLESS.fullmatch(option) and not NO_SECRET.fullmatch(value):
                found.add(value)
    return sorted((text for text in found if len(text) >= SECRET_LENGTH), key=len, reverse=True)


def same(config, other):
    """Return whether two configurations say the same: rclone writes them in a form of its own."""
    one, two = parse(config), parse(other)
    return {name: dict(one[name]) for name in one} == {name: dict(two[name]) for name in two}


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
