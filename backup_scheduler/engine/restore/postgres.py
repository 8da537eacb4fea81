"""Restoring an archive as a new database of a PostgreSQL of ours, with its filestore."""

import contextlib
import os
import uuid

from ..errors import BackupError, DatabaseExists, RestoreFailed, RestoreRefused
from ..messages import _
from . import filestore, scratch
from .http import require_name
from .load import Meter, home_of, installed, size_of
from .scratch import EXISTS, EXISTS_AS, Scratch, is_scratch
from .server import DatabaseServer, sql

# As odoo.modules.neutralize takes a module for installed.
INSTALLED = ("installed", "to upgrade", "to remove")
# More names than this help nobody who reads them.
NAMES_LIMIT = 10
SET_PARAMETER = """
    INSERT INTO ir_config_parameter (key, value) VALUES (%s, %s)
        ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value
"""


def restore(path, archive_format, report, target, control, token):
    """Restore the archive at ``path`` as a new database, and its filestore beside those of Odoo.

    :param report: what the verification of the archive found, as a Report or its fields
    :param target: ``server`` (a dict of libpq's keywords), ``database`` (the new name),
        ``filestore`` (the absolute path of its folder, or empty for none), ``neutralization``
        (``{module: SQL}`` of what makes a copy harmless, None for a database that stays as it is),
        ``known_modules`` (the names of all modules whose SQL would be in it if they had any; absent
        when that is not known), ``version`` (of Odoo, that the SQL is for), ``uuid`` (its new
        identity, or empty to keep that of the original), ``isolation`` (as :func:`.scratch.drill`
        takes it, without a spool)
    :param token: a name for this attempt, no other one's
    :return: ``database``, ``checked`` (its counts), ``notes`` for people

    Everything is done under a name that nobody sees: the database appears last, complete and
    neutralized, once the owner has said that the task is still its own. Until then nothing of it
    remains when this fails; after a kill, :func:`sweep` removes what is left.

    Raises :class:`DatabaseExists` for a name that is taken or a folder with files in it, and what
    :func:`.scratch.drill` raises.
    """
    report = report if isinstance(report, dict) else report.with_rows()
    name, folder = target["database"], target.get("filestore")
    require_free_name(name)
    require_version(report, target)
    control.enter("restore")
    sweep(target["server"], folder and os.path.dirname(folder))
    if folder:
        filestore.require_vacant(folder)
    with contextlib.ExitStack() as stack:
        stack.enter_context(remains_swept(target["server"], folder))
        new = stack.enter_context(
            Scratch(target["server"], "restore", token, control, target.get("isolation"))
        )
        if new.session.value(EXISTS, name):
            raise DatabaseExists(_("The server has a database %(name)r already.", name=name))
        meter = Meter(control, *size_of(path, archive_format))
        notes = new.load(path, archive_format, meter)
        checked = new.check(report)
        with new.inside() as session:
            notes += finish(session, target)
            new.home = home_of(session)
        notes += place(path, archive_format, folder, new, name, token, meter, control)
    return {"database": name, "checked": checked, "notes": notes}


def sweep(server, folder=None):
    """Remove what killed restores and drills have left; return the names.

    :param folder: the folder in which the filestores lie, or None to look at the server only
    """
    swept = scratch.sweep(server)
    if folder:
        with DatabaseServer(server).session() as session:
            swept += filestore.sweep(folder, lambda *known: session.value(EXISTS_AS, *known))
    return swept


def require_free_name(name):
    """Raise :class:`RestoreRefused` for what cannot be the name of a database that stays."""
    require_name(name)
    if is_scratch(name):
        raise RestoreRefused(
            _("%(name)r is a name of scratch databases.", name=name), hint=_("Choose another.")
        )


