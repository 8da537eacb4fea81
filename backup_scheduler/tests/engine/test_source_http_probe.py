"""Asking an Odoo server before anything is done there: each reason why a backup cannot be made."""

import contextlib
import datetime
import json
import xmlrpc.client

import pytest
from engine.control import Control
from engine.errors import (
    BackupError,
    Cancelled,
    ConnectionFailed,
    DatabaseManagerDisabled,
    InsecureRemote,
    NotOdoo,
    WrongMasterPassword,
)
from engine.sources import open_source
from engine.sources.http_client import moment
from fake_odoo import (
    PASSWORD,
    PROTECTED,
    UNPROTECTED,
    FakeOdoo,
    error_page,
    json_rpc,
    not_found,
    page,
    rpc_answer,
    version_since_19,
)
from waiting import PATIENCE, beside


@pytest.fixture
def insecure():
    with FakeOdoo(insecure=True) as server:
        yield server


def source(odoo, control=None, **settings):
    order = {"connection": "http", **odoo.settings(**settings)}
    return open_source(order, control or Control())


def probe(odoo, **settings):
    return source(odoo, **settings).probe()


def html(body, status=200):
    return lambda handler: handler.reply(body, status)


def redirected(handler):
    handler.reply(b"", 303, Location="https://sso.example.com/login?next=secret")


def closed(handler):
    handler.reply(b"<html><title>403 Forbidden</title></html>", 403)


# --- servers that can be backed up --------------------------------------------------------------


def test_a_server_tells_its_version_and_its_databases(odoo):
    odoo.databases = ["zeta", "alpha", "My Database", "größe"]
    server = probe(odoo)
    assert server.version == "19.0"
    assert server.databases == ("My Database", "alpha", "größe", "zeta")


def test_the_servers_clock_is_what_its_answer_says_in_utc(odoo):
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    clock = probe(odoo).clock
    assert before <= clock <= datetime.datetime.now(datetime.timezone.utc)
    assert clock.utcoffset() == datetime.timedelta(0)


