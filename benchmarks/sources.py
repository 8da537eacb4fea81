"""The ways to a database, in turns in the same run, of the same database, to the same disk.

* Odoo's own ``odoo.service.db.dump_db``, which its database manager calls, to a file;
* the floor: ``pg_dump`` to nowhere, and ``cp`` of the filestore;
* this server: the engine process, from the request to the complete archive in the spool, with its
  SHA-256 and a copy in a folder; and the whole run from its start, verified to level 3.

Each round is compared in itself, and the median of the rounds counts.

Usage: python benchmarks/sources.py [--quick]
"""

import os
import queue
import shutil
import subprocess
import sys
import time

import common
from restore_drill import fill

from devenv.postgres import binaries  # isort: skip - found on the path only by `common`

# Times as fast as dump_db; times the floor; times the size of Odoo's archive; bytes.
FASTER, ABOVE_FLOOR, LARGER, MEMORY = 12, 1.2, 1.05, 40_000_000
ROUNDS, QUICK_ROUNDS = 3, 3
# 733 MB of attachments, half of them text, and some 700 MB of SQL.
SEED, MESSAGES = common.Seed(attachments=1500, megabytes=733), 140_000
QUICK_SEED, QUICK_MESSAGES = common.Seed(attachments=300, megabytes=146), 28_000
RELEASE = {"version": "19.0", "version_info": [19, 0, 0, "final", 0, ""], "major_version": "19.0"}


def odoo(server, folder):
    """Return the seconds of Odoo's own backup, and the bytes of its archive."""
    archive = folder / "odoo.zip"
    seconds = common.measure_inside(server, common.DATABASE, "sources_inside", str(archive))
    size = archive.stat().st_size
    archive.unlink()
    return seconds, size


def floor(server, folder):
    """Return the seconds of a dump to nowhere, and of a copy of the filestore."""
    began = time.monotonic()
    command = [binaries() / "pg_dump", "--no-owner", common.DATABASE]
    environment = server.cluster.environment(server.role)
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    dumped = time.monotonic()
    copy = folder / "copy"
    subprocess.run(["cp", "-r", server.filestore(common.DATABASE), copy], check=True)
    done = time.monotonic()
    shutil.rmtree(copy)
    return dumped - began, done - dumped


def local(server, folder):
    """Return the seconds until the archive is there, those of the whole run, its bytes, and the
    memory that the engine had at most until then."""
    order = common.backup_order("", folder)
    order["source"] = {
        "connection": "local",
        "secrets": [],
        "server": server.cluster.dsn(server.role),
        "filestores": os.path.dirname(server.filestore(common.DATABASE)),
        "release": RELEASE,
    }
    order["verify_level"] = 3
    events = queue.Queue()
    process = common.EngineProcess(order, lambda event: events.put((time.monotonic(), event)))
    began, at, memory = time.monotonic(), {}, 0
    try:
        while not at.keys() & set(common.LAST):
            moment, event = events.get(timeout=common.PATIENCE)
            at.setdefault(event.get("stage") or event["event"], moment)
            if event["event"] == "stage" and event["stage"] == "verify":
                memory = common.memory(process.pid, "VmHWM")
            if event["event"] == "ready":
                process.publish()
    finally:
        process.end()
    if event["event"] != "done" or event["report"]["level"] != order["verify_level"]:
        raise SystemExit(f"the backup failed: {event}")
    shutil.rmtree(folder / "archives")
    return at["verify"] - at["download"], at["done"] - began, event["size"], memory


def measure(server, folder, rounds):
    """Return the results of all, in turns so that the machine's moods hit each."""
    ways = {"odoo": odoo, "floor": floor, "local": local}
    results = {name: [] for name in ways}
    for name in ("floor", "local"):
        ways[name](server, folder)
    for number in range(rounds):
        for name in sorted(ways, reverse=number % 2):
            results[name].append(ways[name](server, folder))
    return results


def report(results):
    columns = {name: list(zip(*rounds, strict=True)) for name, rounds in results.items()}
    seconds, size = map(common.median, columns["odoo"])
    dump, copy = map(common.median, columns["floor"])
    archive, whole, ours, memory = map(common.median, columns["local"])
    rows = [
        ("Odoo's dump_db", common.megabytes(size), f"{seconds:.2f}", "", ""),
        ("pg_dump to nowhere", "", f"{dump:.2f}", "", ""),
        ("cp of the filestore", "", f"{copy:.2f}", "", ""),
        ("this server", common.megabytes(ours), f"{archive:.2f}", f"{whole:.2f}",
         common.megabytes(memory)),
    ]  # fmt: skip
    head = ("median of", "MB", "archive s", "verified and stored s", "engine MB")
    common.table(head, rows)
    return ours / size, max(columns["local"][3])


def main():
    quick = common.arguments(__doc__.splitlines()[0]).quick
    seed, messages = (QUICK_SEED, QUICK_MESSAGES) if quick else (SEED, MESSAGES)
    with common.alone(), common.remote(seed) as server, common.scratch() as folder:
        fill(server.cluster, common.DATABASE, messages)
        server.cluster.psql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {server.role}",
                            common.DATABASE)
        results = measure(server, folder, QUICK_ROUNDS if quick else ROUNDS)
    larger, memory = report(results)
    rounds = list(zip(results["odoo"], results["floor"], results["local"], strict=True))
    faster = common.median([odoo[0] / local[0] for odoo, _floor, local in rounds])
    above = common.median([local[0] / sum(floor) for _odoo, floor, local in rounds])
    verdict = common.verdict
    return max(
        verdict("times as fast as dump_db", f"{faster:.1f}", f">= {FASTER}", faster >= FASTER),
        verdict("times the floor", f"{above:.2f}", f"<= {ABOVE_FLOOR}", above <= ABOVE_FLOOR),
        verdict("archive, times Odoo's", f"{larger:.3f}", f"<= {LARGER}", larger <= LARGER),
        verdict("memory, MB", common.megabytes(memory), f"<= {MEMORY // 10**6}", memory <= MEMORY),
    )


if __name__ == "__main__":
    sys.exit(main())
