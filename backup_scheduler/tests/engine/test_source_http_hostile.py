"""Servers that answer to do harm: what they send is read in linear time, and within bounds."""

import json

import pytest
from bounded import run_bounded
from engine.control import Control
from engine.errors import (
    BackupError,
    DatabaseManagerDisabled,
    NotOdoo,
    RemoteError,
    WrongMasterPassword,
)
from engine.sources import http_answers as answers
from engine.sources import open_source
from fake_odoo import PASSWORD, FakeOdoo, json_rpc

VERSION, MANAGER = "/web/webclient/version_info", "/web/database/manager"
LIST, RPC, BACKUP = "/web/database/list", "/xmlrpc/2/db", "/web/database/backup"
SIZE = 4 << 20


@pytest.mark.parametrize(
    ("reader", "unit"),
    [
        ("has_default_password", 'name="master_pwd"'),
        ("page_message", '<div class="alert-danger'),
        ("page_message", '<div class="alert-danger">'),
        ("page_message", "<div"),
        ("page_message", '<div class="alert-danger">' + "<" * 100),
        ("page_message", "&#9"),
        ("rpc_error", '{"error":'),
    ],
)
def test_a_page_is_read_in_linear_time(reader, unit):
    code = (
        "import sys; from engine.sources import http_answers as answers\n"
        "unit, size = sys.argv[2], int(sys.argv[3])\n"
        "getattr(answers, sys.argv[1])('<html>' + unit * (size // len(unit)))"
    )
    run_bounded(code, reader, unit, SIZE)


def test_what_a_page_says_is_found_and_short():
    page = '<div class="a"><div id="x" class="alert alert-danger b">Wrong &amp; <b>bad</b></div>'
    assert answers.page_message(page) == "Wrong & bad"
    alert = '<div class="alert-danger">'
    assert answers.page_message(f"{alert}a < b and c</div>") == "a < b and c"
    assert answers.page_message(f"{alert}never closed") == "never closed"
    assert len(answers.page_message(alert + "x" * SIZE)) == answers.TEXT_LIMIT
    # Python refuses to read a number of so many digits.
    assert answers.page_message(f"{alert}&#{'9' * 5000};</div>")
    reason = "<!doctype html>\n<html lang=en>\n<title>400 Bad</title>\n<h1>Bad</h1>\n<p>"
    assert answers.page_message(f"{reason}It is &lt;so&gt;.</p>\n") == "It is <so>."
    assert len(answers.page_message(reason + "x" * SIZE)) == answers.TEXT_LIMIT


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000, b'{"result":' * 100_000, b'{"result":' + b"9" * 5000 + b"}",
        b'{"result": NaN}', b"null", b"[1]", b'"x"', b"{}", b'{"result":{"a":1}}',
        b'{"result":"abc"}', b'{"result":[1,2]}', b'{"result":[["a"]]}', b'{"result":[{}]}',
        b'{"result":["\\ud800"]}', b'{"result":["a\\u0000b"]}', b'{"result":[""]}',
        b'{"result":["' + b"n" * 8_000_000 + b'"]}', b'{"result":["' + b"n" * 64 + b'"]}',
        b'{"result":[true]}', b'{"error":{"x":1}}', b"\xff\xfe", b"",
    ],
)  # fmt: skip
def test_what_is_no_list_of_names_is_refused(odoo, content):
    odoo.answers[LIST] = lambda handler: handler.reply(content, content_type="application/json")
    with pytest.raises(DatabaseManagerDisabled):
        probe(odoo)


def test_a_name_that_is_listed_twice_is_one_database(odoo):
    odoo.answers[LIST] = json_rpc(["b", "a", "b"])
    assert probe(odoo).databases == ("a", "b")


@pytest.mark.parametrize(
    "version",
    ["v" * 5_000_000, {"a": 1}, "\ud800", "1\0", "1\n2", "", None, 5, "<b>\N{RIGHT-TO-LEFT MARK}"],
)
def test_what_is_no_version_is_no_odoo(odoo, version):
    odoo.answers[VERSION] = json_rpc({"server_version": version})
    odoo.answers["/web/version"] = lambda handler: handler.reply(
        json.dumps({"version": version}).encode(), content_type="application/json"
    )
    with pytest.raises(NotOdoo):
        probe(odoo)


DECLARED = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "%s">]>' % (b"a" * 1000)
VALUE = b"<methodResponse><params><param><value>%s</value></param></params></methodResponse>"


@pytest.mark.parametrize(
    "content",
    [
        DECLARED + VALUE % (b"&a;" * 200_000),
        VALUE % (b"<array><data><value>" * 40_000),
        VALUE % b"<int>%s</int>" % (b"9" * 5000),
        VALUE % b"<foo>!</foo>",
        VALUE % b"<int></int>",
        VALUE % b"<boolean>7</boolean>",
        VALUE % b"<struct><member><value><int>1</int></value></member></struct>",
        b"<methodResponse><params></value></params></methodResponse>",
        b"<methodResponse><params></params></methodResponse>",
        b"<methodResponse><fault><value><int>3</int></value></fault></methodResponse>",
        b"<methodResponse><fault><value><struct></struct></value></fault></methodResponse>",
        b"<methodResponse>",
        b"\0",
    ],
)
def test_a_broken_answer_of_xmlrpc_says_nothing_about_the_password(odoo, content):
    """As one of a server without XML-RPC: then the backup itself tells."""
    odoo.answers[RPC] = lambda handler: handler.reply(content, content_type="text/xml")
    assert probe(odoo).databases


