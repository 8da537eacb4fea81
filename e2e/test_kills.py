"""Kill anything, any time: nothing fires twice, nothing stays running, nothing is left behind."""

import os
import signal
import subprocess

from devenv import processes
from proxy import Proxy
from world import BACKUPS, SOON, failed, good

SLOW = 3_000_000
# Seconds that the promise gives a lost run to be found.
FOUND_LOST = 120
# What is written where a run ends.
ENDING = ("status", "error_code", "attempt", "finished_at", "sha256")


def test_a_worker_killed_in_the_middle_of_a_transfer_is_replaced(world, remote):
    before = world.archives()
    with Proxy(remote.port, held=True) as proxy:
        run = world.run_now(proxy.url, max_attempts=2)
        world.wait_for(run, ["running"], stage="download")
        engine = world.engine()
        os.kill(world.worker(), signal.SIGKILL)
        world.wait_until(
            lambda: not processes.is_running(engine), SOON, "the engine ended by itself"
        )
        assert world.leftovers() == []
        proxy.release()
        world.wait_for(run, ["running", "verified"], FOUND_LOST, attempt=2)
        ended = good(world.wait_for(run))
    assert ended["attempt"] == 2
    assert "worker_lost" in ended["log"]
    assert len(world.archives()) == len(before) + 1


def test_worker_and_engine_killed_together_leave_nothing_in_the_end(world, remote):
    before = world.archives()
    with Proxy(remote.port, held=True) as proxy:
        run = world.run_now(proxy.url)
        world.wait_for(run, ["running"], stage="download")
        worker, engine = world.worker(), world.engine()
        for pid in (worker, engine):
            os.kill(pid, signal.SIGKILL)
        assert world.leftovers()
        world.dispatch()
        failed(world.wait_for(run, timeout=FOUND_LOST), "worker_lost")
    world.wait_until(lambda: not world.leftovers(), FOUND_LOST, "the remains are swept")
    assert world.archives() == before


def test_a_killed_engine_costs_its_run_one_attempt(world, remote):
    with Proxy(remote.port, held=True) as proxy:
        run = world.run_now(proxy.url, max_attempts=2)
        world.wait_for(run, ["running"], stage="download")
        worker = world.worker()
        os.kill(world.engine(), signal.SIGKILL)
        world.wait_for(run, ["running"], attempt=2)
        proxy.release()
        ended = good(world.wait_for(run))
    assert ended["attempt"] == 2
    assert world.worker() == worker


def test_a_worker_that_is_told_to_stop_gives_its_run_back(world, remote):
    with Proxy(remote.port, held=True) as proxy:
        run = world.run_now(proxy.url)
        world.wait_for(run, ["running"], stage="download")
        os.kill(world.worker(), signal.SIGTERM)
        world.wait_for(run, ["queued"])
        assert world.leftovers() == []
        proxy.release()
        world.wait_until(lambda: not world.worker(), SOON, "the worker ended")
        world.dispatch()
        ended = good(world.wait_for(run, timeout=FOUND_LOST))
    assert ended["attempt"] == 1


def test_a_worker_stopped_past_its_lease_writes_nothing(world, remote):
    """SIGSTOP is a clock that stands still: when it goes on, the run is somebody else's."""
    before = world.archives()
    with Proxy(remote.port, rate=SLOW) as proxy:
        run = world.run_now(proxy.url)
        world.wait_for(run, ["running"], stage="download")
        worker = world.worker()
        os.kill(worker, signal.SIGSTOP)
        world.wait_until(
            lambda: world.dispatch() or world.run(run)["status"] == "failed", FOUND_LOST,
            "its lease has ended",
        )  # fmt: skip
        lost = failed(world.run(run), "worker_lost")
        proxy.release()
        os.kill(worker, signal.SIGCONT)
        world.wait_until(lambda: not world.engine(), SOON, "its engine was stopped")
        # One that has ended has written all that it ever will.
        world.end_worker()
    assert {name: world.run(run)[name] for name in ENDING} == {name: lost[name] for name in ENDING}
    world.wait_until(lambda: not world.leftovers(), FOUND_LOST, "the remains are swept")
    assert world.archives() == before


def test_odoo_killed_and_started_again_disturbs_no_backup(world, backup_server, remote):
    with Proxy(remote.port, held=True) as proxy:
        run = world.run_now(proxy.url)
        world.wait_for(run, ["running"], stage="download")
        worker = world.worker()
        backup_server.kill(signal.SIGKILL)
        proxy.release()
        backup_server.start()
        ended = good(world.wait_for(run))
    assert ended["attempt"] == 1
    assert world.worker() == worker


