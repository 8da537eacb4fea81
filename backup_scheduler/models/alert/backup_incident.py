import logging

from odoo import api, fields, models

from ...engine import messages
from ..arguments import one_record
from ..backup_message import MessageChar, MessageText
from ..dispatcher.backup_dispatcher import isolated
from ..run.backup_run import GOOD, SUMMARY_LENGTH

_logger = logging.getLogger(__name__)

KINDS = [
    ("failed", "Backup Failed"),
    ("verify_failed", "Verification Failed"),
    ("late", "Backup Late"),
]
# Hours from which a span is told in days.
DAYS_FROM = 48
STATES = [("open", "Open"), ("recovered", "Recovered"), ("withdrawn", "Withdrawn")]


class BackupIncident(models.Model):
    """Something that is wrong with the backups of one database, from when it is seen until it is
    over: however many runs it lasts, people are told of it once.

    ``failed``: a run of a job ended without an archive; until one of the same job ends well.
    ``verify_failed``: an archive is no good one; until there is a newer good one, or the same is
    found good. ``late``: the last good archive is older than promised; until it is not.
    ``withdrawn``: nobody expects it to be over any more, as the job was switched off.
    """

    _name = "backup.incident"
    _description = "Backup Incident"
    _inherit = ["backup.message.mixin"]
    _order = "opened_at desc, id desc"

    kind = fields.Selection(KINDS, required=True, readonly=True)
    state = fields.Selection(STATES, required=True, readonly=True, default="open")
    instance_id = fields.Many2one(
        "backup.instance", required=True, readonly=True, index=True, ondelete="cascade"
    )
    company_id = fields.Many2one(related="instance_id.company_id", store=True, index=True)
    database_name = fields.Char(
        "Database", readonly=True, help="Empty: the server could not be asked for its databases."
    )
    place = fields.Char(compute="_compute_place")
    job_id = fields.Many2one("backup.job", readonly=True, index=True, ondelete="set null")
    job_key = fields.Integer(
        readonly=True,
        help="Of a failed backup: the id of its job, which stays when the job is deleted.",
    )
    opened_at = fields.Datetime("Since", required=True, readonly=True)
    closed_at = fields.Datetime("Over Since", readonly=True)
    first_run_id = fields.Many2one("backup.run", readonly=True, ondelete="set null")
    last_run_id = fields.Many2one("backup.run", readonly=True, ondelete="set null", index=True)
    last_at = fields.Datetime("Last Seen", readonly=True, help="When the last run of it ended.")
    run_count = fields.Integer("Runs", readonly=True)
    error_code = fields.Char(readonly=True)
    error = MessageChar(limit=SUMMARY_LENGTH, readonly=True)
    error_message = fields.Json(readonly=True, prefetch=False)
    hint = MessageText(readonly=True)
    hint_message = fields.Json(readonly=True, prefetch=False)
    alert_ids = fields.Many2many("backup.alert", string="Alerts", readonly=True)
    activity_ids = fields.Many2many("mail.activity", readonly=True, copy=False)

    _open_unique = models.UniqueIndex(
        "(instance_id, COALESCE(database_name, ''), kind, job_key) WHERE state = 'open'",
        "An incident is open only once.",
    )

    @api.depends("database_name", "instance_id.name", "kind")
    def _compute_display_name(self):
        kinds = dict(self._fields["kind"]._description_selection(self.env))
        for incident in self:
            incident.display_name = f"{kinds.get(incident.kind)}: {incident._place()}"

    @api.depends("database_name", "instance_id.name")
    def _compute_place(self):
        for incident in self:
            incident.place = incident._place()

    def _place(self):
        return " / ".join(filter(None, (self.instance_id.name, self.database_name)))

    @one_record
    def action_open_runs(self):
        """Show the runs of the database since shortly before it began."""
        action = self.env["ir.actions.act_window"]._for_xml_id("backup_scheduler.backup_run_action")
        domain = [
            ("instance_id", "=", self.instance_id.id),
            ("database_name", "=", self.database_name or ""),
        ]
        return {**action, "domain": domain, "context": {}}

    # --- opening --------------------------------------------------------------------------------

    @api.model
    def _see(self, kind, place, **seen):
        """Record that something is wrong; return the incident where it is a new one.

        :param place: ``{instance_id, database_name, job_key}``
        :param seen: fields of what was seen last
        Raises what PostgreSQL says when somebody else records the same right now.
        """
        if known := self._open_at(kind, place):
            known.write(seen)
            return self.browse()
        self.env.cr.execute(
            """
            INSERT INTO backup_incident (kind, state, instance_id, company_id, database_name,
                                         job_key, opened_at, create_uid, create_date)
            SELECT %(kind)s, 'open', id, company_id, %(database_name)s, %(job_key)s,
                   %(now)s, %(uid)s, %(now)s
              FROM backup_instance WHERE id = %(instance_id)s
            ON CONFLICT DO NOTHING
            RETURNING id
            """,
            {**place, "kind": kind, "now": fields.Datetime.now(), "uid": self.env.uid},
        )
        incident = self.browse(row[0] for row in self.env.cr.fetchall())
        incident.write({**seen, "first_run_id": seen.get("last_run_id", False)})
        return incident

    @api.model
    def _open_at(self, kind, place):
        domain = [("kind", "=", kind), ("state", "=", "open")]
        domain += [(name, "=", value) for name, value in place.items() if name != "database_name"]
        found = self.search(domain)
        return found.filtered(lambda one: (one.database_name or "") == place["database_name"])

    @api.model
    def _see_run(self, run):
        """Record the end of a run; return ``(opened, recovered)``, incidents both."""
        if run.status in ("failed", "verify_failed"):
            return self._see_bad_run(run), self.browse()
        if run.status in GOOD and run.stored_copies:
            return self.browse(), self._see_good_run(run)
        return self.browse(), self.browse()

    @api.model
    def _see_bad_run(self, run):
        place = {
            "instance_id": run.instance_id.id,
            "database_name": run.database_name or "",
            "job_key": run.job_id.id or 0 if run.status == "failed" else 0,
        }
        known = self._open_at(run.status, place)
        again = run == known.last_run_id
        return self._see(
            run.status,
            place,
            job_id=run.job_id.id,
            last_run_id=run.id,
            last_at=run.finished_at,
            run_count=known.run_count + (not again),
            error_code=run.error_code,
            error=run._message("error"),
            hint=run._message("hint"),
        )

    # --- closing --------------------------------------------------------------------------------

    @api.model
    def _see_good_run(self, run):
        """Close what this good archive ends; return it."""
        domain = [("instance_id", "=", run.instance_id.id), ("state", "=", "open")]
        ended = self.search(domain).filtered(lambda incident: incident._is_ended_by(run))
        return ended._recover(run)

    def _is_ended_by(self, run):
        if self.kind == "late":
            # How old it is, is another question, asked at the next look.
            return False
        # A server that could not be asked for its databases is well again with any of them.
        places = ("", run.database_name) if self.kind == "failed" else (run.database_name,)
        if (self.database_name or "") not in places:
            return False
        if self.kind == "failed" and self.job_key not in (0, run.job_id.id):
            return False
        return run == self.last_run_id or self._is_older_than(run)

    def _is_older_than(self, run):
        """Return whether the run ended after what was seen last.

        A moment that is yet to come was written while the clock was ahead, and says nothing: then
        the one that was made later counts, though a run that is tried again keeps its number.
        """
        seen_at, now = self.last_at or self.opened_at, fields.Datetime.now()
        if max(seen_at, run.finished_at) > now:
            return run.id > self.last_run_id.id
        return (run.finished_at, run.id) > (seen_at, self.last_run_id.id)

    def _recover(self, run=None):
        """Close them, well ended."""
        return self._close("recovered", **({"last_run_id": run.id} if run else {}))

    def _withdraw(self):
        """Close them without a word: nobody waits for their end any more."""
        return self._close("withdrawn")

    def _close(self, state, **values):
        """Close one by one; return those that could be. The rest stays open, and comes again."""
        closed = self.browse()
        for incident in self:
            with isolated(
                self.env.cr, _logger, "Backup incident %s cannot be closed", incident.id
            ):
                incident.write({"state": state, "closed_at": fields.Datetime.now(), **values})
                incident._end_activities()
                # What breaks on its way to the database breaks in here.
                self.env.cr.flush()
                closed += incident
        return closed

    def _end_activities(self):
        """Mark the activities as done whose incidents are all over."""
        for activity in self.activity_ids.exists():
            about = self.search([("activity_ids", "in", activity.ids)])
            if all(incident.state != "open" for incident in about):
                over = "recovered" in about.mapped("state")
                activity.sudo().action_feedback(
                    feedback=self.env._("The backups are good again.")
                    if over
                    else self.env._("No backup is expected any more.")
                )

    # --- what no run tells ----------------------------------------------------------------------

    @api.model
    def _look_at_protection(self):
        """Open and close what is late; return ``(opened, recovered)``.

        Asks how every database stands, so that it sees what did not happen too.
        """
        databases = self.env["backup.database"]
        stands = databases._protections()
        known = {
            (one.instance_id.id, one.database_name or ""): one
            for one in self.search([("kind", "=", "late"), ("state", "=", "open")])
        }
        opened, over, withdrawn = self.browse(), self.browse(), self.browse()
        # The names of those alone that may matter.
        late_ids = [key for key, stand in stands.items() if stand["state"] == "late"]
        matter = databases.browse(late_ids) | databases.with_context(active_test=False).search(
            [("instance_id", "in", [key[0] for key in known]), ("id", "in", list(stands))]
        )
        for database in matter:
            stand = stands[database.id]
            incident = known.pop((database.instance_id.id, database.name), self.browse())
            if stand["state"] == "late" and not incident:
                with isolated(
                    self.env.cr, _logger, "Backup database %s: late, not told", database.id
                ):
                    incident = self._see_late(database, stand)
                    self.env.cr.flush()
                    opened += incident
            elif incident and stand["state"] == "protected":
                over += incident
            elif incident and stand["state"] in ("unprotected", "absent"):
                withdrawn += incident
        # Of a database that was deleted here, or moved away.
        self.union(withdrawn, *known.values())._withdraw()
        return opened, over._recover()

    @api.model
    def _see_late(self, database, stand):
        jobs = self.env["backup.job"].browse(stand["job_ids"])
        talking = jobs.filtered("alerts")
        since = stand["last_good_at"]
        return self._see(
            "late",
            {"instance_id": database.instance_id.id, "database_name": database.name, "job_key": 0},
            # Switched off on all of its jobs, it is switched off here.
            job_id=jobs.id if len(jobs) == 1 else not talking and jobs[:1].id,
            last_at=stand["late_at"],
            last_run_id=stand["last_good_run_id"],
            error_code="late",
            error=self._tell_late(since, stand["promise"]),
            hint=messages._("See whether the jobs run at all, and why their runs end as they do."),
        )

    @api.model
    def _tell_late(self, since, promise):
        span = self._span_in_words(promise)
        if not since:
            return messages._(
                "There is no good archive at all; there was to be one within %(span)s.", span=span
            )
        return messages._(
            "The last good archive is of %(moment)s UTC; there was to be a newer one within "
            "%(span)s.",
            moment=f"{since:%Y-%m-%d %H:%M}",
            span=span,
        )

    @api.model
    def _span_in_words(self, seconds):
        hours = seconds / 3600
        if hours < DAYS_FROM:
            return messages._("%(hours)s hours", hours=f"{round(hours, 1):g}")
        return messages._("%(days)s days", days=f"{round(hours / 24, 1):g}")

    @api.model
    def _withdraw_abandoned(self):
        """Close what can no longer end well: its job is gone or switched off, or the database is.
        """
        unwatched = self.search([("kind", "!=", "late"), ("state", "=", "open")]).filtered(
            lambda incident: not incident._is_expected()
        )
        unwatched._withdraw()

    def _is_expected(self):
        """Return whether a backup that would end it is still expected."""
        if not self.instance_id.active:
            return False
        if self.kind == "failed":
            return self.job_id.enabled
        if self.job_id.enabled:
            return True
        domain = [("instance_id", "=", self.instance_id.id), ("enabled", "=", True)]
        return bool(self.env["backup.job"].search_count(domain, limit=1))

    def _not_begun_again(self):
        """Return those in whose place nothing of the kind is wrong now."""
        domain = [("instance_id", "in", self.instance_id.ids), ("state", "=", "open")]
        wrong = {one._key() for one in self.search(domain)} if self else ()
        return self.filtered(lambda one: one._key() not in wrong)

    def _key(self):
        """Return what is open only once."""
        return self.instance_id.id, self.database_name or "", self.kind, self.job_key

    @api.autovacuum
    def _gc_incidents(self):
        """Forget what is over for a year."""
        year_ago = fields.Datetime.subtract(fields.Datetime.now(), years=1)
        self.search([("state", "!=", "open"), ("closed_at", "<", year_ago)], limit=1000).unlink()
