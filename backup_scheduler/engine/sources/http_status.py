"""What the status of an answer means, from Odoo or a proxy: one table for all requests to an Odoo.

Between here and there may be an nginx, a HAProxy, an ingress or Cloudflare. What they answer in the
place of Odoo is theirs, and says nothing about what is behind them.
"""

import http
import urllib.parse
from typing import NamedTuple

from ..errors import (
    ProxyRefused,
    ProxyTimeout,
    RateLimited,
    RemoteError,
    RemoteNoSpace,
    ServerDown,
    SourceTimeout,
)
from ..messages import _
from .http_client import QUOTED, retry_after

REDIRECTED = range(300, 400)
SERVER_ERRORS = range(500, 600)


class Meaning(NamedTuple):
    """:ivar hint: what to do, where it is another than that of the kind"""

    kind: type
    text: str
    hint: str | None = None


UNREACHABLE = Meaning(
    ServerDown,
    _("The proxy cannot reach the server."),
    _("Check that the server runs, and the address that the proxy has of it."),
)
# https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/
NO_TLS = Meaning(
    ServerDown,
    _("The proxy cannot make a secure connection to the server."),
    _("Check the certificate that the server itself shows to its proxy."),
)
OVERLOADED = _(
    "The log of that server has the reason. An Odoo that has no free connection to its PostgreSQL "
    "answers this: compare db_maxconn, the number of its workers and max_connections there."
)
# What is passing, by its status. Each is tried again.
PASSING = {
    408: Meaning(SourceTimeout, _("The request did not arrive in time.")),
    425: Meaning(
        ServerDown, _("The server is not ready yet."), _("The request is repeated later.")
    ),
    429: Meaning(RateLimited, _("It was asked too often.")),
    500: Meaning(RemoteError, _("The server failed without a message."), OVERLOADED),
    502: Meaning(ServerDown, _("Odoo is down or restarting.")),
    503: Meaning(ServerDown, _("Odoo is down, restarting or overloaded.")),
    504: Meaning(ProxyTimeout, _("The proxy gave up waiting for Odoo.")),
    507: Meaning(RemoteNoSpace, _("The disk of that server is full.")),
    508: Meaning(
        RemoteError,
        _("The server is over a limit of its host."),
        _("Hosts such as cPanel limit memory and processes: raise the limits of that account."),
    ),
    520: Meaning(ServerDown, _("The proxy got no valid answer from the server.")),
    521: Meaning(ServerDown, _("Odoo is down or restarting.")),
    522: UNREACHABLE,
    523: UNREACHABLE,
    524: Meaning(
        ProxyTimeout,
        _("The proxy gave up waiting for Odoo."),
        _(
            "Cloudflare waits for about 100 seconds, and a backup often takes longer. Use an "
            "address that bypasses it (“DNS only”)."
        ),
    ),
    525: NO_TLS,
    526: NO_TLS,
    527: UNREACHABLE,
    528: UNREACHABLE,
    529: Meaning(ServerDown, _("Odoo is down, restarting or overloaded.")),
    530: UNREACHABLE,
}
FAILED = Meaning(RemoteError, _("The server failed without a message."))
LOGIN = _("A login stands in front of Odoo.")
LOGIN_HINT = _(
    "Odoo itself asks for none here: a proxy does (basic authentication, single sign-on). Exempt "
    "requests from this machine there, or use an address that bypasses the proxy."
)
BLOCKED = _("Something in front of Odoo refuses this machine.")
BLOCKED_HINT = _(
    "A firewall or a check for browsers (such as Cloudflare's) does this. Allow requests from this "
    "machine there, or use an address that bypasses it."
)


def require_passed(answer):
    """Raise what the status says of a server that cannot answer now, or of a login in front."""
    if error := status_error(answer):
        raise error


def status_error(answer):
    """Return the error that a status is, whatever was asked for; None where it is none, or has
    another meaning for each request."""
    if answer.status == http.HTTPStatus.UNAUTHORIZED:
        return ProxyRefused(answered(answer, LOGIN), LOGIN_HINT)
    if answer.status in PASSING or answer.status in SERVER_ERRORS:
        meaning = PASSING.get(answer.status, FAILED)
        error = meaning.kind(answered(answer, meaning.text), meaning.hint)
        error.retry_after = retry_after(answer.headers.get("Retry-After"))
        return error
    return None


def require_let_in(answer):
    """Raise :class:`ProxyRefused` for an answer that is not Odoo's to a question that anybody may
    ask it."""
    if answer.status == http.HTTPStatus.FORBIDDEN:
        raise ProxyRefused(answered(answer, BLOCKED), BLOCKED_HINT)
    if answer.status in REDIRECTED:
        raise led_away(answer)


def led_away(answer):
    """Return the error that a redirect is: away from what was asked for, to a login."""
    target = other_server(answer)
    if not target:
        text = _("It sends its visitors on to another page.")
    else:
        text = _("It sends its visitors on to %(target)s.", target=target)
    return ProxyRefused(answered(answer, text), LOGIN_HINT)


def other_server(answer):
    """Return the server that a redirect leads to; nothing where it is the same one, or none."""
    if answer.status not in REDIRECTED:
        return ""
    try:
        target = urllib.parse.urlsplit(answer.headers.get("Location", ""))
        host = target.hostname
    except ValueError:
        # No address at all.
        return ""
    # Its path may hold what is for nobody to read.
    same = not host or host == urllib.parse.urlsplit(f"//{answer.place}").hostname
    return "" if same else f"{target.scheme}://{target.netloc}"[:QUOTED]


def answered(answer, meaning):
    return _(
        "%(address)s answered %(answer)s. %(meaning)s",
        address=answer.place,
        answer=answer.line,
        meaning=meaning,
    )
