"""What an alert looks like to each kind of receiver: within its limits, and with nothing broken."""

import json

import pytest
from engine.channels import KINDS
from engine.channels.ping import BODY_LIMIT, ping_body, ping_url
from engine.channels.slack import TEXT_LIMIT as SLACK_TEXT
from engine.channels.slack import TITLE_LIMIT as SLACK_TITLE
from engine.channels.telegram import TEXT_LIMIT as TELEGRAM_TEXT

SETTINGS = {
    "telegram": {"token": "1:abc", "chat": "-100"},
    "apprise": {"url": "ntfy://topic", "url_host": "ntfy://"},
}


def facts(**values):
    return {
        "event": "opened",
        "title": "Backup failed: Shop / sales",
        "lines": ["The master password is wrong.", "Since: 2026-11-20 02:05 UTC"],
        "link": "https://backup.example.com/odoo/backup-incidents/7",
        "server": "https://backup.example.com",
        "sent_at": "2026-11-20T02:06:00Z",
        "count": 1,
        "incidents": [{"id": 7, "kind": "failed"}],
        **values,
    }


def told(kind, **values):
    settings = SETTINGS.get(kind, {"url": "https://hooks.example.com/x"})
    notice = KINDS.load(kind)(**settings).notice(facts(**values))
    return notice if kind == "apprise" else json.loads(notice["body"])


@pytest.mark.parametrize("kind", KINDS.names())
@pytest.mark.parametrize("event", ["opened", "recovered", "test"])
def test_every_shape_tells_title_and_lines_of_every_event(kind, event):
    text = json.dumps(told(kind, event=event), ensure_ascii=False)
    assert "Backup failed: Shop / sales" in text
    assert "The master password is wrong." in text


@pytest.mark.parametrize("kind", KINDS.names())
def test_every_shape_tells_of_nothing_but_a_title_and_of_no_link(kind):
    assert told(kind, lines=[], link="", incidents=[])


def test_programs_get_every_fact_and_the_text_in_one():
    assert told("webhook") == {
        **facts(), "text": "The master password is wrong.\nSince: 2026-11-20 02:05 UTC"
    }


@pytest.mark.parametrize("kind", KINDS.names())
def test_a_message_of_a_thousand_databases_stays_within_the_limits(kind):
    lines = [f"Shop / database-{number}: {'x' * 150}" for number in range(1000)]
    body = told(kind, lines=lines, title="T" * 500)
    if kind == "slack":
        header, section = body["blocks"][0]["text"]["text"], body["blocks"][1]["text"]["text"]
        assert len(header) <= SLACK_TITLE
        assert len(section) <= SLACK_TEXT
        assert section.endswith("more")
    if kind == "telegram":
        assert len(body["text"]) < 4096 + 500
        assert "more" in body["text"]
    if kind == "apprise":
        assert len(body["body"]) < 8000 + 100
    if kind == "teams":
        assert len(json.dumps(body)) < 28_000


EVIL = "[Click](https://evil.example) <https://evil.example|here> <!channel> @all *b* `c` <b>&x"


def texts(node):
    """Yield each element of a message that shows text: its type, and the text."""
    if isinstance(node, dict):
        if isinstance(node.get("text"), str):
            yield node.get("type"), node["text"]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from texts(each)


def test_teams_takes_no_markup_from_the_title_or_the_lines():
    shown = [kind for kind, text in texts(told("teams", title=EVIL, lines=[EVIL])) if EVIL in text]
    assert shown == ["TextRun", "TextRun"]


def test_slack_takes_no_markup_from_the_title_or_the_lines():
    body = told("slack", title=EVIL, lines=[EVIL])
    shown = [kind for kind, text in texts(body["blocks"]) if "Click" in text]
    assert shown == ["plain_text", "plain_text"]
    for mark in ("](", "<", "@all", "@channel"):
        assert mark not in body["text"]


def test_apprise_makes_no_links_and_mentions_of_the_title_or_the_lines():
    notice = told("apprise", title=EVIL, lines=[EVIL])
    for mark in ("](", "@all"):
        assert mark not in notice["title"] + notice["body"]


def test_telegram_takes_no_markup_from_the_lines():
    assert "&lt;b&gt; &amp; more" in told("telegram", lines=["<b> & more"])["text"]
    body = told("telegram", title=EVIL, lines=[EVIL])
    # Its HTML knows no Markdown.
    assert body["parse_mode"] == "HTML"
    assert "<https" not in body["text"]


def test_a_telegram_line_of_any_length_is_cut_before_its_markup_breaks():
    text = told("telegram", lines=["&" * 10_000])["text"]
    assert len(text) < TELEGRAM_TEXT + 500


def test_telegram_is_told_which_chat():
    assert told("telegram")["chat_id"] == "-100"


@pytest.mark.parametrize(
    ("url", "event", "wanted"),
    [
        ("https://hc-ping.com/abc", "ping_start", "https://hc-ping.com/abc/start?rid=F"),
        ("https://hc-ping.com/abc/", "ping_success", "https://hc-ping.com/abc?rid=F"),
        ("https://hc-ping.com/abc", "ping_fail", "https://hc-ping.com/abc/fail?rid=F"),
        ("https://hc-ping.com/abc", "ping_test", "https://hc-ping.com/abc/log?rid=F"),
        ("https://h.example/k/nightly?create=1", "ping_fail",
         "https://h.example/k/nightly/fail?create=1&rid=F"),
    ],
)  # fmt: skip
def test_a_ping_goes_where_the_protocol_says(url, event, wanted):
    assert ping_url(url, event, "F") == wanted


def test_a_ping_outside_of_a_fire_names_none():
    assert ping_url("https://hc-ping.com/abc", "ping_test", "") == "https://hc-ping.com/abc/log"


def test_the_end_of_a_long_log_is_what_is_kept():
    text = ping_body("é" * BODY_LIMIT + "the end")
    assert len(text.encode()) <= BODY_LIMIT
    assert text.endswith("the end")
