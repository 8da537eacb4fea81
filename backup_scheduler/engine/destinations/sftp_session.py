"""The way to an SFTP server: its host key first, then the account, then one channel for SFTP."""

import contextlib
import dataclasses
import errno
import socket
import time

from ..errors import DestinationDenied, DestinationFailed, HostKeyChanged, HostKeyUnknown
from ..messages import _, joined
from .sftp_keys import LOG, fingerprint, host_key_text, library, load_key, parse_host_key, type_of
from .sftp_protocol import WINDOW, Protocol
from .words import quoted

# Seconds, each for one step: to be connected, to agree on keys, to be let in, to open the channel.
# A busy server, or one that asks a directory service, takes a few.
STEP_TIMEOUT = 20
# Seconds without a byte in the direction that is waited for. Disks that were asleep, and arrays
# that write back what they hold, take up to half a minute.
STALL_TIMEOUT = 60
# Seconds after which something is said on a connection that has nothing to do, so that firewalls on
# the way do not forget it: a spool can wait for its first byte for an hour.
KEEPALIVE = 15
# Authenticated encryption in one step costs a third of the time of a cipher and a digest.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
# Neither MD5 nor shortened digests, which OpenSSH's own client does not offer either.
DIGESTS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1",
)
# What a server may sign with by a key of this type.
SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


