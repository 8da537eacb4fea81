"""Archives of hostile dumps, beside a PostgreSQL with other databases; fixtures for their tests."""

import os
import shutil
import tempfile
from pathlib import Path

import psycopg2
import pytest
import restore_world as world
from engine.control import Control
from engine.restore.postgres import restore
from engine.restore.scratch import drill

NAME = "restored"
PASSWORD = "SELECT rolpassword FROM pg_authid WHERE rolname = 'odoo'"
ROLES = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles"
# A comment of which another statement is made: pg_restore runs what stands in its place.
COMMENT = "the comment " + "x" * 900
# Each is refused; {place} is a file that no program may make.
REFUSED = {
    "drop": "DROP DATABASE precious;",
    "rename": "ALTER DATABASE precious RENAME TO stolen;",
    "take": "ALTER DATABASE precious OWNER TO CURRENT_USER;",
    "terminate": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname='precious';",
    "password": "ALTER ROLE odoo PASSWORD 'taken';",
    "become": "SET ROLE odoo;",
    "become anew": "SET SESSION AUTHORIZATION 'odoo';",
    "program": "DO $$ BEGIN EXECUTE $x$COPY (SELECT 1) TO PROGRAM 'touch {place}'$x$; END $$;",
    "read": "DO $$ BEGIN EXECUTE $x$COPY public.note (body) FROM '/etc/passwd'$x$; END $$;",
    "write": "DO $$ BEGIN EXECUTE $x$COPY (SELECT 1) TO '{place}'$x$; END $$;",
    "read file": "SELECT pg_read_file('/etc/passwd');",
    "import": "SELECT lo_import('/etc/passwd');",
    "database": "CREATE DATABASE mine;",
    "copy": "CREATE DATABASE mine TEMPLATE precious;",
    "role": "CREATE ROLE mine;",
    "member": "GRANT odoo TO CURRENT_USER;",
    "settings": "ALTER SYSTEM SET shared_buffers = '1GB';",
    "connect": "CREATE EXTENSION dblink;",
    "foreign": "CREATE EXTENSION postgres_fdw;",
    "language": "CREATE LANGUAGE plperlu;",
}


@pytest.fixture(scope="module")
def cluster():
    with world.postgresql("engine-isolation") as server:
        server.psql("ALTER ROLE odoo PASSWORD 'its own'")
        world.make(server, "precious")
        server.psql(f"COMMENT ON TABLE note IS '{COMMENT}'", "source")
        yield server


@pytest.fixture(autouse=True)
def others(cluster):
    """Whatever was done: everything else is as it was, and a session of it still lives."""
    before = [cluster.psql(query) for query in (PASSWORD, ROLES)]
    databases = cluster.databases()
    session = psycopg2.connect(dbname="precious", **cluster.dsn())
    session.cursor().execute("SELECT 'a secret' FROM pg_sleep(0)")
    yield
    cursor = session.cursor()
    cursor.execute("SELECT count(*) FROM res_users")
    assert cursor.fetchone() == (world.USERS,)
    session.close()
    cluster.drop(NAME)
    assert cluster.databases() == databases
    assert [cluster.psql(query) for query in (PASSWORD, ROLES)] == before


@pytest.fixture
def spool():
    """A folder that whoever PostgreSQL runs as can enter; nothing is left in it."""
    folder = tempfile.mkdtemp(prefix="spool-")
    os.chmod(folder, 0o755)  # noqa: S103 - as root, the server runs as another user
    yield folder
    remains = os.listdir(folder)
    shutil.rmtree(folder)
    assert remains == []


@pytest.fixture(params=["role", "cluster"])
def isolation(request, spool):
    return {"spool": spool} if request.param == "cluster" else {}


@pytest.fixture(params=["zip", "dump"])
def hostile(request, tmp_path, sql, cluster):
    """Return a function that makes an archive whose dump has a statement; it returns its path."""

    def hostile(statement):
        path = tmp_path / f"archive.{request.param}"
        if request.param == "zip":
            return world.zipped(path, world.with_statement(sql, statement)), "zip"
        content = Path(world.custom(path, cluster)).read_bytes()
        harmless = f"COMMENT ON TABLE public.note IS '{COMMENT}';".encode()
        assert content.count(harmless) == 1
        path.write_bytes(content.replace(harmless, statement.encode().ljust(len(harmless))))
        return str(path), "dump"

    return hostile


def drilled(archive, cluster, isolation=None, control=None, by="odoo"):
    path, archive_format = archive
    report = {**world.REPORT, "manifest": {}}
    return drill(
        path, archive_format, report, cluster.dsn(by), control or Control(), "run-1", isolation
    )


def restored(archive, cluster, neutralization=None, by="odoo", **isolation):
    path, archive_format = archive
    target = {
        "server": cluster.dsn(by),
        "database": NAME,
        "filestore": "",
        "neutralization": neutralization,
        "isolation": isolation,
    }
    report = {**world.REPORT, "manifest": {}}
    return restore(path, archive_format, report, target, Control(), "run-1")


@pytest.fixture
def plain(cluster):
    """A role as that of most Odoos: it may create databases."""
    cluster.psql("CREATE ROLE plain LOGIN CREATEDB")
    yield "plain"
    cluster.drop(NAME)
    cluster.psql("DROP ROLE plain")
