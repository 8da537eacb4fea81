"""HTTP as a backup needs it: every wait bounded and interruptible, every failure named.

http.client of the standard library does the protocol. What stands here is what the libraries on
top of it do not offer together: a read that another thread can end, time-outs that differ between
the first byte and the next ones, and bytes read into a buffer of ours.
"""

import contextlib
import datetime
import email.utils
import http.client
import math
import re
import socket
import ssl
import urllib.parse

from ..errors import ConnectionFailed, NotOdoo, SourceTimeout, TLSError
from ..messages import _
from ..naming import UNSHOWN

# Seconds. A server that is up accepts within this, even from the other side of the world.
CONNECT_TIMEOUT = 15
# Seconds without an answer to a question that costs the server nothing.
ANSWER_TIMEOUT = 60
# Seconds in which a block of what is sent must be taken; 1 MB over the slowest line takes less.
SEND_TIMEOUT = 300
DEFAULT_PORTS = {"http": http.client.HTTP_PORT, "https": http.client.HTTPS_PORT}
REDIRECTS = (301, 302, 307, 308)
# What Cloudflare calls the statuses that it has made itself.
REASONS = {
    **http.client.responses,
    520: "Unknown Error",
    521: "Web Server Is Down",
    522: "Connection Timed Out",
    523: "Origin Is Unreachable",
    524: "A Timeout Occurred",
    525: "TLS Handshake Failed",
    526: "Invalid Certificate",
    530: "Origin Not Resolved",
}
# Seconds. What a busy server asks for is respected up to here.
MOST_RETRY_AFTER = 3600
# Bytes. An error's page and a list of databases have a few kB; the page of a database manager grows
# by some 1.3 kB a database.
PAGE_LIMIT, MANAGER_LIMIT = 1 << 20, 4 << 20
# Characters of a status line or an address that are worth quoting.
QUOTED = 200
# How sending ends where the other side has stopped reading.
STOPPED_READING = (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError)
# The first byte of an alert, which is how a TLS server answers plain HTTP.
TLS_ALERT = "\x15"


class Answer:
    """What came back: status and headers, and a body that is read as the caller likes.

    ``place`` is the host and port that answered, ``line`` the status with its name.
    """

    def __init__(self, response, sock, place):
        self.place = place
        self.status = response.status
        # The server's own words for it may be anything.
        self.reason = REASONS.get(response.status, "")
        self.line = f"{self.status} {self.reason}".strip()
        self.headers = response.headers
        self.readinto = response.readinto
        self._response = response
        # The connection forgets its socket where the server closes after the answer.
        self._sock = sock

    def set_timeout(self, seconds):
        """From here on, no read waits longer than this."""
        self._sock.settimeout(seconds)

    def page(self, limit=PAGE_LIMIT):
        """Return the text of a small answer, cut after ``limit`` bytes."""
        try:
            content = self._response.read(limit)
        except ValueError as error:
            # A chunk of negative length.
            raise http.client.HTTPException(str(error)) from error
        return content.decode("utf-8", "replace")

    @property
    def is_page(self):
        return self.headers.get_content_type() in ("text/html", "application/xhtml+xml")


