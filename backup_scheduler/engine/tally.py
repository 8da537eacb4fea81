"""What passes by, counted and hashed."""

import hashlib

from .errors import Damaged, Truncated
from .messages import _


class Tally:
    """Size and SHA-256 of bytes on their way."""

    def __init__(self):
        self.size = 0
        self._hash = hashlib.sha256()

    def add(self, block):
        self.size += len(block)
        self._hash.update(block)

    def hexdigest(self):
        return self._hash.hexdigest()

    def require(self, size, sha256):
        """Raise :class:`Truncated` or :class:`Damaged` unless exactly these bytes passed by."""
        if self.hexdigest() == sha256.lower():
            return
        if self.size < size:
            raise Truncated(
                _(
                    "%(size)s bytes are there, %(missing)s less than were stored.",
                    size=self.size,
                    missing=size - self.size,
                ),
                hint=_("Somebody shortened the file, or its storage lost the end of it."),
            )
        raise Damaged(_("The bytes are not the ones that were stored: their SHA-256 is another."))
