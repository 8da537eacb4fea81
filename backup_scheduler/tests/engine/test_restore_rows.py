"""A restore is done when every table has the rows of the archive, and a table may have more."""

import json
import subprocess
import uuid

import pytest
import restore_world as world
from devenv.postgres import binaries
from engine.archive.verify import verify
from engine.archive.volatile import VOLATILE
from engine.control import Control
from engine.errors import NotConsistent, RestoreFailed
from engine.restore import http, postgres
from engine.restore.rows import NAMED, PARAMETERS_DELETED, compare
from engine.restore.scratch import drill
from fake_odoo import PASSWORD, FakeOdoo
from verify_archives import MANIFEST, odoo_zip

NEW = "restored"
VERSION = "19.0.1.0"
# The columns of Odoo's that level 3 looks for, and tables of the kinds that there are.
MORE = """;
    ALTER TABLE ir_module_module ADD COLUMN latest_version text;
    UPDATE ir_module_module SET latest_version = '19.0.1.0';
    UPDATE ir_module_module SET state = 'uninstalled' WHERE state <> 'installed';
    CREATE TABLE res_partner (id serial PRIMARY KEY, name text);
    INSERT INTO res_partner (name) SELECT 'P' || n FROM generate_series(1, 50) n;
    CREATE TABLE mail_push (id serial PRIMARY KEY, payload text);
    INSERT INTO mail_push (payload) VALUES ('one'), ('two');
    CREATE TABLE bus_bus (id serial PRIMARY KEY, message text);
    INSERT INTO bus_bus (message) VALUES ('one'), ('two');
    CREATE TABLE empty_one (id serial PRIMARY KEY);
    CREATE TABLE mail_message (id int, day date) PARTITION BY RANGE (day);
    CREATE TABLE mail_message_2024 PARTITION OF mail_message
        FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE TABLE mail_message_rest PARTITION OF mail_message DEFAULT;
    INSERT INTO mail_message VALUES (1, '2024-05-05'), (2, '2030-01-01'), (3, '2030-01-01');
    CREATE TABLE old_partner (since date) INHERITS (res_partner);
    INSERT INTO old_partner (id, name) VALUES (900, 'gone');
    CREATE SCHEMA "My.Schema"; CREATE TABLE "My.Schema"."T.x" (a int);
    INSERT INTO "My.Schema"."T.x" VALUES (1), (2), (3), (4);
"""
NO_PARTNER = "DELETE FROM res_partner"
FORCED = """
    CREATE POLICY nobody ON public.res_partner USING (false);
    ALTER TABLE public.res_partner ENABLE ROW LEVEL SECURITY;
    ALTER TABLE public.res_partner FORCE ROW LEVEL SECURITY;
"""


@pytest.fixture(scope="module")
def cluster():
    with world.postgresql("engine-restore-rows") as cluster:
        world.make(cluster, "source", MORE)
        yield cluster


@pytest.fixture(scope="module")
def archive(cluster, tmp_path_factory):
    """Return the path of a zip of the database ``source``."""
    return zipped(tmp_path_factory.mktemp("archive") / "archive.zip", world.dump_sql(cluster))


def zipped(path, dump):
    modules = dict.fromkeys(world.MODULES, VERSION)
    manifest = json.dumps({**MANIFEST, "db_name": "source", "modules": modules})
    path.write_bytes(odoo_zip({"dump.sql": dump, "manifest.json": manifest.encode()}))
    return str(path)


def plain_dump(cluster, database):
    """Return a plain dump as bytes: in the encoding of the database."""
    command = [binaries() / "pg_dump", "--no-owner", database]
    return subprocess.run(
        command, env=cluster.environment(), stdout=subprocess.PIPE, check=True
    ).stdout


@pytest.fixture
def back(cluster, archive, tmp_path):
    """Restore the archive by the database manager of an Odoo, which loses this of it."""

    def back(lost="", **target):
        world.make(cluster, NEW, MORE + lost)
        report, content = verify(archive, "zip", 3), dump_of(cluster, NEW)
        with FakeOdoo(databases=["source"]) as odoo:
            odoo.restored = lambda _name: content
            target = {"url": odoo.url, "master_password": PASSWORD, "database": NEW, **target}
            spool, token = str(tmp_path / "spool"), uuid.uuid4().hex
            return http.restore(archive, "zip", report, target, Control(), spool, token)

    yield back
    cluster.drop(NEW)


