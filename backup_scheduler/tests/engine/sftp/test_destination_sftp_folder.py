"""The folder of an SFTP destination: what may be done there, and what is found again."""

import os
import shutil
import subprocess

import places
import pytest
import servers_sftp
from engine.destinations.sftp import SFTPDestination
from engine.destinations.sftp_place import CATALOGUE_LIMIT, MARKER
from engine.errors import ArchiveMissing, DestinationDenied, DestinationFailed
from sftp_uploads import CATALOGUE, EVERY_METHOD, EXTENSIONS, MB, OWNER, PATH, store

# --- what may be done ----------------------------------------------------------------------------


if places.can_mount():

    def test_an_account_that_cannot_write_at_its_root_gets_a_hint(server):
        with pytest.raises(DestinationDenied, match="/archives cannot be made.*Permission") as told:
            SFTPDestination(**server.settings(path="/archives")).check()
        assert "chroot" in told.value.hint
        assert not os.path.exists(os.path.join(server.root, "archives"))

    def test_a_folder_that_cannot_be_written_to_is_named(server, folder):
        path = server.put(folder, {PATH: b"", f"{PATH}.json": CATALOGUE})
        os.chown(path, 0, 0)
        os.chown(os.path.dirname(os.path.join(path, PATH)), 0, 0)
        before = places.files(path)
        destination = SFTPDestination(**server.settings(folder))
        with pytest.raises(DestinationDenied, match=f"{folder} cannot be written to .*Permission"):
            destination.check()
        for touch in (
            lambda: destination.begin(PATH, OWNER, "1"),
            lambda: destination.delete(PATH, OWNER),
        ):
            with pytest.raises(DestinationDenied, match="Permission denied"):
                touch()
        assert places.files(path) == before

    @pytest.mark.parametrize(
        ("without", "missing"), [("remove", "delete"), ("read", "read"), ("opendir", "list")]
    )
    def test_a_right_that_is_missing_is_told_and_archives_are_stored(tmp_path, without, missing):
        with servers_sftp.sftp_server(str(tmp_path / "sftp"), without=without) as server:
            destination = SFTPDestination(**server.settings("archives"))
            found = destination.check()
            expected = dict.fromkeys(("write", "read", "list", "delete"), True)
            assert found["rights"] == {**expected, missing: False}
            assert len(found["warnings"]) == 1
            store(destination)
            path = os.path.join(server.home, "archives")
            assert {PATH, f"{PATH}.json"} <= set(places.files(path))
            # Except where that is not possible, nothing but the mark stays of the check.
            left = {MARKER} if missing != "read" else set()
            if missing != "delete":
                assert set(places.files(path)) == {PATH, f"{PATH}.json"} | left


# --- the folder ---------------------------------------------------------------------------------


def test_the_check_makes_the_folder_and_leaves_nothing_but_its_mark(server, folder):
    found = SFTPDestination(**server.settings(f"{folder}/below")).check()
    assert found["free"] > 0
    assert found["rights"] == dict.fromkeys(("write", "read", "list", "delete"), True)
    assert found["warnings"] == []
    assert places.files(os.path.join(server.home, folder)) == [f"below/{MARKER}"]
    again = SFTPDestination(**server.settings(f"{folder}/below", marker=found["marker"])).check()
    assert again["marker"] == found["marker"]


def test_a_server_that_lacks_extensions_is_used_and_told(tmp_path):
    with servers_sftp.sftp_server(str(tmp_path / "sftp"), without=EXTENSIONS) as server:
        destination = SFTPDestination(**server.settings())
        found = destination.check()
        assert found["free"] is None
        assert "loses power" in found["warnings"][0]
        destination.check_space(10**18)
        marked = server.settings(marker=found["marker"])
        assert SFTPDestination(**marked).check()["marker"] == found["marker"]


def test_a_folder_below_a_file_says_why(server, folder):
    server.put(folder, {"file": b""})
    with pytest.raises(DestinationFailed, match="file cannot be made .*a file has that name"):
        SFTPDestination(**server.settings(f"{folder}/file/archives")).check()


