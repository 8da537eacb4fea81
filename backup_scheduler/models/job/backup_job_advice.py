"""What a job will do, in words, and what is missing for it to be of use."""

import datetime

from markupsafe import Markup, escape

from odoo import api, fields, models
from odoo.tools import format_list

from ...engine.archive.levels import LEVELS
from ...engine.schedule import ScheduleError
from ..arguments import one_record
from ..backup_message import translated
from .backup_job_planning import naive, utc
from .backup_retention_mixin import POLICY_FIELDS

# So many fires of each of two jobs are compared: of daily ones a month, of hourly ones a day.
COMPARED_FIRES = 30
# So many jobs are named where several meet; the rest is counted.
NAMED_JOBS = 3
DAY = datetime.timedelta(days=1)
# What each period of a thinned-out history reaches back.
PERIOD_SPANS = {
    "retention_hourly": DAY / 24,
    "retention_daily": DAY,
    "retention_weekly": 7 * DAY,
    "retention_monthly": 31 * DAY,
    "retention_yearly": 366 * DAY,
}
ADVICE_BOX = Markup(
    '<div class="alert alert-%s mb-2" role="%s"><ul class="mb-0 ps-3">%s</ul></div>'
)
POLICY = (
    "instance_id",
    "instance_id.max_parallel_runs",
    "instance_id.database_ids.present",
    "cron_expression",
    "timezone",
    "enabled",
    "database_scope",
    "database_ids",
    "archive_format",
    "include_filestore",
    "destination_ids.kind",
    "destination_ids.recipients",
    "verify_after_backup",
    "drill_interval",
    "catch_up",
    "max_age",
    *POLICY_FIELDS,
)


