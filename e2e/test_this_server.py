"""A server that backs itself up, its database manager switched off: one click, and the way back."""

import subprocess

import pytest
from devenv.browser import Browser
from devenv.seed import Seed
from devenv.stack import addon_dependencies
from web import Web
from world import MASTER_PASSWORD, World, good

DATABASE = "itself"
WELCOME = ".o_backup_welcome button"
START = ".modal button[name=action_start_now]"
STATUS = ".o_form_view .o_field_badge[name=status]"
PROTECTED = ".o_backup_overview .o_backup_state_protected"
SEED = Seed(modules=addon_dependencies(), attachments=20, megabytes=8)


@pytest.fixture
def itself(server, remote):
    """A server as Odoo's deployment guide has it, on which nobody has set up anything."""
    options = {"with_addon": True, "master_password": MASTER_PASSWORD, "list_db": False}
    made = server(DATABASE, seed=SEED, modules=("backup_scheduler",), **options)
    world = World(made, remote, DATABASE)
    yield world
    world.end()


def test_one_click_makes_a_verified_backup_that_odoos_own_database_manager_restores(
    itself, server
):
    (paper,) = itself.rpc.call(
        "ir.attachment", "create", [{"name": "contract.txt", "raw": "signed by hand"}]
    )
    run = back_up_by_one_click(itself)
    assert (run["database_name"], run["verification_level"]) == (DATABASE, "3")
    report = run["verification_report"]
    assert report["filestore_files"] > 20
    assert (report["missing_files"], report["damaged_files"]) == (0, 0)

    other = server(
        "another", seed=Seed(modules=addon_dependencies()), with_addon=True,
        master_password=MASTER_PASSWORD,
    )  # fmt: skip
    assert restore(other, itself.archive(run["id"]), "books") == "303"
    web = Web(other.url)
    assert web.login("books")["username"] == "admin"
    status, _headers, content = web.get(f"/web/content/{paper}")
    assert (status, content) == (200, b"signed by hand")
    (known,) = web.call("backup.run", "search_read", [], ["database_name"])
    assert known["database_name"] == DATABASE, "the catalogue of backups is in the backup"
    other.cluster.drop("books")


def back_up_by_one_click(world):
    """Set up the server in a browser; return the run once it is seen to be verified."""
    with Browser() as browser:
        browser.login(world.server.url, "admin", "admin")
        browser.open(f"{world.server.url}/odoo/backups", WELCOME)
        browser.click(WELCOME)
        browser.click(START)
        browser.wait_for(STATUS)
        browser.wait_until(f"{text_of(STATUS)}.includes('Verified')")
        (run,) = world.call("run", "search_read", [])
        world.adopt([run["job_id"][0]])
        good(run)
        browser.open(f"{world.server.url}/odoo/backups", PROTECTED)
        assert DATABASE in browser.evaluate(text_of(PROTECTED))
        assert browser.console == []
    return run


def restore(server, archive, name):
    """Restore an archive as the page /web/database/manager does; return the answer's status."""
    form = {"master_pwd": MASTER_PASSWORD, "name": name, "copy": "true",
            "neutralize_database": "true", "backup_file": f"@{archive}"}  # fmt: skip
    fields = [word for key, value in form.items() for word in ("-F", f"{key}={value}")]
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *fields]
    command.append(f"{server.url}/web/database/restore")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def text_of(selector):
    """Return the JavaScript of the text that an element shows; empty while it is not there."""
    return f"(document.querySelector({selector!r})?.innerText ?? '')"
