import datetime

from odoo import api, fields, models

from ...after_commit import forgive

# What the web client listens to.
NOTIFICATION = "backup_scheduler.runs"
# Changes that are told at once, and those that come so often that they are told now and then.
TOLD = {
    "status", "stage", "work", "database_name", "pinned", "retry_at", "cancel_requested",
    "verification_requested_at",
}  # fmt: skip
TOLD_NOW_AND_THEN = {"progress", "received"}
TELLING_PAUSE = datetime.timedelta(seconds=2)
# Where the runs to be told of wait for the end of the transaction.
WAITING = "backup_scheduler.runs"
# The key of the context whose set gathers them over several transactions instead.
GATHERED = "backup_runs_to_tell"


class BackupRunLive(models.Model):
    """Telling the open web clients that runs have changed, so that they show how things are.

    Ids and nothing else go out: who may see a run of those learns what became of it by reading it.
    There is one notification a transaction, however many runs it makes or changes.
    """

    _inherit = "backup.run"

    told_at = fields.Datetime(
        readonly=True, copy=False, help="When its progress was last told to the web clients."
    )

    @api.model_create_multi
    def create(self, vals_list):
        runs = super().create(vals_list)
        runs._tell_clients()
        return runs

    def write(self, vals):
        if not TOLD.isdisjoint(vals):
            self._tell_clients()
            return super().write({**vals, "told_at": fields.Datetime.now()})
        if not TOLD_NOW_AND_THEN.isdisjoint(vals):
            vals = self._tell_progress(vals)
        return super().write(vals)

    def _mark_unrecordable(self, error):
        self._tell_clients()
        return super()._mark_unrecordable(error)

    def _tell_progress(self, vals):
        """Tell that the runs went on, unless that was done a moment ago; return what to write.

        The moment is kept on the run, in the same update: whoever executes it, and however many of
        them there are, it is told no more often.
        """
        now = fields.Datetime.now()
        if all(run.told_at and now - run.told_at < TELLING_PAUSE for run in self):
            return vals
        self._tell_clients()
        return {**vals, "told_at": now}

    def _tell_clients(self):
        """Have the web clients of all who may look at backups told, once this is committed."""
        if not self:
            return
        if (gathered := self.env.context.get(GATHERED)) is not None:
            gathered.update(self.ids)
            return
        precommit = self.env.cr.precommit
        if WAITING not in precommit.data:
            precommit.data[WAITING] = set()
            precommit.add(self.env["backup.run"]._send_to_clients)
        precommit.data[WAITING].update(self.ids)

    @api.model
    def _send_to_clients(self):
        run_ids = sorted(self.env.cr.precommit.data.pop(WAITING, ()))
        group = self.env.ref("backup_scheduler.group_backup_user", raise_if_not_found=False)
        if run_ids and group:
            forgive(self.env.cr)
            group.sudo()._bus_send(NOTIFICATION, {"ids": run_ids})


class BackupCopyLive(models.Model):
    """A copy is seen on its run: what becomes of it is told as a change of the run."""

    _inherit = "backup.copy"

    def write(self, vals):
        if "status" in vals or "next_attempt_at" in vals:
            self.run_id._tell_clients()
        return super().write(vals)


class BackupRestoreLive(models.Model):
    """Whoever waits for a restore sees it go on: it is told as a change of its run."""

    _inherit = "backup.restore"

    @api.model_create_multi
    def create(self, vals_list):
        restores = super().create(vals_list)
        restores.run_id._tell_clients()
        return restores

    def write(self, vals):
        if "status" in vals:
            self.run_id._tell_clients()
        return super().write(vals)


class BackupDispatcherLive(models.AbstractModel):
    """A planning of many jobs is told at once: each notification waits for the disk."""

    _inherit = "backup.dispatcher"

    @api.model
    def _plan_due_jobs(self, now):
        run_ids = set()
        dispatcher = self.with_context(**{GATHERED: run_ids})
        planned = super(BackupDispatcherLive, dispatcher)._plan_due_jobs(now)
        if run_ids:
            self.env["backup.run"].browse(run_ids)._tell_clients()
            self.env["ir.cron"]._commit_progress()
        return planned
