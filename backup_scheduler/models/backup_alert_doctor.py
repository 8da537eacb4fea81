from odoo import api, models

from .backup_alert import ACTIVE
from .backup_doctor import problem


class BackupDoctorAlerts(models.AbstractModel):
    """Channels that fail, and databases of which nobody would hear."""

    _inherit = "backup.doctor"

    @api.model
    def _examine(self):
        return super()._examine() + self._examine_watch() + self._examine_channels()

    @api.model
    def _examine_watch(self):
        """The scheduled action that looks for late backups."""
        cron = self.env.ref("backup_scheduler.ir_cron_watch", raise_if_not_found=False)
        if cron and cron.sudo().active:
            return []
        return [
            problem(
                "alerts",
                self.env._("Nobody looks for late backups: that scheduled action is off or gone."),
                self.env._("Set it active, or upgrade the module Backup Scheduler."),
            )
        ]

    @api.model
    def _examine_channels(self):
        channels = self.env["backup.alert.channel"].sudo().search(ACTIVE)
        if not channels:
            return [
                problem(
                    "alerts",
                    self.env._("Nobody is told of failed backups: there is no alert channel."),
                    self.env._("Make one: Backups → Alerts → Channels."),
                )
            ]
        found = [self._failing_channel(one) for one in channels if one.last_error]
        pinged = self.env["backup.job"].sudo().search([("ping_error", "not in", (False, ""))])
        found += [self._failing_ping(job) for job in pinged]
        return found + self._examine_mails()

    @api.model
    def _failing_channel(self, channel):
        text, _newline, hint = channel.last_error.partition("\n")
        return problem(
            "alerts",
            self.env._("Alert channel “%(name)s”: %(error)s", name=channel.name, error=text),
            hint or self.env._("Press Send Test on the channel."),
        )

    @api.model
    def _failing_ping(self, job):
        text, _newline, hint = job.ping_error.partition("\n")
        return problem(
            "alerts",
            self.env._("Pings of the job “%(name)s”: %(error)s", name=job.name, error=text),
            hint or self.env._("Press Test on the job's page Alerts."),
        )

    @api.model
    def _examine_mails(self):
        """Mails of ours that Odoo could not send."""
        domain = [("model", "=", "backup.alert"), ("state", "=", "exception")]
        count = self.env["mail.mail"].sudo().search_count(domain)
        if not count:
            return []
        return [
            problem(
                "alerts",
                self.env._("%(count)s mails of alerts could not be sent.", count=count),
                self.env._("See Settings → Technical → Emails for the reason."),
            )
        ]
