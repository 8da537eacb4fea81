"""What a user's own script does over XML-RPC: nothing here knows more than the public names."""

import time

from .fail import DevError, say

WAITING = ("queued", "running")
POLL = 1
RESTORED = 4  # the level of verification that restores the archive into a scratch database


def create_instance(rpc, name, url, master_password):
    """Create an instance, test it and read its databases; return its id."""
    values = {"name": name, "connection": "http", "url": url, "master_password": master_password}
    instance = rpc.call("backup.instance", "create", values)
    check = rpc.call("backup.instance", "test_connection", [instance])
    if not check["ok"]:
        raise DevError(f"test_connection: {check['error']} {check.get('hint') or ''}")
    say(f"Connected to Odoo {check['odoo_version']} at {url}")
    names = rpc.call("backup.instance", "refresh_databases", [instance])
    say(f"Databases found: {', '.join(names)}")
    return instance


def create_job(rpc, instance, name, cron_expression, databases):
    """Create a job for some databases of an instance, verified after each backup."""
    domain = [["instance_id", "=", instance], ["name", "in", list(databases)]]
    return rpc.call("backup.job", "create", {
        "name": name,
        "instance_id": instance,
        "cron_expression": cron_expression,
        "database_scope": "selected",
        "database_ids": [[6, 0, rpc.call("backup.database", "search", domain)]],
        "archive_format": "zip",
    })


def wait_for_run(rpc, domain, timeout):
    """Return the first run of `domain` that came to its end; DevError when none does in time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for run in rpc.call("backup.run", "search_read", domain, order="id", limit=1):
            if run["status"] not in WAITING and not run["retry_at"]:
                return run
        time.sleep(POLL)
    raise DevError(f"no run came to its end within {timeout} s")


def drill(rpc, run, timeout):
    """Restore the archive of a run into a scratch database; return the run as it is then."""
    rpc.call("backup.run", "verify", [run["id"]], RESTORED)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        (run,) = rpc.call("backup.run", "read", [run["id"]])
        if not run["verification_requested_at"]:
            return run
        time.sleep(POLL)
    raise DevError(f"the restore drill did not come to its end within {timeout} s")


def table_row(rpc, run):
    """Return what a person wants to know of a run, in the order of TABLE_HEAD."""
    copies = rpc.call("backup.copy", "search_read", [["id", "in", run["copy_ids"]]])
    return (
        run["database_name"], run["trigger"], run["status"], run["verification_level"] or "-",
        f"{(run['size'] or 0) / 1e6:.1f} MB", f"{run['duration'] or 0:.1f} s",
        run["sha256"] or "-", " ".join(copy["path"] or "-" for copy in copies) or "-",
    )


TABLE_HEAD = ("database", "trigger", "status", "level", "size", "duration", "SHA-256", "path")


def table(rows):
    """Return rows as lines of equal columns."""
    rows = [TABLE_HEAD, *[tuple(map(str, row)) for row in rows]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
