"""Restoring to an Odoo server over HTTP: what is sent, what is proven, what is told of failures."""

import contextlib
import os
import socket
import threading
import time
import tracemalloc

import fake_odoo
import pytest
from engine.control import Control
from engine.errors import (
    BackupError,
    Cancelled,
    ConnectionFailed,
    DatabaseExists,
    InsecureRemote,
    ProxyTimeout,
    RemoteError,
    RestoreFailed,
    RestoreRefused,
    SourceTimeout,
    SpoolFailed,
    TimeLimit,
    WrongMasterPassword,
)
from engine.restore import http as http_module
from engine.restore.http import restore
from engine.sources import http_client
from engine.sources.http_form import FileForm
from fake_odoo import PASSWORD, FakeOdoo, error_page, json_rpc, not_found
from verify_archives import CustomDump, dice

NAME = "shop-test"
RESTORE = "/web/database/restore"
CONTENT = dice(7).randbytes(3_000_000) + b"\r\n--boundary--\r\n"
COUNTS = {"tables": 4, "users": 2, "attachments": 3, "modules": 2}
COLUMNS = {
    "ir_attachment": ["id", "name", "store_fname", "create_date", "write_date"],
    "res_users": ["id", "login"],
    "ir_module_module": ["id", "name", "state"],
}


def dump_of(name, tables=4, users=2, attachments=3, modules=2):
    """Return a dump of a database with so many rows, as the new database gives it back."""
    dump = CustomDump(database=name)
    moment = "2026-11-21 10:00:00"
    rows = {
        "ir_attachment": [f"{n}\tlogo\t\\N\t{moment}\t{moment}" for n in range(attachments)],
        "res_users": [f"{n}\tuser{n}" for n in range(users)],
        "ir_module_module": [f"{n}\tmodule{n}\tinstalled" for n in range(modules)]
        + ["99\tsale\tuninstalled"],
    }
    for table, columns in COLUMNS.items():
        copy = f"COPY public.{table} ({', '.join(columns)}) FROM stdin;\n"
        content = "".join(f"{row}\n" for row in rows[table]).encode() + b"\\.\n\n\n"
        dump.entries.append(
            dump.entry(
                table, "TABLE DATA", copy=copy, schema="public", streams=content, chunk=4096
            )
        )
    for number in range(tables - len(COLUMNS)):
        dump.add_table(f"t{number}")
    return dump.build()


@pytest.fixture
def odoo():
    with FakeOdoo(databases=["shop"]) as server:
        server.restored = dump_of
        yield server


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "archive.zip"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def back(odoo, archive, tmp_path):
    """Restore the archive, with this or that another way than usual."""

    def back(control=None, report=None, archive_format="zip", **target):
        target = {**odoo.settings(), "database": NAME, "neutralize": False, "copy": True, **target}
        report = {**COUNTS, "odoo_version": "19.0", "filestore_files": 1, **(report or {})}
        spool = str(tmp_path / "spool")
        try:
            return restore(
                str(archive), archive_format, report, target, control or Control(), spool, "token"
            )
        finally:
            assert not os.path.exists(spool) or os.listdir(spool) == []

    return back


def when_reached(odoo, action):
    def wait():
        odoo.reached.wait(fake_odoo.PATIENCE)
        action()

    threading.Thread(target=wait, daemon=True).start()


def read_body(handler):
    return handler.rfile.read(int(handler.headers["Content-Length"]))


def hang_up(handler):
    """The process is killed: the connection ends without a word."""
    handler.connection.shutdown(socket.SHUT_RDWR)


# --- what is sent -------------------------------------------------------------------------------


def test_the_archive_arrives_as_it_is_beside_what_is_wanted(odoo, back):
    back()
    (form,) = odoo.restore_forms()
    assert form.pop("backup_file") == CONTENT
    assert form == {"master_pwd": PASSWORD, "name": NAME, "copy": "true"}


def test_neutralizing_is_asked_for_by_a_field_that_is_left_out_otherwise(odoo, back):
    """Odoo takes any text in it for a yes."""
    back(neutralize=True, copy=False)
    (form,) = odoo.restore_forms()
    assert (form["neutralize_database"], form["copy"]) == ("true", "false")


def test_any_password_arrives(odoo, back):
    odoo.master_password = 'größ "&=;%+\\ '
    back(master_password=odoo.master_password)
    assert odoo.restore_forms()[0]["master_pwd"] == odoo.master_password


