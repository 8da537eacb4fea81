"""What an answer says that came instead of a backup, or of a restore."""

import http
import re

from ..errors import (
    DatabaseExists,
    DatabaseManagerDisabled,
    RemoteError,
    RemoteNoSpace,
    UnknownDatabase,
    WrongMasterPassword,
)
from ..messages import _
from .http_answers import page_message
from .http_status import led_away, other_server, status_error

# What Odoo says of a wrong master password: up to 19, and with status 403 since.
DENIED = re.compile(r"Access Denied|bad admin password", re.I)
NO_SUCH_DATABASE = re.compile(r"database .{1,80} (does not exist|is not known)", re.I)
# Python's words, and PostgreSQL's of its own disk.
DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded|\bErrno (28|122)\b", re.I)
# Since Odoo 15, and in Odoo 14.
PG_DUMP_FAILED = re.compile(
    r"pg_dump.{0,400} (exit status \d|error \d)|server version mismatch", re.I | re.S
)
PG_DUMP_HINT = _(
    "pg_dump failed on that server; most often it is older than its PostgreSQL. Compare "
    "“pg_dump --version” with “SHOW server_version” there, and install the matching client "
    "(postgresql-client)."
)
EXISTS = re.compile(r"already exists", re.I)
CLOSED = (http.HTTPStatus.FORBIDDEN, http.HTTPStatus.NOT_FOUND)


def refusal(answer, database):
    """Return the error that stands in the place of a backup."""
    text = told_by(answer)
    if NO_SUCH_DATABASE.search(text):
        return UnknownDatabase(_("The server has no database %(database)r.", database=database))
    if error := common_refusal(answer, text, _("The server refused the backup: Access Denied.")):
        return error
    if answer.status in CLOSED:
        return DatabaseManagerDisabled(
            _("/web/database/backup is closed: %(answer)s.", answer=answer.line)
        )
    return RemoteError(unexplained(answer))


def restore_refusal(answer, database):
    """Return the error that the answer to a failed restore reports."""
    if answer.status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return RemoteError(
            _("A proxy in front of the server refuses files of this size."),
            hint=_(
                "Raise its limit (nginx: client_max_body_size), or use an address that bypasses "
                "the proxy."
            ),
        )
    text = told_by(answer)
    if EXISTS.search(text):
        return DatabaseExists(
            _(
                "The server says of the database %(database)r: %(text)s",
                database=database,
                text=text,
            ),
            hint=_(
                "It has one of this name that it does not list: a dbfilter may hide it, or another "
                "server uses the same PostgreSQL. Choose another name."
            ),
        )
    denied = _("The server refused the restore: Access Denied.")
    return common_refusal(answer, text, denied) or RemoteError(unexplained(answer))


def told_by(answer):
    """Return what Odoo itself says in an answer; nothing where it is none of Odoo's."""
    return page_message(answer.page()) if answer.is_page else ""


def common_refusal(answer, text, denied):
    """Return the error that a backup and a restore are refused with alike, or None.

    :param text: what Odoo said
    :param denied: the message of a wrong master password
    """
    if DENIED.search(text):
        return WrongMasterPassword(denied)
    if DISK_FULL.search(text):
        return RemoteNoSpace(_("The disk of that server is full: %(text)s", text=text))
    if PG_DUMP_FAILED.search(text):
        return RemoteError(text, PG_DUMP_HINT)
    if text:
        return RemoteError(text)
    return led_away(answer) if other_server(answer) else status_error(answer)


def unexplained(answer):
    """Return the message about an answer that is not Odoo's."""
    return _(
        "%(address)s answered %(answer)s (%(type)s), which is no answer of Odoo's.",
        address=answer.place,
        answer=answer.line,
        type=answer.headers.get_content_type(),
    )
