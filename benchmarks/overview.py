"""What the overview costs with 200 instances, 1,000 databases and 100,000 runs.

A real Odoo and a real PostgreSQL; the runs are of 60 days, of all statuses, with two copies each.
The page is asked for as the web client does, by a user who may only look, each time in a
transaction of its own; of the rounds the quickest counts, since what else the machine does makes
the others slower. The same is measured with 10 instances: the number of queries must be equal.

Usage: python benchmarks/overview.py [--quick]
"""

import contextlib
import json
import sys

import common
from devenv.paths import ADDON
from devenv.stack import addon_dependencies

DATABASE = "overviewbench"
FEW = (10, 5_000)
MANY, QUICK_MANY = (200, 100_000), (200, 40_000)
ROUNDS, QUICK_ROUNDS = 9, 3
BOUND = 1.5  # seconds
SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
import overview_inside
overview_inside.main(env, {target!r}, {sizes!r}, {rounds})
"""


@contextlib.contextmanager
def odoo():
    """Yield an Odoo with the addon installed, which serves nobody and runs no cron."""
    common.environment.ensure()
    cluster = common.Cluster(DATABASE, fsync=True).start()
    server = common.OdooServer(DATABASE, cluster, role=DATABASE, with_addon=True)
    try:
        cluster.ensure_role(server.role)
        cluster.drop(DATABASE)
        common.Seed(modules=addon_dependencies()).create(server, DATABASE)
        server.install(DATABASE, ADDON.name)
        yield server
    finally:
        server.stop()
        cluster.remove()


def measure(server, quick):
    with common.scratch() as folder:
        target = folder / "results.json"
        script = SCRIPT.format(
            folder=str(common.ROOT / "benchmarks"), target=str(target),
            sizes=(FEW, QUICK_MANY if quick else MANY), rounds=QUICK_ROUNDS if quick else ROUNDS,
        )  # fmt: skip
        server.run("shell", "-d", DATABASE, "--no-http", script=script)
        return json.loads(target.read_text())


def report(results):
    rows = []
    for result in results:
        counts = result["counts"]
        for method in ("load", "active"):
            calls = result[method]
            seconds = [call["seconds"] for call in calls]
            rows.append((
                method, f"{counts['backup_instance']:,}", f"{counts['backup_database']:,}",
                f"{counts['backup_run']:,}", f"{counts['backup_copy']:,}",
                f"{min(seconds):.3f}", f"{common.median(seconds):.3f}", calls[0]["queries"],
                f"{calls[0]['bytes'] / 1000:,.0f}",
            ))  # fmt: skip
    head = ("call", "instances", "databases", "runs", "copies", "quickest s", "median s",
            "queries", "kB")  # fmt: skip
    common.table(head, rows)


def main():
    with odoo() as server:
        few, many = measure(server, common.arguments(__doc__.splitlines()[0]).quick)
    report((few, many))
    common.say()
    seconds = min(call["seconds"] for call in many["load"])
    grown = many["load"][0]["queries"] - few["load"][0]["queries"]
    return max(
        common.verdict("the page", f"{seconds:.2f} s", f"< {BOUND} s", seconds < BOUND),
        common.verdict("queries more than with few", grown, "0", grown == 0),
    )


if __name__ == "__main__":
    sys.exit(main())
