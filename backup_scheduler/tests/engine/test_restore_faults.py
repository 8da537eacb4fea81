"""Dumps that would do harm, and what keeps a drill from telling anything about its archive."""

import os
import re
import shutil
import subprocess

import places
import pytest
import restore_world as world
import verify_redirected
from devenv.postgres import Cluster
from engine.archive import sqlscript
from engine.control import Control
from engine.errors import (
    DatabaseServerFailed,
    LibraryMissing,
    NoSpace,
    RestoreFailed,
    UnsafeDump,
)
from engine.restore.causes import error_of
from engine.restore.failures import of_program
from engine.restore.psql import Script
from engine.restore.scratch import drill
from waiting import until

# A server that knows all that may stand in a dump.
LATEST = 990_000
GENERATED = " FROM generate_series(9, 60000) n;"
sql, restored, nothing_left = world.sql, world.restored, world.nothing_left


@pytest.fixture(scope="module")
def cluster():
    with world.postgresql() as cluster:
        yield cluster


# --- what a dump must not do --------------------------------------------------------------------


def test_a_dump_with_and_one_without_a_lock_of_its_own_are_restored(restored, sql):
    assert len(world.OWN_LOCK.findall(sql)) == 2
    assert restored(sql)["level"] == 4
    assert restored(world.OWN_LOCK.sub(b"", sql))["level"] == 4


@pytest.mark.parametrize("size", [37, 4095, 4096, 5000, 1 << 16, 1 << 24])
def test_however_a_dump_comes_in_blocks_all_of_it_is_fed(sql, size):
    script = Script((sql[at : at + size] for at in range(0, len(sql), size)), LATEST)
    lock, _line, fed = b"".join(script.confined()).partition(b"\n")
    assert re.fullmatch(rb"\\restrict [0-9a-f]{32}", lock)
    assert fed.split() == world.OWN_LOCK.sub(b"", sql).split()


@pytest.mark.parametrize("lock", [True, False], ids=["locked", "unlocked"])
@pytest.mark.parametrize(
    "command",
    [
        "\\! touch {place}",
        "SELECT 1; \\! touch {place}",
        "\\o |touch {place}",
        "\\copy note FROM PROGRAM 'touch {place}'",
        "\\unrestrict {key}\n\\! touch {place}",
        "SELECT 1 \\g |touch {place}",
    ],
)
def test_no_command_in_a_dump_runs_on_this_machine(
    restored, sql, tmp_path, monkeypatch, command, lock
):
    key = re.search(rb"\\restrict (\S+)", sql)[1].decode()
    place = tmp_path / "hostile"
    hostile = world.with_statement(sql, command.format(place=place, key=key))
    hostile = hostile if lock else world.OWN_LOCK.sub(b"", hostile)
    with pytest.raises(UnsafeDump, match="psql command"):
        restored(hostile)
    assert not place.exists()
    # The second lock of the door, where the first one had missed it.
    monkeypatch.setattr(sqlscript.Script, "feed", lambda reader, block: reader._to.raw(block))
    with pytest.raises(RestoreFailed, match="restricted|wrong key"):
        restored(hostile)
    assert not place.exists()


def test_the_hostile_command_is_one_that_psql_would_run(cluster, sql, tmp_path):
    place = tmp_path / "hostile"
    script = world.OWN_LOCK.sub(b"", world.with_statement(sql, f"\\! touch {place}"))
    cluster.tool("createdb", "victim", role="odoo")
    (tmp_path / "dump.sql").write_bytes(script)
    cluster.tool("psql", "-Xqd", "victim", "-f", tmp_path / "dump.sql", role="odoo")
    cluster.drop("victim")
    assert place.exists()


def test_a_psql_that_cannot_be_locked_is_not_used(restored, sql, tmp_path, monkeypatch):
    psql = tmp_path / "bin" / "psql"
    psql.parent.mkdir()
    psql.write_text("#!/bin/sh\necho '\\q quit psql'\n")
    psql.chmod(0o755)
    monkeypatch.setenv("PATH", str(psql.parent))
    with pytest.raises(LibraryMissing, match="too old") as caught:
        restored(sql)
    assert "15.14" in caught.value.hint


def test_missing_programs_are_told_with_the_package_they_are_in(
    cluster, restored, sql, tmp_path, monkeypatch
):
    path = world.custom(tmp_path / "archive.dump", cluster)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LibraryMissing, match="psql") as caught:
        restored(sql)
    assert "postgresql-client" in caught.value.hint
    with pytest.raises(LibraryMissing, match="pg_restore"):
        drill(path, "dump", {"level": 1}, cluster.dsn(), Control(), "run-1")