@dataclasses.dataclass(frozen=True)
class Account:
    """Where to, as whom, by what secret, and which host key the server must have."""

    host: str
    port: int
    user: str
    password: str = dataclasses.field(default="", repr=False)
    private_key: str = dataclasses.field(default="", repr=False)
    passphrase: str = dataclasses.field(default="", repr=False)
    host_key: str = ""

    @property
    def server(self):
        if self.port == 22:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Session:
    """A connection with one channel that speaks SFTP, for one thread at a time.

    Connecting raises a failure of the destination, :class:`HostKeyUnknown` or
    :class:`HostKeyChanged`; no secret is sent to a server before its key proved to be the pinned
    one. :meth:`close` may be called by any thread at any time, and ends what another one waits for.
    """

    def __init__(self, account):
        self.account = account
        self._transport = None
        self._channel = None
        self._socket = None
        key = load_key(account)
        try:
            with connecting(account):
                self._negotiate()
                self._authenticate(key)
                self._open()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.close()

    def close(self):
        for part in (self._transport, self._socket):
            if part is not None:
                with contextlib.suppress(OSError, EOFError):
                    part.close()

    @property
    def is_open(self):
        return self._transport.is_active() and not self._channel.closed

    def patient(self, seconds):
        """Wait for answers up to ``seconds`` from now on."""
        self._channel.settimeout(seconds)

    def lost(self, error):
        """Return why the connection is no good any more, as a failure of the destination."""
        server = self.account.server
        if isinstance(error, TimeoutError):
            return DestinationFailed(
                _(
                    "%(server)s said nothing for %(seconds)s seconds.",
                    server=server,
                    seconds=f"{self._channel.gettimeout():.0f}",
                ),
                hint=HANGS,
            )
        if self._socket.gave_up:
            return DestinationFailed(
                _(
                    "%(server)s took no byte for %(seconds)s seconds.",
                    server=server,
                    seconds=f"{STALL_TIMEOUT:.0f}",
                ),
                hint=HANGS,
            )
        words = words_of(error) or _("the server, or something on the way to it, closed it")
        return DestinationFailed(
            _("The connection to %(server)s was lost: %(words)s.", server=server, words=words),
            hint=LOST,
        )

    # --- the server -----------------------------------------------------------------------------

    def _negotiate(self):
        """Agree on keys with the server; raise unless it has the pinned host key."""
        pinned = parse_host_key(self.account.host_key)
        try:
            found = self._shake_hands(pinned)
        except library().ssh_exception.IncompatiblePeer:
            # It has no key of that type (any more), or nothing else in common with us.
            if pinned is None:
                raise
            found = self._shake_hands(None)
        if pinned is None:
            raise HostKeyUnknown(
                _(
                    "The host key of %(server)s was not accepted yet. Its fingerprint is "
                    "%(fingerprint)s.",
                    server=self.account.server,
                    fingerprint=fingerprint(found),
                ),
                host_key=host_key_text(found),
                fingerprint=fingerprint(found),
                hint=_compare(type_of(found).removeprefix("ssh-").split("-")[0]),
            )
        if found != pinned:
            raise HostKeyChanged(
                _(
                    "%(server)s has another host key than the accepted one: %(found)s instead of "
                    "%(pinned)s.",
                    server=self.account.server,
                    found=fingerprint(found),
                    pinned=fingerprint(pinned),
                ),
                host_key=host_key_text(found),
                fingerprint=fingerprint(found),
                accepted=fingerprint(pinned),
            )

    def _shake_hands(self, pinned):
        """Connect; return the server's host key, one of the type of ``pinned`` if given."""
        self.close()
        self._socket = connect(self.account)
        self._transport = transport = library().Transport(self._socket, default_window_size=WINDOW)
        transport.set_log_channel(LOG)
        transport.banner_timeout = transport.handshake_timeout = STEP_TIMEOUT
        transport.auth_timeout = transport.channel_timeout = STEP_TIMEOUT
        options = transport.get_security_options()
        options.ciphers = tuple(name for name in CIPHERS if name in options.ciphers)
        options.digests = tuple(name for name in DIGESTS if name in options.digests)
        if pinned is not None:
            wanted = SIGNATURES.get(type_of(pinned), (type_of(pinned),))
            known = tuple(name for name in wanted if name in options.key_types)
            options.key_types = known or options.key_types
        transport.start_client(timeout=STEP_TIMEOUT)
        return transport.get_remote_server_key().asbytes()

    # --- the account ----------------------------------------------------------------------------

    def _authenticate(self, key):
        """Log in by the key, by the password, or by both where the server wants that."""
        user, ways = self.account.user, []
        refused = library().AuthenticationException
        if key is not None:
            ways.append((_("key"), lambda: self._transport.auth_publickey(user, key)))
        if self.account.password:
            password = self.account.password
            ways.append((_("password"), lambda: self._transport.auth_password(user, password)))
        for _name, log_in in ways:
            try:
                log_in()
            except refused as error:
                # The kind that a lost connection, and one that takes too long, have as well.
                if "timeout" in str(error).lower():
                    raise
                if not self._transport.is_active():
                    raise ended_at_login(self.account, words_of(error)) from error
            if self._transport.is_authenticated():
                return
        raise self._denied([name for name, _log_in in ways])

    def _denied(self, tried):
        offered = quoted(", ".join(self._offered()))
        told = _(
            "%(server)s does not let %(user)s in by this %(secret)s.",
            server=self.account.server,
            user=self.account.user,
            secret=joined(_(" or this "), tried),
        )
        if offered:
            told = joined(" ", (told, _("It takes: %(ways)s.", ways=offered)))
        return DestinationDenied(
            told,
            hint=_(
                "Check the user, and the password or key. A key must stand in the account's "
                "authorized keys on the server."
            ),
        )

    def _offered(self):
        """Return by which ways the server lets anybody in, as it says itself."""
        try:
            self._transport.auth_none(self.account.user)
        except library().BadAuthenticationType as error:
            return error.allowed_types
        except (EOFError, OSError, library().SSHException):
            return []
        return []

    def _open(self):
        self._transport.set_keepalive(KEEPALIVE)
        try:
            self._channel = self._transport.open_session(timeout=STEP_TIMEOUT)
            self._channel.settimeout(STEP_TIMEOUT)
            self._channel.invoke_subsystem("sftp")
            self.sftp = Protocol(self._channel)
        except TimeoutError:
            raise
        except (EOFError, OSError, library().SSHException) as error:
            raise no_sftp(self.account, words_of(error) or _("it ends at once")) from error
        self._channel.settimeout(STALL_TIMEOUT)


