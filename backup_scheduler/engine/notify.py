"""Sends alerts and pings: each within a time limit, each with an event for its result.

A notice is ``{id, kind, key}`` and what :meth:`.channels.base.Channel.notice` of its kind returns.
Its address is a secret, as anyone who knows it can post there. No message contains it; events name
the host alone.
"""

from .channels import channel_of
from .channels.base import BUSY_HINT, NoticeDelayed, NoticeRefused, host_of
from .control import Control
from .errors import BackupError, InternalError, KindMissing, LibraryMissing, TimeLimit
from .messages import _

# Seconds for one notice from end to end.
NOTICE_LIMIT = 20
# Failures that are an answer, or need none. Every other one is of the way there.
DECIDED = (NoticeRefused, NoticeDelayed, LibraryMissing, KindMissing)


def notify(order, control):
    """Send the notices of the order, in turn; tell ``notice`` with the result of each."""
    silent = {}
    for notice in order["notices"]:
        control.check()
        host = host_of(notice["secret_url"])
        result = silent.get(host) or attempt(notice, control)
        if result.get("unreachable"):
            # The others behind the same door would only wait as long for the same answer.
            silent[host] = result
        control.tell("notice", id=notice["id"], **result)
    return {"notices": len(order["notices"])}


def attempt(notice, control=None):
    """Send one notice; return ``{ok}``, or the failure as plain values."""
    try:
        send(notice, control)
    except DECIDED as error:
        later = getattr(error, "retry_after", 0)
        return {"ok": False, **error.as_dict(), "retry_after": later}
    except BackupError as error:
        # Told to stop: that is no answer.
        control and control.check()
        return {"ok": False, **unreachable(error, notice), "retry_after": 0, "unreachable": True}
    except Exception as error:  # noqa: BLE001 - a defect of one kind stops no other
        return {"ok": False, **InternalError.of(error).as_dict(), "retry_after": 0}
    return {"ok": True}


def unreachable(error, notice):
    """Return a failure on the way there, as plain values."""
    told = error.as_dict()
    if isinstance(error, TimeLimit):
        told = NoticeDelayed(
            _(
                "%(place)s did not answer within %(limit)s s.",
                place=place_of(notice),
                limit=NOTICE_LIMIT,
            )
        ).as_dict()
    if told["retryable"]:
        told["hint"] = BUSY_HINT
    return told


def send(notice, control=None):
    """Send one notice, within its time limit.

    Raises :class:`NoticeDelayed` when it may be accepted later, :class:`NoticeRefused` when not,
    and what the way there may raise.
    """
    limited = Control(time_limit=NOTICE_LIMIT)
    with (control or Control()).interrupted_by(limited.cancel):
        channel_of(notice).send(notice, limited)


def place_of(notice):
    return notice.get("place") or host_of(notice["secret_url"])
