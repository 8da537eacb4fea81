"""The local destination: what has the final name is complete, ours, and at rest."""

import errno
import json
import os

import places
import pytest
from engine.destinations import local as local_module
from engine.destinations import local_folder, open_destination
from engine.errors import DestinationFailed, NoSpace
from engine.spool import Spool

PATH = "Shop/db/2026-11-20T02-00-00Z.zip"
OWNER = "uuid/1"
CATALOGUE = json.dumps({"run": OWNER, "size": 7}).encode()
CONTENT = b"archive"
NEITHER_FILE = pytest.mark.parametrize(
    "existing",
    [
        {"": b"somebody's"},
        {"": b"somebody's", ".json": b'{"run": "uuid/2"}'},
        {".json": b'{"run": "uuid/2"}'},
        {"": b"somebody's", ".json": b"not json"},
        {"": b"somebody's", ".json": b"[]"},
        {"": b"somebody's", ".json": b"\xff\xfe"},
    ],
    ids=["no catalogue", "another's", "its catalogue alone", "not JSON", "a list", "not text"],
)


@pytest.fixture(params=["same", "other"])
def spool(request, tmp_path, monkeypatch):
    """A spool on the same file system as the destination, and one on another: EXDEV."""
    if request.param == "other":
        monkeypatch.setattr(local_module.os, "link", refuse(errno.EXDEV))
    with Spool(str(tmp_path / "spool"), "run-1") as spool:
        yield spool


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "archives")


@pytest.fixture
def destination(root):
    return open_destination("local", {"path": root})


