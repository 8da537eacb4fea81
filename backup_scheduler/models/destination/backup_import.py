import datetime
import logging
import posixpath
import re
import time

import psycopg2

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from ...engine.archive.levels import BY_READING, COMPLETE
from ...engine.encryption import METHOD
from ...engine.errors import ArchiveMissing, BackupError
from ...engine.naming import is_encrypted
from ..backup_message import reason_of
from ..run.backup_run import GOOD, VERIFICATION_LEVELS
from ..run.backup_run_status import finding_of

_logger = logging.getLogger(__name__)

# Seconds of a request. What is left is found by the next one: what is known is passed over.
TIME_LIMIT = 60
NO_ADDRESS = "https://unknown.invalid"
KNOWN_LEVELS = dict(VERIFICATION_LEVELS)
# What was imported is read here before anything that was: an empty moment comes first.
NEVER_READ = False
# Beyond these a catalogue is none of ours, and would break what reads it later: numbers, characters
# of a name and of a sentence, bytes of a path (PostgreSQL's indexes end at some 2700), levels of
# nesting, years.
NUMBER_LIMIT = 2**60
NAME_LIMIT, TEXT_LIMIT, PATH_LIMIT = 500, 20_000, 1024
DEPTH_LIMIT = 20
YEARS = range(2000, 2101)
SHA256 = re.compile(r"[0-9a-f]{64}")
RUN_NUMBER = re.compile(r"[0-9]{1,9}")
# What becomes of a content that is not what it should be, at the latest in the database.
NOT_OURS = (
    ValueError, TypeError, AttributeError, OverflowError, RecursionError, ValidationError,
    psycopg2.DataError,
)  # fmt: skip


