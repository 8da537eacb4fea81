import html
import urllib.parse

from ..kinds import Setting
from ..messages import _
from .base import ICONS, ChannelIncomplete, checked_address, clipped, host_of
from .post import PostChannel

SERVER = "https://api.telegram.org"
# Characters of a message, after its tags were read: 4096. Room is left for title and link.
# https://core.telegram.org/bots/api#sendmessage
TEXT_LIMIT = 3500
TOKEN_HINT = _("Check the token of the bot: BotFather shows it.")


class TelegramChannel(PostChannel):
    """The ``sendMessage`` of a bot."""

    LABEL = "Telegram"
    SETTINGS = (
        Setting(
            "token",
            "Bot Token",
            secret=True,
            required=True,
            help="BotFather shows it. It is stored encrypted and can be replaced, never read.",
        ),
        Setting(
            "chat",
            "Chat",
            required=True,
            placeholder="-1001234567890",
            help="The id of the chat, such as -1001234567890, or @name of a public channel.",
        ),
        Setting(
            "server",
            "Bot API Server",
            server=True,
            default=SERVER,
            help="Telegram's own, unless you run one. Another server needs the token entered "
            "again: what is stored was given for this one alone.",
        ),
    )
    HINTS = {
        400: _(
            "Check the chat: the bot must be a member of it, or you must have written to the bot "
            "first."
        ),
        401: TOKEN_HINT,
        403: _("The bot was removed from the chat, or blocked there."),
        404: TOKEN_HINT,
    }
    REASONS = (
        "group chat was upgraded to a supergroup chat", "bot was kicked from the supergroup chat",
        "bot is not a member of the channel chat", "bot was kicked from the group chat",
        "need administrator rights in the channel chat", "bot was blocked by the user",
        "bot can't initiate conversation with a user", "not enough rights to send text messages",
        "message is too long", "chat_id is empty", "chat not found", "user is deactivated",
        "can't parse entities", "Too Many Requests",
    )  # fmt: skip

    def __init__(self, token="", chat="", server=""):
        self._token = token
        self._chat = chat
        self._root = checked_address(server or SERVER)

    def address(self):
        if not self._token or not self._chat:
            raise ChannelIncomplete(_("Enter the token of the bot, and the chat it writes to."))
        return f"{self._root}/bot{urllib.parse.quote(self._token, safe=':')}/sendMessage"

    def place(self):
        return host_of(self._root)

    def notice(self, facts):
        return {**super().notice(facts), "secret_token": self._token}

    def body(self, facts):
        title = html.escape(f"{ICONS[facts['event']]} {facts['title']}", quote=False)
        lines = [html.escape(line, quote=False) for line in facts["lines"]]
        parts = [f"<b>{title}</b>", clipped(lines, TEXT_LIMIT)]
        if facts["link"]:
            server = html.escape(facts["server"])
            parts.append(f'<a href="{html.escape(facts["link"])}">{server}</a>')
        return {
            "chat_id": self._chat,
            "text": "\n".join(filter(None, parts)),
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
        }
