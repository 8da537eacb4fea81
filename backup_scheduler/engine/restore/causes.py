"""Whose fault a refusal of PostgreSQL is: the archive's, or that of the server it was tried on.

The one table of it. An archive is bad only where no proper server could restore it
(:class:`RestoreFailed`). Where a server, its role, its extensions, its locales or its version are
the reason, nothing is known about the archive (:class:`DatabaseServerFailed`, :class:`NoSpace`),
and the hint says what to install or to grant.
"""

import re

from ..errors import DatabaseServerFailed, NoSpace, RestoreFailed
from ..messages import _

NOT_THE_ARCHIVE = _("This says nothing about the archive.")
FULL_HINT = _("Free disk space where that PostgreSQL keeps its databases.")
# What pg_dump makes, and only some roles may: of anything else the refusal is the archive's.
OF_A_DUMP = re.compile(
    rb"(?:CREATE|ALTER|COMMENT ON|DROP) (?!DATABASE|ROLE|USER|GROUP|TABLESPACE|SYSTEM)"
    rb"|GRANT [^;]* ON |REVOKE [^;]* ON |COPY |INSERT INTO |SECURITY LABEL |SET |REFRESH "
    rb"|SELECT pg_catalog\.(?:setval|lo_|set_config|pg_)"
)
UNACCENT = re.compile(rb"\bunaccent\b")
NAME = r"\"?(?P<name>[^\"\s]+)\"?"
FIRST_QUOTED = re.compile(r"(?:[^\"„»«“]*[\"„»«“]\s?(?P<name>[^\"“”»«]+?)\s?[\"“”»«])?")


def extension_missing(name):
    return _(
        "Install the extension “%(name)s” on that PostgreSQL server (Debian: "
        "postgresql-contrib, or the extension's own package). %(note)s",
        name=name,
        note=NOT_THE_ARCHIVE,
    )


def extension_of_superusers(name):
    return _(
        "The extension “%(name)s” may only be made by a superuser of that PostgreSQL, and no "
        "dump is loaded by one. If you trust it, let the owners of databases make it: "
        "“trusted = true” in its .control file on that server. %(note)s",
        name=name,
        note=NOT_THE_ARCHIVE,
    )


def role_missing(name):
    return _(
        "The dump grants rights to a role “%(name)s”. Create it on that PostgreSQL, without "
        'login: CREATE ROLE "%(name)s". %(note)s',
        name=name,
        note=NOT_THE_ARCHIVE,
    )


def locale_missing(name):
    return _(
        "The dump sorts by the collation or locale “%(name)s”. Install it where that PostgreSQL "
        "runs (Debian: locale-gen), restart PostgreSQL, and import its collations as a superuser: "
        "SELECT pg_import_system_collations('pg_catalog'). %(note)s",
        name=name,
        note=NOT_THE_ARCHIVE,
    )


def files_missing(name):
    return _(
        "The dump uses “%(name)s”, which is not installed on that PostgreSQL: a dictionary, a "
        "language or a library that the server of the backup has. Install the same there. "
        "%(note)s",
        name=name,
        note=NOT_THE_ARCHIVE,
    )


def unaccent_not_immutable(_name):
    return _(
        "The database has an index that calls unaccent(), which Odoo makes IMMUTABLE as a "
        "superuser; no dump holds that, and the role of this restore may not do it. Have restore "
        "drills run in a PostgreSQL of their own (leave the server empty in Settings → Backups → "
        "Restore Drills, and install the package postgresql), or run them by a superuser. "
        "%(note)s",
        note=NOT_THE_ARCHIVE,
    )


def not_permitted(_name):
    return _(
        "The role that runs the dump may not do this on that PostgreSQL; the role of the backup's "
        "server could. Restore it by hand as a superuser if you trust where it comes from "
        "(docs/recovery.md). %(note)s",
        note=NOT_THE_ARCHIVE,
    )


def not_supported(_name):
    return _(
        "That PostgreSQL was built without it, or is of another version. Use one like that of "
        "the backup's server. %(note)s",
        note=NOT_THE_ARCHIVE,
    )


def empty_search_path(name):
    if not name:
        return _(
            "A dump is restored with an empty search_path, on any server, and a function names "
            "what it uses without its schema. On the server that is backed up, set the search_path "
            "of that function (ALTER FUNCTION … SET search_path = public), and then make another "
            "backup."
        )
    return _(
        "A dump is restored with an empty search_path, on any server, and “%(name)s” names what "
        "it uses without its schema. On the server that is backed up run: ALTER FUNCTION "
        "%(name)s SET search_path = public, and then make another backup.",
        name=name,
    )


def constraint_of_others(_name):
    return _(
        "A dump is restored table by table, on any server: a check constraint whose function looks "
        "at rows of other tables does not hold meanwhile. Make it a trigger, or NOT VALID, on the "
        "server that is backed up, and then make another backup."
    )


def the_server_s_own(_name):
    return None


class Cause:
    """A line of the table.

    :param states: SQLSTATEs, or their first characters; empty for what programs say by themselves
    :param kind: the kind of error
    :param hint: a function that makes the hint of the name in the message
    :param text: a pattern that the primary message has, whose group ``name`` is that name
    :param statement: a pattern that the refused statement has; a statement that is not known has it
    :param in_code: whether it is about what a function of the dump does
    :param places: the functions of PostgreSQL's source that say so, for a server whose messages are
        not in English
    """

    def __init__(self, states, kind, hint, text="", statement=None, in_code=False, places=()):  # noqa: PLR0913
        self.states, self.kind, self.hint = states, kind, hint
        self._text, self._statement, self.in_code = re.compile(text), statement, in_code
        self._places = places

    def match(self, failure):
        """Return the match of the message where this is the cause, else None."""
        if not self._is_of_states(failure.sqlstate) or failure.is_of_code != self.in_code:
            return None
        if self._statement and failure.statement and not self._statement.search(
            failure.statement.head
        ):  # fmt: skip
            return None
        if failure.place in self._places:
            return FIRST_QUOTED.match(failure.text)
        return self._text.search(failure.text)

    def _is_of_states(self, sqlstate):
        if not sqlstate or not self.states:
            return not sqlstate and not self.states
        return sqlstate.startswith(self.states)


