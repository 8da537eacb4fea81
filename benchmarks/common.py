"""What the benchmarks share: a clean start, real servers of their own, an engine process with a
clock, a table."""

import argparse
import contextlib
import fcntl
import json
import os
import queue
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "backup_scheduler")]

from devenv import environment, postgres, processes  # noqa: E402 - found on the path only now
from devenv.odoo import OdooServer  # noqa: E402
from devenv.paths import ADDON, DEV, SERVERS  # noqa: E402
from devenv.postgres import Cluster  # noqa: E402
from devenv.seed import Seed  # noqa: E402
from devenv.stack import addon_dependencies  # noqa: E402
from engine_process import EngineProcess  # noqa: E402

MASTER_PASSWORD = "bench-master-password"  # noqa: S105
DATABASE = "bench"
# How the name of everything begins that a benchmark makes on disk.
PREFIX = "bench-"
# What marks all processes that a benchmark starts, and all that they start.
RUNNER = "benchmarks"
# As many as the remote of `make demo`: a small production server.
REMOTE_WORKERS = 2
LAST = ("done", "failed", "lost")
# What an Odoo shell is told: to do what a module beside this one says, with what it is given.
INSIDE = """
import sys
sys.path.insert(0, {folder!r})
import {module}
{module}.main(env, {target!r}, *{arguments!r})
"""
# Seconds without any word of the engine.
PATIENCE = 900


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a smaller database, fewer rounds")
    return parser.parse_args()


@contextlib.contextmanager
def alone():
    """Inside, no other benchmark runs in this checkout, and nothing is there of an earlier one.

    Whatever an interrupted run left is removed first: its processes, databases and folders. Raises
    SystemExit while another benchmark runs: both would use the same servers, and slow each other.
    """
    DEV.mkdir(exist_ok=True)
    with (DEV / f"{RUNNER}.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise SystemExit(
                f"another benchmark runs in this checkout (process {lock.read()}): wait for its "
                "end, or end it"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        os.environ[processes.RUNNER_MARK] = f"{ROOT}:{RUNNER}"
        remove_remains()
        yield


def remove_remains():
    """Remove all that benchmarks of this checkout made and left."""
    if left := processes.marked_processes(RUNNER):
        say(f"Ending what an interrupted benchmark left running: {len(left)} processes")
        processes.end_marked(RUNNER)
    for place in (DEV, SERVERS, postgres.OUTSIDE):
        for folder in place.glob(f"{PREFIX}*"):
            shutil.rmtree(folder)


def say(text=""):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def table(head, rows):
    """Print rows in columns, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        first, *others = zip(row, widths, strict=True)
        say("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]))


def verdict(name, value, bound, good):
    """Print whether a figure is within its bound; return the exit code."""
    say(f"{'ok' if good else 'MISSED'}: {name} {value} (bound: {bound})")
    return 0 if good else 1


def median(values):
    return statistics.median(values)


@contextlib.contextmanager
def remote(seed, **databases):
    """Yield a real prefork Odoo with the database ``bench``, and more of them by keyword."""
    environment.ensure()
    cluster = Cluster(f"{PREFIX}remote").start()
    server = OdooServer(
        f"{PREFIX}remote", cluster, role="bench_remote", workers=REMOTE_WORKERS,
        master_password=MASTER_PASSWORD,
    )  # fmt: skip
    try:
        cluster.ensure_role(server.role)
        for name, content in {DATABASE: seed, **databases}.items():
            content.create(server, name)
        yield server.start()
    finally:
        server.stop()
        cluster.remove()


@contextlib.contextmanager
def scratch():
    """Yield an empty folder on the disk of the checkout, removed afterwards."""
    DEV.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DEV, prefix=PREFIX) as folder:
        yield Path(folder)


def backup_order(url, folder):
    """Return the order of a backup into ``folder``, as the worker gives it."""
    copy = {"id": 1, "kind": "local", "settings": {"path": str(folder / "archives")}}
    return {
        "action": "backup",
        "source": {"connection": "http", "url": url, "master_password": MASTER_PASSWORD},
        "database": DATABASE,
        "archive_format": "zip",
        "include_filestore": True,
        "expected_size": 0,
        "verify_level": 2,
        "spool": str(folder / "spool"),
        "token": "bench",
        "time_limit": 0,
        "destinations": [{**copy, "archive_path": "bench/bench/archive.zip"}],
        "catalogue": {"run": "bench"},
    }


def carry_out(order):
    """Carry out an order; return its events, each with the moment of its coming (``at``)."""
    events, coming = [], queue.Queue()
    process = EngineProcess(order, lambda event: coming.put({**event, "at": time.monotonic()}))
    try:
        while not events or events[-1]["event"] not in LAST:
            events.append(coming.get(timeout=PATIENCE))
            if events[-1]["event"] == "ready":
                process.publish()
    finally:
        process.end()
    if events[-1]["event"] != "done":
        raise SystemExit(f"the backup failed: {events[-1]}")
    return events


def moment(events, name, **values):
    """Return when the first such event came."""
    return next(
        event["at"]
        for event in events
        if event["event"] == name and values.items() <= event.items()
    )


def memory(pid, field):
    """Return a size of /proc/PID/status in bytes: VmRSS now, VmHWM its peak."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024


def megabytes(size):
    return f"{size / 1e6:.1f}"


__all__ = ["DATABASE", "MASTER_PASSWORD", "OdooServer", "Seed"]


@contextlib.contextmanager
def addon_server(database):
    """Yield an Odoo with the addon installed in ``database``, which serves nobody and runs no
    cron; its PostgreSQL waits for its disk."""
    environment.ensure()
    cluster = Cluster(f"{PREFIX}addon", fsync=True).start()
    server = OdooServer(f"{PREFIX}addon", cluster, role=database, with_addon=True)
    try:
        cluster.ensure_role(server.role)
        Seed(modules=addon_dependencies()).create(server, database)
        server.install(database, ADDON.name)
        yield server
    finally:
        server.stop()
        cluster.remove()


def measure_inside(server, database, module, *arguments):
    """Return what ``module.main(env, target, *arguments)`` writes to its target, as JSON: measured
    in an Odoo shell of that database."""
    with scratch() as folder:
        target = folder / "results.json"
        script = INSIDE.format(
            folder=str(ROOT / "benchmarks"), module=module, target=str(target), arguments=arguments
        )
        server.run("shell", "-d", database, "--no-http", script=script)
        return json.loads(target.read_text())
