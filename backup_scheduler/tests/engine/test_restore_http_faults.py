"""Restoring to an Odoo server over HTTP: what is told of failures, and waits that end."""

import fcntl
import socket
import termios
import time

import fake_odoo
import pytest
import restore_http_world as world
from engine.control import Control
from engine.errors import (
    BackupError,
    Cancelled,
    ConnectionFailed,
    DatabaseExists,
    ProxyRefused,
    ProxyTimeout,
    RemoteError,
    RemoteNoSpace,
    ServerDown,
    SourceTimeout,
    TimeLimit,
)
from engine.restore import http as http_module
from engine.sources import http_client
from fake_odoo import error_page, not_found
from restore_http_world import NAME, RESTORE, archive_of, hang_up, read_body, when_reached
from waiting import until

odoo, archive, back = world.odoo, world.archive, world.back


# --- refusals of the server ---------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 400, 500])
def test_the_servers_own_words_are_told(odoo, back, status):
    """With status 200 up to Odoo 19, with an error's status since."""
    page = error_page("Couldn&#39;t restore database", "restore")
    odoo.answers[RESTORE] = lambda handler: handler.reply(page, status)
    with pytest.raises(RemoteError, match="^Couldn't restore database$") as raised:
        back()
    assert "on the server now" not in raised.value.hint


def test_what_a_failed_restore_left_is_named(odoo, back):
    def half(handler):
        odoo.databases.append(NAME)
        handler.reply(error_page("Couldn't restore database", "restore"))

    odoo.answers[RESTORE] = half
    with pytest.raises(RemoteError) as raised:
        back()
    assert f"unfinished database {NAME!r} is on the server now" in raised.value.hint


def test_a_database_that_is_there_and_hidden_is_told(odoo, back):
    odoo.hidden = [NAME]
    with pytest.raises(DatabaseExists) as raised:
        back()
    assert "dbfilter" in raised.value.hint
    assert not raised.value.retryable


def test_a_redirect_to_elsewhere_is_no_success(odoo, back):
    odoo.answers[RESTORE] = lambda handler: handler.reply(b"", 303, Location="/web/login")
    with pytest.raises(RemoteError, match="303"):
        back()


def test_a_login_in_front_of_a_restore_is_told(odoo, back):
    sso = "https://sso.example.com/login"
    odoo.answers[RESTORE] = lambda handler: handler.reply(b"", 303, Location=sso)
    with pytest.raises(ProxyRefused, match=r"303 See Other.*https://sso\.example\.com"):
        back()


def test_a_full_disk_there_is_not_one_of_ours(odoo, back):
    page = error_page("[Errno 28] No space left on device: &#39;/tmp/x&#39;", "restore")
    odoo.answers[RESTORE] = lambda handler: handler.reply(page)
    with pytest.raises(RemoteNoSpace, match="The disk of that server is full: .*No space") as told:
        back()
    assert told.value.code == "remote_no_space"


# --- proxies, and servers that die --------------------------------------------------------------


@pytest.mark.parametrize("reads", [True, False], ids=["all was read", "nothing was read"])
def test_a_proxy_that_refuses_the_size_is_told(odoo, archive, back, reads):
    """nginx answers at once, and closes the connection while the file is still on its way."""
    archive.write_bytes(archive_of(b"SELECT 1;\n", bytes(30_000_000)))

    def too_large(handler):
        if reads:
            read_body(handler)
        handler.close_connection = True
        handler.reply(b"<html><title>413 Request Entity Too Large</title></html>", 413)
        handler.connection.shutdown(socket.SHUT_WR)
        # nginx closes later. A reset at once could overtake the answer.
        until(lambda: is_delivered(handler.connection))

    odoo.early[RESTORE] = too_large
    with pytest.raises(RemoteError, match="this size") as raised:
        back()
    assert "client_max_body_size" in raised.value.hint


def is_delivered(connection):
    """Return whether the client's machine has all that was sent to it."""
    left = fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4))
    return not any(left)


