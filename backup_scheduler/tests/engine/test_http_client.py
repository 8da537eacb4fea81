"""Addresses, TLS, redirects, and servers that are not there."""

import socket

import fake_odoo
import pytest
from devenv.processes import free_port
from engine.control import Control
from engine.errors import BackupError, ConnectionFailed, NotOdoo, SourceTimeout, TLSError
from engine.sources import http_client as client_module
from engine.sources import open_source
from engine.sources.http_client import checked_url
from fake_odoo import PASSWORD, FakeOdoo


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return fake_odoo.make_certificate(str(tmp_path_factory.mktemp("tls") / "key.pem"))


@pytest.fixture
def secure(certificate):
    with FakeOdoo().over_tls(certificate) as server:
        yield server


@pytest.fixture
def plain():
    with FakeOdoo() as server:
        yield server


def probe(url, **settings):
    settings = {"master_password": PASSWORD, **settings}
    return open_source({"connection": "http", "url": url, **settings}, Control()).probe()


# --- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("https://odoo.example.com", "https://odoo.example.com"),
        (" https://odoo.example.com/ ", "https://odoo.example.com"),
        ("http://10.0.0.1:8069/", "http://10.0.0.1:8069"),
        ("http://[::1]:8069", "http://[::1]:8069"),
        ("https://example.com/odoo/", "https://example.com/odoo"),
        ("https://example.com/größe x", "https://example.com/gr%C3%B6%C3%9Fe%20x"),
        ("https://bücher.example", "https://bücher.example"),
        ("HTTPS://Example.com", "https://Example.com"),
    ],
)
def test_a_good_address_is_taken(url, checked):
    assert checked_url(url) == checked


@pytest.mark.parametrize(
    "url",
    [
        None, "", "odoo.example.com", "ftp://example.com", "http://", "https://:8069", "file:///etc/passwd",
        "http://a..b", "http://[::1", "http://host:port", "http://host:99999", "http://host:0",
        "http://ho st", "http://" + "x" * 70 + ".example", "http://user@host", "http://user:password@host",
        "http://host?x=1", "http://host#x", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_used_is_told(url):
    with pytest.raises(ConnectionFailed):
        probe(url)


def test_an_address_with_a_prefix_is_kept(plain):
    plain.answers["/odoo/web/webclient/version_info"] = fake_odoo.json_rpc({"server_version": "x"})
    plain.answers["/odoo/web/database/manager"] = lambda handler: handler.reply(b"", 403)
    with pytest.raises(BackupError, match="403"):
        probe(plain.url + "/odoo")


# --- nobody there -------------------------------------------------------------------------------


def test_a_refused_connection_is_told():
    with pytest.raises(ConnectionFailed, match="Connection refused") as raised:
        probe(f"http://127.0.0.1:{free_port()}")
    assert raised.value.retryable


def test_a_name_that_cannot_be_resolved_is_told():
    with pytest.raises(ConnectionFailed, match="cannot be resolved"):
        probe("http://odoo.invalid")


def test_a_server_that_accepts_and_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(client_module, "CONNECT_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(SourceTimeout):
        probe(f"https://127.0.0.1:{listener.getsockname()[1]}")


def test_an_answer_that_never_comes_is_given_up(plain, monkeypatch):
    really_send = client_module.HttpClient._send
    monkeypatch.setattr(
        client_module.HttpClient,
        "_send",
        lambda self, method, path, body, headers, timeout: really_send(
            self, method, path, body, headers, 0.2
        ),
    )
    plain.answers["/web/webclient/version_info"] = plain.hold
    with pytest.raises(SourceTimeout, match="did not answer in time"):
        probe(plain.url)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", NotOdoo),
        (b"220 mail.example.com ESMTP\r\n", NotOdoo),
        (b"\0\1\2\3", NotOdoo),
        (b"", ConnectionFailed),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ConnectionFailed),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 70_000, ConnectionFailed),
        (b"HTTP/9.9 200 OK\r\n\r\n", NotOdoo),
    ],
    ids=["ssh", "smtp", "bytes", "nothing", "broken chunks", "endless header", "HTTP/9"],
)
def test_what_does_not_speak_http_is_told(answer, error):
    with fake_odoo.raw_server(answer) as port, pytest.raises(error):
        probe(f"http://127.0.0.1:{port}")


