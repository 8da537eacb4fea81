"""The SQL of a hostile dump, in drills and restores: it reaches nothing but its own database."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import places
import psycopg2
import pytest
import restore_world as world
from engine.control import Control
from engine.errors import BackupError, Cancelled, IsolationUnavailable, RestoreFailed
from engine.restore import cluster as clusters
from engine.restore.postgres import restore
from engine.restore.scratch import Scratch, drill, left, sweep
from waiting import until

sql, nothing_left = world.sql, world.nothing_left
NAME = "restored"
PASSWORD = "SELECT rolpassword FROM pg_authid WHERE rolname = 'odoo'"
ROLES = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles"
# A comment of which another statement is made: pg_restore runs what stands in its place.
COMMENT = "the comment " + "x" * 900
# In the place of a table, for whoever counts its rows.
TRAP = """
    CREATE FUNCTION public.evil() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        EXECUTE 'ALTER ROLE odoo PASSWORD ''taken'''; RETURN 1; END $$;
    ALTER TABLE public.{table} RENAME TO real_{table};
    CREATE VIEW public.{table} AS
        SELECT public.evil() AS id, repeat('base', public.evil()) AS name, 'installed' AS state;
"""
# Each is refused; {place} is a file that no program may make.
REFUSED = {
    "drop": "DROP DATABASE precious;",
    "rename": "ALTER DATABASE precious RENAME TO stolen;",
    "take": "ALTER DATABASE precious OWNER TO CURRENT_USER;",
    "terminate": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname='precious';",
    "password": "ALTER ROLE odoo PASSWORD 'taken';",
    "become": "SET ROLE odoo;",
    "become anew": "SET SESSION AUTHORIZATION odoo;",
    "program": "COPY (SELECT 1) TO PROGRAM 'touch {place}';",
    "read": "COPY public.note (body) FROM '/etc/passwd';",
    "write": "COPY (SELECT 1) TO '{place}';",
    "read file": "SELECT pg_read_file('/etc/passwd');",
    "import": "SELECT lo_import('/etc/passwd');",
    "database": "CREATE DATABASE mine;",
    "copy": "CREATE DATABASE mine TEMPLATE precious;",
    "role": "CREATE ROLE mine;",
    "member": "GRANT odoo TO CURRENT_USER;",
    "settings": "ALTER SYSTEM SET shared_buffers = '1GB';",
    "connect": "CREATE EXTENSION dblink;",
    "foreign": "CREATE EXTENSION postgres_fdw;",
    "language": "CREATE LANGUAGE plperlu;",
}


@pytest.fixture(scope="module")
def cluster():
    with world.postgresql("engine-isolation") as server:
        server.psql("ALTER ROLE odoo PASSWORD 'its own'")
        world.make(server, "precious")
        server.psql(f"COMMENT ON TABLE note IS '{COMMENT}'", "source")
        yield server


@pytest.fixture(autouse=True)
def others(cluster):
    """Whatever was done: everything else is as it was, and a session of it still lives."""
    before = [cluster.psql(query) for query in (PASSWORD, ROLES)]
    databases = cluster.databases()
    session = psycopg2.connect(dbname="precious", **cluster.dsn())
    session.cursor().execute("SELECT 'a secret' FROM pg_sleep(0)")
    yield
    cursor = session.cursor()
    cursor.execute("SELECT count(*) FROM res_users")
    assert cursor.fetchone() == (world.USERS,)
    session.close()
    cluster.drop(NAME)
    assert cluster.databases() == databases
    assert [cluster.psql(query) for query in (PASSWORD, ROLES)] == before


@pytest.fixture
def spool():
    """A folder that whoever PostgreSQL runs as can enter; nothing is left in it."""
    folder = tempfile.mkdtemp(prefix="spool-")
    os.chmod(folder, 0o755)  # noqa: S103 - as root, the server runs as another user
    yield folder
    remains = os.listdir(folder)
    shutil.rmtree(folder)
    assert remains == []


@pytest.fixture(params=["role", "cluster"])
def isolation(request, spool):
    return {"spool": spool} if request.param == "cluster" else {}


@pytest.fixture(params=["zip", "dump"])
def hostile(request, tmp_path, sql, cluster):
    """Return a function that makes an archive whose dump has a statement; it returns its path."""

    def hostile(statement):
        path = tmp_path / f"archive.{request.param}"
        if request.param == "zip":
            return world.zipped(path, world.with_statement(sql, statement)), "zip"
        content = pathlib.Path(world.custom(path, cluster)).read_bytes()
        harmless = f"COMMENT ON TABLE public.note IS '{COMMENT}';".encode()
        assert content.count(harmless) == 1
        path.write_bytes(content.replace(harmless, statement.encode().ljust(len(harmless))))
        return str(path), "dump"

    return hostile


def drilled(archive, cluster, isolation=None, control=None, by="odoo"):
    path, archive_format = archive
    report = {**world.REPORT, "manifest": {}}
    return drill(
        path, archive_format, report, cluster.dsn(by), control or Control(), "run-1", isolation
    )


# --- what a dump does not reach -----------------------------------------------------------------


@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED)
def test_a_hostile_statement_is_refused(cluster, hostile, tmp_path, statement):
    place = tmp_path / "made"
    with pytest.raises(BackupError) as caught:
        drilled(hostile(statement.format(place=place)), cluster)
    assert caught.value.code in ("restore_failed", "database_server_failed")
    assert not place.exists()


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
        IF EXISTS (SELECT FROM pg_database WHERE datname = 'precious') THEN RAISE 'seen'; END IF;
        IF current_setting('is_superuser')::bool THEN RAISE 'superuser'; END IF; END $$;"""
    assert drilled(hostile(looks), cluster, {"spool": spool})["level"] == 4
    with pytest.raises(RestoreFailed, match="seen"):
        drilled(hostile(looks), cluster)


