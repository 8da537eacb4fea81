"""The half of benchmarks/dispatch.py that runs inside Odoo (`odoo-bin shell`).

It fills the tables by SQL, times the dispatcher as its cron would call it, and asks PostgreSQL how
it would answer each of the dispatcher's queries.
"""

import contextlib
import json
import re
import time
from pathlib import Path

from odoo import SUPERUSER_ID, api, fields, sql_db

DATABASES = 50
# Jobs that own the finished runs: the tables weigh the same at every number of jobs.
OLDEST_JOBS = 100
BIG_TABLES = ("backup_run", "backup_job", "backup_copy")
# What else the machine does slows a planning by half: the quickest of these counts.
RATE_ROUNDS = 3
CRON = "backup_scheduler.ir_cron_dispatch"


class Bench:
    """The tables of one benchmark, and what is measured in them."""

    def __init__(self, env, rounds):
        self.env, self.cr, self.rounds = env, env.cr, rounds
        # Nothing is to be executed: a hand-over leaves a trigger of a cron that nobody runs.
        env["ir.config_parameter"].set_param("backup_scheduler.executor", "inline")
        self.instances = env["backup.instance"].create(
            [{"name": f"S{n}", "url": f"http://127.0.0.1:{9000 + n}"} for n in range(DATABASES)]
        )
        env["backup.database"].create(
            [{"instance_id": instance.id, "name": "shop"} for instance in self.instances]
        )
        self.job = env["backup.job"].create(
            {"name": "Bench", "instance_id": self.instances[0].id, "cron_expression": "0 * * * *"}
        )
        self.cron = env.ref(CRON).id
        self.cr.commit()

    # --- filling --------------------------------------------------------------------------------

    def add_jobs(self, count):
        """Have ``count`` jobs in all, spread over the instances, each due in the future."""
        have = self.env["backup.job"].search_count([])
        self._multiply("backup_job", self.job.id, count - have, {
            "name": "'Job ' || n", "instance_id": f"{self.instances[0].id} + n %% {DATABASES}",
            "next_run_at": "now() AT TIME ZONE 'UTC' + interval '1 day' + n * interval '1 second'",
        })  # fmt: skip
        relation = self.env["backup.job"]._fields["destination_ids"]
        self.cr.execute(
            f"INSERT INTO {relation.relation} ({relation.column1}, {relation.column2}) "
            f"SELECT job.id, %s FROM backup_job job ON CONFLICT DO NOTHING",
            (self.job.destination_ids[0].id,),
        )
        self.settle()

    def add_history(self, count):
        """Have ``count`` finished runs with their copies: most good, some failed or skipped."""
        run = self.env["backup.run"]._create_for(
            self.job, ["shop"], fields.Datetime.now(), trigger="manual"
        )
        # Jobs share the hours at which they are due, as those of people do.
        fire = f"date_trunc('hour', now() AT TIME ZONE 'UTC') - n / {OLDEST_JOBS} * interval '1 h'"
        self._multiply("backup_run", run.id, count, {
            "job_id": f"(SELECT id FROM backup_job ORDER BY id OFFSET n %% {OLDEST_JOBS} LIMIT 1)",
            "instance_id": f"{self.instances[0].id} + n %% {DATABASES}",
            "trigger": "'schedule'",
            "scheduled_at": fire,
            "started_at": fire,
            "finished_at": fire,
            "status": "CASE WHEN n %% 100 < 3 THEN 'failed' WHEN n %% 100 < 4 THEN 'skipped' "
                      "ELSE 'verified' END",
            "attempt": "1", "size": "1e9", "sha256": "md5(n::text) || md5('x' || n)",
            "log": "repeat('2026-01-01 00:00:00 Stage: download ', 10)",
        })  # fmt: skip
        self.cr.execute(
            "INSERT INTO backup_copy (run_id, destination_id, status, path, size) "
            "SELECT id, %s, CASE WHEN status = 'verified' THEN 'stored' ELSE 'failed' END,"
            "       CASE WHEN status = 'verified' THEN 'shop/' || id || '.zip' END, 1e9"
            "  FROM backup_run WHERE status IN ('verified', 'failed')",
            (self.job.destination_ids[0].id,),
        )
        run.unlink()
        self.settle()

    def _multiply(self, table, template, count, values):
        """Insert ``count`` rows like the template; ``values`` are SQL over the row's number n."""
        self.env.flush_all()
        self.cr.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_name = %s AND column_name <> 'id'",
            (table,),
        )
        columns = [name for (name,) in self.cr.fetchall()]
        expressions = [values.get(name, f'template."{name}"') for name in columns]
        names = ", ".join(f'"{name}"' for name in columns)
        self.cr.execute(
            f"INSERT INTO {table} ({names}) SELECT {', '.join(expressions)} "
            f"FROM {table} template, generate_series(1, %s) n WHERE template.id = %s",
            (count, template),
        )
        self.env.invalidate_all(flush=False)

    def settle(self):
        """Commit, and let PostgreSQL learn the tables, as autovacuum does by and by."""
        self.cr.commit()
        with contextlib.closing(sql_db.db_connect(self.cr.dbname).cursor()) as cr:
            cr._cnx.autocommit = True
            for table in BIG_TABLES:
                cr.execute(f"VACUUM (ANALYZE) {table}")

    def make_due(self, count):
        """Make ``count`` of the jobs due since a moment ago."""
        self.cr.execute(
            "UPDATE backup_job SET next_run_at = now() AT TIME ZONE 'UTC' - interval '1 second' "
            "WHERE id IN (SELECT id FROM backup_job ORDER BY md5(id::text) LIMIT %s)",
            (count,),
        )
        self.cr.commit()

    def forget_runs(self):
        """Remove what was planned, and have no job due."""
        self.cr.execute("DELETE FROM backup_run WHERE status IN ('queued', 'running')")
        self.cr.execute(
            "UPDATE backup_job SET next_run_at = now() AT TIME ZONE 'UTC' + interval '1 day' "
            "WHERE next_run_at < now() AT TIME ZONE 'UTC' + interval '1 day'"
        )
        self.settle()

    # --- timing ---------------------------------------------------------------------------------

    def dispatch(self):
        """Dispatch once, as the cron does: return the seconds and the number of runs made."""
        with self.env.registry.cursor() as cr:
            env = api.Environment(cr, SUPERUSER_ID, {"cron_id": self.cron})
            cron, _progress = env["ir.cron"].browse(self.cron)._add_progress()
            cr.commit()
            last = self.last_run(cr)
            began = time.perf_counter()
            env["backup.dispatcher"].with_context(cron.env.context)._cron_dispatch()
            cr.commit()
            seconds = time.perf_counter() - began
            cr.execute("SELECT count(*) FROM backup_run WHERE id > %s", (last,))
            return seconds, cr.fetchone()[0]

    def last_run(self, cr):
        cr.execute("SELECT max(id) FROM backup_run")
        return cr.fetchone()[0] or 0

    def time_idle(self):
        """Return the seconds of dispatches that find nothing due."""
        self.dispatch()
        return [self.dispatch()[0] for _round in range(self.rounds)]

    def time_due(self, count):
        """Return the seconds and runs of one dispatch that finds ``count`` jobs due."""
        self.make_due(count)
        result = self.dispatch()
        self.forget_runs()
        return result

    # --- plans ----------------------------------------------------------------------------------

    def plans(self, state):
        """Return ``(state, step, statement, how each big table is read)`` of every query."""
        found = []
        for name, step in self.steps().items():
            with recorded() as statements:
                step()
            self.cr.rollback()
            self.env.invalidate_all(flush=False)
            reads = [(statement, self.explain(statement)) for statement in statements]
            found += [(state, name, shortened(query), read) for query, read in reads if read]
        return found

    def steps(self):
        env, run, tasks = self.env, self.env["backup.run"], self.env["backup.task"]
        dispatcher, now = env["backup.dispatcher"], fields.Datetime.now()
        # One that has a history: its queries have the most rows to choose from.
        job = env["backup.job"].search([], order="id", limit=1)
        last = run.search([], limit=1)
        return {
            "reap": tasks._reap,
            "reap predecessors": lambda: tasks._reap("seat"),
            "due jobs": lambda: dispatcher._due_jobs(now).ids,
            "plan a job": lambda: job.write({"next_run_at": now}) and job._plan_fire(now),
            "overlap": lambda: run._active_names(job),
            "places due": tasks._places_due,
            "claim": lambda: tasks._claim("bench"),
            "renew leases": lambda: tasks._renew_leases(["token"]),
            "hold a task": lambda: tasks._held(1, "token"),
            "plan the archive's tasks": last._plan_tasks,
            "last size": last._expected_size,
        }

    def explain(self, statement):
        """Return ``{big table: how it is read}``; nothing for statements that read none."""
        if not re.match(r"\s*(SELECT|UPDATE|DELETE)", statement):
            return {}
        self.cr.execute("EXPLAIN (FORMAT JSON) " + statement.replace("%", "%%"), ())
        (plan,) = self.cr.fetchone()[0]
        self.cr.rollback()
        return dict(table_reads(plan["Plan"]))


