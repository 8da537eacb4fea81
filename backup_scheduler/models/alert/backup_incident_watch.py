import logging
import time

import psycopg2

from odoo import api, models

from ... import inline
from ..dispatcher.backup_dispatcher import COLLISIONS, isolated
from ..run.backup_run import GOOD
from ..run.backup_run_alerts import BATCH
from ..task.kinds import ASIDE

_logger = logging.getLogger(__name__)

# Seconds after which no other piece of a message is begun.
DELIVERY_TIME = 3


class BackupIncidentWatch(models.AbstractModel):
    """The look for incidents, and what others are told of.

    It sends nothing over the network: mails and activities are records, and the rest is handed over
    to whoever executes runs.
    """

    _inherit = "backup.dispatcher"

    @api.model
    def _watch(self):
        """See which runs have ended, and tell those who want to know; return whether there is
        something to be sent over the network now."""
        while count := self._watch_step(self._watch_runs):
            if count < BATCH:
                self._deliver_here()
                break
            if not self.env["ir.cron"]._commit_progress():
                break
        else:
            self._deliver_here()
        return self._watch_step(self.env["backup.alert"]._plan_tasks)

    @api.model
    def _deliver_here(self):
        """Make the mails and activities that wait, a piece at a time, while there is time.

        What goes to many takes seconds to be made, in the thread that everybody's crons share.
        """
        deadline = time.monotonic() + DELIVERY_TIME
        begun = False
        for alert in self.env["backup.alert"]._waiting_here():
            more = True
            while more:
                if begun and time.monotonic() > deadline:
                    # At once, but after the crons that wait meanwhile.
                    self._wake()
                    return
                begun = True
                more = self._watch_step(alert._deliver_waiting)

    @api.model
    def _cron_watch(self):
        """See what is late: every few minutes, as it asks how every database stands."""
        if self._watch_step(self._watch_protection):
            self._wake()

    @api.model
    def _watch_step(self, step):
        """One step, one transaction: what breaks there stays there."""
        result = None
        try:
            with self.env.cr.savepoint():
                result = step()
        except COLLISIONS:
            # Somebody else is at it; the next minute comes again.
            self.env.cr.rollback()
            return None
        except psycopg2.OperationalError:
            raise
        except Exception:
            _logger.exception("Backup alerts: %s failed", step.__name__)
        self.env["ir.cron"]._commit_progress()
        return result

    @api.model
    def _watch_runs(self):
        """Look at the runs that have come to something; return how many there were."""
        runs = self.env["backup.run"]._take_alerts()
        incidents = self.env["backup.incident"]
        opened = recovered = incidents
        for run in runs:
            found = self._watch_one(run, incidents._see_run) or (incidents, incidents)
            # What ended before it was told of is told of no more.
            opened, recovered = opened | found[0], recovered | found[1]
            self._watch_one(run, self.env["backup.alert"]._ping_for)
        self._announce(opened, recovered)
        good = runs.filtered(lambda run: run.status in GOOD).instance_id
        if good and incidents.search_count(
            [("instance_id", "in", good.ids), ("kind", "=", "late"), ("state", "=", "open")],
            limit=1,
        ):
            # One of them may be late no longer.
            self._look_again()
        return len(runs)

    @api.model
    def _watch_one(self, run, see):
        with isolated(
            self.env.cr, _logger, "Backup run %s cannot be looked at for alerts", run.id
        ):
            return see(run)
        return None

    @api.model
    def _watch_protection(self):
        """Look for databases whose last good archive is older than promised, and for incidents of
        which nobody expects the end any more; return whether there is something to tell."""
        incidents = self.env["backup.incident"]
        opened, recovered = incidents._look_at_protection()
        incidents._withdraw_abandoned()
        return bool(self._announce(opened, recovered))

    @api.model
    def _look_again(self):
        """Have asked at once how the databases stand."""
        self._trigger("ir_cron_watch")

    @api.model
    def _announce(self, opened, recovered):
        alerts = self.env["backup.alert"]
        still = opened.filtered(lambda incident: incident.state == "open")
        return alerts._announce(still, "opened") + alerts._announce(recovered, "recovered")

    @api.model
    def _cron_notify(self):
        """Send the alerts that wait right here: ``executor = inline``."""
        if self._executor() == "inline":
            inline.execute_all(self.env.registry, (ASIDE,))
