"""The local destination, read again: its archives, its catalogues, and whether it is still it."""

import contextlib
import json
import os
import shutil

import places
import pytest
from engine.destinations import local as local_module
from engine.destinations import local_folder, open_destination
from engine.errors import ArchiveMissing, DestinationFailed
from engine.spool import BLOCK, Spool

PATH = "Shop/db/2026-11-20T02-00-00Z.zip"
OWNER = "uuid/1"


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "archives")


@pytest.fixture
def destination(root):
    return open_destination("local", {"path": root})


def store(destination, path=PATH, content=b"archive", owner=OWNER):
    """Store an archive as a backup does, from bytes that are in no spool."""
    upload = destination.begin(path, owner, "token")
    upload.write(content)
    upload.flush()
    upload.commit(json.dumps({"run": owner, "size": len(content)}).encode())
    upload.abort()


# --- archives -----------------------------------------------------------------------------------


def test_an_archive_is_given_back_in_blocks(destination, root):
    content = os.urandom(2 * BLOCK + 5)
    store(destination, content=content)
    blocks = [bytes(block) for block in destination.read(PATH)]
    assert b"".join(blocks) == content
    assert [len(block) for block in blocks] == [BLOCK, BLOCK, 5]
    assert destination.stat(PATH) == len(content)
    assert destination.path_of(PATH) == os.path.join(root, PATH)


WAYS = pytest.mark.parametrize(
    "way",
    [
        lambda destination: destination.path_of(PATH),
        lambda destination: destination.stat(PATH),
        lambda destination: next(destination.read(PATH)),
    ],
    ids=["path_of", "stat", "read"],
)


@WAYS
def test_an_archive_that_is_gone_is_told(destination, root, way):
    store(destination)
    os.unlink(os.path.join(root, PATH))
    with pytest.raises(ArchiveMissing, match="not there any more"):
        way(destination)


@WAYS
def test_a_folder_that_is_gone_says_nothing_about_its_archives(destination, way):
    with pytest.raises(DestinationFailed, match="is not there"):
        way(destination)


@WAYS
def test_a_link_in_the_place_of_an_archive_is_not_followed(destination, root, tmp_path, way):
    """And says nothing about the archive: who has moved it may have left the link."""
    store(destination)
    os.rename(os.path.join(root, PATH), tmp_path / "moved.zip")
    os.symlink(tmp_path / "moved.zip", os.path.join(root, PATH))
    with pytest.raises(DestinationFailed, match="is a link"):
        way(destination)


@WAYS
def test_a_folder_that_leads_out_of_the_destination_is_not_followed(
    destination, root, tmp_path, way
):
    store(destination)
    os.rename(os.path.join(root, "Shop"), tmp_path / "moved")
    os.symlink(tmp_path / "moved", os.path.join(root, "Shop"))
    with pytest.raises(DestinationFailed, match="leads out of"):
        way(destination)


def test_a_destination_that_is_itself_a_link_is_used(tmp_path):
    (tmp_path / "disk").mkdir()
    os.symlink(tmp_path / "disk", tmp_path / "archives")
    destination = open_destination("local", {"path": str(tmp_path / "archives")})
    store(destination)
    assert destination.stat(PATH) == 7
    assert dict(destination.catalogues()) == {PATH: {"run": OWNER, "size": 7}}


def test_what_is_written_beside_the_spool_gets_a_file_of_its_own(destination, tmp_path, root):
    """As encrypted bytes are, although the spool lies on the same file system."""
    with Spool(str(tmp_path / "spool"), "run-1") as spool:
        spool.write(b"plain")
        store(destination, content=b"encrypted")
        spool.write(b" more")
    with open(os.path.join(root, PATH), "rb") as archive:
        assert archive.read() == b"encrypted"


# --- catalogues ---------------------------------------------------------------------------------


