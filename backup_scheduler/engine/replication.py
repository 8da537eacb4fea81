"""Another copy of an archive that is at rest: for a destination that missed it, or lost it."""

import contextlib

from .copies import open_copies, publish_copies, require, results
from .errors import (
    ArchiveError,
    DestinationFailed,
    HostKeyRefused,
    KindMissing,
    LibraryMissing,
)
from .messages import _
from .reading import pass_over, stored_blocks
from .spool import Spool, check_space, sweep
from .tally import Tally

# What is wrong with one candidate, or with the way to it from here.
NO_GOOD = (ArchiveError, DestinationFailed, HostKeyRefused, KindMissing, LibraryMissing)


def replicate(order, control):
    """Bring an archive into further destinations, from the first of its copies that is whole.

    Order: ``candidates`` (copies to read from, see :mod:`.reading`; ``recipients`` of an encrypted
    one are passed on), ``size sha256`` (of the archive), and ``spool token destinations catalogue
    expected_size`` as a backup has them. What the same owner has at a destination's path is
    replaced.

    Nothing is published before the bytes proved to be the ones that were stored. An encrypted
    candidate is copied as it is, without opening it: into destinations that keep archives
    encrypted, and for those who could read it before.

    Result: ``copies`` as a backup has them. Candidates that are passed over are told of as they are
    found (see :func:`.reading.pass_over`). Raises the reason when nothing came to rest.
    """
    sweep(order["spool"])
    errors = []
    for candidate in order["candidates"]:
        copies, error = replicate_from(candidate, order, control)
        if error is None:
            return {"copies": copies}
        pass_over(candidate, error, control)
        errors.append(error)
    raise errors[0] if errors else DestinationFailed(_("There is no copy to read from."))


def replicate_from(candidate, order, control):
    """Return the results of the copies and None; or nothing, and why the candidate is no good."""
    sealed = candidate if candidate.get("encryption") else None
    size, sha256 = order["size"], order["sha256"]
    expected = (sealed["stored_size"], sealed["stored_sha256"]) if sealed else (size, sha256)
    check_space(order["spool"], expected[0])
    with Spool(order["spool"], order["token"]) as spool, contextlib.ExitStack() as stack:
        copies = open_copies(order, spool, stack, sealed)
        control.enter("read", expected[0])
        if error := fill(spool, candidate, expected, copies, control):
            return (), error
        archive = {"size": size, "sha256": sha256}
        publish_copies(copies, order, archive, control)
    return results(copies, archive), None


def fill(spool, candidate, expected, copies, control):
    """Read the candidate into the spool; return why it is no good, or None."""
    tally = Tally()
    try:
        for block in stored_blocks(candidate, tally, control):
            spool.write(block)
            if all(copy.error for copy in copies):
                require(copies)
        tally.require(*expected)
    except NO_GOOD as error:
        control.check()
        if all(copy.error for copy in copies):
            raise
        return error
    spool.finish()
    return None
