import datetime
import logging

import psycopg2

from odoo import api, fields, models

from ..run.backup_run import GOOD
from ..run.backup_run_reading import DRILL
from .backup_dispatcher import COLLISIONS

_logger = logging.getLogger(__name__)

# What may wait is looked for this often.
INTERVAL = datetime.timedelta(hours=1)
DONE_AT = "backup_scheduler.housekeeping_at"
BUDGET_PERIOD = datetime.timedelta(days=1)
# A drill that did not come to a result is asked for again after this.
DRILL_PAUSE = datetime.timedelta(days=1)
# With a change of these, drills are promised anew.
DRILLS_PROMISED = ("enabled", "drill_interval")
GIGABYTE = 10**9
# Copies that one look asks to be read, at most.
READING_LIMIT = 200


class BackupHousekeeping(models.AbstractModel):
    """What the dispatcher asks for by itself: reading stored copies again, and restore drills.

    As with everything it does, others do the work.
    """

    _inherit = "backup.dispatcher"

    @api.model
    def _housekeep(self, now):
        """Ask for what is due; once an hour, since each look reads many rows."""
        parameters = self.env["ir.config_parameter"].sudo()
        done_at = fields.Datetime.to_datetime(parameters.get_param(DONE_AT) or False)
        if done_at and abs(now - done_at) < INTERVAL:
            return
        parameters.set_param(DONE_AT, fields.Datetime.to_string(now))
        destinations = self.env["backup.destination"].search([("reread_interval", ">", 0)])
        for destination in destinations:
            self._housekeep_one(destination._request_readings, now)
        jobs = self.env["backup.job"].search(
            [("enabled", "=", True), ("drill_interval", "!=", "never")]
        )
        for job in jobs:
            self._housekeep_one(job._request_drills, now)

    @api.model
    def _housekeep_one(self, request, now):
        """One record, one transaction: what breaks there stays there, and comes again."""
        try:
            with self.env.cr.savepoint():
                request(now)
        except COLLISIONS:
            self.env.cr.rollback()
        except psycopg2.OperationalError:
            raise
        except Exception:
            _logger.exception("Housekeeping of %s failed", request.__self__)
        self.env["ir.cron"]._commit_progress()


class BackupDestinationReading(models.Model):
    _inherit = "backup.destination"

    reread_interval = fields.Integer(
        "Read Again After",
        default=30,
        tracking=True,
        help="Days after which each stored copy is read again, from end to end, and compared with "
        "what was stored. 0: only on request.",
    )
    reread_budget = fields.Integer(
        "Reading Budget",
        default=50,
        tracking=True,
        help="Gigabytes that are read again in a day, the copy that was not looked at for longest "
        "first. 0: no limit.",
    )

    _reread_interval_positive = models.Constraint(
        "CHECK(reread_interval >= 0)", "Read Again After: enter 0 (never) or more days."
    )
    _reread_budget_positive = models.Constraint(
        "CHECK(reread_budget >= 0)", "Reading Budget: enter 0 (no limit) or more gigabytes."
    )

    def _request_readings(self, now):
        """Ask for the copies that are due, within what the budget of the day has left."""
        self.ensure_one()
        if not self.may_read:
            return
        left = self._reading_budget_left(now)
        due = self.env["backup.copy"].search(
            [
                ("destination_id", "=", self.id),
                ("status", "=", "stored"),
                "|",
                ("checked_at", "=", False),
                ("checked_at", "<", now - datetime.timedelta(days=self.reread_interval)),
                ("reading_requested", "=", False),
                ("deletion_requested_at", "=", False),
                ("run_id.task_ids", "not any", [("kind", "=", "verify")]),
                "|",
                ("tried_at", "=", False),
                ("tried_at", "<", now - BUDGET_PERIOD),
            ],
            order="checked_at NULLS FIRST, id",
            limit=READING_LIMIT,
        )
        untouched = left == self.reread_budget * GIGABYTE
        for number, copy in enumerate(due):
            # One that is larger than the whole budget has a day of its own.
            if self.reread_budget and copy.size > left and not (untouched and not number):
                break
            left -= copy.size
            copy.run_id._request_verification(copy)

    def _reading_budget_left(self, now):
        domain = [("destination_id", "=", self.id)]
        copies = self.env["backup.copy"]
        ((read,),) = copies._read_group(
            [*domain, ("tried_at", ">", now - BUDGET_PERIOD)], [], ["size:sum"]
        )
        ((asked,),) = copies._read_group(
            [*domain, ("reading_requested", "=", True)], [], ["size:sum"]
        )
        return self.reread_budget * GIGABYTE - (read or 0) - (asked or 0)


class BackupJobDrills(models.Model):
    _inherit = "backup.job"

    drills_since = fields.Datetime(
        readonly=True,
        copy=False,
        default=fields.Datetime.now,
        help="When the job was switched on, or its restore drills changed: they are promised from "
        "then on.",
    )

    def _drill_promises(self, vals):
        """Return what ``vals`` may change of the drills that are promised, for
        :meth:`_renew_drill_promises` after it."""
        if vals.keys().isdisjoint(DRILLS_PROMISED):
            return {}
        return {job: [job[name] for name in DRILLS_PROMISED] for job in self}

    def _renew_drill_promises(self, before):
        changed = self.filtered(
            lambda job: job in before and before[job] != [job[name] for name in DRILLS_PROMISED]
        )
        if changed:
            changed.sudo().drills_since = fields.Datetime.now()

    def _request_drills(self, now):
        """Ask for a restore drill of each database whose last one is long enough ago."""
        self.ensure_one()
        since = now - datetime.timedelta(days=int(self.drill_interval))
        domain = [("job_id", "=", self.id), ("status", "in", GOOD), ("stored_copies", ">", 0)]
        runs = self.env["backup.run"]
        for (name,) in runs._read_group(domain, ["database_name"]):
            mine = [*domain, ("database_name", "=", name)]
            newest = runs.search([*mine, ("copy_ids", "any", plain_copy())], limit=1)
            lately = [
                ("job_id", "=", self.id),
                ("database_name", "=", name),
                "|",
                ("drilled_at", ">", since),
                ("drill_requested_at", ">", now - DRILL_PAUSE),
            ]
            if newest and not runs.search_count(lately, limit=1):
                newest.drill_requested_at = now
                # One copy is enough: they are all the same archive.
                plain = newest.copy_ids._whole().filtered(lambda copy: not copy.encryption)
                newest._request_verification(plain[:1], DRILL)


def plain_copy():
    """What a drill needs: nobody is there to enter the identity of an encrypted one."""
    return [("status", "=", "stored"), ("encryption", "=", False)]
