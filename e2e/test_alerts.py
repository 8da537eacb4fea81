"""Alerts with a real server, a real worker, and somebody who writes down what is posted there."""

import datetime
import json
import os
import signal

import pytest
from world import MASTER_PASSWORD

# Enough for a look of the dispatcher that nothing woke, and the minute before a second attempt.
SOON = 240


@pytest.fixture
def channel(world, recorder):
    (channel,) = world.call(
        "alert.channel", "create",
        [{"name": "Recorder", "kind": "webhook", "url": f"{recorder.url}/hook/hush-hush"}],
    )  # fmt: skip
    yield channel
    world.call("alert.channel", "unlink", [channel])


def now():
    """Return the second that it is, as Odoo tells it."""
    return f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M:%S}"


def events(recorder):
    return [json.loads(body) for body in recorder.of("/hook/hush-hush")]


def psql(world, sql):
    world.server.cluster.psql(sql, world.database, world.server.role)


def test_a_wrong_password_is_told_once_and_its_end_once(world, recorder, channel):
    instance = world.create_instance(master_password="wrong")
    job = world.create_job(instance, ping_url=f"{recorder.url}/ping/hush-hush")
    for _time in range(3):
        (run,) = world.call("job", "run_now", [job])
        assert world.wait_for(run)["status"] == "failed"
        # The next one is a fire of its own: they are told apart by the second.
        world.wait_until(lambda run=run: now() > world.run(run)["scheduled_at"], SOON, "a second")
    world.wait_until(lambda: recorder.of("/ping/hush-hush/fail"), SOON, "the fail ping")
    world.wait_until(lambda: events(recorder), SOON, "the alert")
    world.call("instance", "write", [instance], {"master_password": MASTER_PASSWORD})
    (run,) = world.call("job", "run_now", [job])
    assert world.wait_for(run)["status"] == "verified"
    world.wait_until(lambda: len(events(recorder)) > 1, SOON, "the recovery")
    world.wait_until(lambda: recorder.of("/ping/hush-hush"), SOON, "the success ping")
    opened, recovered = events(recorder)
    assert (opened["event"], recovered["event"]) == ("opened", "recovered")
    assert opened["incidents"][0]["error_code"] == "wrong_master_password"
    assert recovered["incidents"][0]["runs"] == 3
    # A ping for the start and the end of each fire.
    assert len(recorder.of("/ping/hush-hush/start")) == 4
    assert len(recorder.of("/ping/hush-hush/fail")) == 3
    assert "master password" in recorder.of("/ping/hush-hush/fail")[0]
    assert len(set(recorder.keys)) == len(recorder.keys)
    assert "hush" not in world.server.log.read_text()


def test_a_job_that_makes_no_backups_is_told_of_as_late(world, recorder, channel):
    job = world.create_job(world.create_instance(name="Quiet"), max_age=1)
    (run,) = world.call("job", "run_now", [job])
    world.wait_for(run, statuses=("verified",))
    psql(
        world,
        f"UPDATE backup_run SET finished_at = finished_at - interval '2 hours' WHERE id = {run};"
        f"UPDATE backup_job SET promised_since = now() - interval '9 days' WHERE id = {job};"
        "UPDATE backup_database SET create_date = now() - interval '9 days'",
    )
    domain = [["code", "=", "model._cron_watch()"]]
    world.rpc.call("ir.cron", "method_direct_trigger", world.rpc.call("ir.cron", "search", domain))
    world.wait_until(lambda: events(recorder), SOON, "the alert")
    (event,) = events(recorder)
    assert event["incidents"][0]["kind"] == "late"


def test_a_worker_that_is_killed_in_the_middle_of_sending_sends_it_once_more(
    world, recorder, channel
):
    recorder.answers.clear()
    instance = world.create_instance(name="Killed", master_password="wrong")
    (run,) = world.call("job", "run_now", [world.create_job(instance)])
    world.wait_until(lambda: events(recorder), SOON, "the first sending")
    for pid in (world.worker(), world.engine()):
        pid and os.kill(pid, signal.SIGKILL)
    recorder.answers.set()
    psql(
        world,
        "UPDATE backup_task SET lease_until = now() - interval '1 day' WHERE kind = 'notify'",
    )
    world.wait_until(lambda: len(events(recorder)) == 2, SOON, "the second sending")
    assert len(set(recorder.keys)) == 1
    assert world.run(run)["status"] == "failed"
