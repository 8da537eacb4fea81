"""Restoring to an Odoo server over HTTP: what is sent, what is refused, what is proven."""

import contextlib
import io
import os
import tracemalloc
import zipfile

import pytest
import restore_http_world as world
from engine.control import Control
from engine.errors import (
    DatabaseExists,
    InsecureRemote,
    RemoteError,
    RestoreFailed,
    RestoreRefused,
    SpoolFailed,
    UnsafeDump,
    WorkerLost,
    WrongMasterPassword,
)
from engine.restore.http import restore
from engine.sources.http_form import FileForm
from fake_odoo import PASSWORD, FakeOdoo, error_page, json_rpc
from restore_http_world import CONTENT, COUNTS, NAME, archive_of, dump_of

odoo, archive, back = world.odoo, world.archive, world.back


# --- what is sent -------------------------------------------------------------------------------


def test_who_lost_the_task_sends_nothing(odoo, back):
    with pytest.raises(WorkerLost):
        back(control=Control(permission=lambda _timeout: None))
    assert odoo.restore_forms() == []


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
    assert stages == ["connect", "check", "restore", "verify"]
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
def test_what_was_restored_is_read_back_and_counted(odoo, archive, back, archive_format):
    archive.write_bytes(CONTENT if archive_format == "zip" else dump_of("shop"))
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


def test_more_modules_than_the_archive_holds_are_a_failure(odoo, back):
    odoo.restored = lambda name: dump_of(name, modules=COUNTS["modules"] + 1)
    with pytest.raises(RestoreFailed):
        back()


def test_tables_of_the_server_s_own_template_are_no_failure(odoo, back):
    odoo.restored = lambda name: dump_of(name, tables=COUNTS["tables"] + 1)
    assert back()["checked"]["tables"] == COUNTS["tables"] + 1


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


@pytest.mark.parametrize(
    "evil", [b"\\! id\n", b"SELECT 1 \\gexec\n", b"COMMENT ON TABLE t IS '\\';\n"]
)
def test_nothing_is_sent_that_the_psql_of_the_server_might_obey(odoo, archive, back, evil):
    archive.write_bytes(archive_of(b"SELECT 1;\n" + evil))
    with pytest.raises(UnsafeDump):
        back()
    assert odoo.asked(world.RESTORE) == []


@pytest.mark.parametrize("behind", [0, 30_000])
def test_no_dump_is_sent_that_odoo_takes_for_a_zip(odoo, archive, back, behind):
    """It looks for the end of a zip only, which may be the content of a large object."""
    content = dump_of("shop") + archive_of(b"\\! id\n", b"") + bytes(behind)
    assert zipfile.is_zipfile(io.BytesIO(content))
    archive.write_bytes(content)
    with pytest.raises(UnsafeDump, match="zip"):
        back(archive_format="dump")
    assert odoo.asked(world.RESTORE) == []
