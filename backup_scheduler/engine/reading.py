"""Archives at rest, read again: to verify them, and to restore them.

A *copy* is what an order says of an archive in a destination: ``id kind settings archive_path``,
and of its bytes at rest ``encryption`` (``age`` or empty), ``stored_size`` and ``stored_sha256``.
"""

import contextlib
import datetime

from .archive.levels import CONSISTENT, LEVELS, RESTORING
from .archive.verify import verify
from .destinations import opened
from .encryption import decrypt
from .errors import (
    ArchiveError,
    BackupError,
    Cancelled,
    Damaged,
    DestinationFailed,
    NotConsistent,
    RestoreFailed,
    Truncated,
    WrongIdentity,
)
from .messages import _, bounded
from .sources import KINDS as SOURCES
from .spool import Spool, check_space, sweep, write_all
from .tally import Tally

# --- verifying ----------------------------------------------------------------------------------


def verify_copies(order, control):
    """Read copies at rest to their end, to ``verify_level``; return each one's state.

    Order: ``copies`` (each with ``identity`` where it is to be decrypted), ``archive_format
    include_filestore database sha256 verify_level spool token``; ``since`` (ISO text) and ``gone``
    (names of files), as the report of the backup has them; ``known_gaps`` (names of files that may
    be ``missing`` or ``damaged``); and, for level 4, ``scratch_server`` (keywords of libpq) and
    ``isolation`` (``cluster``, ``role`` and ``trusted``, see :func:`.restore.scratch.drill`).

    Result: ``copies``, each with ``id ok`` and

    - ``read: "archive"`` and a ``report``; with a ``finding`` (an error as plain values) where the
      copy is what was stored, and what was stored is not good; or ``undetermined`` (one, too)
      where the level that was asked for could not be reached for reasons of this server;
    - or ``read: "sealed"`` and no report: an encrypted copy without identity, whose bytes are the
      ones that were stored;
    - or an error, and ``bad``: whether the archive itself is, and not just the way to it.
    """
    sweep_spool(order["spool"])
    return {"copies": [verify_copy(copy, order, control) for copy in order["copies"]]}


def verify_copy(copy, order, control):
    try:
        if copy.get("encryption") and not copy.get("identity"):
            found = {"read": "sealed", "report": None}
            compare_stored(copy, control)
        else:
            found = {"read": "archive", **verify_archive(copy, order, control)}
    except BackupError as error:
        control.check()
        bad = isinstance(error, ArchiveError)
        return {"id": copy["id"], "ok": False, "bad": bad, **error.as_dict()}
    except OSError as error:
        unreadable = as_failure(error, copy)
        return {"id": copy["id"], "ok": False, "bad": False, **unreadable.as_dict()}
    return {"id": copy["id"], "ok": True, **found}


def compare_stored(copy, control):
    """Read the bytes at rest as they are; raise where they are not the ones that were stored."""
    if not copy["stored_sha256"]:
        raise WrongIdentity(
            _("The copy is encrypted, and what its bytes should be is not recorded."),
            hint=_("Enter the identity that opens it, to verify what is inside."),
        )
    control.enter("read", copy["stored_size"])
    tally = Tally()
    for _block in stored_blocks(copy, tally, control):
        pass
    tally.require(copy["stored_size"], copy["stored_sha256"])


def verify_archive(copy, order, control):
    """Return the ``report`` on what a copy holds, and a ``finding`` if there is one."""
    with plain_file(copy, order, control, copy.get("identity")) as path:
        control.enter("verify")
        level = min(order["verify_level"], CONSISTENT)
        since = moment_of(order.get("since"))
        report, finding = read_archive(
            path, order, level, control, since, order["sha256"], gone_in(order)
        )
        found = {"report": report.as_dict(), **finding}
        if LEVELS[order["verify_level"]].found_by == RESTORING:
            found.update(drilled(path, copy, order, report, control))
        return found


def examine(path, order, level, control, since=None, sha256=None, **known):  # noqa: PLR0913
    """Verify the archive at ``path``; return its ``report`` as plain values.

    With a ``finding`` beside it where the archive is a sound copy of a server that lacks something:
    such an archive is kept, and told about. ``gaps`` names the files that are missing or damaged
    (see :meth:`.archive.gaps.Gaps.result`). What is wrong with the archive itself is raised.
    ``known``: ``gone`` and ``hashed``, as :func:`.archive.verify.verify` takes them.
    """
    report, finding = read_archive(path, order, level, control, since, sha256, **known)
    return {"report": report.as_dict(), **finding}


