"""A kind of destination that another addon adds: installed, used, uninstalled, installed again."""

import json

import pytest
from devenv.paths import ROOT
from devenv.seed import Seed
from devenv.stack import addon_dependencies
from world import World, good

EXAMPLE = "backup_destination_example"


@pytest.fixture
def extended(server, remote):
    """A backup server with the example addon installed, as :class:`World` sees it."""
    name = "example"
    other = server(name, seed=Seed(modules=addon_dependencies()), modules=[EXAMPLE],
                   with_addon=True, addons=[ROOT / "examples"])  # fmt: skip
    world = World(other, remote, name)
    yield world
    world.end()


def module(world, method):
    ids = world.rpc.call("ir.module.module", "search", [["name", "=", EXAMPLE]])
    world.rpc.call("ir.module.module", method, ids)


def kinds(world):
    described = world.call("destination", "fields_get", ["kind"])
    return dict(described["kind"]["selection"])


def destination(world, record):
    return world.call("destination", "read", [record])[0]


def test_the_example_stays_an_example():
    files = (ROOT / "examples" / EXAMPLE).rglob("*.py")
    assert sum(len(file.read_text().splitlines()) for file in files) < 60


def test_an_addon_adds_a_kind_of_destination_and_takes_it_away_again(extended, tmp_path):
    world, disk = extended, tmp_path / "disk"
    values = {"name": "Disks", "kind": "monthly", "monthly_path": str(disk)}
    (place,) = world.call("destination", "create", [values])
    assert kinds(world)["monthly"] == "Folder of each month"

    # Used: by the form, by an engine process, and in Odoo's own threads.
    assert world.call("destination", "check", [place])["ok"]
    marker = destination(world, place)["folder_marker"]
    assert (disk / ".backup_scheduler").read_text() == marker
    run = good(world.back_up(destination_ids=[[6, 0, [place]]]))
    (copy,) = world.copies(run["id"])
    archive = disk / copy["path"].rpartition("/")[2][:7] / copy["path"]
    assert archive.stat().st_size == run["size"]
    assert json.loads((disk / f"{archive}.json").read_text())["sha256"] == run["sha256"]
    world.call("run", "verify", [run["id"]])
    world.wait_until(lambda: world.run(run["id"])["verified_at"] > run["verified_at"], 60, "read")
    assert world.call("destination", "import_archives", [place])["known"] == 1
    world.configure(backup_executor="inline")
    good(world.back_up(destination_ids=[[6, 0, [place]]], timeout=120))
    world.configure(backup_executor="process")

    # Taken away: it says so, and is in nobody's way.
    module(world, "button_immediate_uninstall")
    assert kinds(world)["monthly"] == "monthly (not available)"
    gone = destination(world, place)
    assert gone["name"] == "Disks"
    assert "kind “monthly” is not available" in gone["kind_error"]
    assert "monthly_path" not in gone
    assert world.call("destination", "check", [place])["error_code"] == "kind_missing"
    (own,) = world.call("destination", "search", [["kind", "=", "local"]])
    run = good(world.back_up(destination_ids=[[6, 0, [place, own]]]))
    found = {copy["destination_id"][0]: copy for copy in world.copies(run["id"])}
    assert found[own]["status"] == "stored"
    assert "is not available" in found[place]["error"]
    lost = world.back_up(destination_ids=[[6, 0, [place]]])
    assert (lost["status"], lost["error_code"]) == ("failed", "kind_missing")

    # And back: the archives are where they were.
    module(world, "button_immediate_install")
    world.call("destination", "write", [place], {"monthly_path": str(disk)})
    assert world.call("destination", "check", [place])["ok"]
    back = destination(world, place)
    assert (back["folder_marker"], back["kind_error"]) == (marker, False)
    assert archive.exists()
