"""make screenshots: the pictures of the documentation, of runs that were really made.

Beside the light ones there are dark ones and those of a phone. Odoo's community edition has no dark
mode: it comes with OCA's ``web_dark_mode``, and without that module there are no dark pictures.
"""

import os
import shutil
import subprocess
import sys

from . import environment, history, oca, pages, processes, user_script
from .fail import DevError, say
from .paths import ADDON, PYTHON, ROOT
from .seed import Seed
from .stack import BACKUP_DATABASE, Stack

FOLDER = ROOT / "docs" / "images"
# The page of the addon in Odoo's list of apps shows some of them.
DESCRIPTION = ADDON / "static" / "description"
DESCRIBING = ("overview", "setup-3", "job", "run", "incidents", "destination")
DATABASES = ("accounting", "warehouse", "webshop")
RUN_TIMEOUT = 180
CONTENT = Seed(modules=("base", "web"), attachments=120, megabytes=24)
DARK = "web_dark_mode"
DESK, PHONE = (1366, 768), (390, 844)
# As a form looks before anybody has checked it.
BUCKET = {"name": "Vault in Frankfurt", "kind": "s3", "s3_bucket": "acme-backups",
          "s3_region": "eu-central-1", "s3_prefix": "odoo", "s3_access_key": "AKIAEXAMPLE",
          "s3_secret_key": "not shown", "s3_lock_mode": "GOVERNANCE", "s3_lock_days": 30}


def screenshots():
    environment.ensure()
    if os.path.abspath(sys.executable) != str(PYTHON):
        # What speaks to the browser is in the virtual environment only.
        command = [PYTHON, "-m", "devenv", "screenshots"]
        return subprocess.run(command, check=False).returncode
    FOLDER.mkdir(parents=True, exist_ok=True)
    addons = oca.addons()
    dark = (addons / DARK).is_dir()
    with environment.only_one("screenshots"), Stack("screenshots", addons=[addons]) as stack:
        if dark:
            stack.backup.install(BACKUP_DATABASE, DARK)
        make_world(stack)
        take_all(stack, pages.PAGES, dark=dark)
    for name in DESCRIBING:
        shutil.copy(FOLDER / f"{name}.png", DESCRIPTION)
    say(f"Written: {FOLDER}" if dark else f"Written, without dark ones: {FOLDER}")
    return 0


def make_world(stack):
    """Make real runs, good ones and bad ones, and a month of history beside them."""
    rpc = stack.backup.rpc(BACKUP_DATABASE)
    say("Making runs, good ones and bad ones")
    jobs = _make_jobs(rpc, stack)
    for _round in range(2):
        rpc.call("backup.job", "run_now", jobs)
        _wait(rpc)
    rpc.call("backup.destination", "create", BUCKET)
    say("Making a month of history")
    history.seed(stack.backup, BACKUP_DATABASE)


def take_all(stack, wanted, *, dark):
    from .browser import Browser

    url, rpc = stack.backup.url, stack.backup.rpc(BACKUP_DATABASE)
    words = {
        **pages.records(rpc),
        # By another name: the wizard knows an address that is an instance already.
        "remote": stack.remote.url.replace("127.0.0.1", "localhost"),
        "password": stack.master_password,
    }
    with Browser() as browser:
        browser.login(url, "admin", "admin")
        for page in wanted:
            say(f"Picture: {page.name}")
            take(browser, url, page, words)
            if page.phone:
                take(browser, url, page, words, phone=True)
        if dark:
            say("Dark pictures")
            rpc.call("res.users", "write", [rpc.uid], {"dark_mode": True})
            # The first page is still light: the answer to it brings the cookie.
            browser.open(f"{url}/odoo", ".o_web_client")
            for page in wanted:
                if page.dark:
                    take(browser, url, page, words, dark=True)
            rpc.call("res.users", "write", [rpc.uid], {"dark_mode": False})
        if browser.console:
            raise DevError(f"errors in the browser's console: {browser.console}")


def take(browser, url, page, words, *, phone=False, dark=False):
    """Go to a page as a person does, and write its picture."""
    browser.resize(*(PHONE if phone else DESK), phone=phone, dark=dark)
    ready = page.phone_ready if phone and page.phone_ready else page.ready
    browser.open(f"{url}/odoo/{page.path.format(**words)}", ready)
    for step in page.steps:
        if isinstance(step, pages.Fill):
            browser.fill(step.selector, step.text.format(**words))
        else:
            browser.click(step.selector)
            browser.wait_for(step.until)
    kind = "-phone" if phone else "-dark" if dark else ""
    browser.screenshot(FOLDER / f"{page.name}{kind}.png")


def _make_jobs(rpc, stack):
    """A good server of four databases, one with a wrong password, one that is down.

    One database of the good server has no job, as it happens when nobody looks.
    """
    for name in DATABASES:
        stack.cluster.drop(name)
        CONTENT.create(stack.remote, name)
    good = user_script.create_instance(rpc, "Shop", stack.remote.url, stack.master_password)
    job = user_script.create_job(rpc, good, "Every night", "0 2 * * *", DATABASES)
    user_script.create_job(rpc, good, "Orders", "0 */4 * * mon-fri", ["webshop"])
    servers = (
        ("Old CRM", stack.remote.url, "forgotten", "Every night", "30 2 * * *"),
        ("Branch office", f"http://127.0.0.1:{processes.free_port()}", "unknown", "Weekly",
         "0 4 * * sun"),
    )
    jobs = [job]
    for name, url, password, job_name, expression in servers:
        values = {"name": name, "url": url, "master_password": password}
        instance = rpc.call("backup.instance", "create", values)
        jobs.append(rpc.call("backup.job", "create", {
            "name": job_name, "instance_id": instance, "cron_expression": expression,
            "max_attempts": 1,
        }))
    return jobs


def _wait(rpc):
    active = [["status", "in", list(user_script.WAITING)]]
    done = processes.wait_until(
        lambda: not rpc.call("backup.run", "search_count", active), RUN_TIMEOUT
    )
    if not done:
        raise DevError("the runs did not come to their end")