def test_what_others_do_is_not_seen(cluster, hostile, isolation):
    looks = """DO $$ BEGIN
        IF EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%a sec' || 'ret%')
        THEN RAISE 'seen'; END IF; END $$;"""
    assert drilled(hostile(looks), cluster, isolation)["level"] == 4


@pytest.mark.parametrize("table", ["res_users", "ir_attachment", "ir_module_module"])
def test_a_table_that_is_a_trap_is_not_counted_by_odoo_s_role(cluster, tmp_path, sql, table):
    trap = TRAP.format(table=table)
    end = b"\n--\n-- PostgreSQL database dump complete"
    dump = sql.replace(end, trap.encode() + end)
    with pytest.raises(BackupError, match="permission denied|insufficient"):
        drilled((world.zipped(tmp_path / "archive.zip", dump), "zip"), cluster)


def test_a_dump_that_changes_its_own_role_is_counted_all_the_same(cluster, hostile):
    change = "ALTER ROLE CURRENT_USER PASSWORD 'taken';"
    assert drilled(hostile(change), cluster)["level"] == 4


def test_the_role_of_a_dump_has_no_second_connection(cluster, hostile):
    refusals = []

    def connect():
        (name,) = world.scratch_databases(cluster)
        for database in ("precious", "postgres", name):
            with pytest.raises(psycopg2.OperationalError) as caught:
                psycopg2.connect(dbname=database, **cluster.dsn(name))
            refusals.append(str(caught.value))
        control.cancel()

    control = Control()
    with world.meanwhile(cluster, connect), pytest.raises(Cancelled):
        drilled(hostile(world.SLEEP), cluster, control=control)
    assert len(refusals) == 3
    assert all("too many connections for role" in refusal for refusal in refusals)


# --- restores to the server ---------------------------------------------------------------------


def restored(archive, cluster, neutralization=None, by="odoo", **isolation):
    path, archive_format = archive
    target = {
        "server": cluster.dsn(by),
        "database": NAME,
        "filestore": "",
        "neutralization": neutralization,
        "isolation": isolation,
    }
    report = {**world.REPORT, "manifest": {}}
    return restore(path, archive_format, report, target, Control(), "run-1")