# --- TLS ----------------------------------------------------------------------------------------


def test_a_certificate_that_nobody_signed_is_refused_before_anything_is_sent(secure):
    with pytest.raises(TLSError, match="self-signed certificate") as raised:
        probe(secure.url)
    assert secure.requests == []
    assert not raised.value.retryable


def test_a_certificate_may_be_left_unchecked_by_choice(secure):
    assert probe(secure.url, verify_tls=False).databases == ("tiny",)


def test_a_backup_over_tls_is_whole(secure):
    secure.archive = fake_odoo.ARCHIVE * 3000
    received = bytearray()
    order = {"connection": "http", **secure.settings(verify_tls=False)}
    open_source(order, Control()).fetch("tiny", "zip", True, received.extend)
    assert received == secure.archive


def test_a_certificate_for_another_name_is_refused(secure, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    assert probe(secure.url).databases == ("tiny",)
    with pytest.raises(TLSError, match="[Hh]ostname mismatch"):
        probe(secure.url.replace("127.0.0.1", "localhost"))


def test_tls_on_a_port_that_speaks_none_is_told(plain):
    with pytest.raises(TLSError) as raised:
        probe(plain.url.replace("http:", "https:"))
    assert "http://" in raised.value.hint


def test_no_tls_on_a_port_that_speaks_nothing_else_is_told():
    """OpenSSL and its kin answer with an alert: protocol version, or unexpected message."""
    with (
        fake_odoo.raw_server(b"\x15\x03\x01\x00\x02\x02\x46") as port,
        pytest.raises(TLSError, match="TLS only"),
    ):
        probe(f"http://127.0.0.1:{port}")


def test_no_tls_on_a_port_that_closes_without_a_word_is_a_failed_connection(secure):
    with pytest.raises(BackupError) as raised:
        probe(secure.url.replace("https:", "http:"))
    assert raised.value.code in ("connection_failed", "tls_error")


# --- redirects ----------------------------------------------------------------------------------


def redirect(target, status=301):
    return lambda handler: handler.reply(b"", status, Location=target + handler.path)


def redirect_all(odoo, target, status=301):
    odoo.answers = dict.fromkeys(fake_odoo.ROUTES, redirect(target, status))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_tls_on_the_same_host_is_followed_and_nothing_secret_goes_before_it(
    plain, secure, status
):
    redirect_all(plain, secure.url, status)
    assert probe(plain.url, verify_tls=False).databases == ("tiny",)
    assert not plain.sent(PASSWORD)
    assert len(plain.requests) == 1


def test_a_redirect_to_another_host_is_refused_and_no_password_is_sent_there(plain):
    with FakeOdoo() as other:
        redirect_all(plain, other.url.replace("127.0.0.1", "localhost"))
        with pytest.raises(ConnectionFailed, match="localhost") as raised:
            probe(plain.url)
        assert "enter that address" in raised.value.hint
        assert other.requests == []


def test_a_password_is_not_taken_along_by_a_redirect_of_the_backup_itself(plain):
    with FakeOdoo() as other:
        target = other.url.replace("127.0.0.1", "localhost")
        plain.answers["/web/database/backup"] = redirect(target, 307)
        with pytest.raises(ConnectionFailed):
            order = {"connection": "http", **plain.settings()}
            open_source(order, Control()).fetch("tiny", "zip", True, bytearray().extend)
        assert other.requests == []


@pytest.mark.parametrize("target", ["http://127.0.0.1:1", "ftp://127.0.0.1", ""])
def test_a_redirect_that_does_not_lead_to_tls_is_refused(plain, target):
    redirect_all(plain, target)
    with pytest.raises(ConnectionFailed):
        probe(plain.url)
    assert not plain.sent(PASSWORD)


def test_a_redirect_back_to_plain_http_is_refused(plain, secure):
    redirect_all(secure, plain.url)
    with pytest.raises(ConnectionFailed):
        probe(secure.url, verify_tls=False)
    assert plain.requests == []


def test_a_redirect_in_a_circle_ends(secure):
    redirect_all(secure, secure.url)
    with pytest.raises(BackupError):
        probe(secure.url, verify_tls=False)
    assert len(secure.requests) < 6
