"""A thousand jobs due at once, and a dispatcher that is killed in the middle of them."""

import datetime
import os
import signal
import subprocess
import time

from world import BACKUPS

COUNT = 1000
DISPATCH = b'env["backup.dispatcher"]._cron_dispatch()\nenv.cr.commit()\nprint("dispatched")\n'


def make_due(instance):
    return f"""
jobs = env["backup.job"].create([
    {{"name": f"Due {{n}}", "instance_id": {instance}, "cron_expression": "0 0 1 1 *",
      "max_attempts": 1}} for n in range({COUNT})])
env.flush_all()
env.cr.execute("UPDATE backup_job SET next_run_at = now() AT TIME ZONE 'UTC' - interval '1 second'"
               " WHERE id IN %s", (tuple(jobs.ids),))
env.cr.commit()
"""


def test_a_kill_in_the_middle_of_a_thousand_due_jobs_keeps_what_was_planned(world, backup_server):
    instance = world.create_instance("http://127.0.0.1:9")
    with world.no_worker(), world.no_cron():
        backup_server.run("shell", "-d", BACKUPS, "--no-http", script=make_due(instance))
        jobs = [["instance_id", "=", instance]]
        world.adopt(world.call("job", "search", jobs))
        dispatcher = backup_server.spawn(
            "shell", "-d", BACKUPS, "--no-http", stdin=subprocess.PIPE
        )
        dispatcher.stdin.write(DISPATCH)
        dispatcher.stdin.close()
        world.wait_until(lambda: world.call("run", "search_count", jobs) > 50, 60, "some planned")
        os.kill(dispatcher.pid, signal.SIGKILL)
        dispatcher.wait()
        time.sleep(1)
        planned = world.call("run", "search_count", jobs)
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        still_due = world.call("job", "search_count", [*jobs, ["next_run_at", "<=", now]])
        assert 50 < planned < COUNT
        assert planned + still_due == COUNT
        # A pass ends after ten seconds, whatever is still due; on a busy machine one is not enough.
        world.wait_until(
            lambda: world.dispatch() or world.call("run", "search_count", jobs) >= COUNT,
            60, "all planned",
        )  # fmt: skip
        runs = world.call("run", "search_read", jobs, fields=["job_id", "scheduled_at"])
        assert len(runs) == COUNT
        assert len({(run["job_id"][0], run["scheduled_at"]) for run in runs}) == COUNT
        queued = world.call("run", "search", [*jobs, ["status", "=", "queued"]])
        world.call("run", "cancel", queued)