def read_archive(  # noqa: PLR0913
    path, order, level, control, since, sha256, gone=(), hashed=False
):
    """Do what :func:`examine` does; return the Report, and a dict of the ``gaps``, and of the
    ``finding`` if there is one."""
    try:
        report = verify(
            path,
            order["archive_format"],
            level,
            database=order["database"],
            sha256=sha256,
            progress=control.progress,
            since=since,
            filestore=order.get("include_filestore", True),
            known_gaps=order.get("known_gaps"),
            gone=gone,
            hashed=hashed,
        )
    except NotConsistent as error:
        return error.report, {"finding": error.as_dict(), "gaps": error.report.gaps}
    return report, {"gaps": report.gaps}


def drilled(path, copy, order, report, control):
    """Restore the archive into a scratch database; return its ``report`` of level 4.

    :param report: the Report of its verification

    An archive that does not restore is what was stored, byte for byte: another copy of it would not
    either. So that is a ``finding``, and not a damaged copy. Where this server is what keeps it
    from being restored (:mod:`.restore.causes`), or it cannot be restored here without danger to
    others, that is a note, and ``undetermined`` (an error) beside the report.
    """
    # psycopg2 and PostgreSQL's programs are needed only here.
    from .restore.scratch import drill

    token = f"{order['token']}-{copy['id']}"
    try:
        done = drill(
            path, order["archive_format"], report, order["scratch_server"], control, token,
            isolation_of(order),
        )  # fmt: skip
    except RestoreFailed as error:
        return {"finding": error.as_dict()}
    except ArchiveError:
        raise
    except BackupError as error:
        control.check()
        return {"report": with_note(report, error), "undetermined": error.as_dict()}
    return {"report": done}


def with_note(report, error):
    """Return the report with a note on why it could not be determined whether it restores."""
    said = _(
        "Whether it can be restored could not be determined here. %(error)s %(hint)s",
        error=bounded(error.message),
        hint=error.hint,
    )
    return {**report.as_dict(), "notes": [*report.notes, said]}


def isolation_of(order):
    """Return how the order wants the SQL of dumps isolated, as :func:`.restore.scratch.drill` does.

    Its ``cluster`` says whether a PostgreSQL of its own may be started in the spool.
    """
    isolation = order.get("isolation") or {}
    return {**isolation, "spool": order["spool"]} if isolation.get("cluster") else isolation


def sweep_spool(folder):
    """Remove what killed processes left in the spool, clusters of PostgreSQL included."""
    from .restore import cluster

    sweep(folder)
    cluster.sweep(folder)


def sweep_servers(order, control):
    """Remove what killed processes of ours left in the spool, and on PostgreSQL servers.

    Order: ``spool``; ``servers``, each ``server`` (the keywords of libpq) and ``filestores`` (the
    folder in which those of its databases lie, or empty). Result: ``left``, the names of the
    scratch databases that are there nevertheless. Raises :class:`~.errors.DatabaseServerFailed`
    where a server cannot be asked.
    """
    from .restore import postgres, scratch

    left = []
    sweep_spool(order["spool"])
    for place in order["servers"]:
        control.check()
        postgres.sweep(place["server"], place["filestores"])
        left += scratch.left(place["server"])
    return {"left": left}


def moment_of(text):
    """Return the moment that an ISO text names, as aware UTC; None for an empty one, and for what
    is none: it may come from a catalogue."""
    if not text or not isinstance(text, str):
        return None
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


def gone_in(report):
    """Return the names of files in the ``gone`` of a report or an order; of what is no list of
    names nothing: it may come from a catalogue."""
    names = report.get("gone") or ()
    return names if isinstance(names, list) and all(isinstance(n, str) for n in names) else ()


# --- the bytes ----------------------------------------------------------------------------------


def stored_blocks(copy, tally, control):
    """Yield the bytes at rest of a copy, adding each block to ``tally``."""
    with opened(copy, control) as destination:
        for block in destination.read(copy["archive_path"]):
            tally.add(block)
            control.progress(tally.size, copy.get("stored_size", 0))
            yield block


