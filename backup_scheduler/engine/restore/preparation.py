"""What Odoo does to a new database before it restores a dump into it, done to ours.

``odoo.service.db._create_empty_database`` creates the extensions ``pg_trgm`` and ``unaccent``, and
makes ``unaccent(text)`` immutable, so that an index may call it. No dump holds the latter.

Nothing of the dump is in the database yet: what a superuser does here runs no SQL of it.
"""

import contextlib

from ..errors import DatabaseServerFailed
from .server import sql

PUBLIC = b"public"
UNACCENT = b"unaccent"
IMMUTABLE = "ALTER FUNCTION public.unaccent(text) IMMUTABLE"
CREATE = "CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA public"
# Extensions that only a superuser may create, and that give the role of a dump no way out of its
# database: no connection, no file and no program.
HARMLESS = (
    b"amcheck", b"pg_buffercache", b"pg_freespacemap", b"pg_prewarm", b"pg_stat_statements",
    b"pg_visibility", b"pgrowlocks", b"pgstattuple", b"vector",
)  # fmt: skip
IS_SUPERUSER = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
# What is not trusted is a superuser's to create.
IS_TRUSTED = (
    "SELECT bool_or(trusted) FROM pg_catalog.pg_available_extension_versions WHERE name = %s"
)


def prepare(scratch, extensions):
    """Create those of a dump's extensions that its role cannot make as Odoo's role does.

    :param scratch: a :class:`.scratch.Scratch`, empty
    :param extensions: ``(name, schema)`` of those that the dump creates, as they stand in it

    What cannot be had here is left to the dump: its own statement is refused then, with a reason.
    """
    wanted = {name.strip(b'"') for name, schema in extensions if schema.strip(b'"') == PUBLIC}
    is_superuser = scratch.session.value(IS_SUPERUSER)
    if UNACCENT in wanted:
        make_unaccent(scratch, is_superuser)
    if is_superuser:
        make_harmless(scratch, sorted(wanted.intersection(HARMLESS)))


def make_unaccent(scratch, is_superuser):
    """Create ``unaccent`` as the role that owns the database, and make its function immutable."""
    with contextlib.suppress(DatabaseServerFailed), scratch.inside() as own:
        own.rows(sql.SQL(CREATE).format(sql.Identifier(UNACCENT.decode())))
        if not is_superuser and scratch.owner.name is None:
            own.rows(IMMUTABLE)
    # Its one connection is for the dump.
    scratch.owner.renew(scratch.session, scratch.name)
    if is_superuser:
        with contextlib.suppress(DatabaseServerFailed), administered(scratch) as session:
            session.rows(IMMUTABLE)


def make_harmless(scratch, names):
    for name in names:
        if scratch.session.value(IS_TRUSTED, name.decode()) is not False:
            continue
        with contextlib.suppress(DatabaseServerFailed), administered(scratch) as session:
            session.rows(sql.SQL(CREATE).format(sql.Identifier(name.decode())))


def administered(scratch):
    """Return the context of a session of the database by the role that Odoo has."""
    return scratch.server.session(scratch.name, options="-c search_path=pg_catalog")