@pytest.mark.parametrize(
    ("status", "error", "hint"),
    [(502, ServerDown, "limit_time_real"), (504, ProxyTimeout, "proxy_read_timeout")],
)
def test_a_proxy_that_does_not_wait_is_told_and_what_the_server_goes_on_with(
    odoo, back, status, error, hint
):
    def given_up(handler):
        odoo.databases.append(NAME)
        handler.reply(b"<html><title>Gateway</title></html>", status)

    odoo.answers[RESTORE] = given_up
    with pytest.raises(error, match=str(status)) as raised:
        back()
    assert hint in raised.value.hint
    assert "It may still be worked on" in raised.value.hint


def test_a_server_that_dies_while_it_receives_is_told(odoo, archive, back):
    archive.write_bytes(archive_of(b"SELECT 1;\n", bytes(30_000_000)))
    odoo.early[RESTORE] = lambda handler: (handler.rfile.read(1_000_000), hang_up(handler))
    with pytest.raises(ConnectionFailed, match=r"broke after \d+ of 30000\d+ bytes") as raised:
        back()
    assert "on the server now" not in raised.value.hint


def test_a_worker_that_is_killed_in_the_middle_is_told_with_what_it_left(odoo, back):
    """Measured: SIGKILL of a prefork worker during psql; the database stays, half restored."""

    def killed(handler):
        odoo.databases.append(NAME)
        hang_up(handler)

    odoo.answers[RESTORE] = killed
    with pytest.raises(RemoteError, match="in the middle of the restore") as raised:
        back()
    assert "limit_time_real" in raised.value.hint
    assert f"unfinished database {NAME!r} is on the server now" in raised.value.hint


def test_a_server_that_dies_with_all_its_workers_may_have_left_something(odoo, back):
    def killed(handler):
        odoo.early = dict.fromkeys(fake_odoo.ROUTES, hang_up)
        hang_up(handler)

    odoo.answers[RESTORE] = killed
    with pytest.raises(RemoteError) as raised:
        back()
    assert f"may have left an unfinished database {NAME!r}" in raised.value.hint


# --- waits --------------------------------------------------------------------------------------


def test_an_answer_that_never_comes_is_given_up(odoo, back, monkeypatch):
    monkeypatch.setattr(http_module, "ANSWER_TIMEOUT", 0.2)
    odoo.answers[RESTORE] = odoo.hold
    with pytest.raises(SourceTimeout) as raised:
        back()
    assert "on the server now" not in raised.value.hint


def test_the_answer_may_take_longer_than_a_block_on_its_way(odoo, archive, back, monkeypatch):
    monkeypatch.setattr(http_client, "SEND_TIMEOUT", 0.2)
    # Small enough to be taken at once, however busy the server is.
    archive.write_bytes(archive_of(b"SELECT 1;\n", b""))
    normal = fake_odoo.ROUTES[RESTORE]
    odoo.answers[RESTORE] = lambda handler: (time.sleep(0.5), normal(handler))
    assert back()["database"] == NAME


def test_a_server_that_stops_receiving_is_given_up(odoo, archive, back, monkeypatch):
    monkeypatch.setattr(http_client, "SEND_TIMEOUT", 0.2)
    archive.write_bytes(archive_of(b"SELECT 1;\n", bytes(30_000_000)))
    odoo.early[RESTORE] = odoo.hold
    with pytest.raises(SourceTimeout):
        back()


@pytest.mark.parametrize("when", ["sending", "restoring"])
def test_cancelling_ends_every_wait_at_once(odoo, archive, back, when):
    archive.write_bytes(archive_of(b"SELECT 1;\n", bytes(30_000_000)))
    places = odoo.early if when == "sending" else odoo.answers
    places[RESTORE] = odoo.hold
    control = Control()
    when_reached(odoo, control.cancel)
    with pytest.raises(Cancelled) as raised:
        back(control)
    # Half an archive restores nothing; with a whole one, the server goes on by itself.
    assert ("may have left" in raised.value.hint) == (when == "restoring")


def test_the_time_limit_ends_the_wait(odoo, back):
    odoo.answers[RESTORE] = odoo.hold
    with pytest.raises(TimeLimit):
        back(Control(time_limit=0.5))


def test_every_failure_is_one_that_is_told_to_people(odoo, back):
    odoo.answers[RESTORE] = not_found
    with pytest.raises(BackupError, match="404"):
        back()