@pytest.mark.parametrize(
    ("date", "clock"),
    [
        ("Sat, 21 Nov 2026 13:00:00 GMT", "2026-11-21T13:00:00+00:00"),
        ("Sat, 21 Nov 2026 15:00:00 +0200", "2026-11-21T13:00:00+00:00"),
        ("Sat, 21 Nov 2026 13:00:00 -0000", "2026-11-21T13:00:00+00:00"),
        ("Sat, 99 Nov 2026 13:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:00:00 -2300", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a_clock_that_cannot_be_read_is_none_at_all(date, clock):
    assert moment(date) == (clock and datetime.datetime.fromisoformat(clock))


def test_probing_asks_for_no_backup(odoo):
    probe(odoo)
    assert odoo.backup_forms() == []


def test_since_odoo_19_the_version_stands_at_a_new_address(odoo):
    odoo.answers["/web/webclient/version_info"] = not_found
    odoo.answers["/web/version"] = version_since_19
    assert probe(odoo).version == "20.0"


@pytest.mark.parametrize(
    "answer",
    [
        not_found, closed, html(b"<html>not XML-RPC</html>"), html(b""), html(b"", 401),
        html(b"", 405), html(b"", 501), redirected,
    ],
    ids=["404", "403", "a page", "nothing", "401", "405", "501", "303"],
)  # fmt: skip
def test_a_closed_xml_rpc_leaves_the_page_to_tell_that_the_server_is_protected(odoo, answer):
    """A proxy may close it."""
    odoo.answers["/xmlrpc/2/db"] = answer
    assert probe(odoo).databases == ("tiny",)


def test_a_page_that_is_not_utf_8_is_read_all_the_same(odoo):
    odoo.answers["/web/database/manager"] = html(page("gr\xf6\xdfe").decode().encode("latin-1"))
    assert probe(odoo).databases == ("tiny",)


def test_a_page_with_a_thousand_databases_is_read_to_its_end(odoo):
    rows = "<div class='list-group-item'>some-database" + " " * 1300 + "</div>"
    odoo.answers["/web/database/manager"] = html(page(rows * 1000))
    assert probe(odoo).databases == ("tiny",)


# --- a server that is not protected -------------------------------------------------------------


def test_a_server_with_the_default_password_is_refused_and_no_password_is_sent_there(insecure):
    with pytest.raises(InsecureRemote) as raised:
        probe(insecure)
    assert not insecure.sent(PASSWORD)
    assert not insecure.sent("admin")
    assert insecure.master_password == "admin"
    assert not raised.value.retryable


@pytest.mark.parametrize(
    "shown",
    [
        UNPROTECTED,
        # Odoo 14 as resellers sell it, and the two halves of the page each alone.
        UNPROTECTED.replace("Odoo", "GalexERP"),
        UNPROTECTED.replace("is not protected", "n'est pas protégé"),
        PROTECTED + UNPROTECTED[UNPROTECTED.index("<div") :],
    ],
    ids=["Odoo", "renamed", "translated", "warning alone"],
)
def test_each_sign_that_a_server_is_not_protected_is_enough(insecure, shown):
    insecure.answers["/web/database/manager"] = html(page("", shown))
    insecure.answers["/xmlrpc/2/db"] = not_found
    with pytest.raises(InsecureRemote):
        probe(insecure)
    assert not insecure.sent(PASSWORD)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (page("", UNPROTECTED)[:60], ConnectionFailed),
        (b"", ConnectionFailed),
        (b"<html><title>Log in with your company account</title></html>", DatabaseManagerDisabled),
    ],
    ids=["cut", "empty", "somebody's login"],
)
def test_a_page_that_does_not_prove_protection_is_not_believed(insecure, body, error):
    """With XML-RPC closed too, the backup would set the server's master password."""
    insecure.answers["/web/database/manager"] = html(body)
    insecure.answers["/xmlrpc/2/db"] = not_found
    with pytest.raises(error):
        probe(insecure)
    assert not insecure.sent(PASSWORD)


def test_a_page_that_is_no_page_is_not_believed(insecure):
    insecure.answers["/web/database/manager"] = json_rpc({"error": "try later"})
    insecure.answers["/xmlrpc/2/db"] = not_found
    with pytest.raises(BackupError):
        probe(insecure)
    assert not insecure.sent(PASSWORD)


def test_a_server_that_may_keep_its_default_password_is_only_ever_sent_that_one(insecure):
    asked = source(insecure, allow_insecure=True)
    assert asked.probe().databases == ("tiny",)
    asked.fetch("tiny", "zip", True, lambda block: None)
    assert not insecure.sent(PASSWORD)
    assert [form["master_pwd"] for form in insecure.backup_forms()] == ["admin"]
    assert insecure.master_password == "admin"


def test_a_default_password_that_the_page_does_not_show_is_found_by_its_use(odoo):
    """The page of a reseller that shows no warning, and the user entered the default."""
    odoo.master_password = "admin"
    with pytest.raises(InsecureRemote):
        probe(odoo, master_password="admin")
    assert probe(odoo, master_password="admin", allow_insecure=True).databases == ("tiny",)


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["wrong", "", None, "admin", "sécret & <b>"])
def test_a_wrong_master_password_is_told(odoo, password):
    with pytest.raises(WrongMasterPassword):
        probe(odoo, master_password=password)
    assert odoo.backup_forms() == []


def test_a_database_manager_that_is_switched_off_is_told(odoo):
    odoo.list_db = False
    with pytest.raises(DatabaseManagerDisabled, match="switched off"):
        probe(odoo)
    assert not odoo.sent(PASSWORD)


@pytest.mark.parametrize("status", [403, 404, 303])
def test_a_database_manager_that_a_proxy_closed_is_told(odoo, status):
    odoo.answers["/web/database/manager"] = html(b"<html>closed</html>", status)
    with pytest.raises(DatabaseManagerDisabled, match=str(status)):
        probe(odoo)
    assert not odoo.sent(PASSWORD)


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc": "2.0", "error": {"code": 200, "message": "Odoo Server Error"}}',
        b'{"jsonrpc": "2.0", "result": null}',
        b"<html>no</html>",
        b"[]",
        b"",
    ],
    ids=["denied", "null", "page", "list", "nothing"],
)
def test_a_list_of_databases_that_is_denied_is_told(odoo, body):
    odoo.answers["/web/database/list"] = html(body)
    with pytest.raises(DatabaseManagerDisabled, match="does not list"):
        probe(odoo)


def test_a_fault_that_refuses_no_password_only_closes_this_way_of_asking(odoo):
    """It is asked for other things afterwards, and they tell what is wrong."""

    def fault(handler):
        text = "Traceback (most recent call last):\n  File ...\nOperationalError: too many clients"
        rpc_answer(handler, xmlrpc.client.Fault(1, text))

    odoo.answers["/xmlrpc/2/db"] = fault
    assert probe(odoo).databases == ("tiny",)


def test_a_server_without_databases_has_none(odoo):
    odoo.databases = []
    assert probe(odoo).databases == ()


