"""One run of rclone: fed, read, watched, and ended for certain."""

import contextlib
import errno
import os
import select
import signal
import socket
import subprocess
import threading
import time

from ..errors import DestinationFailed
from ..messages import _, joined
from .rclone_words import Words, failure, not_found

# Seconds in which rclone itself shows no sign of life while it has work. Above its own limit for a
# silent server (IDLE of .rclone_program), so that its own words come first.
STALL = 420
# Bytes read and written that are one. Less is what its runtime does while nothing happens.
SIGN_OF_LIFE = 4096
# Seconds between looks.
GLANCE = 1
# Seconds between the signal that lets it tidy up (parts at a server) and the one that does not.
GRACE = 5
# More of the stream is on its way inside the machine.
SOCKET_BUFFER = 1 << 20
BLOCK = 1 << 20
OUTPUT_LIMIT = 64 << 20
SILENT = _("The storage, or the way to it, has stopped answering. It is tried again later.")


class Leash:
    """The programs that one piece of work has running, to end them from another thread."""

    def __init__(self):
        self._lock = threading.Lock()
        self._children = set()
        self.pulled = False

    def add(self, child):
        with self._lock:
            self._children.add(child)
            if self.pulled:
                child.kill()

    def remove(self, child):
        with self._lock:
            self._children.discard(child)

    def pull(self):
        """End them, and what is started later too."""
        with self._lock:
            self.pulled = True
            for child in self._children:
                child.kill()