@EVERY_METHOD
@pytest.mark.parametrize("state", ["empty", "another"])
def test_a_folder_that_is_another_one_is_left_alone(server, folder, touch, state):
    """As when the disk of a NAS is not mounted, or another one is."""
    marker = "the one that was checked"
    path = server.put(folder, {MARKER: b"another"} if state == "another" else {"x": b""})
    before = places.files(path)
    with pytest.raises(DestinationFailed, match="is not the one that it was"):
        touch(SFTPDestination(**server.settings(folder, marker=marker)))
    assert places.files(path) == before


# --- found again --------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["stat", "read"])
def test_an_archive_that_is_gone_and_a_folder_that_is_gone_are_told_apart(server, folder, way):
    destination = SFTPDestination(**server.settings(folder))
    with pytest.raises(DestinationFailed, match="is not there"):
        list(getattr(destination, way)(PATH))
    server.put(folder, {"other": b""})
    with pytest.raises(ArchiveMissing, match="is not there any more"):
        list(getattr(destination, way)(PATH))


def test_an_archive_that_becomes_shorter_is_no_early_end(server, folder):
    path = server.put(folder, {PATH: b""})
    os.truncate(os.path.join(path, PATH), 64 * MB)
    blocks = SFTPDestination(**server.settings(folder)).read(PATH)
    next(blocks)
    os.truncate(os.path.join(path, PATH), 32 * MB)
    with pytest.raises(DestinationFailed, match="became shorter"):
        list(blocks)


def test_a_connection_that_is_lost_is_no_early_end(server, folder):
    path = server.put(folder, {PATH: b""})
    os.truncate(os.path.join(path, PATH), 64 * MB)
    blocks = SFTPDestination(**server.settings(folder)).read(PATH)
    next(blocks)
    server.signal_sessions(9)
    with pytest.raises(DestinationFailed, match="was lost"):
        list(blocks)


def test_every_archive_with_a_catalogue_is_listed_in_a_lasting_order(server, folder):
    paths = ["A/db/2026-11-20T02-00-00Z.dump", PATH, PATH + ".age", "Shop/a/x.dump.age"]
    files = {name: content for path in paths for name, content in
             ((path, b"x"), (f"{path}.json", CATALOGUE))}  # fmt: skip
    bad = {"B/huge.zip": b" " * (CATALOGUE_LIMIT + 1), "B/list.zip": b"[]", "B/text.zip": b"\xff"}
    for path, content in bad.items():
        files.update({path: b"x", f"{path}.json": content})
    others = ("package.json", "x.zip", "gone.zip.json", f"{PATH}.1.part", f"{PATH}.1.part.json")
    files.update(dict.fromkeys(others, b"{}"))
    path = server.put(folder, files)
    os.symlink(".", os.path.join(path, "loop"))
    destination = SFTPDestination(**server.settings(folder))
    listed = dict(destination.catalogues())
    assert listed == {**dict.fromkeys(paths, {"run": OWNER}), **dict.fromkeys(bad)}
    assert list(listed) == [path for path, _catalogue in destination.catalogues()]


def test_a_folder_that_cannot_be_listed_is_a_failure_and_not_an_empty_one(destination):
    with pytest.raises(DestinationFailed, match="No such file"):
        list(destination.catalogues())


def test_a_large_folder_is_listed_whole(server, folder):
    files = {f"db/{number:04}.zip": b"" for number in range(1500)}
    path = server.put(
        folder, {**files, "db/0700.zip.json": CATALOGUE, "db/1499.zip.json": CATALOGUE}
    )
    destination = SFTPDestination(**server.settings(folder))
    assert [name for name, _ in destination.catalogues()] == ["db/0700.zip", "db/1499.zip"]
    shutil.rmtree(path)


def test_openssh_and_we_read_the_same(server, folder, tmp_path):
    content = os.urandom(3 * MB + 1)
    store(SFTPDestination(**server.settings(folder)), content=content)
    known = tmp_path / "known_hosts"
    known.write_text(
        f"[127.0.0.1]:{server.port} {servers_sftp.public_key(server.host_key_path())}\n"
    )
    command = ["sftp", "-q", "-P", str(server.port), "-i", server.key_path, "-b", "-",
               "-o", f"UserKnownHostsFile={known}", f"{server.user}@127.0.0.1"]  # fmt: skip
    batch = f"get {server.seen(folder)}/{PATH} {tmp_path}/fetched\n"
    subprocess.run(command, input=batch.encode(), check=True, capture_output=True)
    assert (tmp_path / "fetched").read_bytes() == content
