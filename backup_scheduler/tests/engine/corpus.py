"""The corruption corpus: every kind of damage, and the good archives that nothing is wrong with.

``make corpus`` prints what each level finds of it in archives of a real server; the tests hold the
same against archives made by code.
"""

import re
import time
from typing import NamedTuple

import corpus_dumps
import corpus_good
import corpus_zips
from engine.archive.verify import verify
from engine.errors import BackupError

LEVELS = (1, 2, 3)


def kinds(good_zip, good_dump):
    """Return every :class:`.corpus_kinds.Kind` for two good archives (bytes) of one database."""
    return [*corpus_zips.kinds(good_zip), *corpus_dumps.kinds(good_dump, good_zip)]


class Look(NamedTuple):
    """What one level said about one archive, and the seconds that it took."""

    level: int
    error: BackupError | None
    seconds: float


def look(place, archive_format, level, **options):
    """Verify the archive at ``place``; return the :class:`Look`."""
    start = time.perf_counter()
    error = None
    try:
        verify(place, archive_format, level, **options)
    except BackupError as found:
        error = found
    return Look(level, error, time.perf_counter() - start)


def look_at_kind(kind, place, database):
    """Return the looks of all levels at one kind of damage, built at ``place``."""
    place.write_bytes(kind.build())
    return [look(place, kind.archive_format, level, database=database) for level in LEVELS]


def wrong_with(kind, looks):
    """Return what is not as the kind promises, as a text; empty when all is well."""
    for level, error, _seconds in looks:
        if level < kind.level and error:
            return f"level {level} says: {error}"
        if level < kind.level:
            continue
        if error is None:
            return f"level {level} finds nothing"
        expected = kind.error if isinstance(kind.error, tuple) else (kind.error,)
        if type(error) not in expected:
            return f"level {level} calls it {type(error).__name__}: {error}"
        if not re.search(kind.says, error.message):
            return f"level {level} says: {error}"
    return ""


# (name, format, function that writes it to a path, options of verify()) of each good archive.
GOOD = corpus_good.ARCHIVES


