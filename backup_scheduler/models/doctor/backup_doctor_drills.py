import datetime

from odoo import api, fields, models

from ..dispatcher.backup_housekeeping import plain_copy
from ..run.backup_run import GOOD
from .backup_doctor import problem

# A drill that came to nothing is asked for again the next day, and that one has its day too.
DRILL_GRACE = datetime.timedelta(days=2)


class BackupDoctorDrills(models.AbstractModel):
    """Restore drills that are due and never come to a result: a failed one shows on its run, one
    that is never done shows nowhere else. What kept one from a result is reported at once."""

    _inherit = "backup.doctor"

    @api.model
    def _examine_drills(self):
        """One problem: what keeps drills from a result mostly keeps all of them from it."""
        if undetermined := self._undetermined_drills():
            return [self._undetermined_problem(undetermined)]
        overdue = self._overdue_drills()
        if not overdue:
            return []
        job, name, since = min(overdue, key=lambda found: found[2])
        names = {
            "database": name,
            "job": job.name,
            "since": fields.Date.to_string(fields.Datetime.context_timestamp(self, since)),
            "count": len(overdue),
        }
        if len(overdue) == 1:
            text = self.env._(
                "No restore drill of %(database)s (job “%(job)s”) has come to a result since "
                "%(since)s, which is longer than promised.",
                **names,
            )
        else:
            text = self.env._(
                "The restore drills of %(count)s databases come to no result, for longer than "
                "promised: that of %(database)s (job “%(job)s”) since %(since)s.",
                **names,
            )
        domain = [("job_id", "=", job.id), ("database_name", "=", name), ("stored_copies", ">", 0)]
        newest = self.env["backup.run"].search([*domain, ("status", "in", GOOD)], limit=1)
        return [problem("drill", text, self._drill_hint(domain), newest)]

    @api.model
    def _undetermined_drills(self):
        """Return the runs, newest first, whose drill was kept from a result by this server: of each
        database that is promised drills, the last one."""
        runs = self.env["backup.run"].search(
            [
                ("undetermined", "!=", False),
                ("job_id.enabled", "=", True),
                ("job_id.drill_interval", "!=", "never"),
                ("status", "in", GOOD),
                ("stored_copies", ">", 0),
            ],
            order="id desc",
        )
        newest = {}
        for run in runs:
            newest.setdefault((run.job_id, run.database_name), run)
        return runs.browse(run.id for run in newest.values())

    @api.model
    def _undetermined_problem(self, runs):
        """What keeps one drill from a result mostly keeps all of them from it."""
        run = runs[0]
        failure = run._in_language("undetermined", run.undetermined)
        names = {
            "database": run.database_name,
            "job": run.job_id.name,
            "error": failure["error"],
            "count": len(runs),
        }
        if len(runs) == 1:
            text = self.env._(
                "Whether the archives of %(database)s (job “%(job)s”) can be restored could not be "
                "determined here: %(error)s",
                **names,
            )
        else:
            text = self.env._(
                "Whether the archives of %(count)s databases can be restored could not be "
                "determined here, of %(database)s (job “%(job)s”): %(error)s",
                **names,
            )
        again = self.env._("The drill is tried again every day, or press Verify Again on the run.")
        return problem("drill", text, " ".join(filter(None, (failure["hint"], again))), run)

    @api.model
    def _drill_hint(self, domain):
        plain = [*domain, ("status", "in", GOOD), ("copy_ids", "any", plain_copy())]
        if not self.env["backup.run"].search_count(plain, limit=1):
            return self.env._(
                "All of its archives are encrypted, and this server cannot open them: press Verify "
                "Again on the run with an identity, or give the job a destination without "
                "encryption."
            )
        return self.env._(
            "The log of the run says why, with the commands to run where PostgreSQL needs a role "
            "for it. See that the PostgreSQL in Settings → Backups → Restore Drills can be used "
            "from here, then press Verify Again on the run, level Restored."
        )

    @api.model
    def _overdue_drills(self):
        """Return ``(job, database name, since when)`` of each drill that is longer without a result
        than its job promises, of those that have something to restore."""
        jobs = self.env["backup.job"].search(
            [("enabled", "=", True), ("drill_interval", "!=", "never")]
        )
        if not jobs:
            return []
        runs, now = self.env["backup.run"], fields.Datetime.now()
        place = ["job_id", "database_name"]
        good = runs._read_group(
            [("job_id", "in", jobs.ids), ("status", "in", GOOD)],
            place,
            ["finished_at:min", "stored_copies:sum"],
        )
        results = self._drill_results(jobs, place)
        overdue = []
        for job, name, first, stored in good:
            since = max(filter(None, (first, job.drills_since, results.get((job, name)))))
            promise = datetime.timedelta(days=int(job.drill_interval)) + DRILL_GRACE
            if stored and now - since > promise:
                overdue.append((job, name, since))
        return overdue

    @api.model
    def _drill_results(self, jobs, place):
        """Return when the last drill ended, well or badly, by job and database name."""
        runs = self.env["backup.run"]
        drilled = [("job_id", "in", jobs.ids), ("drilled_at", "!=", False)]
        results = {
            (job, name): moment
            for job, name, moment in runs._read_group(drilled, place, ["drilled_at:max"])
        }
        asked = [
            ("job_id", "in", jobs.ids),
            ("status", "=", "verify_failed"),
            ("drill_requested_at", "!=", False),
        ]
        for run in runs.search_fetch(asked, [*place, "drill_requested_at", "verified_at"]):
            if run.verified_at and run.verified_at >= run.drill_requested_at:
                key = (run.job_id, run.database_name)
                results[key] = max(filter(None, (results.get(key), run.verified_at)))
        return results
