"""Copies on their way: one archive, from the spool into every destination at once."""

import datetime
import functools
import queue
import threading
import time

from .catalogue import written
from .destinations import destination_of
from .encryption import METHOD, check_recipients, encrypt
from .errors import BackupError, DestinationFailed, EncryptionFailed, InternalError
from .messages import _
from .naming import is_encrypted
from .tally import Tally
from .throttle import Throttle

# A backup grows from one day to the next; one that would not fit is refused before it begins.
SPACE_MARGIN = 1.2
# Seconds between looks at which copies are through, and whether the run was cancelled.
LOOK_INTERVAL = 0.2
# Seconds. Copies that are through within this get their names together.
WAVE = 2
# Seconds. A follower that was told to stop does so at its next block; past this it hangs in a
# place that does not answer, and the upload is ended under it.
STOP_TIMEOUT = 2
# Seconds in which an upload that was ended lets go of its follower. One that does not (a dead NFS
# server) is left: its thread goes with the process.
END_TIMEOUT = 20


def open_copies(order, spool, stack, sealed=None):
    """Begin a :class:`Copy` of the spool in each of the order's ``destinations``.

    Order: ``signature`` (its ``settings`` have the ``key`` that signs catalogues, if they are),
    ``destinations`` (each ``id kind settings archive_path``, and ``recipients`` where it keeps
    archives encrypted), ``expected_size``, ``token``, ``catalogue``. ``stack`` ends them, and notes
    on an error that it ends with of which something may be left. Raises the reason when none of
    them can begin.
    """
    begun, copies = queue.SimpleQueue(), []
    stack.push(functools.partial(note_remains, copies))
    copies += [Copy(place, order, spool, stack, begun, sealed) for place in order["destinations"]]
    # One that can begin is enough: a place that does not answer holds up nobody.
    for _copy in copies:
        if begun.get() is None:
            break
    require(copies)
    return copies


def note_remains(copies, _kind, error, _traceback):
    remains = [copy.name for copy in copies if copy.may_remain]
    if not remains or not isinstance(error, Exception):
        return
    failure = error if isinstance(error, BackupError) else InternalError.of(error)
    failure.remains = remains
    if failure is not error:
        raise failure from error


def require(copies):
    """Raise when no destination can take the archive any more."""
    if all(copy.error for copy in copies):
        raise copies[0].error if copies else DestinationFailed(_("The job has no destination."))


def publish_copies(copies, order, archive, control):
    """Bring the copies of an archive that is known to be right to rest.

    Those that are through get their names while slower ones are still on their way: the event
    ``stored`` reports them, with their results. Once they were ended, :func:`results` has all.
    """
    waiting = list(copies)
    while waiting:
        control.enter("store")
        through = wait_for_some(waiting, control)
        waiting = [copy for copy in waiting if copy not in through]
        if ready := [copy for copy in through if copy.error is None]:
            control.ask_permission(**archive)
            control.enter("publish")
            publish(ready, order, archive, control)
            if waiting:
                control.tell("stored", copies=results(ready, archive))
    require(copies)


def results(copies, archive):
    """Return what became of the copies, as :meth:`Copy.result` does: only once they were ended is
    it known whether something of one that failed may be left."""
    return [copy.result(archive) for copy in copies]


def wait_for_some(copies, control):
    """Return the copies that are through, for better or worse: when one is, and a moment later."""
    began = None
    while True:
        control.check()
        through = [copy for copy in copies if copy.is_through()]
        if through and began is None:
            began = time.monotonic()
        if len(through) == len(copies) or (through and time.monotonic() - began > WAVE):
            return through
        next(copy for copy in copies if not copy.is_through()).wait(LOOK_INTERVAL)


def publish(copies, order, archive, control):
    made_at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    catalogue = {**order["catalogue"], **archive, "stored_at": made_at}
    for copy in copies:
        copy.publish(catalogue, control)


