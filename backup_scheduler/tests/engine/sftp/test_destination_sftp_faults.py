"""The SFTP destination on a server that fails: it ends in time, and nothing unfinished stays."""

import contextlib
import os
import signal
import threading

import places
import pytest
import servers_sftp
from engine.destinations import sftp_protocol, sftp_session, sftp_upload
from engine.destinations.sftp import SFTPDestination
from engine.errors import Damaged, DestinationFailed, NoSpace
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
from waiting import PATIENCE, beside, joined, until


def write_until_it_fails(upload, count=64):
    for _time in range(count):
        upload.write(bytes(MB))
    upload.flush()


def test_a_connection_that_is_lost_is_a_failure_and_nothing_stays(server, destination, root):
    with uploading(destination) as upload:
        upload.write(bytes(MB))
        server.signal_sessions(signal.SIGKILL)
        with pytest.raises(DestinationFailed, match=r"The connection to .* was lost"):
            write_until_it_fails(upload)
        assert is_part(root)
    assert places.files(root) == []


def test_a_part_whose_making_was_never_answered_may_be_there(
    server, destination, root, monkeypatch
):
    create = sftp_protocol.Protocol.create

    def lose(protocol, path):
        create(protocol, path)
        server.signal_sessions(signal.SIGKILL)
        raise EOFError

    monkeypatch.setattr(sftp_protocol.Protocol, "create", lose)
    with pytest.raises(DestinationFailed, match="was lost") as failed:
        destination.begin(PATH, OWNER, "run-1")
    assert is_part(root)
    assert failed.value.in_order is False


def test_a_connection_that_is_lost_before_the_commit_leaves_nothing(server, destination, root):
    with uploading(destination) as upload:
        upload.write(CONTENT)
        upload.flush()
        server.signal_sessions(signal.SIGKILL)
        with pytest.raises(DestinationFailed):
            upload.commit(CATALOGUE)
    assert places.files(root) == []


@pytest.mark.parametrize("step", [1, 2])
def test_a_connection_that_is_lost_at_a_rename_leaves_nothing(
    server, destination, root, monkeypatch, step
):
    """The catalogue is renamed first, the archive second; both are carried out by the server."""
    with uploading(destination) as upload:
        upload.write(CONTENT)
        upload.flush()
        protocol, steps = upload._place.sftp, []
        rename = protocol.rename

        def lose(part, path):
            rename(part, path)
            steps.append(path)
            if len(steps) == step:
                server.signal_sessions(signal.SIGKILL)
                raise EOFError

        monkeypatch.setattr(protocol, "rename", lose)
        with pytest.raises(DestinationFailed, match="was lost"):
            upload.commit(CATALOGUE)
    assert places.files(root) == []


def test_a_server_that_is_gone_costs_nothing_but_time(tmp_path, folder):
    with servers_sftp.sftp_server(str(tmp_path / "sftp")) as server:
        destination = SFTPDestination(**server.settings(folder))
        upload = destination.begin(PATH, OWNER, "lost")
        upload.write(bytes(MB))
        server.stop()
        with pytest.raises(DestinationFailed):
            write_until_it_fails(upload)
        with pytest.raises(DestinationFailed, match="Connection refused"):
            upload.abort()
        root = os.path.join(server.home, folder)
        assert is_part(root, "lost")
        server.start()
        store(destination, attempt="next")
        assert places.contents(root) == {PATH: CONTENT, f"{PATH}.json": CATALOGUE}


