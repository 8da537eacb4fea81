"""Restore drills and restores of archives at rest, into a real PostgreSQL, plain and encrypted."""

import json
import os
import pathlib
import re
import subprocess

import pytest
import restore_world
from ages import IDENTITY, OTHER_IDENTITY
from engine.errors import BackupError, Cancelled, DatabaseExists, RestoreFailed, WrongIdentity
from fake_odoo import PASSWORD, FakeOdoo
from orders import (
    PATH,
    SEALED_PATH,
    backup_order,
    carry_out,
    copy_order,
    left_in,
    restore_order,
    run_here,
    sealed_order,
    verify_order,
)
from restore_world import ATTACHMENTS, MODULES, USERS
from verify_archives import MANIFEST, odoo_zip

NEW = "restored"
# What an Odoo keeps of an attachment in its filestore, and what the dump says of it.
ROW = "INSERT INTO ir_attachment (name, store_fname) VALUES ('invoice', '%s')"
FILE = b"an invoice"
# As the manifest of an archive lists them.
VERSION = "19.0.1.0"
VERSIONS = """;
    ALTER TABLE ir_module_module ADD COLUMN IF NOT EXISTS latest_version text;
    UPDATE ir_module_module SET latest_version = '19.0.1.0';
    UPDATE ir_module_module SET state = 'uninstalled' WHERE state <> 'installed';
"""


@pytest.fixture(scope="module")
def cluster():
    with restore_world.postgresql("engine-reading") as server:
        yield server


@pytest.fixture(scope="module")
def archives(cluster):
    """Archives of a real database by name: one that is good, one without its file, one broken,
    one of a PostgreSQL to come."""
    restore_world.make(cluster, "source", ROW % restore_world.stored_name(FILE) + VERSIONS)
    dump = restore_world.dump_sql(cluster)
    broken = dump.replace(b"gin_trgm_ops", b"nothing_ops")
    newer = re.sub(rb"(?<=-- Dumped by pg_dump version )\d+", b"99", dump)
    newer = restore_world.with_statement(newer, "SET from_the_future = 0;")
    return {
        "newer": zipped(newer, FILE),
        "good": zipped(dump, FILE),
        "lacking": zipped(dump),
        "broken": zipped(broken, FILE),
    }


def zipped(dump, *files):
    """Return an Odoo zip with this dump and these files."""
    manifest = json.dumps(
        {**MANIFEST, "db_name": "source", "modules": dict.fromkeys(MODULES, VERSION)}
    )
    stored = {f"filestore/{restore_world.stored_name(content)}": content for content in files}
    return odoo_zip({"dump.sql": dump, "manifest.json": manifest.encode(), **stored})


@pytest.fixture
def odoo(archives):
    with FakeOdoo(archives["good"], databases=["source"]) as server:
        yield server


def backed_up(odoo, folder, *copies):
    order = backup_order(odoo, folder, copies, database="source", verify_level=3)
    return order, run_here(order)


def damage(folder, name):
    with open(f"{folder}/{name}", "r+b") as archive:
        archive.seek(100)
        archive.write(b"\xff\xfe\xfd")


# --- the restore drill --------------------------------------------------------------------------


def drill_order(order, result, cluster, **changes):
    server = cluster.dsn()
    return verify_order(order, result, verify_level=4, scratch_server=server, **changes)


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_copy_is_restored_into_a_scratch_database_of_which_nothing_stays(
    odoo, folder, cluster, encrypted
):
    make = sealed_order if encrypted else copy_order
    order = drill_order(*backed_up(odoo, folder, make(folder, "a")), cluster)
    order["copies"][0]["identity"] = IDENTITY
    before = left_in(folder)
    (copy,) = carry_out(order)["copies"]
    assert "finding" not in copy
    assert (copy["ok"], copy["read"], copy["report"]["level"]) == (True, "archive", 4)
    assert (copy["report"]["users"], copy["report"]["attachments"]) == (USERS, ATTACHMENTS + 1)
    assert restore_world.scratch_databases(cluster) == []
    assert left_in(folder) == before


def test_an_archive_that_does_not_restore_is_a_finding_and_no_damaged_copy(
    odoo, folder, cluster, archives
):
    """It is what was stored: another copy of it would restore no better."""
    odoo.archive = archives["broken"]
    (copy,) = run_here(drill_order(*backed_up(odoo, folder, "a"), cluster))["copies"]
    assert copy["ok"]
    assert copy["finding"]["error_code"] == "restore_failed"
    assert "nothing" in copy["finding"]["error"]
    assert copy["report"]["level"] == 3
    assert restore_world.scratch_databases(cluster) == []


