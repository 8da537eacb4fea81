from odoo import models

from ..task.kinds import ATTEMPTS
from .backup_run import ACTIVE

# What follows from the state of an archive's copies; the other tasks are requested.
DERIVED = ("delete", "replicate", "discard")


class BackupRunTasks(models.Model):
    """Which tasks a run has: the attempt at it, and what is to be done with its archive."""

    _inherit = "backup.run"

    # --- the attempt ----------------------------------------------------------------------------

    def _attempt_task(self):
        """Return the task of the attempt that waits or is at work."""
        return self.sudo().task_ids.filtered(lambda task: task.kind in ATTEMPTS)

    def _task_at_work(self):
        """Return the task of the run that an executor has, of whatever kind."""
        return self.sudo().task_ids.filtered("lease_token")

    def _queue(self, due_at, attempt=None):
        """Have the next attempt made from ``due_at`` on.

        :param attempt: how many there were; default: as many as were counted
        """
        self.ensure_one()
        kind = "backup" if self.database_name else "discover"
        values = {"kind": kind, "error_code": self.error_code}
        if attempt is not None:
            values["attempt"] = attempt
        if task := self._attempt_task():
            task._wait(due_at, **values)
        else:
            tasks = self.env["backup.task"]._plan_attempts(self)
            tasks.write({"due_at": due_at, "attempt": self.attempt, **values})

    # --- the archive ----------------------------------------------------------------------------

    def _plan_tasks(self):
        """Plan what is to be done with the archives, as their copies say. Called wherever a copy
        changes in what is to become of it."""
        for run in self:
            run._plan_archive_tasks()

    def _plan_archive_tasks(self):
        tasks = {task.kind: task for task in self.sudo().task_ids if task.kind in DERIVED}
        due = {} if self.status in ACTIVE else self._archive_moments()
        for kind in DERIVED:
            task, moment = tasks.get(kind), due.get(kind)
            if task and (task.lease_token or task.due_at == moment):
                # What follows is seen at its end.
                task._touch()
            elif moment:
                self.env["backup.task"]._plan(kind, moment, self)
            elif task:
                task._remove()

    def _archive_moments(self):
        """Return when each derived kind of task is due."""
        copies = self.copy_ids
        # What is missing elsewhere is made from one of these.
        has_source = bool(copies._whole())
        return {
            "delete": first(
                copy._deletion_moment() for copy in copies if copy._is_to_be_deleted()
            ),
            "replicate": first(
                copy._copying_moment()
                for copy in copies
                if has_source and copy._is_to_be_copied()
            ),
            "discard": first(
                copy._discard_moment() for copy in copies if copy._is_to_be_discarded()
            ),
        }


def first(moments):
    """Return the earliest of the moments; nothing when there is none."""
    return min(moments, default=False)
