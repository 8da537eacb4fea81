"""The worst day: the remote and the backup server are gone. What is left is the destination."""

import shutil

import pytest
from devenv import processes
from devenv.odoo import OdooServer
from devenv.seed import Seed
from devenv.stack import SHOP, addon_dependencies
from web import Web
from world import MASTER_PASSWORD, World

from conftest import fresh

CUSTOMER = "Customer of the day before"
BACKUPS, SHOP_DATABASE = "dr-backups", "dr-shop"


@pytest.fixture
def servers(cluster):
    """Make servers that are stopped at the end, whatever became of them."""
    made = []

    def make(name, **options):
        server = OdooServer(
            name, cluster, role=name.replace("-", "_"), master_password=MASTER_PASSWORD, **options
        )
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)
    for database in (BACKUPS, SHOP_DATABASE, "books"):
        cluster.drop(database)


def backup_server(cluster, servers, name):
    """Install the addon anew, as after the loss of the server."""
    server = servers(name, with_addon=True)
    fresh(cluster, server, BACKUPS, Seed(modules=addon_dependencies()))
    server.install(BACKUPS, "backup_scheduler")
    return server.start()


def destroy(cluster, server, database):
    """Nothing of the server is left: no process, no database, no file."""
    server.stop()
    processes.end_marked(server.mark)
    cluster.drop(database)
    shutil.rmtree(server.folder)


def test_a_company_comes_back_from_the_destination_alone(cluster, servers, tmp_path):
    bucket = tmp_path / "bucket"

    # The day before.
    remote = servers("dr-remote", workers=2)
    fresh(cluster, remote, SHOP_DATABASE, SHOP)
    remote.start()
    customer = remote.rpc(SHOP_DATABASE).call("res.partner", "create", [{"name": CUSTOMER}])
    paper = remote.rpc(SHOP_DATABASE).call(
        "ir.attachment", "create",
        [{"name": "contract.txt", "raw": "signed", "res_model": "res.partner",
          "res_id": customer[0]}],
    )  # fmt: skip
    assert paper
    world = World(backup_server(cluster, servers, "dr-backup"), remote, BACKUPS)
    (destination,) = world.call("destination", "create", [{"name": "B", "path": str(bucket)}])
    run = world.back_up(destination_ids=[[6, 0, [destination]]])
    assert (run["status"], run["verification_level"]) == ("verified", "3"), run["log"]

    # The worst day.
    destroy(cluster, world.server, BACKUPS)
    destroy(cluster, remote, SHOP_DATABASE)
    assert [path.suffix for path in sorted(bucket.rglob("*.*"))] == [".zip", ".json"]

    # The way back.
    remote = servers("dr-remote", workers=2)
    cluster.ensure_role(remote.role)
    remote.start()
    world = World(backup_server(cluster, servers, "dr-backup"), remote, BACKUPS)
    (destination,) = world.call("destination", "create", [{"name": "B", "path": str(bucket)}])
    found = world.call("destination", "import_archives", [destination])
    # The secret key is lost too: nothing proves that the archive is of the server that is gone.
    wanted = {"imported": 0, "known": 0, "unreadable": 0, "unsigned": 1, "complete": True}
    assert found == wanted
    found = world.call("destination", "import_archives", [destination], True)
    assert found == {**wanted, "imported": 1, "unsigned": 0}
    (known,) = world.call("run", "search_read", [["stored_copies", ">", 0]])
    assert (known["sha256"], known["database_name"]) == (run["sha256"], SHOP_DATABASE)
    instance = known["instance_id"][0]
    values = {"url": remote.url, "master_password": MASTER_PASSWORD}
    world.call("instance", "write", [instance], values)
    restore = world.call("run", "restore", [known["id"]], "books", instance, None, False)

    def restored():
        (record,) = world.rpc.call("backup.restore", "read", [restore])
        return record if record["status"] in ("done", "failed", "cancelled") else None

    done = world.wait_until(restored, 180, "the restore came to an end")
    assert done["status"] == "done", (done["error"], done["hint"])

    # The people are back at work.
    web = Web(remote.url)
    assert web.login("books")["username"] == "admin"
    (partner,) = web.call("res.partner", "search_read", [["name", "=", CUSTOMER]], ["name"])
    (contract,) = web.call(
        "ir.attachment", "search_read", [["name", "=", "contract.txt"]], ["raw", "res_id"]
    )
    assert contract["res_id"] == partner["id"]
    status, _headers, content = web.get(f"/web/content/{contract['id']}")
    assert (status, content) == (200, b"signed")
