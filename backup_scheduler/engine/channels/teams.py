from ..messages import _
from .base import clipped
from .post import PostChannel

# Characters: a card has 28 kB in all.
TEXT_LIMIT = 8000
COLORS = {"opened": "Attention", "recovered": "Good", "test": "Accent"}


class TeamsChannel(PostChannel):
    """An adaptive card, as the workflow “When a Teams webhook request is received” takes it."""

    LABEL = "Microsoft Teams"
    NOTE = "In Teams: Workflows → “Send webhook alerts to a channel”."
    HINTS = {
        401: _(
            "Make the workflow anew: “When a Teams webhook request is received”, for anyone."
        ),
    }

    def body(self, facts):
        title = plain_text(
            facts["title"], weight="Bolder", size="Medium", color=COLORS[facts["event"]]
        )
        text = clipped(facts["lines"], TEXT_LIMIT)
        rows = [plain_text(line) for line in text.split("\n") if line]
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


def plain_text(text, **style):
    """Return a block that shows the text as it is. Servers have a say in it, and a ``TextBlock``
    would make links out of their Markdown.

    https://adaptivecards.io/explorer/TextRun.html
    """
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
