"""Chaos: whatever is killed and whenever, in the end every promise holds.

Two jobs fire every minute against a real remote, and runs are started by hand, over a line so slow
that blows land in the middle of transfers; archives go into destinations of all kinds, each a real
server, and hardly any of them stays. Meanwhile people ask for verifications, restores, deletions
and further attempts. Servers and processes are killed, and the engine of each kind of task while it
is at work. Then everything is left in peace, and looked at: rows, files, objects, spool, databases,
messages, processes. The backup server is a prefork one with a PostgreSQL of its own, which waits
for its disk.

CHAOS_ROUNDS says how many blows there are (`make chaos`: 30); CHAOS_SEED repeats a session.
"""

import collections
import contextlib
import os
import random
import shutil
import time

import pytest
from chaos_blows import Blows, clock, last_words, tell
from chaos_promises import Promises, moment
from chaos_user import UNAVAILABLE, User
from devenv import processes
from devenv.odoo import OdooServer
from devenv.postgres import Cluster
from devenv.seed import Seed
from devenv.stack import addon_dependencies
from proxy import Proxy
from storage import all_kinds
from world import BACKUPS, MASTER_PASSWORD, World, good

from conftest import fresh

ROUNDS = int(os.environ.get("CHAOS_ROUNDS") or 3)
SEED = int(os.environ.get("CHAOS_SEED") or 0) or random.SystemRandom().randrange(1, 10**6)
# Bytes a second: a transfer takes some ten seconds.
RATE = 3_000_000
# At the same time: some of them are held up.
WORKERS = 6
# Seconds after which nothing runs any more: lost tasks are found in two minutes, and tried again.
QUIET = 400
# Seconds after which what still waits is told that its time has come.
HURRY = 10
# Tasks, messages that have no task yet, and scheduled actions that were woken.
MOVING = """
    SELECT 'task', kind, run_id, due_at FROM backup_task
     UNION ALL
    SELECT 'alert', event, id, next_attempt_at FROM backup_alert
     WHERE state = 'pending' AND over_network
     UNION ALL
    SELECT 'action', cron.cron_name, cron.id, wake.call_at
      FROM ir_cron_trigger wake JOIN ir_cron cron ON cron.id = wake.cron_id
     WHERE wake.call_at <= now() AT TIME ZONE 'UTC' AND cron.active
"""
# What waits for a later time, for a server that was away, is not waited for.
ITS_TIME_HAS_COME = """
    UPDATE backup_copy SET next_attempt_at = now() AT TIME ZONE 'UTC'
     WHERE next_attempt_at > now() AT TIME ZONE 'UTC';
    UPDATE backup_alert SET next_attempt_at = now() AT TIME ZONE 'UTC'
     WHERE state = 'pending' AND next_attempt_at > now() AT TIME ZONE 'UTC';
    UPDATE backup_task SET due_at = now() AT TIME ZONE 'UTC'
     WHERE lease_token IS NULL AND due_at > now() AT TIME ZONE 'UTC';
"""


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
    remove_restored(chaos_cluster, server)
    fresh(chaos_cluster, server, BACKUPS, Seed(modules=addon_dependencies()))
    server.install(BACKUPS, "backup_scheduler")
    server.start()
    yield server
    server.stop()


def remove_restored(cluster, server):
    """Remove what an earlier session, that was interrupted, has restored."""
    named = "datname LIKE 'backup\\_%' OR datname LIKE 'restored-%'"
    for name in cluster.psql(f"SELECT datname FROM pg_database WHERE {named}").split():
        cluster.psql(f'ALTER DATABASE "{name}" IS_TEMPLATE false')
        cluster.drop(name)
    shutil.rmtree(server.data_dir / "filestore", ignore_errors=True)


@pytest.fixture
def world(chaos_server, remote):
    world = World(chaos_server, remote)
    world.configure(backup_workers=WORKERS)
    return world


@pytest.fixture
def storages(world, s3, sftp, webdav):
    with all_kinds(world, s3, sftp, webdav) as storages:
        yield storages


def test_whatever_is_killed_every_promise_holds_in_the_end(
    world, storages, chaos_cluster, recorder, remote
):
    tell(f"CHAOS_SEED={SEED} CHAOS_ROUNDS={ROUNDS}")
    dice = random.Random(SEED)  # noqa: S311
    user = User(world, chaos_cluster, dice, storages, recorder)
    with Proxy(remote.port, rate=RATE) as proxy:
        jobs = user.set_up(proxy.url)
        firsts = {job["id"]: moment(job["next_run_at"]) for job in world.call("job", "read", jobs)}
        blows = Blows(user)
        blows.rounds(ROUNDS)
        proxy.release()
        last = pause(user, jobs)
        settle(user)
        blows.remember()
    user.manual.append(good(world.wait_for(world.run_now(remote.url)))["id"])
    settle(user)
    runs = world.call("run", "search_read", [], order="id")
    tell(collections.Counter((run["status"], run["error_code"]) for run in runs))
    tell(f"asked for: {dict(user.asked)}")
    tell(f"engines killed at: {dict(blows.struck)}")
    assert user.faults == []
    assert user.ended.items() <= {run["id"]: last_words(run) for run in runs}.items()
    Promises(user, runs).check(firsts, last)


def pause(user, jobs):
    """Switch the jobs off in the middle of a minute, each of them with a fire at least; return the
    last minute that counts."""

    def last_fires():
        """Where the dispatcher has seen to the minute at hand, each job's last one is that."""
        planned = user.ask("job", "read", jobs, ["next_run_at", "last_run_at"])
        begun = clock().replace(second=0, microsecond=0)
        return 5 <= clock().second <= 50 and all(
            job["last_run_at"] and moment(job["next_run_at"]) > begun for job in planned
        )

    user.world.wait_until(last_fires, 300, "a time to pause")
    user.ask("job", "write", user.world._jobs, {"enabled": False})
    return clock().replace(second=0, microsecond=0)


def settle(user):
    """Wait until nothing moves any more, and nothing waits."""
    world, hurry_at = user.world, time.monotonic()
    moving = None

    def settled():
        nonlocal hurry_at, moving
        moving = user.rows(MOVING)
        if moving and time.monotonic() >= hurry_at:
            user.cluster.psql(ITS_TIME_HAS_COME, BACKUPS)
            with contextlib.suppress(*UNAVAILABLE):
                # Another dispatch may be at work.
                world.dispatch()
            hurry_at = time.monotonic() + HURRY
        moving = moving or world.leftovers() or world.engines()
        return not moving

    assert processes.wait_until(settled, QUIET), moving
