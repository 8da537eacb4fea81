"""The catalogue beside an archive: a JSON object with all that is needed to do without us.

It is read from outside: somebody else may have written it, or put it beside an archive of theirs.
:func:`parsed` reads it within bounds, :class:`Catalogue` takes nothing out of it that is not of its
kind, and :func:`is_signed` tells whether this installation wrote it.
"""

import datetime
import hashlib
import hmac
import json
import math
import posixpath
import re

from .archive.levels import LEVELS
from .encryption import METHOD
from .messages import _
from .naming import is_encrypted, one_line

# Bytes. What is larger is no catalogue of ours: they are some 20 kB.
LIMIT = 1 << 20
# Beyond these a catalogue is none of ours, and would break what reads it later: numbers, characters
# of a name and of a sentence, bytes of a path (PostgreSQL's indexes end at some 2700), levels of
# nesting, entries of a list or an object, years.
NUMBER_LIMIT = 2**60
NAME_LIMIT, TEXT_LIMIT, PATH_LIMIT = 500, 20_000, 1024
DEPTH_LIMIT, COUNT_LIMIT = 20, 20_000
YEARS = range(2000, 2101)
SHA256 = re.compile(r"[0-9a-f]{64}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
FORMATS = ("zip", "dump")
# The key under which the signature stands.
SIGNATURE = "signature"
# What is kept of a report (see archive/report.py), by its kind; the rest are counts.
REPORT_TEXTS = ("archive_format", "since", "database", "odoo_version", "pg_version")
REPORT_COUNTS = (
    "level", "size", "members", "filestore_files", "tables", "large_objects", "attachments",
    "attachments_in_database", "attachments_elsewhere",
    "users", "modules", "missing_files", "damaged_files", "surplus_files", "late_files",
    "known_gaps",
)  # fmt: skip


class CatalogueError(ValueError):
    """What is wrong with which field of a catalogue.

    :ivar message: a sentence for people, with the field
    """

    def __init__(self, field, reason):
        self.message = _("%(field)s: %(reason)s", field=field, reason=reason)
        super().__init__(str(self.message))


# --- reading ------------------------------------------------------------------------------------


def parsed(content):
    """Return a catalogue as a dict, or None where the bytes are nothing of the kind."""
    if len(content) > LIMIT:
        return None
    try:
        catalogue = json.loads(content, parse_constant=no_number)
    except (ValueError, RecursionError):
        return None
    return catalogue if isinstance(catalogue, dict) else None


def no_number(name):
    """NaN and the like are no JSON."""
    raise ValueError(name)


# --- signing ------------------------------------------------------------------------------------


def signed(content, key):
    """Return a catalogue with its signature by the installation that has ``key`` (text)."""
    return {**content, SIGNATURE: signature(content, key)} if key else content


def is_signed(content, keys):
    """Return whether a catalogue has the signature of one of the keys."""
    found = content.get(SIGNATURE)
    if not isinstance(found, str) or not found.isascii():
        return False
    try:
        return any(hmac.compare_digest(found, signature(content, key)) for key in keys)
    except (ValueError, RecursionError):
        return False


def written(content, key):
    """Return the bytes of a catalogue that are put beside an archive, which :func:`parsed` takes:
    without the report where that is so large that it would not."""
    for wanted in (content, {name: content[name] for name in content if name != "report"}):
        lines = json.dumps(signed(wanted, key), indent=2, sort_keys=True).encode() + b"\n"
        if len(lines) <= LIMIT:
            break
    return lines


def signature(content, key):
    """Return the HMAC-SHA256 of all that a catalogue says, in one way of writing it."""
    plain = {name: value for name, value in content.items() if name != SIGNATURE}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


# --- taking it apart ----------------------------------------------------------------------------


class Catalogue:
    """What a catalogue says of the archive at ``path``, each value checked.

    Moments are naive UTC, in whole seconds; sizes are bytes; an optional text is empty where it is
    not there. Raises :class:`CatalogueError` for what none of ours would say.

    :ivar encryption: ``age`` or empty
    :ivar stored_size, stored_sha256: of the stored bytes, which differ where it is encrypted
    :ivar report: of its last verification, as :class:`.archive.report.Report` has it, or empty
    :ivar finding: ``error_code error hint`` of an archive that is no good one, or empty
    """

    def __init__(self, path, content):
        require_path(path)
        if not isinstance(content, dict):
            raise CatalogueError(_("catalogue"), _("it cannot be read as JSON"))
        require_bounded(content)
        self._content = content
        self.owner = self._owner()
        self.instance = self._name("instance")
        self.database = self._name("database")
        self.job = self._name("job", required=False)
        self.url = self._name("url", required=False)
        self.odoo_version = self._name("odoo_version", required=False)
        self.trigger = "schedule" if content.get("trigger") == "schedule" else "manual"
        self.scheduled_at = self._moment("scheduled_at")
        self.started_at = self._moment("started_at")
        self.stored_at = self._moment("stored_at")
        self.archive_format = self._choice("archive_format", FORMATS)
        self.include_filestore = self._choice("include_filestore", (True, False, None)) is not False
        self.size = self._size("size")
        self.sha256 = self._digest("sha256")
        self._read_encryption(path)
        self.report = self._read_report()
        self.finding = self._read_finding()

    def _read_encryption(self, path):
        """Name and JSON have to agree: what an archive is read as hangs on both."""
        self.encryption = self._name("encryption", required=False)
        if self.encryption != (METHOD if is_encrypted(path) else ""):
            raise CatalogueError("encryption", _("it is not that of the archive's name"))
        before = "stored_" if self.encryption else ""
        self.stored_size = self._size(f"{before}size")
        self.stored_sha256 = self._digest(f"{before}sha256")

    def _read_report(self):
        report = self._part("report")
        found = {
            name: text_in(report, name, "report.", required=False, limit=NAME_LIMIT)
            for name in REPORT_TEXTS
            if name in report
        }
        counts = [name for name in REPORT_COUNTS if name in report]
        found |= {name: count_in(report, name, "report.") for name in counts}
        if report.get("since"):
            moment_in(report, "since", "report.")
        if "level" in report and report["level"] not in LEVELS:
            raise CatalogueError("report.level", _("it is no level of verification"))
        if report.get("manifest") is not None:
            found["manifest"] = kind_in(report, "manifest", dict, "report.")
        if report.get("notes") is not None:
            found["notes"] = texts_in(report, "notes")
        if report.get("gone"):
            found["gone"] = texts_in(report, "gone")
        return found

    def _read_finding(self):
        finding = self._part("finding")
        if not finding:
            return {}
        found = {name: text_in(finding, name, "finding.") for name in ("error_code", "error")}
        return {**found, "hint": text_in(finding, "hint", "finding.", required=False)}

    def _part(self, name):
        if self._content.get(name) is None:
            return {}
        return kind_in(self._content, name, dict)

    def _name(self, name, required=True):
        return one_line(text_in(self._content, name, required=required, limit=NAME_LIMIT))

    def _owner(self):
        """What it is compared with is exact, so it is not made fit as names are."""
        found = text_in(self._content, "run", limit=NAME_LIMIT)
        if CONTROL.search(found):
            raise CatalogueError("run", _("it has control characters or line breaks"))
        return found

    def _choice(self, name, choices):
        found = self._content.get(name)
        # With its type: to Python, 1 is True.
        if not any(type(found) is type(choice) and found == choice for choice in choices):
            raise CatalogueError(name, _("it is none of the known values"))
        return found

    def _digest(self, name):
        found = text_in(self._content, name, limit=NAME_LIMIT)
        if not SHA256.fullmatch(found):
            raise CatalogueError(name, _("it is no SHA-256"))
        return found

    def _size(self, name):
        return count_in(self._content, name)

    def _moment(self, name):
        return moment_in(self._content, name)


def texts_in(report, name):
    texts = kind_in(report, name, list, "report.")
    if not all(isinstance(text, str) for text in texts):
        raise CatalogueError(f"report.{name}", _("they are no texts"))
    return texts


def kind_in(content, name, kind, before=""):
    if not isinstance(content[name], kind):
        wanted = _("an object") if kind is dict else _("a list")
        raise CatalogueError(before + name, _("it is not %(wanted)s", wanted=wanted))
    return content[name]


def text_in(content, name, before="", required=True, limit=TEXT_LIMIT):
    """Return a text; empty where there is none and none is required."""
    found = content.get(name)
    if not required and (found is None or found is False or found == ""):
        return ""
    if not isinstance(found, str) or not found.strip():
        raise CatalogueError(before + name, _("it is no text"))
    if len(found) > limit:
        reason = _("it is longer than %(limit)s characters", limit=limit)
        raise CatalogueError(before + name, reason)
    return found


def count_in(content, name, before=""):
    """Return a number that is whole and not negative, also where it was written as 5.0."""
    found = content.get(name)
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if not is_number or not 0 <= found < NUMBER_LIMIT or found != math.floor(found):
        raise CatalogueError(before + name, _("it is no whole number"))
    return int(found)


def moment_in(content, name, before=""):
    """Return the moment that an ISO text names, in UTC without a zone, in whole seconds."""
    found = text_in(content, name, before, limit=NAME_LIMIT)
    try:
        moment = datetime.datetime.fromisoformat(found.replace("Z", "+00:00"))
        if moment.tzinfo:
            moment = moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise CatalogueError(before + name, _("it is no moment")) from None
    if moment.year not in YEARS:
        raise CatalogueError(before + name, _("it is no moment of this century"))
    return moment.replace(microsecond=0)


def require_path(path):
    """Raise for what is no path of ours, and what no destination or index would take."""
    plain = posixpath.normpath(path) == path and not path.startswith(("/", "../"))
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        length = PATH_LIMIT + 1
    if not plain or path == ".." or length > PATH_LIMIT or CONTROL.search(path):
        raise CatalogueError(_("path"), _("it is no path of an archive of ours"))


def require_bounded(value, field="", depth=DEPTH_LIMIT):
    """Raise for JSON that PostgreSQL does not take, or that is without bound."""
    if isinstance(value, str):
        require_storable(value, field)
    elif isinstance(value, int | float):
        # Written so that NaN is refused too.
        if not -NUMBER_LIMIT < value < NUMBER_LIMIT:
            raise CatalogueError(field, _("it is a number without bound"))
    elif isinstance(value, dict | list):
        if not depth or len(value) > COUNT_LIMIT:
            raise CatalogueError(field, _("it is nested too deeply, or too long"))
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            inner = f"{field}.{name}" if field else str(name)
            require_storable(inner, field)
            require_bounded(each, inner[:NAME_LIMIT], depth - 1)


def require_storable(text, field):
    try:
        # Half a character is none.
        text.encode()
    except UnicodeEncodeError:
        text = "\0"
    if "\0" in text:
        field = field.encode("ascii", "backslashreplace").decode().replace("\0", "\\0")
        raise CatalogueError(field, _("it has characters that cannot be stored"))
