"""The backup of this very server when something breaks: a name for it, and nothing left behind."""

import contextlib
import os
import signal
import threading

import pytest
from bounded import run_bounded
from devenv.fail import DevError
from engine.control import Control
from engine.errors import (
    Cancelled,
    DatabaseServerFailed,
    FilestoreUnreadable,
    Inconsistent,
    NoSpace,
    RemoteError,
    TimeLimit,
)
from engine.sources import filestore
from engine.spool import Spool
from local_world import FILES, Machine, postgresql, stored_name
from orders import backup_order, carry_out, engine, left_in, verify_order
from places import files
from waiting import PATIENCE, beside, joined, until

MUCH = "INSERT INTO res_users (login) SELECT md5(n::text) FROM generate_series(1, 60000) n;"
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump'"
END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND "
)
# pg_dump waits for it, as it does for an upgrade of Odoo.
LOCK = "BEGIN; LOCK TABLE res_users IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(3600);"


@pytest.fixture(scope="module")
def cluster():
    with postgresql("engine-local-faults") as server:
        yield server


@pytest.fixture
def machine(cluster, tmp_path):
    machine = Machine(cluster, tmp_path)
    machine.clear()
    machine.create("tiny", sql=MUCH)
    yield machine
    until(lambda: machine.clients() == 0, "a session is left")


@pytest.fixture
def locked(machine):
    """While the test runs, a dump waits."""
    holder = beside(lambda: hold(machine))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3600);'"
    until(lambda: machine.cluster.psql(waiting + " AND wait_event = 'PgSleep'") == "1")
    yield
    end_sessions(machine, "wait_event = 'PgSleep'")
    joined(holder)


def hold(machine):
    # The test ends its session.
    with contextlib.suppress(DevError):
        machine.sql("tiny", LOCK)


def end_sessions(machine, which):
    machine.cluster.psql(END + which)


def order_of(machine, **changes):
    changes = {"source": machine.order(), "verify_level": 3, **changes}
    return backup_order(machine, str(machine.folder), **changes)


def dumps(machine):
    return int(machine.cluster.psql(SLEEPING))


# --- an engine process ----------------------------------------------------------------------------


def test_an_order_is_carried_out_and_verified_later_too(machine):
    order = order_of(machine)
    done = carry_out(order)
    assert done["event"] == "done", done
    assert done["report"]["level"] == 3
    assert done["report"]["since"] == ""
    again = carry_out(verify_order(order, done))
    assert again["copies"][0]["report"]["level"] == 3


def test_a_later_verification_knows_what_was_deleted_meanwhile(machine):
    lost = stored_name(FILES[0])
    order = order_of(machine)
    with engine(order) as running:
        running.until("stage", stage="download")
        machine.delete("tiny", lost)
        done = running.last()
    # The file may have gone before the dump began: then nothing lists it.
    gone = done["report"]["gone"]
    assert gone in ([], [lost])
    verified = carry_out(verify_order(order, done, gone=gone))
    assert verified["copies"][0]["report"]["level"] == 3
    assert verified["copies"][0]["report"]["gone"] == gone


def test_a_cancelled_backup_leaves_nothing_here_and_nothing_on_the_server(machine, locked):
    with engine(order_of(machine)) as running:
        until(lambda: dumps(machine) == 1)
        running.process.cancel()
        assert running.last()["error_code"] == "cancelled"
    until(lambda: dumps(machine) == 0, "pg_dump still waits for its lock")
    assert left_in(machine.folder / "spool") == []


def test_a_killed_engine_takes_pg_dump_with_it(machine, locked):
    with engine(order_of(machine)) as running:
        until(lambda: dumps(machine) == 1)
        children = pg_dumps_of(running.pid)
        assert children
        os.kill(running.pid, signal.SIGKILL)
        until(lambda: not any(map(alive, children)), "pg_dump goes on")
    until(lambda: dumps(machine) == 0, "its session is left")


def pg_dumps_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_pg_dump_fails_the_run_and_leaves_nothing(machine, locked):
    with engine(order_of(machine)) as running:
        until(lambda: dumps(machine) == 1)
        for child in pg_dumps_of(running.pid):
            os.kill(child, signal.SIGKILL)
        failed = running.last()
    assert failed["event"] == "failed"
    assert failed["error_code"] == "remote_error"
    assert "pg_dump ended with code -9" in failed["error"]
    assert failed["retryable"]
    assert left_in(machine.folder / "spool") == []


def test_the_password_is_in_no_argument_and_no_event(machine, locked):
    order = order_of(machine)
    order["source"]["server"]["password"] = "hunter2-marker"
    with engine(order) as running:
        until(lambda: dumps(machine) == 1)
        for pid in (running.pid, *pg_dumps_of(running.pid)):
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                assert b"hunter2" not in file.read()
        running.process.cancel()
        running.last()
    assert "hunter2" not in str(running.events)


# --- what PostgreSQL says no to -------------------------------------------------------------------