def test_a_full_disk_in_the_middle_fails_cleanly(world, tmp_path, remote):
    with small_disk(tmp_path / "spool", megabytes=8) as folder:
        world.configure(backup_spool_folder=str(folder))
        try:
            run = failed(world.back_up(), "no_space")
            assert "full" in run["error"]
            assert not [path for path in folder.rglob("*") if path.is_file()]
        finally:
            world.configure(backup_spool_folder=False)
    assert world.leftovers() == []


def test_a_disk_too_small_for_the_last_size_is_refused_before_the_remote_dumps(world, tmp_path):
    first = good(world.back_up())
    with small_disk(tmp_path / "spool", megabytes=8) as folder:
        world.configure(backup_spool_folder=str(folder))
        try:
            (run,) = world.call("job", "run_now", [first["job_id"][0]])
            run = failed(world.wait_for(run), "no_space")
            assert "expected to need" in run["error"]
            assert "download" not in run["log"]
        finally:
            world.configure(backup_spool_folder=False)


def test_a_destination_that_is_full_fails_cleanly_and_the_other_one_keeps_the_archive(
    world, tmp_path
):
    with small_disk(tmp_path / "disk", megabytes=8) as folder:
        full = world.call("destination", "create", [{"name": "Full", "path": str(folder)}])
        keeping = world.call("destination", "search", [["name", "=", "This server"]])
        run = good(world.back_up(destination_ids=[[6, 0, full + keeping]]))
        copies = {copy["destination_id"][1]: copy for copy in world.copies(run["id"])}
        assert copies["This server"]["status"] == "stored"
        assert (copies["Full"]["status"], copies["Full"]["error_code"]) == ("failed", "no_space")
        assert not [path for path in folder.rglob("*") if path.is_file()]
        world.call("destination", "write", full, {"active": False})


def test_two_dispatchers_at_once_make_one_run_of_each_fire(world, backup_server):
    instance = world.create_instance("http://127.0.0.1:9")
    world.call("instance", "write", [instance], {"max_parallel_runs": 1})
    count = 30
    script = f"""
jobs = env["backup.job"].create([
    {{"name": f"J{{n}}", "instance_id": {instance}, "cron_expression": "0 0 1 1 *",
      "max_attempts": 1}} for n in range({count})])
env.flush_all()
env.cr.execute("UPDATE backup_job SET next_run_at = now() AT TIME ZONE 'UTC' - interval '1 second'"
               " WHERE id IN %s", (tuple(jobs.ids),))
env.cr.commit()
"""
    dispatch = 'env["backup.dispatcher"]._cron_dispatch()\nenv.cr.commit()\n'
    backup_server.run("shell", "-d", BACKUPS, "--no-http", script=script)
    running = [
        backup_server.spawn("shell", "-d", BACKUPS, "--no-http", stdin=subprocess.PIPE)
        for _number in range(2)
    ]
    for process in running:
        process.communicate(dispatch.encode(), timeout=60)
    jobs = world.call("job", "search", [["instance_id", "=", instance]])
    world.adopt(jobs)
    fires = [
        (run["job_id"][0], run["scheduled_at"])
        for run in world.call("run", "search_read", [["job_id", "in", jobs]])
    ]
    assert len(fires) == count
    assert len(set(fires)) == count


def test_one_broken_job_among_ten_fails_alone(world, backup_server):
    instance = world.create_instance("http://127.0.0.1:9")
    jobs = [world.create_job(instance, name=f"Job {number}") for number in range(10)]
    script = f"""
env.cr.execute("UPDATE backup_job SET next_run_at = now() AT TIME ZONE 'UTC' - interval '1 second'"
               " WHERE id IN %s", ({tuple(jobs)},))
env.cr.execute("UPDATE backup_job SET cron_expression = 'broken' WHERE id = %s", ({jobs[4]},))
env.cr.commit()
"""
    backup_server.run("shell", "-d", BACKUPS, "--no-http", script=script)
    world.dispatch()
    assert world.call("run", "search_count", [["job_id", "in", jobs]]) == 10
    runs = world.call("run", "search_read", [["job_id", "in", jobs]])
    broken = [run for run in runs if run["error_code"] == "internal"]
    assert [run["job_id"][0] for run in broken] == [jobs[4]]
    assert "Traceback" in broken[0]["traceback"]
    assert "5 are needed" in world.call("job", "read", [jobs[4]])[0]["planning_error"]
    world.call("job", "write", [jobs[4]], {"cron_expression": "0 0 1 1 *"})


class small_disk:
    """A file system of its own with little room, mounted while inside."""

    def __init__(self, path, megabytes):
        self._path, self._size = path, f"size={megabytes}m"
        self._sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]

    def __enter__(self):
        self._path.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"{self._size},mode=777", "tmpfs", self._path]
        subprocess.run([*self._sudo, *mount], check=True)
        return self._path

    def __exit__(self, *_error):
        subprocess.run([*self._sudo, "umount", "-l", self._path], check=True)