@pytest.mark.parametrize("name", ["drop", "rename", "terminate", "password", "program", "database"])
def test_a_hostile_statement_is_refused_in_a_restore(cluster, hostile, tmp_path, name):
    place = tmp_path / "made"
    with pytest.raises(BackupError):
        restored(hostile(REFUSED[name].format(place=place)), cluster)
    assert not place.exists()
    assert NAME not in cluster.databases()


def test_a_restored_database_and_all_in_it_is_odoo_s(cluster, hostile):
    restored(hostile("GRANT SELECT ON public.note TO CURRENT_USER;"), cluster)
    owners = (
        "SELECT string_agg(DISTINCT o::text, ' ') FROM (SELECT relowner::regrole o FROM pg_class "
        "UNION SELECT extowner::regrole FROM pg_extension UNION SELECT datdba::regrole "
        "FROM pg_database WHERE datname = current_database()) o"
    )
    assert set(cluster.psql(owners, NAME).split()) == {"odoo", "postgres"}
    assert NAME in world.listed_by_odoo(cluster)


def test_a_dump_leaves_no_settings_of_the_restored_database(cluster, hostile):
    settings = """DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 64',
        current_database()); END $$;"""
    restored(hostile(settings), cluster)
    assert cluster.psql("SELECT count(*) FROM pg_db_role_setting") == "0"


def test_a_trigger_does_not_meet_odoo_s_role_in_the_neutralization(cluster, tmp_path, sql):
    trap = b"""
        CREATE FUNCTION public.evil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            EXECUTE 'ALTER ROLE odoo PASSWORD ''taken'''; RETURN NEW; END $$;
        CREATE TRIGGER evil BEFORE UPDATE ON public.ir_cron
            FOR EACH ROW EXECUTE FUNCTION public.evil();
    """
    end = b"\n--\n-- PostgreSQL database dump complete"
    path = world.zipped(tmp_path / "archive.zip", sql.replace(end, trap + end))
    with pytest.raises(RestoreFailed, match="neutralization of the module base failed"):
        restored((path, "zip"), cluster, {"base": "UPDATE ir_cron SET active = false"})
    assert NAME not in cluster.databases()


# --- where the right is not there ---------------------------------------------------------------


@pytest.fixture
def plain(cluster):
    """A role as that of most Odoos: it may create databases."""
    cluster.psql("CREATE ROLE plain LOGIN CREATEDB")
    yield "plain"
    cluster.drop(NAME)
    cluster.psql("DROP ROLE plain")


@pytest.fixture
def named(cluster, plain):
    """A role as an administrator is told to make it."""
    cluster.psql("CREATE ROLE named LOGIN CONNECTION LIMIT 1 PASSWORD 'right'")
    cluster.psql("GRANT named TO plain")
    yield {"user": "named", "password": "right"}
    cluster.psql("DROP OWNED BY named")
    cluster.psql("DROP ROLE named")


def test_without_a_role_nothing_is_run_and_the_commands_are_told(cluster, hostile, plain):
    for act in (drilled, restored):
        with pytest.raises(IsolationUnavailable) as caught:
            act(hostile("SELECT 1;"), cluster, by=plain)
        assert caught.value.code == "isolation_unavailable"
        hint = str(caught.value.hint)
        assert "ALTER ROLE plain CREATEROLE" in hint
        assert "CREATE ROLE backup_restore LOGIN NOSUPERUSER" in hint
        assert "GRANT backup_restore TO plain" in hint


def test_an_archive_of_a_trusted_instance_is_run_by_odoo_s_own_role(cluster, hostile, plain):
    assert drilled(hostile("SELECT 1;"), cluster, {"trusted": True}, by=plain)["level"] == 4
    restored(hostile("SELECT 1;"), cluster, by=plain, trusted=True)
    assert NAME in world.listed_by_odoo(cluster, plain)


def test_what_is_refused_to_a_dump_is_what_odoo_s_own_role_may_do(cluster, hostile, plain):
    change = hostile("ALTER ROLE plain PASSWORD 'taken';")
    with pytest.raises(RestoreFailed):
        drilled(change, cluster)
    query = "SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'plain'"
    assert cluster.psql(query) == "t"
    assert drilled(change, cluster, {"trusted": True}, by=plain)["level"] == 4
    assert cluster.psql(query) == "f"


