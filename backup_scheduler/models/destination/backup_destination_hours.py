import datetime

import pytz

from odoo import api, fields, models
from odoo.exceptions import ValidationError

DAY = 24


class BackupDestinationHours(models.Model):
    """The hours of the day in which a destination may be used, in the time zone of the settings.

    What would come outside of them waits: copies are made when the destination opens, from another
    one; a run none of whose destinations is open begins when the first one is.
    """

    _inherit = "backup.destination"

    hours_from = fields.Float(
        "Open From", tracking=True, help="In the time zone of the settings; 0 to 0: at any time."
    )
    hours_to = fields.Float("Open To", tracking=True)

    @api.constrains("hours_from", "hours_to")
    def _check_hours(self):
        for destination in self:
            for name in ("hours_from", "hours_to"):
                if not 0 <= destination[name] <= DAY:
                    raise ValidationError(
                        self.env._(
                            "%(field)s: enter a time from 00:00 to 24:00.",
                            field=destination._fields[name].string,
                        )
                    )

    def _opens_at(self, moment):
        """Return the first moment from ``moment`` on (naive UTC) at which the place may be used."""
        self.ensure_one()
        start, end = self.hours_from % DAY, self.hours_to % DAY
        if start == end:
            return moment
        zone = pytz.timezone(self.env["backup.job"]._default_timezone())
        local = pytz.utc.localize(moment).astimezone(zone)
        hour = local.hour + local.minute / 60 + local.second / 3600
        is_open = start <= hour < end if start < end else hour >= start or hour < end
        if is_open:
            return moment
        opening = datetime.datetime.combine(local.date(), datetime.time()) + datetime.timedelta(
            hours=start, days=1 if hour >= start else 0
        )
        # A time that does not exist that day (summer time) is the one an hour later.
        return zone.normalize(zone.localize(opening)).astimezone(pytz.utc).replace(tzinfo=None)