@pytest.mark.parametrize("value", [b"<nil/>", b"<string>True</string>", b"<int>1</int>"])
def test_any_other_value_than_true_does_not_accept_the_password(odoo, value):
    odoo.answers[RPC] = lambda handler: handler.reply(VALUE % value, content_type="text/xml")
    with pytest.raises(WrongMasterPassword):
        probe(odoo)


def test_entities_of_a_server_are_not_multiplied():
    code = (
        "from engine.sources.http_answers import xmlrpc_value\n"
        "page = '<!DOCTYPE l [<!ENTITY a \"' + 'a' * 50_000 + '\">]><methodResponse><params>'\n"
        "page += '<param><value>' + '&a;' * 100_000 + '</value></param></params></methodResponse>'"
        "\ntry: xmlrpc_value(page)\nexcept ValueError: print('refused')"
    )
    assert run_bounded(code, memory=256 << 20) == "refused\n"


def raw(content):
    def answer(handler):
        handler.wfile.write(content)
        handler.wfile.flush()
        handler.close_connection = True

    return answer


OK = b"HTTP/1.1 200 OK\r\n"
RAW = {
    "nothing": b"", "bytes": b"\x00\xff" * 100, "status 999": b"HTTP/1.1 999 X\r\n\r\n",
    "status -1": b"HTTP/1.1 -1 X\r\n\r\n", "status text": b"HTTP/1.1 abc X\r\n\r\n",
    "HTTP 0.9": b"hello", "negative length": OK + b"Content-Length: -5\r\n\r\nx",
    "odd length": OK + b"Content-Length: x\r\n\r\nx",
    "huge length": OK + b"Content-Length: 999999999999999\r\n\r\nx",
    "negative chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nx",
    "huge chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
    "odd chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nx",
    "long header": OK + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "many headers": OK + b"X: y\r\n" * 10_000,
    "long reason": b"HTTP/1.1 500 " + b"<b>" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "odd date": OK + b"Date: Mon, 99 Foo 99999 99:99:99 +9999\r\nContent-Length: 2\r\n\r\n{}",
    "odd dates": OK + b"Date: " + b"(" * 60_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
    "odd type": OK + b"Content-Type: text/html; charset=\xff\r\nContent-Length: 2\r\n\r\n{}",
    "gzip": OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    **{
        f"to {place}": b"HTTP/1.1 302 X\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n"
        % place.encode()
        for place in (
            "http://[::1", "https://127.0.0.1:99999" + MANAGER, "https://127.0.0.1:x" + MANAGER,
            "file:///etc/passwd", "//" + "h" * 60_000, "https://127.0.0.1@127.0.0.2" + MANAGER,
            "https://\u2100.com".encode().decode("latin-1"), "",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("path", [VERSION, MANAGER, LIST, RPC, BACKUP])
@pytest.mark.parametrize("name", RAW)
def test_an_answer_that_is_none_is_an_error_with_a_name_and_a_short_message(odoo, name, path):
    odoo.answers[path] = raw(RAW[name])
    try:
        server = probe(odoo)
        open_http(odoo).fetch(server.databases[0], "zip", True, lambda block: None)
    except BackupError as error:
        assert error.code != "internal", error
        assert len(error.message) < 2 * answers.TEXT_LIMIT


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("path", [VERSION, MANAGER, LIST, RPC, BACKUP])
def test_no_redirect_takes_the_password_to_another_server(odoo, path, code):
    with FakeOdoo() as other:
        place = f"{other.url.replace('127.0.0.1', 'localhost')}{path}".encode()
        odoo.answers[path] = raw(
            b"HTTP/1.1 %d X\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (code, place)
        )
        try:
            server = probe(odoo)
            open_http(odoo).fetch(server.databases[0], "zip", True, lambda block: None)
        except BackupError as error:
            assert error.code != "internal", error
        assert not other.sent(PASSWORD)


def test_a_page_without_end_is_read_up_to_a_bound(odoo):
    sent = []

    def endless(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.end_headers()
        handler.close_connection = True
        block = b"y" * 65536
        while len(sent) < 100_000:
            handler.wfile.write(block)
            sent.append(len(block))

    odoo.answers[BACKUP] = endless
    with pytest.raises(RemoteError) as refused:
        open_http(odoo).fetch("shop", "zip", True, lambda block: None)
    assert len(refused.value.message) <= answers.TEXT_LIMIT
    # What the kernel holds between the two comes on top.
    assert sum(sent) < 64 << 20


def open_http(odoo):
    return open_source({"connection": "http", **odoo.settings()}, Control())


def probe(odoo):
    return open_http(odoo).probe()