def dump_of(cluster, database):
    return world.custom_to(cluster, database, subprocess.PIPE)


# --- by a database manager ------------------------------------------------------------------------


def test_a_restore_that_has_all_rows_is_done(back):
    done = back()
    assert done["database"] == NEW
    assert done["checked"]["users"] == world.USERS


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        (NO_PARTNER, "public.res_partner (0 of 50 rows)"),
        ("DELETE FROM ONLY res_partner WHERE id = 1", "public.res_partner (49 of 50 rows)"),
        ("DELETE FROM old_partner", "public.old_partner (0 of 1 rows)"),
        ("DELETE FROM mail_message_2024", "public.mail_message_2024 (0 of 1 rows)"),
        ("DROP TABLE note", "public.note (the table is missing)"),
        ("DROP TABLE empty_one", "public.empty_one (the table is missing)"),
        ('DELETE FROM "My.Schema"."T.x"', "My.Schema.T.x (0 of 4 rows)"),
        ("TRUNCATE res_partner, note", "public.res_partner (0 of 50 rows), public.note (0 of 3"),
        ("TRUNCATE mail_push", "public.mail_push (0 of 2 rows)"),
        ("DELETE FROM ir_config_parameter", "public.ir_config_parameter (0 of 1 rows)"),
        ("DROP TABLE bus_bus", "public.bus_bus (the table is missing)"),
        ("DROP TABLE res_users CASCADE", "public.res_users (the table is missing)"),
    ],
)
def test_a_restore_that_lost_rows_is_not_done(back, lost, says):
    with pytest.raises(RestoreFailed) as raised:
        back(lost)
    # Users and attachments are counted before.
    assert says in str(raised.value) or "res_users" in lost
    assert f"{NEW!r} was left on the server" in raised.value.hint


@pytest.mark.parametrize(
    "gained",
    [
        "INSERT INTO res_partner (name) VALUES ('new')",
        "CREATE TABLE spatial_ref_sys (id int); INSERT INTO spatial_ref_sys VALUES (4326)",
        "CREATE TABLE layer (id int)",
        "TRUNCATE bus_bus",
    ],
)
def test_what_a_server_adds_or_empties_by_itself_is_no_loss(back, gained):
    assert back(gained)["database"] == NEW


def test_what_neutralizing_deletes_is_no_loss_where_it_was_asked_for(back):
    assert back("TRUNCATE mail_push", neutralize=True)["database"] == NEW
    with pytest.raises(RestoreFailed, match="res_partner"):
        back("TRUNCATE mail_push, res_partner", neutralize=True)


def test_the_hint_tells_a_failed_load_from_rows_that_were_deleted_since(back):
    with pytest.raises(RestoreFailed) as raised:
        back("DELETE FROM note WHERE id = 1")
    assert "scheduled actions" in raised.value.hint
    with pytest.raises(RestoreFailed) as raised:
        back("DELETE FROM note")
    assert "log" in raised.value.hint


def test_a_custom_dump_is_compared_too(cluster, back, tmp_path):
    path = tmp_path / "archive.dump"
    path.write_bytes(dump_of(cluster, "source"))
    world.make(cluster, NEW, MORE + NO_PARTNER)
    lost = dump_of(cluster, NEW)
    with FakeOdoo(databases=["source"]) as odoo:
        odoo.restored = lambda _name: lost
        target = {"url": odoo.url, "master_password": PASSWORD, "database": NEW}
        report = verify(str(path), "dump", 3)
        with pytest.raises(RestoreFailed, match=r"res_partner \(0 of 50 rows\)"):
            http.restore(
                str(path), "dump", report, target, Control(), str(tmp_path / "spool"), "token"
            )


