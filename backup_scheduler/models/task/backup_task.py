import contextlib
import datetime
import os

import psycopg2

from odoo import api, fields, models, sql_db, tools
from odoo.tools import SQL

from ..arguments import one_record
from .kinds import ASIDE, BACKUP, KINDS, MANUAL, SCHEDULE, SPARE, in_places

# Seconds. An executor renews its leases well within the time after which a task counts as lost.
LEASE = 45
STAGES = [
    ("connect", "Connecting"),
    ("download", "Downloading"),
    ("verify", "Verifying"),
    ("store", "Storing"),
    ("publish", "Publishing"),
    ("read", "Reading"),
    ("decrypt", "Decrypting"),
    ("restore", "Restoring"),
    ("check", "Checking"),
]

# What a task knows of the attempt at hand.
NOT_BEGUN = {
    "cancel_requested": False,
    "stage": False,
    "stage_at": False,
    "progress": 0,
    "received": 0,
    "bytes_at": False,
}
# The fields of a run that are computed from its tasks.
SEEN = (
    "work", "stage", "progress", "received", "cancel_requested", "retry_at",
    "verification_requested_at",
)  # fmt: skip
# How often web clients hear of progress, and the changes that they hear of at once.
NOTIFY_PAUSE = datetime.timedelta(seconds=2)
NOTIFIED = {"lease_token", "stage", "cancel_requested", "due_at", "kind"}