class Child:
    """One run of rclone. Whoever starts it calls :meth:`end`, on any way out.

    :param readable: whether what it prints is wanted, by :meth:`blocks` or :meth:`printed`
    :param stream: whether it gets its input by :meth:`send`; else it has none
    """

    def __init__(self, rclone, what, arguments, readable=False, stream=False, leash=None):
        self._rclone = rclone
        self._what = what
        self._leash = leash or Leash()
        self._sent = 0
        self._reader = None
        self._ending = threading.Lock()
        self._writer, theirs = sockets() if stream else (None, None)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - rclone, with arguments of ours
                rclone.command(arguments),
                env=rclone.environment(),
                stdin=theirs if stream else subprocess.DEVNULL,
                stdout=subprocess.PIPE if readable else subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(self._writer.fileno(),) if stream else (),
                start_new_session=True,
            )
        except OSError as error:
            close(self._writer)
            raise DestinationFailed(
                _("%(what)s: rclone cannot be started: %(error)s", what=what, error=error)
            ) from error
        finally:
            close(theirs)
        self._words = Words(self._process.stderr)
        self._leash.add(self)

    # --- its input ------------------------------------------------------------------------------

    def send(self, block):
        """Hand it the next bytes; raise why it takes no more."""
        view = memoryview(block).cast("B")
        life = SignsOfLife(self)
        while view:
            try:
                if ready(self._writer, select.POLLOUT):
                    taken = self._writer.send(view, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                    view = view[taken:]
                    self._sent += taken
            except BlockingIOError:
                # Its buffer was filled after all; whether it still lives is looked at below.
                pass
            except OSError:
                self.require(self.finish(GRACE))
                raise DestinationFailed(
                    _("%(what)s: rclone ended too early.", what=self._what)
                ) from None
            if view:
                life.require()

    # --- its output -----------------------------------------------------------------------------

    def blocks(self):
        """Yield what it prints, in blocks that are good until the next is asked for; raise why it
        failed."""
        buffer = memoryview(bytearray(BLOCK))
        life = SignsOfLife(self)
        with self._process.stdout as pipe:
            while True:
                if not ready(pipe, select.POLLIN):
                    life.require()
                    continue
                length = os.readv(pipe.fileno(), [buffer])
                if not length:
                    break
                self._sent += length
                yield buffer[:length]
        self.require(self.finish())

    def printed(self):
        """Return all that it has printed, once it has finished."""
        if len(self._reader.printed) > OUTPUT_LIMIT:
            raise DestinationFailed(
                _("%(what)s: rclone printed more than can be read.", what=self._what)
            )
        return bytes(self._reader.printed)

    # --- its end --------------------------------------------------------------------------------

    def finish(self, limit=0):
        """All of its input is there: wait until it has ended; return its exit code.

        :param limit: seconds; 0: as long as it shows signs of life
        """
        if self._process.stdout and not self._process.stdout.closed and self._reader is None:
            self._reader = Reader(self._process.stdout)
        with contextlib.suppress(AttributeError, OSError):
            self._writer.shutdown(socket.SHUT_WR)
        until = time.monotonic() + limit if limit else None
        life = SignsOfLife(self)
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(GLANCE)
                if self._reader:
                    self._reader.join(GRACE)
                return code
            if until and time.monotonic() > until:
                self.end()
                raise DestinationFailed(
                    _(
                        "%(what)s: rclone did not come to an end in %(seconds)s s.",
                        what=self._what,
                        seconds=limit,
                    ),
                    hint=SILENT,
                )
            life.require()

    def not_found(self, code):
        return not_found(code, self._words.lines())

    def require(self, code):
        """Raise what it means that it ended with ``code``, unless that is 0."""
        if self._leash.pulled:
            raise DestinationFailed(_("%(what)s: it was stopped.", what=self._what))
        if code:
            raise failure(self._what, code, self._words.lines(), self._rclone.secrets())

    def died(self, what):
        self.end()
        if self._leash.pulled:
            raise DestinationFailed(_("%(what)s: it was stopped.", what=self._what))
        raise DestinationFailed(
            joined(": ", (self._what, what)), hint=SILENT
        )

    def kill(self):
        """Tell it to end, and see that it does; return at once. From any thread."""
        self._signal(signal.SIGTERM)
        timer = threading.Timer(GRACE, self._signal, [signal.SIGKILL])
        timer.daemon = True
        timer.start()

    def end(self):
        """Leave nothing running and nothing open."""
        with self._ending:
            if self._process.poll() is None:
                self._signal(signal.SIGTERM)
                try:
                    self._process.wait(GRACE)
                except subprocess.TimeoutExpired:
                    self._signal(signal.SIGKILL)
                    self._process.wait()
        self._words.join(GRACE)
        close(self._writer)
        if self._process.stdout and self._reader is None:
            self._process.stdout.close()
        self._leash.remove(self)

    def _signal(self, number):
        # Not once it was waited for: the number may be another process's by then.
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def moved(self):
        """Return the bytes that it has read and written so far, also to and from the network."""
        total = self._sent
        try:
            with open(f"/proc/{self._process.pid}/io", encoding="ascii") as file:
                return total + sum(int(line.split()[1]) for line in file.readlines()[:2])
        except (OSError, ValueError, IndexError):
            return total


class SignsOfLife:
    """Whether a child still does something."""

    def __init__(self, child):
        self._child = child
        self._moved = child.moved()
        self._at = time.monotonic()

    def require(self):
        """End the child and raise when it has done nothing for STALL seconds."""
        moved, now = self._child.moved(), time.monotonic()
        if moved - self._moved >= SIGN_OF_LIFE:
            self._moved, self._at = moved, now
        elif now - self._at > STALL:
            self._child.died(_("nothing has moved for %(seconds)s s.", seconds=STALL))


class Reader(threading.Thread):
    """Reads what a command prints, up to a limit."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self._stream = stream
        self.printed = bytearray()
        self.start()

    def run(self):
        with self._stream:
            while block := self._stream.read1(BLOCK):
                if len(self.printed) <= OUTPUT_LIMIT:
                    self.printed += block


def sockets():
    """Return the writing and the reading end of a stream."""
    writer, reader = socket.socketpair()
    writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
    return writer, reader


def close(end):
    if end is not None:
        end.close()


def ready(end, event):
    """Wait a moment until ``end`` can be used; return whether it can (an error counts too).

    Raises OSError where somebody else has closed it meanwhile.
    """
    poll = select.poll()
    if (descriptor := end.fileno()) < 0:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    poll.register(descriptor, event)
    return bool(poll.poll(GLANCE * 1000))
