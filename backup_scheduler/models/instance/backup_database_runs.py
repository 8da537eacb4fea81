from odoo import fields, models
from odoo.exceptions import ValidationError
from odoo.fields import Domain

from .. import arguments
from ..arguments import one_record
from ..overview.backup_overview_days import fires_within

# A run without a name stands for all databases of its job: its server could not be asked for them.
NAMELESS = ("database_name", "in", (False, ""))


class BackupDatabaseRuns(models.Model):
    """The runs that the overview counts of a database: what its links lead to."""

    _inherit = "backup.database"

    @arguments.accepts(
        start=arguments.moment, end=arguments.moment, statuses=arguments.texts
    )
    @one_record
    def action_open_runs(self, start=None, end=None, statuses=()):
        """Show the runs of the database, and those that stand for all databases of a job of its.

        :param start: UTC in Odoo's format: only those that were due from then on
        :param end: only those that were due before; and those later ones that tell of a fire that
            was missed between ``start`` and ``end``
        :param statuses: only those of these; all without any
        """
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id("backup_scheduler.backup_run_action")
        domain = self._runs_domain()
        if start and end:
            start, end = self._period(start, end)
            during = Domain("scheduled_at", ">=", start) & Domain("scheduled_at", "<", end)
            domain &= during | Domain("id", "in", self._runs_of_missed(start, end).ids)
        if statuses:
            domain &= Domain("status", "in", list(statuses))
        name = self.env._("Runs of %(database)s", database=self.name)
        title = {"name": name, "display_name": name}
        return {**action, **title, "domain": list(domain), "context": {}}

    def _period(self, start, end):
        try:
            return tuple(map(fields.Datetime.to_datetime, (start, end)))
        except ValueError as error:
            raise ValidationError(
                self.env._(
                    "start, end: enter times such as 2026-11-20 04:00:00, not %(start)s and "
                    "%(end)s.",
                    start=start,
                    end=end,
                )
            ) from error

    def _runs_domain(self):
        named = Domain("database_name", "=", self.name)
        return Domain("instance_id", "=", self.instance_id.id) & (named | self._nameless_domain())

    def _nameless_domain(self):
        """Return the domain of the runs that stand for this database since it is known."""
        jobs = self.instance_id.job_ids.filtered(lambda job: self in job._covered())
        known = self.create_date.replace(microsecond=0)
        unended = Domain("finished_at", "=", False) & Domain("scheduled_at", ">=", known)
        return (
            Domain(*NAMELESS)
            & Domain("job_id", "in", jobs.ids)
            & (Domain("finished_at", ">=", known) | unended)
        )

    def _runs_of_missed(self, start, end):
        """Return the runs that tell of a fire missed between two moments, and were due later."""
        told = self.env["backup.run"].search(
            self._runs_domain()
            & Domain("missed_since", "<", end)
            & Domain("scheduled_at", ">=", end)
        )
        known = self.create_date.replace(microsecond=0)
        return told.filtered(
            lambda run: run.job_id
            and fires_within(run.job_id, max(start, run.missed_since, known), end)
        )
