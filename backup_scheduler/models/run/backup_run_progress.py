import datetime

from odoo import api, fields, models

from .backup_run import GOOD

# The order in which an attempt goes through its stages; storing and publishing alternate.
STAGES = ("connect", "download", "verify", "store", "publish")
# Seconds and percent below which an estimate would be a guess.
SHORTEST, SMALLEST = 1, 1


class BackupRunProgress(models.Model):
    """How far a run is, how fast it goes on, and when it is likely to be through."""

    _inherit = "backup.run"

    stage_seconds = fields.Json(
        readonly=True,
        copy=False,
        help="Pairs of a stage that the last attempt went through and the seconds it took, in "
        "order: in the last one the attempt ended.",
    )
    speed = fields.Float(
        compute="_compute_speed", help="Bytes a second that come from the server; 0 when none do."
    )
    time_left = fields.Float(
        compute="_compute_time_left", help="Seconds to go, estimated; 0 when nothing is known."
    )

    @api.depends("status", "stage", "received", "task_ids.bytes_at")
    def _compute_speed(self):
        now = fields.Datetime.now()
        for run in self:
            bytes_at = run.stage == "download" and run._task_at_work().bytes_at
            seconds = (now - bytes_at).total_seconds() if bytes_at else 0
            run.speed = run.received / seconds if seconds >= SHORTEST else 0

    @api.depends("status", "stage", "work", "progress", "received", "speed", "task_ids.stage_at")
    def _compute_time_left(self):
        running = self.filtered(lambda run: run.status == "running")
        before = running._last_good_times()
        now = fields.Datetime.now()
        for run in self:
            if run in running:
                run.time_left = run._time_left(now, *before.get(run.id, (0, {})))
            else:
                run.time_left = run._stage_left(now) if run.work else 0

    def _time_left(self, now, last_duration, last_stages):
        """Return the seconds that a running run has to go.

        :param last_duration: seconds that the last good run of the database took
        :param last_stages: those of its stages
        """
        if left := self._stage_left(now):
            return left + sum(last_stages.get(stage, 0) for stage in self._stages_after())
        if not last_duration or not self.started_at:
            return 0
        return max(0, last_duration - (now - self.started_at).total_seconds())

    def _stages_after(self):
        return STAGES[STAGES.index(self.stage) + 1 :] if self.stage in STAGES else ()

    def _stage_left(self, now):
        """Return the seconds that the stage has to go at its pace so far; 0 when unknown."""
        task = self._task_at_work()
        began = task.bytes_at if self.stage == "download" else task.stage_at
        if not began or self.progress < SMALLEST:
            return 0
        return (now - began).total_seconds() * (100 - self.progress) / self.progress

    def _last_good_times(self):
        """Return ``{run id: (seconds, {stage: seconds})}`` of the last good run of each run's
        database, made the same way; in one query."""
        if not self.ids:
            return {}
        self.flush_model(["duration", "stage_seconds", "status", "finished_at"])
        self.env.cr.execute(
            """
            SELECT run.id, last.duration, last.stage_seconds
              FROM backup_run run
              JOIN LATERAL (
                    SELECT duration, stage_seconds
                      FROM backup_run good
                     WHERE good.instance_id = run.instance_id
                       AND good.database_name = run.database_name
                       AND good.archive_format = run.archive_format
                       AND good.status IN %s AND good.duration > 0
                     ORDER BY good.finished_at DESC
                     LIMIT 1
                   ) last ON TRUE
             WHERE run.id IN %s
            """,
            (GOOD, tuple(self.ids)),
        )
        return {
            run_id: (duration, dict(stages or ()))
            for run_id, duration, stages in self.env.cr.fetchall()
        }

    # --- what is noted on the way ---------------------------------------------------------------

    def _leave_stage(self):
        """Note how long the stage took that the attempt is in, if it is in one."""
        task = self._attempt_task()
        if not task.stage or not task.stage_at:
            return
        took = fields.Datetime.now() - task.stage_at
        seconds = dict(self.stage_seconds or ())
        # One that comes again goes to the end: in the last one the attempt ended.
        total = seconds.pop(task.stage, 0) + max(took, datetime.timedelta(0)).total_seconds()
        self.stage_seconds = [*seconds.items(), (task.stage, total)]
        task.stage_at = False
