"""Orders for the engine, and an engine process with its events."""

import contextlib
import os
import queue

import places
from ages import RECIPIENT
from engine import transfer
from engine.control import Control
from engine_process import EngineProcess
from waiting import PATIENCE

RUN = "uuid/1"
PATH = "Shop/tiny/2026-11-20T02-00-00Z.zip"
SEALED_PATH = f"{PATH}.age"
ATTEMPT = "run-1-1"
LAST = ("done", "failed", "lost")
# What orders on an archive at rest have from the one that made it.
KEPT = ("archive_format", "include_filestore", "database", "spool", "token")


def backup_order(odoo, folder, destinations=("first",), **changes):
    """Return the order of a backup; ``destinations`` are folders below ``folder``, or orders."""
    copies = [
        copy_order(folder, copy, number) if isinstance(copy, str) else copy
        for number, copy in enumerate(destinations, 1)
    ]
    return {
        "action": "backup",
        "source": source_order(odoo),
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


def source_order(odoo, **settings):
    return {"connection": "http", "secrets": ["master_password"], **odoo.settings(**settings)}


def copy_order(folder, name, number=1, **changes):
    settings = {"path": os.path.join(folder, name)}
    return {"id": number, "kind": "local", "settings": settings, "archive_path": PATH, **changes}


def sealed_order(folder, name, number=1, recipients=(RECIPIENT,), **changes):
    """Return the order of a copy in a destination that keeps archives encrypted."""
    place = {"archive_path": SEALED_PATH, "recipients": list(recipients)}
    return copy_order(folder, name, number, **{**place, **changes})


def stored(order, result):
    """Return the copies of an order as they came to rest, by the result of it."""
    results = {copy["id"]: copy for copy in result["copies"]}
    return [
        {
            **copy,
            "stored_size": results[copy["id"]]["size"],
            "stored_sha256": results[copy["id"]]["sha256"],
            "encryption": results[copy["id"]]["encryption"],
        }
        for copy in order["destinations"]
    ]


def verify_order(order, result, **changes):
    """Return the order to read again what ``order`` has stored with ``result``."""
    return {
        "action": "verify",
        "copies": stored(order, result),
        "sha256": result["sha256"],
        **{key: order[key] for key in KEPT},
        "verify_level": order["verify_level"],
        **changes,
    }


def replicate_order(order, result, destinations, **changes):
    return {
        "action": "replicate",
        "candidates": stored(order, result),
        "destinations": destinations,
        **{key: result[key] for key in ("size", "sha256")},
        **{key: order[key] for key in ("spool", "expected_size", "catalogue")},
        "token": "replication-1-1",
        **changes,
    }


def restore_order(order, result, target, **changes):
    return {
        "action": "restore",
        "candidates": stored(order, result),
        "sha256": result["sha256"],
        "report": result["report"],
        "identity": "",
        "target": target,
        **{key: order[key] for key in KEPT},
        "token": "restore-1-1",
        **changes,
    }


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


def run_here(order, on_event=lambda control, event: None, **options):
    """Carry an order out in this process, telling each event to ``on_event`` as it happens."""
    control = Control(lambda event: on_event(control, event), **options)
    return transfer.ACTIONS[order["action"]](order, control)


def left_in(folder):
    """Return what is left in the spool and in the destinations."""
    return places.files(folder)
