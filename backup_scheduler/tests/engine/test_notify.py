"""Sending, against real servers on this machine that answer, refuse, hang and break off."""

import contextlib
import json
import socket
import threading

import pytest
from engine import notify
from engine.channels import base, post
from engine.control import Control
from engine.errors import Cancelled
from engine.sources.http_client import MOST_RETRY_AFTER
from waiting import PATIENCE, beside


def notice(url, number=1, **values):
    return {
        "id": number,
        "kind": "webhook",
        "key": f"key-{number}",
        "secret_url": url,
        "secret_path": url.partition("://")[2].partition("/")[2],
        "content_type": "application/json; charset=utf-8",
        "body": '{"title": "Sicherung fehlgeschlagen: Müller"}',
        **values,
    }


def sent(*notices):
    """Carry out an order; return the events of its notices."""
    events = []
    order = {"action": "notify", "notices": list(notices)}
    result = notify.notify(order, Control(events.append))
    assert result == {"notices": len(notices)}
    return [event for event in events if event["event"] == "notice"]


def test_a_notice_arrives_whole_with_its_key(recorder):
    (event,) = sent(notice(recorder.url))
    assert event == {"event": "notice", "id": 1, "ok": True}
    ((path, headers, body),) = recorder.got
    assert path == "/services/T000/hush-hush"
    assert headers["Idempotency-Key"] == "key-1"
    assert json.loads(body)["title"] == "Sicherung fehlgeschlagen: Müller"


def test_a_query_is_part_of_the_address(recorder):
    sent(notice(f"{recorder.url}?api-version=1&sig=x"))
    assert recorder.got[0][0].endswith("/hush-hush?api-version=1&sig=x")


@pytest.mark.parametrize(
    ("status", "headers", "retryable", "pause"),
    [
        (500, {}, True, 0),
        (503, {"Retry-After": "30"}, True, 30),
        (502, {}, True, 0),
        (429, {"Retry-After": "7"}, True, 7),
        (429, {"Retry-After": "99999999"}, True, MOST_RETRY_AFTER),
        (429, {"Retry-After": "Fri, 20 Nov 2026 10:00:00 GMT"}, True, 0),
        (408, {}, True, 0),
        (400, {}, False, 0),
        (403, {}, False, 0),
        (404, {}, False, 0),
        (410, {}, False, 0),
        (302, {"Location": "http://127.0.0.1:1/other"}, False, 0),
        (301, {"Location": "/other"}, False, 0),
    ],
)
def test_what_an_answer_means(recorder, status, headers, retryable, pause):
    recorder.answer = (status, headers, b"because")
    (event,) = sent(notice(recorder.url))
    assert (event["ok"], event["retryable"]) == (False, retryable)
    assert event["retry_after"] == pause
    assert event["error"]
    assert event["hint"]
    assert len(recorder.got) == 1


def test_what_the_other_side_says_is_told(recorder):
    recorder.answer = (404, {}, b"no_service")
    (event,) = sent(notice(recorder.url, kind="slack"))
    assert "404" in event["error"]
    assert "no_service" in event["error"]
    assert "Make a new one" in event["hint"]


QUOTES = [
    "no such path: /services/T000/hush-hush", "hush-hush", "HUSH-HUSH", r"\/T000\/hush-hush",
    "%2fT000%2fhush%2dhush", "&#x2F;hush-hush", "/hush-h", "sig=hush", "hush " * 99,
]  # fmt: skip


@pytest.mark.parametrize("kind", ["webhook", "slack", "teams", "telegram", "ping"])
@pytest.mark.parametrize("status", [400, 401, 404, 500, 502])
def test_an_answer_that_quotes_the_address_in_any_spelling_tells_no_secret(recorder, kind, status):
    for quote in QUOTES:
        recorder.answer = (status, {}, quote.encode())
        (event,) = sent(notice(f"{recorder.url}?sig=hush", kind=kind))
        assert "hush" not in json.dumps(event).lower()
        assert str(status) in event["error"]


