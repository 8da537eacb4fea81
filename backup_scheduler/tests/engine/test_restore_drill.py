"""The restore drill: into a scratch database of a real PostgreSQL, counted, and dropped again."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import zipfile

import places
import psycopg2
import pytest
import restore_world as world
from engine.archive.verify import verify
from engine.control import Control
from engine.errors import (
    Cancelled,
    Damaged,
    DatabaseServerFailed,
    RestoreFailed,
    TimeLimit,
    Truncated,
)
from engine.restore.scratch import (
    CREATE,
    Scratch,
    drill,
    identified,
    is_scratch,
    left,
    scratch_name,
    sweep,
)
from engine.restore.server import DatabaseServer
from waiting import beside, joined, until

DRILL = """
import json, sys
sys.path.insert(0, sys.argv[1])
from engine.control import Control
from engine.restore.scratch import drill
path, archive_format, server, token = json.loads(sys.argv[2])
drill(path, archive_format, {"level": 1}, server, Control(), token)
"""
# Sessions tell of their rows once a second, or when they are told to.
TELL_AUTOVACUUM = "SELECT pg_catalog.pg_stat_force_next_flush();"
# Longer than a pipe: whoever does not read all of it holds up who writes it.
LONG_COMMENT = """
    DO $$ BEGIN EXECUTE format('COMMENT ON TABLE note IS %L', repeat('long ', 600000)); END $$