def test_a_server_that_is_not_there_is_told(machine):
    source = machine.source(server={"host": "/nowhere", "port": "5432", "user": "odoo"})
    with pytest.raises(DatabaseServerFailed, match="/nowhere"):
        source.probe()


def test_a_table_that_may_not_be_read_fails_the_run(machine, cluster):
    cluster.psql("CREATE TABLE of_postgres (id int)", "tiny")
    with pytest.raises(RemoteError, match="permission denied for table of_postgres"):
        machine.back_up("tiny")


def test_a_session_that_postgresql_ends_fails_the_run(machine, locked):
    error = []

    def run():
        try:
            machine.back_up("tiny")
        except DatabaseServerFailed as raised:
            error.append(raised)

    running = beside(run)
    until(lambda: dumps(machine) == 1)
    end_sessions(machine, "application_name IN ('pg_dump', 'backup_scheduler')")
    joined(running)
    assert "connection" in error[0].message, "the first words are kept, and the query is not"


def test_a_time_limit_ends_a_dump_that_waits(machine, locked):
    with pytest.raises(TimeLimit):
        machine.back_up("tiny", source=machine.source(control=Control(time_limit=1)))
    until(lambda: dumps(machine) == 0)


# --- what the disk says no to ---------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_full_disk_ends_pg_dump_too(machine, after):
    blocks = []

    def write(block):
        if len(blocks) == after:
            raise NoSpace("The disk is full.")
        blocks.append(len(block))

    with pytest.raises(NoSpace):
        machine.source().fetch("tiny", "zip", True, write)
    assert len(blocks) == after
    assert dumps(machine) == 0


def test_a_spool_without_room_fails_by_its_name(machine, monkeypatch):
    monkeypatch.setattr("engine.spool.free_space", lambda folder: 0)
    with Spool(str(machine.folder / "spool"), "token") as spool, pytest.raises(NoSpace):
        machine.source().fetch("tiny", "zip", True, spool.write)
    assert files(machine.folder / "spool") == []


def test_a_file_that_cannot_be_read_fails_the_run(machine, monkeypatch):
    """As root there is no file without the right to read it: the disk says no instead."""

    def read(_descriptor, _length):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("engine.archive.writer.begin_of", read)
    with pytest.raises(FilestoreUnreadable, match="filestore/tiny/.*: Input/output error"):
        machine.back_up("tiny")


def test_a_file_that_vanishes_between_folder_and_file_is_gone(machine, monkeypatch):
    lost = stored_name(FILES[0])
    entries_of = filestore.entries_of

    def entries(folder):
        found = entries_of(folder)
        if str(folder).endswith(f"/{lost[:2]}") and os.path.exists(machine.path("tiny", lost)):
            machine.delete("tiny", lost)
        return found

    monkeypatch.setattr(filestore, "entries_of", entries)
    _path, found = machine.back_up("tiny")
    assert found.gone == (lost,)


def test_more_files_than_can_be_remembered_fail_the_run(machine, monkeypatch):
    monkeypatch.setattr(filestore, "MAX_GONE", 2)

    def entries(folder):
        for content in FILES:
            if os.path.exists(machine.path("tiny", stored_name(content))):
                machine.delete("tiny", stored_name(content))
        return []

    monkeypatch.setattr(filestore, "entries_of", entries)
    with pytest.raises(Inconsistent, match="More than 2 files"):
        machine.back_up("tiny")


def test_cancelling_ends_the_reading_of_a_large_filestore(machine):
    control = Control()
    written = threading.Event()

    def write(block):
        written.set()
        control.cancel()

    with pytest.raises(Cancelled):
        machine.source(control=control).fetch("tiny", "zip", True, write)
    assert written.wait(PATIENCE)


# --- many files -----------------------------------------------------------------------------------


MANY = """
import hashlib, os, sys
from engine.archive.writer import Writer
from engine.sources.filestore import Filestore
from engine.sources.snapshot import Listed
folder, count = sys.argv[1], int(sys.argv[2])
names = sorted(hashlib.sha1(b"%d" % number).hexdigest() for number in range(count))
rows = ([(f"{name[:2]}/{name}",) for name in names[at:at + 5000]] for at in range(0, count, 5000))
with open(os.devnull, "wb") as sink:
    writer = Writer(sink.write)
    files = Filestore(folder, writer, Listed(rows), 0, lambda: None)
    files.copy()
    writer.close()
assert not files.missing, len(files.missing)
print(writer._zip.members)
"""


def test_a_hundred_thousand_small_files_take_little_memory(tmp_path):
    """The names that PostgreSQL would send are in memory here, too: some 9 MB of it."""
    count = 100_000
    for number in range(256):
        (tmp_path / f"{number:02x}").mkdir()
    for number in range(count):
        name = stored_name(b"%d" % number)
        (tmp_path / name).write_bytes(b"%d" % number)
    assert int(run_bounded(MANY, tmp_path, count, memory=80 << 20)) == count
