"""Remotes of rclone: what has the final name is complete, ours, and at rest."""

import json
import os
import time

import places
import pytest
import servers_rclone
from engine.destinations import rclone_remote
from engine.destinations.rclone import RcloneDestination
from engine.errors import ArchiveMissing, DestinationFailed, NoSpace
from engine.spool import BLOCK, Spool
from rclone_uploads import CATALOGUE, OWNER, PATH, needs_rclone

pytestmark = needs_rclone

# More than rclone holds back before it begins to upload.
CONTENT = os.urandom(BLOCK + 5)
KINDS = ("folder", "webdav", "webdav without streams", "ftp")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Yield folders that servers serve, with the configurations that reach them, by kind."""
    folders = {kind: str(tmp_path_factory.mktemp("served")) for kind in ("webdav", "ftp")}
    folders["webdav without streams"] = folders["webdav"]
    with (
        servers_rclone.webdav(folders["webdav"]) as webdav,
        servers_rclone.ftp(folders["ftp"]) as ftp,
    ):
        yield {
            "webdav": (folders["webdav"], webdav.configuration()),
            "webdav without streams": (folders["webdav"], webdav.configuration(vendor="other")),
            "ftp": (folders["ftp"], ftp.configuration()),
        }


@pytest.fixture(params=KINDS)
def anywhere(request, served, tmp_path):
    """Yield a destination of each kind, and the folder that it fills."""
    name = f"backups-{time.monotonic_ns()}"
    folder, config = served.get(
        request.param, (str(tmp_path), servers_rclone.folder_configuration(str(tmp_path)))
    )
    yield RcloneDestination(config, "there", name), os.path.join(folder, name)


@pytest.fixture
def spool(tmp_path):
    with Spool(str(tmp_path / "spool"), "run-1") as spool:
        yield spool


def begin(destination, spool=None, attempt="run-1-1", owner=OWNER):
    return destination.begin(PATH, owner, attempt, spool)


def fill(upload, spool=None, content=CONTENT):
    if spool:
        spool.write(content)
        spool.finish()
    upload.write(content)
    upload.flush()


def store(destination, path=PATH, content=CONTENT, owner=OWNER):
    upload = destination.begin(path, owner, "token")
    try:
        fill(upload, content=content)
        upload.commit(json.dumps({"run": owner, "size": len(content)}).encode())
    finally:
        upload.abort()


def put(root, existing):
    os.makedirs(os.path.join(root, os.path.dirname(PATH)), exist_ok=True)
    for ending, content in existing.items():
        with open(os.path.join(root, PATH + ending), "wb") as file:
            file.write(content)


# --- the way of an archive ----------------------------------------------------------------------


def test_an_archive_goes_there_and_comes_back_on_every_kind_of_remote(anywhere, spool):
    destination, root = anywhere
    upload = begin(destination, spool)
    fill(upload, spool)
    (part,) = places.files(root)
    assert part.startswith(f"{PATH}.") and part.endswith("run-1-1.part")
    upload.commit(CATALOGUE)
    upload.abort()
    assert places.contents(root) == {PATH: CONTENT, f"{PATH}.json": CATALOGUE}
    assert b"".join(bytes(block) for block in destination.read(PATH)) == CONTENT
    assert destination.stat(PATH) == len(CONTENT)
    assert dict(destination.catalogues()) == {PATH: {"run": OWNER, "size": 7}}
    destination.delete(PATH, OWNER)
    assert places.files(root) == []


def test_what_is_in_no_spool_goes_there_too(anywhere):
    """As encrypted bytes do; rclone keeps them meanwhile where a remote takes no stream."""
    destination, root = anywhere
    upload = begin(destination)
    fill(upload)
    upload.commit(CATALOGUE)
    upload.abort()
    assert places.contents(root) == {PATH: CONTENT, f"{PATH}.json": CATALOGUE}


def test_an_abort_leaves_nothing_and_may_come_twice(anywhere, spool):
    destination, root = anywhere
    upload = begin(destination, spool)
    spool.write(CONTENT)
    upload.write(CONTENT)
    upload.abort()
    upload.abort()
    assert places.files(root) == []


def test_the_check_of_every_kind_of_remote_leaves_nothing(anywhere):
    destination, root = anywhere
    found = destination.check()
    assert found["rights"] == dict.fromkeys(("write", "list", "read", "delete"), True)
    assert found["free"] is None or found["free"] > 0
    assert places.files(root) == []
    streams = destination._remote.features().streams
    assert any("take no stream" in warning for warning in found["warnings"]) is not streams


@pytest.mark.parametrize("anywhere", ["webdav without streams"], indirect=True)
def test_a_commit_replaces_what_an_earlier_attempt_of_the_run_published(anywhere):
    """Of the same size, where nothing else is known of it: rclone takes that for the same file."""
    destination, root = anywhere
    put(root, {"": bytes(len(CONTENT)), ".json": CATALOGUE})
    store(destination)
    assert places.contents(root)[PATH] == CONTENT


# --- what is not ours ---------------------------------------------------------------------------

NEITHER_FILE = pytest.mark.parametrize(
    "existing",
    [
        {"": b"somebody's"},
        {"": b"somebody's", ".json": b'{"run": "uuid/2"}'},
        {".json": b'{"run": "uuid/2"}'},
        {"": b"somebody's", ".json": b"not json"},
        {"": b"somebody's", ".json": b""},
    ],
    ids=["no catalogue", "another's", "its catalogue alone", "not JSON", "empty"],
)


@NEITHER_FILE
def test_what_another_wrote_is_neither_replaced_nor_deleted(destination, root, existing):
    put(root, existing)
    before = places.contents(root)
    for attempt in (lambda: begin(destination), lambda: destination.delete(PATH, OWNER)):
        with pytest.raises(DestinationFailed, match="not written by this run"):
            attempt()
    assert places.contents(root) == before


def test_what_a_second_uploader_stored_meanwhile_is_refused_at_the_end(destination, root):
    first, second = begin(destination), begin(destination, owner="uuid/2")
    fill(first)
    fill(second)
    second.commit(b'{"run": "uuid/2"}')
    second.abort()
    with pytest.raises(DestinationFailed, match="not written by this run"):
        first.commit(CATALOGUE)
    first.abort()
    assert places.contents(root) == {PATH: CONTENT, f"{PATH}.json": b'{"run": "uuid/2"}'}


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", ".", "", "a//b"])
def test_no_path_leads_out_of_the_folder(destination, root, path):
    for attempt in (
        lambda: destination.begin(path, OWNER, "token"),
        lambda: destination.delete(path, OWNER),
        lambda: destination.stat(path),
        lambda: next(destination.read(path)),
    ):
        with pytest.raises(DestinationFailed, match="leads out"):
            attempt()
    assert places.files(root) == []


def test_the_parts_of_the_run_go_and_those_of_others_stay(destination, root):
    killed = begin(destination, attempt="killed")
    living = begin(destination, attempt="living", owner="uuid/2")
    fill(killed)
    fill(living)
    assert len(places.files(root)) == 2
    begin(destination).abort()
    (left,) = places.files(root)
    assert left.endswith("living.part")
    killed.abort()
    destination.delete(PATH, "uuid/2")
    assert places.files(root) == []
    living.abort()


def test_deleting_leaves_the_neighbours_and_what_is_gone_is_no_error(destination, root):
    neighbours = {"2": b"neighbour", "-2.zip.x.part": b"its part", ".age": b"another archive"}
    put(root, {"": CONTENT, ".json": CATALOGUE, **neighbours})
    destination.delete(PATH, OWNER)
    destination.delete(PATH, OWNER)
    assert sorted(places.contents(root).values()) == sorted(neighbours.values())


def test_names_that_mean_something_to_rclone_are_only_names(destination, root):
    path = "Shop/{a,b}*[c]/2026?.zip"
    store(destination, path)
    assert set(places.files(root)) == {path, f"{path}.json"}
    assert [listed for listed, _catalogue in destination.catalogues()] == [path]
    destination.delete(path, OWNER)
    assert places.files(root) == []


# --- reading ------------------------------------------------------------------------------------


def test_an_archive_that_is_gone_is_told_from_a_folder_that_is(destination, root):
    store(destination)
    os.unlink(os.path.join(root, PATH))
    for ask in (destination.stat, lambda path: next(destination.read(path))):
        with pytest.raises(ArchiveMissing, match="not there any more"):
            ask(PATH)
    os.rename(root, f"{root}-elsewhere")
    for ask in (destination.stat, lambda path: next(destination.read(path))):
        with pytest.raises(DestinationFailed, match="is not there"):
            ask(PATH)
    with pytest.raises(DestinationFailed, match="is not there"):
        list(destination.catalogues())


def test_a_reader_that_stops_early_leaves_nothing_running(destination, root):
    store(destination, content=bytes(8 << 20))
    blocks = destination.read(PATH)
    assert len(next(blocks)) <= BLOCK
    blocks.close()
    assert servers_rclone.programs_running(root) == servers_rclone.programs_running(PATH) == []


def test_every_archive_with_a_catalogue_is_listed_in_a_lasting_order(
    destination, root, monkeypatch
):
    monkeypatch.setattr("engine.destinations.rclone.BATCH", 2)
    names = [f"Shop/db/2026-11-2{day}T02-00-00Z.zip" for day in range(5)]
    for name in (*names, "A/db/x.dump.age"):
        put_pair(root, name, json.dumps({"run": name}).encode())
    put_pair(root, "Shop/db/broken.zip", b"not json")
    for stray in ("package.json", "gone.zip.json", "x.zip", f"{PATH}.1-2.part.json"):
        put_file(root, stray, b"{}")
    listed = list(destination.catalogues())
    assert [path for path, _catalogue in listed] == sorted(
        [*names, "A/db/x.dump.age", "Shop/db/broken.zip"]
    )
    assert dict(listed)["Shop/db/broken.zip"] is None
    assert all(dict(listed)[name] == {"run": name} for name in names)


def put_pair(root, name, catalogue):
    put_file(root, name, b"archive")
    put_file(root, f"{name}.json", catalogue)


def put_file(root, name, content):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def test_too_little_space_is_told_before(destination):
    destination.check_space(1)
    with pytest.raises(NoSpace, match="expected to need"):
        destination.check_space(10**18)


def test_a_remote_that_can_neither_rename_nor_publish_at_once_is_refused(destination, monkeypatch):
    """There are few of them, and none that can be had here: its answer is changed instead."""
    really = rclone_remote.features_in

    def without(told):
        told["Features"].update(Move=False, Copy=False)
        return really(told)

    monkeypatch.setattr(rclone_remote, "features_in", without)
    with pytest.raises(DestinationFailed, match="neither rename"):
        begin(destination)


def test_a_check_that_fails_leaves_nothing_either(destination, root, monkeypatch):
    monkeypatch.setattr(destination._remote, "beside", lambda _path, **_options: {})
    with pytest.raises(DestinationFailed, match="does not list a file that was written"):
        destination.check()
    assert places.files(root) == []
