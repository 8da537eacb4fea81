"""One run, start to end: source → spool → verify → every destination.

An *order* is a dict of plain values, as it comes over the engine process's standard input; each
function here carries out one kind of order and returns its result as plain values again.
"""

import contextlib
import datetime
import json
import threading

from .archive.verify import verify
from .destinations import open_destination
from .errors import ArchiveError, BackupError, DestinationFailed, NoDatabase, UnknownDatabase
from .sources import open_source
from .spool import Digest, Spool, check_space, sweep

# A backup grows from one day to the next; one that would not fit is refused before it begins.
SPACE_MARGIN = 1.2
# Seconds between looks whether a run that waits for a slow destination was cancelled.
JOIN_INTERVAL = 0.5


def discover(order, control):
    """Return what the server is and which databases it has; change nothing there.

    Order: ``source``. Result: ``version`` and ``databases``.
    """
    control.enter("connect")
    server = open_source(order["source"], control).probe()
    return {"version": server.version, "databases": list(server.databases)}


def backup(order, control):
    """Back up one database into every destination; return the archive's size, digest and copies.

    Order: ``source database archive_format include_filestore`` (from where and what), ``spool
    token`` (folder, and a name for this attempt), ``destinations`` (each ``id kind settings
    archive_path``), ``verify_level``, ``expected_size`` (bytes, 0 when unknown), ``catalogue``
    (what is put beside each archive; its ``run`` names the owner).

    Raises the reason when no copy came to rest; then nothing is left anywhere.
    """
    sweep(order["spool"])
    source = open_source(order["source"], control)
    check_database(source, order, control)
    check_space(order["spool"], order["expected_size"] * SPACE_MARGIN)
    with Spool(order["spool"], order["token"]) as spool, contextlib.ExitStack() as stack:
        copies = [Copy(destination, order, spool, stack) for destination in order["destinations"]]
        require(copies)
        archive = receive(source, order, spool, copies, control)
        control.enter("store")
        for copy in copies:
            copy.join(control)
        require(copies)
        control.ask_to_publish(**archive)
        control.enter("publish")
        catalogue = catalogue_of(order, archive)
        for copy in copies:
            copy.publish(catalogue, control)
        require(copies)
    return {**archive, "copies": [copy.result(archive["size"]) for copy in copies]}


def check_database(source, order, control):
    """Tell what the source is; raise :class:`UnknownDatabase` before anything is asked of it."""
    control.enter("connect")
    server = source.probe()
    control.tell("source", version=server.version, databases=list(server.databases))
    if order["database"] not in server.databases:
        if not server.databases:
            raise NoDatabase("The server has no database.")
        raise UnknownDatabase(f"The server has no database {order['database']!r}.")


def receive(source, order, spool, copies, control):
    """Fill the spool from the source and verify it; return what is known of the archive."""

    def write(block):
        spool.write(block)
        if all(copy.error for copy in copies):
            require(copies)

    digest = Digest(spool)
    control.enter("download", order["expected_size"])
    source.fetch(order["database"], order["archive_format"], order["include_filestore"], write)
    spool.finish()
    control.enter("verify")
    report = verify(
        spool.path,
        order["archive_format"],
        order["verify_level"],
        database=order["database"],
        progress=control.progress,
    )
    return {"size": spool.size, "sha256": digest.hexdigest(), "report": report.as_dict()}


def catalogue_of(order, archive):
    """Return the JSON that stands beside the archive: all that is needed to do without us."""
    made_at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    catalogue = {**order["catalogue"], **archive, "stored_at": made_at}
    return json.dumps(catalogue, indent=2, sort_keys=True).encode() + b"\n"


def require(copies):
    """Raise when no destination can take the archive any more."""
    if all(copy.error for copy in copies):
        raise copies[0].error if copies else DestinationFailed("The job has no destination.")


class Copy:
    """One archive on its way into one destination, by a follower of its own.

    A failure stays here, in ``error``: one broken destination costs the others nothing.
    """

    def __init__(self, destination, order, spool, stack):
        self.error = None
        self._order = destination
        self._upload = None
        self._thread = threading.Thread(target=self._keep, args=(self._follow, spool), daemon=True)
        if self._keep(self._begin, order, spool, stack):
            self._thread.start()
            # Before the upload is aborted: nothing may write to what is being closed.
            stack.callback(self._stop, spool)

    def _begin(self, order, spool, stack):
        destination = open_destination(self._order["kind"], self._order["settings"])
        destination.check_space(order["expected_size"] * SPACE_MARGIN)
        owner = order["catalogue"]["run"]
        path = self._order["archive_path"]
        self._upload = destination.begin(path, owner, order["token"], spool)
        stack.callback(self._abort)

    def _follow(self, spool):
        for block in spool.follow():
            self._upload.write(block)
        self._upload.flush()

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
        if self.error is None:
            self._keep(self._publish, catalogue, control)

    def _publish(self, catalogue, control):
        # For each copy anew, and as its own failure: others may be at rest already, and the result
        # has to say so.
        control.check_permission()
        self._upload.commit(catalogue)

    def result(self, size):
        """Return the copy as plain values, by the id of its order."""
        result = {"id": self._order["id"], "path": self._order["archive_path"]}
        if self.error is not None:
            return {**result, **self.error.as_dict(), "stored": False}
        return {**result, "stored": True, "size": size}


def verify_copies(order, control):
    """Read copies at rest to their end, to ``verify_level``; return each one's state.

    Order: ``copies`` (each ``id kind settings archive_path``), ``archive_format database sha256
    verify_level spool``. Result: ``copies``, each ``id ok`` with a ``report``, or with an error and
    ``bad``: whether the archive itself is, and not just the way to it.
    """
    control.enter("verify")
    return {"copies": [verify_copy(copy, order, control) for copy in order["copies"]]}


def verify_copy(copy, order, control):
    destination = open_destination(copy["kind"], copy["settings"])
    try:
        with destination.local_file(copy["archive_path"], order["spool"]) as path:
            report = verify(
                path,
                order["archive_format"],
                order["verify_level"],
                database=order["database"],
                sha256=order["sha256"],
                progress=control.progress,
            )
    except BackupError as error:
        control.check()
        bad = isinstance(error, ArchiveError)
        return {"id": copy["id"], "ok": False, "bad": bad, **error.as_dict()}
    except OSError as error:
        unreadable = DestinationFailed(f"{copy['archive_path']} cannot be read: {error.strerror}")
        return {"id": copy["id"], "ok": False, "bad": False, **unreadable.as_dict()}
    return {"id": copy["id"], "ok": True, "report": report.as_dict()}


def discard(order, control):
    """Remove what a lost attempt may have left, in the spool and in its destinations.

    Order: ``spool``, ``owner`` and ``copies`` (each ``id kind settings archive_path``). Result:
    ``copies``, each ``id ok`` or an error. What is not there is no error.
    """
    sweep(order["spool"])
    return {"copies": [discard_copy(copy, order["owner"], control) for copy in order["copies"]]}


def discard_copy(copy, owner, control):
    control.check()
    try:
        open_destination(copy["kind"], copy["settings"]).delete(copy["archive_path"], owner)
    except BackupError as error:
        return {"id": copy["id"], "ok": False, **error.as_dict()}
    return {"id": copy["id"], "ok": True}


ACTIONS = {
    "backup": backup,
    "discard": discard,
    "discover": discover,
    "verify": verify_copies,
}
