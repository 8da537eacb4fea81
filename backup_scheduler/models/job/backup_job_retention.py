import logging
from collections import defaultdict

import pytz

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import LazyTranslate

from ...engine.retention import Archive, Policy, plan
from .. import arguments
from ..arguments import one_record
from ..run.backup_run import GOOD
from .backup_job_planning import utc
from .backup_retention_mixin import POLICY_FIELDS

_logger = logging.getLogger(__name__)
_lt = LazyTranslate(__name__)

# What an archive lacks whose parts do not belong together, as a number of files.
WORST = 2**31
# By the codes of the engine's reasons.
REASONS = {
    "keep_all": _lt("Everything is kept."),
    "last": _lt("Among the newest: number %(number)s of %(limit)s."),
    "young": _lt("Not older than %(limit)s days."),
    "hourly": _lt("The newest of its hour (%(number)s of %(limit)s)."),
    "daily": _lt("The newest of its day (%(number)s of %(limit)s)."),
    "weekly": _lt("The newest of its week (%(number)s of %(limit)s)."),
    "monthly": _lt("The newest of its month (%(number)s of %(limit)s)."),
    "yearly": _lt("The newest of its year (%(number)s of %(limit)s)."),
    "pinned": _lt("Pinned."),
    "not_good": _lt("Not a good archive: it counts for nothing, and is left alone."),
    "has_issues": _lt("Has issues: it is counted beside the good ones, and replaces none."),
    "fewest_issues": _lt("No newer archive is good, and it has the fewest issues."),
    "future": _lt("Dated in the future: the clock was wrong."),
    "floor": _lt("Never fewer than %(limit)s (number %(number)s)."),
    "last_made": _lt("The last good one that was made."),
    "last_in_place": _lt("The last good one in one of the job's destinations."),
    "surplus": _lt("Newer ones fill the %(limit)s that are kept."),
    "old": _lt("Older than %(limit)s days."),
    "no_period": _lt("Not the newest of any period that is kept."),
}

# What guards keep of archives with issues is not the last good one.
REASONS_OF_ISSUES = {
    **REASONS,
    "last_made": _lt("The last one that was made."),
    "last_in_place": _lt("The last one in one of the job's destinations."),
}


