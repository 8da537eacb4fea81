import logging

from odoo import fields, models
from odoo.exceptions import UserError

from ...engine.archive.levels import DEFAULT, RESTORED
from ...engine.errors import RestoreFailed
from ...engine_call import failure_of
from .. import arguments
from ..restore.backup_restore import server_address
from ..task.kinds import LATER, REQUESTED
from .backup_run import VERIFICATION_LEVELS

_logger = logging.getLogger(__name__)

DRILL = str(RESTORED)
RESTORE_FAILED = RestoreFailed.code


class BackupRunReading(models.Model):
    """Reading stored archives again: on request, by the destinations' rounds, as restore drills."""

    _inherit = "backup.run"

    # --- asking for it --------------------------------------------------------------------------

    @arguments.accepts(level=arguments.plain, identity=arguments.text)
    def verify(self, level=None, identity=None):
        """Have the stored copies of the archives read again; the result comes on the run.

        :param level: 1 to 4, where 4 restores the archive into a scratch database; default: the
            level of the run's job
        :param identity: the age identity (secret key) of encrypted copies. It is used once and
            forgotten. Without it, their bytes are compared with those that were stored
        """
        self._require_operator()
        for run in self.sudo():
            run._request_verification(run.copy_ids, level, identity, REQUESTED)
        return True

    def action_verify(self):
        """Do what :meth:`verify` does, and say that it was asked for."""
        self.verify()
        text = self.env._("The archive will be read again as soon as there is room.")
        if len(self) > 1:
            text = self.env._(
                "%(count)s archives will be read again as soon as there is room.", count=len(self)
            )
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "info",
                "message": text,
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    def _request_verification(self, copies, level=None, identity=None, priority=LATER):
        """:param priority: ``REQUESTED`` where somebody waits for it"""
        self._require_operator()
        run = self.sudo()
        copies = copies.sudo()._readable()
        level = run._checked_level(level)
        run._require_readable(copies, level, identity)
        if run.work == "verify":
            raise UserError(
                self.env._("%(run)s is being read right now.", run=run.display_name)
            )
        values = {"level": level, "priority": priority}
        if priority == REQUESTED:
            values["requested_by_id"] = self.env.uid
        tasks = self.env["backup.task"]
        if waiting := tasks._of("verify", run):
            # Both are done by one reading.
            values["level"] = max(level, waiting.level)
            values["priority"] = min(priority, waiting.priority)
        if identity:
            values["identity_sealed"] = self.env["backup.secret.mixin"]._seal(identity)
        copies.reading_requested = True
        tasks._plan("verify", fields.Datetime.now(), run, **values)
        run._log(
            self.env._(
                "Verification, level %(level)s, asked for by %(user)s.",
                level=level,
                user=self.env.user.name,
            )
        )

    def _withdraw_verify(self, task):
        self.copy_ids.reading_requested = False
        task._remove()

    def _checked_level(self, level):
        levels = dict(VERIFICATION_LEVELS)
        if level and str(level) not in levels:
            raise UserError(
                self.env._("Level: enter %(levels)s, not %(level)s.", levels=", ".join(levels),
                           level=level)
            )  # fmt: skip
        return str(level or self.wanted_level or DEFAULT)

    def _require_readable(self, copies, level, identity):
        if not copies:
            raise UserError(self.env._("%(run)s has no stored archive.", run=self.display_name))
        if level == DRILL and not identity and all(copies.mapped("encryption")):
            raise UserError(
                self.env._(
                    "%(run)s is stored encrypted: to restore it, enter the identity (the secret "
                    "key) that opens it.",
                    run=self.display_name,
                )
            )

    # --- doing it -------------------------------------------------------------------------------

    def _order_verify(self, task):
        copies = self.copy_ids.filtered(lambda copy: copy._is_to_be_read())
        identity = self.env["backup.secret.mixin"]._unseal(task.identity_sealed)
        # Used, and forgotten: the engine's order is the last place that has it.
        task.identity_sealed = False
        orders = [{**order, "identity": identity} for order in copies._engine_orders()]
        level = int(task.level)
        report = self.verification_report or {}
        order = {
            "action": "verify",
            "copies": orders,
            "archive_format": self.archive_format,
            "include_filestore": self.include_filestore,
            "database": self.database_name,
            "sha256": self.sha256,
            "verify_level": level,
            "since": report.get("since", ""),
            "gone": report.get("gone", []),
            "known_gaps": self._known_gaps(),
        }
        if level == RESTORED:
            order.update(self._order_drill())
        return order

    def _order_drill(self):
        restores = self.env["backup.restore"]
        server, chosen = restores._scratch_server(), restores._chosen_scratch_host()
        own = server_address(server) == server_address(restores._own_server())
        # Where nobody has chosen a server, one of the drill's own is better than Odoo's.
        isolation = {**restores._isolation(self, own), "cluster": not chosen}
        return {"scratch_server": server, "isolation": isolation}

    def _record_verify(self, task, event):
        """Write down one event of reading the copies again."""
        if event["event"] == "done":
            self._record_read_copies(event["copies"])
        elif event["event"] in ("failed", "lost"):
            code, error = failure_of(event)
            self._log(f"The verification was not done, ask again: {code}: {error}")
        else:
            return
        self.copy_ids.reading_requested = False

    def _give_back_verify(self, task):
        """Have dropped what a drill may have left that did not end in time."""
        if task.level == DRILL:
            self.env["backup.restore"]._request_sweep()

    def _record_read_copies(self, results):
        for result in results:
            self._record_read_copy(self.copy_ids.browse(result["id"]), result)
            self._record_gaps(result.get("gaps"))
        read = [result for result in results if result["ok"]]
        found = [result for result in read if result.get("finding")]
        if found:
            self._mark_found(found[0]["finding"], found[0]["report"], found[0].get("gaps"))
        elif read:
            # The one that was read furthest: sealed copies have no report.
            best = max(read, key=lambda result: (result["report"] or {"level": 0})["level"])
            self._mark_verified(best["report"])
        elif results and all(result["bad"] for result in results) and not self.copy_ids._whole():
            self._mark_verify_failed(results[0])

    def _record_read_copy(self, copy, result):
        place = copy.destination_id.name
        if result["ok"]:
            copy._mark_read()
            level = (result["report"] or {}).get("level")
            self._log(f"{place}: {self._tell_reading(level, result.get('finding'))}")
            self._record_drill(level, result)
            return
        self._record_unreadable(copy, result)

    def _record_drill(self, level, result):
        """Write down what a drill came to; one that was kept from a result stays to be done."""
        if failure := result.get("undetermined"):
            self._log(f"{failure['error_code']}: {failure['error']} {failure['hint']}")
            self.undetermined = {key: failure[key] for key in ("error_code", "error", "hint")}
        elif level == RESTORED or (result.get("finding") or {}).get("error_code") == RESTORE_FAILED:
            if not result.get("finding"):
                self.drilled_at = fields.Datetime.now()
            # What kept others of the same database from a result does so no more.
            self.search(
                [
                    ("job_id", "=", self.job_id.id),
                    ("database_name", "=", self.database_name),
                    ("undetermined", "!=", False),
                ]
            ).undetermined = False

    def _record_unreadable(self, copy, result):
        """A copy could not be read, or is not what was stored."""
        self._log(f"{copy.destination_id.name}: {result['error_code']}: {result['error']}")
        if result["bad"]:
            copy._mark_damaged(result["error_code"], result["error"])
            self._tell_damage(copy)
            return
        is_news = copy.error_code != result["error_code"]
        copy._mark_unread(result["error_code"], result["error"])
        if is_news:
            self._tell_unread(copy)

    @staticmethod
    def _tell_reading(level, finding):
        if finding:
            return f"level {level}, and then {finding['error_code']}: {finding['error']}"
        if level:
            return f"verified, level {level}."
        return "the stored bytes are the ones that were stored."

    def _tell_unread(self, copy):
        """A copy that nobody can read is none to rely on, whatever its archive is."""
        self._tell_copy(copy, self.env._("A stored archive cannot be read"))

    def _tell_damage(self, copy):
        """A stored archive went bad: that is for people to know at once."""
        self._tell_copy(copy, self.env._("A stored archive is damaged"))

    def _tell_copy(self, copy, what):
        """Leave a line in Odoo's log, and one in the chatter of the instance."""
        text = self.env._(
            "%(what)s: %(database)s, %(path)s in %(destination)s. %(error)s",
            what=what,
            database=self.database_name,
            path=copy.path,
            destination=copy.destination_id.name,
            error=copy.error,
        )
        _logger.warning("Backup of %r, %s: %s", self.instance_id.name, copy.error_code, text)
        self.instance_id.message_post(body=text)