def test_an_archive_of_a_database_that_lacks_something_is_restored_as_it_is(cluster, tmp_path):
    """Its finding is told before; the restored database lacks the same."""
    world.make(cluster, "lacking", MORE + "DROP TABLE ir_attachment")
    try:
        lacking = world.dump_sql(cluster, "lacking")
        path = zipped(tmp_path / "lacking.zip", lacking)
        with pytest.raises(NotConsistent) as raised:
            verify(path, "zip", 3)
        content = dump_of(cluster, "lacking")
    finally:
        cluster.drop("lacking")
    with FakeOdoo(databases=["source"]) as odoo:
        odoo.restored = lambda _name: content
        target = {"url": odoo.url, "master_password": PASSWORD, "database": "lacking"}
        spool = str(tmp_path / "spool")
        done = http.restore(path, "zip", raised.value.report, target, Control(), spool, "token")
    assert done["database"] == "lacking"


# --- the rule -------------------------------------------------------------------------------------

HOME = "public."


def fault_of(archived, restored, **how):
    """Return what is wrong, as a text, and the notes."""
    report = {
        "rows": archived,
        "volatile": [f"{HOME}{name}" for name in VOLATILE],
        "of_extensions": ["public.spatial_ref_sys", "public.part_config"],
    }
    try:
        return "", compare(report, restored, **how)
    except RestoreFailed as error:
        return str(error), []


@pytest.mark.parametrize(
    ("table", "expected", "found", "how", "good"),
    [
        ("t", 5, 5, {}, True),
        ("t", 5, 6, {}, True),
        ("t", 0, 0, {}, True),
        ("t", 5, 4, {}, False),
        ("t", 5, None, {}, False),
        ("t", 0, None, {}, False),
        ("bus_bus", 5, 0, {}, False),
        ("bus_bus", 5, 0, {"opened": True}, True),
        ("bus_bus", 5, None, {"opened": True}, False),
        ("mail_push_device", 5, 0, {"opened": True}, False),
        ("mail_push_device", 5, 0, {"opened": True, "neutralized": True}, True),
        ("mail_push_device", 5, None, {"opened": True, "neutralized": True}, False),
        ("ir_config_parameter", 30, 25, {"opened": True, "neutralized": True}, True),
        ("ir_config_parameter", 30, 25, {"opened": True}, False),
        ("ir_config_parameter", 5, 0, {"opened": True, "neutralized": True}, False),
        ("ir_config_parameter", 60, 60 - PARAMETERS_DELETED - 1,
         {"opened": True, "neutralized": True}, False),
        ("spatial_ref_sys", 5, 3, {"opened": True}, True),
        ("spatial_ref_sys", 5, 0, {"opened": True}, False),
        ("spatial_ref_sys", 0, None, {"opened": True}, True),
        ("part_config", 0, None, {}, True),
        ("spatial_ref_sys", 5, None, {"opened": True}, False),
    ],
)  # fmt: skip
def test_a_table_may_gain_rows_and_must_not_lose_them(table, expected, found, how, good):
    restored = {} if found is None else {HOME + table: found}
    said, _notes = fault_of({HOME + table: expected}, restored, **how)
    assert bool(said) != good
    assert good or f"public.{table} (" in said


def test_fewer_rows_of_an_extension_are_a_note():
    [note] = fault_of({"public.spatial_ref_sys": 5}, {"public.spatial_ref_sys": 3})[1]
    assert "public.spatial_ref_sys (3 of 5 rows)" in note
    assert fault_of({"public.part_config": 0}, {})[1] == []


def test_a_report_without_rows_is_not_compared():
    assert compare({"level": 3}, {}) == []


def test_the_tables_with_most_rows_are_named_and_the_others_counted():
    archived = {f"public.t{n}": n for n in range(NAMED + 4)}
    said, _notes = fault_of(archived, {})
    assert said.count("the table is missing") == NAMED
    assert f"public.t{NAMED + 3} (" in said
    assert said.endswith("and 4 more.")


def test_the_name_of_a_table_stays_in_its_line():
    said, _notes = fault_of({"public.a\nb": 1}, {})
    assert "\n" not in said


# --- on a PostgreSQL of ours ----------------------------------------------------------------------


def test_a_drill_counts_every_table(cluster, archive):
    report = verify(archive, "zip", 3)
    done = drill(archive, "zip", report, cluster.dsn(), Control(), "rows-1")
    assert done == {**report.as_dict(), "level": 4}


