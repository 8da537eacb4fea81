"""Orders for the engine, and an engine process with its events."""

import contextlib
import os
import queue

import places
from engine_process import EngineProcess

RUN = "uuid/1"
PATH = "Shop/tiny/2026-11-20T02-00-00Z.zip"
ATTEMPT = "run-1-1"
# Seconds.
PATIENCE = 20
LAST = ("done", "failed", "lost")


def backup_order(odoo, folder, destinations=("first",), **changes):
    """Return the order of a backup; ``destinations`` are folders below ``folder``, or orders."""
    copies = [
        copy_order(folder, copy, number) if isinstance(copy, str) else copy
        for number, copy in enumerate(destinations, 1)
    ]
    return {
        "action": "backup",
        "source": {"connection": "http", **odoo.settings()},
        "database": "tiny",
        "archive_format": "zip",
        "include_filestore": True,
        "expected_size": 0,
        "verify_level": 2,
        "spool": os.path.join(folder, "spool"),
        "token": ATTEMPT,
        "time_limit": PATIENCE,
        "destinations": copies,
        "catalogue": {"run": RUN, "database": "tiny", "instance": "Shop"},
        **changes,
    }


def copy_order(folder, name, number=1, **changes):
    settings = {"path": os.path.join(folder, name)}
    return {"id": number, "kind": "local", "settings": settings, "archive_path": PATH, **changes}


def discard_order(order, **changes):
    """Return the order that removes what a lost attempt at ``order`` left."""
    return {
        "action": "discard",
        "spool": order["spool"],
        "owner": RUN,
        "copies": order["destinations"],
        **changes,
    }


class Engine:
    """An engine process, its events kept in the order of their coming."""

    def __init__(self, order):
        self.events = []
        self._coming = queue.Queue()
        self.process = EngineProcess(order, self._coming.put)

    @property
    def pid(self):
        return self.process.pid

    def until(self, name, **values):
        """Wait for an event; return it. One of the last ones, when unexpected, is a failure."""
        while True:
            event = self._coming.get(timeout=PATIENCE)
            self.events.append(event)
            if event["event"] == name and values.items() <= event.items():
                return event
            assert event["event"] not in LAST, event

    def last(self, publish=True):
        """Wait for the end, giving leave to publish; return the last event."""
        while not self.events or self.events[-1]["event"] not in LAST:
            self.events.append(self._coming.get(timeout=PATIENCE))
            if publish and self.events[-1]["event"] == "ready":
                self.process.publish()
        return self.events[-1]


@contextlib.contextmanager
def engine(order):
    """Yield an engine at work on ``order``; it is ended, whatever happened."""
    running = Engine(order)
    try:
        yield running
    finally:
        running.process.end()


def carry_out(order):
    """Carry an order out in a process of its own; return the last event."""
    with engine(order) as running:
        return running.last()


def left_in(folder):
    """Return what is left in the spool and in the destinations."""
    return places.files(folder)
