"""Restoring as a new database of a real PostgreSQL, with its filestore: all of it, or nothing."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import places
import pytest
import restore_world as world
from engine.control import PERMISSION_LASTS, Control, moment
from engine.errors import (
    Cancelled,
    Damaged,
    DatabaseExists,
    DestinationFailed,
    NoSpace,
    RestoreFailed,
    RestoreRefused,
    WorkerLost,
)
from engine.restore import filestore
from engine.restore.postgres import restore, sweep
from engine.restore.scratch import scratch_name
from waiting import until

NAME = "restored"
sql = world.sql
NEUTRALIZATION = {
    "base": "UPDATE ir_cron SET active = false;\n"
    "INSERT INTO ir_config_parameter (key, value) VALUES ('database.is_neutralized', true)",
    "mail": "UPDATE note SET body = 'harmless' WHERE body LIKE '%'",
    "crm": "UPDATE res_users SET login = 'upgraded' WHERE id = 7",
    "sale": "SELECT * FROM there_is_no_such_table",
}
RESTORE = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from engine.control import Control
from engine.restore import postgres
path, target, moment = json.loads(sys.argv[2])

def killed(*arguments):
    os.kill(os.getpid(), 9)

if moment == "published folder":
    postgres.Scratch.publish = killed
if moment == "published database":
    postgres.filestore.Filestore.__exit__ = killed
if moment == "unpacked folder":
    postgres.filestore.Filestore.publish = killed
if moment == "loaded":
    postgres.finish = killed
postgres.restore(path, "zip", {"level": 1}, target, Control(), "victim")
"""


@pytest.fixture(scope="module")
def cluster():
    with world.postgresql("engine-restore-new") as cluster:
        yield cluster


@pytest.fixture
def folder(tmp_path):
    """The folder of all filestores, with one of another database in it."""
    folder = tmp_path / "data" / "filestore"
    (folder / "other" / "ab").mkdir(parents=True)
    (folder / "other" / "ab" / "abc").write_text("another company's")
    return folder


@pytest.fixture(autouse=True)
def only_what_is_meant(cluster, folder):
    """Whatever was done: no scratch database, no lock, nothing unfinished beside the filestores."""
    yield
    assert world.scratch_databases(cluster) == []
    assert world.scratch_roles(cluster) == []
    assert world.locks(cluster) == 0
    assert (folder / "other" / "ab" / "abc").read_text() == "another company's"
    names = set(os.listdir(folder))
    assert names == {"other"} | (names & {NAME})
    cluster.drop(NAME)


@pytest.fixture
def target(cluster, folder):
    return {
        "server": cluster.dsn(),
        "database": NAME,
        "filestore": str(folder / NAME),
        "neutralization": None,
        "uuid": "",
    }


@pytest.fixture
def restored(target, tmp_path):
    """Return a function that restores a dump.sql with files."""

    def restored(dump, report=world.REPORT, control=None, files=world.FILES, more=None, **changed):
        path = world.zipped(tmp_path / "archive.zip", dump, files, more)
        return restore(path, "zip", report, {**target, **changed}, control or Control(), "run-1")

    return restored


def is_gone(cluster, folder):
    return NAME not in cluster.databases() and not (folder / NAME).exists()


# --- what is restored ---------------------------------------------------------------------------


def test_a_restored_database_is_complete_and_its_role_s_own(cluster, restored, sql, folder):
    result = restored(sql)
    counts = {key: world.REPORT[key] for key in ("tables", "attachments", "users", "modules")}
    assert result == {"database": NAME, "checked": counts, "notes": []}
    assert world.listed_by_odoo(cluster) == [NAME, "source"]
    for database in ("source", NAME):
        assert cluster.psql("SELECT value FROM ir_config_parameter", database) == "the-original"
    assert cluster.psql("SELECT tableowner FROM pg_tables WHERE tablename = 'note'", NAME) == "odoo"
    collation = "SELECT datcollate FROM pg_database WHERE datname = current_database()"
    assert cluster.psql(collation, NAME) == "C"
    assert world.OWN_LOCK.sub(b"", world.dump_sql(cluster, NAME)) == world.OWN_LOCK.sub(b"", sql)


