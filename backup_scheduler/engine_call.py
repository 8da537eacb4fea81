"""An order of the engine that is carried out while somebody waits for the answer.

What a remote sends is not parsed in a thread of Odoo's: it is done in an engine process, which can
be limited in memory, and killed where it does not end.
"""

import os
import queue

from .engine import messages, reading, transfer
from .engine.control import Control
from .engine.errors import BackupError, Cancelled, InternalError, TimeLimit, WorkerLost
from .engine.masking import masked, secrets_of
from .engine.messages import joined, received
from .engine.spool import BLOCK
from .engine.tally import Tally
from .engine_process import CANCELLED, END_LIMIT, EngineProcess

LAST_WORDS = ("done", "failed", "lost")

# Seconds beyond its time limit in which an engine ends by itself. Nobody waits for longer, and
# what it leaves in a destination is a marker.
GRACE = 10
# What nobody looks at.
PASSING = ("stage", "progress")


def carry_out(order, time_limit):
    """Carry an order out in an engine process of its own.

    :param time_limit: seconds
    :return: its events; the last one is ``done`` or ``failed``
    """
    told = queue.SimpleQueue()
    try:
        process = EngineProcess({**order, "time_limit": time_limit}, told.put, GRACE)
    except OSError as error:
        return [{"event": "failed", **not_started(error).as_dict()}]
    events = []
    try:
        while not events or events[-1]["event"] not in LAST_WORDS:
            event = received(told.get(timeout=time_limit + GRACE + END_LIMIT))
            if event["event"] not in PASSING:
                events.append(event)
    finally:
        process.end()
    return [*events[:-1], ended(events[-1])]


def not_started(error):
    return WorkerLost(
        messages._("The engine process cannot be started: %(reason)s.", reason=error.strerror),
        hint=messages._(
            "Where processes are forbidden, choose the executor inside Odoo in Settings → Backups."
        ),
    )


def ended(event):
    """Return the last event of an engine as ``done`` or ``failed``."""
    event = without_kill(event)
    if event["event"] == "lost":
        return {"event": "failed", **WorkerLost(failure_of(event)[1]).as_dict()}
    return event


def carry_out_here(order, time_limit):
    """As :func:`carry_out`, in this thread: for hosts that forbid processes."""
    events, secrets = [], secrets_of(order)
    control = Control(lambda event: events.append(masked(event, secrets)), time_limit)
    try:
        last = {"event": "done", **transfer.ACTIONS[order["action"]](order, control)}
    except BackupError as error:
        last = {"event": "failed", **error.as_dict()}
    except Exception as error:  # noqa: BLE001 - as the engine process does
        last = {"event": "failed", **InternalError.of(error).as_dict()}
    kept = [event for event in events if event["event"] not in PASSING]
    return [*kept, masked(last, secrets)]


class EngineFailed(Exception):
    """:ivar failure: what :func:`failure_in` returns"""

    def __init__(self, event):
        super().__init__(event["error_code"])
        self.failure = failure_in(event)


def handed_out(copy, keep_renewed):
    """Yield the bytes at rest of a copy (as orders name it), read by an engine process of its own,
    which ends with the generator. Raises :class:`EngineFailed`.

    :param keep_renewed: called with the event ``renewed`` of a destination that has renewed its
        settings meanwhile, also where the bytes are not wanted to their end
    """
    outlet, inlet = os.pipe()
    events = queue.SimpleQueue()
    with open(outlet, "rb") as pipe:
        try:
            order = {"action": "hand_out", "copy": copy, "out": inlet}
            process = EngineProcess(order, events.put, GRACE, (inlet,))
        except OSError as error:
            raise EngineFailed(not_started(error).as_dict()) from error
        finally:
            os.close(inlet)
        try:
            while block := pipe.read(BLOCK):
                yield block
        finally:
            # A client that does not want the rest leaves it in the pipe.
            pipe.close()
            process.end()
            last = last_word(events, keep_renewed)
    if last["event"] == "failed":
        raise EngineFailed(last)


def last_word(events, keep_renewed):
    """Return the last event of an engine that has ended."""
    event = {"event": ""}
    while event["event"] not in LAST_WORDS:
        event = received(events.get())
        if event["event"] == "renewed":
            keep_renewed(event)
    return ended(event)


def handed_out_here(copy, keep_renewed):
    """As :func:`handed_out`, in this thread: for hosts that forbid processes."""
    control = Control(lambda event: event["event"] == "renewed" and keep_renewed(event))
    try:
        for block in reading.stored_blocks(copy, Tally(), control):
            # Servers keep what they get.
            yield bytes(block)
    except BackupError as error:
        raise EngineFailed(error.as_dict()) from error


def failure_in(event):
    """Return what a failed answer tells whoever asked: the error's code, text, hint and details."""
    own = ("event", "retryable", "retry_after", "traceback", "in_order", "remains")
    return {key: value for key, value in event.items() if key not in own}


def without_kill(event):
    """Return the event; of an engine that its owner killed, the failure for which it did.

    What the engine made may be there still: nothing was removed in order.
    """
    if "killed" not in event:
        return event
    if event["killed"] == CANCELLED:
        error = Cancelled(messages._("The run was cancelled; its process had to be killed."))
    else:
        error = TimeLimit(
            messages._("The process did not end at its time limit, and was killed."),
            hint=messages._(
                "This is a defect of Backup Scheduler, which a hostile server may exploit."
            ),
        )
    failure = {**error.as_dict(), "in_order": False, "traceback": event["tail"]}
    return {"event": "failed", **failure}


def failure_of(event):
    """Return what a last word other than ``done`` says, as code and text."""
    if event["event"] == "failed":
        return event["error_code"], event["error"]
    ended = messages._("The process ended.")
    if event["exit_code"] is not None:
        ended = messages._("The process ended with code %(code)s.", code=event["exit_code"])
    return "worker_lost", joined(" ", filter(None, (ended, event["tail"])))