def test_a_reason_in_the_first_line_of_an_answer_tells_no_secret(raw):
    def answer(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 404 no route to hush-hush\r\nContent-Length: 0\r\n\r\n")
        connection.close()

    (event,) = sent(notice(raw(answer)))
    assert "404 Not Found" in event["error"]
    assert "hush" not in json.dumps(event)


def test_of_an_answer_that_a_service_is_known_to_give_nothing_else_is_told(recorder):
    recorder.answer = (403, {}, b'{"description": "hush-hush: chat not found"}')
    (event,) = sent(notice(recorder.url, kind="telegram"))
    assert event["error"].endswith("403 Forbidden: chat not found")


def test_a_refused_connection_may_be_taken_later():
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/hush-hush"
    (event,) = sent(notice(url))
    assert event["retryable"]
    assert "hush" not in json.dumps(event)


def test_a_connection_that_is_closed_without_an_answer_may_be_taken_later(raw):
    (event,) = sent(notice(raw(lambda connection: connection.close())))
    assert (event["ok"], event["retryable"]) == (False, True)


def test_what_does_not_speak_http_is_refused(raw):
    def babble(connection):
        connection.sendall(b"220 smtp ready\r\n")
        connection.close()

    (event,) = sent(notice(raw(babble)))
    assert not event["ok"]


def test_a_server_that_hangs_is_left(raw, silence, monkeypatch):
    monkeypatch.setattr(post, "ANSWER_TIMEOUT", 0.3)
    (event,) = sent(notice(raw(silence)))
    assert event["retryable"]


@pytest.mark.parametrize(
    ("begin", "drop"),
    [(b"HTTP/1.1 500 Slow\r\nContent-Length: 1000\r\n\r\n", b"x"),
     (b"HTTP/1.1 200 Slow\r\n", b"X-Slow: yes\r\n")],
)  # fmt: skip
def test_a_server_that_answers_drop_by_drop_is_left(raw, monkeypatch, begin, drop):
    left = threading.Event()

    def drip(connection):
        with contextlib.suppress(OSError):
            connection.sendall(begin)
            while not left.wait(0.05):
                connection.sendall(drop)

    monkeypatch.setattr(notify, "NOTICE_LIMIT", 0.5)
    (event,) = sent(notice(raw(drip)))
    left.set()
    assert event["retryable"]


def test_others_behind_a_door_that_is_shut_do_not_wait_for_it_too(
    raw, silence, recorder, monkeypatch
):
    knocks, really_send = [], notify.send

    def hang(connection):
        knocks.append(connection)
        silence(connection)

    def send(notice, control):
        # The one that answers may take its time.
        with monkeypatch.context() as patch:
            seconds = 0.3 if notice["secret_url"] == shut else PATIENCE
            patch.setattr(post, "ANSWER_TIMEOUT", seconds)
            return really_send(notice, control)

    monkeypatch.setattr(notify, "send", send)
    shut = raw(hang)
    events = sent(notice(shut, 1), notice(recorder.url, 2), notice(shut, 3))
    assert [event["ok"] for event in events] == [False, True, False]
    assert len(knocks) == 1


def test_one_that_is_refused_does_not_stop_the_others(recorder):
    recorder.answer = (404, {}, b"")
    events = sent(notice(recorder.url, 1), notice(recorder.url, 2))
    assert [event["id"] for event in events] == [1, 2]
    assert len(recorder.got) == 2


PAGER = """
from backup_engine.channels.base import Channel
from backup_engine.channels.post import PostChannel


class PagerChannel(PostChannel):
    LABEL = "Pager"
    HINTS = {404: "No such pager."}

    def body(self, facts):
        return {"page": facts["title"]}


class BrokenChannel(Channel):
    @classmethod
    def send(cls, notice, control):
        raise KeyError("a defect")
"""


def test_a_kind_of_another_addon_is_found_by_the_place_that_the_order_gives(recorder, tmp_path):
    (tmp_path / "pager.py").write_text(PAGER, encoding="utf-8")
    code = {"folder": str(tmp_path), "module": "pager", "class": "PagerChannel"}
    recorder.answer = (404, {}, b"")
    (event,) = sent(notice(recorder.url, kind="pager", code=code))
    assert event["hint"] == "No such pager."
    assert len(recorder.got) == 1


def test_a_kind_with_a_defect_stops_no_other(recorder, tmp_path):
    (tmp_path / "pager.py").write_text(PAGER, encoding="utf-8")
    code = {"folder": str(tmp_path), "module": "pager", "class": "BrokenChannel"}
    gone = {**code, "folder": str(tmp_path / "gone")}
    events = sent(
        notice("https://a.example/", 1, kind="pager", code=code),
        notice("https://a.example/", 2, kind="pager", code=gone),
        notice("https://a.example/", 3, kind="pager", code={}),
        notice(recorder.url, 4),
    )
    assert [event["ok"] for event in events] == [False, False, False, True]
    assert "a defect" in events[0]["error"]
    assert [event["error_code"] for event in events[1:3]] == ["kind_missing"] * 2


def test_sending_stops_when_it_is_told_to(raw, silence, monkeypatch):
    # Until it is told to, it would wait for longer than the server does.
    monkeypatch.setattr(notify, "NOTICE_LIMIT", 10 * PATIENCE)
    monkeypatch.setattr(post, "ANSWER_TIMEOUT", 10 * PATIENCE)
    control = Control()

    def hang(connection):
        beside(control.cancel)
        silence(connection)

    with pytest.raises(Cancelled):
        notify.notify({"notices": [notice(raw(hang))]}, control)


@pytest.mark.parametrize(
    "url",
    ["", "hooks.example.com/x", "ftp://example.com/x", "https://", "https://u:hush@example.com/",
     "https://exa mple.com/hush", "https://example.com:port/hush"],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_being_quoted(url):
    with pytest.raises(base.NoticeRefused) as refused:
        base.checked_address(url)
    assert "hush" not in str(refused.value)


def test_an_address_is_taken_as_it_is():
    url = "https://prod.logic.azure.com:443/workflows/1/triggers/x/run?sp=%2Fa&sv=1.0&sig=a-b_c"
    assert base.checked_address(f" {url} ") == url