class BackupJobRetention(models.Model):
    """Which archives of a job stay. The engine decides; copies are marked as to be deleted, or not.

    A job's policy is about its own runs, each database of each instance on its own. What deleted
    jobs have left has no policy, and stays.
    """

    _name = "backup.job"
    _inherit = ["backup.job", "backup.retention.mixin"]

    @api.constrains(*POLICY_FIELDS)
    def _check_retention(self):
        for job in self:
            job._retention_policy()

    # --- what people and scripts do -------------------------------------------------------------

    @arguments.accepts(policy=arguments.table)
    @one_record
    def preview_retention(self, policy=None):
        """Tell what would stay and what would go if retention were applied now; change nothing.

        :param policy: fields such as ``{"retention_mode": "keep_last_n", "retention_value": 7}``
            to try in place of those of the job; what is not given is as the job has it
        :return: for each archive, by database and newest first, ``{run_id, database, scheduled_at:
            ISO 8601 with the offset of the job's zone, size: bytes in all destinations, keep,
            reasons: [sentences], pinned, has_issues, destination}``; ``has_issues`` of one that is
            sound but lacks something; ``destination`` names the one with a policy of its own that
            the entry is about, and is empty for all others together
        Raises ValidationError that names the field that is wrong.
        """
        self.check_access("read")
        tried = self._tried_policy(policy)
        return [
            archive
            for scope in self._retention_scopes()
            for archive in self._preview_scope(scope, tried)
        ]

    def _preview_scope(self, scope, tried):
        zone = pytz.timezone(self._retention_timezone())
        own = scope.filtered("own_retention")
        return [
            {
                "run_id": run.id,
                "database": run.database_name,
                "destination": own.name or "",
                "scheduled_at": utc(run.scheduled_at).astimezone(zone).isoformat(),
                "size": sum(run._archive_copies(scope).mapped("size")),
                "keep": decision.keep,
                "reasons": self._tell_reasons(decision.reasons),
                "pinned": run.pinned,
                "has_issues": decision.archive.has_issues,
            }
            for run, decision in self._plan_retention(self._policy_of_scope(scope, tried), scope)
        ]

    @one_record
    def action_preview_retention(self):
        """Open the preview, where another policy can be tried."""
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Retention of %(job)s", job=self.name),
            "res_model": "backup.retention.preview",
            "view_mode": "form",
            "target": "new",
            "context": {"default_job_id": self.id},
        }

    # --- the policy -----------------------------------------------------------------------------

    def _retention_timezone(self):
        zone = self.timezone or self._default_timezone()
        # A zone that does not exist is for the schedule to complain of.
        return zone if zone in pytz.all_timezones_set else "UTC"

    def _retention_policy(self):
        return self._checked_policy(self._retention_values(), self._retention_timezone())

    def _tried_policy(self, values):
        """Return the policy of the job with ``values`` in place of its own."""
        values = values or {}
        if unknown := values.keys() - POLICY_FIELDS.keys():
            raise ValidationError(
                self.env._(
                    "%(field)s: no such field of a retention policy; there are %(fields)s.",
                    field=min(map(str, unknown)),
                    fields=", ".join(POLICY_FIELDS),
                )
            )
        return self._checked_policy(
            {**self._retention_values(), **values}, self._retention_timezone()
        )

    # --- deciding -------------------------------------------------------------------------------

    def _plan_retention(self, policy, scope, database_names=None):
        """Return ``[(run, the engine's decision)]`` for the archives of the job.

        :param scope: the destinations that the policy is for
        :param database_names: those alone; default: all that the job has archives of
        """
        self.ensure_one()
        runs = {run.id: run for run in self.sudo()._runs_with_archive(scope, database_names)}
        places = self.sudo().destination_ids & scope
        archives = [run._as_archive(places) for run in runs.values()]
        return [
            (runs[decision.archive.id], decision)
            for decision in plan(archives, policy, utc(fields.Datetime.now()))
        ]

    @api.model
    def _retention_scopes(self):
        """Return the destinations that follow their jobs, and each that has a policy of its own."""
        # There are few: each is a disk or a bucket.
        everywhere = self.env["backup.destination"].sudo().with_context(active_test=False)
        places = everywhere.search(fields.Domain.TRUE)
        own = places.filtered("own_retention")
        return [places - own, *own]

    def _policy_of_scope(self, scope, policy=None):
        """Return the policy that is in force there.

        :param policy: the job's, where another one is tried
        """
        if scope.filtered("own_retention"):
            return scope._policy_in_force(self._retention_timezone())
        return policy or self._policy_in_force()

    def _runs_with_archive(self, scope, database_names):
        domain = [("job_id", "=", self.id), ("stored_copies", ">", 0)]
        if database_names is not None:
            domain.append(("database_name", "in", list(database_names)))
        runs = self.env["backup.run"].search(domain, order="database_name, id")
        return runs.filtered(lambda run: run._archive_copies(scope))

    # --- applying -------------------------------------------------------------------------------

    def _apply_retention(self, database_names=None, with_issues_only=False):
        """Mark the copies that the policy has no use for as to be deleted; withdraw other marks.

        No file is touched here. Called when an archive was stored, and only then: neither a change
        of the policy nor the passing of time deletes anything.

        :param database_names: those alone; default: all that the job has archives of
        :param with_issues_only: the one that was stored is not good: no good one is given up
        """
        for job in self.sudo():
            for scope in job._retention_scopes():
                stay, go = job._sort_out(scope, database_names)
                job._keep_archives(stay, scope)
                for reasons, runs in go.items():
                    if with_issues_only:
                        runs = runs.filtered(lambda run: run.status not in GOOD)
                    job._give_up_archives(runs, scope, reasons)

    def _reconsider_deletions(self, database_names=None):
        """Withdraw the marks of what is to stay after all; mark nothing.

        It was pinned, the policy keeps more now, or a newer archive has turned out to be bad.
        Called right before files are deleted.
        """
        for job in self.sudo():
            for scope in job._retention_scopes():
                stay, _go = job._sort_out(scope, database_names)
                job._keep_archives(stay, scope)

    def _sort_out(self, scope, database_names):
        """Return the runs to keep there, and those to give up by the reasons why."""
        stay, go = [], defaultdict(list)
        policy = self._policy_of_scope(scope)
        for run, decision in self._plan_retention(policy, scope, database_names):
            if decision.keep:
                stay.append(run.id)
            else:
                go[decision.reasons].append(run.id)
        runs = self.env["backup.run"]
        return runs.browse(stay), {reasons: runs.browse(ids) for reasons, ids in go.items()}

    def _policy_in_force(self):
        """Return the policy to apply. One that became invalid deletes nothing, and says so."""
        try:
            return self._retention_policy()
        except ValidationError as error:
            _logger.warning("Retention of job %r keeps everything: %s", self.name, error)
            return Policy("keep_all")

    def _keep_archives(self, runs, scope):
        marked = runs.copy_ids.filtered("deleted_by_retention")
        marked.filtered(lambda copy: copy.destination_id in scope)._withdraw_deletion()

    def _give_up_archives(self, runs, scope, reasons):
        copies = runs._archive_copies(scope).filtered("destination_id.may_delete")
        unmarked = copies.filtered(lambda copy: not copy.deletion_requested_at)
        if unmarked:
            unmarked._request_deletion(" ".join(self._tell_reasons(reasons)))

    # --- telling --------------------------------------------------------------------------------

    def _tell_reasons(self, reasons):
        """Return a sentence for each of the engine's reasons."""
        has_issues = any(reason.code == "has_issues" for reason in reasons)
        known = REASONS_OF_ISSUES if has_issues else REASONS
        texts = [self.env._(known[reason.code]) for reason in reasons]
        return [
            text % reason._asdict() for text, reason in zip(texts, reasons, strict=True)
        ]


class BackupRun(models.Model):
    """What retention has to know of a run."""

    _inherit = "backup.run"

    def _archive_copies(self, scope):
        """Return the stored copies there, without those that a person has asked to delete."""
        return self.copy_ids.filtered(
            lambda copy: copy.status == "stored"
            and copy.destination_id in scope
            and (not copy.deletion_requested_at or copy.deleted_by_retention)
        )

    def _issue_count(self):
        """Return how much a sound archive lacks; None for one that is good, or not sound.

        One that lacks files alone is a better one than one whose parts do not belong together.
        """
        if not self._lacks_files():
            return None
        is_about_files = (self.open_gaps or {}).get("only", True)
        return self.gap_count if self.gap_count and is_about_files else WORST

    def _as_archive(self, destinations):
        """Return the archive of the run as the engine's retention sees it.

        Its content is of the moment at which its last attempt began: that of a run which was
        retried a week later is a week newer than its fire.

        :param destinations: those that should not lose their last archive
        """
        ended = self.finished_at or self.scheduled_at
        return Archive(
            id=self.id,
            database=(self.instance_id.id, self.database_name),
            moment=utc(self.started_at or ended),
            good=self.status in GOOD,
            issues=self._issue_count(),
            pinned=self.pinned,
            ended=utc(ended),
            places=tuple(self._archive_copies(destinations).destination_id.ids),
        )