def test_the_archive_is_never_in_memory(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    form = FileForm({"name": NAME}, "backup_file", "backup.zip", path, lambda *_sent: None)
    tracemalloc.start()
    sent = sum(len(block) for block in form)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sent == len(form) == form.sent > 200_000_000
    assert peak < 5_000_000


def test_progress_tells_how_much_is_sent(back):
    events = []
    back(Control(events.append))
    stages = [event["stage"] for event in events if event["event"] == "stage"]
    assert stages == ["connect", "restore", "verify"]
    sending = [e for e in events if e["event"] == "progress" and e["stage"] == "restore"]
    assert sending
    assert all(0 < event["done"] <= event["total"] for event in sending)
    assert all(len(CONTENT) < event["total"] < len(CONTENT) + 2000 for event in sending)


def test_a_file_that_becomes_shorter_meanwhile_is_told(archive):
    form = FileForm({}, "backup_file", "backup.zip", archive, lambda *_sent: None)
    os.truncate(archive, 1000)
    with pytest.raises(SpoolFailed, match="shorter"):
        list(form)


# --- what is refused before anything is sent ----------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "a", "-shop", ".shop", "größe", "my shop", "shop\n", "a/b", "x" * 64, "shop;drop"]
)
def test_a_name_that_odoo_does_not_take_is_refused(odoo, back, name):
    with pytest.raises(RestoreRefused, match="cannot be the name"):
        back(database=name)
    assert odoo.requests == []


@pytest.mark.parametrize("name", ["ab", "Shop_2.test-1", "9lives", "x" * 63])
def test_a_name_that_odoo_takes_is_taken(odoo, back, name):
    assert back(database=name)["database"] == name


def test_a_database_that_exists_is_never_replaced(odoo, back):
    with pytest.raises(DatabaseExists, match="'shop' already"):
        back(database="shop")
    assert odoo.restore_forms() == []


@pytest.mark.parametrize(
    ("archived", "served", "fits"),
    [
        ("19.0", "19.0-20261101", True),
        ("19.0", "19.0+e", True),
        ("saas~18.2", "saas~18.2+e", True),
        ("", "17.0", True),
        ("16.0", "master", True),
        ("18.0", "19.0", False),
        ("saas~18.2", "18.0", False),
        ("19.0", "18.0-20261101", False),
    ],
)
def test_an_archive_of_another_odoo_is_refused(odoo, back, archived, served, fits):
    odoo.answers["/web/webclient/version_info"] = json_rpc({"server_version": served})
    with contextlib.nullcontext() if fits else pytest.raises(RestoreRefused, match="is of Odoo"):
        assert back(report={"odoo_version": archived})["checked"]["version"] == served
    assert len(odoo.restore_forms()) == fits


@pytest.mark.parametrize(("served", "can"), [("14.0", False), ("15.0", False), ("16.0", True)])
def test_an_odoo_that_cannot_neutralize_is_not_asked_to(odoo, back, served, can):
    """It would leave the field aside and say that all went well."""
    odoo.answers["/web/webclient/version_info"] = json_rpc({"server_version": served})
    with contextlib.nullcontext() if can else pytest.raises(RestoreRefused, match="neutralize"):
        back(neutralize=True, report={"odoo_version": served})
    assert len(odoo.restore_forms()) == can


def test_a_server_without_a_master_password_of_its_own_is_refused():
    with FakeOdoo(insecure=True) as odoo, pytest.raises(InsecureRemote):
        target = {**odoo.settings(), "database": NAME}
        restore("/nowhere", "zip", {}, target, Control(), "/nowhere", "token")
    assert not odoo.sent(PASSWORD)


def test_a_server_that_may_keep_its_default_password_keeps_it(odoo, back):
    odoo.insecure, odoo.master_password = True, "admin"
    back(allow_insecure=True)
    assert odoo.master_password == "admin"
    assert not odoo.sent(PASSWORD)


def test_a_wrong_password_is_told_before_anything_is_sent(odoo, back):
    with pytest.raises(WrongMasterPassword):
        back(master_password="wrong")
    assert odoo.restore_forms() == []


# --- the proof ----------------------------------------------------------------------------------


@pytest.mark.parametrize("archive_format", ["zip", "dump"])
def test_what_was_restored_is_read_back_and_counted(odoo, back, archive_format):
    done = back(archive_format=archive_format)
    assert done["database"] == NAME
    assert done["checked"] == {**COUNTS, "version": "19.0"}
    assert odoo.backup_forms() == [
        {
            "master_pwd": PASSWORD,
            "name": NAME,
            "backup_format": "dump",
            "filestore": "false",
        }
    ]


