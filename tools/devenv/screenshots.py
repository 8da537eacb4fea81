"""make screenshots: the pictures of the documentation, of runs that were really made."""

import contextlib
import os
import subprocess
import sys

from . import environment, processes, user_script
from .fail import DevError, say
from .paths import PYTHON, ROOT
from .seed import Seed
from .stack import BACKUP_DATABASE, Stack

FOLDER = ROOT / "docs" / "images"
DATABASES = ("accounting", "warehouse", "webshop")
RUN_TIMEOUT = 180
CONTENT = Seed(modules=("base", "web"), attachments=120, megabytes=24)
# As a form looks before anybody has checked it.
BUCKET = {"name": "Bucket in Frankfurt", "kind": "s3", "s3_bucket": "acme-backups",
          "s3_region": "eu-central-1", "s3_prefix": "odoo", "s3_access_key": "AKIAEXAMPLE",
          "s3_secret_key": "not shown", "s3_lock_mode": "GOVERNANCE", "s3_lock_days": 30}


def screenshots():
    environment.ensure()
    if os.path.abspath(sys.executable) != str(PYTHON):
        # What speaks to the browser is in the virtual environment only.
        command = [PYTHON, "-m", "devenv", "screenshots"]
        return subprocess.run(command, check=False).returncode
    from .browser import Browser

    FOLDER.mkdir(parents=True, exist_ok=True)
    with environment.only_one("screenshots"), Stack("screenshots") as stack:
        rpc = stack.backup.rpc(BACKUP_DATABASE)
        say("Making runs, good ones and bad ones")
        jobs = _make_jobs(rpc, stack)
        for _round in range(2):
            rpc.call("backup.job", "run_now", jobs)
            _wait(rpc)
        with Browser() as browser:
            browser.login(stack.backup.url, "admin", "admin")
            _take(browser, stack.backup.url, rpc)
    say(f"Written: {FOLDER}")
    return 0


def _make_jobs(rpc, stack):
    """A good server of four databases, one with a wrong password, one that is down."""
    for name in DATABASES:
        stack.cluster.drop(name)
        CONTENT.create(stack.remote, name)
    good = user_script.create_instance(rpc, "Shop", stack.remote.url, stack.master_password)
    servers = (("Old CRM", stack.remote.url, "forgotten"),
               ("Branch office", f"http://127.0.0.1:{processes.free_port()}", "unknown"))
    instances = [good] + [
        rpc.call("backup.instance", "create",
                 {"name": name, "url": url, "master_password": password})
        for name, url, password in servers
    ]
    schedules = (("Every night", "0 2 * * *"), ("Every night", "30 2 * * *"),
                 ("Weekly", "0 4 * * sun"))
    return [
        rpc.call("backup.job", "create",
                 {"name": name, "instance_id": instance, "cron_expression": expression,
                  "max_attempts": 1})
        for instance, (name, expression) in zip(instances, schedules, strict=True)
    ]


def _wait(rpc):
    active = [["status", "in", list(user_script.WAITING)]]
    done = processes.wait_until(
        lambda: not rpc.call("backup.run", "search_count", active), RUN_TIMEOUT
    )
    if not done:
        raise DevError("the runs did not come to their end")


def _take(browser, url, rpc):
    (run,) = rpc.call("backup.run", "search", [["status", "=", "verified"]], limit=1)
    (bad,) = rpc.call("backup.run", "search", [["status", "=", "failed"]], limit=1)
    (job,) = rpc.call("backup.job", "search", [], limit=1)
    (instance,) = rpc.call("backup.instance", "search", [["name", "=", "Shop"]])
    bucket = rpc.call("backup.destination", "create", BUCKET)
    pages = (("runs", "backup-runs", ".o_list_view .o_data_row"),
             ("run", f"backup-runs/{run}", ".o_form_view .o_field_widget"),
             ("failed-run", f"backup-runs/{bad}", ".o_form_view .o_field_widget"),
             ("job", f"backup-jobs/{job}", ".o_form_view .o_field_widget"),
             ("instance", f"backup-instances/{instance}", ".o_form_view .o_field_widget"),
             ("destination", f"backup-destinations/{bucket}", ".o_form_view .o_field_widget"))
    for name, path, ready in pages:
        browser.resize(1366, 768)
        browser.open(f"{url}/odoo/{path}", ready)
        browser.screenshot(FOLDER / f"{name}.png")
    for name, path, button in (("retention", f"backup-jobs/{job}", "action_preview_retention"),
                               ("restore", f"backup-runs/{run}", "action_restore")):
        browser.resize(1366, 768)
        browser.open(f"{url}/odoo/{path}", f"button[name='{button}']")
        browser.click(f"button[name='{button}']")
        browser.wait_for(".modal .o_form_view .o_field_widget")
        browser.screenshot(FOLDER / f"{name}.png")
    browser.resize(390, 844, phone=True)
    with contextlib.suppress(DevError):  # kanban or list, whichever the phone shows
        browser.open(f"{url}/odoo/backup-runs", ".o_data_row, .o_kanban_record")
    browser.screenshot(FOLDER / "runs-phone.png")
    if browser.console:
        raise DevError(f"errors in the browser's console: {browser.console}")
