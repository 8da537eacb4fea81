"""How soon a backup begins: after *Run now*, and after the minute for which it was scheduled.

A real prefork Odoo is backed up by a real prefork backup server, driven by a script over XML-RPC.
*Run now* counts from before the call to the moment at which a look at the run finds it `running`
(or ended), once with no worker at work and once with one. The lateness of scheduled fires is what
the run itself says: when it started, less when it was due.

Usage: python benchmarks/latency.py [--quick]
"""

import contextlib
import datetime
import os
import secrets
import signal
import sys
import time

import common
from devenv import processes, user_script
from devenv.paths import ADDON
from devenv.stack import addon_dependencies

DATABASE = "latencybench"
SEED = common.Seed(attachments=40, megabytes=4)
REPETITIONS, QUICK_REPETITIONS = 10, 3
JOBS = 5
MINUTES, QUICK_MINUTES = 4, 2
PARALLEL_RUNS = 5
RUN_NOW_BOUND = 5
POLL = 0.02
PATIENCE = 60


@contextlib.contextmanager
def backup_server(cluster):
    """Yield a backup server with the addon installed, as in production."""
    server = common.OdooServer(
        f"{common.PREFIX}backup", cluster, role=DATABASE, with_addon=True, workers=2,
        master_password=secrets.token_urlsafe(12), dbfilter=f"^{DATABASE}$",
    )  # fmt: skip
    try:
        cluster.ensure_role(server.role)
        common.Seed(modules=addon_dependencies()).create(server, DATABASE)
        server.install(DATABASE, ADDON.name)
        yield server.start()
    finally:
        server.stop()


def end_worker(server):
    """Leave the server without a worker."""
    for pid in server.processes():
        if processes.is_running(pid, "--launched"):
            os.kill(pid, signal.SIGTERM)
            processes.wait_until(lambda pid=pid: not processes.is_running(pid), PATIENCE)


def run_now(rpc, job):
    """Run now; return the seconds until the run was seen to run. It has ended on return."""
    began = time.monotonic()
    (run,) = rpc.call("backup.job", "run_now", [job])
    while rpc.call("backup.run", "read", [run], ["status"])[0]["status"] == "queued":
        if time.monotonic() - began > PATIENCE:
            raise SystemExit(f"the run was still queued after {PATIENCE} s")
        time.sleep(POLL)
    seconds = time.monotonic() - began
    ended = user_script.wait_for_run(rpc, [["id", "=", run]], PATIENCE)
    if ended["status"] != "verified":
        raise SystemExit(f"the backup ended as {ended['status']}: {ended['error']}")
    return seconds


def measure_run_now(rpc, server, job, repetitions):
    """Return the seconds of each repetition, without a worker at work and with one."""
    cold, warm = [], []
    for _number in range(repetitions):
        end_worker(server)
        cold.append(run_now(rpc, job))
        warm.append(run_now(rpc, job))
    return cold, warm


def measure_lateness(rpc, instance, minutes):
    """Let several jobs fire for some minutes; return by how many seconds each run was late."""
    jobs = [
        user_script.create_job(rpc, instance, f"Every minute {n}", "* * * * *", [common.DATABASE])
        for n in range(JOBS)
    ]
    time.sleep(60 * minutes)
    rpc.call("backup.job", "write", jobs, {"enabled": False})
    domain = [["job_id", "in", jobs]]
    waiting = [*domain, ["started_at", "=", False]]
    if not processes.wait_until(
        lambda: not rpc.call("backup.run", "search_count", waiting), PATIENCE
    ):
        raise SystemExit(f"runs were still queued after {PATIENCE} s")
    fields = ["scheduled_at", "started_at"]
    runs = rpc.call("backup.run", "search_read", domain, fields)
    return [seconds_between(run["scheduled_at"], run["started_at"]) for run in runs]


def seconds_between(first, last):
    parse = datetime.datetime.fromisoformat
    return (parse(last) - parse(first)).total_seconds()


def percentile(values, percent):
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def row(name, values):
    figures = (percentile(values, 50), percentile(values, 99), max(values))
    return (name, len(values), *(f"{figure:.2f}" for figure in figures))


def main():
    quick = common.arguments(__doc__.splitlines()[0]).quick
    with (
        common.alone(),
        common.remote(SEED) as remote,
        backup_server(remote.cluster) as server,
    ):
        rpc = server.rpc(DATABASE)
        instance = user_script.create_instance(rpc, "Bench", remote.url, common.MASTER_PASSWORD)
        rpc.call("backup.instance", "write", [instance], {"max_parallel_runs": 0})
        (settings,) = rpc.call("res.config.settings", "create", [{"backup_workers": PARALLEL_RUNS}])
        rpc.call("res.config.settings", "execute", [settings])
        job = user_script.create_job(rpc, instance, "By hand", "0 0 1 1 *", [common.DATABASE])
        cold, warm = measure_run_now(
            rpc, server, job, QUICK_REPETITIONS if quick else REPETITIONS
        )
        late = measure_lateness(rpc, instance, QUICK_MINUTES if quick else MINUTES)
    common.table(
        ("seconds", "runs", "p50", "p99", "longest"),
        [
            row("run now, no worker at work", cold),
            row("run now, a worker at work", warm),
            row(f"scheduled, {JOBS} jobs a minute: lateness", late),
        ],
    )
    slowest = max(cold + warm)
    return common.verdict(
        "run now until it runs", f"{slowest:.2f} s", f"<= {RUN_NOW_BOUND} s",
        slowest <= RUN_NOW_BOUND,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
