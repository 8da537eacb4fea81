"""What a dispatch costs with 100, 1,000 and 10,000 jobs and 100,000 finished runs in the table.

A real Odoo and a real PostgreSQL that waits for its disk (fsync). Each dispatch is called as the
cron calls it, in an environment of its own. Nothing executes the runs: only the dispatcher is
measured. Each job has one database, so that each run that is planned is one of another job; of
three plannings the quickest counts. The plans are those that PostgreSQL chooses at the largest
size, once with nothing to do and once with 1 % of the jobs just planned.

Usage: python benchmarks/dispatch.py [--quick]
"""

import sys

import common

DATABASE = "dispatchbench"
SIZES, QUICK_SIZES = (100, 1_000, 10_000), (100, 10_000)
HISTORY = 100_000
ROUNDS, QUICK_ROUNDS = 100, 40
RATIO_BOUND = 1.5
IDLE_BOUND = 0.050
RATE_BOUND = 200
STATEMENT_WIDTH = 100


def measure(server, quick):
    return common.measure_inside(
        server, DATABASE, "dispatch_inside",
        QUICK_SIZES if quick else SIZES, HISTORY, QUICK_ROUNDS if quick else ROUNDS,
    )  # fmt: skip


def milliseconds(seconds):
    return f"{seconds * 1000:.1f}"


def percentile(values, percent):
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def report_times(sizes):
    rows = []
    for size in sizes:
        seconds, runs = size["busy"]
        rows.append((
            f"{size['jobs']:,}", milliseconds(common.median(size["idle"])),
            milliseconds(percentile(size["idle"], 95)), size["due"], milliseconds(seconds), runs,
            f"{runs / seconds:.0f}",
        ))  # fmt: skip
    common.table(
        ("jobs", "none due: median ms", "p95 ms", "1 % due: jobs", "ms", "runs", "runs/s"), rows
    )


def report_plans(plans):
    """Print how each query reads the big tables; return how many do without an index."""
    rows, bad = [], []
    for state, step, statement, reads in plans:
        how = ", ".join(f"{table}: {read}" for table, read in reads.items())
        rows.append((state, step, how))
        if any("Scan" in read for read in reads.values()):
            bad.append(f"{state}, {step}: {how}\n    {statement[:STATEMENT_WIDTH * 10]}")
    common.table(("state", "query of", "read through"), dict.fromkeys(rows))
    for line in bad:
        common.say(f"no index: {line}")
    return len(bad)


def main():
    with common.alone(), common.addon_server(DATABASE) as server:
        results = measure(server, common.arguments(__doc__.splitlines()[0]).quick)
    sizes = results["sizes"]
    report_times(sizes)
    rate = max(runs / seconds for seconds, runs in results["rates"])
    for seconds, runs in results["rates"]:
        common.say(f"{runs:,} runs planned at once: {seconds:.2f} s, {runs / seconds:.0f} a second")
    common.say()
    without_index = report_plans(results["plans"])
    common.say()
    first, last = (common.median(sizes[index]["idle"]) for index in (0, -1))
    name = f"{sizes[-1]['jobs']:,} jobs, none due"
    return max(
        common.verdict(
            f"{name}, against {sizes[0]['jobs']}", f"{last / first:.2f}", f"<= {RATIO_BOUND}",
            last / first <= RATIO_BOUND,
        ),
        common.verdict(name, f"{last * 1000:.1f} ms", "<= 50 ms", last <= IDLE_BOUND),
        common.verdict("planning", f"{rate:.0f} runs/s", f">= {RATE_BOUND}", rate >= RATE_BOUND),
        common.verdict("queries without an index", without_index, "0", not without_index),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
