"""The set-up as a whole: what every command needs before it begins."""

import fcntl
from contextlib import contextmanager

from . import odoo, postgres, python
from .fail import DevError
from .paths import DEV


def ensure():
    """Do all of the set-up that is not done yet; a fraction of a second when all is."""
    with _locked("setup", wait=True):
        odoo.location()
        postgres.binaries()
        python.virtual_environment()


def only_one(command):
    """Refuse to run a command beside itself: both would use the same servers."""
    return _locked(command, wait=False)


@contextmanager
def _locked(name, *, wait):
    DEV.mkdir(parents=True, exist_ok=True)
    with (DEV / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise DevError(f"'make {name}' runs in this checkout already: end it first") from None
        yield
