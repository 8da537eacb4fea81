"""Chaos: whatever is killed and whenever, in the end every promise holds.

Two jobs fire every minute against a real remote, and runs are started by hand, over a line so slow
that each blow lands in the middle of transfers. Then everything is left in peace, and looked at:
rows, files, spool, processes, connections. The backup server is a prefork one with a PostgreSQL of
its own, which waits for its disk.

CHAOS_ROUNDS says how many blows there are (`make chaos`: 30); CHAOS_SEED repeats a session.
"""

import collections
import contextlib
import datetime
import hashlib
import http.client
import os
import random
import re
import signal
import sys
import time
import xmlrpc.client

import pytest
from devenv import processes
from devenv.odoo import OdooServer
from devenv.postgres import Cluster
from devenv.seed import Seed
from devenv.stack import addon_dependencies
from proxy import Proxy
from world import BACKUPS, ENDED, MASTER_PASSWORD, World, good

from conftest import fresh

ROUNDS = int(os.environ.get("CHAOS_ROUNDS") or 3)
SEED = int(os.environ.get("CHAOS_SEED") or 0) or random.SystemRandom().randrange(1, 10**6)
# Bytes a second: a transfer takes some ten seconds.
RATE = 3_000_000
MAX_ATTEMPTS = 4
# Seconds. A run whose worker says nothing for that long is lost.
LEASE = 45
# Seconds after which nothing runs any more: lost runs are found in two minutes, and tried again.
QUIET = 150
# Seconds that a killed server may take to answer, and a transfer to begin.
ANSWER, BEGIN = 60, 120
MINUTE = datetime.timedelta(minutes=1)
# From this second on, the blow waits for the fire that is near, and falls while it is planned.
SOON = 40
# What a server says that is down, or whose database is.
UNAVAILABLE = (OSError, http.client.HTTPException, xmlrpc.client.Error)
GOOD = ("success", "verified")


@pytest.fixture(scope="module")
def chaos_cluster():
    cluster = Cluster("e2e-chaos", fsync=True).start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def chaos_server(chaos_cluster):
    """A backup server as in production, with nothing left of an earlier session."""
    server = OdooServer("e2e-chaos", chaos_cluster, role="e2e_chaos", with_addon=True, workers=2,
                        master_password=MASTER_PASSWORD)
    processes.end_marked(server.mark)
    fresh(chaos_cluster, server, BACKUPS, Seed(modules=addon_dependencies()))
    server.install(BACKUPS, "backup_scheduler")
    server.start()
    yield server
    server.stop()


