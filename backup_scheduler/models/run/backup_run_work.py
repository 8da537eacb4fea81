import datetime
import uuid

from odoo import api, fields, models
from odoo.tools import SQL

from ...engine import messages
from ...engine.messages import joined
from .backup_run import ACTIVE

WORK = [
    ("restore", "Restore"),
    ("deletion", "Deletion"),
    ("verification", "Verification"),
    ("replication", "Replication"),
    ("sweep", "Clean-Up"),
]
LAST_WORDS = ("done", "failed", "lost")
# A PostgreSQL that is away is asked again after this to drop what a killed process left.
# What may have made a scratch database.
USES_SCRATCH = ("restore", "verification")
# Seconds. Reading or restoring even the largest archive ends some time.
WORK_TIME_LIMIT = 48 * 3600
SWEEP_PAUSE = datetime.timedelta(minutes=15)


class BackupRunWork(models.Model):
    """What there is to do with the archive of a run that has ended, one thing at a time.

    Reading it again, restoring it, bringing it to a destination that missed it, deleting it: each
    is asked for on the records it is about, and ``work_at`` says when the first of it is due. An
    executor takes it under the run's lease, as it does with the run itself, so that no two of them
    are at one archive.
    """

    _inherit = "backup.run"

    work = fields.Selection(WORK, readonly=True, help="What is being done with the archive now.")
    work_at = fields.Datetime(
        readonly=True, help="When something is to be done with the archive; empty: nothing is."
    )

    scratch_at = fields.Datetime(
        readonly=True,
        help="When a scratch database may have been left by a process that was killed.",
    )

    _work_index = models.Index("(work_at, id) WHERE work_at IS NOT NULL")

    # --- planning -------------------------------------------------------------------------------

    def _plan_work(self):
        """Set when the first thing that was asked for is due. Called wherever one is asked for."""
        for run in self:
            moments = run._work_moments()
            due = min(moments.values()) if moments else False
            if run.work_at != due:
                run.work_at = due
        if any(run.work_at and run.work_at <= fields.Datetime.now() for run in self):
            self.env["backup.dispatcher"]._wake()

    def _work_moments(self):
        """Return when each kind of work is due, in the order in which it is done."""
        self.ensure_one()
        if self.status in ACTIVE:
            return {}
        copies = self.copy_ids
        moments = {
            "restore": self._queued_restore().create_date,
            "deletion": first(
                copy._deletion_moment() for copy in copies if copy._is_to_be_deleted()
            ),
            "verification": self.verification_requested_at,
            "replication": copies._whole()
            and first(copy._copying_moment() for copy in copies if copy._is_to_be_copied()),
            "sweep": not self.work and self.scratch_at,
        }
        return {kind: moment for kind, moment in moments.items() if moment}

    # --- claiming -------------------------------------------------------------------------------

    @api.model
    def _claim_work(self, worker, run_id=None, urgent=False):
        """Take the next archive that something is to be done with; return its run or nothing.

        What people wait for comes first: restores, and verifications that they have asked for.

        :param run_id: take this one or none
        :param urgent: only where somebody waits for a restore
        """
        self.flush_model()
        self.env["backup.restore"].flush_model()
        self.env.cr.execute(self._claimable_work(run_id, urgent))
        run = self.browse(row[0] for row in self.env.cr.fetchall())
        if run and not run._begin_work(worker):
            return self.browse()
        return run

    @api.model
    def _claimable_work(self, run_id, urgent):
        waits = SQL(
            "EXISTS (SELECT 1 FROM backup_restore WHERE run_id = run.id AND status = 'queued')"
        )
        return SQL(
            """
            SELECT run.id FROM backup_run run
             WHERE run.work_at <= %(now)s AND run.lease_token IS NULL
               AND run.status NOT IN ('queued', 'running')%(only)s%(urgent)s
             ORDER BY %(waits)s DESC, coalesce(run.verification_awaited, false) DESC,
                      run.work_at, run.id
             LIMIT 1 FOR UPDATE OF run SKIP LOCKED
            """,
            now=self._clock(),
            only=SQL(" AND run.id = %s", run_id) if run_id else SQL(),
            urgent=SQL(" AND %s", waits) if urgent else SQL(),
            waits=waits,
        )

    def _begin_work(self, worker):
        """Begin the first thing that is due; return False where nothing is, after all."""
        # By the same clock that chose this run.
        now = self._clock()
        due = [kind for kind, moment in self._work_moments().items() if moment <= now]
        if not due:
            # Withdrawn by somebody who did not see that it was planned.
            self.work_at = min(self._work_moments().values(), default=False)
            return False
        self.write(
            {
                "worker": worker,
                "lease_token": uuid.uuid4().hex,
                "lease_until": self._lease_end(),
                "work": due[0],
                "stage": False,
                "progress": 0,
            }
        )
        return True

    def _work_order(self):
        """Return what an engine process is told to do, secrets included."""
        order = getattr(self, f"_{self.work}_order")()
        return {
            "spool": self._spool_folder(),
            "token": f"{self.work}-{self.id}-{self.sudo().lease_token[:8]}",
            "time_limit": WORK_TIME_LIMIT,
            **order,
        }

    # --- recording ------------------------------------------------------------------------------

    def _record_work(self, event):
        """Write down one event of the engine. The caller holds the run."""
        if event["event"] in ("stage", "progress"):
            self._record_work_progress(event)
        elif event["event"] == "unreadable":
            self._record_unreadable(self.copy_ids.browse(event["id"]), event)
        if event["event"] in ("done", "failed") and self.work in USES_SCRATCH:
            # It has ended in order, and dropped what it made.
            self.scratch_at = False
        getattr(self, f"_record_{self.work}")(event)
        if event["event"] in LAST_WORDS:
            self._end_work()

    def _record_work_progress(self, event):
        total = event.get("total")
        self.write(
            {
                "stage": event["stage"],
                "progress": min(99.0, 100.0 * event["done"] / total) if total else 0,
            }
        )

    def _return_work(self):
        """Give it back: whoever comes next begins it anew.

        What stands half restored on a server is nothing to begin anew by ourselves, and what is on
        its way to a destination is tried again as after any failure.
        """
        if self.work in ("restore", "replication"):
            getattr(self, f"_record_{self.work}")(self._lost_work())
        self._end_work()

    def _lose_work(self):
        """The executor is gone in the middle of it."""
        getattr(self, f"_record_{self.work}")(self._lost_work())
        self._end_work()

    def _lost_work(self):
        tail = f"The worker {self.worker} is gone."
        return {"event": "lost", "exit_code": None, "tail": tail}

    def _record_sweep(self, event):
        if event["event"] == "done":
            self.scratch_at = False
        elif event["event"] in LAST_WORDS:
            self.scratch_at = fields.Datetime.now() + SWEEP_PAUSE

    def _sweep_order(self):
        return {"action": "sweep", "servers": self.env["backup.restore"]._servers()}

    def _end_work(self):
        self.write(
            {
                "work": False,
                "worker": False,
                "lease_token": False,
                "lease_until": False,
                "cancel_requested": False,
                "stage": False,
                "progress": 100,
            }
        )
        self._plan_work()

    def _failure_of(self, event):
        """Return what a last word other than ``done`` says, as code and text."""
        if event["event"] == "failed":
            return event["error_code"], event["error"]
        ended = messages._("The process ended.")
        if event["exit_code"] is not None:
            ended = messages._("The process ended with code %(code)s.", code=event["exit_code"])
        return "worker_lost", joined(" ", filter(None, (ended, event["tail"])))


def first(moments):
    """Return the earliest of the moments; nothing when there is none."""
    return min(filter(None, moments), default=False)
