"""What happens to archives at rest, for real: read again, repaired, drilled, deleted, downloaded,
encrypted, restored."""

import functools
import hashlib
import os
import signal
import subprocess
import zipfile

import pytest
from devenv.paths import ROOT
from storage import first_destination
from web import Web
from world import BACKUPS, SOON

# An index that is not made to its end while there is a role of this name on the server.
HELD = """
CREATE FUNCTION hold(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'held') THEN
        PERFORM pg_catalog.pg_sleep(3600);
    END IF;
    RETURN $1;
END $$;
CREATE TABLE held (id int);
INSERT INTO held VALUES (1);
CREATE INDEX ON held (hold(id));
"""
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


@pytest.fixture
def second(world, tmp_path):
    """A second destination, beside the default one."""
    folder = tmp_path / "second"
    values = {"name": "Second", "path": str(folder), "reread_interval": 0}
    (destination,) = world.call("destination", "create", [values])
    yield destination, folder
    world.call("destination", "write", [destination], {"active": False})


def stored(world, **job):
    """Return a run that ended well, at the level that is the default."""
    run = world.back_up(**job)
    assert (run["status"], run["verification_level"]) == ("verified", "3"), run["log"]
    return run


def read_again(world, run, *arguments, timeout=60):
    """Verify, and return the run as it is then."""
    world.call("run", "verify", [run["id"]], *arguments)
    return world.wait_for(run["id"], verification_requested_at=False, work=False, timeout=timeout)


def scratch_databases(cluster):
    return cluster.psql("SELECT datname FROM pg_database WHERE datname LIKE 'backup\\_%'").split()