class Chaos:
    """Blows, each with its recovery, and what a user does meanwhile."""

    def __init__(self, world, cluster, dice, by_hand):
        self.world, self.cluster, self.dice, self.by_hand = world, cluster, dice, by_hand
        self.manual, self.ended = [], {}
        self.blows = {
            "the worker is killed": self.kill_worker,
            "the engine is killed": self.kill_engine,
            "worker and engine are killed": self.kill_both,
            "the backup server is killed": self.kill_backup_server,
            "the remote is killed": self.kill_remote,
            "PostgreSQL is killed": self.kill_postgres,
            "the worker stands still": self.stop_worker,
        }

    def rounds(self, count):
        """Strike ``count`` times; every kind of blow comes before one comes again."""
        deck = []
        for number in range(1, count + 1):
            deck = deck or self.dice.sample(list(self.blows), len(self.blows))
            name = deck.pop()
            if clock().second >= SOON:
                self.wait_for_fire()
            else:
                time.sleep(self.dice.uniform(0, 10))
                self.wait_for_transfer()
            time.sleep(self.dice.uniform(0, 4))
            tell(f"round {number}: {name}")
            self.blows[name]()
            self.remember()
            self.dispatch()

    # --- the blows ------------------------------------------------------------------------------

    def kill_worker(self):
        strike(self.world.worker())

    def kill_engine(self):
        strike(self.world.engine())

    def kill_both(self):
        victims = self.world.worker(), self.world.engine()
        strike(*victims)

    def kill_backup_server(self):
        self.world.server.kill(signal.SIGKILL)
        time.sleep(self.dice.uniform(0, 3))
        self.world.server.start()

    def kill_remote(self):
        self.world.remote.kill(signal.SIGKILL)
        time.sleep(self.dice.uniform(0, 3))
        self.world.remote.start()

    def kill_postgres(self):
        self.cluster.kill()
        time.sleep(self.dice.uniform(0, 5))
        self.cluster.start()

    def stop_worker(self):
        """A clock that stands still: when it goes on, its runs are somebody else's."""
        worker = self.world.worker()
        strike(worker, signum=signal.SIGSTOP)
        time.sleep(LEASE + 2)
        self.dispatch()
        self.remember()
        strike(worker, signum=signal.SIGCONT)

    # --- what a user does -----------------------------------------------------------------------

    def ask(self, model, method, *arguments, **named):
        """Call, again and again while the server or its database is not there."""

        def answer():
            with contextlib.suppress(*UNAVAILABLE):
                return (self.world.call(model, method, *arguments, **named),)
            return None

        return self.world.wait_until(answer, ANSWER, f"an answer to {model}.{method}")[0]

    def dispatch(self):
        """Have the dispatcher run now; at a moment at which it runs already there is no need."""
        with contextlib.suppress(*UNAVAILABLE):
            self.world.dispatch()

    def wait_for_transfer(self):
        """Have a run of our own in the middle of its transfer, beside those that are due."""
        self.manual += self.ask("job", "run_now", [self.by_hand])
        moving = [["status", "=", "running"], ["stage", "=", "download"], ["received", ">", 0]]
        self.world.wait_until(
            lambda: self.ask("run", "search_count", moving) and self.world.engine(),
            BEGIN, "a transfer began",
        )  # fmt: skip

    def wait_for_fire(self):
        """Wait for the moment at which the dispatcher plans what is due."""
        self.world.wait_until(lambda: clock().second < 2, 60, "a full minute")

    def pause(self, earliest):
        """Switch the jobs off in the middle of a minute; return the last one that counts.

        :param earliest: there are fires up to this minute, if time has to pass for it
        """
        self.world.wait_until(
            lambda: clock() >= earliest and 5 <= clock().second <= 50, 180, "a time to pause"
        )
        self.ask("job", "write", self.world._jobs, {"enabled": False})
        return clock().replace(second=0, microsecond=0)

    def remember(self):
        """Remember what ended: nobody writes to it any more, least of all who lost its lease."""
        for run in self.ask("run", "search_read", [["status", "in", ENDED]]):
            self.ended.setdefault(run["id"], last_words(run))

    def settle(self):
        """Wait until nothing moves any more."""
        active = [["status", "in", ["queued", "running"]]]
        self.world.wait_until(
            lambda: not self.ask("run", "search_count", active), QUIET, "all runs came to an end"
        )
        unfinished = [["status", "in", ["pending", "uploading"]]]
        self.world.wait_until(
            lambda: not self.ask("copy", "search_count", unfinished), QUIET, "copies are settled"
        )
        self.world.wait_until(
            lambda: not self.world.leftovers() and not self.world.engine(), QUIET,
            f"nothing is left of {self.world.leftovers()}",
        )  # fmt: skip


