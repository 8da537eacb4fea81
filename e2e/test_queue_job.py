"""Backups on several Odoo servers, through the real queue_job: shared, and none lost or made twice.

Two prefork servers serve one database behind a load balancer, as queue_job is run in production:
one of them has the job runner, which asks the balancer to have each job done.
"""

import contextlib
import itertools
import os
import signal
import socket
import threading

import pytest
from devenv import oca, processes
from devenv.odoo import OdooServer
from devenv.seed import Seed
from devenv.stack import addon_dependencies
from proxy import Proxy, hang_up
from world import MASTER_PASSWORD, SOON, World, failed, good

from conftest import fresh

DATABASE = "queued"
SMALL = Seed(modules=addon_dependencies())
RUNS = 40
AT_A_TIME = 3
CHANNELS = f"root:4,root.backup:{AT_A_TIME}"
# Seconds for all 40, with what one server takes down: its runs are found lost within two minutes.
ALL = 420
FOUND_LOST = 120
BLOCK = 1 << 16


@pytest.fixture(scope="module")
def small_remote(cluster):
    """A production server with a small database: a backup takes about a second."""
    server = OdooServer("e2e-small", cluster, role="e2e_small", workers=4,
                        master_password=MASTER_PASSWORD)
    fresh(cluster, server, "small", SMALL)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def pair(cluster):
    """Two servers of one database, of which the first has the job runner; and their balancer."""
    with Balancer() as balancer:
        first = queue_server(cluster, "queue-1")
        second = queue_server(cluster, "queue-2", data_dir=first.data_dir)
        second.folder.mkdir(parents=True, exist_ok=True)
        second.data_dir = first.data_dir
        fresh(cluster, first, DATABASE, SMALL)
        first.install(DATABASE, "backup_scheduler", "queue_job")
        for server in (first, second):
            start(server, balancer)
        yield first, second, balancer
        for server in (first, second):
            server.stop()


def queue_server(cluster, name, **config):
    config = {
        "server_wide_modules": "base,rpc,web,queue_job",
        "db_name": DATABASE,
        "max_cron_threads": 1,
        "limit_time_real": 3600,
        "limit_time_real_cron": 120,
        **config,
    }
    return OdooServer(f"e2e-{name}", cluster, role="e2e_queue", workers=5, with_addon=True,
                      addons=[oca.addons()], master_password=MASTER_PASSWORD, config=config)


def start(server, balancer):
    """Start the server; return once it takes jobs, or waits for the other's runner to end."""
    server.start(
        ODOO_QUEUE_JOB_CHANNELS=CHANNELS,
        ODOO_QUEUE_JOB_HOST="127.0.0.1",
        ODOO_QUEUE_JOB_PORT=str(balancer.port),
    )
    balancer.add(server.port)
    if len(balancer.ports) == 1:
        ready = "queue job runner ready"
        assert processes.wait_until(lambda: ready in server.log.read_text(), SOON)


@pytest.fixture
def queued(pair, small_remote):
    """The world as the second server shows it, which no test kills, with queue_job chosen."""
    first, second, balancer = pair
    if not first.running:
        balancer.ports.clear()
        balancer.add(second.port)
        start(first, balancer)
    world = QueueWorld(second, small_remote, DATABASE)
    share_folders(world)
    world.configure(backup_executor="queue_job")
    yield world
    world.end()


def share_folders(world):
    """Mark all folders as those of both servers, which they are."""
    places = world.call("destination", "search", [["kind", "=", "local"]])
    world.call("destination", "write", places, {"all_machines": True})
    for place in places:
        assert world.call("destination", "check", [place])["ok"]


class QueueWorld(World):
    def queue_jobs(self, *domain):
        return self.rpc.call(
            "queue.job", "search_read", [["channel", "=", "root.backup"], *domain],
            fields=["state", "identity_key", "retry", "worker_pid", "result", "exc_info"],
        )


