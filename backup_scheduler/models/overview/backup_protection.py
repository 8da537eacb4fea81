import datetime

from odoo import api, fields, models
from odoo.tools import SQL

from ...engine.schedule import ScheduleError
from ..dispatcher.backup_dispatcher import CLOCK_TOLERANCE
from ..run.backup_run import GOOD

# Part of the longest pause of a schedule by which a good archive may come later, within bounds:
# a backup takes its time, and so do its retries.
GRACE = 0.25
LEAST_GRACE, MOST_GRACE = datetime.timedelta(hours=1), datetime.timedelta(days=1)
# Hours: ten years, of which the seconds fit into a column.
LONGEST_AGE = 87600
# What is promised for a job whose schedule cannot be read any more.
FALLBACK = datetime.timedelta(days=1)
PROTECTIONS = [
    ("protected", "Protected"),
    ("pending", "Waiting for a Backup"),
    ("late", "Late"),
    ("unprotected", "Unprotected"),
    ("absent", "No Longer There"),
]
# What a change of a job's promise is, and what makes it cover other databases.
PROMISED = ("cron_expression", "timezone", "enabled", "instance_id")
COVERED = ("instance_id", "database_scope", "database_ids")


class BackupJobPromise(models.Model):
    """What a job promises: that a good archive is never older than so much."""

    _inherit = "backup.job"

    max_age = fields.Integer(
        "Late After",
        tracking=True,
        help="Hours. A database is late when its last good archive is older than this. 0: the "
        "longest pause of the schedule and a quarter of it, at least one hour and at most a day "
        "more.",
    )
    promise = fields.Integer(
        "Oldest Last Archive",
        compute="_compute_promise",
        store=True,
        help="Seconds after the last good archive at which there is the next one.",
    )
    promised_since = fields.Datetime(
        readonly=True,
        copy=False,
        default=fields.Datetime.now,
        help="When the job was switched on or its schedule changed: what is promised counts from "
        "then.",
    )

    _max_age_positive = models.Constraint(
        f"CHECK(max_age BETWEEN 0 AND {LONGEST_AGE})",
        f"Late After: enter 0 (by the schedule) to {LONGEST_AGE} hours.",
    )

    @api.depends("cron_expression", "max_age")
    def _compute_promise(self):
        for job in self:
            # What is refused anyway must not fail for the size of its seconds before that.
            age = min(job.max_age, LONGEST_AGE) * 3600
            job.promise = age or int(job._promise_of_schedule().total_seconds())

    def _promise_of_schedule(self):
        try:
            pause = self._schedule().longest_pause()
        except ScheduleError:
            pause = FALLBACK
        return pause + min(max(pause * GRACE, LEAST_GRACE), MOST_GRACE)

    def _promises(self, vals):
        """Return what ``vals`` may change of what is promised, for :meth:`_renew_promises` after
        it."""
        if vals.keys().isdisjoint((*PROMISED, *COVERED)):
            return {}
        return {job: ([job[name] for name in PROMISED], job._covered()) for job in self}

    def _renew_promises(self, before):
        """Let what is promised count from now on, where it is another than before.

        What was written without changing anything leaves it as it is: a script that sets up the
        same jobs each day must not put off for ever that they are late.
        """
        jobs = self.filtered(before.get)
        changed = jobs.filtered(lambda job: before[job][0] != [job[name] for name in PROMISED])
        if changed:
            changed._promise_anew()
        for job in jobs - changed:
            if gained := job._covered() - before[job][1]:
                gained._promise_anew()

    def _covered(self):
        """Return the databases that the job backs up while it is switched on."""
        if self.database_scope == "selected":
            return self.database_ids
        return self.instance_id.database_ids

    def _promise_anew(self):
        """What is promised counts from now on: the jobs make backups again, or in another way."""
        self.sudo().promised_since = fields.Datetime.now()


