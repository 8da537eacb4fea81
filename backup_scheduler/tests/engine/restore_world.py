"""A real PostgreSQL, and small archives of real dumps, for the tests of restoring."""

import contextlib
import hashlib
import json
import re
import subprocess
import zipfile

import pytest
from devenv.postgres import Cluster, binaries
from engine.control import Control
from engine.restore.scratch import drill
from waiting import beside, joined, until

MODULES = {"base": "19.0.1.3", "web": "19.0.1.0", "mail": "19.0.1.19"}
FILES = [b"an invoice", b"a contract" * 500, bytes(range(256)) * 300, b""]
OWN_LOCK = re.compile(rb"^\\(un)?restrict .*\n", re.MULTILINE)
ATTACHMENTS, USERS, TABLES = 40, 7, 6
SOURCE = """
    CREATE EXTENSION pg_trgm;
    CREATE TABLE ir_attachment (id serial PRIMARY KEY, name text, store_fname text, db_datas bytea);
    CREATE TABLE res_users (id serial PRIMARY KEY, login text UNIQUE);
    CREATE TABLE ir_module_module (id serial PRIMARY KEY, name text, state text, version text);
    CREATE TABLE ir_config_parameter (id serial PRIMARY KEY, key text UNIQUE, value text);
    CREATE TABLE ir_cron (id serial PRIMARY KEY, active boolean, user_id int REFERENCES res_users);
    CREATE TABLE note (id serial PRIMARY KEY, body text);
    CREATE INDEX note_body ON note USING gin (body gin_trgm_ops);
    INSERT INTO res_users (login) SELECT 'user ' || n FROM generate_series(1, %(users)s) n;
    INSERT INTO ir_cron (active, user_id) VALUES (true, 1), (true, 2);
    INSERT INTO ir_config_parameter (key, value) VALUES ('database.uuid', 'the-original');
    INSERT INTO note (body) VALUES (E'\\\\! touch /tmp\\n\\\\unrestrict x\\n\\\\.'), ('%%'), (NULL);
    INSERT INTO ir_attachment (name, db_datas)
        SELECT 'file ' || n, convert_to(repeat(md5(n::text), 500), 'UTF8')
          FROM generate_series(1, %(attachments)s) n;
    INSERT INTO ir_module_module (name, state, version) VALUES %(modules)s,
        ('sale', 'uninstalled', NULL), ('crm', 'to upgrade', '19.0.1.9');
"""
REPORT = {
    "level": 3,
    "tables": TABLES,
    "attachments": ATTACHMENTS,
    "users": USERS,
    "modules": len(MODULES),
    "manifest": {"modules": MODULES},
    "notes": ["so far"],
}


@contextlib.contextmanager
def postgresql(name="engine-restore", **settings):
    """Yield a PostgreSQL with the database ``source``; its role may create databases."""
    server = Cluster(name, settings=settings).start()
    try:
        for database in server.databases():
            server.psql(f'ALTER DATABASE "{database}" IS_TEMPLATE false')
            server.drop(database)
        make(server, "source")
        yield server
    finally:
        server.stop()


def make(server, database, more=""):
    """Make a database as the tests take an Odoo's for."""
    server.drop(database)
    server.tool("createdb", "-T", "template0", database, role="odoo")
    modules = ", ".join(
        f"('{name}', 'installed', '{version}')" for name, version in MODULES.items()
    )
    values = {"users": USERS, "attachments": ATTACHMENTS, "modules": modules}
    server.psql(SOURCE % values + more, database, role="odoo")


def dump_sql(server, database="source"):
    """Return the plain dump of a database, made as Odoo makes it."""
    return server.tool("pg_dump", "--no-owner", database, role="odoo").encode()


def zipped(path, dump, files=FILES, more=None):
    """Write an Odoo zip with this dump and these files; return its path as text."""
    manifest = {"odoo_dump": "1", "db_name": "source", "modules": MODULES}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dump.sql", dump)
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("filestore/checklist/ab/" + "ab" * 20, b"")
        for content in files:
            archive.writestr(f"filestore/{stored_name(content)}", content)
        for name, content in (more or {}).items():
            archive.writestr(name, content)
    return str(path)


