"""Whatever Apprise can reach: over a hundred services, each by one URL.

Apprise is asked in a process of its own (:mod:`.apprise_process`). It bounds no answer in time or
size, a thread cannot be ended, and its URLs can name files and programs of this machine.
"""

import http
import json
import os
import subprocess
import sys

from ..control import Control
from ..errors import LibraryMissing, RetryableError, TimeLimit
from ..messages import _
from ..sources.http_client import retry_after
from .base import (
    Address,
    Channel,
    ChannelIncomplete,
    NoticeDelayed,
    NoticeRefused,
    clipped,
    cut,
    raise_for,
    without_markdown,
)

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "apprise_process")
# Seconds for looking at a URL, most of which it takes to load Apprise.
CHECK_LIMIT = 20
# Characters. Each service cuts what is longer than it accepts.
TITLE_LIMIT, TEXT_LIMIT = 250, 8000
TYPES = {"opened": "failure", "recovered": "success", "test": "info"}
TRY_HINT = _(
    "Check the address. What the service says in full is shown by Apprise itself, on the machine "
    "where Odoo runs: apprise -vv -b test <address>"
)


class AppriseMissing(LibraryMissing, RetryableError):
    """Messages wait until it is installed."""

    hint = _("Install it where Odoo and its workers run (pip install apprise), and restart Odoo.")


def accept(entered):
    """Return an Apprise URL as it is stored, and its scheme and host, which may be shown.

    Raises :class:`NoticeRefused` for what Apprise does not know or what reaches no network service.
    """
    url = (entered or "").strip()
    control = Control(time_limit=CHECK_LIMIT)
    try:
        return url, ask({"action": "check", "url": url}, control)["place"]
    except TimeLimit:
        raise NoticeDelayed(
            _("Apprise did not look at the address within %(limit)s s.", limit=CHECK_LIMIT),
            hint=_("The machine is very busy. Try again."),
        ) from None


class AppriseChannel(Channel):
    LABEL = "Apprise"
    SETTINGS = (
        Address(
            "url",
            "Apprise URL",
            accept=accept,
            placeholder="ntfy://…, discord://…, mailto://…",
            help="The address of one network service, as Apprise documents it. It is stored "
            "encrypted and can be replaced, never read.",
        ),
    )
    NOTE = "The URLs of over a hundred services: https://appriseit.com/services/"
    HINTS = dict.fromkeys(
        (401, 403), _("Check the user, password, token or key in the address.")
    )

    def __init__(self, url="", url_host=""):
        self._url = url
        self._place = url_host

    def place(self):
        return self._place

    def notice(self, facts):
        if not self._url:
            raise ChannelIncomplete(_("Enter the Apprise URL that the messages are sent to."))
        # Some services read Markdown, and Apprise passes texts on to them as they are.
        text = clipped(list(map(without_markdown, facts["lines"])), TEXT_LIMIT)
        title = without_markdown(facts["title"])
        return {
            "place": self._place,
            "secrets": ["secret_url"],
            "secret_url": self._url,
            "title": cut(title, TITLE_LIMIT),
            "body": "\n".join(filter(None, (text, facts["link"]))) or title,
            "type": TYPES[facts["event"]],
        }

    @classmethod
    def send(cls, notice, control):
        message = {key: notice[key] for key in ("title", "body", "type")}
        result = ask({"action": "send", "url": notice["secret_url"], **message}, control)
        if result["sent"]:
            return
        place, status = notice["place"], result["answered"]
        if not status:
            raise NoticeDelayed(
                _("No connection to %(place)s, or it broke off.", place=place), TRY_HINT
            )
        raise_for(status, answer_of(place, status), cls.HINTS, retry_after(result["retry_after"]))
        # The service has answered that all is well, and in its answer that it is not.
        raise NoticeRefused(_("%(place)s did not accept the message.", place=place), TRY_HINT)


def answer_of(place, status):
    """Return what was answered. Not in the service's own words: they may quote any part of a URL.
    """
    known = status in set(http.HTTPStatus)
    reason = f"{status} {http.HTTPStatus(status).phrase}" if known else str(status)
    return _("%(place)s answered %(reason)s.", place=place, reason=reason)


def ask(order, control):
    """Have Apprise's process carry out an order; return its result.

    Raises :class:`AppriseMissing`, or :class:`NoticeRefused` for a URL that is not used.
    """
    result = run(order, control)
    if result.get("missing"):
        raise AppriseMissing(result["missing"])
    if result.get("refused"):
        raise NoticeRefused(result["refused"], result.get("hint", ""))
    return result


def run(order, control):
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
        [sys.executable, PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
    try:
        with control.interrupted_by(process.kill):
            output, _nothing = process.communicate(json.dumps(order))
            control.check()
    finally:
        # Also where it was not yet known who is to be interrupted.
        process.kill()
        process.wait()
    try:
        return json.loads(output)
    except ValueError:
        raise NoticeDelayed(
            _("Apprise ended without a result: it was killed, or memory ran out."), TRY_HINT
        ) from None
