import datetime
import logging
import uuid

import psycopg2

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY
from odoo.tools import SQL

from ...engine import messages
from ...engine.errors import BackupError, InternalError
from ...engine_call import LAST_WORDS, without_kill
from ..backup_secret_mixin import SecretKeyError
from .backup_task import NOT_BEGUN
from .kinds import KINDS, in_places, may_begin

_logger = logging.getLogger(__name__)

# Only one process claims at a time, so that limits over several tasks hold. The number names us
# among the users of PostgreSQL's advisory locks in this database.
CLAIM_LOCK = 7_046_029_254
# Seconds. Reading or restoring even the largest archive ends some time; a job has its own limit.
TIME_LIMIT = 48 * 3600
# These say nothing about the record at hand.
COLLISIONS = (*PG_CONCURRENCY_EXCEPTIONS_TO_RETRY, psycopg2.errors.UniqueViolation)
DATABASE_ERRORS = (psycopg2.OperationalError, psycopg2.InterfaceError)
# A task that not even its own record can end is tried again after this pause.
BROKEN_PAUSE = datetime.timedelta(minutes=10)


class BackupTaskExecution(models.Model):
    """The half of a task that its executor deals with: claiming, holding, recording, ending.

    Nothing here moves a byte or waits for anything; each method is one short transaction of the
    caller.
    """

    _inherit = "backup.task"

    # --- claiming -------------------------------------------------------------------------------

    @api.model
    def _claim(self, worker, places=None, task_id=None, run_id=None):
        """Take the next task that is due and may begin; return it, or an empty recordset.

        :param places: only kinds that go into one of them; None: all
        :param task_id: this task or none
        :param run_id: a task of this run or none

        The caller commits. Limits over several tasks hold between several executors too.
        """
        self.env.flush_all()
        self.env.cr.execute("SELECT pg_try_advisory_xact_lock(%s)", (CLAIM_LOCK,))
        if not self.env.cr.fetchone()[0]:
            return self.browse()
        self.env.cr.execute(self._claimable(places, task_id, run_id))
        task = self.browse(row[0] for row in self.env.cr.fetchall())
        if task:
            task._begin(worker)
        return task

    @api.model
    def _claimable(self, places, task_id, run_id):
        only = [SQL("TRUE")]
        if places is not None:
            only.append(SQL("task.kind IN %s", tuple(in_places(places)) or (None,)))
        if task_id:
            only.append(SQL("task.id = %s", task_id))
        if run_id:
            only.append(SQL("task.run_id = %s", run_id))
        return SQL(
            """
            SELECT task.id
              FROM backup_task task
             WHERE task.lease_token IS NULL AND task.due_at <= %(now)s AND %(only)s
               AND NOT EXISTS (
                    SELECT 1 FROM backup_task other
                     WHERE other.run_id = task.run_id AND other.lease_token IS NOT NULL
               )
               AND %(may_begin)s
             ORDER BY task.priority, task.due_at, task.id
             LIMIT 1
               FOR UPDATE OF task SKIP LOCKED
            """,
            now=self._clock(),
            only=SQL(" AND ").join(only),
            may_begin=may_begin(),
        )

    def _begin(self, worker):
        self.write(
            {
                "worker": worker,
                "lease_token": uuid.uuid4().hex,
                "lease_until": self._lease_end(),
                "attempt": self.attempt + 1,
                "begun_at": fields.Datetime.now(),
                **NOT_BEGUN,
            }
        )
        try:
            with self.env.cr.savepoint():
                self._call("begin")
        except (*COLLISIONS, *DATABASE_ERRORS):
            raise
        except Exception as error:  # noqa: BLE001 - one broken task must not stop the others
            self._end_broken(error)

    def _engine_order(self):
        """Return what an engine process is told to do, secrets included."""
        self.ensure_one()
        return {
            "spool": self._spool_folder(),
            "token": f"{self.kind}-{self.id}-{self.attempt}-{self.sudo().lease_token[:8]}",
            "time_limit": TIME_LIMIT,
            **self._call("order"),
        }

    # --- holding --------------------------------------------------------------------------------

    @api.model
    def _renew_leases(self, tokens):
        """Renew the leases of those tokens; return ``{task id: cancel requested}`` of the tasks
        that are still held."""
        if not tokens:
            return {}
        self.env.cr.execute(
            """
            UPDATE backup_task SET lease_until = %s
             WHERE lease_token IN %s
            RETURNING id, COALESCE(cancel_requested, FALSE)
            """,
            (self._lease_end(), tuple(tokens)),
        )
        held = dict(self.env.cr.fetchall())
        self.browse(held).invalidate_recordset(["lease_until"])
        return held

    @api.model
    def _held(self, task_id, token):
        """Return the task, locked, while ``token`` still holds it; else an empty recordset."""
        self.env.cr.execute(
            "SELECT id FROM backup_task WHERE id = %s AND lease_token = %s FOR UPDATE",
            (task_id, token),
        )
        return self.browse(row[0] for row in self.env.cr.fetchall())

    @api.model
    def _reap(self, seat=None):
        """End the attempts whose lease has run out; return how many there were.

        :param seat: its executors are known to be gone, whatever their leases say
        """
        self.flush_model()
        self.env.cr.execute(
            """
            SELECT id FROM backup_task
             WHERE lease_token IS NOT NULL AND (lease_until < %s OR starts_with(worker, %s))
             ORDER BY id
               FOR UPDATE SKIP LOCKED
            """,
            (self._clock(), f"{seat}:" if seat else None),
        )
        tasks = self.browse(row[0] for row in self.env.cr.fetchall())
        for task in tasks:
            task._end_by({"event": "lost", "exit_code": None, "tail": task._loss()})
        return len(tasks)

    def _loss(self):
        return messages._("The worker %(name)s is gone.", name=self.worker)

    # --- recording ------------------------------------------------------------------------------

    def _record(self, event):
        """Write down one event of the engine. The caller holds the task."""
        if event["event"] == "renewed":
            self.env["backup.copy"]._record_renewed(event)
            return
        if event["event"] == "lost" and KINDS[self.kind].leaves:
            self.env["backup.restore"]._request_sweep()
        event = without_kill(event)
        self._call("record", event)
        if event["event"] in LAST_WORDS:
            self._finish()
        elif event["event"] in ("stage", "progress"):
            self._record_progress(event)

    def _record_progress(self, event):
        now = fields.Datetime.now()
        done, total = event.get("done", 0), event.get("total", 0)
        values = {"progress": min(99.0, 100.0 * done / total) if total else 0}
        if event["stage"] != self.stage:
            values.update(stage=event["stage"], stage_at=now)
        if event["stage"] == "download":
            values["received"] = done
            if done and not self.bytes_at:
                values["bytes_at"] = now
        self.write(values)

    def _end_by(self, event):
        """End the attempt by a last word; where even that breaks, without its record."""
        try:
            with self.env.cr.savepoint():
                self._record(event)
        except (*COLLISIONS, *DATABASE_ERRORS):
            raise
        except Exception as error:
            _logger.exception("Backup task %s is broken beyond its own record", self.id)
            self._end_unrecordable(error)

    def _end_broken(self, error):
        """End an attempt of which not even the order could be made."""
        self._end_by({"event": "failed", **internal(error)})

    def _end_unrecordable(self, error):
        """End a task whose events cannot be recorded; by SQL, as its records may be the cause."""
        self.invalidate_recordset(flush=False)
        if run := self.run_id:
            run._mark_unrecordable(error)
            self.env.cr.execute("DELETE FROM backup_task WHERE run_id = %s", (run.id,))
            self._discard_beyond_recording(run.id)
        else:
            self.env.cr.execute(
                """
                UPDATE backup_task
                   SET lease_token = NULL, lease_until = NULL, worker = NULL, due_at = %s
                 WHERE id = %s
                """,
                (self._clock() + BROKEN_PAUSE, self.id),
            )
        self.env.invalidate_all(flush=False)

    @api.model
    def _discard_beyond_recording(self, run_id):
        """Plan the discard of what a run may have left whose events cannot be recorded; by SQL."""
        now = self._clock()
        self.env.cr.execute(
            """
            INSERT INTO backup_task (kind, run_id, instance_id, company_id, due_at, priority,
                                     attempt, requested_at)
            SELECT 'discard', id, instance_id, company_id, %s, %s, 0, %s
              FROM backup_run
             WHERE id = %s AND status NOT IN ('queued', 'running')
               AND EXISTS (
                    SELECT 1 FROM backup_copy
                     WHERE run_id = backup_run.id AND status IN ('uploading', 'failed')
                       AND discard_at IS NOT NULL AND path IS NOT NULL
               )
            """,
            (now + BROKEN_PAUSE, KINDS["discard"].priority, now, run_id),
        )

    def _give_back(self):
        """Release the task of an executor that stops, for another one to begin anew; end it when
        its cancellation was requested."""
        if self.cancel_requested:
            self._end_by({"event": "lost", "exit_code": None, "tail": self._loss()})
            return
        self._call("give_back")
        if self.exists() and self.sudo().lease_token:
            self._wait(self.due_at, attempt=self.attempt - 1)

    def _wait(self, due_at, **values):
        """Let it wait for an executor, from ``due_at`` on."""
        released = {"worker": False, "lease_token": False, "lease_until": False, "begun_at": False}
        self.write({**released, **NOT_BEGUN, "due_at": due_at, **values})

    def _finish(self):
        """Let go of what is done, unless it waits again; plan what follows from its end."""
        task = self.exists()
        if not task.sudo().lease_token:
            return
        subject = task._subject()
        task._remove()
        subject._plan_tasks()


def internal(error):
    """Return a failure that nobody foresaw as an engine would report it."""
    if isinstance(error, BackupError):
        return error.as_dict()
    if isinstance(error, SecretKeyError):
        return error.failure.as_dict()
    if isinstance(error, UserError):
        # It says itself what to do.
        return InternalError(str(error), hint="").as_dict()
    return InternalError.of(error).as_dict()
