"""What is killed: processes and servers of each kind, and the engine of each kind of task."""

import collections
import contextlib
import datetime
import signal
import subprocess
import sys
import time
import uuid

from chaos_user import ALL, BEGIN, UNAVAILABLE
from devenv import processes
from engine.restore.scratch import key_of, scratch_name

# Seconds. A task whose worker says nothing for that long is lost.
LEASE = 45
# From this second on, the blow waits for the fire that is near, and falls while it is planned.
SOON = 40
AWAY = ("s3", "sftp", "rclone")


class Blows:
    """Blows, each with its recovery.

    :ivar struck: how often an engine was killed while it was at which kind of task
    """

    def __init__(self, user):
        self.user, self.world, self.cluster = user, user.world, user.cluster
        self.dice, self.storages = user.dice, user.storages
        self.struck = collections.Counter()
        self.in_transfers = {
            "the worker is killed": self.kill_worker,
            "the engine is killed": self.kill_engine,
            "worker and engine are killed": self.kill_both,
            "the backup server is killed": self.kill_backup_server,
            "the remote is killed": self.kill_remote,
            "PostgreSQL is killed": self.kill_postgres,
            "the worker stands still": self.stop_worker,
            "the S3 server is killed": lambda: self.kill_storage("s3"),
            "the SFTP server is killed": lambda: self.kill_storage("sftp"),
            "the WebDAV server is killed": lambda: self.kill_storage("rclone"),
        }
        self.at_tasks = {
            "the engine of a discovery is killed": self.kill_discovery,
            "the engine of a verification is killed": self.kill_verification,
            "the engines of a drill and of the clean-up after it are killed": self.kill_sweep,
            "the engine of a restore is killed": self.kill_restore,
            "the engine of a deletion is killed": self.kill_deletion,
            "the engine of a replication is killed": self.kill_replication,
            "the engines of a backup and of the clean-up after it are killed": self.kill_discard,
            "the engine of alerts is killed": self.kill_alerts,
        }

    def rounds(self, count):
        """Strike ``count`` times; every kind of blow comes before one comes again."""
        deck, blows = [], {**self.in_transfers, **self.at_tasks}
        for number in range(1, count + 1):
            deck = deck or self.dice.sample(list(blows), len(blows))
            name = deck.pop()
            self.user.act(2)
            if name in self.in_transfers:
                self.wait_for_moment()
            tell(f"round {number}: {name}")
            blows[name]()
            self.remember()
            self.dispatch()

    def wait_for_moment(self):
        """Wait for transfers, or for the fire that is near."""
        if clock().second >= SOON:
            self.world.wait_until(lambda: clock().second < 2, 60, "a full minute")
        else:
            self.wait_for_transfer()
        time.sleep(self.dice.uniform(0, 4))

    def wait_for_transfer(self):
        """Have a run of our own in the middle of its transfer, beside those that are due."""
        self.user.run_now(self.user.slow, self.dice.choice((ALL, *self.storages)))
        moving = [["status", "=", "running"], ["stage", "=", "download"], ["received", ">", 0]]
        self.world.wait_until(
            lambda: self.user.ask("run", "search_count", moving) and self.world.engine(),
            BEGIN, "a transfer began",
        )  # fmt: skip

    def remember(self):
        """Remember what ended: nobody writes to it any more, least of all who lost its lease."""
        ended = [["status", "not in", ["queued", "running"]]]
        for run in self.user.ask("run", "search_read", ended):
            self.user.ended.setdefault(run["id"], last_words(run))

    def dispatch(self):
        """Have the dispatcher run now; at a moment at which it runs already there is no need."""
        with contextlib.suppress(*UNAVAILABLE):
            self.world.dispatch()

    # --- processes and servers ------------------------------------------------------------------

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
        """A clock that stands still: when it goes on, its tasks are somebody else's."""
        worker = self.world.worker()
        strike(worker, signum=signal.SIGSTOP)
        time.sleep(LEASE + 2)
        self.dispatch()
        self.remember()
        strike(worker, signum=signal.SIGCONT)

    def kill_storage(self, kind):
        with self.storages[kind].away():
            time.sleep(self.dice.uniform(0, 8))

    # --- engines, by what they are at -----------------------------------------------------------

    def at_work(self, kind, run=None, stage=None):
        """Wait until a task of the kind is at work."""
        condition = f"kind = '{kind}' AND lease_token IS NOT NULL"
        condition += f" AND run_id = {run}" if run else ""
        condition += f" AND stage = '{stage}'" if stage else ""
        self.world.wait_until(
            lambda: self.user.rows(f"SELECT 1 FROM backup_task WHERE {condition}"),
            BEGIN, f"a task with {condition}",
        )  # fmt: skip

    def strike_engines(self, kind=None, run=None):
        """Kill every engine there is; where ``kind`` is given, while such a task is held up."""
        time.sleep(self.dice.uniform(0, 1))
        if kind:
            self.at_work(kind, run)
        at_work = self.user.rows("SELECT kind FROM backup_task WHERE lease_token IS NOT NULL")
        strike(*self.world.engines())
        self.struck.update(kind for (kind,) in at_work)

    def some_storage(self):
        return self.dice.choice(AWAY)

    def kill_discovery(self):
        with self.remote_halted():
            self.user.connect_new_server()
            self.strike_engines("discover", self.user.manual[-1])

    @contextlib.contextmanager
    def remote_halted(self):
        """Inside, the remote answers nobody."""
        victims = self.world.remote.processes()
        strike(*victims, signum=signal.SIGSTOP)
        try:
            yield
        finally:
            strike(*victims, signum=signal.SIGCONT)

    def kill_verification(self):
        kind = self.some_storage()
        run = self.user.good_run(kind)
        with self.storages[kind].halted():
            self.user.ask("run", "verify", [run], self.dice.choice((2, 3)))
            self.strike_engines("verify", run)

    def kill_sweep(self):
        """A scratch database that cannot be dropped holds up the drill, and what cleans up."""
        run = self.user.good_run("local")
        with self.undroppable_database() as name:
            self.user.ask("run", "verify", [run], 4)
            self.at_work("verify", run, "restore")
            self.strike_engines("verify", run)
            self.world.wait_until(
                lambda: not self.is_locked(name), BEGIN, "the session of the killed drill ended"
            )
            self.user.hurry("sweep")
            self.strike_engines("sweep")

    def is_locked(self, name):
        """Return whether somebody is at a scratch database: a killed drill, for a moment."""
        locks = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
        return self.cluster.psql(
            f"{locks} AND (classid::bigint << 32) | objid::bigint = {key_of(name)}"
        )

    @contextlib.contextmanager
    def undroppable_database(self):
        """Inside there is what a killed drill has left, with somebody in it whom only a superuser
        can throw out."""
        name = scratch_name("drill", uuid.uuid4().hex)
        options = ("--owner", self.world.server.role, "--template", "template0", name)
        self.cluster.tool("createdb", *options)
        self.cluster.psql(f'ALTER DATABASE "{name}" IS_TEMPLATE true')
        holder = subprocess.Popen(
            ["psql", "-XAtq", "-d", name, "-c", "SELECT pg_sleep(3600)"],
            env=self.cluster.environment("postgres"), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        there = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name}'"
        try:
            self.world.wait_until(lambda: self.cluster.psql(there), BEGIN, "the holder is there")
            yield name
        finally:
            self.cluster.psql(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            )
            holder.wait()

    def kill_restore(self):
        """At its beginning, or somewhere on its way into PostgreSQL."""
        kind = self.some_storage()
        run = self.user.good_run(kind)
        with self.storages[kind].halted():
            self.user.restore_run(run)
            self.at_work("restore", run)
            if strike_now := self.dice.random() < 0.3:
                self.strike_engines("restore", run)
        if not strike_now:
            time.sleep(self.dice.uniform(0, 6))
            self.strike_engines()

    def kill_deletion(self):
        kind = self.some_storage()
        run = self.user.superfluous_run(kind)
        with self.storages[kind].halted():
            self.user.delete_archives(run)
            self.strike_engines("delete", run)

    def kill_replication(self):
        kind = self.some_storage()
        with self.storages[kind].away():
            run = self.user.run_now(self.user.quick, ALL)
            self.user.wait_for_end(run)
        missed = [["run_id", "=", run], ["status", "=", "failed"]]
        with self.storages[kind].halted():
            if copies := self.user.ask("copy", "search", missed):
                self.user.try_to("retry of a copy", "copy", "retry", copies)
                self.strike_engines("replicate", run)

    def kill_discard(self):
        kind = self.some_storage()
        run = self.user.run_now(self.user.slow, kind)
        self.world.wait_until(
            lambda: self.user.ask("run", "read", [run], ["received", "status"])[0]["received"]
            or self.user.rows(f"SELECT 1 FROM backup_run WHERE id = {run} AND status NOT IN "
                              "('queued', 'running')"),
            BEGIN, "the transfer began",
        )  # fmt: skip
        with self.storages[kind].halted():
            self.strike_engines()
            if self.user.wait_for_end(run) == "failed":
                self.strike_engines("discard", run)

    def kill_alerts(self):
        with self.user.recorder.standing_still():
            self.user.run_now(self.user.quick, "local")
            self.strike_engines("notify")


def last_words(run):
    fields = ("status", "attempt", "error_code", "sha256", "finished_at")
    return tuple(run[field] for field in fields)


def strike(*victims, signum=signal.SIGKILL):
    """Send a signal to those that are still there."""
    for victim in filter(None, victims):
        processes.send(victim, signum)


def clock():
    return datetime.datetime.now(datetime.timezone.utc)


def tell(text):
    """Shown where the test fails, and with ``pytest -s``."""
    sys.stdout.write(f"chaos {clock():%H:%M:%S} {text}\n")
    sys.stdout.flush()
