import contextlib
import datetime
import logging
import os
import re
import uuid

from odoo import api, fields, models, release, tools
from odoo.exceptions import UserError, ValidationError
from odoo.modules.module import get_modules
from odoo.sql_db import connection_info_for
from odoo.tools import file_open

from ...engine import messages
from ...engine.messages import joined
from ...engine_call import failure_of
from ..backup_message import MessageText
from ..task.backup_task import STAGES

_logger = logging.getLogger(__name__)

OPEN = ("queued", "running")
# As Odoo's database manager takes names.
DATABASE_NAME = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$")
# PostgreSQL's, in bytes.
NAME_LIMIT = 63
# What libpq is told of a PostgreSQL server.
SERVER_KEYS = ("host", "port", "user", "password", "sslmode")
SCRATCH_PREFIX = "backup_scheduler.scratch_"
ROLE_PREFIX = "backup_scheduler.restore_role"
# libpq's own, where none is entered.
POSTGRES_PORT = "5432"
# What a restore may end with that is true of the archive.
BAD_ARCHIVE = (
    "truncated", "not_an_archive", "damaged", "unsafe_dump", "archive_missing", "inconsistent",
)  # fmt: skip
SWEEP_PAUSE = datetime.timedelta(minutes=15)


class BackupRestore(models.Model):
    """Bringing one archive back as a new database, on a server of ours or on this one.

    A database that exists is never replaced. What it became is written here, on the run, and in the
    chatter of the instance.
    """

    _name = "backup.restore"
    _description = "Restore of an Archive"
    _inherit = ["backup.message.mixin"]
    _order = "id desc"

    run_id = fields.Many2one(
        "backup.run", "Archive", required=True, readonly=True, index=True, ondelete="cascade"
    )
    company_id = fields.Many2one(related="run_id.company_id", store=True, index=True)
    copy_id = fields.Many2one(
        "backup.copy",
        readonly=True,
        ondelete="set null",
        help="The one to read first; the others take over when it cannot be read.",
    )
    target = fields.Selection(
        [("instance", "An instance"), ("server", "This server")], required=True, readonly=True
    )
    instance_id = fields.Many2one(
        "backup.instance", "Target Instance", readonly=True, ondelete="set null"
    )
    database_name = fields.Char("New Database", required=True, readonly=True)
    neutralize = fields.Boolean(
        readonly=True,
        help="The restored database sends no mail, runs no scheduled action, and talks to no bank.",
    )
    status = fields.Selection(
        [
            ("queued", "Queued"),
            ("running", "Running"),
            ("done", "Done"),
            ("failed", "Failed"),
            ("cancelled", "Cancelled"),
        ],
        required=True,
        readonly=True,
        default="queued",
    )
    task_ids = fields.One2many("backup.task", "restore_id")
    stage = fields.Selection(STAGES, compute="_compute_task", compute_sudo=True)
    progress = fields.Float(
        compute="_compute_task", compute_sudo=True, help="Percent of the present stage."
    )
    started_at = fields.Datetime("Started", readonly=True)
    finished_at = fields.Datetime("Finished", readonly=True)
    error_code = fields.Char(readonly=True)
    error = MessageText(readonly=True)
    error_message = fields.Json(readonly=True, prefetch=False)
    hint = MessageText(readonly=True)
    hint_message = fields.Json(readonly=True, prefetch=False)
    checked = fields.Json(readonly=True)
    notes = MessageText(readonly=True)
    notes_message = fields.Json(readonly=True, prefetch=False)
    url = fields.Char("Address", compute="_compute_url")
    identity_sealed = fields.Char(groups=fields.NO_ACCESS, copy=False)

    _open_index = models.Index("(run_id) WHERE status IN ('queued', 'running')")

    @api.depends("database_name", "run_id")
    def _compute_display_name(self):
        for restore in self:
            restore.display_name = f"{restore.run_id.display_name} → {restore.database_name}"

    @api.depends("status", "task_ids.stage", "task_ids.progress")
    def _compute_task(self):
        for restore in self:
            restore.stage = restore.task_ids.stage
            restore.progress = 100 if restore.status == "done" else restore.task_ids.progress

    @api.depends("target", "instance_id.url", "database_name", "status")
    def _compute_url(self):
        for restore in self:
            to_instance = restore.target == "instance"
            root = restore.instance_id.url if to_instance else restore.get_base_url()
            known = restore.status == "done" and root
            restore.url = known and f"{root.rstrip('/')}/web?db={restore.database_name}"

    # --- what people and scripts do -------------------------------------------------------------

    def cancel(self):
        """Stop restores: queued ones at once, running ones within seconds. What was restored so far
        is removed where it is ours to remove (on this server)."""
        self.run_id._require_manager()
        for restore in self.sudo().filtered(lambda restore: restore.status in OPEN):
            if restore.status == "queued":
                restore._end(
                    "cancelled",
                    "cancelled",
                    messages._("Cancelled by %(user)s.", user=self.env.user.name),
                )
                restore.task_ids._remove()
            else:
                restore.task_ids._request_cancel()
        return True

    @api.constrains("database_name")
    def _check_database_name(self):
        for restore in self:
            name = restore.database_name or ""
            if not DATABASE_NAME.match(name) or len(name) > NAME_LIMIT:
                raise ValidationError(
                    self.env._(
                        "New Database: use 2 to %(limit)s letters, digits, “_”, “-” and “.”.",
                        limit=NAME_LIMIT,
                    )
                )

    # --- the transitions ------------------------------------------------------------------------

    def _mark_running(self):
        self.write({"status": "running", "started_at": fields.Datetime.now()})

    def _mark_done(self, result):
        self.write(
            {
                "checked": result["checked"],
                "notes": joined("\n", result.get("notes") or []) or False,
            }
        )
        self._end("done")

    def _mark_failed(self, code, error, hint=False):
        self._end("cancelled" if code == "cancelled" else "failed", code, error, hint)

    def _end(self, status, code=False, error=False, hint=False):
        self.write(
            {
                "status": status,
                "error_code": code,
                "error": error,
                "hint": hint,
                "finished_at": fields.Datetime.now(),
                "identity_sealed": False,
            }
        )
        self._tell_end()

    def _tell_end(self):
        """Leave a line in the log, on the run, and in the chatter of the instances concerned."""
        place = self.instance_id.name if self.target == "instance" else self.env._("this server")
        text = self.env._(
            "Restore of %(run)s as %(database)s on %(place)s: %(status)s. %(error)s",
            run=self.run_id.display_name,
            database=self.database_name,
            place=place,
            status=dict(self._fields["status"]._description_selection(self.env))[self.status],
            error=self.error or "",
        )
        level = logging.INFO if self.status == "done" else logging.WARNING
        _logger.log(
            level,
            "Backup restore %s: run %s as %r: %s %s",
            self.status,
            self.run_id.id,
            self.database_name,
            self.error_code or "",
            self.error or "",
        )
        self.run_id._log(text)
        for instance in self.run_id.instance_id | self.instance_id:
            instance.message_post(body=text)

    # --- as a task ------------------------------------------------------------------------------

    def _begin_restore(self, task):
        self._mark_running()

    def _record_restore(self, task, event):
        """Write down one event of the engine."""
        run = self.run_id
        if event["event"] == "unreadable":
            run._record_unreadable(run.copy_ids.browse(event["id"]), event)
        elif event["event"] == "done":
            self._mark_done(event)
            if self.instance_id:
                self.instance_id._record_database(event["database"])
        elif event["event"] == "failed":
            self._mark_failed(event["error_code"], event["error"], event.get("hint"))
            if event["error_code"] in BAD_ARCHIVE:
                # Which copies that is true of is found by reading them.
                run._request_verification(run.copy_ids)
        elif event["event"] == "lost":
            self._record_loss(event)

    def _record_loss(self, event):
        code, error = failure_of(event)
        hint = messages._(
            "Look whether the database %(name)s is there. On this server it appears only when it "
            "is complete. On an instance it may be there half restored, and has to be dropped.",
            name=self.database_name,
        )
        self._mark_failed(code, error, hint)

    def _give_back_restore(self, task):
        """What stands half restored on a server is nothing to begin anew by ourselves."""
        task._record({"event": "lost", "exit_code": None, "tail": task._loss()})

    def _withdraw_restore(self, task):
        self.cancel()

    def _plan_tasks(self):
        """A copy that a restore has found damaged is replaced from another one."""
        self.run_id._plan_tasks()

    # --- what killed processes leave in the spool, and on PostgreSQL ----------------------------

    @api.model
    def _request_sweep(self):
        self.env["backup.task"]._plan("sweep", fields.Datetime.now())

    @api.model
    def _order_sweep(self, task):
        return {"action": "sweep", "servers": self._servers()}

    @api.model
    def _record_sweep(self, task, event):
        now = fields.Datetime.now()
        if event["event"] in ("failed", "lost"):
            # A PostgreSQL that is away is asked again.
            task._wait(now + SWEEP_PAUSE)
        elif event["event"] == "done" and task.due_at > task.begun_at:
            # Requested again meanwhile.
            task._wait(task.due_at)
        elif event["event"] == "done" and event.get("left"):
            # In use: soon at first, later as rarely as the others.
            task._wait(now + min(datetime.timedelta(minutes=task.attempt), SWEEP_PAUSE))

    # --- what the engine is told ----------------------------------------------------------------

    def _order_restore(self, task):
        copies = self.run_id.copy_ids._whole()
        first = copies & self.copy_id
        identity = self.env["backup.secret.mixin"]._unseal(self.identity_sealed)
        # Used, and forgotten.
        self.identity_sealed = False
        return {
            "action": "restore",
            "candidates": (first + (copies - first))._engine_orders(),
            "archive_format": self.run_id.archive_format,
            "include_filestore": self.run_id.include_filestore,
            "database": self.run_id.database_name,
            "sha256": self.run_id.sha256,
            "report": self.run_id.verification_report or {},
            "identity": identity,
            "target": self._target_order(),
        }

    def _target_order(self):
        if self.target == "instance":
            if not self.instance_id:
                raise UserError(self.env._("The instance to restore to was deleted."))
            return {
                "kind": self.instance_id.connection,
                **self.instance_id._source_order(),
                "database": self.database_name,
                "neutralize": self.neutralize,
                # What takes the place of a lost database keeps its identity.
                "copy": self.neutralize,
            }
        return {
            "kind": "postgres",
            "server": self._own_server(),
            "database": self.database_name,
            "filestore": tools.config.filestore(self.database_name),
            "neutralization": self._neutralization() if self.neutralize else None,
            "known_modules": get_modules(),
            "version": release.major_version,
            "uuid": str(uuid.uuid4()) if self.neutralize else "",
            "isolation": self._isolation(self.run_id),
        }

    @api.model
    def _isolation(self, run, own_server=True):
        """Return how the engine is to keep the SQL of the archive of a run from other databases.

        :param own_server: whether it is restored on Odoo's own PostgreSQL
        """
        isolation = {"trusted": run._is_trusted()}
        if own_server and (role := self._restore_role()):
            isolation["role"] = role
        return isolation

    @api.model
    def _restore_role(self):
        """Return the role that the administrator has named for the SQL of dumps, or nothing."""
        parameters = self.env["ir.config_parameter"].sudo()
        user = parameters.get_param(ROLE_PREFIX)
        if not user:
            return {}
        sealed = parameters.get_param(f"{ROLE_PREFIX}_password")
        server = [*server_address(self._own_server()), user]
        return {
            "user": user,
            "password": self.env["backup.secret.mixin"]._unseal_for(server, sealed),
        }

    @api.model
    def _own_server(self):
        """Return how Odoo itself reaches its PostgreSQL, as keywords of libpq."""
        _name, info = connection_info_for("postgres")
        return {key: str(info[key]) for key in SERVER_KEYS if info.get(key)}

    @api.model
    def _chosen_scratch_host(self):
        """Return the PostgreSQL that was chosen for restore drills in Settings, empty for none."""
        return self.env["ir.config_parameter"].sudo().get_param(f"{SCRATCH_PREFIX}host") or ""

    @api.model
    def _scratch_server(self):
        """Return the PostgreSQL of restore drills: the one in Settings, or Odoo's own."""
        parameters = self.env["ir.config_parameter"].sudo()
        server = {key: parameters.get_param(SCRATCH_PREFIX + key) for key in SERVER_KEYS}
        if not server["host"]:
            return self._own_server()
        secrets = self.env["backup.secret.mixin"]
        server["password"] = secrets._unseal_for(server_address(server), server["password"])
        return {key: value for key, value in server.items() if value}

    @api.model
    def _servers(self):
        """Return each PostgreSQL that we make databases on, as an order to sweep names them."""
        own, scratch = self._own_server(), self._scratch_server()
        filestores = os.path.dirname(tools.config.filestore("any"))
        places = [{"server": own, "filestores": filestores}]
        if scratch != own:
            places.append({"server": scratch, "filestores": ""})
        return places

    @api.model
    def _neutralization(self):
        """Return what each module of this server says must be done to a copy, as SQL."""
        queries = {module: neutralize_sql(module) for module in get_modules()}
        return {module: sql for module, sql in queries.items() if sql}


def server_address(server):
    """Return host and port of a PostgreSQL, as a secret for it is bound to them."""
    host = (server.get("host") or "").strip().lower()
    return [host, (server.get("port") or "").strip() or POSTGRES_PORT]


def neutralize_sql(module):
    """Return the SQL by which a module wants a copy neutralised; most have none."""
    with (
        contextlib.suppress(FileNotFoundError),
        file_open(os.path.join(module, "data", "neutralize.sql")) as file,
    ):
        return file.read().strip()
    return ""
