from odoo import api, models

from ...after_commit import forgive

# What the web client listens to.
NOTIFICATION = "backup_scheduler.runs"
# Changes of a run that open web clients show at once; its tasks notify of their own.
SHOWN = {"status", "database_name", "pinned"}
# Where the runs to be told of wait for the end of the transaction.
WAITING = "backup_scheduler.runs"
# The key of the context whose set gathers them over several transactions instead.
GATHERED = "backup_runs_to_notify_of"


class BackupRunLive(models.Model):
    """Notifying the open web clients of runs that have changed, so that they show how things are.

    Ids and nothing else go out: who may see a run of those learns what became of it by reading it.
    There is one notification a transaction, however many runs it makes or changes.
    """

    _inherit = "backup.run"

    @api.model_create_multi
    def create(self, vals_list):
        runs = super().create(vals_list)
        runs._notify_clients()
        return runs

    def write(self, vals):
        """Mark what may have to be alerted of in the same UPDATE that changes the status."""
        if not SHOWN.isdisjoint(vals):
            self._notify_clients()
        values = self._mark_for_alerts(vals)
        result = super().write(values)
        self._wake_for_alerts(values)
        return result

    def _notify_clients(self):
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
            self.run_id._notify_clients()
        return super().write(vals)


class BackupRestoreLive(models.Model):
    """Whoever waits for a restore sees it go on: it is told as a change of its run."""

    _inherit = "backup.restore"

    @api.model_create_multi
    def create(self, vals_list):
        restores = super().create(vals_list)
        restores.run_id._notify_clients()
        return restores

    def write(self, vals):
        if "status" in vals:
            self.run_id._notify_clients()
        return super().write(vals)
