import collections
import datetime

from odoo import api, fields, models

from ..doctor.backup_doctor import problem
from .backup_alert import ACTIVE

# Channels that are named one by one; the rest is counted.
LISTED = 3
FAILING = [("last_error", "not in", (False, ""))]
DIGEST = [("kind", "=", "mail"), ("weekly_digest", "=", True)]
# Whoever has not looked into the queue of mails by then hears of the next one that fails.
MAILS_TOLD = datetime.timedelta(days=7)


class BackupDoctorAlerts(models.AbstractModel):
    """Channels that fail, and databases of which nobody would hear."""

    _inherit = "backup.doctor"

    @api.model
    def _examine_watch(self):
        """The scheduled actions that look for late backups, and make the digests."""
        stopped = {"ir_cron_watch": self.env._("Nobody looks for late backups")}
        if self.env["backup.alert.channel"].sudo().search_count([*ACTIVE, *DIGEST], limit=1):
            stopped["ir_cron_digest"] = self.env._("No weekly digest is sent")
        return [
            problem(
                "alerts",
                self.env._("%(what)s: %(reason)s", what=what, reason=self._why_off(name)),
                self.env._("Set it active, or upgrade the module Backup Scheduler."),
            )
            for name, what in stopped.items()
            if not self.env["backup.dispatcher"]._scheduled_action(name).active
        ]

    @api.model
    def _examine_channels(self):
        if self.env["backup.alert.channel"].sudo().search_count(ACTIVE, limit=1):
            return self._examine_delivery()
        return [
            problem(
                "alerts",
                self.env._("Nobody is told of failed backups: there is no alert channel."),
                self.env._("Make one: Backups → Alerts → Channels."),
            )
        ]

    @api.model
    def _examine_delivery(self):
        """Channels, pings and mails that do not get through, of those that the user may see."""
        return self._failing_channels() + self._failing_pings() + self._failing_mails()

    @api.model
    def _failing_channels(self):
        channels = self.env["backup.alert.channel"].search([*ACTIVE, *FAILING])
        problems = [self._failing_channel(one) for one in channels[:LISTED]]
        left = len(channels) - LISTED
        return [*problems, self._more(left)] if left > 0 else problems

    @api.model
    def _more(self, count):
        return problem(
            "alerts",
            self.env._("Other alert channels that fail: %(count)s.", count=count),
            self.env._("See Backups → Alerts → Channels, filter Failing."),
        )

    @api.model
    def _failing_channel(self, channel):
        text, _newline, hint = channel._translated("last_error").partition("\n")
        return problem(
            "alerts",
            self.env._("Alert channel “%(name)s”: %(error)s", name=channel.name, error=text),
            hint or self.env._("Press Send Test on the channel."),
            channel,
        )

    @api.model
    def _failing_pings(self):
        """One problem: where the other side is down, the pings of all jobs fail."""
        # Of one that is switched off nothing is sent any more, that could end it.
        planned = [("enabled", "=", True), ("instance_id.active", "=", True)]
        jobs = self.env["backup.job"].search([*planned, ("ping_error", "not in", (False, ""))])
        if not jobs:
            return []
        name = jobs[0].name
        text, _newline, hint = jobs[0]._translated("ping_error").partition("\n")
        if len(jobs) == 1:
            told = self.env._("Pings of the job “%(name)s”: %(error)s", name=name, error=text)
        else:
            told = self.env._(
                "Pings of %(count)s jobs fail, such as those of “%(name)s”: %(error)s",
                count=len(jobs),
                name=name,
                error=text,
            )
        hint = hint or self.env._("Press Test on the job's page Alerts.")
        return [problem("alerts", told, hint, jobs[0])]

    @api.model
    def _failing_mails(self):
        """Mails of ours that Odoo could not send: it does so later, and tells only the mail."""
        since = fields.Datetime.now() - MAILS_TOLD
        lost = [("model", "=", "backup.alert"), ("state", "=", "exception"), ("date", ">", since)]
        ids = self.env["mail.mail"].sudo().search_fetch(lost, ["res_id"]).mapped("res_id")
        alerts = self.env["backup.alert"].search([("id", "in", ids), ("channel_id", "!=", False)])
        counts = collections.Counter(
            self.env["backup.alert"].browse(each).channel_id for each in ids if each in alerts.ids
        )
        return [self._failing_mail(*found) for found in counts.most_common(LISTED)]

    @api.model
    def _failing_mail(self, channel, count):
        return problem(
            "alerts",
            self.env._(
                "Alert channel “%(name)s”: %(count)s of its mails could not be sent.",
                name=channel.name,
                count=count,
            ),
            self.env._("See Settings → Technical → Emails for the reason."),
            channel,
        )
