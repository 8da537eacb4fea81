import logging
import urllib.parse

from odoo import api, fields, models, tools
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tools import LazyTranslate

from ...engine import messages
from ...engine.errors import TooManyDatabases
from ...engine_call import failure_in
from ..arguments import one_record
from ..backup_message import MessageText, all_translated
from .backup_source_mixin import LOCAL

_lt = LazyTranslate(__name__)
_logger = logging.getLogger(__name__)

# Seconds that a person waits for an answer before a form.
TEST_TIME_LIMIT = 90
LAST_RUNS = 50
# So many databases are named where nobody scrolls.
NAMED = 10
# A server that lists more is failing, unless a system parameter says how many there may be.
MAX_DATABASES = 1000
# By the interface that Odoo listens on, the loopback addresses that it has to itself: at others,
# and so at "localhost", another program of the machine may listen at the same port.
OWN_ADDRESSES = {
    "0.0.0.0": ("127.0.0.1",),  # noqa: S104 - it is asked for, and not listened on
    "127.0.0.1": ("127.0.0.1",),
    "::": ("127.0.0.1", "::1", "localhost"),
    "::1": ("::1",),
}
# What says which server it is and how it is reached: a check counts for these.
SOURCE_SETTINGS = {"connection", "url", "master_password", "verify_tls", "allow_insecure"}
# What says which server it is: another one has to be trusted anew.
SERVER_SETTINGS = {"connection", "url"}