class BackupDestination(models.Model):
    """Rebuilding the catalogue from a destination alone, by the JSON that lies beside archives."""

    _inherit = "backup.destination"

    def import_archives(self):
        """Read what lies in the destination, and make the runs that are not known here.

        Instances that are not known are made too, without a password and without jobs: archives can
        be verified, restored, downloaded and deleted at once. Nothing is changed in the
        destination; doing it twice changes nothing.

        What was imported is complete, as far as its size tells, and no more: whatever its JSON
        says, it counts as verified when it was read here, which the destination's rounds do first.

        :return: ``{imported, known, unreadable, complete}``: counts of archives, ``known`` of those
            that are recorded here already, and whether all were looked at (a large destination
            takes several calls)
        """
        self.ensure_one()
        self.check_access("write")
        self._require_own_location()
        known, stored = self._known_archives()
        found = {"imported": 0, "known": stored, "unreadable": 0, "complete": True}
        deadline = time.monotonic() + TIME_LIMIT
        try:
            with self._opened() as place:
                for path, catalogue in place.catalogues(known):
                    found[self._import_archive(place, path, catalogue)] += 1
                    if time.monotonic() > deadline:
                        found["complete"] = False
                        break
        except BackupError as error:
            reason = reason_of(error, self.env.lang)
            raise UserError(self.env._("%(error)s\n\n%(hint)s", **reason)) from error
        return found

    def _known_archives(self):
        """Return the paths that are taken in the destination, and how many have an archive."""
        domain = [("destination_id", "=", self.id), ("path", "!=", False)]
        copies = self.env["backup.copy"].sudo().search_fetch(domain, ["path", "status"])
        stored = copies.filtered(lambda copy: copy.status == "stored")
        return frozenset(copies.mapped("path")), len(stored)

    def action_import_archives(self):
        found = self.import_archives()
        message = self.env._(
            "%(imported)s imported, %(known)s known already, %(unreadable)s not readable.", **found
        )
        if not found["complete"]:
            message += " " + self.env._("There are more: press the button again.")
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "title": self.env._("Archives"),
                "message": message,
                "type": "success" if found["complete"] else "warning",
                "sticky": not found["complete"],
                "next": self.action_open_copies() if found["imported"] else None,
            },
        }

    def _import_archive(self, place, path, catalogue):
        """Import one archive; return which count it belongs to."""
        try:
            described = Catalogue(path, catalogue)
            require_size(place, path, described.stored_size)
            with self.env.cr.savepoint():
                self._make_copy(described)
        except psycopg2.errors.UniqueViolation:
            # Somebody else was quicker.
            return "known"
        except (ArchiveMissing, *NOT_OURS) as error:
            _logger.warning("Not imported: %r in %r: %s", path, self.name, error)
            return "unreadable"
        return "imported"

    def _make_copy(self, described):
        run = self._known_run(described) or self._make_imported_run(described)
        values = {"run_id": run.id, "destination_id": self.id, **described.copy_values}
        self.env["backup.copy"].sudo().create(values)
        run._log(
            self.env._(
                "Imported from %(destination)s, and not read here yet.", destination=self.name
            )
        )

    def _known_run(self, described):
        """Return the run whose archive it is, among those that the user may see, or nothing.

        Its number alone proves nothing: after a restore of this very database, numbers come again.
        """
        uuid = self.env["ir.config_parameter"].sudo().get_param("database.uuid")
        prefix, _slash, number = described.owner.rpartition("/")
        own = int(number) if prefix == uuid and RUN_NUMBER.fullmatch(number) else 0
        domain = [
            ("sha256", "=", described.run_values["sha256"]),
            ("database_name", "=", described.run_values["database_name"]),
            ("scheduled_at", "=", described.run_values["scheduled_at"]),
            ("status", "in", (*GOOD, "verify_failed")),
            "|", ("catalogue_owner", "=", described.owner),
            "&", ("catalogue_owner", "=", False), ("id", "=", own),
        ]  # fmt: skip
        if self.company_id:
            domain.append(("company_id", "in", (self.company_id.id, False)))
        return self.env["backup.run"].search(domain, limit=1).sudo()

    def _make_imported_run(self, described):
        instance = self._imported_instance(described)
        self._know_database(instance, described.run_values["database_name"])
        values = {"instance_id": instance.id, "catalogue_owner": described.owner}
        return self.env["backup.run"].sudo().create({**described.run_values, **values})

    def _imported_instance(self, described):
        """Return the instance of that name, or make it, without a password and without jobs."""
        instances = self.env["backup.instance"].with_context(active_test=False)
        domain = [("name", "=", described.instance)]
        if self.company_id:
            domain.append(("company_id", "in", (self.company_id.id, False)))
        if known := instances.search(domain, limit=1):
            return known
        return instances.create(
            {
                "name": described.instance,
                "url": described.url or NO_ADDRESS,
                "company_id": self.company_id.id,
            }
        )

    @api.model
    def _know_database(self, instance, name):
        databases = self.env["backup.database"].sudo()
        if not databases.search_count([("instance_id", "=", instance.id), ("name", "=", name)]):
            databases.create({"instance_id": instance.id, "name": name, "present": False})


