"""What an alert looks like to those who get it: its facts in, the body of a request out. Pure.

Facts are plain values: ``event`` (``opened recovered test``), ``title`` (one line), ``lines`` (what
happened, one thing each), ``link`` (to the records, or empty), ``server`` (who sends), ``sent_at``
(ISO 8601, UTC), ``count`` and ``incidents`` (a list of dicts, for programs).

The limits are the receivers' own, each from its documentation: what is longer is refused whole.
"""

import html
import json

# Slack: characters of a header block and of a section's text.
SLACK_TITLE, SLACK_TEXT = 150, 3000
# Telegram: characters of a message, after its tags were read; room is left for title and link.
TELEGRAM_TEXT = 3500
# Teams: a card has 28 kB in all.
TEAMS_TEXT = 8000
# healthchecks.io keeps 100 kB of a ping's body. The end of a log says why it ended.
PING_BODY = 100_000
ICONS = {"opened": "🔴", "recovered": "🟢", "test": "🔵"}
TEAMS_COLORS = {"opened": "Attention", "recovered": "Good", "test": "Accent"}
PING_PATHS = {"ping_start": "/start", "ping_success": "", "ping_fail": "/fail", "ping_test": "/log"}


def json_body(facts, _settings):
    """Return all that is known, for programs."""
    return {**facts, "text": "\n".join(facts["lines"])}


def slack_body(facts, _settings):
    """Return a message of Slack's incoming webhooks; Mattermost and Rocket.Chat read ``text``."""
    title = f"{ICONS[facts['event']]} {facts['title']}"
    lines = [escaped_slack(line) for line in facts["lines"]]
    body = clipped(lines, SLACK_TEXT) or " "
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(title, SLACK_TITLE)}},
        {"type": "section", "text": {"type": "mrkdwn", "text": body}},
    ]
    if facts["link"]:
        link = f"<{facts['link']}|{escaped_slack(facts['server'])}>"
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": link}]})
    return {"text": escaped_slack(cut(title, SLACK_TITLE)), "blocks": blocks}


def teams_body(facts, _settings):
    """Return an adaptive card, as the workflow “When a Teams webhook request is received” takes it.
    """
    title = {
        "type": "TextBlock", "text": facts["title"], "weight": "Bolder", "size": "Medium",
        "wrap": True, "color": TEAMS_COLORS[facts["event"]],
    }  # fmt: skip
    text = clipped(facts["lines"], TEAMS_TEXT)
    rows = [{"type": "TextBlock", "text": line, "wrap": True} for line in text.split("\n") if line]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [title, *rows],
    }
    if facts["link"]:
        opened = {"type": "Action.OpenUrl", "title": facts["server"], "url": facts["link"]}
        card["actions"] = [opened]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}


def telegram_body(facts, settings):
    """Return the ``sendMessage`` of a bot. ``settings``: ``{chat}``."""
    title = html.escape(f"{ICONS[facts['event']]} {facts['title']}", quote=False)
    lines = [html.escape(line, quote=False) for line in facts["lines"]]
    parts = [f"<b>{title}</b>", clipped(lines, TELEGRAM_TEXT)]
    if facts["link"]:
        parts.append(f'<a href="{html.escape(facts["link"])}">{html.escape(facts["server"])}</a>')
    return {
        "chat_id": settings["chat"],
        "text": "\n".join(filter(None, parts)),
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    }


SHAPES = {
    "webhook": json_body,
    "slack": slack_body,
    "teams": teams_body,
    "telegram": telegram_body,
}


def body_of(kind, facts, settings=None):
    """Return the text of the request's body, as a receiver of that kind takes it (JSON)."""
    return json.dumps(SHAPES[kind](facts, settings or {}), ensure_ascii=False)


def ping_url(url, event, fire):
    """Return where the ping of an event goes. ``fire`` (a UUID) ties a start to its end."""
    base, _question, query = url.partition("?")
    query = "&".join(filter(None, (query, f"rid={fire}" if fire else "")))
    return f"{base.rstrip('/')}{PING_PATHS[event]}" + (f"?{query}" if query else "")


def ping_body(text):
    """Return the end of a log, as much as is kept there."""
    return (text or "").encode()[-PING_BODY:].decode("utf-8", "ignore")


def clipped(lines, limit):
    """Return as many whole lines as fit, and how many did not."""
    room = limit - 40
    kept, used = [], 0
    for line in lines:
        line = cut(line, min(room, limit // 2))
        if used + len(line) + 1 > room:
            break
        kept.append(line)
        used += len(line) + 1
    left = len(lines) - len(kept)
    return "\n".join(kept) + (f"\n… {left} more" if left else "")


def cut(text, limit):
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def escaped_slack(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