class BackupDatabaseProtection(models.Model):
    """Whether the last good archive of a database is as new as its jobs promise."""

    _inherit = "backup.database"

    protection = fields.Selection(
        PROTECTIONS,
        compute="_compute_protection",
        search="_search_protection",
        help="Protected: the last good archive is as new as the jobs promise. Late: it is older. "
        "Unprotected: no job that is switched on covers the database.",
    )
    late_at = fields.Datetime(
        compute="_compute_protection", help="When the database is late without another archive."
    )
    promised_since = fields.Datetime(
        readonly=True,
        copy=False,
        help="When a job began to cover the database, or the server had it again: what is promised "
        "counts from then.",
    )

    def write(self, vals):
        if vals.get("present"):
            self.filtered(lambda database: not database.present)._promise_anew()
        return super().write(vals)

    def _promise_anew(self):
        """What is promised of these counts from now on."""
        self.sudo().promised_since = fields.Datetime.now()

    @api.depends_context("uid")
    def _compute_protection(self):
        protections = self._protections(self.ids)
        for database in self:
            # In a form, a new record stands for the real one.
            found = protections.get(database._origin.id, {})
            database.protection = found.get("state", False)
            database.late_at = found.get("late_at", False)

    def _search_protection(self, operator, value):
        if operator != "in":
            return NotImplemented
        found = self._protections()
        return [("id", "in", [key for key, one in found.items() if one["state"] in value])]

    @api.model
    def _protections(self, database_ids=None):
        """Return how each database stands, in a number of queries that does not grow.

        :param database_ids: of these; default: of all that the user may see
        :return: ``{database id: {state, promise (seconds; 0: none), late_at, last_good_at,
            last_good_run_id, size (bytes), next_run_at, job_ids}}``, moments UTC or False
        """
        every = fields.Domain.TRUE
        domain = every if database_ids is None else fields.Domain("id", "in", database_ids)
        databases = self.with_context(active_test=False).search(domain)
        if not databases:
            return {}
        for model in ("backup.database", "backup.instance", "backup.job", "backup.run"):
            self.env[model].flush_model()
        now = fields.Datetime.now()
        self.env.cr.execute(self._protection_query(databases.ids, now + CLOCK_TOLERANCE))
        rows = self.env.cr.dictfetchall()
        return {row.pop("id"): stand(row, now) for row in rows}

    @api.model
    def _protection_query(self, ids, latest):
        """Return the query. What says to be of later than ``latest`` was written by a clock that
        was ahead: of when it really is, nobody knows, and nothing can be promised on it."""
        return SQL(
            """
            SELECT database.id, database.present, good.id AS last_good_run_id,
                   good.finished_at AS last_good_at, good.size,
                   min(job.promise) AS promise, min(job.next_run_at) AS next_run_at,
                   array_agg(job.id ORDER BY job.id) FILTER (WHERE job.id IS NOT NULL) AS job_ids,
                   min(make_interval(secs => job.promise) + greatest(
                       good.finished_at, job.promised_since, database.promised_since,
                       CASE WHEN database.create_date <= %(latest)s THEN database.create_date END
                   )) AS late_at
              FROM backup_database database
              JOIN backup_instance instance ON instance.id = database.instance_id
              LEFT JOIN backup_job job
                ON job.instance_id = database.instance_id AND job.enabled AND instance.active
               AND database.present
               AND (job.database_scope = 'all' OR EXISTS (
                    SELECT 1 FROM backup_database_backup_job_rel chosen
                     WHERE chosen.backup_job_id = job.id
                       AND chosen.backup_database_id = database.id
               ))
              LEFT JOIN LATERAL (
                    SELECT run.id, run.finished_at, run.size
                      FROM backup_run run
                     WHERE run.instance_id = database.instance_id
                       AND run.database_name = database.name
                       AND run.status IN %(good)s AND run.stored_copies > 0
                       AND run.unverified_import IS NULL
                       AND run.finished_at <= %(latest)s
                     ORDER BY run.finished_at DESC
                     LIMIT 1
              ) good ON true
             WHERE database.id IN %(ids)s
             GROUP BY database.id, good.id, good.finished_at, good.size
            """,
            good=GOOD,
            ids=tuple(ids),
            latest=latest,
        )


def stand(row, now):
    """Return a row of the query in the words of :meth:`_protections`."""
    row = {**row, "size": row["size"] or 0, "promise": row["promise"] or 0}
    for key in ("late_at", "last_good_at", "last_good_run_id", "next_run_at"):
        row[key] = row[key] or False
    row["job_ids"] = row["job_ids"] or []
    for key in ("late_at", "next_run_at"):
        # make_interval() keeps fractions of a second, which Odoo's moments do not have.
        row[key] = row[key] and row[key].replace(microsecond=0)
    row["state"] = state_of(row, now)
    del row["present"]
    return row


def state_of(row, now):
    if not row["present"]:
        return "absent"
    if not row["job_ids"]:
        return "unprotected"
    if row["late_at"] and row["late_at"] < now:
        return "late"
    promised = datetime.timedelta(seconds=row["promise"])
    fresh = row["last_good_at"] and row["last_good_at"] + promised >= now
    return "protected" if fresh else "pending"