@contextlib.contextmanager
def recorded():
    """Yield the list of the statements that PostgreSQL is sent meanwhile."""
    statements, execute = [], sql_db.Cursor.execute

    def recording(cursor, *arguments, **named):
        result = execute(cursor, *arguments, **named)
        statements.append(cursor._obj.query.decode())
        return result

    sql_db.Cursor.execute = recording
    try:
        yield statements
    finally:
        sql_db.Cursor.execute = execute


def table_reads(node):
    """Yield each big table below a plan's node, with the index that leads to it, if one does."""
    index = node.get("Index Name")
    table = node.get("Relation Name")
    if node["Node Type"] == "Bitmap Heap Scan":
        index = next(bitmap_indexes(node), None)
    if table in BIG_TABLES and node["Node Type"] != "ModifyTable":
        yield table, index or node["Node Type"]
    for child in node.get("Plans", ()):
        yield from table_reads(child)


def bitmap_indexes(node):
    for child in node.get("Plans", ()):
        if "Index Name" in child:
            yield child["Index Name"]
        yield from bitmap_indexes(child)


def shortened(statement):
    return " ".join(statement.split())


def main(env, target, sizes, history, rounds):
    """Measure; write the results as JSON to ``target``."""
    bench = Bench(env, rounds)
    results = []
    for size in sizes:
        bench.add_jobs(size)
        if size == sizes[0]:
            bench.add_history(history)
        idle = bench.time_idle()
        due = max(1, size // 100)
        results.append({"jobs": size, "idle": idle, "due": due, "busy": bench.time_due(due)})
    rates = [bench.time_due(max(1, sizes[-1] // 10)) for _round in range(RATE_ROUNDS)]
    plans = bench.plans("idle")
    bench.make_due(max(1, sizes[-1] // 100))
    bench.dispatch()
    bench.settle()
    env.invalidate_all(flush=False)
    plans += bench.plans("busy")
    Path(target).write_text(json.dumps({"sizes": results, "rates": rates, "plans": plans}))
