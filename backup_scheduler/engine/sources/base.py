"""What every kind of source can do, and what it promises."""

import abc
import dataclasses
import datetime

from ..errors import RestoreRefused
from ..messages import _


@dataclasses.dataclass(frozen=True)
class Server:
    """What probing a source has found.

    :param version: as the server tells it, such as ``19.0`` or ``saas~18.2+e``
    :param databases: the names of all its databases that can be backed up
    :param clock: what its own clock said just then (aware, UTC, to the second), or None where it
        does not tell. Times that its databases hold are compared with this one, not with ours
    :param confirmed: whether the list of databases can be believed. An empty one that nothing
        confirms may be of a server that cannot ask its PostgreSQL just now
    """

    version: str
    databases: tuple
    clock: datetime.datetime | None = None
    confirmed: bool = True


@dataclasses.dataclass
class Fetched:
    """What a source that makes the archive itself knows of it.

    :param gone: the names of files (``ab/ab…``) that the dump lists, and that were deleted with
        their attachments while the archive was made
    :param hashed: whether each file was compared with its name on its way, and was right
    :param notes: what else the reader of the archive's report should know, as sentences
    """

    gone: tuple = ()
    hashed: bool = False
    notes: list = dataclasses.field(default_factory=list)


class Source(abc.ABC):
    """An Odoo server as this kind of connection reaches it. It is only ever read.

    The constructor takes the settings of the form, and ``control`` (a :class:`~..control.Control`),
    which stops it. It connects to nothing, and raises what is wrong with the settings.
    """

    # What people call the kind, and the keywords that its form asks for: see `~..kinds.Setting`.
    LABEL = ""
    SETTINGS = ()
    # Whether archives can be restored to a server through it: see restore().
    CAN_RESTORE = False
    # Whether the dump is made before the filestore is read: then no file of an attachment that the
    # dump lists can be too late for the archive.
    DUMP_FIRST = False

    @abc.abstractmethod
    def probe(self):
        """Return the :class:`Server`; raise the named reason why a backup could not be made.

        Changes nothing on the server.
        """

    def require_access(self):  # noqa: B027 - most kinds have nothing left to ask
        """Raise the named reason why a backup or restore would be refused, where :meth:`probe`
        could not find out. It is asked where no backup follows, which would find out.
        """

    @abc.abstractmethod
    def fetch(self, database, archive_format, include_filestore, write):
        """Make a backup of ``database`` and hand its bytes to ``write(block)`` as they come; return
        what is known of it beside them (:class:`Fetched`), or nothing.

        Ending without an error does not mean that the archive is complete: a server that dies may
        look like one that is done. Only the archive tells.
        """

    @classmethod
    def normalized(cls, settings):
        """Return the settings as they are stored; raise what is wrong with one, as it is."""
        return settings

    @classmethod
    def name_of(cls, settings):
        """Return what the server may be called, or nothing."""
        return ""

    @classmethod
    def is_same(cls, settings, other):
        """Return whether both lead to the same server, however they are written."""
        places = [setting.name for setting in cls.SETTINGS if setting.server]
        return all(settings.get(name) == other.get(name) for name in places)

    @classmethod
    def restore(cls, path, archive_format, report, target, control, spool, token):  # noqa: PLR0913
        """Restore the archive at ``path`` as a new database of a server; prove that it is there.

        Of kinds that can: see :func:`~..restore.http.restore`, which says what the arguments are.
        """
        raise RestoreRefused(
            _("Archives cannot be restored through “%(label)s”.", label=cls.LABEL)
        )
