"""The levels of verification, in one table: what each is called, means, needs, and how it is found.

No other module restates any of it. The two ways of finding a level are in :mod:`.verify` (reading)
and :mod:`..restore.scratch` (restoring).
"""

from typing import NamedTuple

from ..messages import Message, _

READING, RESTORING = "reading", "restoring"


class Level(NamedTuple):
    """What is known of a level.

    :ivar name: what people call it
    :ivar meaning: what is true of an archive that reached it, as a sentence
    :ivar needs: what finding it takes, as a sentence
    :ivar found_by: ``reading`` the archive, or ``restoring`` it, which needs a PostgreSQL server
        and the plain bytes
    :ivar finding: the error code of what this level, and none below, finds in an archive that is
        intact; such an archive is kept, and is no good one. Empty: what it finds is a bad archive
    """

    name: Message
    meaning: Message
    needs: Message
    found_by: str
    finding: str = ""


COMPLETE, INTACT, CONSISTENT, RESTORED = 1, 2, 3, 4

LEVELS = {
    COMPLETE: Level(
        _("Complete"),
        _("The archive is whole: its beginning, its end and its size are right."),
        _("Takes moments, whatever the size of the archive."),
        READING,
    ),
    INTACT: Level(
        _("Intact"),
        _("Every byte is read: checksums, the end of the dump, and the manifest are right."),
        _("Reads the archive once."),
        READING,
    ),
    CONSISTENT: Level(
        _("Consistent"),
        _("Each attachment that the database lists is in the archive, unchanged."),
        _("Reads the archive once."),
        READING,
        finding="inconsistent",
    ),
    RESTORED: Level(
        _("Restored"),
        _(
            "The archive is restored into a scratch database, the rows of every table are "
            "counted, and the database is dropped."
        ),
        _(
            "Takes a PostgreSQL server with room for the database and, where the archive is "
            "encrypted, the identity that opens it."
        ),
        RESTORING,
        finding="restore_failed",
    ),
}
# What can be asked for before an archive is stored.
BY_READING = tuple(number for number, level in LEVELS.items() if level.found_by == READING)
# What is asked for where nobody chose.
DEFAULT = CONSISTENT


def level_of_finding(code):
    """Return the level that finds what the error code of a finding names."""
    found = (number for number, level in LEVELS.items() if level.finding == code)
    return next(found, CONSISTENT)
