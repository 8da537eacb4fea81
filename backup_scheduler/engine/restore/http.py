"""Restoring an archive on an Odoo server, through its database manager, ``/web/database``.

Source of the quirks handled here: ``addons/web/controllers/database.py`` and ``service/db.py`` of
Odoo 14 to 20. The ones that matter most:

* it loads the dump without stopping at errors, and calls what came of it a success: so the new
  database is fetched back and compared with the archive;
* it answers only when all is done; a worker that reaches the server's time limit meanwhile is
  killed, and what it had made so far stays, under the name that was asked for;
* any value of ``neutralize_database`` means yes, "false" too, and before Odoo 16 none means it.
"""

import contextlib
import http.client
import os
import re
import urllib.parse

from ..archive import sqlscript
from ..archive.checkers import DUMP
from ..archive.levels import CONSISTENT
from ..archive.verify import verify
from ..errors import (
    BackupError,
    ConnectionFailed,
    DatabaseExists,
    NotConsistent,
    RemoteError,
    RestoreFailed,
    RestoreRefused,
    ServerDown,
    UnsafeDump,
    WrongMasterPassword,
)
from ..messages import _, joined
from ..sources.http import HttpSource
from ..sources.http_form import FileForm
from ..sources.http_refusal import restore_refusal
from ..spool import Spool
from . import rows
from .filestore import NO_FILESTORE
from .members import Members

# Seconds. The answer comes after the whole restore: hours for a large company.
ANSWER_TIMEOUT = 12 * 3600
MANAGER = "/web/database/manager"
# Odoo's own rule (DBNAME_PATTERN), and PostgreSQL's limit: longer names are cut without a word.
DATABASE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
NAME_LIMIT = 63
# "19.0", "19.0-20261101", "saas~18.2+e": the part that says which code fits the database.
SERIES = re.compile(r"(?:saas[~-])?(\d+)\.\d+")
NEUTRALIZES_SINCE = 16
# Its database manager restores zips alone.
NO_DUMPS_SINCE = 20
# By what Python's zipfile knows a zip: an end record, and the longest comment behind it (bytes).
ZIP_END, ZIP_TAIL = b"PK\x05\x06", 22 + 0xFFFF


def restore(path, archive_format, report, target, control, spool, token):
    """Restore the archive at ``path`` as a new database of an Odoo server; prove that it is there.

    :param report: what the verification of the archive found, as a Report or its fields
        ``with_rows``; a count of 0 is one that is not known, and is not compared
    :param target: ``url master_password verify_tls allow_insecure`` as a source has them,
        ``database`` (the new name), ``neutralize`` and ``copy`` (whether it gets an identity of its
        own)
    :param spool: the folder for the dump that is fetched back, under a name made of ``token``
    :return: ``database``, ``checked`` (``tables users attachments modules version`` of the new
        database), ``notes`` for people

    Nothing else on the server is changed. Raises :class:`DatabaseExists` for a name that is taken,
    :class:`RestoreRefused` where nothing was sent because it could not go well,
    :class:`UnsafeDump` where nothing was sent because the psql of the server might obey the dump,
    :class:`RestoreFailed` where what came of it is not what the archive holds, and the kinds of a
    source. What a failed restore left is named in the error's hint: it is not dropped from here.
    """
    report = report if isinstance(report, dict) else report.with_rows()
    require_name(target["database"])
    control.enter("connect")
    source = HttpSource(
        target["url"],
        target["master_password"],
        control,
        target.get("verify_tls", True),
        target.get("allow_insecure", False),
    )
    server = source.probe()
    require_fit(server, report, target, archive_format)
    source.require_access()
    if archive_format == "zip":
        require_safe(path, control)
    else:
        require_no_zip(path)
    # Nothing of what follows can be undone from here.
    control.ask_permission()
    control.check_permission()
    send(source, path, archive_format, target, control)
    with unchecked_told(target["database"]):
        return check(source, report, target, control, Spool(spool, f"{token}-check"))


# --- before anything is sent --------------------------------------------------------------------