def test_an_archive_that_lacks_files_is_restored_all_the_same(odoo, folder, cluster, archives):
    odoo.archive = archives["lacking"]
    (copy,) = run_here(drill_order(*backed_up(odoo, folder, "a"), cluster))["copies"]
    assert copy["finding"]["error_code"] == "inconsistent"
    assert copy["report"]["level"] == 4


def test_a_postgresql_that_is_away_says_nothing_about_the_archive(odoo, folder, tmp_path):
    order, result = backed_up(odoo, folder, "a")
    away = {"host": str(tmp_path), "user": "nobody"}
    order = verify_order(order, result, verify_level=4, scratch_server=away)
    (copy,) = run_here(order)["copies"]
    assert (copy["ok"], copy["read"], copy["report"]["level"]) == (True, "archive", 3)
    assert copy["undetermined"]["error_code"] == "database_server_failed"
    assert "could not be determined here" in str(copy["report"]["notes"][-1])
    assert "finding" not in copy


def test_a_drill_of_a_newer_postgresql_s_dump_says_which_one_it_needs(
    odoo, folder, cluster, archives
):
    odoo.archive = archives["newer"]
    (copy,) = run_here(drill_order(*backed_up(odoo, folder, "a"), cluster))["copies"]
    assert (copy["ok"], copy["report"]["level"]) == (True, 3)
    assert "The dump is of PostgreSQL 99" in copy["undetermined"]["hint"]
    assert "The dump is of PostgreSQL 99" in str(copy["report"]["notes"][-1])


def test_a_damaged_copy_is_not_restored(odoo, folder, cluster):
    order = drill_order(*backed_up(odoo, folder, "a"), cluster)
    damage(folder, f"a/{PATH}")
    (copy,) = run_here(order)["copies"]
    assert (copy["ok"], copy["bad"]) == (False, True)


def test_sweeping_removes_what_a_killed_drill_left(cluster, folder):
    from engine.restore.scratch import scratch_name

    spool = pathlib.Path(folder, "spool")
    spool.mkdir()
    (spool / "verify-1-1.spool").write_bytes(b"half an archive")

    cluster.tool("createdb", scratch_name("drill", "killed"), role="odoo")
    assert restore_world.scratch_databases(cluster)
    place = {"server": cluster.dsn(), "filestores": ""}
    assert run_here({"action": "sweep", "spool": str(spool), "servers": [place]}) == {"left": []}
    assert restore_world.scratch_databases(cluster) == []
    assert list(spool.iterdir()) == []


# --- to a PostgreSQL ----------------------------------------------------------------------------


@pytest.fixture
def target(cluster, folder):
    cluster.drop(NEW)
    yield {
        "kind": "postgres",
        "server": cluster.dsn(),
        "database": NEW,
        "filestore": f"{folder}/filestore/{NEW}",
        "neutralization": {"base": "UPDATE ir_cron SET active = false"},
        "uuid": "another",
    }
    cluster.drop(NEW)


def restored(cluster, folder):
    """Assert that the database is there with what it had, and its file; return nothing."""
    assert int(cluster.psql("SELECT count(*) FROM res_users", NEW)) == USERS
    assert cluster.psql("SELECT count(*) FROM ir_cron WHERE active", NEW) == "0"
    name = cluster.psql("SELECT store_fname FROM ir_attachment WHERE name = 'invoice'", NEW)
    with open(f"{folder}/filestore/{NEW}/{name}", "rb") as file:
        assert file.read() == FILE
    assert restore_world.scratch_databases(cluster) == []
    assert not [name for name in left_in(folder) if name.startswith("spool/")]


@pytest.mark.parametrize("encrypted", [False, True])
def test_an_archive_becomes_a_database_again(odoo, folder, cluster, target, encrypted):
    make = sealed_order if encrypted else copy_order
    order = restore_order(*backed_up(odoo, folder, make(folder, "a")), target, identity=IDENTITY)
    done = carry_out(order)
    assert (done["event"], done["database"]) == ("done", NEW)
    assert done["checked"]["users"] == USERS
    restored(cluster, folder)


