from odoo import Command, api, fields, models

from ..arguments import one_record
from .backup_alert import is_on, mutes_of
from .backup_alert_gathering import GATHERING


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

    def write(self, vals):
        result = super().write(vals)
        if "alerts_muted_until" in vals:
            field = {"backup.instance": "instance_id", "backup.job": "job_id"}[self._name]
            self.env["backup.alert"]._look_at_mutes([(f"incident_ids.{field}", "in", self.ids)])
        return result


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

    @one_record
    def action_open_incidents(self):
        return self._open("backup_scheduler.backup_incident_action", "open")


class BackupJobAlerts(models.Model):
    """Whether anybody is to hear of what happens for a job."""

    _name = "backup.job"
    _inherit = ["backup.job", "backup.alert.switches"]


class BackupAlertSilence(models.Model):
    """What is switched off or muted while a message waits, or is tried again."""

    _inherit = "backup.alert"

    @api.model
    def _look_at_mutes(self, domain):
        """Have what waits for the end of a mute looked at now: the mute may have been ended. What
        is still muted is put off again."""
        now = fields.Datetime.now()
        muted = [
            ("event", "in", ("opened", "recovered")),
            ("state", "=", "pending"),
            ("attempts", "in", (0, False)),
            # Others wait for as long without a mute.
            ("next_attempt_at", ">", now + GATHERING),
        ]
        if alerts := self.sudo().search(domain + muted):
            alerts.next_attempt_at = now
            self.env["backup.dispatcher"]._wake()

    def _leave_out_silenced(self):
        """Leave out what nobody wants to hear of now; return whether nothing else was in it.

        What is only muted gets a message of its own, for when that ends. What some have been told
        of already is told to the others too.
        """
        self.ensure_one()
        left_out, later, now = self.incident_ids.browse(), {}, fields.Datetime.now()
        for incident in self._told_incidents() if not self.told_ids else ():
            quiet = max([now, *mutes_of(incident, self.channel_id)])
            # As of its beginning: whether that was told was asked when the end was queued.
            if not is_on(incident) or not self.channel_id._wants(incident, "opened"):
                left_out |= incident
            elif quiet > now:
                left_out |= incident
                later[quiet] = later.get(quiet, incident) | incident
        if not left_out:
            return False
        self.incident_ids = [Command.unlink(incident.id) for incident in left_out]
        for quiet, incidents in later.items():
            self._queue(self.channel_id, self.event, incidents, self.company_id, quiet)
        return not self._told_incidents()