def require_name(name):
    """Raise :class:`RestoreRefused` for a name that Odoo does not give to a database."""
    if not DATABASE_NAME.fullmatch(name) or len(name) > NAME_LIMIT:
        raise RestoreRefused(
            _("%(name)r cannot be the name of a database.", name=name),
            hint=_(
                "Odoo takes 2 to %(limit)s letters without accents, digits, underscores, "
                "dots and hyphens, the first one a letter or a digit.",
                limit=NAME_LIMIT,
            ),
        )


def require_fit(server, report, target, archive_format):
    """Raise where the server has such a database, or is an Odoo that cannot restore the archive."""
    name = target["database"]
    if name in server.databases:
        raise DatabaseExists(_("The server has a database %(name)r already.", name=name))
    archived, served = series(report.get("odoo_version")), series(server.version)
    if archived and served and archived[0] != served[0]:
        raise RestoreRefused(
            _(
                "The archive is of Odoo %(archived)s, and the server is an Odoo %(served)s.",
                archived=archived[0],
                served=served[0],
            ),
            hint=_(
                "Restore to a server of the archive's version; Odoo upgrades no database by this."
            ),
        )
    if archive_format == "dump" and served and int(served[1]) >= NO_DUMPS_SINCE:
        raise RestoreRefused(
            _(
                "The database manager of an Odoo %(served)s restores no custom dumps.",
                served=served[0],
            ),
            hint=_(
                "Restore a zip there; or restore the dump to this server, or by pg_restore to the "
                "PostgreSQL of that one. Nothing was sent."
            ),
        )
    if target.get("neutralize") and served and int(served[1]) < NEUTRALIZES_SINCE:
        raise RestoreRefused(
            _(
                "An Odoo %(served)s cannot neutralize a database: it would send mail and run jobs.",
                served=served[0],
            ),
            hint=_(
                "Restore without neutralizing, to a server that reaches neither mail nor banks."
            ),
        )


def require_safe(path, control):
    """Raise :class:`UnsafeDump` for a zip whose dump has something for a psql to obey.

    The server feeds it to its own psql, unlocked and as the user who runs Odoo there.
    """
    control.enter("check")
    reader = sqlscript.Script(strict=True)
    with Members(path) as members:
        for block in members.blocks(members.find(DUMP)):
            control.check()
            reader.feed(block)
    # After the checksum: a damaged byte is no attack.
    reader.finish()


def require_no_zip(path):
    """Raise :class:`UnsafeDump` for a custom dump that Odoo would take for a zip.

    It would feed the ``dump.sql`` in there to its psql, and nobody has read that one. Python's
    ``is_zipfile`` looks for an end record in the last bytes alone, whatever the file begins with;
    they may be the content of a large object.
    """
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - ZIP_TAIL))
        is_zip = ZIP_END in file.read()
    if is_zip:
        raise UnsafeDump(
            _(
                "Odoo would take this dump for a zip, and run what stands in that: the end of a "
                "zip is in its last bytes."
            ),
            hint=_(
                "Restore it to this server, or by pg_restore. The backups that Odoo makes are "
                "compressed and do not have this: find out who can change that server."
            ),
        )


def series(version):
    """Return the match of a version's series, or None where there is none to compare."""
    return SERIES.match(version or "")


# --- the restore itself -------------------------------------------------------------------------


def send(source, path, archive_format, target, control):
    """Send the archive, and wait until the server says that it is restored."""
    control.enter("restore")
    # Texts of which Odoo takes the first for a truth, and the second by being there at all.
    wanted = {"copy": "true" if target.get("copy") else "false"}
    if target.get("neutralize"):
        wanted["neutralize_database"] = "true"
    form = FileForm(
        {"master_pwd": source.password, "name": target["database"], **wanted},
        "backup_file",
        f"backup.{archive_format}",
        path,
        control.progress,
    )
    with (
        remains_told(source, form, target["database"]),
        broken_connection_told(form),
        source.client.request(
            "POST", "/web/database/restore", form, form.content_type, timeout=ANSWER_TIMEOUT
        ) as answer,
    ):
        if not leads_to_manager(answer):
            raise restore_refusal(answer, target["database"])


