import datetime

import pytz

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import SQL

from ...engine.archive.levels import BY_READING, DEFAULT, LEVELS
from ...engine.schedule import CronSchedule, ScheduleError
from .. import arguments
from ..arguments import one_record
from ..backup_message import MessageText, translated
from ..run.backup_run import LEVELS_AFTER_BACKUP, STATUSES

PREVIEW_LIMIT = 100
# Beyond them there are no fires to tell: neither zones nor years have an end in reach.
FIRST_YEAR, LAST_YEAR = 1900, 2999
# One click makes no more backups than this without being asked again; the key of the context with
# which it was.
ASK_ABOVE, CONFIRMED = 100, "backup_runs_confirmed"


class BackupJob(models.Model):
    _name = "backup.job"
    _description = "Backup Job"
    _inherit = ["mail.thread", "backup.company.mixin", "backup.message.mixin"]
    _order = "name, id"
    _check_company_auto = True
    _company_fields = ("company_id", "instance_id")

    name = fields.Char(required=True, tracking=True)
    instance_id = fields.Many2one(
        "backup.instance", required=True, index=True, ondelete="restrict", tracking=True
    )
    company_id = fields.Many2one(related="instance_id.company_id", store=True, index=True)
    cron_expression = fields.Char(
        "Schedule",
        required=True,
        default="0 2 * * *",
        tracking=True,
        help="Five fields: minute, hour, day of month, month, day of week. “0 2 * * *” is every "
        "day at 02:00, “30 4 * * mon,thu” Monday and Thursday at 04:30.",
    )
    timezone = fields.Selection(
        string="Time Zone",
        selection=lambda self: [(name, name) for name in pytz.all_timezones],
        tracking=True,
        help="The zone in which the schedule is meant. Empty: the one in Settings → Backups.",
    )
    enabled = fields.Boolean(
        default=True,
        tracking=True,
        help="A job that is switched off makes no backups; its history and archives stay.",
    )
    database_scope = fields.Selection(
        [("all", "All databases"), ("selected", "Selected databases")],
        required=True,
        default="all",
        tracking=True,
        help="“All” includes databases that are created on the server later.",
    )
    database_ids = fields.Many2many(
        "backup.database", string="Databases", domain="[('instance_id', '=', instance_id)]"
    )
    archive_format = fields.Selection(
        [("zip", "Zip (database and filestore)"), ("dump", "Dump (database only, pg_restore)")],
        required=True,
        default="zip",
        tracking=True,
        help="“Zip” is what Odoo's database manager restores. “Dump” is PostgreSQL's custom "
        "format: it streams at once and holds no attachments.",
    )
    include_filestore = fields.Boolean(
        default=True,
        tracking=True,
        help="Odoo servers before 19 always include the filestore in a zip.",
    )
    destination_ids = fields.Many2many(
        "backup.destination",
        string="Destinations",
        default=lambda self: self.env["backup.destination"].search([], limit=1),
        required=True,
        check_company=True,
        tracking=True,
    )
    verify_after_backup = fields.Selection(
        LEVELS_AFTER_BACKUP,
        required=True,
        default=str(DEFAULT),
        tracking=True,
        help="How far an archive is checked before it gets its name. "
        + " ".join(f"“{LEVELS[each].name}”: {LEVELS[each].meaning}" for each in BY_READING),
    )
    drill_interval = fields.Selection(
        [
            ("never", "Never"),
            ("1", "Every day"),
            ("7", "Every week"),
            ("30", "Every month"),
            ("90", "Every quarter"),
        ],
        string="Restore Drill",
        required=True,
        default="never",
        tracking=True,
        help="How often the newest archive of each database is restored for real: into a scratch "
        "database on the PostgreSQL that Settings → Backups names, counted, and dropped.",
    )
    overlap_policy = fields.Selection(
        [
            ("allow", "Run in parallel"),
            ("skip", "Skip the new one"),
            ("queue", "Wait for the one before"),
        ],
        required=True,
        default="allow",
        tracking=True,
        help="What happens when the job is due while its last run of the database is not done.",
    )
    catch_up = fields.Boolean(
        default=True,
        tracking=True,
        help="After a time in which the scheduler was down: make one late backup. Otherwise one "
        "skipped run says how many were missed.",
    )
    max_attempts = fields.Integer(
        default=3, tracking=True, help="How often a backup is tried in all."
    )
    retry_delay = fields.Integer(
        default=5,
        tracking=True,
        help="Minutes before the second attempt; doubled before each one after it.",
    )
    time_limit = fields.Integer(
        default=720, tracking=True, help="Minutes after which a run is stopped; 0 for no limit."
    )
    size_limit = fields.Float(
        "Maximum Archive Size",
        tracking=True,
        help="Gigabytes. A server that sends more is cut off, and the run fails. 0: ten times the "
        "largest of the last good archives of the database, and 5 GB more.",
    )
    next_run_at = fields.Datetime("Next Run", readonly=True, index=True, copy=False)
    last_run_at = fields.Datetime("Last Fire", readonly=True, copy=False)
    planned_at = fields.Datetime(
        readonly=True,
        index=True,
        copy=False,
        help="When the next run was computed. If that lies in the future, the clock was set back.",
    )
    planning_error = MessageText(readonly=True, copy=False)
    planning_error_message = fields.Json(readonly=True, copy=False, prefetch=False)
    run_ids = fields.One2many("backup.run", "job_id")
    run_count = fields.Integer(compute="_compute_run_count")
    latest_run_at = fields.Datetime("Last Run", compute="_compute_last_run")
    last_run_status = fields.Selection(STATUSES, compute="_compute_last_run")
    schedule_description = fields.Char(
        "In Words", compute="_compute_schedule_description", help="What the schedule means."
    )

    _max_attempts_positive = models.Constraint(
        "CHECK(max_attempts >= 1)", "Max Attempts: enter 1 or more."
    )
    _retry_delay_positive = models.Constraint(
        "CHECK(retry_delay >= 0)", "Retry Delay: enter 0 or more minutes."
    )
    _time_limit_positive = models.Constraint(
        "CHECK(time_limit >= 0)", "Time Limit: enter 0 (no limit) or more minutes."
    )
    _size_limit_positive = models.Constraint(
        "CHECK(size_limit >= 0)", "Maximum Archive Size: enter 0 (by the last archives) or more GB."
    )
    _due = models.Index("(next_run_at, id) WHERE enabled")

    # --- fields ---------------------------------------------------------------------------------

    def _compute_run_count(self):
        counts = dict(
            self.env["backup.run"]._read_group(
                [("job_id", "in", self.ids)], ["job_id"], ["__count"]
            )
        )
        for job in self:
            job.run_count = counts.get(job._origin, 0)

    def _compute_last_run(self):
        last = self._last_runs()
        for job in self:
            found = last.get(job._origin.id, (False, False))
            job.latest_run_at, job.last_run_status = found

    def _last_runs(self):
        """Return ``{job id: (due, status)}`` of its last run that the user may see, in one query.
        """
        if not self.ids:
            return {}
        runs = self.env["backup.run"]
        allowed = runs._search([])
        runs.flush_model()
        rows = self.env.execute_query(
            SQL(
                """
                SELECT job.id, last.scheduled_at, last.status
                  FROM unnest(%(jobs)s) AS job (id)
                  JOIN LATERAL (
                        SELECT backup_run.scheduled_at, backup_run.status
                          FROM %(source)s
                         WHERE backup_run.job_id = job.id AND %(allowed)s
                         ORDER BY backup_run.scheduled_at DESC, backup_run.id DESC
                         LIMIT 1
                       ) last ON true
                """,
                jobs=self.ids,
                source=allowed.from_clause,
                allowed=allowed.where_clause or SQL("true"),
            )
        )
        return {job_id: (due, status) for job_id, due, status in rows}

    @api.depends("cron_expression", "timezone")
    @api.depends_context("lang")
    def _compute_schedule_description(self):
        for job in self:
            job.schedule_description = job._describe_schedule()

    def _describe_schedule(self):
        try:
            told = self._schedule().describe(self.env.lang or "en_US")
            return translated(told, self.env.lang)
        except ScheduleError as error:
            return translated(error.for_people, self.env.lang)

    @api.constrains("cron_expression", "timezone")
    def _check_schedule(self):
        for job in self:
            job._require_valid_schedule()

    def _require_valid_schedule(self):
        try:
            self._schedule()
        except ScheduleError as error:
            reason = translated(error.for_people, self.env.lang)
            problem = self.env._("Schedule: %(error)s", error=reason)
            raise ValidationError(problem) from error

    @api.constrains("database_scope", "database_ids", "instance_id")
    def _check_databases(self):
        for job in self:
            if job.database_scope == "selected" and not job.database_ids:
                raise ValidationError(
                    self.env._(
                        "Databases: select at least one, or choose “All databases”. If the list is "
                        "empty, test the connection of the instance first."
                    )
                )
            if job.database_ids - job.instance_id.with_context(active_test=False).database_ids:
                raise ValidationError(
                    self.env._("Databases: select only databases of the job's instance.")
                )

    @api.onchange("instance_id")
    def _onchange_instance_id(self):
        # In a form, the chosen ones are new records that stand for real ones.
        if self.database_ids._origin - self.instance_id._origin.database_ids:
            self.database_ids = False

    @api.model_create_multi
    def create(self, vals_list):
        jobs = super().create(vals_list)
        jobs._plan()
        return jobs

    def write(self, vals):
        moved = {"cron_expression", "timezone", "enabled", "instance_id"} & vals.keys()
        if moved:
            self._plan_due_fires()
        promised, drills = self._promises(vals), self._drill_promises(vals)
        result = super().write(vals)
        if moved:
            self._plan()
        self._renew_promises(promised)
        self._renew_drill_promises(drills)
        return result

    # --- what people and scripts do -------------------------------------------------------------

    def run_now(self):
        """Queue a backup of each database of the jobs, at once; return the ids of the runs."""
        self.check_access("read")
        self.env["backup.run"]._require_operator()
        now = fields.Datetime.now()
        runs = self.env["backup.run"].sudo()
        # A run has all destinations of its job, also those that who asks may not see.
        for job in self.sudo():
            names = job._database_names() or [""]
            runs += runs._create_for(job, names, now, trigger="manual")
        self.env["backup.dispatcher"]._wake()
        return runs.ids

    def action_run_now(self):
        """Run now, and show the runs; of very many backups ask first."""
        count = sum(len(job._database_names()) or 1 for job in self.sudo())
        if count > ASK_ABOVE and not self.env.context.get(CONFIRMED):
            return self.env["backup.run.confirmation"]._ask(self, count)
        run_ids = self.run_now()
        action = self.env["ir.actions.act_window"]._for_xml_id("backup_scheduler.backup_run_action")
        if len(run_ids) == 1:
            return {**action, "res_id": run_ids[0], "views": [(False, "form")]}
        return {**action, "domain": [("id", "in", run_ids)], "context": {}}

    def action_pause(self):
        return self.write({"enabled": False})

    def action_resume(self):
        return self.write({"enabled": True})

    @one_record
    def action_open_runs(self):
        action = self.env["ir.actions.act_window"]._for_xml_id("backup_scheduler.backup_run_action")
        return {**action, "domain": [("job_id", "=", self.id)], "context": {}}

    @api.model
    @arguments.accepts(
        cron_expression=arguments.text,
        timezone=arguments.text,
        count=arguments.number,
        start=arguments.moment,
    )
    def preview_cron(self, cron_expression, timezone=None, count=5, start=None):
        """Tell when an expression fires: by the same function that the dispatcher asks.

        :param start: ISO 8601 or Odoo's format, UTC when it has no offset; default: now
        :return: ``{next_runs: [ISO 8601 with offset], description}``
        Raises UserError that says what is wrong with which field.
        """
        try:
            moment = parse_moment(start)
            count = parse_count(count)
            # Not the cached one: scripts send what they like, and a list can be no key.
            schedule = CronSchedule(cron_expression or "", timezone or self._default_timezone())
            fires = schedule.upcoming(count, moment)
        except ScheduleError as error:
            raise ValidationError(translated(error.message, self.env.lang)) from error
        except ValueError as error:
            raise ValidationError(str(error)) from error
        zone = pytz.timezone(schedule.timezone)
        return {
            "next_runs": [fire.astimezone(zone).isoformat() for fire in fires],
            "description": translated(
                schedule.describe(self.env.lang or "en_US"), self.env.lang
            ),
        }


def parse_moment(text):
    """Return the aware datetime that ``text`` names; now when there is none."""
    if not text:
        return datetime.datetime.now(datetime.timezone.utc)
    try:
        moment = datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError as error:
        problem = f"start: {text!r} is not a time such as 2026-11-20T04:00:00+01:00"
        raise ValueError(problem) from error
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"start: {text!r} is not between {FIRST_YEAR} and {LAST_YEAR}")
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


def parse_count(count):
    try:
        return max(1, min(int(count), PREVIEW_LIMIT))
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"count: {count!r} is not a number") from error
