"""The databases of this very server: an archive as Odoo makes it, from PostgreSQL and files."""

import json
import os
import shutil
import threading
import zipfile

import pytest
from engine.archive import consistent
from engine.archive.verify import verify
from engine.control import Control
from engine.errors import (
    Damaged,
    DumpProgramTooOld,
    FilestoreUnreadable,
    LibraryMissing,
    NotConsistent,
    NotOdoo,
)
from engine.sources import open_source, pg_dump
from local_world import FILES, MODULES, RELEASE, Machine, postgresql, quoted, stored_name
from waiting import beside, joined

# Of which some is written long before the dump has come to its end.
MUCH = "INSERT INTO res_users (login) SELECT md5(n::text) FROM generate_series(1, 60000) n;"
HOSTILE = (
    "-o", "--help", "a=b host=nowhere", "it's", 'quo"te', "back\\slash", "a b", "$(touch x)",
    "postgresql://nowhere/x", "ünïcode", "%s", "dbname='x'",
)  # fmt: skip


@pytest.fixture(scope="module")
def cluster():
    with postgresql() as server:
        yield server


@pytest.fixture
def machine(cluster, tmp_path):
    machine = Machine(cluster, tmp_path)
    machine.clear()
    return machine


# --- listing --------------------------------------------------------------------------------------


def test_it_lists_what_an_odoo_of_this_role_serves(machine, cluster):
    machine.create("shop")
    machine.create("a shop")
    cluster.ensure_role("another")
    cluster.tool("createdb", "--owner=another", "of_another_role")
    cluster.tool("createdb", "--owner=odoo", "a_template")
    cluster.psql("ALTER DATABASE a_template IS_TEMPLATE true")
    try:
        server = machine.source().probe()
        assert server.databases == ("a shop", "shop")
        assert server.version == RELEASE["version"]
        only = machine.source(names=["shop", "of_another_role"]).probe()
        assert only.databases == ("shop",)
    finally:
        cluster.psql("ALTER DATABASE a_template IS_TEMPLATE false")


def test_an_order_opens_it():
    order = {"connection": "local", "secrets": [], "server": {}, "filestores": "/nowhere"}
    source = open_source({**order, "release": RELEASE}, Control())
    assert type(source).LABEL == "This server"


# --- an archive -----------------------------------------------------------------------------------


def test_a_zip_is_one_that_odoo_restores(machine):
    machine.create("shop")
    report, path = machine.verified("shop")
    assert report.level == 3
    assert report.filestore_files == report.attachments == len(FILES)
    assert (report.missing_files, report.surplus_files, report.notes) == (0, 0, [])
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()[:2] == ["dump.sql", "manifest.json"]
        manifest = json.loads(archive.read("manifest.json"))
        for content in FILES:
            assert archive.read(f"filestore/{stored_name(content)}") == content
        dump = archive.read("dump.sql").decode()
    assert manifest["modules"] == MODULES
    assert manifest["db_name"] == "shop"
    assert "OWNER TO" not in dump
    assert machine.clients() == 0


def test_a_dump_is_a_custom_dump(machine):
    machine.create("shop")
    report, _path = machine.verified("shop", archive_format="dump")
    assert report.level == 3
    assert report.attachments == len(FILES)


def test_without_the_filestore_there_is_none_in_the_archive(machine):
    machine.create("shop")
    report, path = machine.verified("shop", filestore=False)
    assert report.level == 3
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["dump.sql", "manifest.json"]


def test_a_database_without_any_files_needs_no_filestore(machine):
    machine.create("shop", files=())
    report, _path = machine.verified("shop")
    assert (report.level, report.filestore_files) == (3, 0)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_database_may_have_any_name(machine, name):
    machine.create("shop")
    machine.cluster.psql(f"ALTER DATABASE shop RENAME TO {quoted(name)}")
    folder = machine.filestores / name
    os.makedirs(folder.parent, exist_ok=True)
    os.rename(machine.filestores / "shop", folder)
    assert machine.source().probe().databases == (name,)
    report, _path = machine.verified(name)
    assert (report.level, report.filestore_files) == (3, len(FILES))
    assert machine.verified(name, archive_format="dump")[0].level == 3


@pytest.mark.parametrize("name", ["..", ".", "/nowhere", "a/../../b"])
def test_no_name_leads_out_of_the_folder_of_filestores(machine, name):
    machine.create("shop")
    machine.cluster.psql(f"ALTER DATABASE shop RENAME TO {quoted(name)}")
    with pytest.raises(FilestoreUnreadable, match="outside"):
        machine.back_up(name)
    assert machine.verified(name, filestore=False)[0].level == 3


def test_a_database_that_is_not_odoos_is_called_so(machine, cluster):
    cluster.tool("createdb", "--owner=odoo", "other")
    with pytest.raises(NotOdoo, match="'other' is no database of Odoo"):
        machine.back_up("other")
    assert machine.clients() == 0


