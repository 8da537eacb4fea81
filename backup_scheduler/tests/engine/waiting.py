"""Waiting in tests: for what comes, however slow the machine is, and on a clock of the test's own.

How long something takes is never a test's matter. What has to end at once is set against something
that does not end before the test is over: then it ends at once, or not at all.
"""

import threading
import time

# Seconds. Nothing takes as long on any machine: what does so hangs.
PATIENCE = 60


def until(condition, what="it did not come to that"):
    """Wait until ``condition()`` says so; return what it says."""
    deadline = time.monotonic() + PATIENCE
    while not (met := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return met


def joined(thread):
    """Wait for the end of a thread; return it."""
    thread.join(PATIENCE)
    assert not thread.is_alive(), f"{thread.name} does not end"
    return thread


def beside(function, *arguments):
    """Begin to do something in a thread; return that."""
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


class Clock:
    """Stands in for the module ``time``: time passes where the test says so, or somebody waits."""

    def __init__(self):
        self.now = 1000.0

    CLOCK_BOOTTIME = None

    def monotonic(self):
        return self.now

    def clock_gettime(self, _which):
        return self.now

    def wait(self, seconds):
        """As an Event that nobody sets."""
        self.now += seconds
        return False