def test_every_archive_with_a_catalogue_is_listed_in_a_lasting_order(destination):
    paths = [PATH, PATH + ".age", "A/db/2026-11-20T02-00-00Z.dump", "Shop/a/x.dump.age"]
    for path in paths:
        store(destination, path)
    listed = dict(destination.catalogues())
    assert sorted(listed) == sorted(paths)
    assert list(listed) == [path for path, _catalogue in destination.catalogues()]
    assert listed[PATH] == {"run": OWNER, "size": 7}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b" " * (local_folder.CATALOGUE_LIMIT + 1),
    ],
    ids=["empty", "not JSON", "a list", "not text", "deep", "huge"],
)
def test_a_catalogue_that_cannot_be_read_does_not_hide_its_archive(destination, root, content):
    store(destination)
    store(destination, "Shop/db/good.zip")
    with open(os.path.join(root, f"{PATH}.json"), "wb") as file:
        file.write(content)
    listed = dict(destination.catalogues())
    assert listed[PATH] is None
    assert listed["Shop/db/good.zip"]["run"] == OWNER


def test_what_is_not_an_archive_of_ours_is_not_listed(destination, root):
    store(destination)
    names = ("package.json", "package", "x.zip", "gone.zip.json", f"{PATH}.1.part", "a.zip.json/b")
    for name in (*names, f"{PATH}.1.part.json"):
        os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
        with contextlib.suppress(IsADirectoryError), open(os.path.join(root, name), "w") as file:
            file.write("{}")
    assert [path for path, _catalogue in destination.catalogues()] == [PATH]


def test_archives_that_are_known_are_passed_over_unread(destination, monkeypatch):
    store(destination)
    store(destination, "Shop/db/next.zip")
    read, really_read = [], local_module.read_catalogue
    monkeypatch.setattr(
        local_module, "read_catalogue", lambda *names: read.append(names) or really_read(*names)
    )
    listed = [path for path, _catalogue in destination.catalogues(known={PATH})]
    assert listed == ["Shop/db/next.zip"]
    assert len(read) == 1


def test_links_lead_to_no_archive_and_no_catalogue(destination, root, tmp_path):
    store(destination)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.zip").write_bytes(b"not ours")
    (outside / "secret.zip.json").write_text('{"run": "stolen"}')
    os.symlink(outside, os.path.join(root, "Shop/linked"))
    os.symlink(outside / "secret.zip", os.path.join(root, "Shop/db/a.zip"))
    shutil.copy(outside / "secret.zip.json", os.path.join(root, "Shop/db/a.zip.json"))
    shutil.copy(outside / "secret.zip", os.path.join(root, "Shop/db/b.zip"))
    os.symlink(outside / "secret.zip.json", os.path.join(root, "Shop/db/b.zip.json"))
    listed = dict(destination.catalogues())
    assert sorted(listed) == [PATH, "Shop/db/b.zip"]
    assert listed["Shop/db/b.zip"] is None


def test_a_catalogue_that_never_ends_holds_nobody_up(destination, root):
    store(destination)
    os.unlink(os.path.join(root, f"{PATH}.json"))
    os.mkfifo(os.path.join(root, f"{PATH}.json"))
    assert dict(destination.catalogues()) == {PATH: None}


def test_a_folder_that_cannot_be_listed_is_a_failure_and_not_an_empty_one(destination):
    with pytest.raises(DestinationFailed, match="No such file"):
        list(destination.catalogues())


# --- whether it is still the same folder ---------------------------------------------------------


def marked(root):
    """Return the destination as it is used after its folder was checked."""
    marker = open_destination("local", {"path": root}).check()["marker"]
    return open_destination("local", {"path": root, "marker": marker})


TOUCHES = pytest.mark.parametrize(
    "touch",
    [
        lambda destination: destination.begin(PATH, OWNER, "token"),
        lambda destination: destination.delete(PATH, OWNER),
        lambda destination: destination.path_of(PATH),
        lambda destination: destination.stat(PATH),
        lambda destination: next(destination.read(PATH)),
        lambda destination: list(destination.catalogues()),
        lambda destination: destination.check(),
    ],
    ids=["begin", "delete", "path_of", "stat", "read", "catalogues", "check"],
)


