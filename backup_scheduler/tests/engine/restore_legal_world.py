"""Archives of legal databases that few have, beside a real PostgreSQL; fixtures for their tests."""

import pytest
import restore_world as world
from engine.control import Control
from engine.restore.scratch import drill

REPORT = {"level": 1, "notes": []}


@pytest.fixture(scope="module")
def cluster():
    with world.postgresql("engine-causes") as cluster:
        cluster.psql("DROP ROLE IF EXISTS bi")
        yield cluster


@pytest.fixture
def make(cluster, tmp_path):
    """Return a function that makes a database of SQL, and its archive of a format."""

    def make(archive_format, more="", by_superuser=""):
        world.make(cluster, "legal", more)
        if by_superuser:
            cluster.psql(by_superuser, "legal")
        path = tmp_path / f"archive.{archive_format}"
        if archive_format == "dump":
            return world.custom(path, cluster, "legal")
        return world.zipped(path, world.dump_sql(cluster, "legal"))

    yield make
    cluster.drop("legal")


@pytest.fixture(params=["zip", "dump"])
def archive_format(request):
    return request.param


def drilled(path, archive_format, cluster, by="odoo", isolation=None):
    return drill(path, archive_format, REPORT, cluster.dsn(by), Control(), "run-1", isolation)