@pytest.mark.parametrize("table", ["res_partner", "old_partner", "mail_message_rest", "note"])
def test_a_drill_that_has_fewer_rows_than_the_archive_fails(cluster, archive, table):
    report = verify(archive, "zip", 3)
    report.rows[f"public.{table}"] += 1
    with pytest.raises(RestoreFailed, match=f"public.{table}"):
        drill(archive, "zip", report, cluster.dsn(), Control(), "rows-2")


def test_a_drill_misses_a_table_that_is_not_there(cluster, archive):
    report = verify(archive, "zip", 3)
    report.rows["public.never"] = 0
    with pytest.raises(RestoreFailed, match=r"public.never \(the table is missing\)"):
        drill(archive, "zip", report, cluster.dsn(), Control(), "rows-3")


@pytest.mark.parametrize("archive_format", ["zip", "dump"])
def test_a_database_in_another_encoding_has_its_tables(cluster, tmp_path, archive_format):
    cluster.drop("latin")
    cluster.psql(
        "CREATE DATABASE latin OWNER odoo TEMPLATE template0 ENCODING 'LATIN1' "
        "LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    modules = ", ".join(f"('{name}', 'installed', '{VERSION}')" for name in world.MODULES)
    values = {"users": world.USERS, "attachments": 1, "modules": modules}
    named = """ CREATE TABLE "élève" ("âge" int); INSERT INTO "élève" VALUES (3);"""
    commands = ("SET client_encoding = 'UTF8'", f"{world.SOURCE % values}{MORE}{named}")
    options = [word for command in commands for word in ("-c", command)]
    try:
        cluster.tool("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", "latin", *options, role="odoo")
        if archive_format == "zip":
            path = zipped(tmp_path / "latin.zip", plain_dump(cluster, "latin"))
        else:
            path = world.custom(tmp_path / "latin.dump", cluster, "latin")
    finally:
        cluster.drop("latin")
    report = verify(path, archive_format, 3)
    assert report.rows["public.élève"] == 1
    assert drill(path, archive_format, report, cluster.dsn(), Control(), "rows-7")["level"] == 4


def test_rows_that_a_policy_hides_from_their_owner_are_counted(cluster, tmp_path):
    dump = world.dump_sql(cluster)
    at = dump.index(b"--\n-- PostgreSQL database dump complete")
    path = zipped(tmp_path / "forced.zip", dump[:at] + FORCED.encode() + dump[at:])
    report = verify(path, "zip", 3)
    target = {"server": cluster.dsn(), "database": NEW}
    done = postgres.restore(path, "zip", report, target, Control(), "rows-4")
    forced = "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'res_partner'"
    try:
        assert done["checked"]["users"] == world.USERS
        assert cluster.psql(forced, NEW) == "t"
    finally:
        cluster.drop(NEW)


def test_odoo_in_another_schema_is_counted_neutralized_and_found_by_odoo(cluster, tmp_path):
    moved = ";".join(
        f"ALTER TABLE {name} SET SCHEMA odoo_data"
        for name in ("ir_attachment", "res_users", "ir_module_module", "ir_config_parameter",
                     "ir_cron", "res_partner")
    )  # fmt: skip
    world.make(cluster, "moved", f"{MORE} CREATE SCHEMA odoo_data; {moved}")
    try:
        path = zipped(tmp_path / "moved.zip", world.dump_sql(cluster, "moved"))
    finally:
        cluster.drop("moved")
    report = verify(path, "zip", 3)
    assert drill(path, "zip", report, cluster.dsn(), Control(), "rows-5")["level"] == 4
    neutralization = {"base": "UPDATE ir_cron SET active = false"}
    target = {
        "server": cluster.dsn(), "database": NEW, "neutralization": neutralization,
        "uuid": "a-new-one",
    }  # fmt: skip
    postgres.restore(path, "zip", report, target, Control(), "rows-6")
    try:
        assert cluster.psql("SELECT count(*) FROM ir_cron WHERE active", NEW, role="odoo") == "0"
        own = "SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'"
        assert cluster.psql(own, NEW, role="odoo") == "a-new-one"
    finally:
        cluster.drop(NEW)
