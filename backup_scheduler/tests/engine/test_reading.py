"""Archives at rest, read again: what is proven, what is opened, and what is left behind."""

import dataclasses
import datetime
import hashlib
import os
import signal

import ages
import engine_process
import fake_odoo
import kinds
import places
import pytest
from ages import IDENTITY, KEY_FILE, OTHER_IDENTITY
from engine import destinations as destinations_module
from engine import reading
from engine.control import Control
from engine.errors import Cancelled
from engine.sources.http import HttpSource
from fake_odoo import ARCHIVE
from orders import (
    PATH,
    SEALED_PATH,
    backup_order,
    carry_out,
    copy_order,
    engine,
    left_in,
    run_here,
    sealed_order,
    verify_order,
)
from verify_archives import SQL, STORED_FILE, members, odoo_zip
from waiting import until

# An engine that comes to no end of decrypting.
HANGING = """
import sys, time
sys.path[:0] = [{addon!r}]
import engine.__main__ as main
from engine import reading
def decrypt(blocks, write, identity):
    write(next(blocks))
    time.sleep(600)
reading.decrypt = decrypt
sys.exit(main.Process(sys.stdin, sys.stdout).run())
"""
DAMAGED = ARCHIVE[:60] + b"\xff\xff" + ARCHIVE[62:]
LACKING = odoo_zip({name: value for name, value in members().items() if name != STORED_FILE})
NOW = datetime.datetime(2026, 11, 20, 2, 0, tzinfo=datetime.timezone.utc)


@pytest.fixture(autouse=True)
def distant_kind(monkeypatch):
    monkeypatch.setitem(destinations_module.KINDS.targets, "distant", "kinds:DistantDestination")


def stored_and(odoo, folder, *copies, **changes):
    """Back up into the copies; return the order to read them again."""
    order = backup_order(odoo, folder, copies)
    return verify_order(order, run_here(order), **changes)


def overwrite(folder, name, content):
    with open(f"{folder}/{name}", "wb") as archive:
        archive.write(content)


def only(result):
    (copy,) = result["copies"]
    return copy


# --- plain copies -------------------------------------------------------------------------------


def test_copies_are_verified_where_they_lie_each_for_itself(odoo, folder):
    order = stored_and(odoo, folder, "good", "damaged", "gone")
    overwrite(folder, f"damaged/{PATH}", DAMAGED)
    order["copies"][2]["archive_path"] = "Shop/tiny/gone.zip"
    good, damaged, gone = run_here(order)["copies"]
    assert (good["ok"], good["read"], good["report"]["level"]) == (True, "archive", 2)
    assert (damaged["ok"], damaged["bad"], damaged["error_code"]) == (False, True, "damaged")
    assert (gone["ok"], gone["bad"], gone["error_code"]) == (False, True, "archive_missing")


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_copy_that_the_disk_does_not_give_back_is_a_failure_of_that_copy(
    odoo, folder, monkeypatch, encrypted
):
    """EIO, as a disk answers whose sector is bad. It says nothing about the archive."""
    make = sealed_order if encrypted else copy_order
    order = stored_and(odoo, folder, make(folder, "bad"), make(folder, "good", 2))
    really_verify = reading.verify
    times = iter((True, False))

    def verify(path, *arguments, **options):
        if next(times):
            raise OSError(5, "Input/output error")
        return really_verify(path, *arguments, **options)

    monkeypatch.setattr(reading, "verify", verify)
    for copy in order["copies"]:
        copy["identity"] = IDENTITY
    bad, good = run_here(order)["copies"]
    assert good["ok"]
    assert (bad["ok"], bad["bad"], bad["error_code"]) == (False, False, "destination_failed")
    assert "Input/output error" in bad["error"]


@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_a_copy_that_is_elsewhere_is_fetched_and_nothing_of_it_stays(odoo, folder, size):
    odoo.archive = fake_odoo.large_archive(size)
    order = stored_and(odoo, folder, copy_order(folder, "far", kind="distant"))
    copy = only(run_here(order))
    assert (copy["ok"], copy["read"], copy["report"]["size"]) == (
        True,
        "archive",
        len(odoo.archive),
    )
    assert left_in(folder) == [f"far/{PATH}", f"far/{PATH}.json"]


def test_a_connection_that_is_lost_while_reading_says_nothing_about_the_archive(odoo, folder):
    order = stored_and(odoo, folder, copy_order(folder, "far", kind="distant"))
    order["copies"][0]["settings"]["fault"] = "lost"
    copy = only(run_here(order))
    assert (copy["ok"], copy["bad"], copy["error_code"]) == (False, False, "destination_failed")
    assert left_in(folder) == [f"far/{PATH}", f"far/{PATH}.json"]


# --- what was stored and is not good ------------------------------------------------------------