def test_the_next_copy_takes_over_where_one_is_damaged(odoo, folder, cluster, target):
    orders = [copy_order(folder, "a", 1), copy_order(folder, "b", 2), sealed_order(folder, "c", 3)]
    order = restore_order(*backed_up(odoo, folder, *orders), target, identity=IDENTITY)
    damage(folder, f"a/{PATH}")
    os.unlink(f"{folder}/b/{PATH}")
    done = run_here(order)
    assert [note[:23] for note in done["notes"][:2]] == ["A copy was passed over:"] * 2
    restored(cluster, folder)


@pytest.mark.parametrize("identity", ["", OTHER_IDENTITY])
def test_without_the_right_identity_nothing_is_begun(odoo, folder, cluster, target, identity):
    copies = backed_up(odoo, folder, sealed_order(folder, "a"))
    with pytest.raises(WrongIdentity):
        run_here(restore_order(*copies, target, identity=identity))
    assert NEW not in cluster.databases()


def test_a_damaged_archive_is_not_restored(odoo, folder, cluster, target):
    order = restore_order(*backed_up(odoo, folder, "a"), target)
    damage(folder, f"a/{PATH}")
    with pytest.raises(BackupError) as raised:
        run_here(order)
    assert raised.value.code in ("damaged", "truncated", "not_an_archive")
    assert NEW not in cluster.databases()


def test_what_an_archive_lacks_is_noted_and_the_rest_is_restored(
    odoo, folder, cluster, target, archives
):
    odoo.archive = archives["lacking"]
    done = run_here(restore_order(*backed_up(odoo, folder, "a"), target))
    assert [note for note in done["notes"] if "filestore" in note]
    assert NEW in cluster.databases()


def test_a_failure_of_the_restore_itself_is_not_tried_with_another_copy(
    odoo, folder, cluster, target
):
    order = restore_order(*backed_up(odoo, folder, "a", "b"), {**target, "database": "source"})
    stages = []
    with pytest.raises(DatabaseExists):
        run_here(order, lambda control, event: stages.append(event.get("stage")))
    assert stages.count("restore") == 1


@pytest.mark.parametrize("stage", ["decrypt", "verify", "restore"])
def test_a_restore_that_is_cancelled_leaves_nothing(odoo, folder, cluster, target, stage):
    order = restore_order(
        *backed_up(odoo, folder, sealed_order(folder, "a")), target, identity=IDENTITY
    )

    def cancel(control, event):
        if event.get("stage") == stage:
            control.cancel()

    with pytest.raises(Cancelled):
        run_here(order, cancel)
    assert NEW not in cluster.databases()
    assert restore_world.scratch_databases(cluster) == []
    assert left_in(folder) == [f"a/{SEALED_PATH}", f"a/{SEALED_PATH}.json"]


# --- to an Odoo ---------------------------------------------------------------------------------


def test_an_archive_is_sent_decrypted_to_an_odoo(odoo, folder, cluster):
    order, result = backed_up(odoo, folder, sealed_order(folder, "a"))
    assert "finding" not in result
    with FakeOdoo(databases=["shop"]) as other:
        other.restored = lambda _name: restored_dump(cluster)
        target = {"kind": "http", "url": other.url, "master_password": PASSWORD, "database": NEW}
        done = run_here(restore_order(order, result, target, identity=IDENTITY))
        (form,) = other.restore_forms()
    assert done["database"] == NEW
    assert form["backup_file"] == odoo.archive
    assert left_in(folder) == [f"a/{SEALED_PATH}", f"a/{SEALED_PATH}.json"]


def test_an_odoo_that_lost_the_rows_of_a_table_has_not_restored_it(odoo, folder, cluster):
    order, result = backed_up(odoo, folder, sealed_order(folder, "a"))
    assert "rows" not in result["report"]
    with FakeOdoo(databases=["shop"]) as other:
        other.restored = lambda _name: restored_dump(cluster, "DELETE FROM note")
        target = {"kind": "http", "url": other.url, "master_password": PASSWORD, "database": NEW}
        with pytest.raises(RestoreFailed, match=r"public.note \(0 of 3 rows\)"):
            run_here(restore_order(order, result, target, identity=IDENTITY))


def restored_dump(cluster, lost=""):
    """Return what the other server gives back of the restored database, which lost this."""
    row = ROW % restore_world.stored_name(FILE)
    restore_world.make(cluster, NEW, f"{row}{VERSIONS}{lost}")
    try:
        return restore_world.custom_to(cluster, NEW, subprocess.PIPE)
    finally:
        cluster.drop(NEW)