FULL = r"No space left on device|could not extend file"
CONNECTION = (
    r"server closed the connection|connection to server|could not connect|terminating connection|"
    r"SSL |could not translate host name|timeout expired|no password supplied|"
    r"too many clients|could not (?:receive|send) data"
)
# Each of the first that matches; what none matches is the archive's.
CAUSES = (
    Cause(("53100",), NoSpace, lambda _name: FULL_HINT),
    Cause(("53", "58", "XX"), NoSpace, lambda _name: FULL_HINT, FULL),
    Cause((), NoSpace, lambda _name: FULL_HINT, FULL),
    # The extension is not there.
    Cause(
        ("0A", "58", "42704"), DatabaseServerFailed, extension_missing,
        r"extension/(?P<name>[\w-]+)\.control",
    ),
    Cause(
        ("0A", "58", "42704"), DatabaseServerFailed, extension_missing,
        rf"extension {NAME} is not available|extension {NAME.replace('name', 'name2')} does not ",
    ),
    Cause(
        ("0A", "58", "42883"), DatabaseServerFailed, extension_missing,
        r"\$libdir/(?P<name>[\w-]+)",
    ),
    # The role may not.
    Cause(
        ("42501",), DatabaseServerFailed, extension_of_superusers,
        rf"permission denied to create extension {NAME}",
    ),
    Cause(
        ("42501",), DatabaseServerFailed, extension_of_superusers,
        rf"must be owner of extension {NAME}",
    ),
    Cause(
        ("42704",), DatabaseServerFailed, role_missing, r"role \"(?P<name>[^\"]+)\" does not",
        places=("get_role_oid", "get_role_tuple", "get_rolespec_tuple"),
    ),
    Cause(("42501",), DatabaseServerFailed, not_permitted, statement=OF_A_DUMP),
    # What the operating system or another package brings.
    Cause(
        ("42704", "22023", "42809", "58"), DatabaseServerFailed, locale_missing,
        rf"(?:collation|could not create locale|could not open collator for locale) {NAME}",
        places=("get_collation_oid", "report_newlocale_failure", "make_icu_collator"),
    ),
    Cause(
        ("42704",), DatabaseServerFailed, files_missing,
        r"\A(?:text search (?:dictionary|template|parser)|language|access method|tablespace) "
        rf"{NAME}",
        places=(
            "get_ts_dict_oid", "get_ts_template_oid", "get_ts_parser_oid", "get_language_oid",
            "CreateFunction", "get_am_type_oid", "DefineIndex", "DefineOpClass",
            "get_tablespace_oid",
        ),
    ),
    Cause(("22023", "42704"), DatabaseServerFailed, files_missing,
          rf"invalid value for parameter \"default_table(?:space|_access_method)\": {NAME}"),
    Cause(("F0",), DatabaseServerFailed, files_missing,
          r"\A(?:[^\"]*\"(?P<name>[^\"]+)\")?"),
    Cause(
        ("42P17",), DatabaseServerFailed, unaccent_not_immutable, r"IMMUTABLE", UNACCENT
    ),
    Cause(("0A",), DatabaseServerFailed, not_supported),
    # Limits, locks, stops and defects of the server.
    Cause(("08", "28", "40", "53", "54", "55", "57", "58", "XX"), DatabaseServerFailed,
          the_server_s_own),
    Cause(("53", "57", "58", "XX"), DatabaseServerFailed, the_server_s_own, in_code=True),
    Cause((), DatabaseServerFailed, the_server_s_own, CONNECTION),
    # Killed, or without memory.
    Cause((), DatabaseServerFailed, the_server_s_own, r"out of memory|ended with code -\d+"),
    Cause(
        ("42704",), DatabaseServerFailed, not_supported, r"configuration parameter",
        places=("find_option", "set_config_option", "set_config_with_handle"),
    ),
    # The archive's own, and no other server can help.
    Cause(("23514",), RestoreFailed, constraint_of_others),
    Cause(
        ("42883", "42P01", "42704", "42703", "3F000"), RestoreFailed, empty_search_path,
        in_code=True,
    ),
)  # fmt: skip


FOR_ANY_OBJECT = (files_missing, not_permitted, not_supported, the_server_s_own, empty_search_path)


def error_of(failure, otherwise=RestoreFailed, hint=None):
    """Return the error that a :class:`.failures.Failure` means.

    :param otherwise: the kind where the table has no cause: that of the archive
    :param hint: of that kind; a given hint is more specific than that of the table
    """
    cause, name = cause_of(failure)
    if cause is None or (hint and cause.hint in FOR_ANY_OBJECT):
        error = otherwise(failure.message(), hint)
    else:
        error = cause.kind(failure.message(), cause.hint(name))
    error.failure = failure
    return error


def cause_of(failure):
    """Return the :class:`Cause` of a failure and the name it is about; None and no name else."""
    # Raised by the dump's own code, its text and its SQLSTATE are what that made of them.
    for cause in () if failure.is_raised else CAUSES:
        if found := cause.match(failure):
            names = [name for name in found.groupdict().values() if name]
            return cause, "".join(names[:1]) or failure.names.get("function", "")
    return None, ""
