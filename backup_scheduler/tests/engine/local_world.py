"""This very server for the tests of its source: a real PostgreSQL, and filestores beside it."""

import contextlib
import hashlib
import os

from devenv.postgres import ROLE, Cluster
from engine.archive.verify import verify
from engine.control import Control
from engine.sources.local import LocalSource

RELEASE = {
    "version": "19.0",
    "version_info": [19, 0, 0, "final", 0, ""],
    "major_version": "19.0",
}
MODULES = {"base": "19.0.1.3", "web": "19.0.1.0", "mail": "19.0.1.19"}
FILES = (b"an invoice", b"a contract" * 500, bytes(range(256)) * 300, b"")
SQL = """
    CREATE TABLE ir_attachment (
        id serial PRIMARY KEY, store_fname text,
        create_date timestamp DEFAULT now(), write_date timestamp DEFAULT now());
    CREATE TABLE res_users (id serial PRIMARY KEY, login text);
    CREATE TABLE ir_module_module (
        id serial PRIMARY KEY, name text, state text, latest_version text, write_date timestamp);
    INSERT INTO res_users (login) VALUES ('admin');
    INSERT INTO ir_module_module (name, state, latest_version)
         VALUES ('sale', 'uninstalled', NULL), """

INSERT = "INSERT INTO ir_attachment (store_fname) VALUES "
DELETE = "DELETE FROM ir_attachment WHERE store_fname = "


@contextlib.contextmanager
def postgresql(name="engine-local", **settings):
    """Yield a PostgreSQL with no database but its own."""
    server = Cluster(name, settings=settings).start()
    try:
        yield server
    finally:
        server.stop()


class Machine:
    """A server that an engine on the same machine backs up.

    :param folder: with the filestores, and the archives that are made
    """

    def __init__(self, cluster, folder):
        self.cluster = cluster
        self.folder = folder
        self.filestores = folder / "filestore"

    # --- what an Odoo does there ----------------------------------------------------------------

    def clear(self):
        """Remove all databases."""
        names = self.cluster.psql(
            "SELECT datname FROM pg_database WHERE datname NOT IN "
            "('postgres', 'template0', 'template1')"
        )
        for name in names.splitlines():
            self.cluster.psql(f"ALTER DATABASE {quoted(name)} IS_TEMPLATE false")
            self.cluster.psql(f"DROP DATABASE {quoted(name)} WITH (FORCE)")

    def create(self, database, files=FILES, sql="", options=()):
        """Make a database of Odoo with these attachments."""
        self.cluster.tool("createdb", "-T", "template0", f"--owner={ROLE}", *options, database)
        modules = [f"('{name}', 'installed', '{version}')" for name, version in MODULES.items()]
        self.sql(database, SQL + ", ".join(modules) + ";" + sql)
        self.attach(database, *files)
        return database

    def sql(self, database, sql):
        return self.cluster.psql(sql, f"dbname='{database}'", role=ROLE)

    def attach(self, database, *contents):
        """Store attachments as Odoo does: the file first, and then the row."""
        names = [self.store(database, content) for content in contents]
        self.list(database, *names)
        return names

    def list(self, database, *names):
        """Add a row for each file."""
        if names:
            values = ", ".join(f"('{name}')" for name in names)
            self.sql(database, INSERT + values)

    def store(self, database, content, name=None):
        """Write a file into the filestore; return its name there."""
        name = stored_name(content) if name is None else name
        path = self.path(database, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return name

    def path(self, database, name):
        return os.path.join(self.filestores, database, name)

    def delete(self, database, name):
        """Delete an attachment, and its file as Odoo's garbage collection does."""
        self.sql(database, DELETE + f"'{name}'")
        os.unlink(self.path(database, name))

    def age(self, database, seconds=86_400):
        """Let all files of a database be older than they are."""
        for folder, _folders, names in os.walk(self.filestores / database):
            for name in names:
                path = os.path.join(folder, name)
                moment = os.stat(path).st_mtime - seconds
                os.utime(path, (moment, moment))

    # --- and the source -------------------------------------------------------------------------

    def settings(self, **settings):
        return {
            "server": self.cluster.dsn(),
            "filestores": str(self.filestores),
            "release": RELEASE,
            **settings,
        }

    def source(self, control=None, **settings):
        return LocalSource(control=control or Control(), **self.settings(**settings))

    def order(self, **settings):
        """Return the part of an order that says where the backup comes from."""
        return {"connection": "local", "secrets": [], **self.settings(**settings)}

    def back_up(self, database, archive_format="zip", filestore=True, source=None):
        """Make an archive; return its path, and what the source knows of it."""
        path = self.folder / f"archive.{archive_format}"
        with open(path, "wb") as file:
            found = (source or self.source()).fetch(
                database, archive_format, filestore, file.write
            )
        return str(path), found

    def verified(self, database, filestore=True, archive_format="zip", source=None):
        """Make an archive; return the report of its verification to level 3, and its path."""
        path, found = self.back_up(database, archive_format, filestore, source)
        report = verify(
            path, archive_format, 3, database=database if archive_format == "zip" else None,
            filestore=filestore, gone=found.gone,
        )  # fmt: skip
        return report, path

    def clients(self):
        """Return how many sessions are there beside the one that asks."""
        sql = (
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
            "AND pid <> pg_backend_pid()"
        )
        return int(self.cluster.psql(sql))


def quoted(name):
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def stored_name(content):
    name = hashlib.sha1(content).hexdigest()  # noqa: S324 - as Odoo names them
    return f"{name[:2]}/{name}"
