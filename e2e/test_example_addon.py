"""Kinds that other addons add: installed, used, uninstalled, installed again."""

import json
import shutil
import textwrap
import xmlrpc.client

import pytest
from devenv.paths import ROOT
from devenv.seed import Seed
from devenv.stack import addon_dependencies
from world import SOON, World, good

EXAMPLE = "backup_destination_example"
SOURCE = "backup_source_dropped"
APIKEY = "hush-hush-hush"
FILES = {
    "__manifest__.py": """
        {"name": "Dropped", "version": "19.0.1.0.0", "license": "LGPL-3", "author": "x",
         "depends": ["backup_scheduler"]}
    """,
    "__init__.py": f"""
        from odoo.addons.backup_scheduler.kinds import register_source

        register_source("dropped", "odoo.addons.{SOURCE}.dropped:Dropped")
    """,
    "dropped.py": """
        import pathlib

        from backup_engine.errors import RemoteError
        from backup_engine.kinds import Setting
        from backup_engine.sources.base import Server, Source


        class Dropped(Source):
            LABEL = "Folder in which archives are dropped"
            SETTINGS = (
                Setting("folder", "Folder", required=True, server=True),
                Setting("apikey", "Key", secret=True),
            )

            def __init__(self, folder, control, apikey=""):
                self._folder, self._apikey = pathlib.Path(folder), apikey

            def probe(self):
                if not self._apikey:
                    raise RemoteError("No key.")
                if not self._folder.is_dir():
                    raise RemoteError(f"The key {self._apikey} opens no folder {self._folder}.")
                names = sorted(file.stem for file in self._folder.glob("*.zip"))
                return Server("19.0", tuple(names))

            def fetch(self, database, archive_format, include_filestore, write):
                write((self._folder / f"{database}.zip").read_bytes())

            @classmethod
            def name_of(cls, settings):
                return "Dropped archives"
    """,
}


@pytest.fixture
def extended(server, remote, tmp_path):
    """A backup server with the addons installed, as :class:`World` sees it."""
    name, addons = "example", tmp_path / "addons"
    (addons / SOURCE).mkdir(parents=True)
    for file, text in FILES.items():
        (addons / SOURCE / file).write_text(textwrap.dedent(text))
    other = server(name, seed=Seed(modules=addon_dependencies()), modules=[EXAMPLE, SOURCE],
                   with_addon=True, addons=[ROOT / "examples", addons])  # fmt: skip
    world = World(other, remote, name)
    yield world
    world.end()


def module(world, method, name=EXAMPLE):
    """Install or uninstall an addon, once Odoo lets us: not while a scheduled action runs."""
    ids = world.rpc.call("ir.module.module", "search", [["name", "=", name]])

    def done():
        try:
            world.rpc.call("ir.module.module", method, ids)
        except xmlrpc.client.Fault as refused:
            if "scheduled action" not in refused.faultString:
                raise
            return False
        return True

    world.wait_until(done, SOON, f"{method} of {name}")


def kinds(world, model="destination", field="kind"):
    return dict(world.call(model, "fields_get", [field])[field]["selection"])


def destination(world, record):
    return world.call("destination", "read", [record])[0]


def columns(world, cluster):
    """Return the columns that the kind of source has, as ``table.column``."""
    query = """
        SELECT table_name || '.' || column_name FROM information_schema.columns
         WHERE column_name LIKE 'dropped%'
    """
    return set(cluster.psql(query, world.database).split())


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


def test_an_addon_adds_a_kind_of_source_and_takes_it_away_again(extended, cluster, tmp_path):
    world, folder = extended, tmp_path / "dropped"
    first = good(world.back_up())
    folder.mkdir()
    shutil.copy(world.archive(first["id"]), folder / "shop.zip")
    assert kinds(world, "instance", "connection")["dropped"].startswith("Folder in which")

    # Set up by the wizard, which shows the settings of the kind.
    values = {"connection": "dropped", "dropped_folder": str(folder), "dropped_apikey": APIKEY}
    (setup,) = world.call("setup", "create", [values])
    while world.call("setup", "read", [setup], ["step"])[0]["step"] != "summary":
        world.call("setup", "action_next", [setup])
        (answer,) = world.call("setup", "read", [setup], ["error", "hint"])
        assert not answer["error"], answer
    world.call("setup", "action_start", [setup])
    domain = [["connection", "=", "dropped"]]
    (instance,) = world.call("instance", "search_read", domain)
    assert (instance["name"], instance["stored_secrets"]) == ("Dropped archives", "Key")
    assert (instance["dropped_apikey"], instance["has_dropped_apikey"]) == (False, True)
    world.adopt(instance["job_ids"])
    (run,) = instance["run_ids"]
    assert good(world.wait_for(run))["sha256"] == first["sha256"]

    # What is secret is in no message, and is forgotten with the server that it was for.
    shutil.rmtree(folder)
    world.call("job", "write", instance["job_ids"], {"max_attempts": 1})
    (again,) = world.call("job", "run_now", instance["job_ids"])
    failed = world.wait_for(again)
    assert "The key ******** opens no folder" in failed["error"]
    assert APIKEY not in world.server.log.read_text() + str(failed)
    world.call("instance", "write", [instance["id"]], {"dropped_folder": "/elsewhere"})
    assert not world.call("instance", "read", [instance["id"]])[0]["has_dropped_apikey"]

    # Taken away, with the columns of the instance and of the wizard.
    tables = ("backup_instance", "backup_setup")
    names = ("dropped_folder", "dropped_apikey_sealed")
    assert columns(world, cluster) == {f"{table}.{name}" for table in tables for name in names}
    module(world, "button_immediate_uninstall", SOURCE)
    assert columns(world, cluster) == set()
    (gone,) = world.call("instance", "search_read", domain)
    assert "kind “dropped” is not available" in gone["kind_error"]
    check = world.call("instance", "test_connection", [instance["id"]])
    assert check["error_code"] == "kind_missing"
    (missing,) = world.call("job", "run_now", instance["job_ids"])
    assert world.wait_for(missing)["error_code"] == "kind_missing"
