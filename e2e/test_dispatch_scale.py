"""A thousand jobs due at once, and a dispatcher that is killed in the middle of them."""

import datetime
import os
import signal
import subprocess

from world import BACKUPS, SOON

COUNT = 1000
# So many are planned in one transaction, at most: a kill costs no more.
TOGETHER = 20
# Planning the job in the middle does not end before somebody ends it.
HELD = """
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(3600); RETURN NEW; END $$;
CREATE TRIGGER hold BEFORE INSERT ON backup_run FOR EACH ROW WHEN (NEW.job_id = {job})
EXECUTE FUNCTION hold();
"""
LET_GO = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep';
DROP FUNCTION hold CASCADE;
"""
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
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


def test_a_kill_in_the_middle_of_a_thousand_due_jobs_keeps_what_was_planned(
    world, backup_server, cluster
):
    instance = world.create_instance("http://127.0.0.1:9")
    with world.no_worker(), world.no_cron():
        backup_server.run("shell", "-d", BACKUPS, "--no-http", script=make_due(instance))
        jobs = [["instance_id", "=", instance]]
        ids = sorted(world.call("job", "search", jobs))
        world.adopt(ids)
        cluster.psql(HELD.format(job=ids[COUNT // 2]), BACKUPS)
        dispatcher = backup_server.spawn(
            "shell", "-d", BACKUPS, "--no-http", stdin=subprocess.PIPE
        )
        dispatcher.stdin.write(DISPATCH)
        dispatcher.stdin.close()
        try:
            world.wait_until(lambda: cluster.psql(SLEEPING) == "1", SOON, "half are planned")
            os.kill(dispatcher.pid, signal.SIGKILL)
            dispatcher.wait()
        finally:
            cluster.psql(LET_GO, BACKUPS)
        world.wait_until(lambda: cluster.psql(SLEEPING) == "0", SOON, "its session is gone")
        planned = world.call("run", "search_count", jobs)
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        still_due = world.call("job", "search_count", [*jobs, ["next_run_at", "<=", now]])
        assert COUNT // 2 - TOGETHER <= planned <= COUNT // 2
        assert planned + still_due == COUNT
        # A pass ends after ten seconds, whatever is still due; on a busy machine one is not enough.
        world.wait_until(
            lambda: world.dispatch() or world.call("run", "search_count", jobs) >= COUNT,
            SOON, "all planned",
        )  # fmt: skip
        runs = world.call("run", "search_read", jobs, fields=["job_id", "scheduled_at"])
        assert len(runs) == COUNT
        assert len({(run["job_id"][0], run["scheduled_at"]) for run in runs}) == COUNT
        queued = world.call("run", "search", [*jobs, ["status", "=", "queued"]])
        world.call("run", "cancel", queued)
