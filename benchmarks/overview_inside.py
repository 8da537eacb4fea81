"""The half of benchmarks/overview.py that runs inside Odoo (`odoo-bin shell`).

It fills the tables by SQL, and asks for the overview as the page does: by a user who may only look.
"""

import contextlib
import json
import time
from pathlib import Path

from odoo import api, fields, sql_db

DATABASES_EACH = 5
HISTORY_DAYS = 60
COPIES_EACH = 2
TABLES = ("backup_instance", "backup_database", "backup_job", "backup_run", "backup_copy")


class Bench:
    """The tables of one benchmark, and what is measured in them."""

    def __init__(self, env):
        self.env, self.cr = env, env.cr
        self.user = env["res.users"].create(
            {
                "name": "Looker",
                "login": "looker",
                "tz": "Europe/Berlin",
                "group_ids": [(4, env.ref("backup_scheduler.group_backup_user").id)],
            }
        )
        self.places = env["backup.destination"].search([], limit=1)
        self.places += env["backup.destination"].create({"name": "Second", "path": "/srv/second"})
        self.cr.commit()

    # --- filling --------------------------------------------------------------------------------

    def fill(self, instances, runs):
        """Have so many instances in all, of five databases and a job each, and so many runs."""
        have = self.env["backup.instance"].search_count([])
        added = self.env["backup.instance"].create(
            [
                {"name": f"Server {number:03}", "url": f"http://127.0.0.1:{9000 + number}"}
                for number in range(have, instances)
            ]
        )
        self.env["backup.database"].create(
            [
                {"instance_id": instance.id, "name": f"db{number}"}
                for instance in added
                for number in range(DATABASES_EACH)
            ]
        )
        self.env["backup.job"].create(
            [
                {
                    "name": f"Nightly {instance.name}",
                    "instance_id": instance.id,
                    "cron_expression": "0 2 * * *",
                    "destination_ids": [(6, 0, self.places.ids)],
                }
                for instance in added
            ]
        )
        self.env.flush_all()
        self._add_runs(runs - self.env["backup.run"].search_count([]))
        self.settle()

    def _add_runs(self, count):
        """Add runs of the last sixty days, of all databases alike: most good, all kinds among
        them, some of jobs that are gone, a few queued."""
        job = self.env["backup.job"].search([], limit=1)
        template = self.env["backup.run"]._create_for(
            job, ["template"], fields.Datetime.now(), "manual"
        )
        self.env.flush_all()
        self.cr.execute("SELECT count(*) FROM backup_database")
        (databases,) = self.cr.fetchone()
        each = -(-count // databases)
        pause = f"interval '{HISTORY_DAYS * 86400 // each} seconds'"
        due = f"now() AT TIME ZONE 'UTC' - n * {pause} - database.id % 60 * interval '1 minute'"
        kind = "(database.id * 31 + n * 7) % 100"
        self._multiply(template.id, count, each, {
            "instance_id": "database.instance_id",
            "database_name": "database.name",
            "job_id": "job.id",
            "trigger": "'schedule'",
            "scheduled_at": due,
            "started_at": due,
            "finished_at": f"{due} + interval '10 minutes'",
            "status": f"CASE WHEN n = 0 AND database.id % 25 = 0 THEN 'queued' "
                      f"WHEN {kind} < 5 THEN 'failed' WHEN {kind} < 6 THEN 'verify_failed' "
                      f"WHEN {kind} < 8 THEN 'skipped' WHEN {kind} < 9 THEN 'cancelled' "
                      f"WHEN {kind} < 20 THEN 'success' ELSE 'verified' END",
            "error_code": f"CASE WHEN {kind} < 6 THEN 'timeout' WHEN {kind} < 8 THEN 'missed' END",
            "error": f"CASE WHEN {kind} < 6 THEN 'The server did not answer in time.' END",
            "missed_since": f"CASE WHEN {kind} BETWEEN 6 AND 7 THEN {due} - {pause} END",
            "size": "1e9 + database.id * 1e6 - n * 1e5",
            "stored_copies": f"CASE WHEN {kind} < 9 THEN 0 ELSE {COPIES_EACH} END",
            "log": "repeat('2026-01-01 00:00:00 Stage: download ', 10)",
        })  # fmt: skip
        template.unlink()
        queued = self.env["backup.run"].search([("status", "=", "queued")])
        self.env["backup.task"]._plan_attempts(queued)
        self.env.flush_all()
        self.cr.execute(
            "INSERT INTO backup_copy (run_id, destination_id, company_id, status, path, size) "
            "SELECT run.id, place.id, run.company_id, 'stored', run.id || '.zip', run.size "
            "  FROM backup_run run, backup_destination place "
            " WHERE run.status IN ('success', 'verified') AND place.id IN %s "
            "   AND NOT EXISTS (SELECT 1 FROM backup_copy copy WHERE copy.run_id = run.id)",
            (tuple(self.places.ids),),
        )

    def _multiply(self, template, count, each, values):
        self.cr.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_name = 'backup_run' AND column_name <> 'id'"
        )
        columns = [name for (name,) in self.cr.fetchall()]
        expressions = [values.get(name, f'template."{name}"') for name in columns]
        names = ", ".join(f'"{name}"' for name in columns)
        self.cr.execute(
            f"INSERT INTO backup_run ({names}) SELECT {', '.join(expressions)} "
            f"  FROM backup_run template, generate_series(0, {each - 1}) n, "
            f"       backup_database database "
            f"  JOIN backup_job job ON job.instance_id = database.instance_id "
            f" WHERE template.id = {template} "
            # A template without another one of the same fire.
            f" ORDER BY n, database.id LIMIT {count} ON CONFLICT DO NOTHING"
        )
        self.env.invalidate_all(flush=False)

    def settle(self):
        """Commit, and let PostgreSQL learn the tables, as autovacuum does by and by."""
        self.cr.commit()
        with contextlib.closing(sql_db.db_connect(self.cr.dbname).cursor()) as cr:
            cr._cnx.autocommit = True
            for table in TABLES:
                cr.execute(f"VACUUM (ANALYZE) {table}")

    # --- measuring ------------------------------------------------------------------------------

    def measure(self, method):
        """Return the seconds, the number of queries and the bytes of one call, in a request of its
        own."""
        with self.env.registry.cursor() as cr:
            env = api.Environment(cr, self.user.id, {"tz": "Europe/Berlin"})
            before, began = cr.sql_log_count, time.perf_counter()
            answer = getattr(env["backup.overview"], method)()
            seconds = time.perf_counter() - began
            return {
                "seconds": seconds,
                "queries": cr.sql_log_count - before,
                "bytes": len(json.dumps(answer)),
                "databases": sum(len(one["databases"]) for one in answer.get("instances", ())),
            }

    def counts(self):
        found = {}
        for table in TABLES:
            self.cr.execute(f"SELECT count(*) FROM {table}")
            found[table] = self.cr.fetchone()[0]
        return found


def main(env, target, sizes, rounds):
    """Measure at each of ``sizes`` (instances, runs); write the results as JSON to ``target``."""
    bench = Bench(env)
    results = []
    for instances, runs in sizes:
        bench.fill(instances, runs)
        bench.measure("load")  # what is cached is so in any server that has served a page
        results.append(
            {
                "counts": bench.counts(),
                "load": [bench.measure("load") for _round in range(rounds)],
                "active": [bench.measure("active") for _round in range(rounds)],
            }
        )
    Path(target).write_text(json.dumps(results))
