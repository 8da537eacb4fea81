"""Notifications on a phone, by ntfy.sh or a server of your own: https://docs.ntfy.sh/publish/"""

from backup_engine.channels.base import ChannelIncomplete, checked_address, clipped, host_of
from backup_engine.channels.post import PostChannel
from backup_engine.kinds import Setting

SERVER = "https://ntfy.sh"


class NtfyChannel(PostChannel):
    LABEL = "ntfy"
    NOTE = "Anyone who knows the topic can read it: choose one that is hard to guess."
    SETTINGS = (
        Setting("server", "Server", server=True, default=SERVER),
        Setting("topic", "Topic", secret=True, required=True),
    )
    HINTS = {403: "The topic is reserved. Choose another one."}

    def __init__(self, server="", topic=""):
        self._server = checked_address(server or SERVER)
        self._topic = topic

    def address(self):
        if not self._topic:
            raise ChannelIncomplete("Enter the topic.")
        return self._server

    def place(self):
        return host_of(self._server)

    def body(self, facts):
        # 4096 bytes: what is longer becomes an attachment.
        text = clipped(facts["lines"], 1000)
        return {
            "topic": self._topic, "title": facts["title"], "message": text, "click": facts["link"],
        }  # fmt: skip

    def notice(self, facts):
        return {**super().notice(facts), "secret_token": self._topic}