class Catalogue:
    """What stands in the JSON beside the archive at ``path``, checked: it comes from outside.

    ``run_values`` and ``copy_values`` are what is recorded of it. Raises one of :data:`NOT_OURS`
    when it is not of ours.
    """

    def __init__(self, path, content):
        require_path(path)
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        require_plain(content)
        self._content = content
        self._report = self._part("report")
        self.owner = self._text("run")
        self.instance = self._text("instance")
        self.url = self._optional("url")
        encrypted = self._is_encrypted(path)
        self.stored_size = self._number("stored_size" if encrypted else "size")
        self.run_values = {**self._values_of_archive(), **self._values_of_verification()}
        self.copy_values = {
            "path": path,
            "status": "stored",
            "size": self.stored_size,
            "sha256": self._digest("stored_sha256" if encrypted else "sha256"),
            "encryption": encrypted and METHOD,
            "stored_at": self._moment("stored_at"),
            "checked_at": NEVER_READ,
        }

    def _is_encrypted(self, path):
        """Name and JSON have to agree: what an archive is read as hangs on both."""
        encryption = self._optional("encryption")
        if encryption != (is_encrypted(path) and METHOD):
            raise ValueError("no encryption of ours")
        return bool(encryption)

    def _values_of_archive(self):
        return {
            "job_name": self._optional("job"),
            "database_name": self._text("database"),
            "trigger": "schedule" if self._content.get("trigger") == "schedule" else "manual",
            "scheduled_at": self._moment("scheduled_at"),
            "started_at": self._moment("started_at"),
            "finished_at": self._moment("stored_at"),
            "size": self._number("size"),
            "sha256": self._digest("sha256"),
            "odoo_version": self._optional("odoo_version"),
            "archive_format": self._format(),
            "include_filestore": self._content.get("include_filestore", True) is not False,
        }

    def _values_of_verification(self):
        """A status is the truth: what was not read here is stored, and no more. A finding stays."""
        level = str(self._report.get("level"))
        wanted = min(int(level), BY_READING[-1]) if level in KNOWN_LEVELS else COMPLETE
        values = {
            "status": "success",
            "verification_level": str(COMPLETE),
            "verification_report": self._report or False,
            "wanted_level": str(wanted),
        }
        if finding := self._part("finding"):
            texts = {name: text(finding, name) for name in ("error_code", "error")}
            texts["hint"] = optional_text(finding, "hint")
            values.update(texts, status="verify_failed", finding=finding_of(texts))
        return values

    def _format(self):
        if self._content.get("archive_format") not in ("zip", "dump"):
            raise ValueError("no archive format")
        return self._content["archive_format"]

    def _part(self, name):
        part = self._content.get(name)
        if not isinstance(part, dict | None):
            raise ValueError(f"no {name}")
        return part or {}

    def _text(self, name):
        return text(self._content, name, NAME_LIMIT)

    def _optional(self, name):
        return optional_text(self._content, name, NAME_LIMIT)

    def _digest(self, name):
        if not SHA256.fullmatch(self._text(name)):
            raise ValueError(f"no {name}")
        return self._text(name)

    def _number(self, name):
        value = self._content.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ValueError(f"no {name}")
        return value

    def _moment(self, name):
        moment = datetime.datetime.fromisoformat(self._text(name).replace("Z", "+00:00"))
        if moment.year not in YEARS:
            raise ValueError(f"no {name}")
        if moment.tzinfo:
            moment = moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        return fields.Datetime.to_datetime(moment.replace(microsecond=0))


def text(content, name, limit=TEXT_LIMIT):
    value = content.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > limit:
        raise ValueError(f"no {name}")
    return value


def optional_text(content, name, limit=TEXT_LIMIT):
    return text(content, name, limit) if content.get(name) not in (None, False, "") else False


def require_size(place, path, size):
    """Raise where the archive at rest is not as large as it should be: it is another, or cut."""
    if (found := place.stat(path)) != size:
        raise ValueError(f"{found} bytes, where its catalogue says {size}")


def require_path(path):
    """Raise for what is no path of ours, and what no destination or index would take."""
    require_plain(path)
    plain = posixpath.normpath(path) == path and not path.startswith(("/", "../"))
    if not plain or len(path.encode()) > PATH_LIMIT:
        raise ValueError("no path of ours")


def require_plain(value, depth=DEPTH_LIMIT):
    """Raise for JSON that PostgreSQL does not take, or that is without bound."""
    if isinstance(value, str):
        # Half a character raises.
        value.encode()
        if "\0" in value:
            raise ValueError("NUL")
    elif isinstance(value, int | float):
        # Written so that NaN is refused too.
        if not -NUMBER_LIMIT < value < NUMBER_LIMIT:
            raise ValueError("a number without bound")
    elif isinstance(value, dict | list):
        if not depth:
            raise ValueError("nested without end")
        for each in (*value, *value.values()) if isinstance(value, dict) else value:
            require_plain(each, depth - 1)