@pytest.mark.parametrize("answer", [None, -PERMISSION_LASTS - 1])
def test_who_lost_the_task_gives_no_database_its_name(restored, sql, cluster, folder, answer):
    asked_at = []

    def permission(_timeout):
        asked_at.append((is_gone(cluster, folder), len(world.scratch_databases(cluster))))
        return answer and moment() + answer

    with pytest.raises(WorkerLost):
        restored(sql, control=Control(permission=permission))
    assert asked_at == [(True, 1)], "once all is there but the names"
    assert is_gone(cluster, folder)


def test_the_files_are_those_of_the_archive(restored, sql, folder):
    restored(sql)
    assert places.files(folder / NAME) == sorted(map(world.stored_name, world.FILES))
    for content in world.FILES:
        assert (folder / NAME / world.stored_name(content)).read_bytes() == content


def test_a_restored_database_is_analyzed(cluster, restored, sql):
    restored(sql)
    assert cluster.psql("SELECT reltuples FROM pg_class WHERE relname = 'ir_attachment'", NAME) == (
        str(world.ATTACHMENTS)
    )


def test_a_copy_is_neutralized_by_the_modules_that_it_has(cluster, restored, sql):
    restored(sql, neutralization=NEUTRALIZATION)
    assert cluster.psql("SELECT count(*) FROM ir_cron WHERE active", NAME) == "0"
    assert cluster.psql("SELECT DISTINCT body FROM note WHERE body IS NOT NULL", NAME) == "harmless"
    assert cluster.psql("SELECT login FROM res_users WHERE id = 7", NAME) == "upgraded"
    query = "SELECT value FROM ir_config_parameter WHERE key = 'database.is_neutralized'"
    assert cluster.psql(query, NAME) == "true"


@pytest.mark.parametrize(
    ("known", "notes"),
    [
        (["base", "web", "mail", "crm", "sale"], []),
        (None, []),
        (["base", "mail", "web"], [
            "1 installed module is not known here, so what it wants neutralized was not: crm"
        ]),
        (["base", "sale"], [
            "3 installed modules are not known here, so what they want neutralized was not: "
            "crm, mail, web"
        ]),
    ],
)  # fmt: skip
def test_modules_that_nobody_here_knows_are_told(restored, sql, known, notes):
    told = restored(sql, neutralization=NEUTRALIZATION, known_modules=known)["notes"]
    assert told == notes


def test_of_many_modules_that_nobody_knows_some_are_named(restored, sql):
    harmless = {
        "base": "INSERT INTO ir_module_module (name, state) "
        "SELECT 'own_' || n, 'installed' FROM generate_series(10, 21) n"
    }
    known = ["base", "web", "mail", "crm"]
    (note,) = restored(sql, neutralization=harmless, known_modules=known)["notes"]
    assert note.startswith("12 installed modules are not known here")
    assert note.endswith(": " + ", ".join(f"own_{number}" for number in range(10, 20)) + " …")


def test_of_a_copy_that_is_not_neutralized_no_module_is_told(restored, sql):
    assert restored(sql, neutralization=None, known_modules=["base"])["notes"] == []


def test_a_database_that_is_not_to_be_neutralized_stays_as_it_is(cluster, restored, sql):
    restored(sql)
    assert cluster.psql("SELECT count(*) FROM ir_cron WHERE active", NAME) == "2"


def test_a_copy_gets_an_identity_of_its_own(cluster, restored, sql):
    restored(sql, uuid="the-copy")
    query = "SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'"
    assert cluster.psql(query, NAME) == "the-copy"


