"""A linked subfolder leads nothing out of a folder destination, at whatever moment it is made."""

import json
import os
import shutil

import places
import pytest
from engine.destinations import local_folder, open_destination
from engine.errors import DestinationFailed
from engine.spool import Spool

PATH = "Shop/db/2026-11-20T02-00-00Z.zip"
OWNER = "uuid/1"
CATALOGUE = json.dumps({"run": OWNER, "size": 7}).encode()


@pytest.fixture
def root(tmp_path):
    (tmp_path / "archives").mkdir()
    return str(tmp_path / "archives")


@pytest.fixture
def outside(tmp_path):
    """Another folder, with what looks like an archive of the same run."""
    folder = tmp_path / "outside"
    for name in (PATH, "db/" + os.path.basename(PATH), os.path.basename(PATH)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"theirs!")
        (folder / f"{name}.json").write_bytes(CATALOGUE)
        (folder / f"{name}.killed.part").write_bytes(b"theirs, too")
    return str(folder)


@pytest.fixture
def destination(root):
    return open_destination("local", {"path": root})


@pytest.fixture
def spool(tmp_path):
    with Spool(str(tmp_path / "spool"), "run-1") as spool:
        yield spool


@pytest.fixture(params=["Shop", "Shop/db"])
def linked(request, root, outside):
    """The folder of the destination that is a link."""
    name = os.path.join(root, request.param)
    os.makedirs(os.path.dirname(name), exist_ok=True)
    os.symlink(outside, name)
    return name


def steps(destination):
    return {
        "begin": lambda: destination.begin(PATH, OWNER, "token"),
        "delete": lambda: destination.delete(PATH, OWNER),
        "stat": lambda: destination.stat(PATH),
        "path_of": lambda: destination.path_of(PATH),
        "read": lambda: list(destination.read(PATH)),
    }


@pytest.mark.parametrize("step", ["begin", "delete", "stat", "path_of", "read"])
def test_no_step_follows_a_linked_folder(destination, linked, outside, step):
    before = places.contents(outside)
    with pytest.raises(DestinationFailed, match="is a link"):
        steps(destination)[step]()
    assert places.contents(outside) == before


def test_no_catalogue_behind_a_linked_folder_is_listed(destination, linked):
    assert list(destination.catalogues()) == []


@pytest.mark.parametrize("step", ["flush", "commit", "abort"])
def test_a_folder_that_becomes_a_link_during_an_upload_is_not_followed(
    destination, root, outside, spool, step
):
    upload = destination.begin(PATH, OWNER, "token", spool)
    spool.write(b"archive")
    upload.write(b"archive")
    before = places.contents(outside)
    shutil.move(os.path.join(root, "Shop"), os.path.join(root, "moved"))
    os.symlink(outside, os.path.join(root, "Shop"))
    with pytest.raises(DestinationFailed, match="is a link"):
        upload.commit(CATALOGUE) if step == "commit" else getattr(upload, step)()
    assert places.contents(outside) == before


@pytest.mark.parametrize("step", ["begin", "delete", "read"])
def test_a_folder_that_becomes_a_link_while_it_is_opened_is_not_followed(
    destination, root, outside, monkeypatch, step
):
    """At the worst moment: once what is above it was opened."""
    before = places.contents(outside)
    upload = destination.begin(PATH, OWNER, "token")
    upload.write(b"archive")
    upload.commit(CATALOGUE)
    really_step = local_folder.step_into

    def swapped_before(descriptor, name, make):
        if name == "db":
            shutil.rmtree(os.path.join(root, "Shop/db"), ignore_errors=True)
            os.symlink(outside, os.path.join(root, "Shop/db"))
        return really_step(descriptor, name, make)

    monkeypatch.setattr(local_folder, "step_into", swapped_before)
    with pytest.raises(DestinationFailed, match="is a link"):
        steps(destination)[step]()
    assert places.contents(outside) == before


def test_a_link_in_the_place_of_an_unfinished_upload_is_left(destination, root, outside):
    os.makedirs(os.path.join(root, "Shop/db"))
    os.symlink(os.path.join(outside, PATH), os.path.join(root, f"{PATH}.killed.part"))
    before = places.contents(outside)
    upload = destination.begin(PATH, OWNER, "token")
    upload.write(b"archive")
    upload.commit(CATALOGUE)
    destination.delete(PATH, OWNER)
    assert places.contents(outside) == before


def test_a_marker_that_is_a_link_or_a_pipe_is_not_read(destination, root, tmp_path):
    (tmp_path / "secret").write_text("secret")
    marker = os.path.join(root, ".backup_scheduler")
    os.symlink(tmp_path / "secret", marker)
    with pytest.raises(DestinationFailed, match="."):
        destination.check()
    os.unlink(marker)
    os.mkfifo(marker)
    assert destination.check()["marker"] == ""


def test_the_destinations_own_folder_may_be_a_link(root, tmp_path):
    os.symlink(root, tmp_path / "link")
    destination = open_destination("local", {"path": str(tmp_path / "link")})
    upload = destination.begin(PATH, OWNER, "token")
    upload.write(b"archive")
    upload.flush()
    upload.commit(CATALOGUE)
    assert b"".join(map(bytes, destination.read(PATH))) == b"archive"
    assert [path for path, _catalogue in destination.catalogues()] == [PATH]
    destination.delete(PATH, OWNER)
    assert places.files(root) == []