def flip_a_byte(path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def test_a_damaged_archive_is_found_and_no_longer_called_good(world):
    run = stored(world)
    flip_a_byte(world.archive(run["id"]))
    read = read_again(world, run)
    assert (read["status"], read["error_code"]) == ("verify_failed", "damaged")
    (copy,) = world.copies(run["id"])
    assert copy["status"] == "failed"
    told = world.rpc.call(
        "mail.message", "search_count",
        [["model", "=", "backup.instance"], ["res_id", "=", run["instance_id"][0]],
         ["body", "ilike", "is damaged"]],
    )  # fmt: skip
    assert told == 1


def test_a_damaged_copy_is_repaired_from_a_good_one(world, second):
    destination, folder = second
    both = [[6, 0, [first_destination(world), destination]]]
    run = stored(world, destination_ids=both)
    broken = next(folder.rglob("*.zip"))
    flip_a_byte(broken)
    world.call("run", "verify", [run["id"]])
    repaired = world.wait_until(
        lambda: hashlib.sha256(broken.read_bytes()).hexdigest() == run["sha256"],
        60, "the damaged copy was replaced",
    )  # fmt: skip
    assert repaired
    world.wait_until(
        lambda: {copy["status"] for copy in world.copies(run["id"])} == {"stored"}, SOON, "stored"
    )
    read = read_again(world, run)
    assert read["status"] == "verified"
    assert list(folder.rglob("*.part")) == []


def test_a_restore_drill_restores_counts_and_leaves_no_database(world, cluster):
    run = stored(world)
    read = read_again(world, run, 4, timeout=120)
    assert (read["status"], read["verification_level"]) == ("verified", "4"), read["log"]
    assert read["drilled_at"]
    assert scratch_databases(cluster) == []


@pytest.fixture
def drills_here(world, backup_server, cluster):
    """Have drills use the PostgreSQL of Odoo, and not one of their own."""

    def choose(server):
        for key in ("host", "port", "user"):
            name = f"backup_scheduler.scratch_{key}"
            world.rpc.call("ir.config_parameter", "set_param", name, server.get(key, False))

    choose(cluster.dsn(backup_server.role))
    yield
    choose({})


@pytest.fixture
def endless(cluster, remote):
    """Yield a function that has every restore of the shop stop in its middle, or go on."""

    def hold(held):
        cluster.psql(f"{'CREATE ROLE' if held else 'DROP ROLE IF EXISTS'} held")

    hold(False)
    cluster.psql(HELD, "shop", remote.role)
    yield hold
    hold(False)
    cluster.psql("DROP TABLE held; DROP FUNCTION hold(int)", "shop")


@pytest.mark.usefixtures("drills_here")
def test_a_drill_that_is_killed_leaves_no_database_either(world, cluster, endless):
    run = stored(world)
    endless(True)
    world.call("run", "verify", [run["id"]], 4)
    world.wait_until(lambda: cluster.psql(SLEEPING) == "1", SOON, "the drill is at its restore")
    assert scratch_databases(cluster)
    os.kill(world.engine(), signal.SIGKILL)
    endless(False)
    world.wait_until(
        lambda: not scratch_databases(cluster) and not world.run(run["id"])["task_ids"],
        60, "the scratch database is gone",
    )  # fmt: skip
    assert world.run(run["id"])["status"] == "verified", "A killed drill says nothing about it"


def test_retention_deletes_the_file_and_its_catalogue_and_nothing_else(world):
    job = world.create_job(world.create_instance(), retention_mode="keep_last_n", retention_value=1)
    runs = []
    for _time in range(2):
        (run,) = world.call("job", "run_now", [job])
        runs.append(world.wait_for(run))
        if not runs[1:]:
            first = world.archive(runs[0]["id"])
            stranger = first.with_name("notes.zip")
            stranger.write_text("not ours")
            before = {entry.name for entry in first.parent.iterdir()}
    old, new = (run["id"] for run in runs)
    world.wait_until(
        lambda: world.copies(old)[0]["status"] == "deleted", 60, "the older archive is gone"
    )
    second = world.archive(new)
    left = {entry.name for entry in first.parent.iterdir()}
    assert before - left == {first.name, first.name + ".json"}
    assert left - before == {second.name, second.name + ".json"}
    stranger.unlink()


def test_a_manager_downloads_what_was_stored_and_others_do_not(world):
    run = stored(world)
    (copy,) = world.copies(run["id"])
    manager = Web(world.server.url)
    manager.login(BACKUPS)
    address = f"/backup_scheduler/download/{copy['id']}"
    status, headers, content = manager.get(address)
    assert status == 200
    assert hashlib.sha256(content).hexdigest() == run["sha256"]
    assert headers["Content-Disposition"].endswith('.zip"') or ".zip" in headers[
        "Content-Disposition"
    ]
    status, _headers, part = manager.get(address, Range="bytes=1000-1999")
    assert (status, part) == (206, content[1000:2000])
    assert "downloaded" in world.run(run["id"])["log"]

    group = world.rpc.call("ir.model.data", "search_read", [
        ["module", "=", "backup_scheduler"], ["name", "=", "group_backup_operator"]], ["res_id"])
    login = f"operator{run['id']}"
    world.rpc.call("res.users", "create", [{
        "name": "Operator", "login": login, "password": login,
        "group_ids": [[6, 0, [group[0]["res_id"]]]]}])  # fmt: skip
    operator = Web(world.server.url)
    operator.login(BACKUPS, login, login)
    status, _headers, content = operator.get(address)
    assert status == 403
    assert b"PK" not in content[:2]
    status, headers, _content = Web(world.server.url).get(address)
    assert "octet-stream" not in headers["Content-Type"]


def test_an_encrypted_archive_is_opened_by_age_and_by_nothing_here(world, tmp_path):
    key = tmp_path / "key.txt"
    subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
    identity = key.read_text()
    recipient = identity.split("public key: ")[1].split()[0]
    folder = tmp_path / "sealed"
    (destination,) = world.call("destination", "create", [
        {"name": "Sealed", "path": str(folder), "recipients": recipient}])  # fmt: skip
    run = stored(world, destination_ids=[[6, 0, [destination]]])
    (sealed,) = folder.rglob("*.zip.age")
    plain = tmp_path / "archive.zip"
    subprocess.run(["age", "-d", "-i", key, "-o", plain, sealed], check=True)
    assert hashlib.sha256(plain.read_bytes()).hexdigest() == run["sha256"]
    assert zipfile.ZipFile(plain).testzip() is None

    read = read_again(world, run)
    assert (read["status"], read["verification_level"]) == ("verified", "3")
    assert "the stored bytes are the ones" in read["log"]
    drilled = read_again(world, run, 4, identity, timeout=120)
    assert drilled["verification_level"] == "4", drilled["log"]
    assert "AGE-SECRET" not in str(world.run(run["id"])) + world.server.log.read_text()

    flip_a_byte(sealed)
    assert read_again(world, run)["status"] == "verify_failed"
    world.call("destination", "write", [destination], {"active": False})


def test_an_archive_is_restored_to_this_server_and_can_be_worked_in(world, cluster):
    run = stored(world)
    name = f"shop-{run['id']}"
    restore = world.call("run", "restore", [run["id"]], name)
    done = world.wait_until(
        lambda: ended(world, restore), 120, f"the restore {restore} came to an end"
    )
    assert done["status"] == "done", (done["error"], done["hint"])
    assert done["checked"]["users"] >= 1
    assert name in cluster.databases()
    try:
        filestore = world.server.filestore(name)
        files = [path for path in filestore.rglob("*") if path.is_file()]
        assert len(files) >= 320, "The seed's attachments"
        neutralized = cluster.psql(
            "SELECT value FROM ir_config_parameter WHERE key = 'database.is_neutralized'",
            database=name,
        )
        assert neutralized.strip() == "true"
    finally:
        cluster.drop(name)


def ended(world, restore):
    (record,) = world.rpc.call("backup.restore", "read", [restore])
    return record if record["status"] in ("done", "failed", "cancelled") else None


def test_a_restore_into_a_database_that_is_there_is_refused_and_touches_nothing(world, remote):
    run = stored(world)
    tables = remote.cluster.psql("SELECT count(*) FROM pg_class", database="shop")
    with pytest.raises(Exception, match="exists there"):
        world.call("run", "restore", [run["id"]], "shop", run["instance_id"][0])
    assert remote.cluster.psql("SELECT count(*) FROM pg_class", database="shop") == tables


def test_the_command_line_lists_verifies_and_restores(world, cluster):
    run = stored(world)
    world.end_worker()
    backup = functools.partial(world.server.run, f"--addons-path={ROOT}", "backup")
    listed = backup("archives", "-d", BACKUPS, "--of", "shop")
    assert f"{run['id']:>6}  " in listed
    verified = backup("verify", str(run["id"]), "--level", "3", "-d", BACKUPS)
    assert "verified, level 3" in verified
    name = f"cli-{run['id']}"
    try:
        told = backup("restore", str(run["id"]), "--to", name, "-d", BACKUPS)
        assert f"{name}: done" in told
        assert name in cluster.databases()
    finally:
        cluster.drop(name)


def test_a_restore_to_an_instance_makes_a_database_that_people_log_in_to(world, remote, cluster):
    run = stored(world)
    name = f"back-{run['id']}"
    restore = world.call("run", "restore", [run["id"]], name, run["instance_id"][0])
    done = world.wait_until(lambda: ended(world, restore), 180, "the restore came to an end")
    try:
        assert done["status"] == "done", (done["error"], done["hint"])
        assert name in cluster.databases()
        assert Web(remote.url).login(name)["uid"]
    finally:
        cluster.drop(name)
