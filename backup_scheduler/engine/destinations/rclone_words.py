"""What rclone says when it fails, and what that means.

rclone's exit codes tell little (1 is nearly everything), so its words decide. They are those of
rclone and of the services behind it.
"""

import collections
import json
import re
import threading

from ..errors import DestinationDenied, DestinationFailed, LibraryMissing, NoSpace
from ..masking import MASK
from ..messages import Message, _
from .words import quoted

# Exit codes: https://rclone.org/docs/#exit-code
NOT_FOUND = (3, 4)
# The same in the words of servers that rclone does not understand (FTP with MLSD: 501).
MISSING = re.compile(
    r"no such (?:file|directory|key|bucket)|(?:file|directory|object|bucket) not found|"
    r"(?:doesn't|does not|not) exist",
    re.IGNORECASE,
)
LAST_LINES = 12
LINE_LIMIT = 400
# Of a line that goes on in further ones.
LONGEST = 4000
# Seconds in which the rest of what an ended program said has been read.
UNTIL_READ = 5

# Before what is said by a version that knows no JSON for it.
STAMP = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?:[A-Z]+ *: )?")
PREAMBLE = re.compile(
    r"^(?:Failed to (?:create file system for \"[^\"]*\"|\w+)(?: with \d+ errors)?: "
    r"(?:last error was: )?|Attempt \d+/\d+ failed with \d+ errors and: )"
)
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"']+", re.IGNORECASE)
REFUSED = _(
    "The storage refuses the user, password, key or token of the remote, or what they may do: "
    "renew them with `rclone config` (or `rclone config reconnect`), and enter the configuration "
    "again."
)
OLD = re.compile(r"unknown (?:shorthand )?flag|unknown command", re.IGNORECASE)
# What the services say to those who ask or send too much in a time, some of them with the words
# and the status of a quota or of a right.
MEANINGS = (
    (
        re.compile(
            r"rate.?limit|too.?many.?requests|\b429\b|throttl|slow ?down|activitylimitreached|"
            r"quota exceeded for quota metric|(?:queries|requests) per|per-user traffic",
            re.IGNORECASE,
        ),
        DestinationFailed,
        _(
            "The storage limits how often it may be asked, or how much may be sent to it in a day: "
            "it is tried again later. If it happens often, let fewer backups run at a time or at "
            "other hours."
        ),
    ),
    (
        re.compile(
            r"no space left|quota|insufficient.?(?:storage|space)|not enough (?:space|storage)|"
            r"\b507\b|storage.?limit|disk (?:is )?full|out of space|over storage|\b552\b",
            re.IGNORECASE,
        ),
        NoSpace,
        _("Free space in that storage, or choose another destination."),
    ),
    (
        re.compile(r"didn't find section in config file", re.IGNORECASE),
        DestinationFailed,
        _("A remote of the rclone configuration refers to another one that is not in it: add it."),
    ),
    (
        re.compile(r"didn't find backend called", re.IGNORECASE),
        DestinationFailed,
        _(
            "The rclone of this machine does not know that type of remote: correct it, or install "
            "a newer rclone."
        ),
    ),
    (
        re.compile(
            r"\b40[13]\b|unauthori[sz]ed|forbidden|access.?denied|permission denied|\b530\b|"
            r"log ?in (?:incorrect|failed)|authenticat|invalid_grant|invalidaccesskey|"
            r"signaturedoesnotmatch|expired|empty token|(?:fetch|refresh)\w* token|\b550\b.*"
            r"(?:privilege|permission)|not enough privileges",
            re.IGNORECASE,
        ),
        DestinationDenied,
        REFUSED,
    ),
    (
        re.compile(r"x509|certificate", re.IGNORECASE),
        DestinationFailed,
        _("Renew the server's certificate, or install its authority on this machine."),
    ),
    (
        re.compile(
            r"connection refused|no such host|timeout|timed out|unreachable|deadline|"
            r"connection reset|closed network connection|broken pipe|\bEOF\b",
            re.IGNORECASE,
        ),
        DestinationFailed,
        _(
            "Check the address in the rclone configuration, and that the server is up and "
            "reachable from here."
        ),
    ),
)
GENERAL = _(
    "The message is rclone's own. Try the remote with rclone itself, with the same configuration."
)


class Words(threading.Thread):
    """Reads what rclone says on ``stream``, so that it never waits, and keeps the end of it."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self._stream = stream
        self._lines = collections.deque(maxlen=LAST_LINES)
        self.start()

    def run(self):
        with self._stream:
            for line in iter(lambda: self._stream.readline(1 << 16), b""):
                self._add(line.decode("utf-8", "replace").rstrip())

    def _add(self, line):
        if line.startswith("\t") and self._lines:
            # The services' own libraries speak in several lines.
            self._lines[-1] = f"{self._lines[-1]} {line.strip()}"[:LONGEST]
        elif text := said(line.strip()):
            self._lines.append(text)

    def lines(self):
        self.join(UNTIL_READ)
        return list(self._lines)


def said(line):
    """Return the sentence in a line of the log, which is JSON in most cases."""
    if line.startswith("{"):
        try:
            line = str(json.loads(line).get("msg", ""))
        except ValueError:
            return line
    return " ".join(STAMP.sub("", line).split())


def not_found(code, lines):
    """Return whether a command failed since there is no such file or folder."""
    return code in NOT_FOUND or bool(lines and MISSING.search(lines[-1]))


def failure(what, code, lines, secrets):
    """Return the error for a command that ended with ``code`` and said ``lines``.

    :param what: what was tried, as the beginning of a sentence
    :param secrets: texts that are blotted out
    """
    last = _("it ended with code %(code)s.", code=code)
    if lines:
        last = quoted(masked(PREAMBLE.sub("", lines[-1]), secrets), LINE_LIMIT)
    message = _("%(what)s: rclone says: %(last)s", what=what, last=last)
    said_by_them = [without_names(line, names_in(what)) for line in lines]
    words = "\n".join(said_by_them)
    if OLD.search(words):
        return LibraryMissing(message, hint=_("Install rclone 1.60 or newer where Odoo runs."))
    # What it ended with comes before what it went on after.
    for text in (*said_by_them[-1:], words):
        for pattern, kind, hint in MEANINGS:
            if pattern.search(text):
                return kind(message, hint)
    return DestinationFailed(message, GENERAL)


def names_in(what):
    """Return the names in a path that ``what`` was tried with, the longest parts of it first."""
    values = what.values.values() if isinstance(what, Message) else ()
    names = set()
    for value in values:
        path = str(value).partition(":")[2] or str(value)
        parts = [part for part in path.split("/") if part]
        names.update("/".join(parts[begin:]) for begin in range(len(parts)))
        names.update("/".join(parts[:end]) for end in range(1, len(parts)))
        names.update(parts)
    return sorted(names, key=len, reverse=True)


def without_names(line, names):
    """Return a line without what may be a name of ours in it: addresses, and names of a path where
    they stand in one or in quotes. Any word may be the name of a server or a database."""
    line = ADDRESS.sub("", line)
    for name in names:
        exact = re.escape(name)
        line = re.sub(
            rf"(?<=[/\"']){exact}(?![\w-])|(?<![\w-]){exact}(?=[/\"'])|(?<!\S){exact}(?=: )",
            "",
            line,
        )
    return line


def masked(text, secrets):
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text