ALLOW_SFTP = _(
    "Allow SFTP for the account (OpenSSH: Subsystem sftp internal-sftp). In a chroot, the folder "
    "itself must belong to root and be writable by nobody else."
)
HANGS = _(
    "Look at the load and the disks of that server, and at the network between here and there."
)
LOST = _("See whether the server was restarted or is out of memory; its log (auth.log) has more.")


@contextlib.contextmanager
def connecting(account):
    """Turn what goes wrong until the channel is open into a failure of the destination."""
    try:
        yield
    except library().ssh_exception.IncompatiblePeer as error:
        raise DestinationFailed(
            _(
                "%(server)s has no method of encryption in common with us: %(error)s.",
                server=account.server,
                error=words_of(error),
            ),
            hint=_("Bring the software of that server up to date."),
        ) from error
    except (EOFError, OSError, library().SSHException) as error:
        words = words_of(error) or _("the other side closed it")
        if "banner" in words or "protocol version" in words:
            # The second one quotes what it was.
            words = _("what answers there does not speak SSH")
        raise DestinationFailed(
            _(
                "No connection to %(server)s could be made: %(words)s.",
                server=account.server,
                words=words,
            ),
            hint=_("Check host and port, and that the server runs and is reached from here."),
        ) from error


def words_of(error):
    """Return what an error says for itself, without its number; it may say nothing."""
    return quoted(getattr(error, "strerror", None) or error)


def no_sftp(account, words):
    return DestinationFailed(
        _(
            "%(server)s lets %(user)s in, but there is no SFTP for this account: %(words)s.",
            server=account.server,
            user=account.user,
            words=words,
        ),
        hint=ALLOW_SFTP,
    )


def ended_at_login(account, words):
    """What a server does that cannot give the account its folder, or that is busy or blocks us: the
    word that it accepted the login may be lost on its way."""
    return DestinationFailed(
        _(
            "%(server)s ended the connection at the login of %(user)s: %(words)s.",
            server=account.server,
            user=account.user,
            words=words,
        ),
        hint=_("%(advice)s If that is so, its log (auth.log) says why.", advice=ALLOW_SFTP),
    )


class BoundedSocket(socket.socket):
    """A socket on which sending ends some time.

    paramiko tries again for as long as the other side takes nothing: here that is an error after
    ``STALL_TIMEOUT``.
    """

    gave_up = False
    _stalled_since = None

    def send(self, *arguments):
        try:
            sent = super().send(*arguments)
        except TimeoutError:
            now = time.monotonic()
            self._stalled_since = self._stalled_since or now
            if now - self._stalled_since < STALL_TIMEOUT:
                raise
            self.gave_up = True
            raise ConnectionAbortedError(errno.ECONNABORTED, "no byte was taken") from None
        self._stalled_since = None
        return sent


def connect(account):
    """Return a socket that is connected to the server."""
    try:
        plain = socket.create_connection((account.host, account.port), STEP_TIMEOUT)
    except (socket.gaierror, UnicodeError) as error:
        raise DestinationFailed(
            _("There is no server of the name %(host)r.", host=account.host),
            hint=_("Check the host's name."),
        ) from error
    except OSError as error:
        words = _("it does not answer") if isinstance(error, TimeoutError) else error.strerror
        raise DestinationFailed(
            _(
                "No connection to %(server)s could be made: %(words)s.",
                server=account.server,
                words=words,
            ),
            hint=_("Check host and port, and that the server runs and is reached from here."),
        ) from error
    bounded = BoundedSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
    bounded.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bounded


def _compare(kind):
    """Return the hint for a host key of that kind: ``ed25519``."""
    return _(
        "Compare it with the server's own (there: ssh-keygen -l -f "
        "/etc/ssh/ssh_host_%(kind)s_key.pub), and accept it on the destination's form if it is the "
        "same.",
        kind=kind,
    )