def test_a_custom_dump_is_restored_without_files_and_says_so(cluster, target, tmp_path, folder):
    path = world.custom(tmp_path / "archive.dump", cluster)
    report = {**world.REPORT, "manifest": {}}
    result = restore(path, "dump", report, target, Control(), "run-1")
    assert "no filestore" in result["notes"][0]
    assert NAME in cluster.databases()
    assert not (folder / NAME).exists()


def test_without_a_folder_only_the_database_is_restored(cluster, restored, sql, folder):
    assert restored(sql, filestore="")["notes"] == []
    assert NAME in cluster.databases()
    assert not (folder / NAME).exists()


def test_progress_goes_up_to_all_bytes_of_dump_and_files(restored, sql):
    control = world.Watched()
    restored(sql, control=control)
    total = len(sql) + sum(map(len, world.FILES))
    assert control.steps[-1] == (total, total)


def test_nobody_sees_a_database_that_is_not_ready(cluster, restored, sql):
    seen = []
    restored(sql, control=world.Watched(lambda _: seen.append(world.listed_by_odoo(cluster))))
    assert seen == [["source"]]


# --- what is refused ----------------------------------------------------------------------------


def test_a_name_that_is_taken_is_refused(cluster, restored, sql, folder):
    with pytest.raises(DatabaseExists):
        restored(sql, database="source")
    assert cluster.psql("SELECT count(*) FROM res_users", "source") == str(world.USERS)


def test_a_name_that_is_taken_meanwhile_is_refused(cluster, restored, sql, folder):
    def take(_control):
        cluster.tool("createdb", NAME, role="odoo")

    with pytest.raises(DatabaseExists):
        restored(sql, control=world.Watched(take))
    assert cluster.psql("SELECT to_regclass('res_users') IS NULL", NAME) == "t"
    cluster.drop(NAME)
    assert is_gone(cluster, folder)


def test_a_folder_with_files_in_it_is_refused(cluster, restored, sql, folder):
    (folder / NAME).mkdir()
    (folder / NAME / "file").write_text("somebody's")
    with pytest.raises(DatabaseExists):
        restored(sql)
    assert NAME not in cluster.databases()
    assert (folder / NAME / "file").read_text() == "somebody's"


def test_an_empty_folder_is_used(restored, sql, folder):
    (folder / NAME).mkdir()
    restored(sql)
    assert len(places.files(folder / NAME)) == len(world.FILES)


@pytest.mark.parametrize("name", ["", "a/b", "x" * 64, 'a"; DROP', scratch_name("drill", "x")])
def test_a_name_that_no_database_of_odoo_s_can_have_is_refused(restored, sql, name):
    with pytest.raises(RestoreRefused):
        restored(sql, database=name)


# --- what fails leaves nothing ------------------------------------------------------------------


def test_counts_that_differ_leave_nothing(cluster, restored, sql, folder):
    with pytest.raises(RestoreFailed):
        restored(sql, {**world.REPORT, "users": 8})
    assert is_gone(cluster, folder)


def test_a_neutralization_that_fails_leaves_nothing(cluster, restored, sql, folder):
    broken = {"base": "UPDATE ir_cron SET active = false", "mail": "UPDATE gone SET x = 1"}
    with pytest.raises(RestoreFailed, match="mail failed: .*gone"):
        restored(sql, neutralization=broken)
    assert is_gone(cluster, folder)


def test_a_copy_that_nothing_neutralizes_is_not_restored(cluster, restored, sql, folder):
    with pytest.raises(RestoreFailed, match="cannot be neutralized"):
        restored(sql, neutralization={"stock": "SELECT 1"})
    assert is_gone(cluster, folder)


def test_a_cancelled_restore_leaves_nothing(cluster, restored, sql, folder):
    control = Control()
    with world.meanwhile(cluster, control.cancel), pytest.raises(Cancelled):
        restored(world.with_statement(sql, world.SLEEP), control=control)
    assert is_gone(cluster, folder)


