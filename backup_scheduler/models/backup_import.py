import datetime
import time

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from ..engine.destinations import open_destination
from ..engine.errors import BackupError
from .backup_run import VERIFICATION_LEVELS

# Seconds of a request. What is left is found by the next one: what is known is passed over.
TIME_LIMIT = 60
NO_ADDRESS = "https://unknown.invalid"
LEVELS = dict(VERIFICATION_LEVELS)


class BackupDestination(models.Model):
    """Rebuilding the catalogue from a destination alone, by the JSON that lies beside archives."""

    # A destination is several subjects, a file each.
    # pylint: disable-next=consider-merging-classes-inherited
    _inherit = "backup.destination"

    def import_archives(self):
        """Read what lies in the destination, and make the runs that are not known here.

        Instances that are not known are made too, without a password and without jobs: archives can
        be verified, restored, downloaded and deleted at once. Nothing is changed in the
        destination; doing it twice changes nothing.

        :return: ``{imported, known, unreadable, complete}``: counts of archives, and whether all
            were looked at (a large destination takes several calls)
        """
        self.ensure_one()
        self.check_access("write")
        found = {"imported": 0, "known": 0, "unreadable": 0, "complete": True}
        deadline = time.monotonic() + TIME_LIMIT
        try:
            place = open_destination(self.kind, self._settings())
            for path, catalogue in place.catalogues():
                found[self._import_archive(path, catalogue)] += 1
                if time.monotonic() > deadline:
                    found["complete"] = False
                    break
        except BackupError as error:
            reason = {"error": error.message, "hint": error.hint}
            raise UserError(self.env._("%(error)s\n\n%(hint)s", **reason)) from error
        return found

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

    def _import_archive(self, path, catalogue):
        """Import one archive; return which count it belongs to."""
        copies = self.env["backup.copy"].sudo()
        if copies.search_count([("destination_id", "=", self.id), ("path", "=", path)], limit=1):
            return "known"
        try:
            with self.env.cr.savepoint():
                described = Catalogue(catalogue)
                run = self._imported_run(described)
                copies.create({"run_id": run.id, "destination_id": self.id, "path": path,
                               "status": "stored", **described.copy_values()})  # fmt: skip
        except (ValueError, ValidationError):
            return "unreadable"
        return "imported"

    def _imported_run(self, described):
        """Return the run of an archive, which another destination may have brought already."""
        runs = self.env["backup.run"].sudo()
        if run := runs.search([("catalogue_owner", "=", described.owner)], limit=1):
            return run
        prefix, _slash, number = described.owner.rpartition("/")
        own = self.env["ir.config_parameter"].sudo().get_param("database.uuid")
        if prefix == own and number.isdigit() and (run := runs.browse(int(number)).exists()):
            return run
        instance = self._imported_instance(described)
        self._know_database(instance, described.database)
        values = {**described.run_values(), "instance_id": instance.id}
        run = runs.create({**values, "catalogue_owner": described.owner})
        run._log(self.env._("Imported from %(destination)s.", destination=self.name))
        return run

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
    """What stands in the JSON beside an archive, checked: it comes from outside.

    Raises ValueError when it is not of ours.
    """

    def __init__(self, content):
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        self._content = content
        self.owner = self._text("run")
        self.database = self._text("database")
        self.instance = self._text("instance")
        self.url = content.get("url") if isinstance(content.get("url"), str) else ""
        self._report = content.get("report") if isinstance(content.get("report"), dict) else {}

    def run_values(self):
        finished_at = self._moment("stored_at")
        finding = self._content.get("finding") or {}
        level = self._level()
        return {
            "job_name": self._content.get("job") or False,
            "database_name": self.database,
            "trigger": "schedule" if self._content.get("trigger") == "schedule" else "manual",
            "scheduled_at": self._moment("scheduled_at"),
            "started_at": self._moment("started_at"),
            "finished_at": finished_at,
            "status": "verify_failed" if finding else "verified" if level > "1" else "success",
            "size": self._number("size"),
            "sha256": self._text("sha256"),
            "error_code": finding.get("error_code") or False,
            "error": finding.get("error") or False,
            "hint": finding.get("hint") or False,
            "verification_level": level,
            "verification_report": self._report or False,
            "verified_at": finished_at,
            "wanted_level": min(level, "3"),
            "odoo_version": self._content.get("odoo_version") or False,
            "archive_format": self._format(),
            "include_filestore": self._content.get("include_filestore", True) is not False,
        }

    def copy_values(self):
        stored_at = self._moment("stored_at")
        return {
            "size": self._number("stored_size" if self._encryption() else "size"),
            "sha256": self._text("stored_sha256" if self._encryption() else "sha256"),
            "encryption": self._encryption(),
            "stored_at": stored_at,
            "checked_at": stored_at,
        }

    def _encryption(self):
        return "age" if self._content.get("encryption") == "age" else False

    def _level(self):
        level = str(self._report.get("level"))
        return level if level in LEVELS else "1"

    def _format(self):
        if self._content.get("archive_format") not in ("zip", "dump"):
            raise ValueError("no archive format")
        return self._content["archive_format"]

    def _text(self, name):
        value = self._content.get(name)
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise ValueError(f"no {name}")
        return value

    def _number(self, name):
        value = self._content.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ValueError(f"no {name}")
        return value

    def _moment(self, name):
        moment = datetime.datetime.fromisoformat(self._text(name).replace("Z", "+00:00"))
        if moment.tzinfo:
            moment = moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        return fields.Datetime.to_datetime(moment.replace(microsecond=0))
