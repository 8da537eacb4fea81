"""The files that a dump lists against those that the archive holds."""

import hashlib
import re
from collections import defaultdict
from typing import NamedTuple

_STORED = re.compile(rb"([0-9a-f]{2})/(\1[0-9a-f]{38})\Z")
_KEY = 20
# Bytes of a bucket from which on repeated names are taken out of it: many rows may have one name.
_TIDY_FROM = 64 * 1024
# How many are named in a message; the others are counted.
NAMED = 3
# Names that are no checksum are remembered as they are for the sake of messages, up to this many.
_MAX_ODD = 1000
# The most missing files, and the most damaged ones, that are listed: twice the limit of known gaps,
# so that a full set of known ones still leaves room for new ones.
LISTED = 20_000


class Verdict(NamedTuple):
    """How many files are what, and the names of the first :data:`LISTED`; files of which the
    database itself has the content are none of the others."""

    missing: int
    damaged: int
    late: int
    surplus: int
    first_missing: tuple
    first_damaged: tuple
    in_database: int


def checksum_in(name):
    """Return the SHA-1 that a file of Odoo's filestore is named by, or None (20 bytes)."""
    stored = _STORED.match(name)
    return bytes.fromhex(stored[2].decode()) if stored else None


def _key(name):
    return checksum_in(name) or hashlib.blake2b(name, digest_size=_KEY).digest()


class Inventory:
    """Two sets of file names, in about 20 bytes for each name.

    A name is ``ab/<SHA-1>`` as bytes, relative to the filestore. Dump and filestore may come in any
    order and mixed.
    """

    def __init__(self):
        self._listed = [bytearray() for _first_byte in range(256)]
        self._held = [bytearray() for _first_byte in range(256)]
        self._in_database = [bytearray() for _first_byte in range(256)]
        # The length at which each of them is tidied next.
        self._limits = {}
        self._odd = {}

    def listed(self, name, late):
        """Note a file that the dump lists; late: it may have come after the filestore was read."""
        self._add(self._listed, name, late)

    def held(self, name, damaged=False):
        """Note a file that the archive holds."""
        self._add(self._held, name, damaged)

    def in_database(self, name):
        """Note a file of which the dump has the content, so that the archive need not hold it."""
        self._add(self._in_database, name, mark=False)

    def compare(self):
        """Return the :class:`Verdict`.

        A file that several attachments share is late only when all of them are.
        """
        missing, damaged = _Names(self._name), _Names(self._name)
        late_count = surplus = in_database = 0
        buckets = zip(self._listed, self._held, self._in_database, strict=True)
        for first, (listed, held, inside) in enumerate(buckets):
            wanted, late = _split(listed)
            sound, broken = _split(held)
            inside = _split(inside)[0] & (wanted | late) if inside else inside
            in_database += len(inside)
            wanted -= set(inside)
            late -= wanted | set(inside)
            gone = late - sound - broken
            missing.add(first, wanted - sound - broken)
            damaged.add(first, broken - late)
            late_count += len(gone) + len(broken & late)
            surplus += len((sound | broken) - wanted - late)
        return Verdict(
            missing.count, damaged.count, late_count, surplus, missing.first, damaged.first,
            in_database,
        )  # fmt: skip

    def resolved(self, names):
        """Return which of these files the archive holds sound, and which nobody misses: those that
        it neither lists nor holds. Names are texts."""
        by_bucket = defaultdict(dict)
        for name in names:
            key = _key(name.encode())
            by_bucket[key[0]][key[1:]] = name
        back, unlisted = [], []
        for first, wanted in by_bucket.items():
            listed = set().union(*_split(self._listed[first]))
            sound, broken = _split(self._held[first])
            back += [wanted[rest] for rest in wanted.keys() & sound]
            unlisted += [wanted[rest] for rest in wanted.keys() - listed - sound - broken]
        return sorted(back), sorted(unlisted)

    def can_name(self, name):
        """Whether a file that is called so in a :class:`Verdict` is found by this name again."""
        content = name.encode()
        return name.isprintable() and bool(checksum_in(content) or _key(content) in self._odd)

    def _add(self, buckets, name, mark):
        key = checksum_in(name)
        if key is None:
            key = _key(name)
            if len(self._odd) < _MAX_ODD:
                self._odd[key] = name[:_MAX_ODD].decode("utf-8", "replace")
        bucket = buckets[key[0]]
        bucket += key[1:]
        bucket.append(mark)
        if len(bucket) >= self._limits.get(id(bucket), _TIDY_FROM):
            bucket[:] = b"".join(_records(bucket))
            self._limits[id(bucket)] = max(_TIDY_FROM, 2 * len(bucket))

    def _name(self, key):
        text = key.hex()
        return self._odd.get(key, f"{text[:2]}/{text}")


class _Names:
    """A count of keys, and the names of the first."""

    def __init__(self, name_of):
        self._name_of = name_of
        self.count = 0
        self.first = ()

    def add(self, first_byte, rests):
        self.count += len(rests)
        room = LISTED - len(self.first)
        if rests and room:
            keys = [bytes([first_byte]) + rest for rest in sorted(rests)[:room]]
            self.first = (*self.first, *map(self._name_of, keys))


def _split(bucket):
    """Return the keys of a bucket without and with the mark, each without its first byte."""
    plain, marked = set(), set()
    for start in range(0, len(bucket), _KEY):
        (marked if bucket[start + _KEY - 1] else plain).add(bytes(bucket[start : start + _KEY - 1]))
    return plain, marked


def _records(bucket):
    """Return what a bucket holds, each key with its mark once."""
    return {bytes(bucket[start : start + _KEY]) for start in range(0, len(bucket), _KEY)}