def test_a_superuser_makes_a_role_that_is_none(cluster, restored, sql):
    report = restored(world.with_statement(sql, NO_SUPERUSER), server=cluster.dsn("postgres"))
    assert report["notes"] == ["so far"]


NO_SUPERUSER = """
    DO $$ BEGIN IF current_setting('is_superuser')::bool THEN RAISE 'superuser'; END IF; END $$;
"""


# --- what is not the archive's fault ------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE EXTENSION vector WITH SCHEMA public;", "“vector”"),
        ("CREATE EXTENSION dblink WITH SCHEMA public;", "“dblink”"),
        ("CREATE POLICY p ON public.note TO metabase USING (true);", 'CREATE ROLE "metabase"'),
    ],
)
def test_what_the_server_lacks_says_nothing_about_the_archive(restored, sql, statement, named):
    with pytest.raises(DatabaseServerFailed) as caught:
        restored(world.with_statement(sql, statement))
    assert named in caught.value.hint
    assert "nothing about the archive" in caught.value.hint


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("psql:<stdin>:53100: ERROR:  42P01: relation does not exist", RestoreFailed),
        ("psql:<stdin>:57014: ERROR:  23505: duplicate key 08006", RestoreFailed),
        ("psql:<stdin>:7: ERREUR:  53100: plus de place", NoSpace),
        ("psql:<stdin>:7: FATAL:  57P01: Verbindung wird beendet", DatabaseServerFailed),
        ("psql: error: FATAL:  sorry, too many clients already", DatabaseServerFailed),
        ("pg_restore: error: could not read: No space left on device", NoSpace),
        ("pg_restore: error: unexpected data offset flag", RestoreFailed),
        ("psql:<stdin>:7: error: connection to server was lost", DatabaseServerFailed),
    ],
)
def test_what_postgresql_says_is_understood_in_any_language(words, kind):
    assert type(error_of(of_program([words], "no words"))) is kind


def test_a_dump_of_a_newer_postgresql_says_so(restored, sql):
    newer = re.sub(rb"(?<=-- Dumped by pg_dump version )\d+", b"99", sql)
    with pytest.raises(DatabaseServerFailed, match="unrecognized") as caught:
        restored(world.with_statement(newer, "SET from_the_future = 0;"))
    assert "PostgreSQL 99" in caught.value.hint


@pytest.mark.parametrize(("version", "left"), [(150_000, 0), (160_009, 0), (170_000, 1)])
def test_a_server_before_17_is_not_told_of_a_timeout_that_it_does_not_know(sql, version, left):
    newer = with_transaction_timeout(sql)
    assert b"".join(Script([newer], version).confined()).count(b"transaction_timeout") == left


def test_a_dump_by_pg_dump_17_of_an_older_server_is_restored(restored, sql):
    assert restored(with_transaction_timeout(sql))["level"] == 4


def with_transaction_timeout(sql):
    """Return the dump as pg_dump 17 writes it."""
    known = b"SET transaction_timeout = 0;\n"
    return re.sub(rb"(?<=SET lock_timeout = 0;\n)", known, sql.replace(known, b""), count=1)


def test_a_custom_dump_is_restored_by_a_pg_restore_that_is_newer_than_the_server(
    cluster, tmp_path, monkeypatch
):
    """pg_restore 17 sets transaction_timeout for any server, and with it fails at those before."""
    path = world.custom(tmp_path / "archive.dump", cluster)
    put_first_on_path(monkeypatch, tmp_path, "pg_restore", PG_RESTORE_17)
    report = {**world.REPORT, "manifest": {}}
    assert drill(path, "dump", report, cluster.dsn(), Control(), "run-1")["level"] == 4
    os.truncate(path, os.path.getsize(path) * 2 // 3)
    with pytest.raises(RestoreFailed):
        drill(path, "dump", report, cluster.dsn(), Control(), "run-1")


# The pg_restore of the machine, where it is older with what one of PostgreSQL 17 writes.
PG_RESTORE_17 = r"""#!/bin/bash
if [ "$1" = --version ]; then echo "pg_restore (PostgreSQL) 17.12"; exit; fi
set -o pipefail
case "$*" in
    *-f*) {program} "$@" | sed '0,/^SET lock_timeout/s//SET transaction_timeout = 0;\n&/' ;;
    *) psql -X -q -d postgres -v ON_ERROR_STOP=1 -c 'SET transaction_timeout = 0' || exit 1
       exec {program} "$@" ;;
esac
"""


def put_first_on_path(monkeypatch, folder, name, script):
    """Have another program found in the place of one of PostgreSQL's: ``{program}`` in it."""
    place = folder / "bin" / name
    place.parent.mkdir()
    place.write_text(script.replace("{program}", shutil.which(name)))
    place.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place.parent}:{os.environ['PATH']}")


