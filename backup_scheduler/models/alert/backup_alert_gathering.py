import datetime

from odoo import api, fields, models

# A server that is away fails one database after the other, each when it has waited long enough: the
# first is told of at once, and those that follow together, one message in so much time.
GATHERING = datetime.timedelta(minutes=5)
# What is due sooner may be in the hands of whoever sends it.
MARGIN = datetime.timedelta(seconds=15)


class BackupAlertGathering(models.Model):
    """How few messages tell of many incidents."""

    _inherit = "backup.alert"

    @api.model
    def _queue(self, channel, event, incidents, company, begin):
        """Add to the message of this kind that waits for its time, or queue one after it."""
        last = self._last_like(channel, event, incidents[:1].kind, company, begin)
        if last and last._takes_more(begin):
            with self._isolated_on(channel):
                last.incident_ids |= incidents
                self.env.cr.flush()
            last._try_keep_message()
            return last
        if last:
            begin = max(begin, last.next_attempt_at + GATHERING)
        return self._queue_new(channel, event, incidents, company, begin)

    @api.model
    def _last_like(self, channel, event, kind, company, begin):
        """Return the last message that would tell of such incidents about that time, if any."""
        return self.search(
            [
                ("channel_id", "=", channel.id),
                ("event", "=", event),
                ("company_id", "=", company.id),
                ("incident_ids.kind", "=", kind),
                ("state", "!=", "dropped"),
                ("next_attempt_at", ">", begin - GATHERING),
                ("next_attempt_at", "<=", begin + GATHERING),
            ],
            order="next_attempt_at desc, id desc",
            limit=1,
        )

    def _takes_more(self, begin):
        """Return whether nobody has begun to send it, nor will before ``begin``."""
        untouched = self.state == "pending" and not self.attempts
        soonest = max(begin, fields.Datetime.now() + MARGIN)
        return untouched and self.next_attempt_at >= soonest