@pytest.mark.parametrize("missing", COUNTS)
def test_less_than_the_archive_holds_is_a_failure_that_says_what(odoo, back, missing):
    """Odoo loads the dump without stopping at errors, and redirects as if all went well."""
    odoo.restored = lambda name: dump_of(name, **{missing: COUNTS[missing] - 1})
    what = "installed modules" if missing == "modules" else missing
    with pytest.raises(RestoreFailed) as raised:
        back()
    assert f"{COUNTS[missing] - 1} {what}, the archive {COUNTS[missing]}" in str(raised.value)
    assert f"{NAME!r} was left on the server" in raised.value.hint


@pytest.mark.parametrize("more", ["tables", "modules"])
def test_more_tables_or_modules_than_the_archive_holds_are_a_failure(odoo, back, more):
    odoo.restored = lambda name: dump_of(name, **{more: COUNTS[more] + 1})
    with pytest.raises(RestoreFailed):
        back()


@pytest.mark.parametrize("more", ["users", "attachments"])
def test_rows_that_the_server_adds_at_once_are_a_note(odoo, back, more):
    odoo.restored = lambda name: dump_of(name, **{more: COUNTS[more] + 1})
    assert any("1 more than the archive" in note for note in back()["notes"])


@pytest.mark.parametrize("unknown", COUNTS)
def test_what_is_not_known_of_the_archive_is_not_compared_and_said(back, unknown):
    done = back(report={unknown: 0})
    assert any("was not compared" in note for note in done["notes"])
    assert done["checked"] == {**COUNTS, "version": "19.0"}


@pytest.mark.parametrize(("files", "note"), [(7, "7 files of the filestore"), (0, "no filestore")])
def test_the_notes_say_what_is_not_proven(back, files, note):
    assert note in back(report={"filestore_files": files})["notes"][-1]


def test_a_database_that_the_server_hides_is_not_called_restored(odoo, back):
    """Its dbfilter keeps the new name out of the list, and of backups."""
    odoo.answers["/web/database/list"] = json_rpc(["shop"])
    with pytest.raises(RestoreFailed, match="does not list it") as raised:
        back()
    assert "dbfilter" in raised.value.hint


def test_a_check_that_cannot_be_made_says_that_the_database_is_there(odoo, back):
    odoo.answers["/web/database/backup"] = lambda handler: handler.reply(error_page("pg_dump"))
    with pytest.raises(RemoteError, match="pg_dump") as raised:
        back()
    assert f"{NAME!r} was left on the server" in raised.value.hint


# --- refusals of the server ---------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 400, 500])
def test_the_servers_own_words_are_told(odoo, back, status):
    """With status 200 up to Odoo 19, with an error's status since."""
    page = error_page("Couldn&#39;t restore database", "restore")
    odoo.answers[RESTORE] = lambda handler: handler.reply(page, status)
    with pytest.raises(RemoteError, match="^Couldn't restore database$") as raised:
        back()
    assert "on the server now" not in raised.value.hint


def test_what_a_failed_restore_left_is_named(odoo, back):
    def half(handler):
        odoo.databases.append(NAME)
        handler.reply(error_page("Couldn't restore database", "restore"))

    odoo.answers[RESTORE] = half
    with pytest.raises(RemoteError) as raised:
        back()
    assert f"unfinished database {NAME!r} is on the server now" in raised.value.hint


def test_a_database_that_is_there_and_hidden_is_told(odoo, back):
    odoo.hidden = [NAME]
    with pytest.raises(DatabaseExists) as raised:
        back()
    assert "dbfilter" in raised.value.hint
    assert not raised.value.retryable


def test_a_redirect_to_elsewhere_is_no_success(odoo, back):
    odoo.answers[RESTORE] = lambda handler: handler.reply(b"", 303, Location="/web/login")
    with pytest.raises(RemoteError, match="303"):
        back()


# --- proxies, and servers that die --------------------------------------------------------------


@pytest.mark.parametrize("reads", [True, False], ids=["all was read", "nothing was read"])
def test_a_proxy_that_refuses_the_size_is_told(odoo, archive, back, reads):
    """nginx answers at once, and closes the connection while the file is still on its way."""
    archive.write_bytes(bytes(30_000_000))

    def too_large(handler):
        if reads:
            read_body(handler)
        handler.close_connection = True
        handler.reply(b"<html><title>413 Request Entity Too Large</title></html>", 413)
        handler.connection.shutdown(socket.SHUT_WR)
        # nginx's lingering close. A reset at once could overtake the answer.
        time.sleep(0.2)

    odoo.early[RESTORE] = too_large
    with pytest.raises(RemoteError, match="this size") as raised:
        back()
    assert "client_max_body_size" in raised.value.hint


