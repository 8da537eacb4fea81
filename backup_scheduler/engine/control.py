"""How a run is told to stop, and how it says how far it is.

One :class:`Control` belongs to one run. The code that moves bytes calls :meth:`Control.check` at
every block and registers what unblocks it while it waits; whoever owns the run (the engine
process's reader of commands, or the ORM when it runs inline) calls :meth:`Control.cancel`.
"""

import contextlib
import threading
import time

from .errors import Cancelled, TimeLimit, WorkerLost
from .messages import _

# Progress is for people: more often than this only costs.
PROGRESS_INTERVAL = 0.5
# The owner renews its lease and answers within a heartbeat; past this it is gone.
PERMISSION_TIMEOUT = 120
# The owner's lease was renewed for 45 seconds when it gave its word.
PERMISSION_LASTS = 30


def moment():
    """Return the seconds of the one clock that all processes of this machine share.

    It goes on while the machine sleeps, unlike time.monotonic(): the lease of a task runs out
    meanwhile, by the clock of the database.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Control:
    """Cancelling, time limit, progress and the permission to publish.

    :param emit: called with one dict of plain values for each event
    :param time_limit: seconds after which the run is stopped with ``time_limit``; 0 for none
    :param permission: called with the seconds it may take before the archive gets its final name;
        returns the moment (see :func:`moment`) at which the owner said that it still holds the run,
        or None. None when nobody needs to be asked
    """

    def __init__(self, emit=None, time_limit=0, permission=None):
        self._emit = emit or (lambda event: None)
        self._permission = permission
        self._error = None
        self._interrupts = []
        self._lock = threading.Lock()
        self._deadline = time.monotonic() + time_limit if time_limit else None
        self._time_limit = time_limit
        self._last_progress = 0.0
        self._expected = 0
        self._permitted_until = 0.0
        self.stage = None

    # --- being stopped --------------------------------------------------------------------------

    def cancel(self, error=None):
        """Stop the run with ``error`` (default: :class:`Cancelled`); the first reason stays.

        May be called from any thread, and from a signal handler's successor. What waits right now
        is interrupted.
        """
        with self._lock:
            if self._error is None:
                self._error = error or Cancelled(_("The run was cancelled."))
            interrupts = list(self._interrupts)
        for interrupt in interrupts:
            interrupt()

    def check(self):
        """Raise the reason to stop, if there is one."""
        if self._error is None and self._deadline and time.monotonic() > self._deadline:
            self._expire()
        if self._error is not None:
            raise self._error

    @contextlib.contextmanager
    def interrupted_by(self, interrupt):
        """While inside, ``interrupt()`` is called when the run is stopped, to end a wait."""
        with self._lock:
            self._interrupts.append(interrupt)
        try:
            self.check()
            with self._alarm():
                yield
        finally:
            with self._lock:
                self._interrupts.remove(interrupt)

    @contextlib.contextmanager
    def _alarm(self):
        """While inside, the time limit interrupts too: a wait that makes no progress, or little,
        does not come to :meth:`check`."""
        if self._deadline is None:
            yield
            return
        timer = threading.Timer(max(0, self._deadline - time.monotonic()), self._expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _expire(self):
        self.cancel(
            TimeLimit(
                _(
                    "The run took longer than its limit of %(seconds)s s.",
                    seconds=self._time_limit,
                )
            )
        )

    def remaining(self, bound):
        """Return ``bound`` seconds, or less when the time limit comes first."""
        if self._deadline is None:
            return bound
        return max(0.1, min(bound, self._deadline - time.monotonic()))

    # --- saying how far it is -------------------------------------------------------------------

    def enter(self, stage, expected=0):
        """Tell that a stage begins: ``connect download verify store publish``, and of archives at
        rest ``read decrypt restore check``.

        :param expected: bytes it will take, where its steps cannot know
        """
        self.check()
        self.stage = stage
        self._expected = expected
        self._last_progress = 0.0
        self.tell("stage", stage=stage)

    def progress(self, done, total=0):
        """Tell that ``done`` bytes of ``total`` (0 when unknown) are through.

        Raises the reason to stop, if there is one.
        """
        self.check()
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_INTERVAL:
            self._last_progress = now
            self.tell("progress", stage=self.stage, done=done, total=total or self._expected)

    def tell(self, event, **values):
        self._emit({"event": event, **values})

    # --- what cannot be undone ------------------------------------------------------------------

    def ask_permission(self, **values):
        """Wait for the owner's word that this task is still ours; raise :class:`WorkerLost` if not.

        An owner that was stopped past its lease has lost the task to another attempt: what this
        attempt made must not get a final name, and it must not delete what another one makes.
        """
        self.tell("ready", **values)
        if self._permission is None:
            return
        given_at = self._permission(self.remaining(PERMISSION_TIMEOUT))
        self.check()
        if given_at is None:
            raise WorkerLost(
                _("The worker did not confirm that this run is still its own."),
                hint=_("The worker, or the database that it works for, was away for too long."),
            )
        self._permitted_until = given_at + PERMISSION_LASTS

    def check_permission(self):
        """Raise when the owner's word is too old to be acted on: this process was stopped."""
        self.check()
        if self._permission is not None and moment() > self._permitted_until:
            raise WorkerLost(
                _("The run was held up too long to be sure that it is still ours."),
                hint=_(
                    "The machine was stopped, or too busy to go on, when the archive was ready."
                ),
            )
