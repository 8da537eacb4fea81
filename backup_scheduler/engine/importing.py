"""Lists the archives of a destination, so that the catalogue can be rebuilt from it."""

import json
import time

from .catalogue import Catalogue, CatalogueError, is_signed
from .destinations import opened
from .errors import ArchiveMissing
from .messages import _

# Seconds in which no other catalogue is read; what is left comes with the next order.
TIME_LIMIT = 60
# Of what one order tells: somebody waits, and keeps it in memory (archives, bytes of catalogues).
COUNT_LIMIT, BYTES_LIMIT = 5_000, 64 << 20
# Unreadable ones that are named; of the others there is a count.
NAMED = 100


def list_archives(order, control):
    """Report each archive in a destination that is not known yet, by its catalogue.

    Order: ``destination`` (``id kind settings``), ``known`` (paths that are passed over),
    ``signature`` (``keys`` among its settings, one a line) and ``accept_unsigned``.

    Events: ``archive`` (``path content signed``) of each that has its size, and ``unreadable``
    (``path error``) of the first others. Result: ``unsigned`` and ``unreadable`` (how many were
    left for these reasons), and ``complete``: whether all were looked at.
    """
    listing = _Listing(order, control)
    with opened(order["destination"], control) as place:
        for path, content in place.catalogues(frozenset(order["known"])):
            control.check()
            listing.look_at(place, path, content)
            # One at least: each order comes further.
            if listing.is_full:
                return listing.result(complete=False)
    return listing.result(complete=True)


class _Listing:
    def __init__(self, order, control):
        self._keys = order["signature"]["settings"]["keys"].splitlines()
        self._accepts_unsigned = order["accept_unsigned"]
        self._control = control
        self._deadline = time.monotonic() + TIME_LIMIT
        self._count = self._bytes = 0
        self._unsigned = self._unreadable = 0

    @property
    def is_full(self):
        late = time.monotonic() > self._deadline
        return late or self._count >= COUNT_LIMIT or self._bytes >= BYTES_LIMIT

    def look_at(self, place, path, content):
        signed = is_signed(content or {}, self._keys)
        try:
            described = Catalogue(path, content)
            if not signed and not self._accepts_unsigned:
                self._unsigned += 1
                return
            require_size(place, path, described.stored_size)
        except (CatalogueError, ArchiveMissing) as error:
            self._unreadable += 1
            if self._unreadable <= NAMED:
                self._control.tell("unreadable", path=path, error=error.message)
            return
        self._count += 1
        self._bytes += len(json.dumps(content))
        self._control.tell("archive", path=path, content=content, signed=signed)

    def result(self, complete):
        return {
            "unsigned": self._unsigned,
            "unreadable": self._unreadable,
            "complete": complete,
        }


def require_size(place, path, size):
    """Raise :class:`CatalogueError` where the stored archive does not have that size (bytes)."""
    if (found := place.stat(path)) != size:
        raise CatalogueError(
            "size", _("the archive has %(found)s bytes, not %(size)s", found=found, size=size)
        )
