"""A limit of bytes a second."""

import threading
import time

# Seconds. What was not used while nothing came is not made up for beyond this.
CREDIT = 1.0


class Throttle:
    """Lets bytes pass at a rate, for one thread.

    :param rate: bytes a second; 0 for no limit
    """

    def __init__(self, rate):
        self._rate = rate
        self._paid_until = time.monotonic()
        self._lifted = threading.Event()

    def passed(self, size):
        """Tell that ``size`` bytes have passed; return when the next ones may."""
        # Once: another thread may lift the limit meanwhile.
        rate = self._rate
        if not rate:
            return
        self._paid_until = max(self._paid_until, time.monotonic() - CREDIT) + size / rate
        self._lifted.wait(max(0.0, self._paid_until - time.monotonic()))

    def lift(self):
        """End the limit, and whoever waits for it; from any thread."""
        self._rate = 0
        self._lifted.set()