def test_a_database_in_another_encoding_is_dumped_in_it(machine):
    machine.create("west", options=("--encoding=LATIN1", "--locale=C"))
    machine.sql("west", "INSERT INTO res_users (login) VALUES (U&'M\\00FCller')")
    _report, path = machine.verified("west")
    with zipfile.ZipFile(path) as archive:
        dump = archive.read("dump.sql")
    assert b"client_encoding = 'LATIN1'" in dump
    assert b"M\xfcller" in dump


# --- the filestore --------------------------------------------------------------------------------


def test_marks_and_what_odoo_leaves_out_are_no_part_of_the_archive(machine):
    machine.create("shop")
    for name in ("checklist/ab/" + "ab" * 20, "x.pyc", "ab/.DS_Store", "ab/y.swp"):
        machine.store("shop", b"", name)
    machine.age("shop")
    report, path = machine.verified("shop")
    assert report.filestore_files == len(FILES)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 2 + len(FILES)


def test_old_files_of_no_attachment_are_kept_as_odoo_keeps_them(machine):
    machine.create("shop")
    machine.store("shop", b"an orphan")
    machine.store("shop", b"odd", "a/folder of/somebody.txt")
    machine.store("shop", b"odd", "at the top")
    machine.age("shop")
    report, path = machine.verified("shop")
    assert (report.level, report.surplus_files) == (3, 3)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("filestore/a/folder of/somebody.txt") == b"odd"


def test_a_file_that_is_being_written_is_no_damage(machine):
    """Odoo writes a file in place, before its attachment: the dump does not list it yet."""
    machine.create("shop")
    machine.store("shop", b"half of", stored_name(b"half of a file"))
    report, _path = machine.verified("shop")
    assert (report.level, report.damaged_files, report.surplus_files) == (3, 0, 0)


def test_names_that_no_attachment_has_are_left_out_and_told(machine):
    machine.create("shop")
    folder = os.fsencode(machine.filestores / "shop")
    for name in (b"\xff", b"line\nbreak", b"\x1b[2J"):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"content")
    os.mkfifo(os.path.join(folder, b"ab-pipe"))
    os.symlink("/etc/hostname", os.path.join(folder, b"zz-broken"))
    machine.age("shop", 0)
    _path, found = machine.back_up("shop")
    (note,) = found.notes
    assert "left out: 4" in note
    assert r"\x1b[2J, ab-pipe, line\nbreak" in note


def test_folders_may_be_links_to_other_disks(machine):
    machine.create("shop")
    elsewhere = machine.folder / "other disk"
    shutil.move(machine.filestores / "shop", elsewhere)
    os.mkdir(machine.filestores / "shop")
    for name in os.listdir(elsewhere):
        os.symlink(elsewhere / name, machine.filestores / "shop" / name)
    report, _path = machine.verified("shop")
    assert (report.level, report.filestore_files) == (3, len(FILES))


def test_a_file_with_another_content_is_told(machine):
    machine.create("shop")
    name = stored_name(FILES[0])
    machine.store("shop", b"flipped", name)
    path, found = machine.back_up("shop")
    assert name in str(found.notes)
    finding = finding_in(path)
    assert name in finding.message
    assert finding.report.damaged_files == 1


def test_a_file_that_is_missing_is_missing(machine):
    machine.create("shop")
    name = stored_name(FILES[1])
    os.unlink(machine.path("shop", name))
    path, found = machine.back_up("shop")
    assert found.gone == ()
    assert name in finding_in(path, found.gone).message


def finding_in(path, gone=()):
    with pytest.raises(NotConsistent) as raised:
        verify(path, "zip", 3, gone=gone)
    return raised.value


def test_what_the_writer_has_hashed_is_not_hashed_again_and_what_it_wrote_is_still_checked(
    machine, monkeypatch
):
    machine.create("shop")
    path, found = machine.back_up("shop")
    assert found.hashed
    with open(path, "r+b") as file:
        at = file.read().index(FILES[0])
        file.seek(at)
        file.write(b"X")
    with pytest.raises(Damaged, match="size or checksum"):
        verify(path, "zip", 3, hashed=True)
    path, found = machine.back_up("shop")
    monkeypatch.setattr(consistent, "StoredFile", None)
    report = verify(path, "zip", 3, hashed=True)
    assert (report.level, report.filestore_files, report.missing_files) == (3, len(FILES), 0)


def test_an_archive_with_one_wrong_file_is_hashed_by_its_verification(machine):
    machine.create("shop")
    machine.store("shop", b"flipped", stored_name(FILES[0]))
    assert not machine.back_up("shop")[1].hashed


# --- while the server is in use -------------------------------------------------------------------


