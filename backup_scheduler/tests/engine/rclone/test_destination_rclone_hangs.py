"""Remotes of rclone when something hangs: no wait is without an end."""

import contextlib
import os
import signal
import threading

import places
import pytest
import servers_rclone
from engine.destinations import rclone_child, rclone_program, rclone_upload
from engine.destinations.rclone_remote import Remote
from engine.errors import DestinationFailed
from rclone_uploads import OWNER, PATH, begin, needs_rclone, reach, send
from waiting import PATIENCE, beside, joined

pytestmark = needs_rclone



@pytest.fixture
def hurried(monkeypatch):
    """A server that is silent for a second is given up by what writes an archive, and by it alone:
    whatever has to work beside it may take its time."""
    really_write = Remote.writer

    def writer(*arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rclone_program, "IDLE", 1)
            return really_write(*arguments)

    monkeypatch.setattr(Remote, "writer", writer)


@contextlib.contextmanager
def impatience():
    """Bounds of seconds instead of minutes, while nothing is to work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rclone_child, "STALL", 4)
        patch.setattr(rclone_child, "GRACE", 2)
        yield


def test_a_server_that_hangs_fails_the_upload_in_the_time_given(webdav, hurried):
    upload = begin(reach(webdav))
    with pytest.raises(DestinationFailed, match="timeout|timed out|closed|moved"), impatience():
        send(upload)
        webdav.stop()
        send(upload, 64)
        upload.flush()
    webdav.resume()
    upload.abort()


def test_an_rclone_that_hangs_is_ended(destination, root):
    upload = begin(destination)
    os.kill(upload._child._process.pid, signal.SIGSTOP)
    with pytest.raises(DestinationFailed, match="nothing has moved"), impatience():
        send(upload, 64)
    upload.abort()
    assert places.files(root) == []


def test_what_is_sent_after_an_abort_says_that_it_was_stopped(webdav, root):
    upload = begin(reach(webdav))
    send(upload)
    upload.abort()
    # As in a thread that was about to wait for it.
    with pytest.raises(DestinationFailed, match="stopped"):
        send(upload)


@pytest.mark.parametrize("state", ["writing", "flushing"])
def test_an_abort_ends_a_wait_for_a_server_that_hangs(webdav, root, monkeypatch, state):
    monkeypatch.setattr(rclone_upload, "ABORT_LIMIT", PATIENCE)
    upload = begin(reach(webdav))
    send(upload)
    webdav.stop()
    waiting, ended = threading.Event(), []
    step = "send" if state == "writing" else "finish"
    really_wait = getattr(upload._child, step)

    def wait(*arguments):
        waiting.set()
        return really_wait(*arguments)

    monkeypatch.setattr(upload._child, step, wait)

    def follow():
        try:
            send(upload, 64 if state == "writing" else 0)
            upload.flush()
        except DestinationFailed as error:
            ended.append(error)

    follower = beside(follow)
    assert waiting.wait(PATIENCE)
    aborting = beside(upload.abort)
    # The server hangs until that wait is over: then it is the abort that has ended it.
    joined(follower)
    assert "stopped" in ended[0].message
    webdav.resume()
    joined(aborting)
    assert servers_rclone.programs_running(PATH) == []
    reach(webdav).delete(PATH, OWNER)
    assert places.files(root) == []
