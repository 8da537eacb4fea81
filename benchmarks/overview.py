"""What the overview costs with 200 instances, 1,000 databases and 100,000 runs.

A real Odoo and a real PostgreSQL; the runs are of 60 days, of all statuses, with two copies each.
The page is asked for as the web client does, by a user who may only look, each time in a
transaction of its own; of the rounds the quickest counts, since what else the machine does makes
the others slower. The same is measured with 10 instances: the number of queries must be equal.

Usage: python benchmarks/overview.py [--quick]
"""

import sys

import common

DATABASE = "overviewbench"
FEW = (10, 5_000)
MANY, QUICK_MANY = (200, 100_000), (200, 40_000)
ROUNDS, QUICK_ROUNDS = 9, 3
BOUND = 1.5  # seconds


def measure(server, quick):
    return common.measure_inside(
        server, DATABASE, "overview_inside",
        (FEW, QUICK_MANY if quick else MANY), QUICK_ROUNDS if quick else ROUNDS,
    )  # fmt: skip


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
    with common.alone(), common.addon_server(DATABASE) as server:
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
