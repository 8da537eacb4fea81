"""Copies on their way: one archive, from the spool into every destination at once."""

import contextlib
import datetime
import json
import threading

from .destinations import open_destination
from .encryption import METHOD, check_recipients, encrypt
from .errors import BackupError, DestinationFailed, EncryptionFailed
from .naming import is_encrypted
from .tally import Tally

# A backup grows from one day to the next; one that would not fit is refused before it begins.
SPACE_MARGIN = 1.2
# Seconds between looks whether a run that waits for a slow destination was cancelled.
JOIN_INTERVAL = 0.5


def open_copies(order, spool, stack, sealed=None):
    """Begin a :class:`Copy` of the spool in each of the order's ``destinations``.

    Order: ``destinations`` (each ``id kind settings archive_path``, and ``recipients`` where it
    keeps archives encrypted), ``expected_size``, ``token``, ``catalogue``. ``stack`` ends them.
    Raises the reason when none of them can begin.
    """
    copies = [Copy(place, order, spool, stack, sealed) for place in order["destinations"]]
    require(copies)
    return copies


def require(copies):
    """Raise when no destination can take the archive any more."""
    if all(copy.error for copy in copies):
        raise copies[0].error if copies else DestinationFailed("The job has no destination.")


def publish_copies(copies, order, archive, control):
    """Bring the copies of an archive that is known to be right to rest; return their results."""
    control.enter("store")
    for copy in copies:
        copy.join(control)
    require(copies)
    control.ask_to_publish(**archive)
    control.enter("publish")
    made_at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    catalogue = {**order["catalogue"], **archive, "stored_at": made_at}
    for copy in copies:
        copy.publish(catalogue, control)
    require(copies)
    return [copy.result(archive) for copy in copies]


class Copy:
    """One archive on its way into one destination, by a follower of its own.

    A failure stays here, in ``error``: one broken destination costs the others nothing.

    :param sealed: what the spool receives is encrypted already: the copy that it is taken from
    """

    def __init__(self, destination, order, spool, stack, sealed=None):
        self.error = None
        self._order = destination
        self._recipients = destination.get("recipients") or []
        self._sealed = sealed
        self._tally = Tally() if self._recipients and not sealed else None
        self._upload = None
        self._thread = threading.Thread(target=self._keep, args=(self._follow, spool), daemon=True)
        if self._keep(self._begin, order, spool, stack):
            self._thread.start()
            # Before the upload is aborted: nothing may write to what is being closed.
            stack.callback(self._stop, spool)

    def _begin(self, order, spool, stack):
        path = self._order["archive_path"]
        self._require_fit(path)
        destination = open_destination(self._order["kind"], self._order["settings"])
        destination.check_space(order["expected_size"] * SPACE_MARGIN)
        owner = order["catalogue"]["run"]
        as_it_is = None if self._tally else spool
        self._upload = destination.begin(path, owner, order["token"], as_it_is)
        stack.callback(self._abort)

    def _require_fit(self, path):
        """Raise where the bytes would not be what destination and name promise."""
        if self._sealed and not self._recipients:
            raise EncryptionFailed(
                "The archive can only be read from a copy that is encrypted, and this destination "
                "keeps archives as they are.",
                hint="Restore the archive with its identity, or make another backup.",
            )
        if bool(self._recipients) != is_encrypted(path):
            raise EncryptionFailed(f"{path} is not the name of what would be stored there.")
        if self._tally:
            check_recipients(self._recipients)

    def _follow(self, spool):
        if self._tally:
            encrypt(spool.follow(), self._write_sealed, self._recipients)
        else:
            for block in spool.follow():
                self._upload.write(block)
        self._upload.flush()

    def _write_sealed(self, block):
        self._tally.add(block)
        self._upload.write(block)

    def _keep(self, step, *arguments):
        try:
            step(*arguments)
        except BackupError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - a defect of one kind must not reach the others
            self.error = DestinationFailed(f"{type(error).__name__}: {error}")
        return self.error is None

    def _stop(self, spool):
        spool.fail(BackupError("The run ended before the copy did."))
        self._thread.join()

    def _abort(self):
        # The run's own outcome stays: an archive at rest elsewhere, or the reason of its failure.
        # What cannot be removed now is unlocked, and goes with the next attempt or a discard.
        with contextlib.suppress(BackupError, OSError):
            self._upload.abort()

    def join(self, control):
        """Wait until everything the spool received is in the destination too."""
        while self._thread.is_alive():
            self._thread.join(JOIN_INTERVAL)
            control.check()

    def publish(self, catalogue, control):
        """:param catalogue: all that is needed to do without us, as plain values"""
        if self.error is None:
            self._keep(self._publish, catalogue, control)

    def _publish(self, catalogue, control):
        # For each copy anew, and as its own failure: others may be at rest already, and the result
        # has to say so.
        control.check_permission()
        content = {**catalogue, **self._catalogue_of_encryption(catalogue)}
        self._upload.commit(json.dumps(content, indent=2, sort_keys=True).encode() + b"\n")

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

    def result(self, archive):
        """Return the copy as plain values, by the id of its order: ``stored``, and of the bytes at
        rest their ``size``, ``sha256`` and ``encryption`` (``age`` or empty); or the error."""
        result = {"id": self._order["id"], "path": self._order["archive_path"]}
        if self.error is not None:
            return {**result, **self.error.as_dict(), "stored": False}
        return {**result, "stored": True, **self._at_rest(archive)}
