"""Verifying an Odoo zip."""

import array
import itertools

from ..errors import Damaged, Inconsistent
from ..messages import _
from .checkers import DUMP, MANIFEST, is_stored_file
from .codec import RAW_DEFLATE, Inflater, Stored, crc32
from .content import EMPTY_ZIP, HEAD, ZIP, require_magic
from .levels import COMPLETE, INTACT
from .report import Report
from .zip_directory import (
    DEFLATED,
    find_end,
    read_descriptor,
    read_directory,
    read_entry_at,
    read_local_header,
)

REQUIRED = (DUMP, MANIFEST)


class OdooZip:
    """One zip, to be verified up to some level.

    :param source: reads the members, forward only
    :param probe: reads the directory, wherever it is needed; without digest
    """

    def __init__(self, source, probe):
        self._source = source
        self._probe = probe
        self._end = None
        self._in_order = True
        self.report = Report("zip", COMPLETE, source.size)

    def complete(self):
        """Level 1: the directory is whole, and begins right after the last of its members.

        The first member begins with the file, and the first and the last one have their headers.
        :data:`REQUIRED` members are there, once. The data are not read. Memory is flat whatever
        the number of members.
        """
        probe = self._probe
        require_magic(probe.read(min(HEAD, probe.size)), [ZIP, EMPTY_ZIP], _("a zip archive"))
        self._end = find_end(probe)
        first, last = self._scan()
        if first.offset:
            raise Damaged(
                _(
                    "The first %(offset)s bytes of the archive belong to no member.",
                    offset=first.offset,
                )
            )
        for entry in (first, last):
            probe.seek(entry.offset)
            read_local_header(probe, entry)
        self._require_room(probe, last, self._end.start)
        probe.skip(last.compressed)
        read_descriptor(probe, last, self._end.start)

    def intact(self, checks):
        """Level 2: each member in file order, from its header to the header of the next one.

        Its data inflate to exactly the size and the CRC-32 that the directory says, every byte
        belongs to a member, and the ``checks`` of each member are content.
        """
        self.complete()
        for entry, stop in self._members():
            self._check_member(entry, stop, checks.of_member(entry.name))
        self.report.level = INTACT

    # --- the directory --------------------------------------------------------------------------

    def _scan(self):
        """Count the entries; return the first and the last in the order of the file."""
        first = last = previous = None
        required = dict.fromkeys(REQUIRED, 0)
        for entry in read_directory(self._probe, self._end):
            self._count(entry, required)
            first = entry if first is None or entry.offset < first.offset else first
            last = entry if last is None or entry.offset > last.offset else last
            self._in_order &= previous is None or previous.offset < entry.offset
            previous = entry
        for name, count in required.items():
            if count != 1:
                raise Inconsistent(_not_once(count, name))
        if last.offset >= self._end.start:
            raise Damaged(
                _(
                    "%(name)s cannot begin at byte %(offset)s, past all members.",
                    name=last.name,
                    offset=last.offset,
                )
            )
        return first, last

    def _count(self, entry, required):
        self.report.members += 1
        if entry.name in required:
            required[entry.name] += 1
        self.report.filestore_files += is_stored_file(entry.name)

    def _members(self):
        """Yield each entry in the order of the file, with the byte at which the next one begins."""
        # Another order is allowed, though no writer of Odoo's leaves one.
        entries = read_directory(self._probe, self._end) if self._in_order else self._sorted()
        for entry, following in itertools.pairwise(itertools.chain(entries, [None])):
            yield entry, following.offset if following else self._end.start

    def _sorted(self):
        """Yield the entries in the order of the file; only where each stands is kept in memory."""
        places, positions = array.array("Q"), array.array("Q")
        position = self._end.start
        for entry in read_directory(self._probe, self._end):
            places.append(entry.offset)
            positions.append(position)
            position = self._probe.position
        order = array.array("Q", range(len(places)))
        for index in sorted(order, key=places.__getitem__):
            yield read_entry_at(self._probe, self._end, positions[index])

    # --- the members ----------------------------------------------------------------------------

    def _check_member(self, entry, stop, checkers):
        """Read the member that begins where the one before it has ended, up to exactly ``stop``."""
        source = self._source
        read_local_header(source, entry)
        self._require_room(source, entry, stop)
        crc = size = 0
        for plain in self._plain_blocks(entry):
            size += len(plain)
            crc = crc32(plain, crc)
            for checker in checkers:
                checker.feed(plain)
        if (crc, size) != (entry.crc, entry.size):
            raise Damaged(
                _("The content of %(name)s does not have its size or checksum.", name=entry.name)
            )
        read_descriptor(source, entry, stop)
        for checker in checkers:
            checker.finish()

    def _plain_blocks(self, entry):
        deflated = entry.method == DEFLATED
        decoder = Inflater(RAW_DEFLATE, entry.name) if deflated else Stored()
        for block in self._source.blocks(entry.compressed, entry.name):
            yield from decoder.feed(block)
        decoder.finish()

    @staticmethod
    def _require_room(source, entry, stop):
        if source.position + entry.compressed > stop:
            raise Damaged(
                _(
                    "%(name)s runs into what follows it at byte %(stop)s.",
                    name=entry.name,
                    stop=stop,
                )
            )


def _not_once(count, name):
    if not count:
        return _("The archive holds no %(name)s, so it is no backup of Odoo's.", name=name)
    return _(
        "The archive holds %(count)s %(name)s, so it is no backup of Odoo's.",
        count=count,
        name=name,
    )
