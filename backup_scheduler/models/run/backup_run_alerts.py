from odoo import fields, models

# What a run has come to that somebody may have to hear of; and what only pings tell.
TOLD = ("success", "verified", "failed", "verify_failed")
PINGED = ("running", "skipped", "cancelled")
URGENT = ("failed", "verify_failed")
# The dispatcher looks at so many at a time, oldest end first.
BATCH = 200


class BackupRunAlerts(models.Model):
    """Runs that have come to something, and were not looked at for alerts yet.

    The mark is set by the very UPDATE that changes the status, and nothing else happens there: what
    alerts need can neither fail nor slow the recording of a run, and nothing is lost between them.
    """

    _inherit = "backup.run"

    alert_due = fields.Boolean(
        readonly=True, copy=False, help="The dispatcher has yet to look whether to alert of it."
    )

    _alert_due_index = models.Index("(finished_at, id) WHERE alert_due")

    def _mark_for_alerts(self, vals):
        """Return what to write: also the mark, where the status is one to be looked at."""
        status = vals.get("status")
        if status in TOLD or (status in PINGED and self._pings()):
            return {**vals, "alert_due": True}
        return vals

    def _wake_for_alerts(self, vals):
        urgent = vals.get("status") in URGENT or self._pings()
        if vals.get("alert_due") and urgent:
            self.env["backup.dispatcher"]._wake()

    def _pings(self):
        """Return whether somebody outside waits to hear of these runs."""
        return any(job.ping_host for job in self.job_id)

    def _take_alerts(self):
        """Return the runs to look at, oldest end first, which are no longer marked."""
        self.flush_model()
        self.env.cr.execute(
            """
            UPDATE backup_run SET alert_due = FALSE
             WHERE id IN (
                SELECT id FROM backup_run WHERE alert_due
                 ORDER BY finished_at NULLS FIRST, id LIMIT %s FOR UPDATE SKIP LOCKED
             )
            RETURNING id
            """,
            (BATCH,),
        )
        runs = self.browse(row[0] for row in self.env.cr.fetchall())
        runs.invalidate_recordset(["alert_due"])
        return runs.sorted(lambda run: (bool(run.finished_at), run.finished_at, run.id))
