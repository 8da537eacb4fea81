"""The main job: real servers, by hand and on schedule, driven as a user's script would."""

import json
import stat
import subprocess

from devenv.paths import ROOT
from devenv.stack import SHOP
from proxy import Proxy
from world import BACKUPS, SOON, good


def test_a_manual_and_a_scheduled_run_are_verified(world):
    instance = world.create_instance()
    check = world.call("instance", "test_connection", [instance])
    assert (check["ok"], check["odoo_version"], check["databases"]) == (True, "19.0", ["shop"])
    assert world.call("instance", "refresh_databases", [instance]) == ["shop"]
    databases = world.call("database", "search", [["instance_id", "=", instance]])
    job = world.create_job(
        instance,
        cron_expression="* * * * *",
        database_scope="selected",
        database_ids=[[6, 0, databases]],
    )
    (manual,) = world.call("job", "run_now", [job])
    good(world.wait_for(manual))
    scheduled = world.wait_until(
        lambda: [run for run in world.runs(job) if run["trigger"] == "schedule"], 150, "a fire"
    )
    run = good(world.wait_for(scheduled[0]["id"]))
    assert run["scheduled_at"].endswith(":00")
    assert run["attempt"] == 1


def test_the_archive_is_what_odoo_makes_and_its_catalogue_stands_beside_it(world):
    run = good(world.back_up())
    archive = world.archive(run["id"])
    assert world.sha256(run["id"]) == run["sha256"]
    assert archive.stat().st_size == run["size"]
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    test = subprocess.run(["unzip", "-tq", archive], capture_output=True, text=True, check=False)
    assert test.returncode == 0, test.stdout
    catalogue = json.loads((archive.parent / (archive.name + ".json")).read_text())
    assert catalogue["sha256"] == run["sha256"]
    assert (catalogue["instance"], catalogue["database"]) == ("Shop", "shop")
    assert catalogue["odoo_version"] == "19.0"


def test_a_dump_is_what_pg_restore_reads(world, cluster):
    run = good(world.back_up(archive_format="dump"))
    listing = cluster.tool("pg_restore", "--list", str(world.archive(run["id"])))
    assert "TABLE DATA public ir_attachment" in listing


def test_a_database_that_appears_later_is_backed_up_too(world, cluster, remote):
    cluster.drop("second shop")
    instance = world.create_instance()
    world.call("instance", "test_connection", [instance])
    job = world.create_job(instance)
    SHOP.create(remote, "second shop")
    try:
        (run,) = world.call("job", "run_now", [job])
        good(world.wait_for(run))
        runs = world.wait_until(
            lambda: (found := world.runs(job)) and len(found) == 2 and found, SOON, "a second run"
        )
        second = good(world.wait_for(runs[1]["id"]))
        assert second["database_name"] == "second shop"
    finally:
        cluster.drop("second shop")


def test_a_server_whose_databases_are_not_known_is_asked_by_the_worker(world):
    run = world.run_now()
    assert world.run(run)["database_name"] == ""
    assert good(world.wait_for(run))["database_name"] == "shop"


def test_a_running_backup_is_cancelled_within_seconds_and_leaves_nothing(world, remote):
    with Proxy(remote.port, held=True) as proxy:
        run = world.run_now(proxy.url)
        world.wait_for(run, ["running"], stage="download")
        world.call("run", "cancel", [run])
        ended = world.wait_for(run)
    assert (ended["status"], ended["error_code"]) == ("cancelled", "cancelled")
    assert world.leftovers() == []


def test_a_failed_run_is_tried_again_by_hand(world, server):
    other = server("retried", workers=2, master_password="another one entirely")
    run = world.back_up(other.url)
    assert run["error_code"] == "wrong_master_password"
    world.call("instance", "write", [run["instance_id"][0]],
               {"master_password": "another one entirely"})
    world.call("run", "retry", [run["id"]])
    good(world.wait_for(run["id"], ["verified"]))


def test_a_stored_archive_that_changes_on_disk_is_found_by_verifying_again(world):
    run = good(world.back_up())
    world.call("run", "verify", [run["id"]])
    world.wait_until(lambda: world.run(run["id"])["verified_at"] > run["verified_at"], 60, "read")
    assert world.run(run["id"])["status"] == "verified"
    archive = world.archive(run["id"])
    with archive.open("r+b") as file:
        file.seek(archive.stat().st_size // 2)
        file.write(b"rot")
    world.call("run", "verify", [run["id"]])
    damaged = world.wait_for(run["id"], ["verify_failed"])
    assert damaged["error_code"] == "damaged"
    assert world.copies(run["id"])[0]["status"] == "failed"


def test_deleting_a_job_touches_neither_history_nor_archive(world):
    run = good(world.back_up())
    world.call("job", "unlink", [run["job_id"][0]])
    world._jobs.clear()
    kept = world.run(run["id"])
    assert (kept["job_id"], kept["job_name"], kept["status"]) == (False, "Test", "verified")
    assert world.archive(run["id"]).exists()


def test_the_secret_is_in_no_argument_log_or_event(world, backup_server, remote):
    with Proxy(remote.port, held=True) as proxy:
        run = world.run_now(proxy.url)
        world.wait_for(run, ["running"], stage="download")
        seen = [command_line(pid) for pid in backup_server.processes()]
        proxy.release()
        good(world.wait_for(run))
    assert any("engine" in line for line in seen)
    told = [*seen, backup_server.log.read_text(), json.dumps(world.run(run))]
    assert not [text for text in told if "correct horse" in text]


def test_a_worker_of_the_command_line_stays_and_executes(world, backup_server):
    """``odoo-bin backup worker --stay`` takes the place of the one that Odoo would start."""
    with world.no_cron():
        world.end_worker()
        process = backup_server.spawn(
            f"--addons-path={ROOT}", "backup", "worker", "-d", BACKUPS, "--stay"
        )
        try:
            # Until it sits there, whoever hands a run over starts another one, which may be faster.
            world.wait_until(world.seat_is_taken, SOON, "the worker is at work")
            good(world.back_up())
            assert world.worker() is None
        finally:
            process.terminate()
            assert process.wait(SOON) == 0


def test_a_host_that_forbids_processes_executes_in_its_cron_threads(world):
    world.configure(backup_executor="inline")
    try:
        world.end_worker()
        run = good(world.back_up(timeout=120))
        assert run["attempt"] == 1
        assert world.worker() is None
    finally:
        world.configure(backup_executor="process")


def command_line(pid):
    """Return what every user of the machine can read of a process; nothing once it has ended."""
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""