def stored_name(content):
    name = hashlib.sha1(content).hexdigest()  # noqa: S324 - as Odoo names them
    return f"{name[:2]}/{name}"


def custom(path, server, database="source"):
    """Write a custom dump, through a pipe as Odoo does; return its path as text."""
    with open(path, "wb") as file:
        file.write(custom_to(server, database, subprocess.PIPE))
    return str(path)


def redirected(path, server, database="source"):
    """Write a custom dump as ``pg_dump -Fc >> file`` does; return its path as text.

    Its table of contents stands behind the data again; with pg_dump 17 also by ``> file``.
    """
    with open(path, "ab") as file:
        custom_to(server, database, file)
    return str(path)


def custom_to(server, database, output):
    """Dump to ``output``; return what came out of it when it is a pipe."""
    command = [binaries() / "pg_dump", "--no-owner", "-Fc", database]
    return subprocess.run(command, env=server.environment(), stdout=output, check=True).stdout


def with_statement(sql, statement):
    """Return the dump with a statement where its data begin."""
    at = sql.index(b"--\n-- Data for Name")
    return sql[:at] + statement.encode() + b"\n\n" + sql[at:]


def scratch_databases(server):
    """Return the names of the scratch databases that are on the server."""
    sql = "SELECT datname FROM pg_database WHERE datname LIKE 'backup%' ORDER BY 1"
    return server.psql(sql).split()


def scratch_roles(server):
    """Return the names of the roles made for attempts that are on the server."""
    return server.psql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'backup%'").split()


def listed_by_odoo(server, role="odoo"):
    """Return the databases that an Odoo of this role serves (service/db.py, list_dbs)."""
    sql = (
        "SELECT datname FROM pg_database WHERE datdba = (SELECT usesysid FROM pg_user "
        "WHERE usename = current_user) AND NOT datistemplate AND datallowconn "
        "AND datname NOT IN ('postgres', 'template0') ORDER BY datname"
    )
    return server.psql(sql, role=role).split()


def await_sleeping(server, process=None):
    """Wait until a dump sleeps in PostgreSQL, fed by a living process."""
    sleeping = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND datname LIKE 'backup%' "
        "AND wait_event = 'PgSleep'"
    )

    def sleeps():
        assert process is None or process.poll() is None
        return server.psql(sleeping) == "1"

    until(sleeps, "no dump has come to its sleep")


# Longer than any test may take: what it holds up is ended, or the test is.
SLEEP = "SELECT pg_sleep(3600);"


@contextlib.contextmanager
def meanwhile(server, act):
    """Run ``act`` beside what is inside, once the dump sleeps."""

    def run():
        await_sleeping(server)
        act()

    thread = beside(run)
    yield
    joined(thread)


def locks(server):
    """Return the number of advisory locks that are held."""
    return int(server.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))


# --- fixtures, for the modules that have a fixture ``cluster`` ------------------------------------


@pytest.fixture(scope="module")
def sql(cluster):
    return dump_sql(cluster)


@pytest.fixture(autouse=True)
def nothing_left(cluster):
    """Whatever was done: no scratch database, no role, no lock."""
    yield
    assert scratch_databases(cluster) == []
    assert scratch_roles(cluster) == []
    # A session that was ended lets go of its locks a moment later.
    until(lambda: locks(cluster) == 0, "a lock is left")


@pytest.fixture
def restored(cluster, tmp_path):
    """Return a function that drills a dump.sql."""

    def restored(dump, report=REPORT, control=None, server=None):
        path = zipped(tmp_path / "archive.zip", dump)
        return drill(path, "zip", report, server or cluster.dsn(), control or Control(), "run-1")

    return restored


class Watched(Control):
    """A Control whose progress is written down, and which may act at the first of it."""

    def __init__(self, act=None, **options):
        self.steps = []
        super().__init__(**options)
        self._act = act

    def progress(self, done, total=0):
        self.steps.append((done, total))
        if self._act:
            act, self._act = self._act, None
            act(self)
        super().progress(done, total)