def leads_to_manager(answer):
    """Whether the answer sends the browser back to the manager, which is how Odoo says yes."""
    location = urllib.parse.urlsplit(answer.headers.get("Location", ""))
    redirects = (http.client.SEE_OTHER, http.client.FOUND)
    return answer.status in redirects and location.path.endswith(MANAGER)


@contextlib.contextmanager
def broken_connection_told(form):
    """Say what a connection that breaks means here: the archive on its way, or the restore."""
    try:
        yield
    except ServerDown:
        # The proxy has said so.
        raise
    except ConnectionFailed as error:
        if form.is_sent:
            raise RemoteError(
                _("The server closed the connection in the middle of the restore."),
                hint=_(
                    "It was stopped, or a time limit of its own ended it (limit_time_real and "
                    "limit_time_cpu in its configuration): its log says which."
                ),
            ) from error
        if form.sent:
            raise ConnectionFailed(
                _(
                    "The connection broke after %(sent)s of %(size)s bytes.",
                    sent=form.sent,
                    size=len(form),
                ),
                hint=_(
                    "If it happens again, a proxy may limit the size of what is sent (nginx: "
                    "client_max_body_size), or the server's disk may be full."
                ),
            ) from error
        raise


@contextlib.contextmanager
def remains_told(source, form, database):
    """Add to an error's hint what the failed restore left on the server.

    That is nothing before the server has all of the archive: only then it begins.
    """
    try:
        yield
    except (DatabaseExists, WrongMasterPassword):
        raise
    except BackupError as error:
        if form.is_sent:
            add_hint(error, remains(source, database))
        raise


def remains(source, database):
    try:
        databases = source.probe().databases
    except BackupError:
        # It is down, or this restore was cancelled and may ask nothing any more.
        return _(
            "The server may have left an unfinished database %(database)r, or still work on it; "
            "look at it there.",
            database=database,
        )
    if database not in databases:
        return ""
    return _(
        "An unfinished database %(database)r is on the server now. It may still be worked on; "
        "drop it before you try again under this name.",
        database=database,
    )


# --- the proof ----------------------------------------------------------------------------------


def check(source, report, target, control, spool):
    """Fetch the new database back, without its files, and compare it with the archive."""
    database, server = target["database"], source.probe()
    if database not in server.databases:
        raise RestoreFailed(
            _(
                "The server restored the database %(database)r and does not list it.",
                database=database,
            ),
            hint=_("Its dbfilter or its list of databases (dbfilter, db_name) may hide it."),
        )
    control.enter("verify")
    with spool:
        source.fetch(database, "dump", False, spool.write)
        found = verified(spool.path, database, report, control)
    notes = rows.compare_totals(report, found.as_dict())
    notes += rows.compare(report, found.rows, opened=True, neutralized=target.get("neutralize"))
    notes.append(about_files(report))
    counts = {key: getattr(found, key) for key in (*rows.SAME, *rows.AT_LEAST)}
    return {"database": database, "checked": {**counts, "version": server.version}, "notes": notes}


def verified(path, database, report, control):
    """Return the report on the dump that was fetched back.

    What it lacks is of no concern where the rows of the archive are known: they are compared, and
    the archive itself may be of a database that lacks something.
    """
    try:
        return verify(path, "dump", CONSISTENT, database=database, progress=control.progress)
    except NotConsistent as error:
        if not report.get("rows"):
            raise
        error.report.level = CONSISTENT
        return error.report


def about_files(report):
    """Return the note on what the comparison says nothing about."""
    if files := report.get("filestore_files"):
        return _(
            "%(count)s files of the filestore went with the archive; they were not read back.",
            count=files,
        )
    return NO_FILESTORE


@contextlib.contextmanager
def unchecked_told(database):
    """Add to an error's hint that the restored database is there, proven or not."""
    try:
        yield
    except BackupError as error:
        add_hint(
            error,
            _(
                "The database %(database)r was left on the server: look at it there, or drop it.",
                database=database,
            ),
        )
        raise


def add_hint(error, sentence):
    error.hint = joined(" ", filter(None, (error.hint, sentence)))