class Copy:
    """One archive on its way into one destination, by a follower of its own.

    A failure stays here, in ``error``: one broken destination costs the others nothing.

    :param sealed: what the spool receives is encrypted already: the copy that it is taken from
    :ivar may_remain: once it was stopped, whether something of it may be left there unfinished
    """

    def __init__(self, destination, order, spool, stack, begun, sealed=None):
        self.error = None
        self.may_remain = self._is_publishing = False
        self._order = destination
        self._recipients = destination.get("recipients") or []
        self._sealed = sealed
        self._key = order.get("signature", {}).get("settings", {}).get("key", "")
        self._tally = Tally() if self._recipients and not sealed else None
        self._upload = None
        self._throttle = Throttle(destination.get("bytes_per_second") or 0)
        self._destination = None
        self._through, self._over = threading.Event(), threading.Event()
        # A daemon: a place that never answers does not keep the process.
        threading.Thread(target=self._run, args=(order, spool, begun), daemon=True).start()
        stack.callback(self._stop, spool)

    def _run(self, order, spool, begun):
        self._keep(self._begin, order, spool)
        begun.put(self.error)
        if self.error is None:
            self._keep(self._follow, spool)
        self._through.set()
        # A child process that an upload has started ends with the thread that did so.
        self._over.wait()

    def _begin(self, order, spool):
        path = self._order["archive_path"]
        self._require_fit(path)
        self._destination = destination_of(self._order)
        self._destination.check_space(order["expected_size"] * SPACE_MARGIN)
        owner = order["catalogue"]["run"]
        as_it_is = None if self._tally else spool
        self._upload = self._destination.begin(path, owner, order["token"], as_it_is)

    def _require_fit(self, path):
        """Raise where the bytes would not be what destination and name promise."""
        if self._sealed and not self._recipients:
            raise EncryptionFailed(
                _(
                    "The archive can only be read from a copy that is encrypted, and this "
                    "destination keeps archives as they are."
                ),
                hint=_("Restore the archive with its identity, or make another backup."),
            )
        if bool(self._recipients) != is_encrypted(path):
            raise EncryptionFailed(
                _("%(path)s is not the name of what would be stored there.", path=path)
            )
        if self._tally:
            check_recipients(self._recipients)

    def _follow(self, spool):
        if self._tally:
            encrypt(spool.follow(), self._write_sealed, self._recipients)
        else:
            for block in spool.follow():
                self._write(block)
        self._upload.flush()

    def _write(self, block):
        self._upload.write(block)
        self._throttle.passed(len(block))

    def _write_sealed(self, block):
        self._tally.add(block)
        self._write(block)

    def _keep(self, step, *arguments):
        try:
            step(*arguments)
        except BackupError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - a defect of one kind must not reach the others
            self.error = DestinationFailed.of(error)
            self.error.in_order = False
        return self.error is None

    def _stop(self, spool):
        spool.fail(BackupError(_("The run ended before the copy did.")))
        self._throttle.lift()
        # Before the upload is aborted: nothing should write to what is being closed.
        if not self._through.wait(STOP_TIMEOUT):
            self._abort()
            self._through.wait(END_TIMEOUT)
        self._abort()
        self._over.set()

    def _abort(self):
        # The run's own outcome stays: an archive at rest elsewhere, or the reason of its failure.
        # What cannot be removed now is unlocked, and goes with the next attempt or a discard.
        try:
            if self._upload is not None:
                self._upload.abort()
        except Exception:  # noqa: BLE001 - whatever it is, the upload was not seen to be removed
            self.may_remain = True
        else:
            self.may_remain = self._is_in_doubt()

    def _is_in_doubt(self):
        """Return whether the place was lost in the middle of a request that leaves something."""
        if self._upload is None:
            return not self.is_through() or (self.error is not None and not self.error.in_order)
        return self._is_publishing

    def is_through(self):
        """Return whether everything the spool received is in the destination too, or failed."""
        return self._through.is_set()

    def wait(self, seconds):
        """Wait until it is through, but no longer than this."""
        self._through.wait(seconds)

    def publish(self, catalogue, control):
        """:param catalogue: all that is needed to do without us, as plain values"""
        if self.error is None:
            self._is_publishing = True
            self._is_publishing = not self._keep(self._publish, catalogue, control)

    def _publish(self, catalogue, control):
        # For each copy anew, and as its own failure: others may be at rest already, and the result
        # has to say so.
        control.check_permission()
        content = {**catalogue, **self._catalogue_of_encryption(catalogue)}
        self._upload.commit(written(content, self._key))

    def _catalogue_of_encryption(self, archive):
        at_rest = self._at_rest(archive)
        if not at_rest["encryption"]:
            return {}
        return {
            "encryption": at_rest["encryption"],
            "recipients": self._opened_by(),
            "stored_size": at_rest["size"],
            "stored_sha256": at_rest["sha256"],
        }

    def _opened_by(self):
        """Return the recipients for whom the bytes at rest are encrypted, as far as is known."""
        return self._sealed.get("recipients") or [] if self._sealed else self._recipients

    def _at_rest(self, archive):
        if self._sealed:
            size, sha256 = self._sealed["stored_size"], self._sealed["stored_sha256"]
            return {"size": size, "sha256": sha256, "encryption": METHOD}
        if self._tally:
            size, sha256 = self._tally.size, self._tally.hexdigest()
            return {"size": size, "sha256": sha256, "encryption": METHOD}
        return {"size": archive["size"], "sha256": archive["sha256"], "encryption": ""}

    @property
    def name(self):
        return {"id": self._order["id"], "path": self._order["archive_path"]}

    def result(self, archive):
        """Return the copy as plain values, by the id of its order: ``stored``, and of the bytes at
        rest their ``size``, ``sha256`` and ``encryption`` (``age`` or empty), and the ``details``
        that the destination has of them; or the error, and ``may_remain``. In any case the
        ``changed_settings`` that are to be stored, secrets among them: they are for the owner
        alone."""
        result = self.name
        if self._destination is not None and self._destination.changed_settings:
            result["changed_settings"] = self._destination.changed_settings
        if self.error is not None:
            failure = self.error.as_dict()
            return {**result, **failure, "stored": False, "may_remain": self.may_remain}
        details = {"details": self._upload.details} if self._upload.details else {}
        return {**result, "stored": True, **self._at_rest(archive), **details}
