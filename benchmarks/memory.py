"""Peak memory of the engine process and of the worker while 1 GB is backed up and verified.

A real prefork Odoo is backed up by a real backup server with the addon, started by a script over
XML-RPC. The engine's figure is its peak (VmHWM); the worker's is its own peak during the run above
what it had when idle. The peer is the worker itself at a run of a small database.

Usage: python benchmarks/memory.py [--quick]
"""

import contextlib
import secrets
import sys
import threading
import time
from pathlib import Path

import common
from devenv import processes, user_script
from devenv.paths import ADDON
from devenv.stack import addon_dependencies

ENGINE_BOUND = 64e6
WORKER_BOUND = 16e6
# Half of a seed is noise and half text: the archive has a bit more than half of its size.
SEED = common.Seed(attachments=400, megabytes=2000)
QUICK_SEED = common.Seed(attachments=200, megabytes=120)
SMALL = "small"
BACKUP_DATABASE = "bench_backups"
RUN_TIMEOUT = 900
# Seconds after a run until a worker counts as idle, and between looks at the engine.
REST = 3
LOOK = 0.02


class Peaks(threading.Thread):
    """Watches the worker and its engines until stopped."""

    def __init__(self, worker):
        super().__init__(daemon=True)
        self.worker, self.engine = worker, 0
        # Resets the peak to what is used now (proc(5), clear_refs).
        Path(f"/proc/{worker}/clear_refs").write_text("5")
        self.idle = common.memory(worker, "VmRSS")
        self._ended = threading.Event()
        self.start()

    def run(self):
        while not self._ended.wait(LOOK):
            for child in processes.children(self.worker):
                # It may have ended between the two looks.
                with contextlib.suppress(OSError, TypeError):
                    self.engine = max(self.engine, common.memory(child, "VmHWM"))

    def stop(self):
        """Return the engine's peak, and the worker's above its idle memory."""
        self._ended.set()
        self.join()
        return self.engine, common.memory(self.worker, "VmHWM") - self.idle


@contextlib.contextmanager
def backup_server(cluster):
    """Yield a backup server with the addon installed."""
    server = common.OdooServer(
        f"{common.PREFIX}backup", cluster, role="bench_backup", with_addon=True,
        master_password=secrets.token_urlsafe(12), dbfilter=f"^{BACKUP_DATABASE}$",
    )  # fmt: skip
    try:
        cluster.ensure_role(server.role)
        common.Seed(modules=addon_dependencies()).create(server, BACKUP_DATABASE)
        server.install(BACKUP_DATABASE, ADDON.name)
        yield server.start()
    finally:
        server.stop()


def run_now(rpc, job):
    """Back up, as a script of a user does; return the run that ended."""
    runs = rpc.call("backup.job", "run_now", [job])
    run = user_script.wait_for_run(rpc, [["id", "in", runs]], RUN_TIMEOUT)
    if run["status"] != "verified":
        raise SystemExit(f"the backup ended as {run['status']}: {run['error']}")
    return run


def worker_of(server):
    """Return the process id of the server's worker."""
    found = [pid for pid in server.processes() if processes.is_running(pid, "--launched")]
    if len(found) != 1:
        raise SystemExit(f"there is not one worker: {found}")
    return found[0]


def jobs(rpc, remote):
    """Return the jobs of the small database and of the large one, both started by hand only."""
    instance = user_script.create_instance(rpc, "Bench", remote.url, common.MASTER_PASSWORD)
    names = (SMALL, common.DATABASE)
    return [user_script.create_job(rpc, instance, name, "0 0 1 1 *", [name]) for name in names]


def measure(rpc, server, job):
    """Return size, seconds, and the two peaks of one run."""
    time.sleep(REST)
    peaks = Peaks(worker_of(server))
    run = run_now(rpc, job)
    engine, worker = peaks.stop()
    return int(run["size"]), run["duration"], engine, peaks.idle, worker


def main():
    quick = common.arguments(__doc__.splitlines()[0]).quick
    seed = QUICK_SEED if quick else SEED
    with (
        common.alone(),
        common.remote(seed, **{SMALL: common.Seed()}) as remote,
        backup_server(remote.cluster) as server,
    ):
        rpc = server.rpc(BACKUP_DATABASE)
        small, large = jobs(rpc, remote)
        # The first one of all starts the worker.
        run_now(rpc, small)
        results = {"small": measure(rpc, server, small), "large": measure(rpc, server, large)}
    common.table(
        ("database", "archive MB", "run s", "engine peak MB", "worker idle MB", "worker above MB"),
        [
            (name, common.megabytes(size), f"{seconds:.1f}", *map(common.megabytes, sizes))
            for name, (size, seconds, *sizes) in results.items()
        ],
    )
    _size, _seconds, engine, _idle, worker = results["large"]
    return max(
        common.verdict("engine", f"{engine / 1e6:.1f} MB", "<= 64 MB", 0 < engine <= ENGINE_BOUND),
        common.verdict(
            "worker above idle", f"{worker / 1e6:.1f} MB", "<= 16 MB", worker <= WORKER_BOUND
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