@TOUCHES
@pytest.mark.parametrize("state", ["empty", "gone", "another"])
def test_a_folder_that_is_another_one_is_left_alone(root, touch, state):
    """As when a disk is not mounted, or another one is."""
    destination = marked(root)
    store(destination)
    shutil.rmtree(root)
    if state != "gone":
        os.makedirs(root)
    if state == "another":
        open_destination("local", {"path": root}).check()
    before = places.files(root)
    with pytest.raises(DestinationFailed, match="is not the one that it was"):
        touch(destination)
    assert places.files(root) == before


def test_a_folder_that_is_still_the_one_is_used(root):
    destination = marked(root)
    store(destination)
    assert destination.stat(PATH) == 7
    assert destination.check()["marker"]
    destination.delete(PATH, OWNER)
    assert places.files(root) == [local_module.MARKER]


def test_a_folder_keeps_its_mark_and_shares_it(root):
    first, second = (open_destination("local", {"path": root}).check() for _time in "12")
    assert first["marker"] == second["marker"]


@pytest.mark.parametrize("links", [True, False])
def test_of_two_that_mark_a_folder_at_once_the_first_one_wins(root, monkeypatch, links):
    destination = open_destination("local", {"path": root})
    if not links:
        monkeypatch.setattr(local_module.os, "link", no_links)
    really_put, found = local_module.put_first, []

    def put_first(made, path):
        monkeypatch.setattr(local_module, "put_first", really_put)
        found.append(destination.check()["marker"])
        really_put(made, path)

    monkeypatch.setattr(local_module, "put_first", put_first)
    late = destination.check()["marker"]
    assert places.files(root) == [local_module.MARKER]
    assert destination.check()["marker"] == late
    if links:
        assert found == [late]


def no_links(*_arguments):
    raise OSError(local_module.errno.EOPNOTSUPP, "not supported")


def test_an_empty_mark_as_a_crash_leaves_it_is_made_anew(root):
    os.makedirs(root)
    with open(os.path.join(root, local_module.MARKER), "w"):
        pass
    assert marked(root).check()["free"]


if places.can_mount():

    def test_a_disk_that_is_not_mounted_is_not_written_to(tmp_path):
        folder = str(tmp_path / "disk")
        with places.tmpfs(folder, 4 << 20):
            destination = marked(folder)
            store(destination)
        with pytest.raises(DestinationFailed) as raised:
            store(destination, "Shop/db/next.zip")
        assert "mount it again" in raised.value.hint
        assert places.files(folder) == []


def test_a_folder_of_all_machines_is_used_only_where_its_mark_is(root, tmp_path):
    shared = {"path": root, "all_machines": True}
    unchecked = open_destination("local", shared)
    with pytest.raises(DestinationFailed, match="Nothing says yet") as refused:
        unchecked.stat("archive.zip")
    assert "Check" in str(refused.value.hint)
    with pytest.raises(DestinationFailed, match="Nothing says yet"):
        unchecked.begin("archive.zip", "owner", "token")
    marker = unchecked.check()["marker"]
    here = open_destination("local", {**shared, "marker": marker})
    with pytest.raises(ArchiveMissing):
        here.stat("archive.zip")
    # The same settings on a machine where the share is not mounted.
    elsewhere = open_destination("local", {**shared, "path": str(tmp_path), "marker": marker})
    for use, *arguments in (
        (elsewhere.stat, "a.zip"),
        (elsewhere.check,),
        (elsewhere.delete, "a.zip", "owner"),
        (elsewhere.begin, "a.zip", "owner", "token"),
    ):
        with pytest.raises(DestinationFailed, match="is missing"):
            use(*arguments)