class BackupInstance(models.Model):
    _name = "backup.instance"
    _description = "Backup Instance"
    _inherit = [
        "mail.thread", "backup.source.mixin", "backup.check.mixin", "backup.company.mixin",
        "backup.message.mixin",
    ]  # fmt: skip
    _order = "name, id"

    name = fields.Char(required=True, tracking=True)
    company_id = fields.Many2one(
        "res.company",
        default=lambda self: self.env.company,
        index=True,
        help="Only users of this company see the instance; left empty, all do. Only who may decide "
        "for all companies can leave it empty.",
    )
    active = fields.Boolean(default=True, tracking=True)
    trusted = fields.Boolean(
        "Trusted Archives",
        copy=False,
        tracking=True,
        help="SQL in an archive can do whatever the PostgreSQL role that restores it may do. So it "
        "is run by a role that reaches nothing but the restored database. Switched on, and only "
        "where no such role can be had here, archives of this instance are restored by the role of "
        "Odoo itself: anyone who controls that server can then read, change and delete every "
        "database of this one, and run programs if the role is a superuser. Switch it on for "
        "servers that you control as well as this one; for this server itself it is on.",
    )
    server_changed_at = fields.Datetime(
        readonly=True,
        copy=False,
        help="Archives from before this moment are of another server, or may be.",
    )
    max_parallel_runs = fields.Integer(
        "Backups at a Time",
        default=1,
        help="How many databases of this server are backed up at the same time; 0 for no limit. "
        "Each backup costs the server a dump and the disk space of one archive.",
    )
    odoo_version = fields.Char(readonly=True)
    check_status = fields.Selection(
        [("ok", "Reachable"), ("error", "Failing")],
        readonly=True,
        copy=False,
        # Odoo finds it for translation only in such a call.
        # pylint: disable-next=translation-field
        falsy_value_label=_lt("Not Checked"),
    )
    check_error = MessageText(readonly=True, copy=False)
    check_error_message = fields.Json(readonly=True, copy=False, prefetch=False)
    check_code = fields.Char(readonly=True, copy=False, help="The error's name, for scripts.")
    last_check_at = fields.Datetime("Last Check", readonly=True, copy=False)
    database_ids = fields.One2many("backup.database", "instance_id")
    job_ids = fields.One2many("backup.job", "instance_id")
    run_ids = fields.One2many("backup.run", "instance_id")
    last_run_ids = fields.Many2many("backup.run", compute="_compute_last_run_ids")
    database_count = fields.Integer(compute="_compute_counts")
    job_count = fields.Integer(compute="_compute_counts")
    run_count = fields.Integer(compute="_compute_counts")

    _max_parallel_runs_positive = models.Constraint(
        "CHECK(max_parallel_runs >= 0)", "Max Parallel Runs: enter 0 (no limit) or more."
    )

    _check_results = ("check_status", "check_error", "check_code")

    # --- fields ---------------------------------------------------------------------------------

    def _compute_last_run_ids(self):
        for instance in self:
            instance.last_run_ids = instance.run_ids.search(
                [("instance_id", "in", instance.ids)], limit=LAST_RUNS
            )

    @api.depends("database_ids", "job_ids")
    def _compute_counts(self):
        runs = dict(
            self.env["backup.run"]._read_group(
                [("instance_id", "in", self.ids)], ["instance_id"], ["__count"]
            )
        )
        for instance in self:
            instance.database_count = len(instance.database_ids.filtered("present"))
            instance.job_count = len(instance.job_ids)
            instance.run_count = runs.get(instance._origin, 0)

    @api.onchange("url", "connection")
    def _onchange_server(self):
        if (self.connection, self.url) != (self._origin.connection, self._origin.url):
            self.trusted = self.connection == LOCAL or is_this_server(self.url)
        if self.connection == LOCAL:
            self.company_id = False
            self.name = self.name or self._kind_class().name_of({})

    @api.model_create_multi
    def create(self, vals_list):
        instances = super().create([self._with_defaults(vals) for vals in vals_list])
        instances._tell_trusted()
        instances._plan_jobs()
        return instances

    @api.model
    def _with_defaults(self, vals):
        """Return the values of a new instance, with what depends on the server that it is."""
        if vals.get("connection") == LOCAL:
            return {"trusted": True, "company_id": False, **vals}
        return {"trusted": is_this_server(vals.get("url")), **vals}

    def _require_sharing(self):
        """Raise AccessError where one is this server itself, for those who may not read what all
        companies have there."""
        if self.env.su or self.env.user._shares_backups():
            return
        if LOCAL in self.sudo().mapped("connection"):
            raise AccessError(
                self.env._(
                    "This server: its databases are those of all companies. Only administrators, "
                    "and users who are allowed in all companies, can set up their backup and read "
                    "their archives."
                )
            )

    @api.constrains("connection", "company_id")
    def _check_this_server(self):
        this = self.filtered(lambda one: one.connection == LOCAL)
        # Odoo checks constraints as the superuser.
        this.sudo(False)._require_sharing()
        if this.company_id:
            raise ValidationError(
                self.env._(
                    "Company: leave it empty. The databases of this server are those of all "
                    "companies."
                )
            )

    def _tell_trusted(self):
        for instance in self.filtered("trusted"):
            instance.message_post(
                body=self.env._(
                    "Trusted Archives is on. Where no other role can be had, SQL of its archives "
                    "is run by the role of Odoo."
                )
            )

    def write(self, vals):
        active = vals.get("active")
        moved = self.filtered(lambda one: active is not None and one.active != active)
        moved.job_ids._plan_due_fires()
        self._forget_checks(SOURCE_SETTINGS, vals)
        result = super().write(self._without_trust(vals))
        moved._plan_jobs()
        moved.job_ids._promise_anew()
        return result

    def _without_trust(self, vals):
        """Return the values, which end the trust in what becomes another server, and in its
        archives from before."""
        moved = any(
            one[name] != vals[name] for one in self for name in SERVER_SETTINGS & vals.keys()
        )
        # Without it, a man in the middle can send an archive too.
        moved |= not vals.get("verify_tls", True) and any(self.mapped("verify_tls"))
        if not moved:
            return vals
        if vals.get("connection") == LOCAL:
            vals = {"trusted": True, "company_id": False, **vals}
        return {"trusted": False, **vals, "server_changed_at": fields.Datetime.now()}

    def _plan_jobs(self):
        self.job_ids._plan()

    # --- what people and scripts do -------------------------------------------------------------

    @one_record
    def test_connection(self):
        """Ask the server who it is, without changing anything there.

        :return: ``{ok, odoo_version, databases, error_code, error, hint}``; the databases found are
            recorded on the instance
        """
        self.check_access("read")
        self.env["backup.run"]._require_operator()
        answer = self._ask_server(self._source_order())
        confirmed = answer.pop("confirmed", True)
        if answer["ok"] or answer["error_code"] == TooManyDatabases.code:
            version, names = answer["odoo_version"], answer["databases"]
            answer["databases"] = self._record_server(version, names, confirmed)
            if not names and self._has_databases():
                answer.update(ok=False, **failure_in(self._no_database().as_dict()))
        else:
            self._record_failed_check(answer)
        return all_translated(answer, self.env.lang)

    @api.model
    def _ask_server(self, source):
        """Ask a server who it is, also one that is no instance yet; record and change nothing.

        :param source: as :meth:`_source_order` returns it
        :return: as :meth:`test_connection` does, and where it answers whether its list of
            databases is ``confirmed``
        """
        answer = {"ok": True, "odoo_version": False, "databases": []}
        order = {"action": "discover", "source": source}
        found = self._call_engine(order, TEST_TIME_LIMIT)[-1]
        if found["event"] == "failed":
            failure = failure_in(found)
            server = source.get("url") or source["connection"]
            code, error = failure["error_code"], failure["error"]
            _logger.warning("Backup instance %s: %s: %s", server, code, error)
            return {**answer, "ok": False, **failure}
        names, confirmed = found["databases"], found.get("confirmed", True)
        answer.update(odoo_version=found["version"], databases=names, confirmed=confirmed)
        if excess := self._excess(names):
            return {**answer, "ok": False, **excess}
        return {**answer, "error_code": False, "error": False, "hint": False}

    @api.model
    def _max_databases(self):
        parameters = self.env["ir.config_parameter"].sudo()
        value = parameters.get_param("backup_scheduler.max_databases") or ""
        return int(value) if value.isdecimal() and len(value) < 10 else MAX_DATABASES

    @api.model
    def _excess(self, names):
        """Return what is wrong with a server that lists more databases than one may have, as an
        answer tells it; or nothing."""
        limit = self._max_databases()
        if len(names) <= limit:
            return {}
        error = TooManyDatabases(
            messages._(
                "The server lists %(count)s databases; at most %(limit)s of one server are "
                "recorded.",
                count=len(names),
                limit=limit,
            )
        )
        return failure_in(error.as_dict())

    def refresh_databases(self):
        """Discover the server's databases; return their names.

        Raises UserError with the reason when the server cannot be asked.
        """
        answer = self.test_connection()
        if not answer["ok"]:
            reason = {"error": answer["error"], "hint": answer["hint"]}
            raise ValidationError(self.env._("%(error)s\n\n%(hint)s", **reason))
        return answer["databases"]

    def action_test_connection(self):
        """Test, and tell the result to the person who pressed the button."""
        answer = self.test_connection()
        if answer["ok"]:
            title = self.env._("Connected to Odoo %(version)s", version=answer["odoo_version"])
            message = self._tell_databases(answer["databases"])
        else:
            # The notification sets a full stop between the two by itself.
            title = answer["error"].rstrip(".")
            message = answer["hint"]
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "title": title,
                "message": message,
                "type": "success" if answer["ok"] else "danger",
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    def _tell_databases(self, names):
        if not names:
            return self.env._("It has no database.")
        if len(names) <= NAMED:
            return self.env._("Databases: %(names)s", names=", ".join(names))
        return self.env._(
            "%(count)s databases: %(names)s and %(more)s more",
            count=len(names),
            names=", ".join(names[:NAMED]),
            more=len(names) - NAMED,
        )

    @one_record
    def action_open_runs(self):
        return self._open("backup_scheduler.backup_run_action")

    @one_record
    def action_open_jobs(self):
        return self._open("backup_scheduler.backup_job_action")

    @one_record
    def action_open_databases(self):
        return self._open("backup_scheduler.backup_database_action", "present")

    def _open(self, xmlid, *filters):
        """Show what belongs to the instance; ``filters``, which can be taken away, make the list
        what the button counts."""
        action = self.env["ir.actions.act_window"]._for_xml_id(xmlid)
        action["domain"] = [("instance_id", "=", self.id)]
        switched_on = {f"search_default_{name}": 1 for name in filters}
        action["context"] = {"default_instance_id": self.id, **switched_on}
        return action

    def _require_restore_target(self):
        """Raise UserError where no archive can be restored through this kind of connection."""
        if not self.kind_error and self._kind_class().CAN_RESTORE:
            return
        raise UserError(
            self.env._(
                "Archives cannot be restored to %(instance)s. %(reason)s",
                instance=self.name,
                reason=self.kind_error or self.env._("Its connection can only read."),
            )
        )


def is_this_server(url):
    """Return whether an address leads to the very Odoo that this process belongs to, and nowhere
    else whatever a name server or a proxy says: the loopback interface, and Odoo's own port. Below
    its root, pages that users have made may answer."""
    try:
        parts = urllib.parse.urlsplit(url or "")
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    own = OWN_ADDRESSES.get(tools.config["http_interface"] or "0.0.0.0", ())  # noqa: S104 - as Odoo
    return host in own and port == tools.config["http_port"] and not parts.path.strip("/")
