"""The first hour: from an empty app to a database that is seen to be protected, in a browser."""

import pytest
from devenv.browser import Browser
from devenv.seed import Seed
from devenv.stack import addon_dependencies
from proxy import Proxy
from world import MASTER_PASSWORD, World, good

DATABASE = "first"
WELCOME = ".o_backup_welcome button"
DIALOG = ".modal .o_backup_setup"
STATUS = ".o_form_view .o_field_badge[name=status]"
PROTECTED = ".o_backup_overview .o_backup_state_protected"


@pytest.fixture
def empty(server, remote):
    """A backup server on which nobody has set up anything."""
    options = {"with_addon": True, "master_password": MASTER_PASSWORD}
    seed = Seed(modules=addon_dependencies())
    made = server(DATABASE, seed=seed, modules=("backup_scheduler",), **options)
    world = World(made, remote, DATABASE)
    yield world
    world.end()


def next_step(browser, field):
    browser.click(".modal button[name=action_next]")
    browser.wait_for(f"{DIALOG} .o_field_widget[name={field}]")


def test_an_empty_app_leads_to_a_verified_backup_that_is_seen_without_reloading(empty, remote):
    with Proxy(remote.port, held=True) as proxy, Browser() as browser:
        browser.login(empty.server.url, "admin", "admin")
        browser.open(f"{empty.server.url}/odoo/backups", WELCOME)
        browser.evaluate("window.neverReloaded = true")

        browser.click(WELCOME)
        browser.click(f"{DIALOG} [name=connection] input[data-value=http]")
        browser.fill(f"{DIALOG} .o_field_widget[name=url] input", proxy.url)
        browser.fill(f"{DIALOG} .o_field_widget[name=master_password] input", MASTER_PASSWORD)
        next_step(browser, "database_scope")
        browser.wait_until(f"{text_of(DIALOG)}.includes('shop')")
        next_step(browser, "cron_expression")
        next_step(browser, "destination_ids")
        next_step(browser, "summary")
        assert empty.call("instance", "search_count", []) == 0, "nothing is kept before the end"

        browser.click(".modal button[name=action_start]")
        browser.wait_for(STATUS)
        browser.wait_until(f"document.querySelector({DIALOG!r}) === null")
        browser.wait_until(f"{text_of(STATUS)}.includes('Running')")
        proxy.release()
        browser.wait_until(f"{text_of(STATUS)}.includes('Verified')")
        (run,) = empty.call("run", "search_read", [])
        good(run)
        empty.adopt([run["job_id"][0]])

        browser.click(".o_main_navbar [data-menu-xmlid='backup_scheduler.menu_overview']")
        browser.wait_for(PROTECTED)
        row = browser.evaluate(text_of(PROTECTED))
        assert "shop" in row
        assert "Protected" in row
        assert browser.evaluate("window.neverReloaded"), "the page was loaded anew"
        assert browser.console == []


def text_of(selector):
    """Return the JavaScript of the text that an element shows; empty while it is not there."""
    return f"(document.querySelector({selector!r})?.innerText ?? '')"