def test_a_cluster_needs_no_right_on_the_server(cluster, hostile, plain, spool):
    assert drilled(hostile("SELECT 1;"), cluster, {"spool": spool}, by=plain)["level"] == 4


def test_a_role_that_the_administrator_has_named_is_used(cluster, hostile, plain, named):
    is_named = "DO $$ BEGIN IF current_user <> 'named' THEN RAISE 'other'; END IF; END $$;"
    assert drilled(hostile(is_named), cluster, {"role": named}, by=plain)["level"] == 4
    restored(hostile(is_named), cluster, by=plain, role=named)
    assert NAME in world.listed_by_odoo(cluster, plain)
    assert cluster.psql("SELECT tableowner FROM pg_tables WHERE tablename='note'", NAME) == plain
    with pytest.raises(BackupError, match="permission denied|must be owner"):
        drilled(hostile("DROP DATABASE precious;"), cluster, {"role": named}, by=plain)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("ALTER ROLE named SUPERUSER", "superuser"),
        ("ALTER ROLE named CREATEDB", "create databases"),
        ("ALTER ROLE named CREATEROLE", "create roles"),
        ("ALTER ROLE named CONNECTION LIMIT -1", "connection limit"),
        ("GRANT odoo TO named", "member of other roles"),
        ("GRANT CONNECT ON DATABASE precious TO named", "granted something"),
        ("REVOKE named FROM plain", "not granted"),
    ],
)
def test_a_named_role_that_may_more_is_not_used(cluster, hostile, plain, named, change, fault):
    cluster.psql(change)
    with pytest.raises(IsolationUnavailable) as caught:
        drilled(hostile("SELECT 1;"), cluster, {"role": named}, by=plain)
    assert fault in str(caught.value.hint)


def test_a_role_that_cannot_log_in_is_told_with_the_file_that_forbids_it(cluster, hostile):
    rules = cluster.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("local all odoo,postgres trust\nlocal all all reject\n")
    cluster.psql("SELECT pg_reload_conf()")
    try:
        with pytest.raises(IsolationUnavailable) as caught:
            drilled(hostile("SELECT 1;"), cluster)
    finally:
        rules.write_text(before)
        cluster.psql("SELECT pg_reload_conf()")
    assert "pg_hba.conf" in str(caught.value.hint)


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
    process = victim(path, cluster, {})
    world.await_sleeping(cluster, process)
    (name,) = world.scratch_databases(cluster)
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(lambda: not world.locks(cluster))
    assert left(cluster.dsn()) == [name]
    assert sweep(cluster.dsn()) == [name]


def test_the_role_of_a_living_attempt_is_not_swept(cluster):
    with Scratch(cluster.dsn(), "drill", "alive", Control()) as living:
        assert sweep(cluster.dsn()) == []
        assert living.name in cluster.psql(ROLES)


def test_the_cluster_of_a_killed_drill_is_ended_and_removed(cluster, tmp_path, sql, spool):
    path = world.zipped(tmp_path / "slow.zip", world.with_statement(sql, world.SLEEP))
    process = victim(path, cluster, {"spool": spool})
    data = os.path.join(spool, "victim.cluster", "data")

    def sleeps():
        assert process.poll() is None
        return any("backup_drill" in title_of(pid) for pid in clusters.processes_in(data))

    until(sleeps, "the dump is not being loaded")
    assert clusters.sweep(spool) == []
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert clusters.sweep(spool) == ["victim.cluster"]
    assert clusters.processes_in(data) == []


def victim(path, cluster, isolation):
    order = json.dumps([path, cluster.dsn(), isolation])
    return subprocess.Popen([sys.executable, "-c", VICTIM, places.ADDON, order])


def title_of(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().decode()


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
    with pytest.raises(RestoreFailed, match="alone"):
        dump = world.with_statement(
            sql,
            "DO $$ BEGIN IF (SELECT count(*) FROM pg_database) = 4 "
            "THEN RAISE 'alone'; END IF; END $$;",
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
        "THEN RAISE 'alone'; END IF; END $$;"
    )
    assert drilled(hostile(sees), cluster, {"spool": spool})["level"] == 4