class HttpClient:
    """Requests to one server, one connection each (a prefork Odoo closes them anyway).

    :param url: the server's root, ``https://host[:port][/prefix]``
    :param verify_tls: whether the certificate must be valid for the host

    ``clock`` is the server's time as of its latest answer (aware, UTC, to the second), or None
    where it does not tell.
    """

    def __init__(self, url, verify_tls, control):
        self.clock = None
        self._base = urllib.parse.urlsplit(checked_url(url))
        self._verify_tls = verify_tls
        self._control = control

    @contextlib.contextmanager
    def request(  # noqa: PLR0913 - what a request is made of
        self, method, path, body=None, content_type=None, timeout=ANSWER_TIMEOUT, headers=None
    ):
        """Yield the :class:`Answer` to one request, its body still unread.

        :param body: bytes, ASCII text, or something with a length (in bytes) that yields blocks
        :param headers: more of them
        :param timeout: seconds to the first byte of the answer, from when all is sent
        Raises the named kinds of :mod:`..errors`, inside the block too. A redirect that only
        corrects scheme or port is followed once; others are refused, with the address they name:
        the request may carry a password.
        """
        headers = {
            "Accept-Encoding": "identity", "User-Agent": "backup_scheduler", **(headers or {})
        }
        if body is not None:
            headers.update({"Content-Type": content_type, "Content-Length": str(len(body))})
        with contextlib.ExitStack() as stack:
            answer = stack.enter_context(self._send(method, path, body, headers, timeout))
            if answer.status in REDIRECTS and self._follows(answer, path):
                stack.close()
                answer = stack.enter_context(self._send(method, path, body, headers, timeout))
            yield answer

    @contextlib.contextmanager
    def _send(self, method, path, body, headers, timeout):
        connection = self._connection()
        with contextlib.closing(connection), self._failures_named():
            connection.connect()
            sock = connection.sock
            keep_alive(sock)
            with self._control.interrupted_by(lambda: interrupt(sock)):
                sock.settimeout(self._control.remaining(SEND_TIMEOUT))
                response = self._ask(connection, sock, timeout, method, path, body, headers)
                answer = Answer(response, sock, self._base.netloc)
                self.clock = moment(answer.headers.get("Date"))
                yield answer
                # What was interrupted may have looked like the end of the answer.
                self._control.check()

    def _ask(self, connection, sock, timeout, method, path, body, headers):
        """Send the request; return the answer, which may come before all of it is sent."""
        try:
            connection.request(method, self._base.path + path, body, headers)
        except STOPPED_READING:
            # A server that refuses the request may say why before it stops reading.
            sock.settimeout(self._control.remaining(ANSWER_TIMEOUT))
            with contextlib.suppress(OSError, http.client.HTTPException):
                return connection.getresponse()
            raise
        sock.settimeout(self._control.remaining(timeout))
        return connection.getresponse()

    def _connection(self):
        if self._base.scheme == "https":
            context = ssl.create_default_context()
            if not self._verify_tls:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            return http.client.HTTPSConnection(
                self._base.netloc, timeout=CONNECT_TIMEOUT, context=context
            )
        return http.client.HTTPConnection(self._base.netloc, timeout=CONNECT_TIMEOUT)

    def _follows(self, answer, path):
        """Take over scheme and port of a redirect to the same host and path; refuse any other."""
        location = answer.headers.get("Location", "")
        try:
            target = self._target(path, location)
        except ValueError:
            # No address at all.
            return False
        if target.path != self._base.path + path:
            return False
        if target.hostname != self._base.hostname or target.scheme != "https":
            raise ConnectionFailed(
                _(
                    "%(address)s answered %(answer)s: it sends its visitors on to "
                    "%(scheme)s://%(netloc)s.",
                    address=answer.place,
                    answer=answer.line,
                    scheme=target.scheme,
                    netloc=target.netloc[:QUOTED],
                ),
                hint=_("If that is the server, enter that address on the instance."),
            )
        self._base = self._base._replace(scheme=target.scheme, netloc=target.netloc)
        return True

    def _target(self, path, location):
        """Return where a redirect leads; ValueError for what is no address."""
        target = urllib.parse.urlsplit(urllib.parse.urljoin(self._base.geturl() + path, location))
        # Reading it raises for a port that cannot be one.
        if target.port == 0:
            raise ValueError("port 0")
        return target

    @contextlib.contextmanager
    def _failures_named(self):
        place = self._base.netloc
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            # An interrupted wait ends as some error of the socket: the reason is the control's.
            self._control.check()
            raise named(error, place) from error