@contextlib.contextmanager
def hanging(server):
    server.signal_sessions(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal_sessions(signal.SIGCONT)


def test_a_server_that_hangs_is_given_up(server, destination, root, monkeypatch):
    with uploading(destination) as upload:
        upload.write(bytes(MB))
        with hanging(server):
            with (
                pytest.raises(DestinationFailed, match="took no byte for 1 s|said nothing for 1 s"),
                monkeypatch.context() as patch,
            ):
                patch.setattr(sftp_session, "STALL_TIMEOUT", 1)
                upload._place.patient(1)
                write_until_it_fails(upload)
            upload.abort()
            assert places.files(root) == []
    assert places.files(root) == []


def test_a_server_that_hangs_at_the_end_is_given_up(server, destination, root, monkeypatch):
    monkeypatch.setattr(sftp_upload, "SYNC_TIMEOUT", 1)
    with uploading(destination) as upload:
        upload.write(CONTENT)
        upload._place.sftp.finish_writes()
        with hanging(server), pytest.raises(DestinationFailed, match="said nothing for 1 s"):
            upload.flush()
    assert places.files(root) == []


def test_an_abort_ends_a_write_that_hangs(server, destination, root, monkeypatch):
    monkeypatch.setattr(sftp_upload, "ENDING", PATIENCE)
    with uploading(destination) as upload, hanging(server):
        failed = []

        def keep_writing():
            try:
                # In one go, of which no server takes the whole before it has answered.
                upload.write(bytes(64 * MB))
            except DestinationFailed as error:
                failed.append(error)

        writer = beside(keep_writing)
        until(upload._busy.locked)
        upload.abort()
        joined(writer)
        assert failed
        assert places.files(root) == []
    # What the server does late is done when it serves nobody any more.
    until(lambda: not server.sessions())
    assert places.files(root) == []


def test_an_abort_does_not_wait_long_for_a_server_that_hangs(
    server, destination, root, monkeypatch
):
    monkeypatch.setattr(sftp_upload, "REMOVE_TIMEOUT", 1)
    upload = destination.begin(PATH, OWNER, "run-1")
    with hanging(server), pytest.raises(DestinationFailed, match="said nothing for 1 s"):
        upload.abort()
    destination.delete(PATH, OWNER)
    assert places.files(root) == []


def test_bytes_that_are_missing_at_the_end_are_found(destination, root):
    with uploading(destination) as upload:
        upload.write(bytes(MB))
        upload.flush()
        os.truncate(os.path.join(root, places.files(root)[0]), 1000)
        with pytest.raises(Damaged, match="has 1000 bytes; 1048576 were written"):
            upload.commit(CATALOGUE)
    assert places.files(root) == []


def test_no_thread_and_no_connection_is_left(server, destination):
    until(lambda: not server.sessions())
    threads = threading.active_count()
    store(destination)
    with pytest.raises(DestinationFailed):
        destination.delete(PATH, "uuid/2")
    next(destination.read(PATH))
    list(destination.catalogues())
    until(lambda: threading.active_count() <= threads and not server.sessions())


if places.can_mount():

    @pytest.mark.parametrize("without", ["", EXTENSIONS], ids=["openssh", "plain"])
    def test_a_disk_that_becomes_full_fails_and_nothing_stays(tmp_path, without):
        home = str(tmp_path / "sftp" / "jail" / "home")
        with (
            places.tmpfs(home, 4 * MB),
            servers_sftp.sftp_server(str(tmp_path / "sftp"), without=without) as server,
        ):
            destination = SFTPDestination(**server.settings())
            with uploading(destination) as upload:
                with pytest.raises(DestinationFailed if without else NoSpace) as raised:
                    write_until_it_fails(upload)
                told = raised.value.hint if without else raised.value.message
                assert "full" in told
            assert places.files(home) == []
            store(destination)
            assert places.contents(home)[PATH] == CONTENT

    def test_a_disk_that_is_full_at_the_commit_leaves_nothing(tmp_path):
        home = str(tmp_path / "sftp" / "jail" / "home")
        with (
            places.tmpfs(home, 1 * MB),
            servers_sftp.sftp_server(str(tmp_path / "sftp")) as server,
        ):
            destination = SFTPDestination(**server.settings())
            free = destination.check()["free"]
            assert 0 < free < MB, free
            with pytest.raises(NoSpace, match=r"has 1\.0 MB free|has \d+\.\d kB free"):
                destination.check_space(MB)
            destination.check_space(free // 2)
            with uploading(destination) as upload:
                upload.write(bytes(free // 4096 * 4096 - 8192))
                upload.flush()
                with pytest.raises(NoSpace):
                    upload.commit(CATALOGUE + bytes(3 * 4096))
            assert places.files(home) == [".backup_scheduler"]
