"""What every kind of destination can do, and what it promises."""

import abc


class Destination(abc.ABC):
    """A place that keeps archives, at relative paths with ``/`` as separator.

    Every method raises :class:`~..errors.DestinationFailed` or :class:`~..errors.NoSpace` with a
    sentence for people; nothing is retried inside.
    """

    @abc.abstractmethod
    def check(self):
        """Write, read back and delete a marker; raise what is not allowed. Returns plain values."""

    @abc.abstractmethod
    def begin(self, path, owner, token, spool):
        """Return an :class:`Upload` to ``path`` of what ``spool`` receives.

        :param owner: the run, as the catalogue beside the archive names it (``run``); what another
            owner has at ``path`` is refused
        :param token: names this attempt; two attempts at one path never touch each other's bytes
        """

    @abc.abstractmethod
    def delete(self, path, owner):
        """Remove the archive of ``owner`` at ``path``, its catalogue and unfinished attempts at it.

        What is not there is no error: deleting twice is the same as once. What another owner wrote
        is refused.
        """

    @abc.abstractmethod
    def local_file(self, path, spool_folder):
        """Yield the name of a file of this machine that holds the archive (a context manager).

        :param spool_folder: where kinds that are not local may fetch it to meanwhile
        """

    def check_space(self, needed):  # noqa: B027 - most kinds cannot tell
        """Raise :class:`~..errors.NoSpace` when ``needed`` bytes certainly do not fit."""


class Upload(abc.ABC):
    """One archive on its way into one destination. Whoever began it calls :meth:`abort` at the end
    in any case, so that nothing unfinished stays."""

    @abc.abstractmethod
    def write(self, block):
        """Take the next bytes."""

    def flush(self):  # noqa: B027 - a kind that keeps nothing back has nothing to flush
        """All bytes were written: bring them to the medium, however long that takes."""

    @abc.abstractmethod
    def commit(self, catalogue):
        """Give the archive its final name and put ``catalogue`` (bytes of JSON) beside it.

        Called after :meth:`flush`, and quick: the right to publish does not last. Everything is at
        rest, on the medium, when this returns; when it raises, nothing of the run is left there.
        """

    @abc.abstractmethod
    def abort(self):
        """Remove what was written and not committed. Harmless after a commit."""
