"""What every kind of alert channel declares, and what it promises.

A message is made of *facts*, which are plain values: ``event`` (``opened recovered test``),
``title`` (one line), ``lines`` (what happened, one item each), ``link`` (to the records, or empty),
``server`` (the sender), ``sent_at`` (ISO 8601, UTC), ``count`` and ``incidents`` (a list of dicts,
for programs).
"""

import abc
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import BackupError, RetryableError
from ..kinds import Setting
from ..messages import _
from ..sources.http_client import checked_url

ICONS = {"opened": "🔴", "recovered": "🟢", "test": "🔵"}
BUSY = (408, 425, 429)
SERVER_ERROR = 500
ACCEPTED = range(200, 300)
REDIRECTED = range(300, 400)

HINT = _("Check the address. The service behind it has answered, and refused the message.")
BUSY_HINT = _("The service is busy or down. The message is sent again later.")
REDIRECT_HINT = _("Enter the address that the service itself names; redirects are not followed.")


class NoticeRefused(BackupError):
    code = "notice_refused"


class NoticeDelayed(RetryableError):
    """:ivar retry_after: seconds that the other side wants to be left alone; 0: it does not say"""

    code = "notice_delayed"

    def __init__(self, message, hint=None, retry_after=0):
        super().__init__(message, hint)
        self.retry_after = retry_after


class ChannelIncomplete(BackupError):
    """Something that the channel needs has not been entered."""

    code = "incomplete"


class Channel(abc.ABC):
    """A service that messages are sent to over the network.

    The constructor takes the settings of the form, and the host of each :class:`Address` as
    ``<name>_host``. It connects to nothing.

    :cvar LABEL: what people call the kind
    :cvar SETTINGS: the keywords that its form asks for
    :cvar NOTE: a sentence for the form: where the service shows what is to be entered
    :cvar HINTS: what to do about an answer, by its status
    :cvar REASONS: known answers of the service, longest first; nothing else of an answer is shown
    :cvar OVER_NETWORK: an engine process sends it; otherwise it is made of records of Odoo
    """

    LABEL = ""
    SETTINGS = ()
    NOTE = ""
    HINTS = {}
    REASONS = ()
    OVER_NETWORK = True

    @abc.abstractmethod
    def place(self):
        """Return where messages go, as people may read it: without any secret."""

    @abc.abstractmethod
    def notice(self, facts):
        """Return what is sent and where, as plain values, for :meth:`send` in an engine process.

        Among them are ``place``, and ``secrets``: the names of those that no message may hold.
        Raises :class:`ChannelIncomplete`.
        """

    @classmethod
    @abc.abstractmethod
    def send(cls, notice, control):
        """Send a notice, and stop when ``control`` says so.

        Raises :class:`NoticeDelayed` when it may be accepted later, :class:`NoticeRefused` when
        not, and what the way there may raise. No message holds a secret.
        """


def accept_http(entered):
    """Return an address as it is stored, and its place; raise :class:`NoticeRefused` if it is none.
    """
    address = checked_address(entered)
    return address, host_of(address)


@dataclass(frozen=True)
class Address(Setting):
    """The URL that messages are sent to: a secret, as anyone who knows it can post there.

    :ivar accept: returns what is stored, and the host that may be shown, for the value entered
    """

    secret: bool = True
    required: bool = True
    accept: Callable = accept_http


def raise_for(status, message, hints, pause=0):
    """Raise what an answer of that status means, unless the message was accepted.

    :param pause: seconds that the other side wants to be left alone
    """
    if status in ACCEPTED:
        return
    if status in BUSY or status >= SERVER_ERROR:
        raise NoticeDelayed(message, BUSY_HINT, pause)
    if status in REDIRECTED:
        raise NoticeRefused(message, REDIRECT_HINT)
    raise NoticeRefused(message, hints.get(status, HINT))


def checked_address(url):
    """Return the address of a webhook or ping; raise :class:`NoticeRefused` if it is none.

    In contrast to a server's address it may have a query, where some carry their signature.
    """
    url = (url or "").strip()
    try:
        parts = urllib.parse.urlsplit(url)
        base = checked_url(parts._replace(query="", fragment="").geturl())
        query = urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=~?-._")
    except (BackupError, ValueError):
        # The message of that one names the address.
        raise NoticeRefused(
            _("That is no address such as https://hooks.example.com/services/…"), hint=""
        ) from None
    return f"{base}?{query}" if query else base


def host_of(url):
    return urllib.parse.urlsplit(url).netloc


def path_of(url):
    """Return what of an address is secret, as an answer may quote it: all behind the host."""
    return url.partition("://")[2].partition("/")[2]


def without_markdown(text):
    """Return a text that servers have a say in without what would make links and mentions of it.

    For services that may read it as Markdown, or may not: those would show backslashes.
    """
    return text.replace("](", "] (").replace("@", "@\N{ZERO WIDTH SPACE}")


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
