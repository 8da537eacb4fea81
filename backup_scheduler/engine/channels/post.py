"""Channels that take a message as one POST of JSON to an address."""

import abc
import json
import urllib.parse

from ..messages import _
from ..sources.http_client import HttpClient, retry_after
from .base import Address, Channel, ChannelIncomplete, host_of, path_of, raise_for

# Seconds from the last byte of a message to the first of the answer.
ANSWER_TIMEOUT = 10
# Characters of an answer in which its reason is looked for.
READ = 4096
JSON = "application/json; charset=utf-8"
# Kinds with this setting share its field: the address is kept when the kind is changed.
ADDRESS = Address(
    "url",
    "Address",
    help="The URL that messages are sent to. Anyone who knows it can post there, so it is stored "
    "encrypted: it can be replaced, but not read.",
)


class PostChannel(Channel):
    """One request a message; the status of the answer says whether it was accepted."""

    SETTINGS = (ADDRESS,)

    def __init__(self, url="", url_host=""):
        self._url = url
        self._place = url_host

    def address(self):
        """Return where messages are sent, with its secret."""
        if not self._url:
            raise ChannelIncomplete(_("Enter the address that the messages are sent to."))
        return self._url

    def place(self):
        return self._place

    @abc.abstractmethod
    def body(self, facts):
        """Return the message as plain values, within the limits of the service."""

    def notice(self, facts):
        address = self.address()
        return posted(address, json.dumps(self.body(facts), ensure_ascii=False), JSON)

    @classmethod
    def send(cls, notice, control):
        url = notice["secret_url"]
        base, path = split(url)
        client = HttpClient(base, True, control)
        with client.request(
            "POST", path, notice["body"].encode(), notice["content_type"], ANSWER_TIMEOUT,
            {"Idempotency-Key": notice["key"]},
        ) as answer:  # fmt: skip
            raise_for(
                answer.status, describe_answer(host_of(url), answer, cls.REASONS), cls.HINTS,
                retry_after(answer.headers.get("Retry-After")),
            )  # fmt: skip


def posted(address, body, content_type):
    """Return the notice of one POST, without who sends it."""
    return {
        "place": host_of(address),
        "secrets": ["secret_url", "secret_path", "secret_token"],
        "secret_url": address,
        "secret_path": path_of(address),
        "content_type": content_type,
        "body": body,
    }


def describe_answer(host, answer, reasons=()):
    """Return the status of an answer, and its reason where that is one of ``reasons``.

    The rest of an answer may quote any part of the secret address, in any spelling, or come from a
    server whose answers the user must not read.
    """
    status, said = f"{answer.status} {answer.reason}", answer.page()[:READ] if reasons else ""
    if reason := next((each for each in reasons if each in said), ""):
        return _("%(host)s answered %(reason)s: %(said)s", host=host, reason=status, said=reason)
    return _("%(host)s answered %(reason)s.", host=host, reason=status)


def split(url):
    """Return the root of the server and the rest of the address."""
    parts = urllib.parse.urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return f"{parts.scheme}://{parts.netloc}", path or "/"
