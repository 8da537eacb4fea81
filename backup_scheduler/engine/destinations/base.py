"""What every kind of destination can do, and what it promises."""

import abc
import types

from ..messages import _


class Destination(abc.ABC):
    """A place that keeps archives, at relative paths with ``/`` as separator.

    The constructor takes the settings of the form, and connects to nothing; each method connects
    for itself, and leaves nothing open.

    Every method raises :class:`~..errors.DestinationFailed` (or another retryable kind, such as
    :class:`~..errors.NoSpace`) with a sentence for people that holds no secret. Nothing is retried
    inside beyond what the kind's own client does, and no wait is without a bound: a place that
    stops answering is a failure. Methods of one object may be called from several threads.

    Two things are told apart everywhere, because people lose archives over the difference: that
    the *archive* is not there (:class:`~..errors.ArchiveMissing`), and that the *place* cannot be
    asked, or is not the one that it was (``DestinationFailed``). When in doubt it is the latter.
    """

    # What people call the kind, the keywords that its form asks for (:class:`~..kinds.Setting`),
    # and the keywords that :meth:`check` finds out, which the constructor takes from then on.
    LABEL = ""
    SETTINGS = ()
    KEPT = ()

    @classmethod
    def is_of_one_machine(cls, settings):
        """Return whether another machine with these settings has another place."""
        return False

    @abc.abstractmethod
    def check(self):
        """Write, read back, list and delete a marker; return what was found, as plain values.

        ``free``: bytes, or None. ``rights``: whether it may ``write read list delete``; only not
        being able to write is an error, for a key that can do nothing else is a legal one.
        ``warnings``: sentences. And whatever :attr:`KEPT` names.
        """

    @abc.abstractmethod
    def begin(self, path, owner, token, spool=None):
        """Return an :class:`Upload` to ``path``.

        :param owner: the run, as the catalogue beside the archive names it (``run``). What another
            owner has at ``path`` is refused; what this owner has there is replaced by the commit
        :param token: names this attempt; two attempts at one path never touch each other's bytes
        :param spool: the :class:`~..spool.Spool` whose bytes are written, exactly as they are,
            where a kind can make use of its file; None: only :meth:`Upload.write` brings them

        A failure that may have left something, such as an answer that was lost, has ``in_order``
        set to False.
        """

    @abc.abstractmethod
    def delete(self, path, owner, version=""):
        """Remove the archive of ``owner`` at ``path``, its catalogue and unfinished attempts at it.

        :param version: what the upload has told as ``details["version"]``, if it did

        What is not there is no error: deleting twice is the same as once. That the place cannot be
        asked is one: who hears of none forgets the path. What another owner wrote is refused.
        """

    @abc.abstractmethod
    def read(self, path):
        """Yield the bytes of the archive at ``path``, in blocks, in constant memory.

        A block is only good until the next is asked for. Raises ``ArchiveMissing`` before the first
        one. Bytes that a connection lost are a failure, never just an early end.
        """

    @abc.abstractmethod
    def stat(self, path):
        """Return the size at rest, in bytes, of the archive at ``path``, or ``ArchiveMissing``."""

    @abc.abstractmethod
    def catalogues(self, known=frozenset()):
        """Yield ``(path, catalogue)`` of every archive that has a catalogue beside it.

        :param known: paths of archives that are passed over, at the cost of listing them

        ``path`` is the archive's; ``catalogue`` is the JSON that :meth:`Upload.commit` has put
        there, as a dict, or None where it cannot be read or is no such thing. Its content comes
        from outside and proves nothing. The order is the same each time while nothing changes.
        """

    def path_of(self, path):  # noqa: B027 - None is the answer of most kinds
        """Return the name of the file of this machine that holds the archive, or None.

        Kinds that are folders of this machine save a copy by it; others leave it as it is, and
        their archives are fetched by :meth:`read`. Raises ``ArchiveMissing`` as that does.
        """

    @property
    def changed_settings(self):
        """Keywords that have changed since this was made, such as a token that the place renewed:
        they have to be stored, for the old ones may be worthless."""
        return {}

    def locations(self):
        """Return where its archives lie, as pairs (see :mod:`.locations`): two destinations at one
        place would delete each other's archives. Connects to nothing. Empty: not compared."""
        return []

    def check_space(self, needed):  # noqa: B027 - most kinds cannot tell
        """Raise :class:`~..errors.NoSpace` when ``needed`` bytes certainly do not fit."""


class Upload(abc.ABC):
    """One archive on its way into one destination. Whoever began it calls :meth:`abort` at the end
    in any case, so that nothing unfinished stays.

    ``details`` is, after the commit, what is to be recorded of the archive at rest, as plain
    values: ``version``, ``immutable_until`` (ISO text), ``notes`` (sentences).
    """

    details = types.MappingProxyType({})

    @abc.abstractmethod
    def write(self, block):
        """Take the next bytes, some MB at most; ``block`` is only good until this returns.

        Called from one thread, which is not the one that began the upload.
        """

    def flush(self):  # noqa: B027 - a kind that keeps nothing back has nothing to flush
        """All bytes were written: bring them to the medium, however long that takes."""

    @abc.abstractmethod
    def commit(self, catalogue):
        """Give the archive its final name and put ``catalogue`` (bytes of JSON) beside it.

        Called after :meth:`flush`, and quick: the right to publish does not last. Everything is at
        rest, on the medium, when this returns; when it raises, nothing of the run is left there.
        No moment in between shows an archive under its final name that is not complete, or one of
        ours without its catalogue.
        """

    @abc.abstractmethod
    def abort(self):
        """Remove what was written and not committed. Harmless after a commit, and a second time.

        Raises where the removal was not confirmed: the path then stays recorded, and
        :meth:`Destination.delete` is asked for it until it is.
        May be called while another thread hangs in :meth:`write` or :meth:`flush`, which then
        ends within seconds.
        """


def another_folder(folder, marker, is_marked):
    """Return what to say of a folder that is not the one which was checked.

    :param is_marked: whether it has a file ``marker`` at all
    """
    if is_marked:
        return _(
            "The folder %(folder)s is not the one that it was: its file %(marker)s is another.",
            folder=folder,
            marker=marker,
        )
    return _(
        "The folder %(folder)s is not the one that it was: its file %(marker)s is missing.",
        folder=folder,
        marker=marker,
    )
