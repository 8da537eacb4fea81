import datetime

from odoo import api, fields, models

from ...engine.spool import human_size
from ..run.backup_run import GOOD, KNOWN_HERE

WEEK = datetime.timedelta(days=7)
# Incidents that the mail lists; the rest is counted.
LISTED = 20
# How a database stands, in the order of the columns.
STANDS = ("protected", "pending", "late", "unprotected")


class BackupAlertDigest(models.Model):
    """The mail of the week: how every instance stands, and what became of its runs."""

    _inherit = "backup.alert.channel"

    @api.model
    def _cron_digest(self):
        """Queue the digests; the dispatcher makes the mails."""
        self.search([("kind", "=", "mail"), ("weekly_digest", "=", True)])._make_digests()
        self.env["backup.dispatcher"]._wake()

    def _make_digests(self):
        """Queue a digest of each channel for each company that has instances there."""
        alerts, now = self.env["backup.alert"], fields.Datetime.now()
        for channel in self:
            companies = channel._digest_instances().mapped("company_id")
            groups = [*companies, companies.browse()]
            for company in groups:
                if channel._digest_instances(company):
                    alerts.create(
                        alerts._message(
                            channel, "digest", self.env["backup.incident"], company, now
                        )
                    )

    def _digest_instances(self, company=None):
        """Return the instances that the channel is about, of the company; None: of any."""
        instances = self.instance_ids or self.env["backup.instance"].search(
            [("active", "=", True)]
        )
        instances = instances.filtered(lambda one: self._covers(one.company_id))
        if company is not None:
            instances = instances.filtered(lambda one: one.company_id == company)
        return instances

    def _digest_title(self, company):
        week = fields.Date.context_today(self) - WEEK
        where = f" · {company.name}" if company else ""
        return self.env._("Backups since %(date)s%(where)s", date=week, where=where)

    def _digest(self, company):
        """Return what the mail shows, in a number of queries that does not grow.

        :return: ``{rows: [{instance, empty (no database is known), protected, pending, late,
            unprotected, good, failed, stored}],
            total (the same over all), incidents, more (incidents that are not listed)}``
        """
        instances = self._digest_instances(company)
        stands = self._stands_of(instances)
        good, failed, stored = self._week_of(instances)
        empty = instances._without_databases()
        rows = [
            {
                "instance": instance.name,
                "empty": instance in empty,
                **{stand: stands.get((instance.id, stand), 0) for stand in STANDS},
                "good": good.get(instance, 0),
                "failed": failed.get(instance, 0),
                "bytes": stored.get(instance, 0),
                "stored": human_size(stored.get(instance, 0)),
            }
            for instance in instances
        ]
        total = {
            key: sum(row[key] for row in rows) for key in (*STANDS, "good", "failed", "bytes")
        }
        domain = [("instance_id", "in", instances.ids), ("state", "=", "open")]
        incidents = self.env["backup.incident"].search(domain)
        return {
            "rows": rows,
            "total": {**total, "stored": human_size(total["bytes"])},
            "incidents": incidents[:LISTED],
            "more": max(0, len(incidents) - LISTED),
        }

    def _stands_of(self, instances):
        """Return ``{(instance id, stand): databases}``."""
        databases = self.env["backup.database"].search([("instance_id", "in", instances.ids)])
        owners = {database.id: database.instance_id.id for database in databases}
        counts = {}
        for key, stand in databases._protections(databases.ids).items():
            place = (owners[key], stand["state"])
            counts[place] = counts.get(place, 0) + 1
        return counts

    def _week_of(self, instances):
        """Return the good runs, the failed ones and the bytes stored of a week, by instance."""
        runs = self.env["backup.run"]
        domain = [
            ("instance_id", "in", instances.ids),
            ("finished_at", ">=", fields.Datetime.now() - WEEK),
        ]
        ended = runs._read_group(
            [*domain, ("status", "in", GOOD), KNOWN_HERE], ["instance_id"], ["__count", "size:sum"]
        )
        failed = runs._read_group(
            [*domain, ("status", "in", ("failed", "verify_failed"))], ["instance_id"], ["__count"]
        )
        return (
            {instance: count for instance, count, _size in ended},
            dict(failed),
            {instance: size for instance, _count, size in ended},
        )
