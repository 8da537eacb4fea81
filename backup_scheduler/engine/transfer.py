"""One run, start to end: source → spool → verify → every destination.

An *order* is a dict of plain values, as it comes over the engine process's standard input; each
action carries out one kind of order and returns its result as plain values again. What is done
with archives at rest is in :mod:`.reading` and :mod:`.replication`.
"""

import contextlib
import datetime

from .copies import SPACE_MARGIN, open_copies, publish_copies, require, results
from .destinations import opened
from .errors import BackupError, DatabasesUnavailable, UnknownDatabase
from .importing import list_archives
from .messages import _
from .naming import one_line
from .notify import notify
from .reading import examine, hand_out, restore, sweep_servers, verify_copies
from .replication import replicate
from .sources import open_source
from .sources.base import Fetched
from .spool import Digest, Spool, check_space, sweep


def discover(order, control):
    """Return what the server is and which databases it has; change nothing there.

    Order: ``source``. Result: ``version``, ``databases``, and whether that list is ``confirmed``:
    see :class:`.sources.base.Server`.
    """
    control.enter("connect")
    source = open_source(order["source"], control)
    server = source.probe()
    source.require_access()
    # Names from elsewhere come in here, and go into mails, logs and paths.
    databases = sorted({one_line(str(name)) for name in server.databases})
    return {
        "version": one_line(server.version),
        "databases": databases,
        "confirmed": server.confirmed,
    }


def check(order, control):
    """Check a destination: write, read back and delete a marker in it.

    Order: ``destination`` (``id kind settings``). Result: ``found``, see
    :meth:`.destinations.base.Destination.check`.
    """
    with opened(order["destination"], control) as destination:
        return {"found": destination.check()}


def backup(order, control):
    """Back up one database into every destination; return the archive's size, digest and copies.

    Order: ``source database archive_format include_filestore`` (from where and what), ``spool
    token`` (folder, and a name for this attempt), ``destinations`` (each ``id kind settings
    archive_path``, with ``recipients`` where it keeps archives encrypted), ``verify_level``,
    ``expected_size`` and ``size_limit`` (bytes, 0 when unknown), ``known_gaps`` (names of files
    that may be ``missing`` or ``damaged``), ``catalogue`` (what is put beside each archive; its
    ``run`` names the owner).

    Result: ``size sha256 report`` of the archive, a ``finding`` (an error as plain values) where
    the archive is a faithful copy of a server that lacks something, ``gaps`` (see
    :meth:`.archive.gaps.Gaps.result`) and ``copies``: see :meth:`.copies.Copy.result`. Raises the
    reason when no copy came to rest; then nothing is left anywhere.
    """
    sweep(order["spool"])
    source = open_source(order["source"], control)
    since = check_database(source, order, control)
    check_space(order["spool"], order["expected_size"] * SPACE_MARGIN)
    limit = order.get("size_limit", 0)
    with Spool(order["spool"], order["token"], limit) as spool, contextlib.ExitStack() as stack:
        copies = open_copies(order, spool, stack)
        archive = receive(source, order, spool, copies, control, since)
        # Names by the thousand, which nobody needs beside the archive.
        gaps = archive.pop("gaps")
        publish_copies(copies, order, archive, control)
    return {**archive, "gaps": gaps, "copies": results(copies, archive)}


def check_database(source, order, control):
    """Tell what the source is; raise :class:`UnknownDatabase` before anything is asked of it, or
    :class:`DatabasesUnavailable` where it lists none at all.

    Returns the moment: by the server's own clock where it tells, for its database is dated by it.
    None where nothing that comes later can be in the dump.
    """
    control.enter("connect")
    server = source.probe()
    databases = list(server.databases)
    control.tell(
        "source", version=server.version, databases=databases, confirmed=server.confirmed
    )
    if order["database"] not in databases:
        if not databases:
            # It had this one when the run was made.
            raise DatabasesUnavailable(_("The server lists no database."))
        raise UnknownDatabase(
            _("The server has no database %(database)r.", database=order["database"])
        )
    if source.DUMP_FIRST:
        return None
    return server.clock or datetime.datetime.now(datetime.timezone.utc)


def receive(source, order, spool, copies, control, since):
    """Fill the spool from the source and verify it; return what is known of the archive."""

    def write(block):
        spool.write(block)
        if all(copy.error for copy in copies):
            require(copies)

    digest = Digest(spool)
    control.enter("download", order["expected_size"])
    wanted = order["database"], order["archive_format"], order["include_filestore"]
    fetched = source.fetch(*wanted, write) or Fetched()
    spool.finish()
    control.enter("verify")
    known = {"gone": fetched.gone, "hashed": fetched.hashed}
    found = examine(spool.path, order, order["verify_level"], control, since, **known)
    found["report"]["notes"] += fetched.notes
    return {"size": spool.size, "sha256": digest.hexdigest(), **found}


def discard(order, control):
    """Remove what a lost attempt may have left, in the spool and in its destinations.

    Order: ``spool``, ``owner`` and ``copies`` (each ``id kind settings archive_path``). Result:
    ``copies``, each ``id ok`` or an error. What is not there is no error. The owner is asked before
    each: what another attempt makes at the same path must not go.
    """
    sweep(order["spool"])
    return {"copies": [discard_copy(copy, order["owner"], control) for copy in order["copies"]]}


def discard_copy(copy, owner, control):
    control.ask_permission()
    try:
        with opened(copy, control) as destination:
            control.check_permission()
            destination.delete(copy["archive_path"], owner, copy.get("version") or "")
    except BackupError as error:
        return {"id": copy["id"], "ok": False, **error.as_dict()}
    return {"id": copy["id"], "ok": True}


ACTIONS = {
    "archives": list_archives,
    "backup": backup,
    "check": check,
    "discard": discard,
    "discover": discover,
    "hand_out": hand_out,
    "notify": notify,
    "replicate": replicate,
    "restore": restore,
    "sweep": sweep_servers,
    "verify": verify_copies,
}
