"""Statuses of servers, and of what stands in front of them: one table for all requests."""

import datetime
import email.utils
import re

import pytest
from engine.control import Control
from engine.errors import BackupError
from engine.sources import http_client, http_status, open_source
from fake_odoo import FakeOdoo

VERSION = "/web/webclient/version_info"
BACKUP = "/web/database/backup"
# Every request that a backup is made of.
QUESTIONS = (VERSION, "/web/database/manager", "/xmlrpc/2/db", "/web/database/list", BACKUP)
PASSING = {
    408: ("timeout", "408 Request Timeout"),
    425: ("connection_failed", "425 Too Early"),
    429: ("rate_limited", "429 Too Many Requests"),
    500: ("remote_error", "500 Internal Server Error"),
    502: ("connection_failed", "502 Bad Gateway. Odoo is down or restarting"),
    503: ("connection_failed", "503 Service Unavailable. Odoo is down"),
    504: ("proxy_timeout", "504 Gateway Timeout. The proxy gave up"),
    505: ("remote_error", "505 HTTP Version Not Supported"),
    507: ("remote_no_space", "507 Insufficient Storage. The disk of that server is full"),
    508: ("remote_error", "508 Loop Detected. The server is over a limit of its host"),
    520: ("connection_failed", "520 Unknown Error"),
    521: ("connection_failed", "521 Web Server Is Down. Odoo is down or restarting"),
    522: ("connection_failed", "522 Connection Timed Out. The proxy cannot reach"),
    523: ("connection_failed", "523 Origin Is Unreachable. The proxy cannot reach"),
    524: ("proxy_timeout", "524 A Timeout Occurred. The proxy gave up"),
    525: ("connection_failed", "525 TLS Handshake Failed"),
    526: ("connection_failed", "526 Invalid Certificate"),
    527: ("connection_failed", "527."),
    530: ("connection_failed", "530 Origin Not Resolved"),
    599: ("remote_error", "599."),
}
NOW = datetime.datetime.now(datetime.timezone.utc)


def replied(status, body=b"<html><title>Gateway</title></html>", **headers):
    return lambda handler: handler.reply(body, status, **headers)


def back_up(odoo):
    source = open_source({"connection": "http", **odoo.settings()}, Control())
    source.probe()
    source.fetch("tiny", "zip", True, lambda block: None)


def error_at(odoo, path, status, **headers):
    odoo.answers[path] = replied(status, **headers)
    if path == VERSION:
        odoo.answers["/web/version"] = odoo.answers[path]
    with pytest.raises(BackupError) as raised:
        back_up(odoo)
    return raised.value


@pytest.mark.parametrize("path", QUESTIONS)
@pytest.mark.parametrize(("status", "meaning"), PASSING.items())
def test_a_passing_status_is_named_and_tried_again_whatever_was_asked(odoo, path, status, meaning):
    code, text = meaning
    error = error_at(odoo, path, status)
    assert (error.code, error.retryable) == (code, True)
    assert re.search(rf"127\.0\.0\.1:{odoo.port} answered {text}", error.message)
    assert error.hint


def test_every_status_of_the_table_is_tested():
    assert set(http_status.PASSING) - {528, 529} <= set(PASSING)


@pytest.mark.parametrize("path", [path for path in QUESTIONS if "xmlrpc" not in path])
@pytest.mark.parametrize(
    ("status", "location", "told"),
    [
        (401, "", "401 Unauthorized. A login stands in front"),
        (302, "https://sso.example.com/auth?rd=x", "302 Found. .*https://sso.example.com."),
        (303, "https://sso.example.com/auth?rd=x", "303 See Other. .*https://sso.example.com."),
    ],
)
def test_a_login_in_front_is_named_with_status_and_address(odoo, path, status, location, told):
    error = error_at(odoo, path, status, **({"Location": location} if location else {}))
    assert (error.code, error.retryable) == ("proxy_refused", False)
    assert re.search(rf"127\.0\.0\.1:{odoo.port} answered {told}", error.message)
    assert "rd=x" not in error.message
    assert "/auth" not in error.message


def test_a_firewall_in_front_is_no_other_server(odoo):
    error = error_at(odoo, VERSION, 403)
    assert (error.code, error.retryable) == ("proxy_refused", False)
    assert "403 Forbidden. Something in front of Odoo refuses this machine" in error.message


def test_the_refusal_of_the_first_question_is_told_where_the_second_has_no_answer(odoo):
    """An Odoo 16 has no /web/version."""
    odoo.answers[VERSION] = replied(403)
    with pytest.raises(BackupError, match="403 Forbidden"):
        back_up(odoo)


def test_a_list_of_databases_that_is_closed_names_the_status(odoo):
    error = error_at(odoo, "/web/database/list", 403)
    assert error.code == "database_manager_disabled"
    assert "403 Forbidden" in error.message


@pytest.mark.parametrize("location", ["http://[", "/login", "http://127.0.0.1/login"])
def test_a_redirect_on_the_same_server_names_no_other(odoo, location):
    error = error_at(odoo, VERSION, 302, Location=location)
    assert error.code == "proxy_refused"
    assert "302 Found. It sends its visitors on to another page" in error.message


def test_what_odoo_itself_says_comes_before_its_status(odoo):
    page = b'<html><div class="alert alert-danger">Database backup error: no luck</div></html>'
    odoo.answers[BACKUP] = replied(500, page)
    with pytest.raises(BackupError, match="^no luck$"):
        back_up(odoo)


# --- Retry-After --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("", 0),
        (None, 0),
        ("²", 0),
        ("9" * 5000, http_client.MOST_RETRY_AFTER),
        ("Fri, 20 Nov 2020 10:00:00 GMT", 0),
        (email.utils.format_datetime(NOW + datetime.timedelta(days=9)), 3600),
        ("Fri, 31 Dec 9999 23:00:00 -2300", 0),
    ],
)
def test_how_long_a_server_wants_to_be_left_alone_is_bounded(header, seconds):
    assert http_client.retry_after(header) == seconds


def test_a_moment_is_so_many_seconds_away():
    # Not from NOW: that is when this module was loaded.
    now = datetime.datetime.now(datetime.timezone.utc)
    at = email.utils.format_datetime(now + datetime.timedelta(minutes=10))
    assert 0 < http_client.retry_after(at) <= 600


@pytest.mark.parametrize("status", [429, 503])
def test_the_pause_that_is_asked_for_goes_with_the_error(status):
    with FakeOdoo() as odoo:
        error = error_at(odoo, VERSION, status, **{"Retry-After": "90"})
    assert error.as_dict()["retry_after"] == 90


def test_an_error_without_a_pause_says_nothing_of_one(odoo):
    assert "retry_after" not in error_at(odoo, VERSION, 503).as_dict()