@pytest.mark.parametrize("encrypted", [False, True])
def test_an_archive_that_lacks_files_is_stored_all_the_same_and_told(odoo, folder, encrypted):
    odoo.archive = LACKING
    copy = sealed_order(folder, "a") if encrypted else copy_order(folder, "a")
    order, events = backup_order(odoo, folder, (copy,), verify_level=3), []
    result = run_here(order, lambda control, event: events.append(event))
    ready = next(event for event in events if event["event"] == "ready")
    for told in (result, ready):
        assert told["finding"]["error_code"] == "inconsistent"
        assert "filestore" in told["finding"]["error"]
        assert (told["report"]["level"], told["report"]["missing_files"]) == (2, 1)
    assert result["copies"][0]["stored"] is True
    again = only(run_here(with_identity(verify_order(order, result))))
    assert (again["ok"], again["read"]) == (True, "archive")
    assert again["finding"]["error_code"] == "inconsistent"
    assert again["report"]["missing_files"] == 1


def test_an_archive_that_lacks_nothing_has_no_finding(odoo, folder):
    order = backup_order(odoo, folder, verify_level=3)
    result = run_here(order)
    assert "finding" not in result
    assert result["report"]["level"] == 3
    assert "finding" not in only(run_here(verify_order(order, result)))


def late(moment):
    """Return a zip whose attachment was created at ``moment``, and whose file is not there.

    Another file is: an archive without any has no filestore.
    """
    sql = SQL.replace(b"(id, store_fname)", b"(id, create_date, store_fname)")
    created = moment.replace(tzinfo=None).isoformat(" ").encode()
    listed = members(dump=sql.replace(b"1\t7c/", b"1\t" + created + b"\t7c/"))
    del listed[STORED_FILE]
    digest = hashlib.sha1(b"older", usedforsecurity=False).hexdigest()
    return odoo_zip({**listed, f"filestore/{digest[:2]}/{digest}": b"older"})


@pytest.mark.parametrize("seconds", [5, -3600], ids=["behind", "before"])
def test_what_came_after_the_backup_was_asked_for_is_told_by_the_servers_clock(
    odoo, folder, monkeypatch, seconds
):
    """The remote's clock may be years off ours; its database is dated by it."""
    tell_time(monkeypatch, NOW)
    odoo.archive = late(NOW + datetime.timedelta(seconds=seconds))
    order = backup_order(odoo, folder, verify_level=3)
    result = run_here(order)
    assert ("finding" in result) == (seconds < 0)
    assert result["report"]["late_files"] == (seconds > 0)
    assert datetime.datetime.fromisoformat(result["report"]["since"]) == NOW
    again = verify_order(order, result, since=result["report"]["since"])
    assert ("finding" in only(run_here(again))) == (seconds < 0)


def tell_time(monkeypatch, clock):
    """Let the source tell ``clock`` as its own time."""
    really_probe = HttpSource.probe

    def probe(source):
        return dataclasses.replace(really_probe(source), clock=clock)

    monkeypatch.setattr(HttpSource, "probe", probe)


def test_a_server_that_does_not_tell_its_time_is_dated_by_ours(odoo, folder, monkeypatch):
    tell_time(monkeypatch, None)
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
    result = run_here(backup_order(odoo, folder, verify_level=3))
    assert before <= datetime.datetime.fromisoformat(result["report"]["since"])


@pytest.mark.parametrize(
    "text", ["2026-11-20T02:00:00+00:00", "2026-11-20T02:00:00Z", "2026-11-20T02:00:00"]
)
def test_a_moment_is_read_however_it_is_written(text):
    assert reading.moment_of(text) == NOW
    assert reading.moment_of("") is None


# --- encrypted copies ---------------------------------------------------------------------------


def with_identity(order, identity=IDENTITY):
    for copy in order["copies"]:
        copy["identity"] = identity
    return order


def test_an_encrypted_copy_without_identity_is_compared_with_what_was_stored(odoo, folder):
    order = stored_and(odoo, folder, sealed_order(folder, "sealed"))
    copy = only(run_here(order))
    assert copy == {"id": 1, "ok": True, "read": "sealed", "report": None}
    assert left_in(folder) == [f"sealed/{SEALED_PATH}", f"sealed/{SEALED_PATH}.json"]


@pytest.mark.parametrize("identity", [IDENTITY, KEY_FILE, f"{OTHER_IDENTITY}\n{IDENTITY}"])
def test_an_encrypted_copy_is_opened_by_its_identity_and_verified_inside(odoo, folder, identity):
    order = stored_and(odoo, folder, sealed_order(folder, "sealed"), verify_level=3)
    copy = only(run_here(with_identity(order, identity)))
    assert (copy["ok"], copy["read"], copy["report"]["level"]) == (True, "archive", 3)
    assert left_in(folder) == [f"sealed/{SEALED_PATH}", f"sealed/{SEALED_PATH}.json"]


