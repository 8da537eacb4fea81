"""Apprise itself, with its own services, against real servers on this machine."""

import contextlib
import json
import socket
import subprocess
import sys
import threading

import pytest
from engine import notify
from engine.channels import KINDS, apprise
from engine.channels.apprise import AppriseChannel, AppriseMissing
from engine.channels.base import ChannelIncomplete, NoticeRefused
from engine.control import Control
from engine.errors import Cancelled
from waiting import PATIENCE, beside

FACTS = {
    "event": "opened",
    "title": "Backup failed: Shop / sales",
    "lines": ["The master password is wrong.", "<b>Müller & Söhne</b>"],
    "link": "https://backup.example.com/odoo/backup-incidents/7",
    "server": "https://backup.example.com",
    "sent_at": "2026-11-20T02:06:00Z",
    "count": 1,
    "incidents": [],
}
# Some of each sort that reaches no network service.
LOCAL = (
    "syslog://", "syslog://local0", "dbus://", "qt://", "kde://", "gnome://", "glib://",
    "macosx://", "windows://", "blink1://",
)  # fmt: skip


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Where other tests take the processors, Apprise takes its time to load."""
    monkeypatch.setattr(notify, "NOTICE_LIMIT", PATIENCE)
    monkeypatch.setattr(apprise, "CHECK_LIMIT", PATIENCE)


def url_of(address, scheme="json", secret="mallory:hush-hush@"):  # noqa: S107 - of a test
    return address.replace("http://", f"{scheme}://{secret}")


def notice(url, number=1, **facts):
    place = "json://there"
    message = AppriseChannel(url, place).notice({**FACTS, **facts})
    return {"id": number, "kind": "apprise", "key": f"key-{number}", **message}


def sent(*notices):
    """Carry out an order; return the events of its notices."""
    events = []
    notify.notify({"notices": list(notices)}, Control(events.append))
    return [event for event in events if event["event"] == "notice"]


def test_a_message_arrives_with_its_title_its_lines_and_its_link(recorder):
    (event,) = sent(notice(url_of(recorder.url)))
    assert event == {"event": "notice", "id": 1, "ok": True}
    ((path, headers, body),) = recorder.got
    assert path.rstrip("/") == "/services/T000/hush-hush"
    assert headers["Authorization"].startswith("Basic ")
    told = json.loads(body)
    assert (told["title"], told["type"]) == (FACTS["title"], "failure")
    assert told["message"].split("\n") == [*FACTS["lines"], FACTS["link"]]
    assert told["attachments"] == []


def test_a_message_arrives_at_a_service_that_speaks_no_http():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE)
        (event,) = sent(notice(f"rsyslog://127.0.0.1:{receiver.getsockname()[1]}"))
        assert event["ok"]
        assert FACTS["title"] in receiver.recv(10_000).decode()


@pytest.mark.parametrize(
    ("event", "kind"), [("opened", "failure"), ("recovered", "success"), ("test", "info")]
)
def test_each_event_has_its_type(recorder, event, kind):
    sent(notice(url_of(recorder.url), event=event))
    assert json.loads(recorder.got[0][2])["type"] == kind


@pytest.mark.parametrize(
    ("status", "headers", "retryable", "pause"),
    [
        (500, {}, True, 0),
        (503, {"Retry-After": "30"}, True, 30),
        (429, {"Retry-After": "99999999"}, True, 3600),
        (400, {}, False, 0),
        (401, {}, False, 0),
        (404, {}, False, 0),
        (302, {"Location": "/other"}, False, 0),
    ],
)
def test_what_an_answer_means(recorder, status, headers, retryable, pause):
    # A service may quote any part of the address.
    recorder.answer = (status, headers, b"hush-hush mallory Basic bWFsbG9yeTpodXNoLWh1c2g=")
    (event,) = sent(notice(url_of(recorder.url)))
    assert (event["ok"], event["retryable"], event["retry_after"]) == (False, retryable, pause)
    assert f"json://there answered {status}" in event["error"]
    assert event["hint"]
    assert len(recorder.got) == 1
    told = json.dumps(event)
    assert not [word for word in ("hush", "mallory", "bWFs", "T000") if word in told]


def test_a_redirect_is_not_followed_whatever_the_url_asks_for(recorder):
    recorder.answer = (307, {"Location": "/elsewhere"}, b"")
    (event,) = sent(notice(f"{url_of(recorder.url)}?redirect=yes"))
    assert not event["ok"]
    assert [path for path, _headers, _body in recorder.got if "elsewhere" in path] == []


def test_a_refused_connection_may_be_taken_later():
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"json://user:hush-hush@127.0.0.1:{free.getsockname()[1]}/hush-hush"
    (event,) = sent(notice(url))
    assert event["retryable"]
    assert "No connection to json://there" in event["error"]
    assert "hush" not in json.dumps(event)


def test_a_server_that_hangs_is_left(raw, silence, monkeypatch):
    monkeypatch.setattr(notify, "NOTICE_LIMIT", 3)
    (event,) = sent(notice(url_of(raw(silence)) + "?rto=600&retry=5"))
    assert event["retryable"]
    assert event["error"] == "json://there did not answer within 3 s."


def test_a_server_whose_answer_has_no_end_is_left_before_memory_is(raw):
    left = threading.Event()

    def flood(connection):
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
            while not left.is_set():
                connection.sendall(b"x" * (1 << 20))

    (event,) = sent(notice(url_of(raw(flood))))
    left.set()
    assert (event["ok"], event["retryable"]) == (False, True)
    assert "within" not in event["error"], "the time limit ended it, and not that of its memory"


def test_sending_stops_when_it_is_told_to(raw, silence, monkeypatch):
    monkeypatch.setattr(notify, "NOTICE_LIMIT", 10 * PATIENCE)
    control = Control()
    ended = []
    popen = subprocess.Popen

    def watched(*arguments, **options):
        ended.append(popen(*arguments, **options))
        return ended[-1]

    monkeypatch.setattr(subprocess, "Popen", watched)

    def hang(connection):
        beside(control.cancel)
        silence(connection)

    with pytest.raises(Cancelled):
        notify.notify({"notices": [notice(url_of(raw(hang)) + "?rto=600")]}, control)
    assert [process.poll() for process in ended] == [-9]


@pytest.mark.parametrize("url", LOCAL)
def test_a_service_of_the_machine_itself_is_refused(url):
    for act in (lambda: apprise.accept(url), lambda: notify.send(notice(url))):
        with pytest.raises(NoticeRefused) as refused:
            act()
        assert "no network service" in refused.value.message
        assert "network service" in refused.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "", "nonsense", "hush-hush", "file:///etc/passwd", "include /etc/passwd", "exec://hush-hush",
        "https://hooks.example.com/hush-hush", "/etc/passwd", "slack://hush-hush",
        "json://a.example/hush-hush, json://b.example",
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_service_is_refused_without_being_quoted(url):
    with pytest.raises(NoticeRefused) as refused:
        apprise.accept(url)
    told = refused.value.message + refused.value.hint
    assert "hush" not in told
    assert "passwd" not in told
    assert "https://appriseit.com/services/" in told


@pytest.mark.parametrize(
    "url",
    [
        "discord://111/hush-hush?template={path}",
        "discord://111/hush-hush?template=file://{path}",
        "workflows://127.0.0.1/hush-hush/sig/?template={path}",
        "fcm://project@hush-hush/device?keyfile={path}",
        "discord://111/hush-hush?template=https://files.example.com/x",
    ],
)
def test_a_url_that_names_a_file_is_refused(tmp_path, url):
    path = tmp_path / "secret.json"
    path.write_text('{"type": "message"}', encoding="utf-8")
    with pytest.raises(NoticeRefused) as refused:
        apprise.accept(url.format(path=path))
    assert "names a file is not allowed" in refused.value.message
    assert "hush" not in refused.value.message


def test_a_file_that_a_service_asks_for_only_when_it_sends_is_not_read(tmp_path):
    path = tmp_path / "subscriptions.json"
    path.write_text("{}", encoding="utf-8")
    url = f"vapid://me@example.com/you@example.com?keyfile={path}&subfile={path}"
    (event,) = sent(notice(url))
    assert (event["ok"], event["retryable"]) == (False, False)
    assert "vapid:// tries to read a file of this server, which is not allowed" in event["error"]
    assert str(tmp_path) not in json.dumps(event)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("json://user:hush-hush@127.0.0.1:8080/hush-hush", "json://127.0.0.1:8080"),
        ("jsons://hooks.example.com/hush-hush", "jsons://hooks.example.com"),
        ("mailto://user:hush-hush@example.com", "mailto://example.com:25"),
        # Of these, what stands in the place of the host is a secret, or may be one.
        ("discord://1111111/hush-hush", "discord://"),
        ("https://discord.com/api/webhooks/1111111/hush-hush", "discord://"),
        ("ntfy://hush-hush", "ntfys://"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", "slack://"),
    ],
)
def test_of_a_url_scheme_and_host_are_told_and_nothing_else(url, place):
    assert apprise.accept(f" {url} ") == (url, place)


def test_what_is_missing_is_named():
    assert KINDS.load("apprise") is AppriseChannel
    with pytest.raises(ChannelIncomplete, match="Apprise URL"):
        AppriseChannel().notice(FACTS)


def test_without_the_library_its_package_is_named_and_the_message_waits(tmp_path, monkeypatch):
    # An environment of Python's own that has nothing installed.
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n', encoding="utf-8")
    bare.chmod(0o700)
    monkeypatch.setattr(apprise.sys, "executable", str(bare))
    with pytest.raises(AppriseMissing, match="package apprise, which is not installed"):
        apprise.accept("json://127.0.0.1/hush-hush")
    (event,) = sent(notice("json://127.0.0.1/hush-hush"))
    assert (event["error_code"], event["retryable"]) == ("library_missing", True)
    assert "pip install apprise" in event["hint"]


def test_a_service_whose_library_is_missing_names_it():
    with pytest.raises(AppriseMissing, match="paho-mqtt"):
        apprise.accept("mqtt://user:hush-hush@broker.example.com/topic")


def test_a_process_that_ends_without_a_word_is_no_success(tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    broken.chmod(0o700)
    monkeypatch.setattr(apprise.sys, "executable", str(broken))
    (event,) = sent(notice("json://127.0.0.1/hush-hush"))
    assert (event["ok"], event["retryable"]) == (False, True)


CONFINED = """
import os, socket, subprocess, sys
sys.path.insert(0, {folder!r})
from confinement import Confinement
confinement = Confinement()
confinement.begin()
try:
    {deed}
