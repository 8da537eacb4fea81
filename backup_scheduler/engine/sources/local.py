"""This very server: the databases of the Odoo that makes the backups, without its database manager.

pg_dump and the filestore are read by the engine itself, so there is no password, no time limit and
no ``list_db``. What it makes is Odoo's own zip, or pg_dump's custom dump.
"""

import contextlib
import os
import time

from ..archive.manifest import make_manifest
from ..archive.writer import Writer
from ..errors import FilestoreUnreadable
from ..messages import _
from ..restore.server import DatabaseServer
from .base import Fetched, Server, Source
from .filestore import Filestore
from .pg_dump import dumped, program_for
from .snapshot import OPTIONS, Snapshot

# As odoo.service.db.list_dbs asks.
DATABASES = """
    SELECT datname FROM pg_catalog.pg_database
     WHERE datdba = (SELECT usesysid FROM pg_catalog.pg_user WHERE usename = current_user)
       AND NOT datistemplate AND datallowconn AND datname <> ALL(%s)
     ORDER BY datname
"""
MAINTENANCE = "postgres"


class LocalSource(Source):
    """What it works with is Odoo's own, and comes with the order:

    :param server: how Odoo reaches its PostgreSQL, a dict of libpq's keywords
    :param filestores: the folder with the filestore of each database
    :param release: ``version``, ``version_info`` and ``major_version`` of Odoo
    :param template: the database that Odoo makes others from
    :param names: the only databases that this Odoo serves; empty for all of its role
    :param programs: a folder to look for pg_dump in, beside the usual ones
    """

    LABEL = "This server"
    DUMP_FIRST = True

    def __init__(  # noqa: PLR0913
        self, server, filestores, release, control, template="template0", names=(), programs=""
    ):
        self._server = DatabaseServer(server)
        self._filestores = filestores
        self._release = release
        self._control = control
        self._template = template
        self._names = tuple(names)
        self._programs = programs

    def probe(self):
        with self._server.session(MAINTENANCE, self._control) as session:
            program_for(session.version, self._programs)
            found = session.rows(DATABASES, [MAINTENANCE, self._template])
        names = [name for (name,) in found if not self._names or name in self._names]
        return Server(version=self._release["version"], databases=tuple(names))

    @classmethod
    def name_of(cls, settings):
        return cls.LABEL

    def fetch(self, database, archive_format, include_filestore, write):
        notes = []
        with self._server.session(database, self._control, OPTIONS) as session:
            began = time.time()
            snapshot = Snapshot(session, database)
            program = program_for(session.version, self._programs)
            dump = dumped(
                self._server, program, database, archive_format, snapshot.name, self._control,
                lambda words: notes.append(_("pg_dump: %(words)s", words=words)),
            )  # fmt: skip
            with contextlib.closing(dump):
                if archive_format == "dump":
                    consume(dump, self._metered(write))
                    return Fetched(notes=notes)
                writer = Writer(self._metered(write))
                writer.dump(dump)
            modules = snapshot.modules()
            writer.manifest(make_manifest(database, session.version, modules, self._release))
            gone, hashed = (), False
            if include_filestore:
                folder = self._filestore_of(database)
                files = Filestore(folder, writer, snapshot.listed(), began, self._control.check)
                gone = self._copied(files, snapshot)
                hashed = not files.damaged.count
                notes += files.notes()
            writer.close()
        return Fetched(gone, hashed, notes)

    def _filestore_of(self, database):
        """Return the folder of a database's files, as odoo.tools.config.filestore does."""
        folder = os.path.normpath(os.path.join(self._filestores, database))
        if not folder.startswith(os.path.join(os.path.normpath(self._filestores), "")):
            raise FilestoreUnreadable(
                _(
                    "The filestore of %(database)r would be outside %(folder)s.",
                    database=database,
                    folder=self._filestores,
                ),
                hint=_("Rename the database."),
            )
        return folder

    @staticmethod
    def _copied(files, snapshot):
        """Write the files; return the names of those that were deleted since the dump."""
        files.copy()
        snapshot.end()
        return files.gone(snapshot.still_listed)

    def _metered(self, write):
        """Return ``write``, which reports progress."""
        received = 0

        def metered(block):
            nonlocal received
            write(block)
            received += len(block)
            self._control.progress(received)

        return metered


def consume(blocks, write):
    for block in blocks:
        write(block)
