from odoo import fields, models


class BackupInstanceAlerts(models.Model):
    """Whether anybody is to hear of an instance, and the place of the activities about it."""

    _name = "backup.instance"
    _inherit = ["backup.instance", "mail.activity.mixin"]

    alerts = fields.Boolean(
        "Tell of Incidents",
        default=True,
        tracking=True,
        help="Off: nobody is told of incidents of this instance.",
    )
    alerts_muted_until = fields.Datetime(
        "Muted Until", tracking=True, copy=False,
        help="Until then nobody is told; after it, of what is still wrong.",
    )  # fmt: skip
    open_incident_count = fields.Integer(compute="_compute_open_incident_count")

    def _compute_open_incident_count(self):
        domain = [("instance_id", "in", self.ids), ("state", "=", "open")]
        counts = dict(
            self.env["backup.incident"]._read_group(domain, ["instance_id"], ["__count"])
        )
        for instance in self:
            instance.open_incident_count = counts.get(instance, 0)

    def action_open_incidents(self):
        return self._open("backup_scheduler.backup_incident_action", "open")


class BackupJobAlerts(models.Model):
    # A job is several subjects, a file each.
    # pylint: disable-next=consider-merging-classes-inherited
    _inherit = "backup.job"

    alerts = fields.Boolean(
        "Tell of Incidents",
        default=True,
        tracking=True,
        help="Off: nobody is told of incidents of this job.",
    )
    alerts_muted_until = fields.Datetime(
        "Muted Until", tracking=True, copy=False,
        help="Until then nobody is told; after it, of what is still wrong.",
    )  # fmt: skip