def named(error, place):  # noqa: PLR0911 - a table
    """Return the kind that an error of socket, TLS or protocol is, told for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TLSError(
            _(
                "The certificate of %(place)s is not valid: %(verify_message)s.",
                place=place,
                verify_message=error.verify_message,
            )
        )
    if isinstance(error, ssl.SSLError):
        return TLSError(
            _(
                "No secure connection to %(place)s: %(reason)s.",
                place=place,
                reason=error.reason or error,
            ),
            hint=_("Check that the address begins with the right one of http:// and https://."),
        )
    if isinstance(error, TimeoutError):
        return SourceTimeout(_("%(place)s did not answer in time.", place=place))
    if isinstance(error, socket.gaierror):
        return ConnectionFailed(
            _(
                "The name of %(place)s cannot be resolved: %(reason)s.",
                place=place,
                reason=error.strerror,
            )
        )
    if isinstance(error, ConnectionError | OSError):
        return ConnectionFailed(
            _(
                "No connection to %(place)s: %(reason)s.",
                place=place,
                reason=error.strerror or error,
            )
        )
    if isinstance(error, http.client.BadStatusLine) and error.line.startswith(TLS_ALERT):
        return TLSError(
            _("%(place)s answers in TLS only.", place=place),
            hint=_("Let the address begin with https:// instead."),
        )
    if isinstance(error, http.client.BadStatusLine | http.client.UnknownProtocol):
        return NotOdoo(_("What answers at %(place)s does not speak HTTP.", place=place))
    return ConnectionFailed(
        _("The answer of %(place)s is broken: %(error)s.", place=place, error=repr(error)[:QUOTED])
    )


def checked_url(url):
    """Return ``url`` without what may not be in it; raise :class:`ConnectionFailed` if unusable."""
    try:
        parts = urllib.parse.urlsplit((url or "").strip())
        # Both raise ValueError: a port that is no number, labels of a name that are empty or long.
        usable = parts.hostname and parts.port != 0 and parts.hostname.encode("idna")
        usable = usable and not UNSHOWN.search(url.strip())
    except ValueError:
        usable = False
    if not usable or parts.scheme not in ("http", "https") or re.search(r"\s", parts.netloc):
        raise ConnectionFailed(
            _("%(url)r is not an address such as https://odoo.example.com.", url=url and url[:200])
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConnectionFailed(_("The address may hold no user, password, query or fragment."))
    path = urllib.parse.quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
    return f"{parts.scheme}://{parts.netloc}{path}"


def same_address(one, other):
    """Return whether two addresses lead to the same place, however they are written."""
    try:
        return _address(one) == _address(other)
    except ConnectionFailed:
        return False


def same_server(one, other):
    """Return whether two addresses have scheme, host and port in common: whoever answers at one of
    them answers at the other. What is no address is the same as itself alone."""
    try:
        return _address(one)[:3] == _address(other)[:3]
    except ConnectionFailed:
        return one == other


def _address(url):
    """Return the parts of an address that make a difference."""
    parts = urllib.parse.urlsplit(checked_url(url))
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return parts.scheme, parts.hostname, port, parts.path


def moment(date):
    """Return a ``Date`` header's moment (aware, UTC), or None where there is no valid one."""
    try:
        found = email.utils.parsedate_to_datetime(date or "")
        # Naive is what a zone of "-0000" gives, which means UTC too.
        aware = found.replace(tzinfo=found.tzinfo or datetime.timezone.utc)
        return aware.astimezone(datetime.timezone.utc)
    except (LookupError, OverflowError, TypeError, ValueError):
        return None


def retry_after(header):
    """Return the seconds that a ``Retry-After`` header asks for, within bounds; 0 without one."""
    header = (header or "").strip()
    if header.isascii() and header.isdecimal():
        # The digits may be more than int() takes.
        return min(int(header[:10]), MOST_RETRY_AFTER)
    until = moment(header)
    if until is None:
        return 0
    seconds = (until - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    return min(max(0, math.ceil(seconds)), MOST_RETRY_AFTER)


def keep_alive(sock):
    """Let the kernel notice a peer that vanished while a dump is being made: nothing flows then.

    A firewall that forgets idle connections is kept awake by the same packets.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)


def interrupt(sock):
    """End whatever waits on the socket, from another thread.

    Around the SSL layer on purpose: its own shutdown() takes the connection's state away from
    under the thread that reads.
    """
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
