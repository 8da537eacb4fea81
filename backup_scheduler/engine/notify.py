"""Sends alerts and pings: one POST each, every wait bounded, each result told as an event.

A notice is ``{id, kind, secret_url, body, content_type, key}``. Its address is a secret: whoever
knows it can write there. It stands in no message; what is told names the host alone.
"""

import urllib.parse

from .control import Control
from .errors import BackupError, RetryableError, TimeLimit
from .sources.http_client import HttpClient, checked_url

# Seconds for one notice from end to end, and from its last byte to the first of the answer.
NOTICE_LIMIT = 20
ANSWER_TIMEOUT = 10
# Characters of what the other side says that are worth telling.
QUOTED = 300
# Seconds. What a busy receiver asks for is respected up to here.
MOST_RETRY_AFTER = 3600
BUSY = (408, 425, 429)
SERVER_ERROR = 500
PLEASANT = range(200, 300)
REDIRECTED = range(300, 400)

HINTS = {
    ("slack", 403): "Slack has switched this webhook off. Make a new one and enter its address.",
    ("slack", 404): "Slack does not know this webhook. Make a new one and enter its address.",
    ("telegram", 400): "Check the chat: the bot must be a member of it, or you must have written "
    "to the bot first.",
    ("telegram", 401): "Check the token of the bot: BotFather shows it.",
    ("telegram", 403): "The bot was removed from the chat, or blocked there.",
    ("telegram", 404): "Check the token of the bot: BotFather shows it.",
    ("teams", 401): "Make the workflow anew: “When a Teams webhook request is received”, for "
    "anyone.",
    ("ping", 404): "That service does not know this ping address. Copy it from there again.",
}
HINT = "Check the address. The service behind it has answered, and refused the message."
BUSY_HINT = "The service is busy or down. The message is sent again later."
REDIRECT_HINT = "Enter the address that the service itself names; redirects are not followed."


class NoticeRefused(BackupError):
    code = "notice_refused"


class NoticeDelayed(RetryableError):
    """:ivar retry_after: seconds that the other side wants to be left alone; 0: it does not say"""

    code = "notice_delayed"

    def __init__(self, message, hint=None, retry_after=0):
        super().__init__(message, hint)
        self.retry_after = retry_after


def notify(order, control):
    """Send the notices of the order, in turn; tell ``notice`` with the result of each."""
    silent = {}
    for notice in order["notices"]:
        control.check()
        host = host_of(notice["secret_url"])
        result = silent.get(host) or attempt(notice, control)
        if result.get("unreachable"):
            # The others behind the same door would only wait as long for the same answer.
            silent[host] = result
        control.tell("notice", id=notice["id"], **result)
    return {"notices": len(order["notices"])}


def attempt(notice, control=None):
    """Send one notice; return ``{ok}``, or the failure as plain values."""
    try:
        send(notice, control)
    except (NoticeRefused, NoticeDelayed) as error:
        later = getattr(error, "retry_after", 0)
        return {"ok": False, **error.as_dict(), "retry_after": later}
    except BackupError as error:
        # Told to stop: that is no answer.
        control and control.check()
        return {"ok": False, **unreachable(error, notice), "retry_after": 0, "unreachable": True}
    return {"ok": True}


def unreachable(error, notice):
    """Return a failure on the way there, as plain values."""
    told = error.as_dict()
    if isinstance(error, TimeLimit):
        host = host_of(notice["secret_url"])
        told = NoticeDelayed(f"{host} did not answer within {NOTICE_LIMIT} s.").as_dict()
    if told["retryable"]:
        told["hint"] = BUSY_HINT
    return told


def send(notice, control=None):
    """Send one notice; return the status of the answer.

    Raises :class:`NoticeDelayed` when it may be taken later, :class:`NoticeRefused` when not, and
    what the way there may raise.
    """
    base, path = split(notice["secret_url"])
    limited = Control(time_limit=NOTICE_LIMIT)
    client = HttpClient(base, True, limited)
    with (control or Control()).interrupted_by(limited.cancel), client.request(
        "POST", path, notice["body"].encode(), notice["content_type"], ANSWER_TIMEOUT,
        {"Idempotency-Key": notice["key"]},
    ) as answer:  # fmt: skip
        judge(notice["kind"], host_of(base), answer)
        return answer.status


def judge(kind, host, answer):
    """Raise what the answer means, unless it is a pleasant one."""
    if answer.status in PLEASANT:
        return
    said = " ".join(answer.page()[: QUOTED * 4].split())[:QUOTED]
    message = f"{host} answered {answer.status} {answer.reason}" + (f": {said}" if said else ".")
    if answer.status in BUSY or answer.status >= SERVER_ERROR:
        raise NoticeDelayed(message, BUSY_HINT, retry_after(answer.headers.get("Retry-After")))
    if answer.status in REDIRECTED:
        raise NoticeRefused(message, REDIRECT_HINT)
    raise NoticeRefused(message, HINTS.get((kind, answer.status), HINT))


def retry_after(header):
    """Return the seconds that the header asks for, within bounds; 0 where it says none."""
    header = (header or "").strip()
    return min(int(header), MOST_RETRY_AFTER) if header.isdigit() else 0


def checked_address(url):
    """Return the address of a webhook or ping; raise :class:`NoticeRefused` if it is none.

    In contrast to a server's address it may have a query, where some carry their signature.
    """
    url = (url or "").strip()
    parts = urllib.parse.urlsplit(url)
    try:
        base = checked_url(parts._replace(query="", fragment="").geturl())
        query = urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=~?-._")
    except BackupError:
        # The message of that one names the address.
        raise NoticeRefused(
            "That is no address such as https://hooks.example.com/services/…", hint=""
        ) from None
    return f"{base}?{query}" if query else base


def split(url):
    """Return the root of the server and the rest of the address."""
    parts = urllib.parse.urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return f"{parts.scheme}://{parts.netloc}", path or "/"


def host_of(url):
    return urllib.parse.urlsplit(url).netloc
