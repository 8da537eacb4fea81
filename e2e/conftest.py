"""The world of the end-to-end tests: real servers, started once, and looked at after each fault."""

import os
import shutil

import pytest
import servers_rclone
import servers_s3
import servers_sftp
from devenv.odoo import OdooServer
from devenv.postgres import Cluster
from devenv.seed import Seed
from devenv.stack import SHOP, addon_dependencies
from recorder import Recorder
from world import BACKUPS, MASTER_PASSWORD, World

# Parts of the tests run beside each other (devenv.runners), each with servers of its own. The part
# comes first: what a test names by itself begins with "e2e-".
E2E = "-".join(filter(None, (os.environ.get("E2E_PART"), "e2e")))
ROLE = E2E.replace("-", "_")


@pytest.fixture(scope="session")
def cluster():
    cluster = Cluster(E2E).start()
    yield cluster
    cluster.stop()


def fresh(cluster, server, database, seed):
    """Give the server a new database, with nothing left of an earlier session."""
    cluster.ensure_role(server.role)
    cluster.drop(database)
    for folder in ("backup_scheduler", "filestore"):
        # Databases that an earlier session restored had files too.
        shutil.rmtree(server.data_dir / folder, ignore_errors=True)
    seed.create(server, database)


@pytest.fixture(scope="session")
def remote(cluster):
    """A production server: prefork, with a master password of its own and 60 MB of attachments."""
    server = OdooServer(
        f"{E2E}-remote", cluster, role=f"{ROLE}_remote", workers=2, master_password=MASTER_PASSWORD
    )
    fresh(cluster, server, "shop", SHOP)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def backup_server(cluster):
    """The server with the addon, as a user installs it."""
    server = OdooServer(f"{E2E}-backup", cluster, role=f"{ROLE}_backup", with_addon=True,
                        master_password=MASTER_PASSWORD)
    fresh(cluster, server, BACKUPS, Seed(modules=addon_dependencies()))
    server.install(BACKUPS, "backup_scheduler")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def world(backup_server, remote):
    """The backup server as a script sees it; every test ends with nothing left over."""
    world = World(backup_server, remote)
    yield world
    world.end()


@pytest.fixture
def server(cluster):
    """Make other servers for one test: ``server(name, **options)``, started, with a database of
    that name that has the content of ``seed`` and ``modules`` installed."""
    servers = []

    def make(name, *, seed=SHOP, modules=(), **options):
        role = f"{ROLE}_{name.replace('-', '_')}"
        other = OdooServer(f"{E2E}-{name}", cluster, role=role, **options)
        servers.append(other)
        fresh(cluster, other, name, seed)
        if modules:
            other.install(name, *modules)
        return other.start()

    yield make
    for other in servers:
        other.stop()


@pytest.fixture
def outage():
    """A remote whose PostgreSQL is its own, and can be stopped."""
    cluster = Cluster(f"{E2E}-outage").start()
    remote = OdooServer(
        f"{E2E}-outage", cluster, role="outage", master_password=MASTER_PASSWORD, workers=2
    )
    cluster.ensure_role(remote.role)
    cluster.drop("outage")
    SHOP.create(remote, "outage")
    remote.start()
    yield remote
    remote.stop()
    cluster.stop()


@pytest.fixture
def recorder():
    with Recorder() as server:
        yield server


@pytest.fixture(scope="module")
def s3():
    with servers_s3.S3Server() as server:
        server.make_bucket()
        yield server


@pytest.fixture(scope="module")
def sftp(tmp_path_factory):
    with servers_sftp.sftp_server(str(tmp_path_factory.mktemp("sftp") / "server")) as server:
        yield server


@pytest.fixture(scope="module")
def webdav(tmp_path_factory):
    with servers_rclone.webdav(str(tmp_path_factory.mktemp("webdav"))) as server:
        yield server