class BackupTask(models.Model):
    """One thing for an executor to do: make a backup, verify an archive, send alerts.

    A row is a task that waits or is at work, and nothing else: it is gone when its work is done,
    and what came of it is on the record that it was about. There is one task of a kind for each
    such record, and an archive has one task at work, of whatever kind.

    An executor *claims* a task and holds it by a lease, which ends on the database's clock. All
    that it writes goes through :meth:`_held`, so that one that lost its lease writes nothing. What
    each kind does is said in :mod:`.kinds`.
    """

    _name = "backup.task"
    _description = "Backup Task"
    _order = "priority, due_at, id"

    kind = fields.Selection(
        lambda self: [(name, self.env._(kind.label)) for name, kind in KINDS.items()],
        required=True,
        readonly=True,
    )
    run_id = fields.Many2one("backup.run", readonly=True, ondelete="cascade")
    restore_id = fields.Many2one("backup.restore", readonly=True, ondelete="cascade")
    instance_id = fields.Many2one("backup.instance", readonly=True, ondelete="cascade")
    company_id = fields.Many2one(related="run_id.company_id", store=True)
    due_at = fields.Datetime("Due", required=True, readonly=True)
    priority = fields.Integer(
        readonly=True, aggregator=None, default=0, help="Lower comes first."
    )
    attempt = fields.Integer(
        readonly=True, aggregator=None, default=0, help="How often it was begun."
    )
    error_code = fields.Char(readonly=True, help="What the attempt before this one came to.")
    requested_at = fields.Datetime("Requested On", readonly=True, default=fields.Datetime.now)
    requested_by_id = fields.Many2one(
        "res.users", readonly=True, ondelete="set null",
        help="Empty: a schedule or a policy asked for it.",
    )  # fmt: skip
    level = fields.Char(readonly=True, help="The level that a verification is to reach.")
    identity_sealed = fields.Char(groups=fields.NO_ACCESS, copy=False)

    # Who executes it.
    worker = fields.Char(readonly=True)
    lease_token = fields.Char(readonly=True, groups=fields.NO_ACCESS, copy=False)
    lease_until = fields.Datetime(readonly=True, groups=fields.NO_ACCESS, copy=False)
    cancel_requested = fields.Boolean(readonly=True)
    begun_at = fields.Datetime("Begun", readonly=True)
    stage = fields.Selection(STAGES, readonly=True)
    stage_at = fields.Datetime(readonly=True, help="When the stage began.")
    progress = fields.Float(
        readonly=True, aggregator=None, help="Percent of the stage's expected size."
    )
    received = fields.Float(readonly=True, aggregator=None, help="Bytes received so far.")
    bytes_at = fields.Datetime(
        readonly=True, help="When the first bytes came: before that the server makes its archive."
    )
    notified_at = fields.Datetime(
        readonly=True, help="When the web clients were last notified of its progress."
    )
    is_at_work = fields.Boolean(compute="_compute_is_at_work", compute_sudo=True)

    _subject_unique = models.UniqueIndex(
        "(kind, COALESCE(run_id, 0), COALESCE(restore_id, 0))",
        "A record has one task of each kind.",
    )
    _one_at_work = models.UniqueIndex(
        "(run_id) WHERE lease_token IS NOT NULL", "An archive has one task at work."
    )
    _queue = models.Index("(priority, due_at, id) WHERE lease_token IS NULL")
    _leased = models.Index("(lease_until) WHERE lease_token IS NOT NULL")
    _at_work = models.Index("(instance_id) WHERE lease_token IS NOT NULL")
    _run = models.Index("(run_id)")

    @api.depends("lease_token")
    def _compute_is_at_work(self):
        for task in self:
            task.is_at_work = bool(task.lease_token)

    @api.depends("kind", "run_id.display_name", "restore_id.display_name")
    def _compute_display_name(self):
        kinds = dict(self._fields["kind"]._description_selection(self.env))
        for task in self:
            subject = (task.restore_id or task.run_id).display_name
            task.display_name = ": ".join(filter(None, (kinds[task.kind], subject)))

    # --- what people and scripts do -------------------------------------------------------------

    def cancel(self):
        """Stop tasks that are at work, within seconds, and withdraw those that wait.

        What follows from the state of an archive or a server goes on waiting: a clean-up, alerts,
        a copy that is missing somewhere.
        """
        self.env["backup.run"]._require_operator()
        self.check_access("read")
        if self.restore_id:
            self.run_id._require_manager()
        held = self.sudo().filtered("lease_token")
        held._request_cancel()
        for task in self.sudo() - held:
            task._call("withdraw")
        return True

    def _request_cancel(self):
        """Request the executors of these tasks to stop them.

        In transactions of their own, which wait for others and see what is newest: heartbeats and
        progress change the same rows all the time, and a transaction of Odoo's that stops several
        tasks would collide with one of them at each of its attempts.
        """
        stopped = self.browse(task.id for task in self if task._is_stopped_apart())
        stopped.run_id._notify_clients()
        stopped.invalidate_recordset(["cancel_requested"], flush=False)
        (self - stopped).cancel_requested = True

    def _is_stopped_apart(self):
        """Mark the task as to be stopped; return False where only this transaction can do it."""
        with contextlib.closing(sql_db.db_connect(self.env.cr.dbname).cursor()) as cr:
            cr.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            # Longer than anybody else holds the row; this transaction may do so, too.
            cr.execute("SET LOCAL lock_timeout = '2s'")
            try:
                # Only the lease that is seen here: another one is for a fresh view to decide.
                cr.execute(
                    "UPDATE backup_task SET cancel_requested = TRUE"
                    " WHERE id = %s AND lease_token = %s",
                    (self.id, self.lease_token or None),
                )
            except psycopg2.errors.LockNotAvailable:
                return False
            cr.commit()  # pylint: disable=invalid-commit
            return bool(cr.rowcount)

    @one_record
    def action_open(self):
        """Show what the task is about: all that can be done with it is done there."""
        subject = self.restore_id or self.run_id
        return subject.get_formview_action() if subject else False

    # --- planning -------------------------------------------------------------------------------

    @api.model
    def _plan(self, kind, due_at, subject=None, **values):
        """Have a task done at ``due_at`` (naive UTC); return it. One that waits is moved there.

        :param subject: the run or restore that it is about, where its kind has one
        """
        values = {"priority": KINDS[kind].priority, **values, "due_at": due_at}
        task = self._of(kind, subject) or self._insert(kind, subject, due_at)
        task.write(values)
        if due_at <= fields.Datetime.now():
            self.env["backup.dispatcher"]._wake()
        return task

    @api.model
    def _of(self, kind, subject=None):
        """Return the task of a kind that a record has, waiting or at work."""
        field = KINDS[kind].subject
        about = [(field, "=", subject.id)] if field else []
        return self.sudo().search([("kind", "=", kind), *about], limit=1)

    @api.model
    def _insert(self, kind, subject, due_at):
        """Return a new task. One that another transaction has just made is a collision with it,
        and no broken constraint: the caller's transaction comes again."""
        run = subject and (subject if subject._name == "backup.run" else subject.run_id)
        about = {
            "run_id": run and run.id,
            "restore_id": subject and subject._name == "backup.restore" and subject.id,
            "instance_id": run and run.instance_id.id,
            "company_id": run and run.company_id.id,
        }
        subject and subject.flush_recordset()
        now = fields.Datetime.now()
        values = {"kind": kind, "due_at": due_at, "requested_at": now, **about}
        self.env.cr.execute(
            SQL(
                "INSERT INTO backup_task (%s) VALUES %s ON CONFLICT DO NOTHING RETURNING id",
                SQL(", ").join(map(SQL.identifier, values)),
                tuple(value or None for value in values.values()),
            )
        )
        task = self.sudo().browse(row[0] for row in self.env.cr.fetchall())
        if not task:
            raise psycopg2.errors.SerializationFailure("Somebody else has just planned it.")
        run and run.invalidate_recordset(["task_ids", *SEEN], flush=False)
        subject and subject.invalidate_recordset(["task_ids"], flush=False)
        return task

    def _touch(self):
        """Conflict with a transaction that ends the task meanwhile: neither sees what the other
        writes elsewhere, so both write this row, and one of them is tried again."""
        self.env.cr.execute(
            "UPDATE backup_task SET write_date = %s WHERE id IN %s",
            (fields.Datetime.now(), tuple(self.ids)),
        )

    @api.model
    def _plan_attempts(self, runs):
        """Plan the first attempt of each run that is queued; return the tasks.

        In one statement: a planning has hundreds of runs.
        """
        runs = runs.filtered(lambda run: run.status == "queued")
        if not runs:
            return self.browse()
        runs.flush_recordset()
        self.env.cr.execute(
            SQL(
                """
                INSERT INTO backup_task (
                    kind, run_id, instance_id, company_id, due_at, priority, attempt,
                    requested_at, requested_by_id, create_uid, create_date, write_uid, write_date
                )
                SELECT CASE WHEN COALESCE(database_name, '') = '' THEN 'discover' ELSE 'backup' END,
                       id, instance_id, company_id, scheduled_at,
                       CASE WHEN trigger = 'manual' THEN %(manual)s ELSE %(schedule)s END, 0,
                       create_date, CASE WHEN trigger = 'manual' THEN create_uid END,
                       create_uid, create_date, create_uid, create_date
                  FROM backup_run
                 WHERE id IN %(runs)s
                 ORDER BY id
                RETURNING id
                """,
                manual=MANUAL,
                schedule=SCHEDULE,
                runs=tuple(runs.ids),
            )
        )
        tasks = self.sudo().browse(row[0] for row in self.env.cr.fetchall())
        runs.invalidate_recordset(["task_ids", *SEEN], flush=False)
        return tasks

    @api.model
    def _places_due(self):
        """Return the set of the places in which something is due, or was left in the middle."""
        self.flush_model(["kind", "due_at", "lease_token"])
        places = (BACKUP, SPARE, ASIDE)
        due = SQL("lease_token IS NOT NULL OR due_at <= %s", fields.Datetime.now())
        found = (
            SQL(
                "EXISTS (SELECT FROM backup_task WHERE kind IN %s AND (%s))",
                tuple(in_places([place])),
                due,
            )
            for place in places
        )
        self.env.cr.execute(SQL("SELECT %s", SQL(", ").join(found)))
        answers = self.env.cr.fetchone()
        return {place for place, is_due in zip(places, answers, strict=True) if is_due}

    # --- what its kind has -----------------------------------------------------------------------

    def _subject(self):
        """Return the record that it is about, or the model."""
        kind = KINDS[self.kind]
        return self[kind.subject] if kind.subject else self.env[kind.model]

    def _call(self, verb, *arguments):
        """Call what the kind has for it, if it has."""
        self.ensure_one()
        subject = self._subject()
        method = getattr(type(subject), f"_{verb}_{self.kind}", None)
        return method(subject, self, *arguments) if method else None

    @api.model
    def _clock(self):
        """Return the database's time: the one clock that all executors share (naive UTC)."""
        self.env.cr.execute("SELECT clock_timestamp() AT TIME ZONE 'UTC'")
        return self.env.cr.fetchone()[0]

    @api.model
    def _lease_end(self):
        return self._clock().replace(microsecond=0) + tools.date_utils.relativedelta(seconds=LEASE)

    @api.model
    def _spool_folder(self):
        """Return this database's own folder: several may share the configured one."""
        configured = self.env["ir.config_parameter"].sudo().get_param(
            "backup_scheduler.spool_folder"
        )
        root = configured or os.path.join(tools.config["data_dir"], "backup_scheduler", "spool")
        return os.path.join(root, self.env.cr.dbname)

    # --- the web clients ------------------------------------------------------------------------

    def write(self, vals):
        if not NOTIFIED.isdisjoint(vals):
            self.run_id._notify_clients()
            vals = {**vals, "notified_at": fields.Datetime.now()}
        elif "progress" in vals:
            vals = self._notify_progress(vals)
        return super().write(vals)

    def _remove(self):
        """Delete the tasks; in contrast to ``unlink`` this leaves the cache of all else alone, of
        which a thousand ends in one transaction make use."""
        if not self:
            return
        runs, restores = self.run_id, self.restore_id
        runs._notify_clients()
        self.flush_recordset()
        self.env.cr.execute("DELETE FROM backup_task WHERE id IN %s", (tuple(self.ids),))
        self.invalidate_recordset(flush=False)
        runs.invalidate_recordset(["task_ids", *SEEN], flush=False)
        restores.invalidate_recordset(["task_ids"], flush=False)

    def _notify_progress(self, vals):
        """Notify of progress, unless that was done a moment ago; return what to write.

        The moment is kept on the task, in the same update: clients are notified no more often,
        however many executors there are.
        """
        now = fields.Datetime.now()
        if all(task.notified_at and now - task.notified_at < NOTIFY_PAUSE for task in self):
            return vals
        self.run_id._notify_clients()
        return {**vals, "notified_at": now}
