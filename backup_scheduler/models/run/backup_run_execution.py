import logging
import os
import uuid

from odoo import api, fields, models, tools
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY
from odoo.tools import SQL

from ...engine import messages
from ...engine.errors import InternalError, WorkerLost
from ...engine.naming import archive_path

_logger = logging.getLogger(__name__)

# Seconds. A worker renews its leases well within the time after which a run counts as lost.
LEASE = 45
# Only one process claims at a time, so that limits over several runs hold. The number names us
# among the users of PostgreSQL's advisory locks in this database.
CLAIM_LOCK = 7_046_029_254


class BackupRunExecution(models.Model):
    """The half of a run that its executor deals with: claiming, ordering, recording.

    Nothing here moves a byte or waits for anything; each method is one short transaction of the
    caller. All that an executor writes goes through :meth:`_held`, so that one that lost its lease
    writes nothing.
    """

    _inherit = "backup.run"

    # --- claiming -------------------------------------------------------------------------------

    @api.model
    def _claim(self, worker, run_id=None):
        """Take the next run that is due and allowed; return it, or an empty recordset.

        :param run_id: take this one or none

        The caller commits. Runs come in the order of their fires; limits per instance and jobs
        whose runs wait for each other are respected, also between several workers.
        """
        self.flush_model()
        self.env.cr.execute("SELECT pg_try_advisory_xact_lock(%s)", (CLAIM_LOCK,))
        if not self.env.cr.fetchone()[0]:
            return self.browse()
        self.env.cr.execute(self._claimable(run_id))
        run = self.browse(row[0] for row in self.env.cr.fetchall())
        if run:
            run._mark_running(worker, uuid.uuid4().hex, run._lease_end())
        return run

    @api.model
    def _claimable(self, run_id=None):
        return SQL(
            """
            SELECT run.id
              FROM backup_run run
              JOIN backup_instance instance ON instance.id = run.instance_id
             WHERE run.status = 'queued'%(only)s
               AND (run.retry_at IS NULL OR run.retry_at <= %(now)s)
               AND (
                    COALESCE(instance.max_parallel_runs, 0) = 0
                    OR instance.max_parallel_runs > (
                        SELECT count(*)
                          FROM backup_run other
                         WHERE other.instance_id = run.instance_id AND other.status = 'running'
                    )
               )
               AND NOT (
                    run.in_order AND EXISTS (
                        SELECT 1
                          FROM backup_run before
                         WHERE before.instance_id = run.instance_id
                           AND before.job_id = run.job_id
                           AND before.database_name = run.database_name
                           AND before.id < run.id
                           AND before.status IN ('queued', 'running')
                    )
               )
             ORDER BY run.scheduled_at, run.id
             LIMIT 1
               FOR UPDATE OF run SKIP LOCKED
            """,
            now=self._clock(),
            only=SQL(" AND run.id = %s", run_id) if run_id else SQL(),
        )

    @api.model
    def _clock(self):
        """Return the database's time: the one clock that all workers share (naive UTC)."""
        self.env.cr.execute("SELECT clock_timestamp() AT TIME ZONE 'UTC'")
        return self.env.cr.fetchone()[0]

    @api.model
    def _lease_end(self):
        return self._clock().replace(microsecond=0) + tools.date_utils.relativedelta(seconds=LEASE)

    def _place_copies(self):
        """Decide and record where each archive will lie, before a byte is written there.

        The place is the run's for good: a later attempt replaces what a lost one left there.
        """
        self._add_missing_copies()
        wanted = self.copy_ids.filtered(
            lambda copy: copy.status != "stored" and not copy.deletion_requested_at
        )
        now = fields.Datetime.now()
        opens = {copy: copy.destination_id._opens_at(now) for copy in wanted}
        for copy, moment in opens.items():
            if moment > now and min(opens.values()) <= now:
                # It gets its copy from another one, once its destination is open.
                copy.next_attempt_at = moment
                continue
            copy = copy._fit_to_recipients()
            if not copy.path and self.database_name:
                copy.path = self._free_path(copy)
            copy._mark_uploading()

    def _add_missing_copies(self):
        """Give a run without destinations those of its job, which may have gained some."""
        if not self.copy_ids and self.job_id:
            self.copy_ids = [
                (0, 0, {"destination_id": destination.id})
                for destination in self.job_id.destination_ids
            ]

    def _free_path(self, copy):
        taken = {"run_id": self.id, "number": 0}
        while taken:
            number = taken["number"] + 1
            path = archive_path(
                self.instance_id.name,
                self.database_name,
                self.scheduled_at,
                self.archive_format,
                number,
                encrypted=bool(copy.destination_id._recipients()),
            )
            domain = [("destination_id", "=", copy.destination_id.id), ("path", "=", path)]
            taken = {"number": number} if copy.search_count(domain, limit=1) else None
        return path

    # --- holding --------------------------------------------------------------------------------

    @api.model
    def _renew_leases(self, tokens):
        """Renew the leases of ``{run id: token}``; return ``{run id: cancel requested}`` of those
        that are still held."""
        if not tokens:
            return {}
        self.env.cr.execute(
            """
            UPDATE backup_run SET lease_until = %s
             WHERE lease_token IN %s
            RETURNING id, COALESCE(cancel_requested, FALSE)
            """,
            (self._lease_end(), tuple(tokens.values())),
        )
        held = dict(self.env.cr.fetchall())
        self.browse(held).invalidate_recordset(["lease_until"])
        return held

    @api.model
    def _held(self, run_id, token):
        """Return the run, locked, while ``token`` still holds it; else an empty recordset."""
        self.env.cr.execute(
            "SELECT id FROM backup_run WHERE id = %s AND lease_token = %s FOR UPDATE",
            (run_id, token),
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
            SELECT id FROM backup_run
             WHERE lease_token IS NOT NULL AND (lease_until < %s OR starts_with(worker, %s))
             ORDER BY id
               FOR UPDATE SKIP LOCKED
            """,
            (self._clock(), f"{seat}:" if seat else None),
        )
        runs = self.browse(row[0] for row in self.env.cr.fetchall())
        runs._mark_lost()
        return len(runs)

    def _mark_lost(self):
        """Count the attempt of a worker that is gone, and go on where the policy allows it."""
        for run in self:
            run._try_to_mark_lost()

    def _try_to_mark_lost(self):
        try:
            with self.env.cr.savepoint():
                self._end_lost_attempt()
        except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
            raise
        except Exception as error:
            _logger.exception("Backup run %s is lost beyond its own record", self.id)
            self._mark_unrecordable(error)

    def _end_lost_attempt(self):
        if self.status != "running":
            self._lose_work()
        elif self.stored_copies:
            self._end_with_what_is_stored(worker_lost(self.worker))
        elif self.cancel_requested:
            self._mark_cancelled(messages._("Cancelled; its worker was gone."))
        else:
            self._mark_failed(worker_lost(self.worker))

    def _mark_unrecordable(self, error):
        """End a run that breaks whoever touches it; by SQL, since its record may be why."""
        self.env.cr.execute(
            """
            UPDATE backup_run
               SET status = CASE WHEN status = 'running' THEN 'failed' ELSE status END,
                   error_code = %s, error = %s, finished_at = %s, worker = NULL,
                   lease_token = NULL, lease_until = NULL, verification_requested_at = NULL,
                   work = NULL, work_at = NULL, identity_sealed = NULL, alert_due = TRUE
             WHERE id = %s
            """,
            (InternalError.code, f"{type(error).__name__}: {error}", self._clock(), self.id),
        )
        self.env.cr.execute(
            """
            UPDATE backup_copy SET reading_requested = NULL, next_attempt_at = NULL
             WHERE run_id = %s
            """,
            (self.id,),
        )
        self.env.cr.execute(
            """
            UPDATE backup_restore SET status = 'failed', error_code = %s, identity_sealed = NULL
             WHERE run_id = %s AND status IN ('queued', 'running')
            """,
            (InternalError.code, self.id),
        )
        self.invalidate_recordset()

    # --- ordering -------------------------------------------------------------------------------

    def _engine_order(self):
        """Return what an engine process is told to do, secrets included; its copies get a place."""
        self.ensure_one()
        self._place_copies()
        source = self.instance_id._source_order()
        if not self.database_name:
            return {"action": "discover", "source": source}
        return {
            "action": "backup",
            "source": source,
            "database": self.database_name,
            "archive_format": self.archive_format,
            "include_filestore": self.include_filestore,
            "expected_size": self._expected_size(),
            "verify_level": int(self.wanted_level),
            "spool": self._spool_folder(),
            "token": f"run-{self.id}-{self.attempt}-{self.sudo().lease_token[:8]}",
            "time_limit": self.time_limit * 60,
            "destinations": self.copy_ids.filtered(
                lambda copy: copy.status == "uploading"
            )._engine_orders(),
            "catalogue": self._catalogue(),
        }

    @api.model
    def _spool_folder(self):
        """Return this database's own folder: several may share the configured one."""
        configured = self.env["ir.config_parameter"].sudo().get_param(
            "backup_scheduler.spool_folder"
        )
        root = configured or os.path.join(tools.config["data_dir"], "backup_scheduler", "spool")
        return os.path.join(root, self.env.cr.dbname)

    def _expected_size(self):
        """Return the bytes that the last good archive of this database had; 0 when unknown."""
        last = self.search(
            [
                ("instance_id", "=", self.instance_id.id),
                ("database_name", "=", self.database_name),
                ("archive_format", "=", self.archive_format),
                ("status", "in", ("success", "verified")),
            ],
            order="finished_at desc",
            limit=1,
        )
        return int(last.size)

    def _owner(self):
        """Return the name of this run in all the world, as catalogues beside archives know it."""
        if self.catalogue_owner:
            return self.catalogue_owner
        database_uuid = self.env["ir.config_parameter"].sudo().get_param("database.uuid")
        return f"{database_uuid}/{self.id}"

    def _catalogue(self):
        """Return what is put beside the archive, for the day on which this database is gone."""
        return {
            "run": self._owner(),
            "instance": self.instance_id.name,
            "url": self.instance_id.url,
            "database": self.database_name,
            "job": self.job_name,
            "trigger": self.trigger,
            "scheduled_at": f"{self.scheduled_at.isoformat()}Z",
            "started_at": f"{self.started_at.isoformat()}Z",
            "archive_format": self.archive_format,
            "include_filestore": self.include_filestore,
            "odoo_version": self.odoo_version or self.instance_id.odoo_version,
        }


def worker_lost(name):
    told = messages._("The worker %(name)s ended in the middle of the run.", name=name)
    return WorkerLost(told).as_dict()
