from ..messages import _
from .base import ICONS, clipped, cut, without_markdown
from .post import PostChannel

# Characters of a header block and of a section's text: what is longer is refused whole.
# https://docs.slack.dev/reference/block-kit/blocks
TITLE_LIMIT, TEXT_LIMIT = 150, 3000


class SlackChannel(PostChannel):
    """Slack's incoming webhooks; Mattermost and Rocket.Chat read the ``text`` of the message."""

    LABEL = "Slack"
    NOTE = "In Slack: “Incoming Webhooks” of an app of yours. Mattermost takes the same."
    HINTS = {
        403: _("Slack has switched this webhook off. Make a new one and enter its address."),
        404: _("Slack does not know this webhook. Make a new one and enter its address."),
    }
    # https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
    REASONS = (
        "posting_to_general_channel_denied", "too_many_attachments", "channel_is_archived",
        "channel_not_found", "action_prohibited", "no_active_hooks", "invalid_payload",
        "user_not_found", "invalid_blocks", "no_service_id", "team_disabled", "invalid_token",
        "rollup_error", "no_service", "no_team", "no_text",
    )  # fmt: skip

    def body(self, facts):
        title = cut(f"{ICONS[facts['event']]} {facts['title']}", TITLE_LIMIT)
        text = clipped(facts["lines"], TEXT_LIMIT) or " "
        # Servers have a say in both: plain text has no links and mentions nobody.
        blocks = [
            {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}},
            {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}},
        ]
        if facts["link"]:
            link = f"<{facts['link']}|{escaped(facts['server'])}>"
            blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": link}]})
        return {"text": without_markdown(escaped(title)), "blocks": blocks}


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
