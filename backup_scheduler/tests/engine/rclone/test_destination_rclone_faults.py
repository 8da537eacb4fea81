"""Remotes of rclone when something breaks: what is told, and what is left there."""

import os

import places
import pytest
import servers_rclone
from engine.destinations.rclone import RcloneDestination
from engine.errors import DestinationFailed, NoSpace
from engine.spool import BLOCK
from rclone_uploads import CATALOGUE, CONTENT, OWNER, PATH, begin, needs_rclone, reach, send
from waiting import until

pytestmark = needs_rclone



def paths(root):
    return [os.path.join(root, name) for name in places.files(root)]


# --- what is told -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["webdav", "ftp"])
def test_a_wrong_password_is_told_as_such_and_nothing_is_written(root, kind):
    with (
        getattr(servers_rclone, kind)(root) as server,
        pytest.raises(DestinationFailed, match="401|530|[Aa]uth") as caught,
    ):
        reach(server, password="wrong horse").check()
    assert "refuses the user, password" in caught.value.hint
    assert places.files(root) == []


def test_a_server_that_is_down_is_told_as_such(webdav):
    webdav.kill()
    with pytest.raises(DestinationFailed, match="connection refused") as caught:
        reach(webdav).check()
    assert "reachable" in caught.value.hint


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    config = servers_rclone.folder_configuration(str(tmp_path / "file"))
    with pytest.raises(DestinationFailed, match="there:"):
        RcloneDestination(config, "there", "below").check()


def test_missing_rights_are_named(root):
    with servers_rclone.ftp(root, servers_rclone.NO_READING) as server:
        found = reach(server).check()
    assert found["rights"] == {"write": True, "list": True, "read": False, "delete": True}
    assert "cannot be read there" in found["warnings"][-1]
    with servers_rclone.ftp(root, servers_rclone.NO_DELETING) as server:
        found = reach(server).check()
    assert found["rights"] == {"write": True, "list": True, "read": True, "delete": False}
    assert "retention is off" in found["warnings"][-1]


# --- what is left -------------------------------------------------------------------------------


def test_a_server_that_is_killed_fails_the_upload_and_its_rest_goes_with_the_next(webdav, root):
    upload = begin(reach(webdav))
    send(upload)
    webdav.kill()
    with pytest.raises(DestinationFailed):
        for _block in range(64):
            upload.write(CONTENT)
        upload.flush()
    with pytest.raises(DestinationFailed):
        upload.abort()
    assert PATH not in places.files(root)
    webdav.start()
    upload = begin(reach(webdav), "run-1-2")
    send(upload)
    upload.flush()
    upload.commit(CATALOGUE)
    upload.abort()
    assert places.files(root) == [PATH, f"{PATH}.json"]


def test_a_server_that_is_killed_before_the_commit_gets_nothing_published(webdav, root):
    upload = begin(reach(webdav))
    send(upload)
    upload.flush()
    webdav.kill()
    with pytest.raises(DestinationFailed, match="connection refused"):
        upload.commit(CATALOGUE)
    with pytest.raises(DestinationFailed):
        upload.abort()
    assert [name for name in places.files(root) if not name.endswith(".part")] == []
    webdav.start()
    reach(webdav).delete(PATH, OWNER)
    assert places.files(root) == []


def test_a_process_that_is_killed_leaves_nothing_that_the_next_does_not_remove(destination, root):
    def work():
        upload = begin(destination)
        send(upload)
        until(lambda: places.files(root))
        return upload

    servers_rclone.killed_after(work)
    assert len(places.files(root)) == 1
    until(lambda: not servers_rclone.programs_running(PATH))
    assert PATH not in places.files(root)
    begin(destination, "run-1-2").abort()
    assert places.files(root) == []


def test_bytes_that_rot_before_the_commit_are_no_archive(destination, root):
    """Changed on the medium while the rest is on its way: the checksum at rest is another."""
    upload = begin(destination)
    send(upload)
    (part,) = until(lambda: [path for path in paths(root) if os.path.getsize(path) > BLOCK])
    with open(part, "r+b") as file:
        file.write(b"rotten")
    with pytest.raises(DestinationFailed, match="corrupted|does not hold"):
        upload.flush()
    upload.abort()
    assert places.files(root) == []


def test_a_checksum_of_another_stream_is_no_archive(destination, root):
    """What rclone compares may get lost in a version of it: ours is compared as well."""
    upload = begin(destination)
    send(upload)
    upload._checksum.update(b"more")
    with pytest.raises(DestinationFailed, match="does not hold the bytes"):
        upload.flush()
    upload.abort()
    assert places.files(root) == []


def test_an_archive_that_was_cut_before_the_commit_is_not_published(destination, root):
    upload = begin(destination)
    send(upload)
    upload.flush()
    (part,) = places.files(root)
    os.truncate(os.path.join(root, part), 5)
    with pytest.raises(DestinationFailed, match="5 bytes of the"):
        upload.commit(CATALOGUE)
    upload.abort()
    assert places.files(root) == []


def test_a_server_that_is_killed_while_an_archive_is_read_is_a_failure(webdav, root):
    destination = reach(webdav)
    upload = begin(destination)
    send(upload, 64)
    upload.flush()
    upload.commit(CATALOGUE)
    upload.abort()
    blocks = destination.read(PATH)
    next(blocks)
    webdav.kill()
    with pytest.raises(DestinationFailed, match="cannot be read|of its"):
        for _block in blocks:
            pass
    assert servers_rclone.programs_running(PATH) == []


if places.can_mount():

    @pytest.mark.parametrize("kind", ["folder", "ftp"])
    def test_a_disk_that_becomes_full_there_is_named_and_nothing_stays(root, kind):
        with places.tmpfs(root, 4 << 20):
            config = servers_rclone.folder_configuration(root)
            with servers_rclone.ftp(root) as server:
                config = server.configuration() if kind == "ftp" else config
                upload = begin(RcloneDestination(config, "there"))
                with pytest.raises(NoSpace if kind == "folder" else DestinationFailed):
                    send(upload, 16)
                    upload.flush()
                upload.abort()
            assert places.files(root) == []