# --- what is not an Odoo ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        not_found,
        html(b"<html>Welcome to nginx!</html>"),
        html(b"\xff\xfe\x00garbage"),
        html(b"[1, 2]"),
        html(b'"text"'),
        json_rpc("text"),
        json_rpc({}),
        ],
    ids=["404", "nginx", "bytes", "list", "text", "rpc text", "rpc empty"],
)
def test_a_web_server_that_is_not_odoo_is_told(odoo, answer):
    odoo.answers["/web/webclient/version_info"] = odoo.answers["/web/version"] = answer
    status = "404 Not Found" if answer is not_found else "200 OK"
    with pytest.raises(NotOdoo, match=rf"127\.0\.0\.1:{odoo.port} is not Odoo.* {status}"):
        probe(odoo)
    assert not odoo.sent(PASSWORD)


# --- the backup's own refusals ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Access Denied", "wrong_master_password"),
        ("Database 'tiny' is not known", "unknown_database"),
        ("Database &#39;tiny&#39; is not known", "unknown_database"),
        (
            "connection to server at &#34;db&#34;, port 5432 failed: FATAL: database "
            "&#34;tiny&#34; does not exist",
            "unknown_database",
        ),
        ('FATAL:  database "tiny" does not exist\n', "unknown_database"),
        ("Command `pg_dump` not found.", "remote_error"),
        ("[Errno 28] No space left on device", "remote_no_space"),
        (
            "could not extend file &#34;base/16384/2619&#34;: No space left on device",
            "remote_no_space",
        ),
    ],
)
def test_the_page_that_comes_instead_of_a_backup_is_read(odoo, text, code):
    odoo.databases = ["another"]
    odoo.answers["/web/database/backup"] = html(error_page(text))
    with pytest.raises(BackupError) as raised:
        source(odoo).fetch("tiny", "zip", True, lambda block: None)
    assert raised.value.code == code
    if code == "remote_error":
        assert raised.value.message == text
    if code == "remote_no_space":
        assert raised.value.message.startswith("The disk of that server is full: ")
        assert "not on this one" in raised.value.hint


@pytest.mark.parametrize(
    ("body", "status", "code", "text"),
    [
        (b"<html><title>Please log in</title></html>", 200, "remote_error", "200 OK .text/html."),
        (b"", 200, "remote_error", "200"),
        (error_page("Access Denied"), 400, "wrong_master_password", "Access Denied"),
        (error_page("database x does not exist"), 404, "unknown_database", "'tiny'"),
        (b"<html>", 403, "database_manager_disabled", "403"),
        (b"<html>", 404, "database_manager_disabled", "404"),
        (b"<title>Internal</title>", 500, "remote_error", "500 Internal Server Error"),
        (b"\xe9\xff", 503, "connection_failed", "503"),
    ],
)
def test_other_answers_to_a_backup_are_told(odoo, body, status, code, text):
    odoo.databases = ["another"]
    odoo.answers["/web/database/backup"] = html(body, status)
    with pytest.raises(BackupError, match=text) as raised:
        source(odoo).fetch("tiny", "zip", True, lambda block: None)
    assert raised.value.code == code


@pytest.mark.parametrize("status", [200, 302, 400, 403, 404, 418, 500, 502, 503])
@pytest.mark.parametrize("kind", ["text/html", "text/plain", "application/json"])
def test_what_a_server_says_that_is_no_odoo_is_read_by_nobody(odoo, status, kind):
    """Whoever enters an address is not to read what answers there, behind the firewall perhaps."""

    def answer(handler):
        body = b"<html><title>internal-token</title><p>internal-token</p></html>"
        handler.send_response(status, "internal-token")
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    asked = source(odoo)
    questions = {
        "/web/webclient/version_info": asked.probe,
        "/web/version": asked.probe,
        "/web/database/manager": asked.probe,
        "/xmlrpc/2/db": asked.probe,
        "/web/database/list": asked.probe,
        "/web/database/backup": lambda: asked.fetch("tiny", "zip", True, lambda block: None),
    }
    for path, ask in questions.items():
        odoo.answers = {path: answer}
        with contextlib.suppress(BackupError):
            ask()
            continue
        with pytest.raises(BackupError) as raised:
            ask()
        assert "internal-token" not in json.dumps(raised.value.as_dict())


def test_a_question_that_is_cancelled_says_cancelled_and_not_that_this_is_no_odoo(odoo):
    """The headers are here and the body is not: an interrupted read looks like its end."""

    def half(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.end_headers()
        odoo.hold(handler)

    for path in ("/web/webclient/version_info", "/web/database/manager", "/web/database/list"):
        odoo.answers = {path: half}
        odoo.reached.clear()
        control = Control()
        beside(cancel_when_reached, odoo, control)
        with pytest.raises(Cancelled):
            source(odoo, control).probe()


def cancel_when_reached(odoo, control):
    odoo.reached.wait(PATIENCE)
    control.cancel()
