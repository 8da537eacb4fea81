from odoo import fields, models


class BackupAlertSwitches(models.AbstractModel):
    """Whether anybody is to hear of something that has a chatter."""

    _name = "backup.alert.switches"
    _description = "Switches of Backup Alerts"

    alerts = fields.Boolean(
        "Tell of Incidents",
        default=True,
        tracking=True,
        help="Off: nobody is told of its incidents.",
    )
    alerts_muted_until = fields.Datetime(
        "Muted Until", tracking=True, copy=False,
        help="Until then nobody is told; after it, of what is still wrong.",
    )  # fmt: skip


class BackupInstanceAlerts(models.Model):
    """An instance is also the place of the activities about it."""

    _name = "backup.instance"
    _inherit = ["backup.instance", "mail.activity.mixin", "backup.alert.switches"]

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
    """Whether anybody is to hear of what happens for a job."""

    # A job is several subjects, a file each.
    # pylint: disable-next=consider-merging-classes-inherited
    _name = "backup.job"
    _inherit = ["backup.job", "backup.alert.switches"]
