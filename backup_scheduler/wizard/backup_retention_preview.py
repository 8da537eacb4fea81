import datetime

from odoo import Command, api, fields, models
from odoo.exceptions import ValidationError

from ..models.arguments import one_record
from ..models.job.backup_job_planning import naive
from ..models.job.backup_retention_mixin import POLICY_FIELDS

# What a page can show in a second; the totals and `preview_retention` are of all archives.
LINES_LIMIT = 1000


def _of_the_plan(field, *arguments, **values):
    """Return a field of the plan, computed with the rights of who asks: nobody sees what is not
    theirs to see."""
    return field(*arguments, compute="_compute_plan", store=True, compute_sudo=False, **values)


class BackupRetentionPreview(models.TransientModel):
    """Shows what a policy would keep and delete, the job's own or another one that is tried."""

    _name = "backup.retention.preview"
    _inherit = "backup.retention.mixin"
    _description = "Retention Preview"

    job_id = fields.Many2one("backup.job", required=True, ondelete="cascade")
    line_ids = _of_the_plan(
        fields.One2many, "backup.retention.preview.line", "preview_id", "Archives"
    )
    kept_count = _of_the_plan(fields.Integer, "Kept")
    kept_size = _of_the_plan(fields.Float, help="Bytes in all destinations.")
    deleted_count = _of_the_plan(fields.Integer, "Deleted")
    deleted_size = _of_the_plan(fields.Float, help="Bytes in all destinations.")
    hidden_count = _of_the_plan(fields.Integer, "Not Shown")
    has_own_retention = _of_the_plan(
        fields.Boolean, help="Whether the own retention of a destination decides on some of them."
    )
    problem = fields.Text(compute="_compute_problem", compute_sudo=False)
    is_changed = fields.Boolean(compute="_compute_is_changed", compute_sudo=False)

    @api.model
    def default_get(self, fields):
        """Begin with the policy of the job."""
        values = super().default_get(fields)
        job = self.env["backup.job"].browse(values.get("job_id"))
        if job:
            policy = job._retention_values()
            values.update((field, policy[field]) for field in policy if field in fields)
        return values

    # --- fields ---------------------------------------------------------------------------------

    @api.depends("job_id", *POLICY_FIELDS)
    def _compute_plan(self):
        for preview in self:
            archives = [] if preview._complaint() else preview._preview()
            kept = [archive["size"] for archive in archives if archive["keep"]]
            deleted = [archive["size"] for archive in archives if not archive["keep"]]
            lines = [preview._line_values(archive) for archive in archives[:LINES_LIMIT]]
            preview.line_ids = [Command.clear(), *map(Command.create, lines)]
            preview.kept_count, preview.kept_size = len(kept), sum(kept)
            preview.deleted_count, preview.deleted_size = len(deleted), sum(deleted)
            preview.hidden_count = len(archives) - len(lines)
            preview.has_own_retention = any(archive["destination"] for archive in archives)

    def _preview(self):
        if not self.job_id:
            return []
        return self.job_id.preview_retention(self._retention_values())

    @staticmethod
    def _line_values(archive):
        return {
            "run_id": archive["run_id"],
            "database_name": archive["database"],
            "destination_name": archive["destination"],
            "scheduled_at": naive(datetime.datetime.fromisoformat(archive["scheduled_at"])),
            "decision": "keep" if archive["keep"] else "delete",
            "size": archive["size"],
            "reason": " ".join(archive["reasons"]),
        }

    @api.depends("job_id", *POLICY_FIELDS)
    def _compute_problem(self):
        for preview in self:
            preview.problem = preview._complaint()

    def _complaint(self):
        """Return what is wrong with the policy, or nothing."""
        try:
            self._checked_policy(self._retention_values(), self.job_id._retention_timezone())
        except ValidationError as error:
            return str(error)
        return ""

    @api.depends("job_id", *POLICY_FIELDS)
    def _compute_is_changed(self):
        for preview in self:
            job = preview.job_id
            preview.is_changed = (
                bool(job) and job._retention_values() != preview._retention_values()
            )

    @api.constrains("job_id")
    def _check_rights(self):
        """Nobody learns from a wizard what is not theirs to see."""
        # Odoo checks constraints as the superuser.
        self.job_id.sudo(False).check_access("read")

    # --- what people do -------------------------------------------------------------------------

    @one_record
    def action_use(self):
        """Make this the policy of the job, for those who may change jobs."""
        self.job_id.write(self._retention_values())
        return {"type": "ir.actions.act_window_close"}


class BackupRetentionPreviewLine(models.TransientModel):
    """One archive of a preview."""

    _name = "backup.retention.preview.line"
    _description = "Archive in a Retention Preview"
    _order = "id"

    preview_id = fields.Many2one("backup.retention.preview", required=True, ondelete="cascade")
    run_id = fields.Many2one("backup.run", "Archive", required=True, ondelete="cascade")
    database_name = fields.Char("Database")
    destination_name = fields.Char(
        "Destination", help="The one whose own retention decides; empty: all others together."
    )
    scheduled_at = fields.Datetime("Due")
    size = fields.Float(help="Bytes in all destinations.")
    decision = fields.Selection([("keep", "Keep"), ("delete", "Delete")], required=True)
    reason = fields.Char("Why")

    @api.constrains("run_id")
    def _check_rights(self):
        """Nobody learns from a line what is not theirs to see."""
        # Odoo checks constraints as the superuser.
        self.run_id.sudo(False).check_access("read")
