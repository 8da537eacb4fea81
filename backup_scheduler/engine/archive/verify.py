"""Is an archive good? The levels that are found by reading it; :mod:`.levels` says what they are.

Each level holds for Odoo's ``zip`` and for pg_dump's custom ``dump`` (which has neither filestore
nor manifest). Higher levels read the same bytes in the same single pass and ask more of some parts:
see :mod:`.checkers`. What no reading can tell, that the dump restores, is not asked here.
"""

import hashlib

from ..errors import Damaged
from ..messages import _
from . import dump
from .checkers import Intact, Wanted
from .consistent import Consistent
from .levels import COMPLETE, CONSISTENT, INTACT
from .source import BLOCK, Source
from .zip import OdooZip

# What each level asks of the plain bytes of the parts.
CHECKS = {COMPLETE: None, INTACT: Intact, CONSISTENT: Consistent}


def verify(
    path, archive_format, level, *,
    database=None, sha256=None, progress=None, since=None, filestore=True, known_gaps=None,
    gone=(), hashed=False,
):  # fmt: skip
    """Verify the archive at ``path``; return the :class:`.report.Report` of a good one.

    :param archive_format: ``zip`` or ``dump``
    :param level: one of :data:`.levels.BY_READING`; ``Report.level`` tells which was reached
    :param database: the name of the database that it must be of; not asked of a zip at level 1,
        whose manifest is not read then
    :param sha256: the hexadecimal digest that the file must have. It is the only thing that finds a
        changed byte where the format has no checksum of its own, and costs a read of the whole file
    :param progress: called with (bytes read, total bytes) at least each MB; what it raises ends the
        verification
    :param since: the aware datetime at which the backup was asked for. Odoo copies the filestore
        before it dumps the database: a file that is missing because its attachment came in between
        is counted as late, and is no fault. None: nothing can be late
    :param filestore: whether a zip is to hold the filestore; else files that lack are no fault
    :param known_gaps: names of files that are known to be ``missing`` and ``damaged``: no fault
    :param gone: the names (``ab/ab…``) of files that were deleted, with their attachments, while
        the archive was made, and after its dump: that they are missing is no fault

    :param hashed: whether the writer has compared each file with its name on its way into the
        archive, and found no difference: then its checksum proves the same, and it is not hashed
        again. Only for an archive that was just made; what is stored is hashed

    The file is read forward in blocks, in a few MB of memory whatever its size; level 3 adds some
    60 bytes for each attachment.

    Raises, with a sentence that says what is wrong and where: :class:`NotAnArchive` for other
    content, :class:`Truncated` where bytes are missing at the end, :class:`Damaged` for changed
    bytes, :class:`Inconsistent` for parts that do not belong together; where only level 3 finds
    that, :class:`NotConsistent`, which has the report: the archive is complete and intact then.
    :class:`OSError` when the file cannot be read, which says nothing about the archive;
    :class:`ValueError` for a format or a level that does not exist.
    """
    if archive_format not in _FORMATS:
        raise ValueError(f"unknown archive format: {archive_format!r}")
    if level not in CHECKS:
        raise ValueError(f"unsupported level of verification: {level!r}")
    digest = hashlib.sha256() if sha256 else None
    with open(path, "rb", buffering=BLOCK) as file, open(path, "rb") as probe_file:
        source = Source(file, progress, digest)
        # While the directory is read, the position in the file does not move; stopping still works.
        probe = Source(probe_file, progress and (lambda _at, size: progress(source.position, size)))
        names = frozenset(name.encode() for name in gone)
        wanted = Wanted(database, since, filestore, known_gaps, names, hashed)
        report, checks = _FORMATS[archive_format](source, probe, CHECKS[level], wanted)
        report.since = since.isoformat() if since else ""
        report.gone = sorted(gone)
        if digest:
            source.drain()
            _require_digest(digest, sha256)
    # Only now: changed bytes are the better explanation.
    if checks and report.level >= INTACT:
        checks.conclude()
    if progress:
        progress(report.size, report.size)
    return report


def _verify_zip(source, probe, checks_of, wanted):
    archive = OdooZip(source, probe)
    if not checks_of:
        archive.complete()
        return archive.report, None
    checks = checks_of(archive.report, wanted)
    archive.intact(checks)
    return archive.report, checks


def _verify_dump(source, _probe, checks_of, wanted):
    if not checks_of:
        return dump.complete(source, wanted.database), None
    return dump.intact(source, wanted, checks_of)


def _require_digest(digest, expected):
    if digest.hexdigest() != expected.lower():
        raise Damaged(_("The archive is not the one that was stored: its SHA-256 is another."))


_FORMATS = {"zip": _verify_zip, "dump": _verify_dump}