def test_two_servers_share_40_runs_and_one_is_killed_in_the_middle(queued, pair, line):
    first, second, _balancer = pair
    before = queued.archives()
    jobs = make_jobs(queued, RUNS, line.url)
    runs = [run for job in jobs for run in queued.call("job", "run_now", [job])]
    assert len(runs) == RUNS
    tasks = queued.call("task", "search", [["run_id", "in", runs]])
    ended = [["id", "in", runs], ["status", "in", ["verified", "failed"]]]
    queued.wait_until(
        lambda: queued.call("run", "search_count", ended) >= RUNS // 4, ALL, "a quarter has ended"
    )
    shared = {job["worker_pid"] for job in queued.queue_jobs() if job["worker_pid"]}
    assert shared & set(first.processes())
    assert shared & set(second.processes())
    queued.wait_until(lambda: held_at(first, line, queued, runs), SOON, "the first is at work")
    first.kill(signal.SIGKILL)
    line.release()
    queued.wait_until(
        lambda: queued.call("run", "search_count", ended) == RUNS, ALL, "all runs have ended"
    )
    records = queued.call("run", "search_read", [["id", "in", runs]])
    for run in records:
        good(run)
        assert os.path.exists(queued.archive(run["id"]))
    assert any(run["attempt"] == 2 for run in records), "The kill hit a run"
    assert all(run["attempt"] <= 2 for run in records)
    assert len(queued.archives()) == len(before) + RUNS
    copies = queued.call("copy", "search_read", [["run_id", "in", runs]])
    assert len({copy["path"] for copy in copies}) == RUNS
    tickets = [job["identity_key"] for job in queued.queue_jobs(["identity_key", "like", "_task:"])]
    assert len(tickets) == len(set(tickets))
    assert set(tickets) >= {f"backup_task:{task}:0" for task in tasks}


def test_a_killed_odoo_worker_costs_its_run_one_attempt(queued, small_remote):
    with Proxy(small_remote.port, held=True) as proxy:
        run = queued.run_now(proxy.url, max_attempts=2)
        queued.wait_for(run, ["running"], stage="download")
        (pid,) = working(queued, [run])
        os.kill(pid, signal.SIGKILL)
        proxy.release()
        ended = good(queued.wait_for(run, timeout=FOUND_LOST + 60))
    assert ended["attempt"] == 2
    assert "worker_lost" in ended["log"]


def test_a_running_backup_is_cancelled_within_seconds(queued, small_remote):
    with Proxy(small_remote.port, held=True) as proxy:
        run = queued.run_now(proxy.url)
        queued.wait_for(run, ["running"], stage="download")
        queued.call("run", "cancel", [run])
        assert queued.wait_for(run)["status"] == "cancelled"
    queued.wait_until(lambda: not queued.leftovers(), SOON, "nothing is left")


def test_a_failed_backup_leaves_a_queue_job_that_is_done(queued):
    run = failed(queued.back_up("http://127.0.0.1:9"), "connection_failed")
    queued.wait_until(
        lambda: queued.queue_jobs(["uuid", "=", run["queue_job_uuid"]],
                                  ["state", "=", "done"]), SOON, "its queue job is done")


def test_a_stored_archive_is_verified_again_by_a_queue_job(queued):
    run = good(queued.back_up())
    queued.call("run", "verify", [run["id"]])
    queued.wait_for(run["id"], verification_requested_at=False)
    ended = good(queued.run(run["id"]))
    assert ended["log"].count("verified, level 3") == 1


@pytest.fixture
def line(small_remote):
    """Yield a line to the remote that lets everything through, until it is told to hold it up."""
    with Proxy(small_remote.port, held=True) as proxy:
        proxy.release()
        yield proxy


def held_at(server, line, world, runs):
    """Hold transfers up; return whether the server is in the middle of one. If all are the other
    server's, let them go on: the next ones may be."""
    line.hold()
    at_work = working(world, runs)
    if at_work & set(server.processes()):
        return True
    if len(at_work) == AT_A_TIME:
        line.release()
    return False


def make_jobs(world, count, url):
    """Make jobs on the one database of one instance; as many as run at the same time."""
    instance = world.create_instance(url, max_parallel_runs=0)
    return [world.create_job(instance, name=f"Job {number}", max_attempts=3)
            for number in range(count)]


def working(world, runs):
    """Return the ids of the processes that are in the middle of some of the runs right now."""
    domain = [["run_id", "in", runs], ["stage", "=", "download"]]
    tasks = world.call("task", "search_read", domain, ["worker"])
    return {int(task["worker"].split(":")[-1]) for task in tasks}


class Balancer:
    """A load balancer: each connection goes to the next server that takes it."""

    def __init__(self):
        self.ports = []

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error):
        # Closing alone does not wake the thread that accepts.
        hang_up(self._listener)
        self._listener.close()

    def add(self, port):
        self.ports.append(port)
        self._next = itertools.cycle(self.ports)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, contextlib.suppress(OSError), self._connect() as server:
            threading.Thread(target=copy_bytes, args=(client, server), daemon=True).start()
            copy_bytes(server, client)
            hang_up(client)

    def _connect(self):
        for _server in self.ports:
            with contextlib.suppress(ConnectionRefusedError):
                return socket.create_connection(("127.0.0.1", next(self._next)))
        raise ConnectionRefusedError


def copy_bytes(source, target):
    with contextlib.suppress(OSError):
        while block := source.recv(BLOCK):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)