# What a pg_restore before 16 says of a dump by 17.
PG_RESTORE_15 = """#!/bin/sh
if [ "$1" = --version ]; then echo "pg_restore (PostgreSQL) 15.18"; exit; fi
echo "pg_restore: error: unsupported version (1.16) in file header" >&2
exit 1
"""


def test_a_custom_format_that_pg_restore_does_not_know_is_told(cluster, tmp_path, monkeypatch):
    path = tmp_path / "archive.dump"
    path.write_bytes(verify_redirected.PIPED)
    listing = subprocess.run(["pg_restore", "--list", path], capture_output=True)
    if not listing.returncode:
        put_first_on_path(monkeypatch, tmp_path, "pg_restore", PG_RESTORE_15)
    with pytest.raises(LibraryMissing, match="too old") as caught:
        drill(path, "dump", {"level": 1}, cluster.dsn(), Control(), "run-1")
    assert "PostgreSQL 17 or later" in caught.value.hint


def test_a_server_that_is_not_there_is_told(restored, sql, tmp_path):
    with pytest.raises(DatabaseServerFailed, match=re.escape(str(tmp_path))):
        restored(sql, server={"host": str(tmp_path)})


def test_a_role_that_may_not_create_databases_is_told(cluster, restored, sql):
    cluster.psql("DROP ROLE IF EXISTS small")
    cluster.psql("CREATE ROLE small LOGIN CREATEROLE")
    with pytest.raises(DatabaseServerFailed, match="permission denied to create database"):
        restored(sql, server=cluster.dsn("small"))


CONNECTED = """
    SELECT count(*) FROM pg_stat_activity
     WHERE usename LIKE 'backup%' AND application_name = 'psql'
"""


@pytest.fixture
def locked_role(cluster):
    """Yield a role whose password PostgreSQL asks for."""
    rules = cluster.data / "pg_hba.conf"
    before = rules.read_text()
    cluster.psql("DROP ROLE IF EXISTS locked")
    cluster.psql("CREATE ROLE locked LOGIN CREATEDB CREATEROLE PASSWORD 'right-password'")
    rules.write_text("local all locked scram-sha-256\n" + before)
    cluster.psql("SELECT pg_reload_conf()")
    yield "locked"
    rules.write_text(before)
    cluster.psql("SELECT pg_reload_conf()")


def test_the_password_reaches_postgresql_and_nobody_else(cluster, restored, sql, locked_role):
    server = {**cluster.dsn(locked_role), "password": "right-password"}
    seen = []

    def look(_control):
        # Here psql waits for more of the dump: it does not end before this does.
        until(lambda: cluster.psql(CONNECTED) == "1", "psql has not connected")
        listed = ["ps", "-eo", "args", "-ww"]
        seen.extend(subprocess.run(listed, capture_output=True, text=True).stdout.splitlines())

    assert restored(sql, server=server, control=world.Watched(look))["level"] == 4
    assert any("psql -X" in command for command in seen)
    assert not any("right-password" in command for command in seen)
    with pytest.raises(DatabaseServerFailed, match="password authentication failed"):
        restored(sql, server={**server, "password": "wrong-password"})
    with pytest.raises(DatabaseServerFailed, match="no password supplied"):
        restored(sql, server=cluster.dsn(locked_role))


@pytest.fixture
def full_cluster():
    """Yield a PostgreSQL whose databases, and nothing else of it, lie on a disk of 64 MiB."""
    server = Cluster("engine-full").start()
    server.stop()
    databases, small = server.data / "base", server.folder / "small"
    with places.tmpfs(small, 64 << 20):
        subprocess.run(["cp", "-a", databases, small], check=True)
        shutil.rmtree(databases)
        databases.symlink_to(small / "base")
        yield server.start()
        server.stop()
    server.remove()


@pytest.mark.skipif(not places.can_mount(), reason="only root can mount")
def test_a_postgresql_whose_disk_is_full_is_told(full_cluster, tmp_path, sql):
    # Made there, not in the dump: a hundred megabytes out of one line.
    rows = "INSERT INTO public.note SELECT n, repeat(md5(n::text), 60)" + GENERATED
    path = world.zipped(tmp_path / "archive.zip", world.with_statement(sql, rows))
    with pytest.raises(NoSpace):
        drill(path, "zip", {"level": 1}, full_cluster.dsn(), Control(), "run-1")
    assert world.scratch_databases(full_cluster) == []
