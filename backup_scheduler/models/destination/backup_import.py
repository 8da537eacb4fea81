import logging
import re

import psycopg2

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from ...engine.archive.levels import BY_READING, COMPLETE
from ...engine.catalogue import Catalogue
from ...engine.importing import TIME_LIMIT
from ...engine_call import failure_in
from .. import arguments
from ..arguments import one_record
from ..backup_message import all_translated
from ..backup_secret_mixin import signing_keys
from ..run.backup_run import GOOD
from ..run.backup_run_status import finding_of

_logger = logging.getLogger(__name__)

# Seconds. The engine itself stops earlier; what is left is found by the next request.
LIST_TIME_LIMIT = TIME_LIMIT + 60
NO_ADDRESS = "https://unknown.invalid"
# What was imported is read here before anything that was: an empty moment comes first.
NEVER_READ = False
RUN_NUMBER = re.compile(r"[0-9]{1,9}")
# What becomes of a content that is not what it should be, at the latest in the database.
NOT_OURS = (
    ValueError, TypeError, OverflowError, RecursionError, ValidationError, psycopg2.DataError,
)  # fmt: skip


class BackupDestination(models.Model):
    """Rebuilding the catalogue from a destination alone, by the JSON that lies beside archives."""

    _inherit = "backup.destination"

    unsigned_archives = fields.Integer(
        readonly=True,
        copy=False,
        help="Archives that the last import left, since this installation did not sign what lies "
        "beside them.",
    )

    @arguments.accepts(accept_unsigned=arguments.flag)
    @one_record
    def import_archives(self, accept_unsigned=False):
        """Read what lies in the destination, and make the runs that are not known here.

        Instances that are not known are made too, without a password and without jobs: archives can
        be verified, restored, downloaded and deleted at once. Nothing is changed in the
        destination; doing it twice changes nothing.

        What was imported is complete, as far as its size tells, and no more: whatever its JSON
        says, it is no good archive of its database before it was verified here, which the
        destination's rounds do first.

        :param accept_unsigned: import also what this installation has not signed: archives from
            before there were signatures, of another server, or of this one when its secret key was
            lost. Somebody else may have put them there
        :return: ``{imported, known, unreadable, unsigned, complete}``: counts of archives,
            ``known`` of those that are recorded here already, ``unsigned`` of those that were left
            for want of a signature, and whether all were looked at (a large destination takes
            several calls)
        """
        self.check_access("write")
        self._require_own_location()
        known, stored = self._known_archives()
        found = dict.fromkeys(("imported", "known", "unreadable", "unsigned"), 0)
        found.update(known=stored, complete=True)
        for event in self._list_archives(known, accept_unsigned):
            if event["event"] == "archive":
                found[self._import_archive(event)] += 1
            elif event["event"] == "unreadable":
                self._log_unreadable(event["path"], event["error"])
            elif event["event"] == "done":
                found["unsigned"], found["complete"] = event["unsigned"], event["complete"]
                found["unreadable"] += event["unreadable"]
        self.sudo().unsigned_archives = found["unsigned"]
        return found

    def _list_archives(self, known, accept_unsigned):
        """Return the events of :func:`.importing.list_archives`; raise where it cannot be done."""
        keys = {"secrets": ["keys"], "settings": {"keys": "\n".join(signing_keys())}}
        events = self._ask_place(
            "archives", LIST_TIME_LIMIT,
            known=sorted(known), signature=keys, accept_unsigned=accept_unsigned,
        )  # fmt: skip
        if events[-1]["event"] == "failed":
            reason = all_translated(failure_in(events[-1]), self.env.lang)
            raise UserError(self.env._("%(error)s\n\n%(hint)s", **reason))
        return events

    def _log_unreadable(self, path, error):
        _logger.warning("Not imported: %r in %r: %s", path, self.name, error)

    def _known_archives(self):
        """Return the paths that are taken in the destination, and how many have an archive."""
        domain = [("destination_id", "=", self.id), ("path", "!=", False)]
        copies = self.env["backup.copy"].sudo().search_fetch(domain, ["path", "status"])
        stored = copies.filtered(lambda copy: copy.status == "stored")
        return frozenset(copies.mapped("path")), len(stored)

    def action_import_unsigned(self):
        return self.action_import_archives(accept_unsigned=True)

    @arguments.accepts(accept_unsigned=arguments.flag)
    def action_import_archives(self, accept_unsigned=False):
        found = self.import_archives(accept_unsigned)
        message = self.env._(
            "%(imported)s imported, %(known)s known already, %(unreadable)s not readable.", **found
        )
        if found["unsigned"]:
            message += " " + self.env._(
                "Not imported, because this installation did not sign them: %(count)s. Such "
                "archives are from before there were signatures, from another server, or somebody "
                "put them there. If you know where they come from, press Import Unsigned Archives "
                "on the destination.",
                count=found["unsigned"],
            )
        if not found["complete"]:
            message += " " + self.env._("There are more: press the button again.")
        is_done = found["complete"] and not found["unsigned"]
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "title": self.env._("Archives"),
                "message": message,
                "type": "success" if is_done else "warning",
                "sticky": not is_done,
                "next": self.action_open_copies()
                if found["imported"]
                else {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    def _import_archive(self, found):
        """Import one archive; return which count it belongs to."""
        path = found["path"]
        try:
            with self.env.cr.savepoint():
                self._make_copy(path, Catalogue(path, found["content"]), found["signed"])
        except psycopg2.errors.UniqueViolation:
            # Somebody else was quicker.
            return "known"
        except NOT_OURS as error:
            self._log_unreadable(path, error)
            return "unreadable"
        return "imported"

    def _make_copy(self, path, described, signed):
        run = self._known_run(described) or self._make_imported_run(described, signed)
        values = {"run_id": run.id, "destination_id": self.id, **copy_values(path, described)}
        self.env["backup.copy"].sudo().create(values)
        run._log(self._tell_import(signed))

    def _tell_import(self, signed):
        if signed:
            return self.env._(
                "Imported from %(destination)s, and not read here yet.", destination=self.name
            )
        return self.env._(
            "Imported from %(destination)s without a signature of this installation, and not read "
            "here yet.",
            destination=self.name,
        )

    def _known_run(self, described):
        """Return the run whose archive it is, among those that the user may see, or nothing.

        Its number alone proves nothing: after a restore of this very database, numbers come again.
        """
        uuid = self.env["ir.config_parameter"].sudo().get_param("database.uuid")
        prefix, _slash, number = described.owner.rpartition("/")
        own = int(number) if prefix == uuid and RUN_NUMBER.fullmatch(number) else 0
        domain = [
            ("sha256", "=", described.sha256),
            ("database_name", "=", described.database),
            ("scheduled_at", "=", described.scheduled_at),
            ("status", "in", (*GOOD, "verify_failed")),
            "|", ("catalogue_owner", "=", described.owner),
            "&", ("catalogue_owner", "=", False), ("id", "=", own),
        ]  # fmt: skip
        if self.company_id:
            domain.append(("company_id", "in", (self.company_id.id, False)))
        return self.env["backup.run"].search(domain, limit=1).sudo()

    def _make_imported_run(self, described, signed):
        instance = self._imported_instance(described)
        self._know_database(instance, described.database)
        values = {
            "instance_id": instance.id,
            "catalogue_owner": described.owner,
            "unverified_import": "signed" if signed else "unsigned",
        }
        return self.env["backup.run"].sudo().create({**run_values(described), **values})

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


def run_values(described):
    """Return what is recorded of the run. A status is the truth: what was not verified here is
    stored, and no more. A finding stays."""
    values = {
        "job_name": described.job or False,
        "database_name": described.database,
        "trigger": described.trigger,
        "scheduled_at": described.scheduled_at,
        "started_at": described.started_at,
        "finished_at": described.stored_at,
        "size": described.size,
        "sha256": described.sha256,
        "odoo_version": described.odoo_version or False,
        "archive_format": described.archive_format,
        "include_filestore": described.include_filestore,
        "status": "success",
        "verification_level": str(COMPLETE),
        "verification_report": described.report or False,
        "wanted_level": str(min(described.report.get("level", COMPLETE), BY_READING[-1])),
    }
    if finding := described.finding:
        values.update(finding, status="verify_failed", finding=finding_of(finding))
    return values


def copy_values(path, described):
    return {
        "path": path,
        "status": "stored",
        "size": described.stored_size,
        "sha256": described.stored_sha256,
        "encryption": described.encryption or False,
        "stored_at": described.stored_at,
        "checked_at": NEVER_READ,
    }