def test_whatever_is_killed_every_promise_holds_in_the_end(chaos_server, chaos_cluster, remote):
    world = World(chaos_server, remote)
    tell(f"CHAOS_SEED={SEED} CHAOS_ROUNDS={ROUNDS}")
    with Proxy(remote.port, rate=RATE) as proxy:
        instance = world.create_instance(proxy.url, max_parallel_runs=2)
        assert world.call("instance", "test_connection", [instance])["ok"]
        every_minute = {"cron_expression": "* * * * *", "max_attempts": MAX_ATTEMPTS}
        jobs = [
            world.create_job(instance, name=name, catch_up=catch_up, **every_minute)
            for name, catch_up in (("Catches up", True), ("Does not", False))
        ]
        by_hand = world.create_job(instance, name="By hand", max_attempts=1)
        chaos = Chaos(world, chaos_cluster, random.Random(SEED), by_hand)  # noqa: S311
        firsts = {job["id"]: moment(job["next_run_at"]) for job in world.call("job", "read", jobs)}
        chaos.rounds(ROUNDS)
        proxy.release()
        last = chaos.pause(max(firsts.values()))
        chaos.settle()
        chaos.remember()
        chaos.manual.append(good(world.wait_for(world.run_now(remote.url)))["id"])
    runs = world.call("run", "search_read", [], order="id")
    tell(collections.Counter((run["status"], run["error_code"]) for run in runs))
    for job, first in firsts.items():
        every_fire_left_one_row([run for run in runs if run["job_id"][0] == job], first, last)
    every_run_ended(runs, chaos.manual)
    assert chaos.ended.items() <= {run["id"]: last_words(run) for run in runs}.items()
    every_status_is_true(world, runs)
    nothing_is_left_behind(world, chaos_cluster)


def every_fire_left_one_row(runs, first, last):
    """Each minute from the first to the last one has a row of its own, or one that counts it."""
    minutes = collections.Counter()
    for run in runs:
        if run["trigger"] == "schedule":
            assert run["database_name"] == "shop" or run["status"] == "skipped", run
            minutes.update(moment(run["scheduled_at"]) - n * MINUTE for n in range(stands_for(run)))
    assert first <= last, (first, last)
    expected, minute = [], first
    while minute <= last:
        expected.append(minute)
        minute += MINUTE
    assert sorted(minutes.elements()) == expected


def stands_for(run):
    """Return how many fires the run stands for, its own included."""
    if run["error_code"] == "missed":
        return int(re.match(r"(\d+) fires", run["error"])[1])
    earlier = re.search(r"stands for (\d+) fires", run["log"] or "")
    return 1 + int(earlier[1] if earlier else 0)


def every_run_ended(runs, manual):
    assert {run["status"] for run in runs} <= set(ENDED)
    assert all(run["attempt"] <= MAX_ATTEMPTS for run in runs)
    assert sorted(manual) == [run["id"] for run in runs if run["trigger"] == "manual"]


def every_status_is_true(world, runs):
    """A good run has its archive, as recorded; no other one has any, and no archive is without."""
    expected = []
    for run in runs:
        copies = world.copies(run["id"])
        if run["status"] not in GOOD:
            assert not [copy for copy in copies if copy["status"] != "failed"], (run, copies)
            continue
        (copy,) = copies
        assert copy["status"] == "stored", (run, copy)
        content = (world.root / copy["path"]).read_bytes()
        assert len(content) == run["size"] == copy["size"]
        assert hashlib.sha256(content).hexdigest() == run["sha256"]
        expected.append(copy["path"])
    assert world.archives() == sorted(expected)


def nothing_is_left_behind(world, cluster):
    assert world.leftovers() == []
    assert world.engine() is None
    assert cluster.psql("SELECT kind, run_id FROM backup_task", BACKUPS) == ""
    waiting = "state LIKE 'idle in transaction%' AND now() - state_change > interval '5 seconds'"
    assert cluster.psql(f"SELECT pid FROM pg_stat_activity WHERE {waiting}") == ""


def last_words(run):
    fields = ("status", "attempt", "error_code", "sha256", "finished_at")
    return tuple(run[field] for field in fields)


def strike(*victims, signum=signal.SIGKILL):
    """Send a signal to those that are still there."""
    for victim in filter(None, victims):
        processes.send(victim, signum)


def moment(text):
    """Return the minute that one of Odoo's datetimes lies in."""
    return datetime.datetime.fromisoformat(f"{text}+00:00").replace(second=0, microsecond=0)


def clock():
    return datetime.datetime.now(datetime.timezone.utc)


def tell(text):
    """Shown where the test fails, and with ``pytest -s``."""
    sys.stdout.write(f"chaos {clock():%H:%M:%S} {text}\n")
    sys.stdout.flush()