class BackupJobAdvice(models.Model):
    _inherit = "backup.job"

    summary = fields.Html(
        compute="_compute_summary", compute_sudo=False, sanitize=False, string="What It Does"
    )
    warnings = fields.Html(compute="_compute_warnings", compute_sudo=False, sanitize=False)

    @api.depends(*POLICY)
    @api.depends_context("lang")
    def _compute_summary(self):
        for job in self:
            job.summary = job._summary() if job.instance_id else False

    @api.depends(*POLICY)
    @api.depends_context("lang", "tz")
    def _compute_warnings(self):
        for job in self:
            job.warnings = job._told(job.advice()) if job.instance_id else False

    @one_record
    def advice(self):
        """Tell what the job lacks, without asking anybody over the network.

        :return: list of ``{code, level, text, hint}``, what matters most first; ``level`` is
            ``warning`` for what may cost the data of a database, and ``info`` for the rest.
            The codes never change their meaning.
        """
        self.check_access("read")
        found = [
            *self._advice_on_databases(),
            *self._advice_on_destinations(),
            *self._advice_on_retention(),
            *self._advice_on_schedule(),
        ]
        return sorted(found, key=lambda advice: advice["level"] != "warning")

    # --- in words -------------------------------------------------------------------------------

    def _summary(self):
        sentences = [
            self._what_in_words(),
            self._check_in_words(),
            self._retention_in_words(),
            self._promise_in_words(),
        ]
        return Markup(" ").join(sentence for sentence in sentences if sentence)

    def _what_in_words(self):
        return self.env._(
            "Backs up %(databases)s of %(instance)s to %(destinations)s: %(schedule)s (%(zone)s).",
            databases=self._databases_in_words(),
            instance=Markup("<strong>%s</strong>") % (self.instance_id.name or ""),
            schedule=Markup("<strong>%s</strong>") % self._schedule_in_words(),
            zone=self.timezone or self._default_timezone(),
            destinations=self._bold_names(self.destination_ids)
            or Markup("<em>%s</em>") % self.env._("no destination"),
        )

    def _databases_in_words(self):
        if self.database_scope == "all":
            return self.env._("all databases")
        return self._bold_names(self.database_ids) or self.env._("no database")

    def _schedule_in_words(self):
        """Return the description of the schedule as it is in the middle of a sentence."""
        told = self._describe_schedule()
        return told[:1].lower() + told[1:]

    def _bold_names(self, records):
        names = [Markup("<strong>%s</strong>") % name for name in records.mapped("name")]
        # The list is made of places first: what makes it knows nothing of markup.
        return names and escape(format_list(self.env, ["%s"] * len(names))) % tuple(names)

    def _check_in_words(self):
        level = LEVELS.get(int(self.verify_after_backup or 0))
        level = translated(level.name, self.env.lang) if level else ""
        if self.drill_interval in (False, "never"):
            return self.env._("Each archive is checked to level %(level)s.", level=level)
        intervals = dict(self._fields["drill_interval"]._description_selection(self.env))
        return self.env._(
            "Each archive is checked to level %(level)s, and the newest is restored %(interval)s "
            "to prove that it can be.",
            level=level,
            interval=intervals[self.drill_interval].lower(),
        )

    def _retention_in_words(self):
        told = {
            "keep_all": self.env._("All archives stay."),
            "keep_last_n": self.env._(
                "The newest %(count)s archives of each database stay.", count=self.retention_value
            ),
            "older_than_days": self.env._(
                "Archives stay for %(count)s days.", count=self.retention_value
            ),
            "gfs": self.env._(
                "Archives are thinned out: the newest of each of the last %(hours)s hours, "
                "%(days)s days, %(weeks)s weeks, %(months)s months and %(years)s years stays.",
                hours=self.retention_hourly,
                days=self.retention_daily,
                weeks=self.retention_weekly,
                months=self.retention_monthly,
                years=self.retention_yearly,
            ),
        }
        return told.get(self.retention_mode, "")

    def _promise_in_words(self):
        """Return when a database is late, where somebody has decided that."""
        if not self.max_age:
            return ""
        return self.env._(
            "A database is late %(count)s hours after its last good archive.", count=self.max_age
        )

    @api.model
    def _told(self, advice):
        """Return advice as the form shows it; nothing where there is none."""
        boxes = []
        for level, role in (("warning", "alert"), ("info", "status")):
            lines = [
                Markup("<li><strong>%(text)s</strong> %(hint)s</li>") % found
                for found in advice
                if found["level"] == level
            ]
            if lines:
                boxes.append(ADVICE_BOX % (level, role, Markup("").join(lines)))
        return Markup("").join(boxes) or False

    # --- what is missing ------------------------------------------------------------------------

    def _advice_on_databases(self):
        known = self.instance_id.database_ids.filtered("present")
        if self.database_scope == "selected" and not self.database_ids:
            yield self._advice(
                "no_database",
                self.env._("No database is selected."),
                self.env._("Select at least one, or choose “All databases”."),
            )
        elif self.database_scope == "all" and not known:
            yield self._advice(
                "no_database",
                self.env._("No database of the instance is known yet."),
                self.env._("Test the connection of the instance: that finds them."),
            )
        if self.archive_format == "dump" or not self.include_filestore:
            yield self._advice(
                "no_filestore",
                self.env._("Attachments are not in the archives."),
                self.env._(
                    "Documents and pictures are lost with the server, unless something else backs "
                    "up its filestore. The format “Zip” with the filestore holds all."
                ),
            )

    def _advice_on_destinations(self):
        places = self.destination_ids
        if not places:
            yield self._advice(
                "no_destination",
                self.env._("There is no destination."),
                self.env._("Choose where the archives are kept."),
            )
        elif set(places.mapped("kind")) == {"local"}:
            yield self._advice(
                "no_offsite",
                self.env._("No destination is off this server."),
                self.env._(
                    "What destroys this server, or the folder, destroys the archives too. Add a "
                    "destination elsewhere; a folder that is mounted from another machine counts "
                    "as one of this server."
                ),
            )
        open_ones = places.filtered(lambda place: place.kind != "local" and not place.recipients)
        if open_ones:
            yield self._advice(
                "not_encrypted",
                self.env._(
                    "Archives leave this server unencrypted: %(names)s.",
                    names=format_list(self.env, open_ones.mapped("name")),
                ),
                self.env._("“Encrypt For” on the destination encrypts them before they leave."),
                level="info",
            )

    def _advice_on_retention(self):
        if self.retention_mode == "keep_last_n" and self.retention_value == 1:
            yield self._advice(
                "single_archive",
                self.env._("Only one archive of each database stays."),
                self.env._(
                    "What is damaged in the database today is in the only archive tomorrow. Keep "
                    "some more."
                ),
            )
        span, pause = self._retention_span(), self._longest_pause()
        if span is not None and pause and span < pause:
            yield self._advice(
                "retention_too_short",
                self.env._("Archives go before the next one is due."),
                self.env._(
                    "They stay for %(span)s days, and up to %(pause)s days pass between two "
                    "backups: only what “Never Fewer Than” keeps is there. Keep them longer.",
                    span=_days(span),
                    pause=_days(pause),
                ),
            )

    def _retention_span(self):
        """Return how far back the archives that stay reach; None where time decides nothing."""
        if self.retention_mode == "older_than_days":
            return DAY * self.retention_value
        if self.retention_mode == "gfs":
            return max(span * self[field] for field, span in PERIOD_SPANS.items())
        return None

    def _longest_pause(self):
        """Return the longest time between two fires; None of a broken schedule."""
        try:
            return self._schedule().longest_pause()
        except ScheduleError:
            return None

    def _upcoming(self, count):
        try:
            return self._schedule().upcoming(count, utc(fields.Datetime.now()))
        except ScheduleError:
            return []

    def _advice_on_schedule(self):
        if not self.enabled:
            yield self._advice(
                "paused",
                self.env._("The job is paused."),
                self.env._("It makes no backups until it is resumed."),
                level="info",
            )
        if not self.catch_up:
            yield self._advice(
                "no_catch_up",
                self.env._("What is missed is not made up for."),
                self.env._(
                    "After a time in which this server was down, the next backup is made at the "
                    "next fire and no sooner. Tick “Catch Up” for one late backup."
                ),
                level="info",
            )
        if self.enabled:
            yield from self._advice_on_company()

    def _advice_on_company(self):
        """Tell which other jobs of the instance are due at the same minute."""
        domain = [
            ("instance_id", "in", self.instance_id._origin.ids),
            ("enabled", "=", True),
            ("id", "not in", self._origin.ids),
        ]
        others = self.search(domain)
        # Many jobs have the same schedule, and each takes its time to be asked.
        common = {
            schedule: self._first_common_fire(jobs[0])
            for schedule, jobs in others.grouped(lambda job: job._schedule_key()).items()
        }
        company = others.filtered(lambda other: common[other._schedule_key()])
        if company:
            first = min(common[other._schedule_key()] for other in company)
            yield self._advice(
                "same_minute", self._company_in_words(company, first), self._hint_on_company()
            )

    def _company_in_words(self, company, fire):
        moment = fields.Datetime.context_timestamp(self, naive(fire))
        told = {"moment": f"{moment:%Y-%m-%d %H:%M} ({moment.tzname()})"}
        if len(company) == 1:
            return self.env._(
                "“%(job)s” is due at the same minute: next on %(moment)s.",
                job=company.name,
                **told,
            )
        told["count"] = len(company)
        told["names"] = ", ".join(f"“{name}”" for name in company[:NAMED_JOBS].mapped("name"))
        if len(company) > NAMED_JOBS:
            return self.env._(
                "%(count)s other jobs are due at the same minute, such as %(names)s: next on "
                "%(moment)s.",
                **told,
            )
        return self.env._(
            "%(count)s other jobs are due at the same minute: %(names)s; next on %(moment)s.",
            **told,
        )

    def _schedule_key(self):
        return self.cron_expression, self.timezone

    def _hint_on_company(self):
        if self.instance_id.max_parallel_runs:
            return self.env._(
                "“Backups at a Time” of the instance is %(count)s: the others wait. Let one of the "
                "jobs begin later.",
                count=self.instance_id.max_parallel_runs,
            )
        return self.env._("The server makes all dumps at once. Let one of the jobs begin later.")

    def _first_common_fire(self, other):
        """Return the first of the next fires that both jobs have, or None.

        The fires of each are looked for in the other's schedule, so that a rare job meets one that
        is due every minute.
        """
        common = [
            fire
            for one, two in ((self, other), (other, self))
            for fire in one._upcoming(COMPARED_FIRES)
            if two._is_due(fire)
        ]
        return min(common, default=None)

    def _is_due(self, moment):
        try:
            before = moment - datetime.timedelta(seconds=1)
            return self._schedule().next_after(before) == moment
        except ScheduleError:
            return False

    @api.model
    def _advice(self, code, text, hint, level="warning"):
        return {"code": code, "level": level, "text": text, "hint": hint}


def _days(span):
    """Return a time in days as people read it."""
    return f"{span / DAY:.1f}".removesuffix(".0")
