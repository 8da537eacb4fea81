from ..messages import _
from .base import path_of
from .post import PostChannel, posted

# healthchecks.io keeps 100 kB of a ping's body. The end of a log says why it ended.
BODY_LIMIT = 100_000
PATHS = {"ping_start": "/start", "ping_success": "", "ping_fail": "/fail", "ping_test": "/log"}
TEXT = "text/plain; charset=utf-8"


class PingChannel(PostChannel):
    """The dead man's switch of a job. Its facts are ``event``, ``fire`` (a UUID that ties a start
    to its end) and ``text``.

    The protocol is that of healthchecks.io: https://healthchecks.io/docs/http_api/
    """

    LABEL = "Ping"
    HINTS = {
        404: _("That service does not know this ping address. Copy it from there again."),
    }

    def body(self, facts):
        return ping_body(facts["text"])

    def notice(self, facts):
        address = self.address()
        url = ping_url(address, facts["event"], facts["fire"])
        # What is secret is what somebody entered; the rest of the path is anybody's.
        return {**posted(url, self.body(facts), TEXT), "secret_path": path_of(address)}


def ping_url(url, event, fire):
    """Return where the ping of an event goes."""
    base, _question, query = url.partition("?")
    query = "&".join(filter(None, (query, f"rid={fire}" if fire else "")))
    return f"{base.rstrip('/')}{PATHS[event]}" + (f"?{query}" if query else "")


def ping_body(text):
    """Return the end of a log, as much as is kept there."""
    return (text or "").encode()[-BODY_LIMIT:].decode("utf-8", "ignore")