def test_a_wrong_identity_says_nothing_about_the_archive(odoo, folder):
    order = stored_and(odoo, folder, sealed_order(folder, "sealed"))
    copy = only(run_here(with_identity(order, OTHER_IDENTITY)))
    assert (copy["ok"], copy["bad"], copy["error_code"]) == (False, False, "wrong_identity")


CHANGES = {
    "header": lambda content: content[:70] + bytes([content[70] ^ 1]) + content[71:],
    "version": lambda content: b"X" + content[1:],
    "content": lambda content: content[:-40] + b"\xff\xfe" + content[-38:],
    "end": lambda content: content[:-1],
    "longer": lambda content: content + b"\n",
    "empty": lambda content: b"",
    "plain": lambda content: ARCHIVE,
    "another": lambda content: ages.sealed(ARCHIVE),
}


@pytest.mark.parametrize(
    ("change", "identity"),
    [
        (change, identity)
        for change in CHANGES
        for identity in (IDENTITY, OTHER_IDENTITY, None)
        # That one opens, and holds the archive: then it is good.
        if (change, identity) != ("another", IDENTITY)
    ],
)
def test_a_changed_encrypted_copy_is_called_bad_whoever_reads_it(odoo, folder, change, identity):
    """Also by a wrong identity: its failure must not hide that the bytes are others."""
    order = stored_and(odoo, folder, sealed_order(folder, "sealed"))
    name = f"{folder}/sealed/{SEALED_PATH}"
    with open(name, "rb") as archive:
        content = CHANGES[change](archive.read())
    overwrite(folder, f"sealed/{SEALED_PATH}", content)
    copy = only(run_here(with_identity(order, identity)))
    assert (copy["ok"], copy["bad"]) == (False, True)
    assert copy["error_code"] in ("damaged", "truncated")
    assert left_in(folder) == [f"sealed/{SEALED_PATH}", f"sealed/{SEALED_PATH}.json"]


def test_without_identity_and_record_nothing_can_be_said_of_an_encrypted_copy(odoo, folder):
    order = stored_and(odoo, folder, sealed_order(folder, "sealed"))
    order["copies"][0]["stored_sha256"] = ""
    copy = only(run_here(order))
    assert (copy["ok"], copy["bad"], copy["error_code"]) == (False, False, "wrong_identity")


def test_an_encrypted_copy_that_is_gone_is_missing_whoever_reads_it(odoo, folder):
    order = stored_and(odoo, folder, sealed_order(folder, "sealed"))
    order["copies"][0]["archive_path"] = "Shop/tiny/gone.zip.age"
    for identity in (None, IDENTITY):
        copy = only(run_here(with_identity(order, identity)))
        assert (copy["bad"], copy["error_code"]) == (True, "archive_missing")


# --- stopped and killed -------------------------------------------------------------------------


@pytest.mark.parametrize("encrypted", [False, True])
def test_reading_that_is_cancelled_leaves_nothing(odoo, folder, monkeypatch, encrypted):
    odoo.archive = fake_odoo.large_archive(5_000_000)
    copy = sealed_order(folder, "far") if encrypted else copy_order(folder, "far")
    order = with_identity(stored_and(odoo, folder, {**copy, "kind": "distant"}))
    before = left_in(folder)
    control = Control()
    monkeypatch.setattr(kinds.DistantDestination, "between", staticmethod(control.cancel))
    with pytest.raises(Cancelled):
        reading.verify_copies(order, control)
    assert left_in(folder) == before


def test_what_a_killed_reader_left_decrypted_goes_with_the_next_order(
    odoo, folder, tmp_path_factory, monkeypatch
):
    """Plain bytes of an encrypted archive are the last thing to be left lying about."""
    script = tmp_path_factory.mktemp("engine") / "hanging.py"
    script.write_text(HANGING.format(addon=places.ADDON))
    monkeypatch.setattr(engine_process, "ENGINE", str(script))
    odoo.archive = fake_odoo.large_archive(5_000_000)
    order = with_identity(stored_and(odoo, folder, sealed_order(folder, "sealed")))
    before = left_in(folder)
    with engine(order) as running:
        running.until("stage", stage="decrypt")
        left = until(lambda: set(left_in(folder)) - set(before))
        os.kill(running.pid, signal.SIGKILL)
        assert running.last()["event"] == "lost"
    monkeypatch.undo()
    assert left == {f"spool/{order['token']}-1.spool"}
    assert carry_out(order)["copies"][0]["ok"]
    assert left_in(folder) == before


def test_an_identity_is_in_no_event_and_no_argument(odoo, folder):
    order = with_identity(stored_and(odoo, folder, sealed_order(folder, "sealed")), KEY_FILE)
    with engine(order) as running:
        done = running.last()
    assert done["copies"][0]["ok"]
    assert IDENTITY not in str(running.events)