"""
sql, restored, nothing_left = world.sql, world.restored, world.nothing_left


@pytest.fixture(scope="module")
def cluster():
    # Autovacuum comes at once, and takes its time.
    slow = {"autovacuum_vacuum_cost_delay": "100", "autovacuum_vacuum_cost_limit": "1"}
    with world.postgresql(autovacuum_naptime="1", **slow) as cluster:
        yield cluster


# --- what is good -------------------------------------------------------------------------------


def test_a_good_zip_is_restored_and_counted(restored, sql):
    report = restored(sql)
    assert report == {**world.REPORT, "level": 4}


def test_a_good_custom_dump_is_restored_and_counted(cluster, tmp_path):
    path = world.custom(tmp_path / "archive.dump", cluster)
    report = {**world.REPORT, "manifest": {}}
    assert drill(path, "dump", report, cluster.dsn(), Control(), "run-1")["level"] == 4


@pytest.mark.parametrize("more", ["", LONG_COMMENT], ids=["short", "long"])
def test_a_dump_with_a_second_table_of_contents_is_restored(cluster, tmp_path, more):
    world.make(cluster, "source-2", more)
    path = world.redirected(tmp_path / "archive.dump", cluster, "source-2")
    cluster.drop("source-2")
    report = verify(path, "dump", 3).as_dict()
    counted = (report["tables"], report["attachments"], report["users"], report["modules"])
    assert counted == (world.TABLES, world.ATTACHMENTS, world.USERS, len(world.MODULES))
    assert drill(path, "dump", report, cluster.dsn(), Control(), "run-1")["level"] == 4


def test_a_report_that_knows_little_is_compared_with_what_it_knows(restored, sql):
    unknown = {"level": 2, "tables": 0, "attachments": 0, "users": 0, "modules": 0, "manifest": {}}
    assert restored(sql, unknown)["level"] == 4
    assert restored(sql, {"level": 1})["level"] == 4


@pytest.mark.parametrize("key", ["tables", "attachments", "users", "modules"])
@pytest.mark.parametrize("level", [2, 3])
def test_a_count_that_differs_fails_the_drill(restored, sql, key, level):
    expected = {**world.REPORT, "level": level, key: world.REPORT[key] + 1}
    with pytest.raises(RestoreFailed, match=f"{world.REPORT[key]} .*{world.REPORT[key] + 1}"):
        restored(sql, expected)


def test_at_level_3_a_count_of_none_is_a_count(restored, sql):
    with pytest.raises(RestoreFailed, match="7 users, the archive 0"):
        restored(sql, {**world.REPORT, "users": 0})


def test_other_modules_than_those_of_the_manifest_fail_the_drill(restored, sql):
    manifest = {"modules": {"base": "", "web": "", "stock": ""}}
    with pytest.raises(RestoreFailed, match="mail, stock"):
        restored(sql, {**world.REPORT, "manifest": manifest})


def test_progress_is_told_in_bytes_of_the_dump(restored, sql):
    control = world.Watched()
    restored(sql, control=control)
    assert control.stage == "restore"
    assert control.steps[-1] == (len(sql), len(sql))


def test_odoo_never_sees_a_scratch_database(cluster, restored, sql):
    seen = []

    def look(_control):
        seen.append((world.scratch_databases(cluster), world.listed_by_odoo(cluster)))

    restored(sql, control=world.Watched(look))
    [(scratch, listed)] = seen
    assert [re.fullmatch("backup_drill_run_1_[0-9a-f]{8}", name) is not None for name in scratch]
    assert listed == ["source"]


# --- what is bad --------------------------------------------------------------------------------


def test_an_error_of_sql_fails_the_drill_in_postgresql_s_own_words(restored, sql):
    with pytest.raises(RestoreFailed, match='relation "nowhere" does not exist') as caught:
        restored(world.with_statement(sql, "SELECT * FROM nowhere;"))
    assert "LOCATION" not in str(caught.value)


def test_a_row_that_does_not_fit_is_told_without_its_content(restored, sql):
    broken = sql.replace(b"\n1\tuser 1\n", b"\n1\tuser 1\tsecret salary\n")
    with pytest.raises(RestoreFailed, match="table res_users; row 1 of") as caught:
        restored(broken)
    assert "secret salary" not in str(caught.value)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.999])
def test_a_cut_dump_in_a_sound_zip_fails_the_drill(restored, sql, share):
    with pytest.raises((RestoreFailed, Truncated)):
        restored(sql[: int(len(sql) * share)], {"level": 1})


def test_a_zip_with_a_changed_byte_fails_the_drill(cluster, tmp_path, sql):
    path = world.zipped(tmp_path / "archive.zip", sql)
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("dump.sql").compress_size
    with open(path, "r+b") as file:
        file.seek(size - 40)
        byte = file.read(1)
        file.seek(size - 40)
        file.write(bytes([byte[0] ^ 0x10]))
    with pytest.raises((Damaged, RestoreFailed)):
        drill(path, "zip", {"level": 1}, cluster.dsn(), Control(), "run-1")


def test_a_damaged_dump_that_became_unsafe_is_damaged(cluster, tmp_path, sql):
    path = world.zipped(tmp_path / "archive.zip", sql + b"\n\\! id\n")
    with zipfile.ZipFile(path) as archive:
        assert archive.infolist()[0].filename == "dump.sql"
        crc = archive.getinfo("dump.sql").CRC
    with open(path, "r+b") as file:
        # It stands before the member, and in the central directory.
        content = file.read().replace(crc.to_bytes(4, "little"), (crc ^ 1).to_bytes(4, "little"))
        file.seek(0)
        file.write(content)
    with pytest.raises(Damaged):
        drill(path, "zip", {"level": 1}, cluster.dsn(), Control(), "run-1")


def test_a_cut_custom_dump_fails_the_drill(cluster, tmp_path):
    path = world.custom(tmp_path / "archive.dump", cluster)
    os.truncate(path, os.path.getsize(path) * 2 // 3)
    with pytest.raises(RestoreFailed):
        drill(path, "dump", {"level": 1}, cluster.dsn(), Control(), "run-1")


# --- being stopped ------------------------------------------------------------------------------


def test_a_cancelled_drill_ends_at_once(cluster, restored, sql):
    slow = world.with_statement(sql, world.SLEEP)
    control = Control()
    with world.meanwhile(cluster, control.cancel), pytest.raises(Cancelled):
        restored(slow, control=control)


def test_autovacuum_does_not_keep_a_scratch_database(cluster, restored, sql):
    rows = "INSERT INTO public.note SELECT n, 'x' FROM generate_series(9, 200000) n;"
    working = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE backend_type = 'autovacuum worker' AND datname LIKE 'backup_drill%'"
    )
    control, seen = Control(), []

    def cancel_when_it_works():
        try:
            seen.append(until(lambda: cluster.psql(working) != "0"))
        finally:
            control.cancel()

    watcher = beside(cancel_when_it_works)
    with pytest.raises(Cancelled):
        restored(
            world.with_statement(sql, f"{rows}\n{TELL_AUTOVACUUM}\n{world.SLEEP}"),
            control=control,
        )
    joined(watcher)
    assert seen


def test_the_time_limit_ends_a_drill(restored, sql):
    with pytest.raises(TimeLimit):
        restored(world.with_statement(sql, world.SLEEP), control=Control(time_limit=1))


def test_a_drill_that_postgresql_throws_out_is_told_as_such(cluster, restored, sql):
    def throw_out():
        cluster.psql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname LIKE 'backup_drill%'"
        )

    failed = pytest.raises(DatabaseServerFailed, match="terminating connection")
    with world.meanwhile(cluster, throw_out), failed:
        restored(world.with_statement(sql, world.SLEEP))


def test_a_killed_postgresql_is_told_and_swept_once_it_is_back(cluster, restored, sql):
    with world.meanwhile(cluster, cluster.kill), pytest.raises(DatabaseServerFailed):
        restored(world.with_statement(sql, world.SLEEP))
    cluster.start()
    assert len(sweep(cluster.dsn())) == 1


def test_what_a_killed_drill_left_is_swept_and_what_lives_is_not(cluster, tmp_path, sql):
    slow = world.with_statement(sql, world.SLEEP)
    path = world.zipped(tmp_path / "slow.zip", slow)
    with killed_drill(cluster, path) as name:
        assert sweep(cluster.dsn()) == []
        assert world.scratch_databases(cluster) == [name]
    assert world.scratch_databases(cluster) == [name]
    with Scratch(cluster.dsn(), "drill", "alive", Control()) as living:
        assert sweep(cluster.dsn()) == [name]
        assert world.scratch_databases(cluster) == [living.name]


def test_a_drill_sweeps_what_the_one_before_left(cluster, restored, tmp_path, sql):
    path = world.zipped(tmp_path / "slow.zip", world.with_statement(sql, world.SLEEP))
    with killed_drill(cluster, path) as left:
        pass
    assert world.scratch_databases(cluster) == [left]
    restored(sql)
    assert world.scratch_databases(cluster) == []


class killed_drill:  # noqa: N801 - used as a statement
    """A drill in a process of its own, at work inside and killed on leaving."""

    def __init__(self, cluster, path):
        self._cluster, self._path = cluster, path

    def __enter__(self):
        order = json.dumps([self._path, "zip", self._cluster.dsn(), "victim"])
        command = [sys.executable, "-c", DRILL, places.ADDON, order]
        self._process = subprocess.Popen(command)
        world.await_sleeping(self._cluster, self._process)
        [name] = world.scratch_databases(self._cluster)
        return name

    def __exit__(self, *reason):
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        until(lambda: not world.locks(self._cluster))


def test_a_scratch_database_that_cannot_be_dropped_yet_is_told(cluster):
    """It is being made, is in use, or its killed session is in the middle of a statement."""
    name, server = scratch_name("drill", "stuck"), cluster.dsn()
    with no_database_made(cluster):
        making = beside(make_scratch, server, name)
        until(lambda: left(server) == [name], "the database is being made")
        assert sweep(server) == []
    joined(making)
    assert left(server) == [name]
    assert sweep(server) == [name]
    assert left(server) == []


def make_scratch(server, name):
    with DatabaseServer(server).session() as session:
        session.rows(identified(CREATE, name))


@contextlib.contextmanager
def no_database_made(cluster):
    """Inside, whoever makes a database waits."""
    holder = psycopg2.connect(dbname="postgres", **cluster.dsn("postgres"))
    try:
        holder.cursor().execute("LOCK TABLE pg_database IN SHARE MODE")
        yield
    finally:
        holder.close()


def test_a_sweep_drops_no_database_that_is_not_ours(cluster):
    names = ["backup_drill_mine", "backup_drill_run_1_00000000", "backup_restore_x"]
    for name in names:
        cluster.tool("createdb", name, role="odoo")
    try:
        assert sweep(cluster.dsn()) == []
        assert world.scratch_databases(cluster) == sorted(names)
    finally:
        for name in names:
            cluster.drop(name)


def test_the_name_of_a_scratch_database_fits_postgresql():
    for token in ["run-1", "9f86d081884c7d659a2feaa0c55ad015", "Über; DROP" * 20, ""]:
        name = scratch_name("restore", token)
        assert len(name) <= 63
        assert is_scratch(name)
        assert not is_scratch(name[:-1] + ("0" if name[-1] != "0" else "1"))
