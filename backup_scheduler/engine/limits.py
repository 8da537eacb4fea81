"""What an engine process may use of the machine, whatever it is given to read."""

import faulthandler
import resource
import threading
import time

# Bytes of memory that a process may write to.
MEMORY_LIMIT = 2 << 30
# Seconds in which no thread could do anything but one. Nothing that is meant to happen takes as
# long; the owner that would kill the process may be gone.
STUCK_LIMIT = 600


def limit_memory(limit=MEMORY_LIMIT):
    """Limit the memory of this process and those that it starts; lift what Odoo limits.

    Odoo's limits are made for requests, and inherited: computing for a minute is no fault here.
    What is limited is the memory that is written to. The address space says little: each thread
    reserves 64 MB of it without using them.
    """
    for name in (resource.RLIMIT_CPU, resource.RLIMIT_AS):
        _soft, hard = resource.getrlimit(name)
        resource.setrlimit(name, (hard, hard))
    _soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))


def end_when_stuck(limit=STUCK_LIMIT):
    """End this process where code that holds the interpreter's lock goes on for too long.

    The watch is kept by a thread of C, which does not need the lock.
    """

    def renew():
        while True:
            faulthandler.dump_traceback_later(limit, exit=True)
            time.sleep(limit / 10)

    threading.Thread(target=renew, daemon=True).start()