@pytest.mark.parametrize("status", [502, 504])
def test_a_proxy_that_does_not_wait_is_told_and_what_the_server_goes_on_with(odoo, back, status):
    def given_up(handler):
        odoo.databases.append(NAME)
        handler.reply(b"<html><title>Gateway</title></html>", status)

    odoo.answers[RESTORE] = given_up
    with pytest.raises(ProxyTimeout) as raised:
        back()
    assert "proxy_read_timeout" in raised.value.hint
    assert "It may still be worked on" in raised.value.hint


def test_a_server_that_dies_while_it_receives_is_told(odoo, archive, back):
    archive.write_bytes(bytes(30_000_000))
    odoo.early[RESTORE] = lambda handler: (handler.rfile.read(1_000_000), hang_up(handler))
    with pytest.raises(ConnectionFailed, match=r"broke after \d+ of 30000\d+ bytes") as raised:
        back()
    assert "on the server now" not in raised.value.hint


def test_a_worker_that_is_killed_in_the_middle_is_told_with_what_it_left(odoo, back):
    """Measured: SIGKILL of a prefork worker during psql; the database stays, half restored."""

    def killed(handler):
        odoo.databases.append(NAME)
        hang_up(handler)

    odoo.answers[RESTORE] = killed
    with pytest.raises(RemoteError, match="in the middle of the restore") as raised:
        back()
    assert "limit_time_real" in raised.value.hint
    assert f"unfinished database {NAME!r} is on the server now" in raised.value.hint


def test_a_server_that_dies_with_all_its_workers_may_have_left_something(odoo, back):
    def killed(handler):
        odoo.early = dict.fromkeys(fake_odoo.ROUTES, hang_up)
        hang_up(handler)

    odoo.answers[RESTORE] = killed
    with pytest.raises(RemoteError) as raised:
        back()
    assert f"may have left an unfinished database {NAME!r}" in raised.value.hint


# --- waits --------------------------------------------------------------------------------------


def test_an_answer_that_never_comes_is_given_up(odoo, back, monkeypatch):
    monkeypatch.setattr(http_module, "ANSWER_TIMEOUT", 0.2)
    odoo.answers[RESTORE] = odoo.hold
    with pytest.raises(SourceTimeout) as raised:
        back()
    assert "on the server now" not in raised.value.hint


def test_the_answer_may_take_longer_than_a_block_on_its_way(odoo, back, monkeypatch):
    monkeypatch.setattr(http_client, "SEND_TIMEOUT", 0.2)
    normal = fake_odoo.ROUTES[RESTORE]
    odoo.answers[RESTORE] = lambda handler: (time.sleep(0.5), normal(handler))
    assert back()["database"] == NAME


def test_a_server_that_stops_receiving_is_given_up(odoo, archive, back, monkeypatch):
    monkeypatch.setattr(http_client, "SEND_TIMEOUT", 0.2)
    archive.write_bytes(bytes(30_000_000))
    odoo.early[RESTORE] = odoo.hold
    with pytest.raises(SourceTimeout):
        back()


@pytest.mark.parametrize("when", ["sending", "restoring"])
def test_cancelling_ends_every_wait_at_once(odoo, archive, back, when):
    archive.write_bytes(bytes(30_000_000))
    places = odoo.early if when == "sending" else odoo.answers
    places[RESTORE] = odoo.hold
    control, cancelled_at = Control(), []

    def cancel():
        cancelled_at.append(time.monotonic())
        control.cancel()

    when_reached(odoo, cancel)
    with pytest.raises(Cancelled) as raised:
        back(control)
    assert time.monotonic() - cancelled_at[0] < 1
    # Half an archive restores nothing; with a whole one, the server goes on by itself.
    assert ("may have left" in raised.value.hint) == (when == "restoring")


def test_the_time_limit_ends_the_wait(odoo, back):
    odoo.answers[RESTORE] = odoo.hold
    began = time.monotonic()
    with pytest.raises(TimeLimit):
        back(Control(time_limit=0.5))
    assert time.monotonic() - began < 2


def test_every_failure_is_one_that_is_told_to_people(odoo, back):
    odoo.answers[RESTORE] = not_found
    with pytest.raises(BackupError, match="404"):
        back()