def refuse(number):
    def refusing(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    return refusing


def begin(destination, spool, attempt="run-1-1"):
    return destination.begin(PATH, OWNER, attempt, spool)


def fill(upload, spool):
    spool.write(CONTENT)
    upload.write(CONTENT)
    upload.flush()


def put(root, existing):
    os.makedirs(os.path.join(root, os.path.dirname(PATH)), exist_ok=True)
    for ending, content in existing.items():
        with open(os.path.join(root, PATH + ending), "wb") as file:
            file.write(content)


# --- the way of an archive ----------------------------------------------------------------------


def test_before_the_commit_there_is_no_final_name(destination, spool, root):
    upload = begin(destination, spool)
    fill(upload, spool)
    assert places.files(root) == [f"{PATH}.run-1-1.part"]
    upload.abort()


def test_a_commit_publishes_the_archive_with_its_catalogue_beside_it(destination, spool, root):
    upload = begin(destination, spool)
    fill(upload, spool)
    upload.commit(CATALOGUE)
    upload.abort()
    assert places.contents(root) == {PATH: CONTENT, f"{PATH}.json": CATALOGUE}
    for name in places.files(root):
        assert os.stat(os.path.join(root, name)).st_mode & 0o777 == 0o600


def test_an_abort_leaves_nothing_and_may_come_twice(destination, spool, root):
    upload = begin(destination, spool)
    fill(upload, spool)
    upload.abort()
    upload.abort()
    assert places.files(root) == []


def test_what_was_published_outlives_the_spool(destination, tmp_path, root):
    with Spool(str(tmp_path / "spool"), "run-1") as spool:
        upload = begin(destination, spool)
        fill(upload, spool)
        upload.commit(CATALOGUE)
        upload.abort()
    assert places.contents(root)[PATH] == CONTENT


def test_on_one_file_system_the_bytes_are_written_once(destination, tmp_path, root):
    with Spool(str(tmp_path / "spool"), "run-1") as spool:
        upload = begin(destination, spool)
        part = os.path.join(root, f"{PATH}.run-1-1.part")
        assert os.stat(part).st_ino == os.stat(spool.path).st_ino
        upload.abort()


@pytest.mark.parametrize("number", local_module.NO_LINK, ids=os.strerror)
def test_where_no_link_can_be_had_the_part_is_a_copy(
    destination, tmp_path, root, monkeypatch, number
):
    monkeypatch.setattr(local_module.os, "link", refuse(number))
    with Spool(str(tmp_path / "spool"), "run-1") as spool:
        upload = begin(destination, spool)
        part = os.path.join(root, f"{PATH}.run-1-1.part")
        assert os.stat(part).st_ino != os.stat(spool.path).st_ino
        fill(upload, spool)
        upload.commit(CATALOGUE)
        upload.abort()
    assert places.contents(root)[PATH] == CONTENT


def test_a_commit_replaces_what_an_earlier_attempt_of_the_run_published(destination, spool, root):
    put(root, {"": b"lost attempt's", ".json": CATALOGUE})
    upload = begin(destination, spool)
    fill(upload, spool)
    upload.commit(CATALOGUE)
    assert places.contents(root)[PATH] == CONTENT


@pytest.mark.parametrize("step", ["replace", "open", "fsync"])
def test_a_commit_that_fails_leaves_nothing(destination, spool, root, monkeypatch, step):
    """EIO, as a disk or a network mount that goes away answers at any step."""
    upload = begin(destination, spool)
    fill(upload, spool)
    with monkeypatch.context() as patched:
        patched.setattr(local_module.os, step, refuse(errno.EIO))
        if step == "open":
            patched.setattr(local_folder.Folder, "file", refuse(errno.EIO))
        with pytest.raises(DestinationFailed):
            upload.commit(CATALOGUE)
    upload.abort()
    assert places.files(root) == []


# --- what is not ours ---------------------------------------------------------------------------


@NEITHER_FILE
def test_what_another_wrote_is_refused_at_the_beginning(destination, spool, root, existing):
    put(root, existing)
    before = places.contents(root)
    with pytest.raises(DestinationFailed, match="not written by this run"):
        begin(destination, spool)
    assert places.contents(root) == before


@NEITHER_FILE
def test_what_another_wrote_meanwhile_is_refused_at_the_end(destination, spool, root, existing):
    upload = begin(destination, spool)
    fill(upload, spool)
    put(root, existing)
    with pytest.raises(DestinationFailed, match="not written by this run"):
        upload.commit(CATALOGUE)
    upload.abort()
    assert places.contents(root) == {PATH + ending: content for ending, content in existing.items()}


@NEITHER_FILE
def test_what_another_wrote_is_not_deleted(destination, root, existing):
    put(root, existing)
    before = places.contents(root)
    with pytest.raises(DestinationFailed, match="not written by this run"):
        destination.delete(PATH, OWNER)
    assert places.contents(root) == before


@pytest.mark.parametrize(
    "path", ["../x", "/etc/x", "a/../../x", ".", "", "a/..", "../archives-2/x", "a/../../archives"]
)
def test_no_path_leads_out_of_the_folder(destination, spool, root, tmp_path, path):
    before = places.files(tmp_path)
    for attempt in (
        lambda: destination.begin(path, OWNER, "token", spool),
        lambda: destination.delete(path, OWNER),
        lambda: destination.path_of(path),
        lambda: next(destination.read(path)),
    ):
        with pytest.raises(DestinationFailed, match="leads out"):
            attempt()
    assert places.files(tmp_path) == before


# --- deleting -----------------------------------------------------------------------------------


def test_deleting_twice_is_the_same_as_once(destination, root):
    put(root, {"": CONTENT, ".json": CATALOGUE})
    destination.delete(PATH, OWNER)
    assert places.files(root) == []
    destination.delete(PATH, OWNER)


def test_deleting_removes_a_catalogue_that_a_killed_deletion_left(destination, root):
    put(root, {".json": CATALOGUE})
    destination.delete(PATH, OWNER)
    assert places.files(root) == []


def test_deleting_leaves_the_neighbours(destination, root):
    put(root, {"": CONTENT, ".json": CATALOGUE, "2": b"neighbour", "-2.zip.x.part": b"its part"})
    destination.delete(PATH, OWNER)
    assert sorted(places.contents(root).values()) == [b"its part", b"neighbour"]


# --- what killed attempts left ------------------------------------------------------------------


@pytest.mark.parametrize("step", ["begin", "delete"])
def test_the_part_of_a_killed_attempt_goes_and_that_of_a_living_one_stays(
    destination, spool, root, step
):
    put(root, {})
    killed, living = (os.path.join(root, f"{PATH}.{name}.part") for name in ("killed", "living"))
    with (
        places.held_by_another_process(killed) as process,
        places.held_by_another_process(living),
    ):
        process.kill()
        process.wait()
        if step == "begin":
            begin(destination, spool).abort()
        else:
            destination.delete(PATH, OWNER)
        assert places.files(root) == [f"{PATH}.living.part"]


def test_the_catalogue_of_a_killed_attempt_goes(destination, spool, root):
    put(root, {".killed.part.json": CATALOGUE})
    begin(destination, spool).abort()
    assert places.files(root) == []


def test_two_attempts_at_one_path_do_not_touch_each_other(destination, tmp_path, root):
    with Spool(str(tmp_path / "1"), "x") as first, Spool(str(tmp_path / "2"), "x") as second:
        one, two = begin(destination, first, "one"), begin(destination, second, "two")
        fill(one, first)
        assert len(places.files(root)) == 2
        two.abort()
        one.commit(CATALOGUE)
    assert places.contents(root)[PATH] == CONTENT


# --- the folder itself --------------------------------------------------------------------------


def test_the_check_of_a_folder_makes_it_and_leaves_nothing_but_its_mark(destination, root):
    assert destination.check()["free"] > 0
    assert os.listdir(root) == [local_module.MARKER]


def test_the_check_of_a_folder_below_a_file_says_why(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DestinationFailed, match=r"file/archives cannot be written to: Not a dir"):
        open_destination("local", {"path": str(tmp_path / "file" / "archives")}).check()


def test_the_check_of_a_folder_without_rights_says_why(destination, root, monkeypatch):
    """Root may write anywhere, so the refusal is made here."""
    monkeypatch.setattr(local_module.os, "makedirs", refuse(errno.EACCES))
    with pytest.raises(DestinationFailed, match="Permission denied") as denied:
        destination.check()
    assert denied.value.as_dict()["error_code"] == "destination_denied"


@pytest.mark.parametrize("path", ["backups", "", None, "./x", "~/backups"])
def test_a_folder_that_depends_on_where_one_stands_is_refused(path):
    with pytest.raises(DestinationFailed, match="not an absolute path"):
        open_destination("local", {"path": path})


def test_too_little_space_is_told_before(destination):
    destination.check_space(1)
    with pytest.raises(NoSpace):
        destination.check_space(10**18)


def test_two_destinations_on_one_file_system_hold_two_sets_of_bytes(tmp_path):
    destinations = [
        open_destination("local", {"path": str(tmp_path / name)}) for name in ("one", "two")
    ]
    with Spool(str(tmp_path / "spool"), "run-1") as spool:
        uploads = [destination.begin(PATH, OWNER, "1", spool) for destination in destinations]
        spool.write(CONTENT)
        for upload in uploads:
            upload.write(CONTENT)
            upload.flush()
            upload.commit(CATALOGUE)
            upload.abort()
    files = [tmp_path / name / PATH for name in ("one", "two")]
    assert [file.read_bytes() for file in files] == [CONTENT, CONTENT]
    assert len({file.stat().st_ino for file in files}) == 2


if places.can_mount():

    def test_on_another_file_system_the_part_is_a_copy(tmp_path):
        with (
            places.tmpfs(str(tmp_path / "disk"), 4 << 20) as folder,
            Spool(str(tmp_path / "spool"), "run-1") as spool,
        ):
            upload = begin(open_destination("local", {"path": folder}), spool)
            fill(upload, spool)
            upload.commit(CATALOGUE)
            upload.abort()
            assert places.contents(folder) == {PATH: CONTENT, f"{PATH}.json": CATALOGUE}

    def test_a_disk_that_becomes_full_is_named_and_nothing_stays(tmp_path):
        with (
            places.tmpfs(str(tmp_path / "disk"), 1 << 20) as folder,
            Spool(str(tmp_path / "spool"), "run-1") as spool,
        ):
            upload = begin(open_destination("local", {"path": folder}), spool)
            with pytest.raises(NoSpace, match="disk of the destination is full"):
                upload.write(bytes(2 << 20))
            upload.abort()
            assert places.files(folder) == []


def test_what_is_to_be_kept_free_for_others_is_not_used(tmp_path):
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    local_module.LocalDestination(str(tmp_path)).check_space(free // 2)
    all_but_little = free // 10**9 + 1
    with pytest.raises(NoSpace):
        local_module.LocalDestination(str(tmp_path), reserve=all_but_little).check_space(free // 2)