@contextlib.contextmanager
def plain_file(copy, order, control, identity=None):
    """Yield the name of a file of this machine that holds the archive of a copy, decrypted.

    That is the copy itself where it lies on this machine as it is; else a spool, which goes when
    the block ends, and by the next sweep when the process is killed.
    """
    if not copy.get("encryption"):
        with opened(copy, control) as destination:
            path = destination.path_of(copy["archive_path"])
        if path:
            yield path
            return
    check_space(order["spool"], copy.get("stored_size", 0))
    with Spool(order["spool"], f"{order['token']}-{copy['id']}") as spool:
        if copy.get("encryption"):
            control.enter("decrypt", copy.get("stored_size", 0))
            unseal(copy, identity, spool.write, control)
        else:
            control.enter("read", copy.get("stored_size", 0))
            for block in stored_blocks(copy, Tally(), control):
                spool.write(block)
        spool.finish()
        yield spool.path


def unseal(copy, identity, write, control):
    """Decrypt a copy; raise :class:`WrongIdentity` only where the copy itself is all right.

    The keys stand at the beginning of the file: one that was changed looks like a wrong identity.
    """
    tally = Tally()
    blocks = stored_blocks(copy, tally, control)
    try:
        decrypt(blocks, write, identity)
    except (WrongIdentity, Damaged, Truncated):
        if copy.get("stored_sha256"):
            for _block in blocks:
                pass
            tally.require(copy["stored_size"], copy["stored_sha256"])
        raise


def hand_out(order, control):
    """Write the bytes at rest of a ``copy`` to the open file descriptor ``out``."""
    try:
        for block in stored_blocks(order["copy"], Tally(), control):
            write_all(order["out"], block)
    except BrokenPipeError as error:
        raise Cancelled(_("Nobody reads it any more.")) from error
    return {}


# --- restoring ----------------------------------------------------------------------------------


def restore(order, control):
    """Restore an archive as a new database, from the first of its copies that is sound.

    Order: ``candidates`` (copies), ``identity`` (for those that are encrypted), ``archive_format
    include_filestore database sha256``, ``report`` (of the last verification), ``spool token`` and
    ``target``: its ``kind`` is ``postgres``, and the rest is for :mod:`.restore.postgres`; or the
    kind of a source, and the rest is its order and what its ``restore`` needs. Result: ``database
    checked notes``.

    Nothing is begun before an archive was read to its end. Raises what is wrong with the first
    candidate where none is good.
    """
    sweep_spool(order["spool"])
    errors = []
    for candidate in order["candidates"]:
        with contextlib.ExitStack() as stack:
            try:
                path = stack.enter_context(
                    plain_file(candidate, order, control, order.get("identity"))
                )
                report, finding = examine_candidate(path, order, control)
            except (BackupError, OSError) as error:
                control.check()
                errors.append(as_failure(error, candidate))
                pass_over(candidate, errors[-1], control)
                continue
            done = restore_to_target(path, order, report.with_rows(), control)
            skipped = [
                _("A copy was passed over: %(error)s", error=error.message) for error in errors
            ]
            return {**done, "notes": [*skipped, *notes_of(finding), *done["notes"]]}
    raise errors[0] if errors else DestinationFailed(_("There is no copy to restore from."))


def examine_candidate(path, order, control):
    control.enter("verify")
    report = order.get("report") or {}
    since = moment_of(report.get("since"))
    return read_archive(path, order, CONSISTENT, control, since, order["sha256"], gone_in(report))


def pass_over(copy, error, control):
    """Tell by the event ``unreadable`` of a copy that something was to be made from: its ``id``,
    the error, and ``bad``: whether the archive there is, and not just the way to it."""
    bad = isinstance(error, ArchiveError)
    control.tell("unreadable", id=copy["id"], bad=bad, **error.as_dict())


def as_failure(error, copy):
    if isinstance(error, BackupError):
        return error
    return DestinationFailed(
        _(
            "%(path)s cannot be read: %(reason)s",
            path=copy["archive_path"],
            reason=error.strerror,
        )
    )


def notes_of(found):
    """Return what the reader of a restored database should know of the archive."""
    return [found["finding"]["error"]] if "finding" in found else []


def restore_to_target(path, order, report, control):
    target = order["target"]
    archive_format, token = order["archive_format"], order["token"]
    if target["kind"] != "postgres":
        source = SOURCES.load(target["kind"], target.get("code"))
        return source.restore(path, archive_format, report, target, control, order["spool"], token)
    # psycopg2 and PostgreSQL's programs are needed only here.
    from .restore import postgres

    return postgres.restore(path, archive_format, report, target, control, token)
