from odoo import api, fields, models

from ...engine import messages
from .backup_run import ACTIVE, GOOD


class BackupRunMaking(models.Model):
    """How the runs of a fire come about, and which of them are there already."""

    _inherit = "backup.run"

    # --- making runs ----------------------------------------------------------------------------

    @api.model
    def _create_for(self, job, database_names, scheduled_at, trigger):
        """Make the runs of one fire; return them. One that exists already is not made again."""
        names = set(database_names)
        if trigger == "schedule":
            names -= self._names_of_fire(job, scheduled_at, trigger)
        overlapping = job.overlap_policy == "skip" and self._active_names(job)
        policy = self._policy_of(job)
        runs = self.sudo().create(
            [
                {
                    **policy,
                    "database_name": name,
                    "scheduled_at": scheduled_at,
                    "trigger": trigger,
                    # Known here; else an update of its own would say so.
                    "stored_copies": 0,
                    "copy_ids": [
                        (0, 0, {"destination_id": destination.id})
                        for destination in job.destination_ids
                    ],
                }
                for name in sorted(names)
            ]
        )
        opening = min(
            (place._opens_at(fields.Datetime.now()) for place in job.destination_ids),
            default=fields.Datetime.now(),
        )
        if overlapping:
            runs.filtered(lambda run: run.database_name in overlapping)._mark_skipped(
                "overlap", messages._("The run before it was not done yet.")
            )
        tasks = self.env["backup.task"]._plan_attempts(runs)
        if opening > fields.Datetime.now():
            # None of its destinations may be used before that.
            tasks.due_at = opening
        return runs

    @api.model
    def _policy_of(self, job):
        return {
            "job_id": job.id,
            "job_name": job.name,
            "instance_id": job.instance_id.id,
            "company_id": job.company_id.id,
            "archive_format": job.archive_format,
            "include_filestore": job.include_filestore,
            "wanted_level": job.verify_after_backup,
            "in_order": job.overlap_policy == "queue",
            "max_attempts": job.max_attempts,
            "retry_delay": job.retry_delay,
            "time_limit": job.time_limit,
        }

    @api.model
    def _names_of_fire(self, job, scheduled_at, trigger):
        if not job:
            # Deleted: its runs can no longer be told from those of other deleted ones.
            return set()
        self.flush_model(["job_id", "scheduled_at", "trigger", "database_name"])
        self.env.cr.execute(
            """
            SELECT COALESCE(database_name, '') FROM backup_run
             WHERE job_id = %s AND scheduled_at = %s AND trigger = %s
            """,
            (job.id, scheduled_at, trigger),
        )
        return {name for (name,) in self.env.cr.fetchall()}

    @api.model
    def _active_names(self, job):
        domain = [("job_id", "=", job.id), ("status", "in", ACTIVE)]
        return set(self.sudo().search(domain).mapped("database_name"))

    @api.model
    def _last_good(self, databases):
        """Return ``{(instance id, database name): its newest good run}``, in one query."""
        if not databases:
            return {}
        self.flush_model(
            [
                "instance_id", "database_name", "status", "finished_at", "stored_copies",
                "unverified_import",
            ]  # fmt: skip
        )
        self.env.cr.execute(
            """
            SELECT DISTINCT ON (instance_id, database_name) id
              FROM backup_run
             WHERE status IN %s AND stored_copies > 0 AND unverified_import IS NULL
               AND instance_id IN %s AND database_name IN %s
             ORDER BY instance_id, database_name, finished_at DESC
            """,
            (GOOD, tuple(databases.instance_id.ids), tuple(set(databases.mapped("name")))),
        )
        runs = self.browse(row[0] for row in self.env.cr.fetchall())
        return {(run.instance_id.id, run.database_name): run for run in runs}
