"""Remotes of rclone when something hangs: no wait is without an end."""

import os
import signal
import threading
import time

import places
import pytest
import servers_rclone
from engine.destinations import rclone_child, rclone_program
from engine.destinations.rclone import RcloneDestination
from engine.errors import DestinationFailed
from engine.spool import BLOCK

pytestmark = pytest.mark.skipif(not servers_rclone.installed(), reason="rclone is not installed")

PATH = "Shop/db/2026-11-20T02-00-00Z.zip"
OWNER = "uuid/1"
CONTENT = os.urandom(BLOCK)
# Seconds in which a failure that is found at once is told, also on a busy machine.
SOON = 20


@pytest.fixture
def root(tmp_path):
    (tmp_path / "archives").mkdir()
    return str(tmp_path / "archives")


@pytest.fixture
def webdav(root):
    with servers_rclone.webdav(root) as server:
        yield server


@pytest.fixture
def destination(root):
    return RcloneDestination(servers_rclone.folder_configuration(root), "there")


@pytest.fixture
def impatient(monkeypatch):
    """Bounds of seconds instead of minutes."""
    monkeypatch.setattr(rclone_program, "IDLE", 1)
    monkeypatch.setattr(rclone_child, "STALL", 4)
    monkeypatch.setattr(rclone_child, "GRACE", 2)


def reach(server, **options):
    return RcloneDestination(server.configuration(**options), "there")


def begin(destination, attempt="run-1-1"):
    return destination.begin(PATH, OWNER, attempt)


def send(upload, blocks=4):
    for _block in range(blocks):
        upload.write(CONTENT)


def test_a_server_that_hangs_fails_the_upload_in_the_time_given(webdav, impatient):
    upload = begin(reach(webdav))
    send(upload)
    webdav.stop()
    started = time.monotonic()
    with pytest.raises(DestinationFailed, match="timeout|timed out|closed|moved"):
        for _block in range(64):
            upload.write(CONTENT)
        upload.flush()
    assert time.monotonic() - started < SOON
    webdav.resume()
    upload.abort()


def test_an_rclone_that_hangs_is_ended(destination, root, impatient):
    upload = begin(destination)
    os.kill(upload._child._process.pid, signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(DestinationFailed, match="nothing has moved"):
        send(upload, 64)
    assert time.monotonic() - started < SOON + rclone_child.STALL
    upload.abort()
    assert places.files(root) == []


@pytest.mark.parametrize("state", ["writing", "flushing"])
def test_an_abort_ends_a_wait_for_a_server_that_hangs(webdav, root, state):
    upload = begin(reach(webdav))
    send(upload)
    webdav.stop()
    ended = []

    def follow():
        try:
            send(upload, 64 if state == "writing" else 0)
            upload.flush()
        except DestinationFailed as error:
            ended.append(error)

    follower = threading.Thread(target=follow)
    follower.start()
    time.sleep(1)
    webdav.resume_after(2)
    upload.abort()
    follower.join(SOON)
    assert not follower.is_alive() and "stopped" in ended[0].message
    assert servers_rclone.programs_running(PATH) == []
    reach(webdav).delete(PATH, OWNER)
    assert places.files(root) == []