def require_version(report, target):
    """Raise :class:`RestoreRefused` where the SQL that neutralizes is for another Odoo.

    Of a ``dump``, nothing says here which version it is of.
    """
    archived = (report.get("manifest") or {}).get("major_version")
    served = target.get("version")
    if target.get("neutralization") is None or not (archived and served) or archived == served:
        return
    raise RestoreRefused(
        _(
            "The archive is of Odoo %(archived)s, and what neutralizes a database here is for "
            "Odoo %(served)s.",
            archived=archived,
            served=served,
        ),
        hint=_(
            "Restore it to an instance of Odoo %(archived)s, or here without neutralizing it. "
            "Nothing was changed.",
            archived=archived,
        ),
    )


@contextlib.contextmanager
def remains_swept(server, folder):
    """Leave nothing behind when what is inside fails."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(BackupError):
            sweep(server, folder and os.path.dirname(folder))
        raise


# --- the new database ---------------------------------------------------------------------------


def finish(session, target):
    """Make the database what it is to be, before anybody sees it; return notes for people."""
    notes = []
    with session.transaction():
        home = sql.Identifier(home_of(session))
        session.rows(sql.SQL("SET LOCAL search_path TO {}, public").format(home))
        if target.get("neutralization") is not None:
            neutralize(session, target["neutralization"])
            notes = about_unknown_modules(session, target.get("known_modules"))
        if target.get("uuid"):
            session.rows(SET_PARAMETER, "database.uuid", target["uuid"])
            # With the secret of the original, its sessions would be good for the copy too.
            session.rows(SET_PARAMETER, "database.secret", str(uuid.uuid4()))
    session.rows("ANALYZE")
    return notes


def neutralize(session, neutralization):
    """Run the SQL of each installed module that has some, as ``odoo.modules.neutralize`` does.

    Raises :class:`RestoreFailed` where one fails, or none is there: a copy that is believed to be
    harmless and is not sends mail to customers.
    """
    modules = [name for name in installed(session, INSTALLED) if name in neutralization]
    if not modules:
        raise RestoreFailed(
            _("The database cannot be neutralized: no module of it is known here."),
            hint=_("Restore it on a server of its own version, with its modules."),
        )
    for module in modules:
        if not (query := neutralization[module].strip()):
            continue
        try:
            session.rows(query)
        except BackupError as error:
            raise RestoreFailed(
                _(
                    "The neutralization of the module %(module)s failed: %(message)s",
                    module=module,
                    message=error.message,
                ),
                hint=_("Its code here may be of another version than the database."),
            ) from error


def about_unknown_modules(session, known):
    """Return a note on the modules of the database of which nobody here knows what they do.

    :param known: the names of the modules that are known here, or None where that is not known
    """
    if known is None:
        return []
    known = set(known)
    unknown = sorted(name for name in installed(session, INSTALLED) if name not in known)
    if not unknown:
        return []
    names = ", ".join(unknown[:NAMES_LIMIT]) + (" …" if unknown[NAMES_LIMIT:] else "")
    if len(unknown) == 1:
        return [
            _(
                "1 installed module is not known here, so what it wants neutralized was not: "
                "%(names)s",
                names=names,
            )
        ]
    return [
        _(
            "%(count)s installed modules are not known here, so what they want neutralized was "
            "not: %(names)s",
            count=len(unknown),
            names=names,
        )
    ]


def place(path, archive_format, folder, new, name, token, meter, control):  # noqa: PLR0913
    """Unpack the filestore, and give folder and database their names; return notes for people.

    The owner is asked before: whoever has lost the task gives nothing a name any more. The database
    is last: what people see has all its files.
    """
    if not folder or archive_format != "zip":
        control.ask_permission()
        control.check_permission()
        new.publish(name)
        return [filestore.NO_FILESTORE] if folder else []
    with filestore.Filestore(folder, name, token) as files:
        notes = files.unpack(path, meter.advance)
        control.ask_permission()
        control.check_permission()
        files.publish(new.number())
        control.check_permission()
        new.publish(name)
    return notes
