from odoo import api, fields, models
from odoo.tools import SQL
from odoo.tools.safe_eval import safe_eval

from .. import arguments
from ..run.backup_run import ACTIVE, GOOD
from .backup_overview_days import GOOD_KINDS, Group, Strips, window

# So many archives make the trend of a database's size.
TREND_LENGTH = 14
# A failure of what nobody backs up any more is none of today's.
COVERED = ("protected", "pending", "late")
KIND_OF_STATUS = SQL(
    """CASE WHEN status IN ('queued', 'running') THEN 'running'
            WHEN status = 'success' THEN 'stored'
            WHEN status IN ('failed', 'verify_failed') THEN 'failed'
            WHEN status = 'skipped' AND error_code = 'missed' THEN 'missed'
            ELSE status END"""
)


class BackupOverview(models.AbstractModel):
    """What the app's first screen shows: how every database stands, in one answer.

    All of it is what the user may see, and plain values: moments are UTC in Odoo's format or
    False, sizes are bytes. The number of queries does not grow with what there is.
    """

    _name = "backup.overview"
    _description = "Overview of the Backups"

    # --- what the page asks ---------------------------------------------------------------------

    @api.model
    def load(self):
        """Return the whole page.

        :return: ``{now, days: [{date, start, end}], rights, totals, health: [problems],
            instances: [{…, databases: [{…}]}], destinations: [{…}], active: [runs]}``; see the
            methods that make the parts
        """
        instances = self.env["backup.instance"].search_fetch(
            [], ["name", "url", "odoo_version", "check_status", "check_error", "last_check_at"]
        )
        jobs = self.env["backup.job"].search_fetch(
            [("instance_id", "in", instances.ids)],
            ["instance_id", "cron_expression", "timezone", "enabled", "database_scope",
             "database_ids", "next_run_at"],
        )  # fmt: skip
        days = window(self.env.tz)
        rows = self._databases(instances, jobs, days)
        destinations = self._destinations()
        return {
            **self.active(),
            "now": fields.Datetime.to_string(fields.Datetime.now()),
            "days": [self._day(day) for day in days],
            "rights": self._rights(),
            "totals": self._totals(rows, jobs, destinations, instances),
            "health": self.env["backup.doctor"].health()["problems"],
            "instances": self._instances(instances, jobs, rows),
            "destinations": destinations,
        }

    @api.model
    def active(self):
        """Return what is going on, which is all that changes while runs make progress.

        :return: ``{active: [{id, instance_id, database, status, stage, progress (percent),
            received (bytes), attempt, retry_at}], running, queued}``: one run a database, those
            that run first
        """
        runs = self.env["backup.run"]
        domain = [("status", "in", ACTIVE), ("instance_id.active", "=", True)]
        counts = dict(runs._read_group(domain, ["status"], ["__count"]))
        runs.flush_model()
        query = runs._search(domain)
        query.order = SQL(
            "backup_run.instance_id, database_name, status DESC, scheduled_at, backup_run.id"
        )
        found = self._rows(
            query.select(
                SQL("DISTINCT ON (backup_run.instance_id, database_name) backup_run.instance_id"),
                "database_name, backup_run.id",
            )
        )
        seen = ("status", "stage", "progress", "received", "attempt", "retry_at")
        read = runs.browse(run["id"] for run in found).sudo().read(seen, load=False)
        values = {row.pop("id"): row for row in read}
        for run in found:
            run["database"] = run.pop("database_name") or ""
            run.update(values[run["id"]])
            run["retry_at"] = moment(run["retry_at"])
        return {
            "active": found,
            "running": counts.get("running", 0),
            "queued": counts.get("queued", 0),
        }

    @api.model
    @arguments.accepts(instance_id=arguments.record, database_ids=arguments.records)
    def action_set_up(self, instance_id=False, database_ids=()):
        """Return the action by which a Manager has databases backed up.

        :param instance_id: the instance to begin with; without it, a new one
        """
        self.env["backup.run"]._require_manager()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "backup_scheduler.backup_setup_action"
        )
        context = dict(safe_eval(action["context"] or "{}"))
        if instance_id:
            context["default_instance_id"] = instance_id
        if database_ids:
            databases = self.env["backup.database"].browse(database_ids)
            context["default_database_names"] = databases.mapped("name")
        return {**action, "context": context}

    @api.model
    def _rights(self):
        user = self.env.user
        return {
            "operator": user.has_group("backup_scheduler.group_backup_operator"),
            "manager": user.has_group("backup_scheduler.group_backup_manager"),
        }

    @staticmethod
    def _day(day):
        return {
            "date": day.date.isoformat(),
            "start": fields.Datetime.to_string(day.start),
            "end": fields.Datetime.to_string(day.end),
        }

    # --- databases ------------------------------------------------------------------------------

    @api.model
    def _databases(self, instances, jobs, days):
        """Return ``{database: its row}``.

        A row has what ``backup.database._protections`` tells, the strip of the days (see
        :class:`Strips`), ``sizes`` (of the last good archives, oldest first) and ``failure``: what
        the last attempt failed of, or False when it went well.
        """
        databases = self.env["backup.database"].search_fetch(
            [("instance_id", "in", instances.ids)], ["name", "instance_id", "create_date"]
        )
        protections = databases._protections(databases.ids)
        strips = Strips(days, jobs, databases)
        strips.add(self._run_groups(instances, days))
        sizes = self._sizes([one["last_good_run_id"] for one in protections.values()])
        failures = self._failures(strips, databases)
        return {
            database: {
                **plain(protections[database.id]),
                "id": database.id,
                "name": database.name,
                "strip": strips.of(database.id),
                "sizes": sizes.get(protections[database.id]["last_good_run_id"], []),
                "failure": (
                    protections[database.id]["state"] in COVERED and failures.get(database, False)
                ),
            }
            for database in databases
        }

    @api.model
    def _run_groups(self, instances, days):
        """Return the runs of the days as :class:`Group`."""
        runs = self.env["backup.run"]
        runs.flush_model()
        query = runs._search(
            [("scheduled_at", ">=", days[0].start), ("instance_id", "in", instances.ids)]
        )
        query.groupby = SQL("1, 2, 3, 4, 5")
        groups = map(Group._make, self.env.execute_query(
            query.select(
                "instance_id",
                "coalesce(database_name, '')",
                SQL(
                    "CASE WHEN coalesce(database_name, '') = '' OR missed_since IS NOT NULL "
                    "THEN job_id END"
                ),
                # By its bounds: PostgreSQL need not know the name of the user's zone.
                SQL("width_bucket(scheduled_at, %s)", [day.start for day in days]),
                KIND_OF_STATUS,
                "count(*)",
                "max(id)",
                "max(coalesce(finished_at, scheduled_at))",
                "min(missed_since)",
            )
        ))  # fmt: skip
        return [group._replace(day=days[group.day - 1].date) for group in groups]

    @api.model
    def _sizes(self, run_ids):
        """Return ``{last good run: the sizes of the archives made like it, oldest first}``."""
        wanted = tuple(filter(None, run_ids))
        if not wanted:
            return {}
        query = SQL(
            """
            SELECT good.id, array_agg(archive.size::float8 ORDER BY archive.finished_at)
              FROM backup_run good
              JOIN LATERAL (
                    SELECT run.size, run.finished_at
                      FROM backup_run run
                     WHERE run.instance_id = good.instance_id
                       AND run.database_name = good.database_name
                       AND run.archive_format = good.archive_format
                       AND run.include_filestore IS NOT DISTINCT FROM good.include_filestore
                       AND run.status IN %(good)s
                     ORDER BY run.finished_at DESC
                     LIMIT %(length)s
              ) archive ON true
             WHERE good.id IN %(wanted)s
             GROUP BY good.id
            """,
            good=GOOD,
            length=TREND_LENGTH,
            wanted=wanted,
        )
        return dict(self.env.execute_query(query))

    @api.model
    def _failures(self, strips, databases):
        """Return ``{database: {run_id, error, hint, error_code, at}}`` of those of which the last
        attempt did not go well."""
        found = {}
        for database in databases:
            ends = strips.last_ends(database.id)
            good = max((ends[kind].at for kind in GOOD_KINDS if kind in ends), default=None)
            if "failed" in ends and (not good or ends["failed"].at > good):
                found[database] = ends["failed"]
        runs = self.env["backup.run"].search_fetch(
            [("id", "in", [end.run_id for end in found.values()])], ["error", "hint", "error_code"]
        )
        told = {run.id: run for run in runs}
        return {
            database: {
                "run_id": end.run_id,
                "at": moment(end.at),
                "error": told[end.run_id].error_summary,
                "hint": told[end.run_id]._translated("hint") or "",
                "error_code": told[end.run_id].error_code or "",
            }
            for database, end in found.items()
        }

    # --- around them ----------------------------------------------------------------------------

    @api.model
    def _instances(self, instances, jobs, rows):
        """Return the instances with the rows of their databases, in the order of their names."""
        databases = {instance: [] for instance in instances}
        for database, row in rows.items():
            databases[database.instance_id].append(row)
        counts = {instance: 0 for instance in instances}
        for job in jobs:
            counts[job.instance_id] += 1
        return [
            {
                "id": instance.id,
                "name": instance.name,
                "url": instance.url or "",
                "odoo_version": instance.odoo_version or "",
                "check_status": instance.check_status or "",
                "check_error": instance._translated("check_error") or "",
                "last_check_at": moment(instance.last_check_at),
                "jobs": counts[instance],
                "databases": databases[instance],
            }
            for instance in instances
        ]

    @api.model
    def _destinations(self):
        """Return ``[{id, name, kind, check_status, check_error, bytes, copies}]``, also of archived
        destinations that still hold copies."""
        stored = {
            destination.id: (count, size)
            for destination, count, size in self.env["backup.copy"]._read_group(
                [("status", "=", "stored")], ["destination_id"], ["__count", "size:sum"]
            )
        }
        destinations = self.env["backup.destination"].with_context(active_test=False)
        names = ["name", "kind", "active", "check_status", "check_error"]
        found = destinations.search_fetch(
            ["|", ("active", "=", True), ("id", "in", list(stored))], names
        )
        kinds = self._labels("backup.destination", "kind")
        return [
            {
                "id": destination.id,
                "name": destination.name,
                "kind": kinds.get(destination.kind, ""),
                "check_status": destination.check_status or "",
                "check_error": destination._translated("check_error") or "",
                "copies": stored.get(destination.id, (0, 0))[0],
                "bytes": stored.get(destination.id, (0, 0))[1] or 0,
            }
            for destination in found
        ]

    @api.model
    def _totals(self, rows, jobs, destinations, instances):
        """Return the numbers of the page, and what makes its verdict beside the databases:
        ``empty`` and ``unreachable`` (names of instances), ``incidents`` (how many are open)."""
        incidents = self.env["backup.incident"]
        open_ones = [("state", "=", "open"), ("instance_id", "in", instances.ids)]
        totals = dict.fromkeys((*COVERED, "unprotected", "absent", "failing"), 0)
        for row in rows.values():
            totals[row["state"]] += 1
            totals["failing"] += bool(row["failure"])
        fires = [job.next_run_at for job in jobs if job.enabled and job.next_run_at]
        return {
            **totals,
            "next_run_at": moment(min(fires, default=False)),
            "bytes": sum(destination["bytes"] for destination in destinations),
            "copies": sum(destination["copies"] for destination in destinations),
            "empty": instances._without_databases().mapped("name"),
            "unreachable": [one.name for one in instances if one.check_status == "error"],
            "incidents": incidents.search_count(open_ones),
        }

    @api.model
    def _labels(self, model, field):
        return dict(self.env[model]._fields[field]._description_selection(self.env))

    def _rows(self, query):
        self.env.cr.execute(query)
        return self.env.cr.dictfetchall()


def moment(value):
    return fields.Datetime.to_string(value.replace(microsecond=0)) if value else False


def plain(protection):
    """Return a protection with its moments as text."""
    moments = ("late_at", "last_good_at", "next_run_at")
    return {**protection, **{key: moment(protection[key]) for key in moments}}
