"""make demo: the main job done for real, by hand and on schedule, and its result shown."""

import sys
import xmlrpc.client

from . import environment, user_script
from .fail import DevError, say
from .stack import BACKUP_DATABASE, REMOTE_DATABASE, Stack

MANUAL_TIMEOUT = 180
# Odoo polls its crons every 60 to 70 s, and the fire has to come first.
SCHEDULE_TIMEOUT = 300


def demo():
    environment.ensure()
    with environment.only_one("demo"), Stack("demo") as stack:
        try:
            return _drive(stack)
        except (DevError, xmlrpc.client.Fault, OSError) as error:
            text = getattr(error, "faultString", str(error)).strip().splitlines()[-1]
            raise DevError(f"{text} (logs: {stack.backup.log} {stack.remote.log})") from error


def _drive(stack):
    rpc = stack.backup.rpc(BACKUP_DATABASE)
    url, password = stack.remote.url, stack.master_password
    instance = user_script.create_instance(rpc, "Shop", url, password)
    job = user_script.create_job(rpc, instance, "Every minute", "* * * * *", [REMOTE_DATABASE])
    say("Run now")
    manual = rpc.call("backup.job", "run_now", [job])
    runs = [user_script.wait_for_run(rpc, [["id", "in", manual]], MANUAL_TIMEOUT)]
    say(f"It is {runs[0]['status']}; waiting for the next full minute's fire")
    scheduled = [["job_id", "=", job], ["trigger", "=", "schedule"]]
    runs.append(user_script.wait_for_run(rpc, scheduled, SCHEDULE_TIMEOUT))
    rpc.call("backup.job", "write", [job], {"enabled": False})
    say("Restoring the last archive into a scratch database")
    runs[-1] = user_script.drill(rpc, runs[-1], MANUAL_TIMEOUT)
    return _report(rpc, runs, stack)


def _report(rpc, runs, stack):
    rows = [user_script.table_row(rpc, run) for run in runs]
    sys.stdout.write(f"\n{user_script.table(rows)}\n\n")
    sys.stdout.flush()
    bad = [run for run in runs if run["status"] != "verified"]
    if not runs[-1]["drilled_at"]:
        bad.append(runs[-1])
    for run in bad:
        say(f"Run {run['id']} is {run['status']}: {run['error_code']}: {run['error']}")
    if bad:
        say(f"Logs: {stack.backup.log} and {stack.remote.log}")
    return 1 if bad else 0
