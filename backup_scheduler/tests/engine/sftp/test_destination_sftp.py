"""The SFTP destination, against OpenSSH: what has the final name is complete, ours, and at rest."""

import json
import os
import stat

import places
import pytest
import servers_sftp
from engine.destinations.sftp import SFTPDestination
from engine.errors import DestinationFailed
from sftp_uploads import (
    CATALOGUE,
    CONTENT,
    EXTENSIONS,
    MB,
    OWNER,
    PATH,
    is_part,
    store,
    uploading,
)

NEITHER_FILE = pytest.mark.parametrize(
    "existing",
    [
        {"": b"somebody's"},
        {"": b"somebody's", ".json": b'{"run": "uuid/2"}'},
        {".json": b'{"run": "uuid/2"}'},
        {"": b"somebody's", ".json": b"not json"},
        {"": b"somebody's", ".json": b"[]"},
    ],
    ids=["no catalogue", "another's", "its catalogue alone", "not JSON", "a list"],
)
# Writes, and is killed before it can clean up.
KILLED = """
import json, os, signal, sys
from engine.destinations.sftp import SFTPDestination
upload = SFTPDestination(**json.loads(sys.argv[1])).begin(sys.argv[2], "uuid/1", "killed")
upload.write(bytes(1 << 20))
upload.flush()
print("written", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with servers_sftp.sftp_server(
        str(tmp_path_factory.mktemp("plain")), without=EXTENSIONS
    ) as server:
        yield server


@pytest.fixture(params=["server", "plain"], ids=["openssh", "plain"])
def each_server(request):
    return request.getfixturevalue(request.param)


# --- the way of an archive ----------------------------------------------------------------------


def test_before_the_commit_there_is_no_final_name(destination, root):
    with uploading(destination) as upload:
        upload.write(CONTENT)
        upload.flush()
        assert list(places.contents(root).values()) == [CONTENT]
        assert is_part(root)
    assert places.files(root) == []


@pytest.mark.parametrize("size", [0, 7, 5 * MB + 3])
def test_a_commit_publishes_the_archive_with_its_catalogue_beside_it(each_server, folder, size):
    content = os.urandom(size)
    destination = SFTPDestination(**each_server.settings(folder))
    store(destination, content)
    root = os.path.join(each_server.home, folder)
    assert places.contents(root) == {PATH: content, f"{PATH}.json": CATALOGUE}
    assert b"".join(destination.read(PATH)) == content
    assert destination.stat(PATH) == size


def test_what_is_stored_is_for_its_account_only(destination, root):
    store(destination)
    for place, _folders, names in os.walk(root):
        assert stat.S_IMODE(os.stat(place).st_mode) == 0o700
        for name in names:
            assert stat.S_IMODE(os.stat(os.path.join(place, name)).st_mode) == 0o600


def test_a_block_may_be_used_again_when_it_was_written(destination, root):
    block = bytearray(MB)
    with uploading(destination) as upload:
        for number in range(3):
            block[:] = bytes([number]) * MB
            upload.write(memoryview(block))
        upload.flush()
        upload.commit(CATALOGUE)
    assert places.contents(root)[PATH] == bytes(MB) + b"\x01" * MB + b"\x02" * MB


def test_an_abort_may_come_twice_and_after_a_commit(destination, root):
    with uploading(destination) as upload:
        upload.write(CONTENT)
        upload.abort()
    assert places.files(root) == []
    store(destination)
    assert sorted(places.contents(root)) == [PATH, f"{PATH}.json"]


def test_a_commit_replaces_what_an_earlier_attempt_of_the_run_published(each_server, folder):
    destination = SFTPDestination(**each_server.settings(folder))
    root = each_server.put(folder, {PATH: b"lost attempt's", f"{PATH}.json": CATALOGUE})
    store(destination)
    assert places.contents(root) == {PATH: CONTENT, f"{PATH}.json": CATALOGUE}


def test_deleting_removes_the_archive_its_catalogue_and_unfinished_attempts(server, folder):
    destination = SFTPDestination(**server.settings(folder))
    other = dict.fromkeys(
        ("Shop/db/other.zip", "Shop/db/other.zip.1.part", f"{PATH}.age.1.part"), b""
    )
    own = {PATH: b"x", f"{PATH}.json": CATALOGUE, f"{PATH}.1.part": b"", f"{PATH}.1.part.json": b""}
    root = server.put(folder, {**other, **own})
    destination.delete(PATH, OWNER)
    assert places.contents(root) == other
    destination.delete(PATH, OWNER)
    destination.delete("Never/there/x.zip", OWNER)
    assert places.contents(root) == other


# --- what is not ours ---------------------------------------------------------------------------


@NEITHER_FILE
@pytest.mark.parametrize("way", ["begin", "delete"])
def test_what_another_wrote_is_refused(server, folder, existing, way):
    destination = SFTPDestination(**server.settings(folder))
    root = server.put(folder, {PATH + ending: content for ending, content in existing.items()})
    before = places.contents(root)
    with pytest.raises(DestinationFailed, match="not written by this run"):
        getattr(destination, way)(*((PATH, OWNER, "1") if way == "begin" else (PATH, OWNER)))
    assert places.contents(root) == before


@NEITHER_FILE
def test_what_another_wrote_meanwhile_is_refused_at_the_end(server, folder, existing):
    files = {PATH + ending: content for ending, content in existing.items()}
    with uploading(SFTPDestination(**server.settings(folder))) as upload:
        upload.write(CONTENT)
        upload.flush()
        root = server.put(folder, files)
        with pytest.raises(DestinationFailed, match="not written by this run"):
            upload.commit(CATALOGUE)
    assert places.contents(root) == files


@pytest.mark.parametrize(
    "path", ["../x", "/etc/x", "a/../../x", ".", "", "a/..", "..", "a/../../archives"]
)
@pytest.mark.parametrize("root", ["", "archives", "/archives"])
def test_a_path_that_leads_out_of_the_folder_is_refused(path, root):
    destination = SFTPDestination(host="nowhere.invalid", user="u", password="p", path=root)
    with pytest.raises(DestinationFailed, match="leads out of"):
        destination.stat(path)


# --- other attempts -----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["begin", "delete"])
def test_what_a_killed_upload_left_is_removed(server, folder, destination, root, way):
    with pytest.raises(AssertionError):
        places.run_python(KILLED, json.dumps(server.settings(folder)), PATH)
    assert is_part(root, "killed")
    if way == "begin":
        store(destination)
        assert places.files(root) == [PATH, f"{PATH}.json"]
    else:
        destination.delete(PATH, OWNER)
        assert places.files(root) == []


def test_of_two_attempts_at_one_path_the_later_one_is_published_whole(destination, root):
    """The lease lets one live; an abandoned one that goes on publishes nothing."""
    with uploading(destination, "abandoned") as first, uploading(destination, "later") as second:
        first.write(b"abandoned")
        second.write(CONTENT)
        first.flush()
        second.flush()
        with pytest.raises(DestinationFailed, match="No such file"):
            first.commit(CATALOGUE)
        first.abort()
        second.commit(CATALOGUE)
    assert places.contents(root) == {PATH: CONTENT, f"{PATH}.json": CATALOGUE}


def test_an_abandoned_attempt_leaves_what_the_later_one_published(destination, root):
    with uploading(destination, "abandoned") as first:
        first.write(b"abandoned")
        store(destination, attempt="later")
        first.flush()
        with pytest.raises(DestinationFailed):
            first.commit(CATALOGUE)
    assert places.contents(root) == {PATH: CONTENT, f"{PATH}.json": CATALOGUE}


def test_two_destinations_may_lead_to_one_folder(destination, root):
    """One of them stores nothing, and the archive of the other one stays."""
    with uploading(destination) as first, uploading(destination) as second:
        for upload in (first, second):
            upload.write(CONTENT)
            upload.flush()
        with pytest.raises(DestinationFailed):
            first.commit(CATALOGUE)
        second.commit(CATALOGUE)
        first.abort()
    assert places.contents(root) == {PATH: CONTENT, f"{PATH}.json": CATALOGUE}


def test_an_encrypted_archive_of_the_same_moment_is_another_one(destination, root):
    with uploading(destination, path=PATH + ".age") as encrypted, uploading(destination) as plain:
        for upload in (encrypted, plain):
            upload.write(CONTENT)
            upload.flush()
            upload.commit(CATALOGUE)
    assert places.contents(root).keys() == {PATH, f"{PATH}.json", f"{PATH}.age", f"{PATH}.age.json"}