except PermissionError:
    pass
print(confinement.refused)
"""


@pytest.mark.parametrize(
    ("deed", "refused"),
    [
        ("open('/etc/passwd')", "read a file of this server"),
        ("os.open('/proc/self/environ', os.O_RDONLY)", "read a file of this server"),
        ("open(os.path.join(os.path.dirname(os.__file__), '../../../../etc/passwd'))",
         "read a file of this server"),
        ("open(os.path.expanduser('~/.netrc'))", "read a file of this server"),
        ("open({target!r}, 'a')", "change a file"),
        ("os.remove({target!r})", "change a file"),
        ("os.rename({target!r}, 'other')", "change a file"),
        ("subprocess.run(['true'])", "start a program"),
        ("os.system('true')", "start a program"),
        ("os.fork()", "start a program"),
        ("socket.socket(socket.AF_UNIX).connect('/run/dbus/system_bus_socket')",
         "use a service of this server"),
        ("import syslog; syslog.syslog('x')", "use a service of this server"),
        ("import ctypes; ctypes.CDLL(None)", "use a service of this server"),
    ],
)  # fmt: skip
def test_a_confined_process_reaches_nothing_of_the_machine(tmp_path, deed, refused):
    target = tmp_path / "of-somebody-else"
    target.write_text("theirs", encoding="utf-8")
    deed = deed.format(target=str(target))
    script = CONFINED.format(folder=apprise.PROGRAM, deed=deed)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == f"[{refused!r}]", done.stderr
    assert target.read_text(encoding="utf-8") == "theirs"


@pytest.mark.parametrize(
    "deed",
    ["import xml.dom.minidom, email.mime.text, smtplib, encodings.idna",
     "import mimetypes; mimetypes.guess_type('a.txt')",
     "socket.getaddrinfo('localhost', 80)",
     "import zoneinfo; zoneinfo.ZoneInfo('Europe/Berlin')",
     "import ssl; ssl.create_default_context()",
     "import requests; requests.Session()",
     "with socket.create_server(('127.0.0.1', 0)) as server: "
     "socket.create_connection(server.getsockname())"],
)  # fmt: skip
def test_a_confined_process_can_do_what_sending_takes(deed):
    script = CONFINED.format(folder=apprise.PROGRAM, deed=deed)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
