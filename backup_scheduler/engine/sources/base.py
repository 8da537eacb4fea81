"""What every kind of source can do, and what it promises."""

import abc
import dataclasses
import datetime


@dataclasses.dataclass(frozen=True)
class Server:
    """What probing a source has found.

    :param version: as the server tells it, such as ``19.0`` or ``saas~18.2+e``
    :param databases: the names of all its databases that can be backed up
    :param clock: what its own clock said just then (aware, UTC, to the second), or None where it
        does not tell. Times that its databases hold are compared with this one, not with ours
    """

    version: str
    databases: tuple
    clock: datetime.datetime | None = None


class Source(abc.ABC):
    """An Odoo server as this kind of connection reaches it. It is only ever read."""

    @abc.abstractmethod
    def probe(self):
        """Return the :class:`Server`; raise the named reason why a backup could not be made.

        Changes nothing on the server.
        """

    @abc.abstractmethod
    def fetch(self, database, archive_format, include_filestore, write):
        """Make a backup of ``database`` and hand its bytes to ``write(block)`` as they come.

        Ending without an error does not mean that the archive is complete: a server that dies may
        look like one that is done. Only the archive tells.
        """
