"""The SQL of a hostile dump, in drills and restores: it reaches nothing but its own database."""

import psycopg2
import pytest
import restore_isolation_world as isolation_world
import restore_world as world
from engine.control import Control
from engine.errors import BackupError, Cancelled, IsolationUnavailable, RestoreFailed
from restore_isolation_world import NAME, REFUSED, drilled, restored

sql, nothing_left, hostile = world.sql, world.nothing_left, isolation_world.hostile
cluster, others, spool = isolation_world.cluster, isolation_world.others, isolation_world.spool
plain = isolation_world.plain
isolation = isolation_world.isolation
# In the place of a table, for whoever counts its rows.
TRAP = """
    CREATE FUNCTION public.evil() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        EXECUTE 'ALTER ROLE odoo PASSWORD ''taken'''; RETURN 1; END $$;
    ALTER TABLE public.{table} RENAME TO real_{table};
    CREATE VIEW public.{table} AS
        SELECT public.evil() AS id, repeat('base', public.evil()) AS name, 'installed' AS state;
"""


# --- what a dump does not reach -----------------------------------------------------------------


@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED)
def test_a_hostile_statement_is_refused(cluster, hostile, tmp_path, statement):
    place = tmp_path / "made"
    with pytest.raises(BackupError) as caught:
        drilled(hostile(statement.format(place=place)), cluster)
    assert caught.value.code in ("restore_failed", "database_server_failed")
    assert not place.exists()


def test_a_change_of_the_role_is_left_out(cluster, hostile):
    """pg_dump writes it before the privileges that another role gave; of no dump is it run."""
    becomes = """SET SESSION AUTHORIZATION odoo;
        DO $$ BEGIN IF session_user = 'odoo' THEN RAISE 'odoo'; END IF; END $$;"""
    assert drilled(hostile(becomes), cluster)["level"] == 4
    assert drilled(hostile(becomes), cluster, by="postgres")["level"] == 4


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


def test_a_role_that_the_administrator_has_named_is_used(cluster, hostile, plain, named):
    is_named = "DO $$ BEGIN IF current_user <> 'named' THEN RAISE 'other'; END IF; END $$;"
    assert drilled(hostile(is_named), cluster, {"role": named}, by=plain)["level"] == 4
    restored(hostile(is_named), cluster, by=plain, role=named)
    assert NAME in world.listed_by_odoo(cluster, plain)
    assert cluster.psql("SELECT tableowner FROM pg_tables WHERE tablename='note'", NAME) == plain
    with pytest.raises(BackupError, match="permission denied|must be owner"):
        drilled(hostile("DROP DATABASE precious;"), cluster, {"role": named}, by=plain)


def test_the_one_connection_of_a_named_role_prepares_the_database_too(
    cluster, tmp_path, sql, plain, named
):
    known = b"CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;"
    assert sql.count(known) == 1
    dump = sql.replace(known, known + b"\n" + known.replace(b"pg_trgm", b"unaccent"))
    archive = (world.zipped(tmp_path / "archive.zip", dump), "zip")
    assert drilled(archive, cluster, {"role": named}, by=plain)["level"] == 4


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
