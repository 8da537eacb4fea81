"""A PostgreSQL of its own for each drill, and that nothing is left of it or of a role."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import places
import pytest
import restore_isolation_world as isolation_world
import restore_world as world
from engine.control import Control
from engine.errors import Cancelled, IsolationUnavailable, RestoreFailed
from engine.restore import cluster as clusters
from engine.restore.scratch import Scratch, drill, left, sweep
from restore_isolation_world import REFUSED, ROLES, drilled
from waiting import until

sql, nothing_left, hostile = world.sql, world.nothing_left, isolation_world.hostile
cluster, others, spool = isolation_world.cluster, isolation_world.others, isolation_world.spool
plain = isolation_world.plain


def test_in_a_cluster_of_its_own_hostile_statements_are_refused_too(
    cluster, hostile, spool, tmp_path
):
    place = tmp_path / "made"
    for name in ("program", "read", "database", "role"):
        with pytest.raises(RestoreFailed):
            drilled(hostile(REFUSED[name].format(place=place)), cluster, {"spool": spool})
    assert not place.exists()


def test_a_cluster_of_its_own_has_nothing_of_the_server(cluster, hostile, spool):
    looks = """DO $$ BEGIN
        IF EXISTS (SELECT FROM pg_database WHERE datname = 'precious')
        THEN RAISE SQLSTATE 'SEEN1'; END IF;
        IF current_setting('is_superuser')::bool THEN RAISE 'superuser'; END IF; END $$;"""
    assert drilled(hostile(looks), cluster, {"spool": spool})["level"] == 4
    with pytest.raises(RestoreFailed, match="SEEN1"):
        drilled(hostile(looks), cluster)


def test_a_cluster_needs_no_right_on_the_server(cluster, hostile, plain, spool):
    assert drilled(hostile("SELECT 1;"), cluster, {"spool": spool}, by=plain)["level"] == 4


# --- nothing is left ----------------------------------------------------------------------------

VICTIM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from engine.control import Control
from engine.restore.scratch import drill
path, server, isolation = json.loads(sys.argv[2])
drill(path, "zip", {"level": 1}, server, Control(), "victim", isolation)
"""


def test_of_a_killed_drill_the_role_is_swept_with_its_database(cluster, tmp_path, sql):
    path = world.zipped(tmp_path / "slow.zip", world.with_statement(sql, world.SLEEP))
    with victim(path, cluster, {}) as process:
        world.await_sleeping(cluster, process)
        (name,) = world.scratch_databases(cluster)
    until(lambda: not world.locks(cluster))
    assert left(cluster.dsn()) == [name]
    assert sweep(cluster.dsn()) == [name]


def test_the_role_of_a_living_attempt_is_not_swept(cluster):
    with Scratch(cluster.dsn(), "drill", "alive", Control()) as living:
        assert sweep(cluster.dsn()) == []
        assert living.name in cluster.psql(ROLES)


def test_the_cluster_of_a_killed_drill_is_ended_and_removed(cluster, tmp_path, sql, spool):
    path = world.zipped(tmp_path / "slow.zip", world.with_statement(sql, world.SLEEP))
    data = os.path.join(spool, "victim.cluster", "data")

    def sleeps():
        assert process.poll() is None
        return any("backup_drill" in title_of(pid) for pid in clusters.processes_in(data))

    with victim(path, cluster, {"spool": spool}) as process:
        until(sleeps, "the dump is not being loaded")
        assert clusters.sweep(spool) == []
    assert clusters.sweep(spool) == ["victim.cluster"]
    assert clusters.processes_in(data) == []


@contextlib.contextmanager
def victim(path, cluster, isolation):
    """A drill in a process of its own, which is killed on leaving."""
    order = json.dumps([path, cluster.dsn(), isolation])
    process = subprocess.Popen([sys.executable, "-c", VICTIM, places.ADDON, order])
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def title_of(pid):
    """Return the command line of a process; nothing for one that has ended meanwhile."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_cancelled_drill_leaves_no_cluster(cluster, tmp_path, sql, spool):
    path = world.zipped(tmp_path / "archive.zip", sql)
    with pytest.raises(Cancelled):
        drill(
            path, "zip", {"level": 1}, cluster.dsn(), world.Watched(lambda c: c.cancel()), "x",
            {"spool": spool},
        )  # fmt: skip


def test_in_a_spool_with_a_long_name_a_cluster_runs_too(cluster, tmp_path, sql, spool):
    long = os.path.join(spool, "x" * 120)
    os.mkdir(long, 0o755)
    path = world.zipped(tmp_path / "archive.zip", sql)
    isolation = {"spool": long}
    with pytest.raises(RestoreFailed, match="ALONE"):
        dump = world.with_statement(
            sql,
            "DO $$ BEGIN IF (SELECT count(*) FROM pg_database) = 4 "
            "THEN RAISE SQLSTATE 'ALONE'; END IF; END $$;",
        )
        drilled((world.zipped(tmp_path / "look.zip", dump), "zip"), cluster, isolation)
    assert drilled((path, "zip"), cluster, isolation)["level"] == 4
    os.rmdir(long)


def test_roles_that_a_dump_grants_rights_to_are_made_in_a_cluster(cluster, tmp_path, sql, spool):
    grants = 'GRANT SELECT ON public.note TO metabase; GRANT SELECT ON public.note TO "An other";'
    path = world.zipped(tmp_path / "archive.zip", world.with_statement(sql, grants))
    assert drilled((path, "zip"), cluster, {"spool": spool})["level"] == 4


def test_a_dump_of_a_newer_postgresql_is_not_restored_in_an_older_cluster(
    cluster, tmp_path, sql, spool, plain
):
    newer = sql.replace(b"-- Dumped from database version ", b"-- Dumped from database version 9")
    path = world.zipped(tmp_path / "archive.zip", newer)
    with pytest.raises(IsolationUnavailable) as caught:
        drilled((path, "zip"), cluster, {"spool": spool}, by=plain)
    assert "older than the dump" in str(caught.value.hint)


def test_without_the_server_programs_a_role_is_used(cluster, hostile, spool, monkeypatch):
    monkeypatch.setattr(clusters, "programs", lambda: None)
    sees = (
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_database WHERE datname = 'precious') "
        "THEN RAISE SQLSTATE 'ALONE'; END IF; END $$;"
    )
    assert drilled(hostile(sees), cluster, {"spool": spool})["level"] == 4
