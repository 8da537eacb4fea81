from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ...engine.retention import LONGEST_AGE, MODES, PERIODS, Policy, PolicyError
from ..backup_message import translated

PARAMETER = "backup_scheduler.retention_"
DEFAULT_MODE = "keep_last_n"
DEFAULT_VALUE = 30
RETENTION_MODES = [
    ("keep_all", "Keep everything"),
    ("keep_last_n", "Keep the newest"),
    ("older_than_days", "Delete what is older than"),
    ("gfs", "Thin out with age"),
]
# The fields that make a policy, by the names that the engine has for them.
POLICY_FIELDS = {f"retention_{name}": name for name in ("mode", "value", *PERIODS, "floor")}


class BackupRetentionMixin(models.AbstractModel):
    """The fields of a retention policy: of a job, and of a preview that nobody has saved yet."""

    _name = "backup.retention.mixin"
    _description = "Retention policy"

    retention_mode = fields.Selection(
        RETENTION_MODES,
        "Retention",
        required=True,
        default=lambda self: self._default_retention_mode(),
        tracking=True,
        help="Which archives of each database stay. Failed backups count for nothing, pinned "
        "archives always stay, and no good archive is deleted before a newer good one is there. "
        "Archives with issues are counted beside the good ones.",
    )
    retention_value = fields.Integer(
        "Archives or Days",
        default=lambda self: self._default_retention_value(),
        tracking=True,
        help="How many archives of each database stay, or how many days an archive does.",
    )
    retention_hourly = fields.Integer("Hours", default=0, tracking=True)
    retention_daily = fields.Integer("Days", default=7, tracking=True)
    retention_weekly = fields.Integer("Weeks", default=4, tracking=True)
    retention_monthly = fields.Integer("Months", default=12, tracking=True)
    retention_yearly = fields.Integer("Years", default=0, tracking=True)
    retention_floor = fields.Integer(
        "Never Fewer Than",
        default=1,
        tracking=True,
        help="So many of the newest good archives of each database stay, whatever the rest says.",
    )

    def _valid_field_parameter(self, field, name):
        # Whoever has no chatter shares the fields all the same.
        return name == "tracking" or super()._valid_field_parameter(field, name)

    @api.model
    def _default_retention_mode(self):
        mode = self.env["ir.config_parameter"].sudo().get_param(f"{PARAMETER}mode")
        return mode if mode in MODES else DEFAULT_MODE

    @api.model
    def _default_retention_value(self):
        value = self.env["ir.config_parameter"].sudo().get_param(f"{PARAMETER}value") or ""
        return int(value) if value.isdigit() and int(value) else DEFAULT_VALUE

    def _retention_values(self):
        """Return the policy by the names of its fields."""
        self.ensure_one()
        return {field: self[field] for field in POLICY_FIELDS}

    @api.model
    def _checked_policy(self, values, timezone):
        """Return the engine's policy; raise ValidationError that names the field that is wrong.

        :param values: by the names of the fields
        """
        arguments = {name: values[field] for field, name in POLICY_FIELDS.items()}
        try:
            return Policy(timezone=timezone, **arguments)
        except PolicyError as error:
            raise ValidationError(self._policy_complaint(error, arguments)) from error

    def _policy_complaint(self, error, arguments):
        """Return which field is wrong, by both its names, and what would be right."""
        if error.field == "timezone":
            problem = translated(error.problem, self.env.lang)
            return self.env._("Time Zone: %(problem)s.", problem=problem)
        return self.env._(
            "%(label)s: %(remedy)s (%(name)s is %(value)s).",
            label=self._policy_label(error.field, arguments),
            remedy=self._policy_remedy(error.field, arguments),
            name=f"retention_{error.field}",
            value=repr(arguments[error.field]),
        )

    def _policy_label(self, name, arguments):
        """Return what the forms call the field."""
        if name != "value":
            return self._fields[f"retention_{name}"]._description_string(self.env)
        if arguments["mode"] == "older_than_days":
            return self.env._("Older Than")
        return self.env._("Keep")

    def _policy_remedy(self, name, arguments):
        if name == "mode":
            return self.env._("choose one of %(modes)s", modes=", ".join(MODES))
        if name == "value" and arguments["mode"] == "older_than_days":
            return self.env._("enter 1 to %(limit)s days", limit=LONGEST_AGE)
        if name in ("value", "floor"):
            return self.env._("enter 1 or more archives")
        if not any(arguments[period] for period in PERIODS):
            return self.env._("enter 1 or more for at least one of the periods")
        return self.env._("enter 0 or more")
