import pytz

from odoo import Command, api, fields, models
from odoo.exceptions import AccessError, ValidationError

from ..engine.errors import BackupError
from ..models.arguments import one_record
from ..models.backup_kind_mixin import sealed_name
from ..models.backup_message import all_translated

STEPS = [
    ("server", "Server"),
    ("databases", "Databases"),
    ("schedule", "Schedule"),
    ("destination", "Destination"),
    ("summary", "Summary"),
]
ORDER = [step for step, _label in STEPS]
ANSWER_FIELDS = ("error_code", "error", "hint")


class BackupSetup(models.TransientModel):
    """Leads from the address of a server to its first backup, a question at a time.

    Until the last step nothing is kept but the answers: who leaves on the way leaves no instance
    and no job behind. The master password lies here sealed, as it does on an instance.
    """

    _name = "backup.setup"
    _description = "Set Up a Server"
    _inherit = ["backup.retention.mixin", "backup.source.mixin"]

    step = fields.Selection(STEPS, required=True, default="server")
    instance_id = fields.Many2one(
        "backup.instance",
        ondelete="cascade",
        help="The instance that gets a job; empty: a new one is made at the end.",
    )
    instance_name = fields.Char(
        "Name of the Instance", related="instance_id.name", related_sudo=False
    )
    known_instance_id = fields.Many2one(
        "backup.instance",
        ondelete="set null",
        readonly=True,
        help="The instance that has the address already.",
    )
    name = fields.Char(help="What you call the server; empty: the name in its address.")
    odoo_version = fields.Char()
    error_code = fields.Char(readonly=True)
    error = fields.Text(readonly=True)
    hint = fields.Text(readonly=True)

    database_scope = fields.Selection(
        [
            ("all", "All databases, also those that are created later"),
            ("selected", "Only those that I choose"),
        ],
        string="Back Up",
        required=True,
        default="all",
    )
    line_ids = fields.One2many("backup.setup.database", "setup_id", "Databases")
    database_count = fields.Integer(compute="_compute_database_count")

    cron_expression = fields.Char("Schedule", required=True, default="0 2 * * *")
    timezone = fields.Selection(
        string="Time Zone",
        selection=lambda self: [(name, name) for name in pytz.all_timezones],
        help="The zone in which the schedule is meant. Empty: the one in Settings → Backups.",
    )
    destination_ids = fields.Many2many(
        "backup.destination",
        string="Destinations",
        default=lambda self: self.env["backup.destination"].search([], limit=1),
    )
    destination_advice = fields.Html(
        compute="_compute_destination_advice", compute_sudo=False, sanitize=False
    )
    job_name = fields.Char(
        compute="_compute_job_name", compute_sudo=False, store=True, readonly=False
    )
    accept_first_gaps = fields.Boolean(
        "Accept Missing Files",
        help="Files of the filestore that are missing or damaged in the first archive of a "
        "database were so before: accept them as known gaps. Otherwise such an archive is not a "
        "good one until a Manager accepts them on its run.",
    )
    summary = fields.Html(
        compute="_compute_summary", compute_sudo=False, sanitize=False, string="What It Does"
    )
    warnings = fields.Html(compute="_compute_summary", compute_sudo=False, sanitize=False)

    @api.model
    def default_get(self, fields):
        """Begin where the context leads: at the schedule, of an instance that is known."""
        values = super().default_get(fields)
        values.update(self._proposed(fields))
        instance = self.env["backup.instance"].browse(values.get("instance_id"))
        if instance:
            given = self._values_of(instance)
            values.update((field, given[field]) for field in given if field in fields)
        return values

    @api.model
    def _values_of(self, instance):
        """Return the answers that an instance gives, with the databases the context names."""
        wanted = set(self.env.context.get("default_database_names") or ())
        ids = self.env.context.get("default_database_ids") or ()
        wanted |= set(instance.database_ids.filtered(lambda found: found.id in ids).mapped("name"))
        names = instance.database_ids.filtered("present").mapped("name")
        return {
            "step": "schedule" if names else "server",
            **{name: instance[name] for name in ("connection", *self._plain_names())},
            "name": instance.name,
            "odoo_version": instance.odoo_version,
            "database_scope": "selected" if wanted else "all",
            "line_ids": [
                Command.create({"name": name, "selected": not wanted or name in wanted})
                for name in names
            ],
        }

    # --- fields ---------------------------------------------------------------------------------

    def _store_secret(self, name, value):
        # A form that leaves it empty keeps what was entered before.
        return super()._store_secret(name, value) if value else None

    def _tell_forgotten(self, secrets):
        """The form says so before the address is sent, and asks for the password again."""

    def _check_settings(self):
        """What is wrong is said when people go on, and keeps nobody from entering the rest."""

    @api.depends("line_ids")
    def _compute_database_count(self):
        for setup in self:
            setup.database_count = len(setup.line_ids)

    @api.depends("name", "instance_id")
    def _compute_job_name(self):
        for setup in self:
            name = setup.instance_id.name or setup.name
            setup.job_name = name and self.env._("Backup of %(name)s", name=name)

    @api.depends("destination_ids")
    def _compute_destination_advice(self):
        for setup in self:
            job = setup._future_job()
            setup.destination_advice = job._told(list(job._advice_on_destinations()))

    @api.depends(
        "step", "cron_expression", "timezone", "destination_ids", "database_scope", "line_ids"
    )
    def _compute_summary(self):
        for setup in self:
            job = setup.step == "summary" and setup._future_job()
            setup.summary = job and job._summary()
            setup.warnings = job and job._told(job.advice())

    @api.onchange("url")
    def _onchange_url(self):
        result = super()._onchange_url()
        if self.url and not self.name:
            self.name = self._kind_class().name_of(self._settings(secrets=False))
        self.known_instance_id = False
        return result

    @api.constrains("instance_id", "known_instance_id", "destination_ids")
    def _check_rights(self):
        """Nobody learns from a wizard what is not theirs to see."""
        # Odoo checks constraints as the superuser.
        for records in (self.instance_id, self.known_instance_id, self.destination_ids):
            records.sudo(False).check_access("read")

    # --- the form -------------------------------------------------------------------------------

    @api.model
    def _get_view(self, view_id=None, view_type="form", **options):
        arch, view = super()._get_view(view_id, view_type, **options)
        if len(self._kind_names()) == 1:
            # Nobody is asked to choose among one.
            for field in arch.xpath("//field[@name='connection']"):
                field.set("invisible", "1")
        return arch, view

    @api.model
    def _required_where(self, kind):
        return f"{super()._required_where(kind)} and step == 'server' and not instance_id"

    # --- the steps ------------------------------------------------------------------------------

    @one_record
    def action_next(self):
        """Go on, once what was entered can be used; otherwise say why, and keep all of it."""
        if self.step == ORDER[-1]:
            return self._show()
        self._tell({})
        problem = getattr(self, f"_leave_{self.step}")()
        if problem:
            self._tell(problem)
        else:
            self.step = ORDER[ORDER.index(self.step) + 1]
        return self._show()

    @one_record
    def action_back(self):
        """Go back; what was entered stays."""
        self._tell({})
        self.step = ORDER[max(ORDER.index(self.step) - 1, 0)]
        return self._show()

    @one_record
    def action_use_known(self):
        """Go on with the instance that has the address already."""
        self.instance_id = self.known_instance_id
        self.name = self.instance_id.name
        self.known_instance_id = False
        return self.action_next()

    @one_record
    def action_leave_instance(self):
        """Go on with another server than the instance that was chosen."""
        self.write({"instance_id": False, "url": False, "name": False, "step": "server"})
        self.line_ids.unlink()
        return self._show()

    @one_record
    def action_check_destinations(self):
        """Check each destination, and say what the first that fails lacks."""
        self._tell(self._leave_destination() or {})
        return self._show()

    @one_record
    def action_start(self):
        """Make the instance and its job, start its runs and show them.

        Nothing is left of the answers: pressed twice, it makes nothing twice.
        """
        self._require_answer()
        self.env["backup.run"]._require_manager()
        instance = self.instance_id or self._create_instance()
        job = self.env["backup.job"].create(self._job_values(instance))
        if self.accept_first_gaps:
            job.sudo().gaps_accepted_by_id = self.env.user
        self.unlink()
        return job.action_run_now()

    def _show(self):
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Set Up a Server"),
            "res_model": self._name,
            "res_id": self.id,
            "views": [(False, "form")],
            "target": "new",
            "context": {"dialog_size": "large"},
        }

    def _tell(self, problem):
        told = all_translated(problem, self.env.lang)
        self.write({field: told.get(field) for field in ANSWER_FIELDS})

    # --- what each step asks --------------------------------------------------------------------

    def _leave_server(self):
        """Ask the server; return what is wrong, or nothing."""
        if self.instance_id:
            answer = self.instance_id.test_connection()
        elif problem := self._refused_settings():
            return problem
        else:
            answer = self.env["backup.instance"]._ask_server(self._source_order())
        if not answer["ok"]:
            return answer
        self.odoo_version = answer["odoo_version"]
        self._keep_databases(answer["databases"])
        self.sudo().answered = True
        return None

    def _refused_settings(self):
        """Write the settings as they are used; return why they cannot be, or nothing."""
        try:
            self.env["backup.instance"].new({"connection": self.connection})._require_sharing()
            self._require_settings()
            self._require_accepted()
            kind, settings = self._kind_class(), self._settings(secrets=False)
            normalized = kind.normalized(settings)
        except BackupError as error:
            return error.as_dict()
        except (AccessError, ValidationError) as error:
            return {"error": str(error)}
        self.write(
            {
                name: normalized[setting.name]
                for name, setting in self._settings_of(self.connection)
                if normalized.get(setting.name) != settings.get(setting.name)
            }
        )
        if not self.name:
            # Written only then: the job is called after it.
            self.name = kind.name_of(normalized)
        self.known_instance_id = self._instance_of(kind, normalized)
        # The form says so itself, and leads on.
        return {"error_code": "known_instance"} if self.known_instance_id else None

    def _instance_of(self, kind, settings):
        """Return the instance that is the server, of those that the user may see."""
        for instance in self.env["backup.instance"].search([("connection", "=", self.connection)]):
            if kind.is_same(instance._settings(secrets=False), settings):
                return instance
        return self.env["backup.instance"]

    def _keep_databases(self, names):
        """List what was found now; what was chosen before stays chosen, or not."""
        self.line_ids.filtered(lambda line: line.name not in names).unlink()
        known = set(self.line_ids.mapped("name"))
        self.line_ids = [Command.create({"name": name}) for name in names if name not in known]

    def _leave_databases(self):
        if self.database_scope == "selected" and not self._selected_names():
            return {
                "error": self.env._("No database is chosen."),
                "hint": self.env._("Tick at least one, or back up all of them."),
            }
        return None

    def _selected_names(self):
        return self.line_ids.filtered("selected").mapped("name")

    def _leave_schedule(self):
        jobs = self.env["backup.job"]
        try:
            jobs.preview_cron(self.cron_expression, self.timezone, count=1)
            zone = self.timezone or jobs._default_timezone()
            self._checked_policy(self._retention_values(), zone)
        except ValidationError as error:
            return {"error": str(error)}
        return None

    def _leave_destination(self):
        if not self.destination_ids:
            return {
                "error": self.env._("No destination is chosen."),
                "hint": self.env._("Choose where the archives are kept, or add a place."),
            }
        if refused := self._refused_destination():
            return refused
        for destination in self.destination_ids:
            answer = destination.check()
            if not answer["ok"]:
                return {**answer, "error": f"{destination.name}: {answer['error']}"}
        return None

    # --- the end --------------------------------------------------------------------------------

    def _create_instance(self):
        settings = self._settings_of(self.connection)
        plain = [name for name, setting in settings if not setting.secret]
        values = {name: self[name] for name in ("name", "connection", *plain)}
        instance = self.env["backup.instance"].create(values)
        sealed = [sealed_name(name) for name, setting in settings if setting.secret]
        instance.sudo().write({name: self.sudo()[name] for name in sealed})
        instance._record_server(self.odoo_version, self.line_ids.mapped("name"))
        return instance

    def _job_values(self, instance):
        databases = instance.database_ids.filtered(
            lambda database: database.name in self._selected_names()
        )
        return {
            **self._policy_values(),
            "name": self.job_name or self.name,
            "instance_id": instance.id,
            "database_ids": [Command.set(databases.ids)]
            if self.database_scope == "selected"
            else False,
            "destination_ids": [Command.set(self.destination_ids.ids)],
        }

    def _policy_values(self):
        return {
            "cron_expression": self.cron_expression,
            "timezone": self.timezone,
            "database_scope": self.database_scope,
            **self._retention_values(),
        }

    def _future_job(self):
        """Return the job that is going to be made, in memory only: it tells what it will do."""
        databases = self.env["backup.database"]
        for line in self.line_ids:
            databases += databases.new({"name": line.name, "present": True})
        chosen = set(self._selected_names())
        instance = self.instance_id or self.env["backup.instance"].new(
            {"name": self.name, "database_ids": databases}
        )
        job = self.env["backup.job"].new(self._policy_values())
        job.instance_id = instance
        job.destination_ids = self.destination_ids
        if self.database_scope == "selected":
            job.database_ids = databases.filtered(lambda found: found.name in chosen)
        return job