def test_a_restore_cancelled_among_its_files_leaves_nothing(cluster, restored, sql, folder):
    class AmongFiles(Control):
        def progress(self, done, total=0):
            if done > len(sql):
                self.cancel()
            super().progress(done, total)

    with pytest.raises(Cancelled):
        restored(sql, control=AmongFiles())
    assert is_gone(cluster, folder)


def test_a_damaged_file_leaves_nothing(cluster, target, tmp_path, sql, folder):
    path = pathlib.Path(world.zipped(tmp_path / "archive.zip", sql))
    content = bytearray(path.read_bytes())
    content[content.index(world.stored_name(world.FILES[1]).encode()) + 60] ^= 1
    path.write_bytes(content)
    with pytest.raises(Damaged):
        restore(str(path), "zip", world.REPORT, target, Control(), "run-1")
    assert is_gone(cluster, folder)


@pytest.mark.skipif(not places.can_mount(), reason="only root can mount")
def test_a_full_disk_leaves_nothing(cluster, restored, sql, folder, tmp_path):
    with places.tmpfs(tmp_path / "small", 1 << 20) as small:
        with pytest.raises(NoSpace):
            restored(sql, files=[os.urandom(2 << 20)], filestore=f"{small}/{NAME}")
        assert os.listdir(small) == []
    assert is_gone(cluster, folder)


def test_a_folder_that_cannot_be_made_leaves_nothing(cluster, restored, sql, tmp_path, folder):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DestinationFailed):
        restored(sql, filestore=str(tmp_path / "file" / NAME))
    assert is_gone(cluster, folder)


def test_only_names_that_odoo_gives_become_paths(restored, sql, folder, tmp_path):
    name = world.stored_name(b"x")
    more = {
        "filestore/../../escaped": b"x",
        "filestore//etc/escaped": b"x",
        f"filestore/00/{name[3:]}": b"x",
        f"filestore/{name}.bak": b"x",
        f"../{name}": b"x",
        f"filestore/ab/../{name}": b"x",
    }
    result = restored(sql, more=more)
    assert places.files(folder / NAME) == sorted(map(world.stored_name, world.FILES))
    assert not list(tmp_path.rglob("escaped"))
    assert result["notes"][0].startswith("5 members")


# --- being killed -------------------------------------------------------------------------------


def killed_restore(cluster, path, target, moment):
    order = json.dumps([path, target, moment])
    command = [sys.executable, "-c", RESTORE, places.ADDON, order]
    done = subprocess.run(command, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    until(lambda: not world.locks(cluster))


@pytest.mark.parametrize("moment", ["loaded", "unpacked folder", "published folder"])
def test_what_a_killed_restore_left_is_swept(cluster, target, tmp_path, sql, folder, moment):
    path = world.zipped(tmp_path / "archive.zip", sql)
    killed_restore(cluster, path, target, moment)
    left = [*world.scratch_databases(cluster), *os.listdir(folder)]
    assert len(left) == {"loaded": 2, "unpacked folder": 4, "published folder": 4}[moment]
    swept = sweep(target["server"], str(folder))
    assert len(swept) == {"loaded": 1, "unpacked folder": 2, "published folder": 2}[moment]
    assert is_gone(cluster, folder)


def test_a_restore_killed_after_its_end_is_there(cluster, target, tmp_path, sql, folder):
    path = world.zipped(tmp_path / "archive.zip", sql)
    killed_restore(cluster, path, target, "published database")
    # The role that its dump was loaded by, which owns nothing any more.
    assert sweep(target["server"], str(folder)) == [scratch_name("restore", "victim")]
    assert world.listed_by_odoo(cluster) == [NAME, "source"]
    assert len(places.files(folder / NAME)) == len(world.FILES)


def test_a_sweep_leaves_a_living_restore_alone(target, folder):
    with filestore.Filestore(str(folder / NAME), NAME, "alive"):
        before = sorted(os.listdir(folder))
        assert sweep(target["server"], str(folder)) == []
        assert sorted(os.listdir(folder)) == before
        assert len(before) == 3