class Between:
    """A place to write to that does something once the dump, or its first block, has come."""

    def __init__(self, path, act):
        self._path = path
        self._act = act

    def __call__(self, block):
        with open(self._path, "ab") as file:
            file.write(block)
        act, self._act = self._act, None
        if act:
            act()


def test_an_attachment_deleted_after_the_dump_is_told_and_no_fault(machine):
    machine.create("shop", sql=MUCH)
    lost, shared = stored_name(FILES[0]), stored_name(FILES[1])
    machine.list("shop", shared)
    path = machine.folder / "archive.zip"

    def act():
        machine.delete("shop", lost)
        machine.attach("shop", b"a new one")

    found = machine.source().fetch("shop", "zip", True, Between(path, act))
    assert found.gone == (lost,)
    report = verify(str(path), "zip", 3, gone=found.gone)
    assert (report.level, report.late_files, report.missing_files) == (3, 1, 0)
    assert "1 files were deleted, with their attachments" in str(report.notes)
    assert report.gone == [lost]
    assert lost in finding_in(path).message, "without being told of it, a file is missing"


def test_a_file_lost_after_the_dump_without_its_attachment_is_missing(machine):
    machine.create("shop", sql=MUCH)
    lost = stored_name(FILES[0])
    path = machine.folder / "archive.zip"
    found = machine.source().fetch(
        "shop", "zip", True, Between(path, lambda: os.unlink(machine.path("shop", lost)))
    )
    assert found.gone == ()
    assert lost in finding_in(path, found.gone).message


def test_attachments_written_and_deleted_meanwhile_leave_each_archive_consistent(machine):
    """Ten rounds, beside somebody who adds and deletes all the time."""
    machine.create("shop", files=[b"%d" % number for number in range(300)])
    over = threading.Event()

    def use():
        number, present = 0, [stored_name(b"%d" % number) for number in range(300)]
        while not over.is_set():
            number += 1
            present += machine.attach("shop", b"new %d" % number)
            machine.delete("shop", present.pop(0))

    user = beside(use)
    try:
        for _round in range(10):
            report, _path = machine.verified("shop")
            assert (report.level, report.missing_files, report.damaged_files) == (3, 0, 0)
    finally:
        over.set()
        joined(user)


def test_the_manifest_is_of_the_moment_of_the_dump(machine):
    machine.create("shop", sql=MUCH)
    path = machine.folder / "archive.zip"
    sql = "UPDATE ir_module_module SET state = 'installed', latest_version = '2' WHERE name='sale'"
    machine.source().fetch("shop", "zip", True, Between(path, lambda: machine.sql("shop", sql)))
    assert verify(str(path), "zip", 3).modules == len(MODULES)


# --- pg_dump --------------------------------------------------------------------------------------


def program(folder, version):
    """Make a pg_dump that says to be of a version; return its path."""
    folder.mkdir(parents=True)
    path = folder / "pg_dump"
    path.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that installs versions of pg_dump, the last one on the path."""

    def install(*versions):
        monkeypatch.setattr(pg_dump, "PLACES", (f"{tmp_path}/*/bin",))
        paths = [program(tmp_path / version / "bin", version) for version in versions]
        on_path = [os.path.dirname(path) for path in paths[-1:]]
        monkeypatch.setattr(pg_dump.os, "get_exec_path", lambda: on_path)
        return dict(zip(versions, paths, strict=True))

    return install


def test_the_pg_dump_of_the_server_is_taken_before_a_newer_one(installed):
    paths = installed("13.4", "18.1", "16.2", "15.9")
    assert pg_dump.program_for(160_003) == paths["16.2"]
    assert pg_dump.program_for(140_003) == paths["15.9"]
    assert pg_dump.program_for(170_003) == paths["18.1"]


def test_the_folder_of_odoos_configuration_is_looked_into(installed, tmp_path):
    installed("13.4")
    path = program(tmp_path / "opt", "16.1")
    assert pg_dump.program_for(160_003, os.path.dirname(path)) == path


def test_one_that_is_too_old_names_both_and_the_package(installed):
    paths = installed("13.4", "14.2")
    with pytest.raises(DumpProgramTooOld) as raised:
        pg_dump.program_for(150_018)
    assert "PostgreSQL 15" in raised.value.message
    assert f"PostgreSQL 14 ({paths['14.2']})" in raised.value.message
    assert "postgresql-client-15" in raised.value.hint
    assert not raised.value.retryable


def test_without_any_the_package_is_named(installed):
    installed()
    with pytest.raises(LibraryMissing) as raised:
        pg_dump.program_for(150_018)
    assert "postgresql-client" in raised.value.hint


def test_the_test_of_the_connection_says_so_too(machine, installed):
    installed("13.4")
    with pytest.raises(DumpProgramTooOld):
        machine.source().probe()
