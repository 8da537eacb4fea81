import datetime

from odoo import fields, models

from ...engine import messages
from ...engine.errors import DatabasesUnavailable, NoDatabase
from ...engine.messages import joined
from ...engine_call import failure_in

# How many times as many databases as a server may have are kept of those that are gone.
KEPT_GONE = 10
# Parallel runs of one server each learn that it answers: one of them writes it down.
CHECK_INTERVAL = datetime.timedelta(minutes=1)


class BackupInstanceRecording(models.Model):
    """What runs and tests have found out about the server."""

    _inherit = "backup.instance"

    def _record_server(self, version, names, confirmed=True):
        """Record that the server answered, and which databases it has now; return these.

        A server that lists more than one may have is failing, and so is one that lists none where
        it has some. The first of those that are new are recorded, as far as there is room beside
        the known ones.

        :param confirmed: whether a list without any can be believed
        """
        instance = self.sudo().with_context(active_test=False)
        known = {database.name: database for database in instance.database_ids}
        excess, listed = self._excess(names), set(names)
        present = listed & known.keys()
        # What is not there any more takes room, too, but not all of it.
        limit = self._max_databases()
        room = max(0, min(limit - len(present), KEPT_GONE * limit - len(known)))
        new = sorted(listed - known.keys())[:room]
        self.env["backup.database"].sudo().create(
            [{"instance_id": self.id, "name": name} for name in new]
        )
        if not excess and (listed or confirmed):
            instance.database_ids._record_presence(listed)
        problem = excess
        if not listed and instance._has_databases():
            problem = failure_in(self._no_database().as_dict())
        self._record_answer(version, problem)
        return sorted(present.union(new))

    def _has_databases(self):
        """Whether the server has databases, for all that is known here."""
        return any(self.sudo().with_context(active_test=False).database_ids.mapped("present"))

    def _no_database(self):
        """Return the error of a server that lists no database."""
        if self._has_databases():
            return DatabasesUnavailable(messages._("The server lists no database."))
        return NoDatabase(messages._("The server has no database."))

    def _record_answer(self, version, problem):
        """Record that the server answered, as a good check or one that found ``problem``."""
        if problem:
            self._record_problem(problem)
            self.sudo().odoo_version = version
            return
        instance = self.sudo()
        if instance.check_status != "ok" or instance.odoo_version != version or self._is_old():
            instance.write(
                {
                    "odoo_version": version,
                    "check_status": "ok",
                    "check_error": False,
                    "check_code": False,
                    "last_check_at": fields.Datetime.now(),
                }
            )

    def _record_problem(self, problem):
        """Record what a run or a test has found wrong with the server."""
        if self.sudo().check_code != problem["error_code"] or self._is_old():
            self._record_failed_check(problem)

    def _is_old(self):
        """Whether the last check was so long ago that the next one is written down."""
        last = self.sudo().last_check_at
        return not last or fields.Datetime.now() - last >= CHECK_INTERVAL

    def _record_database(self, name):
        """Record that the server has a database that we have just restored there."""
        known = self.sudo().with_context(active_test=False).database_ids
        if database := known.filtered(lambda database: database.name == name):
            database._record_presence([name])
        else:
            self.env["backup.database"].sudo().create({"instance_id": self.id, "name": name})

    def _record_failed_check(self, answer):
        self.sudo().write(
            {
                "check_status": "error",
                "check_code": answer["error_code"],
                "check_error": joined("\n", (answer["error"], answer["hint"])),
                "last_check_at": fields.Datetime.now(),
            }
        )
