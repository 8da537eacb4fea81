"""One job, every kind of destination, each a real server: what comes to rest, and what happens when
one of them is away."""

import hashlib
import os
import pathlib
import signal

import pytest
import servers_s3
import storage
from proxy import Proxy
from test_archives import ended, read_again

SLOW_DEATH = 90  # seconds in which a run ends although a destination hangs


@pytest.fixture(scope="module")
def made():
    """The ids of the destinations, by kind: no two may lie at one place, so they are made once."""
    return {}


@pytest.fixture
def places(world, s3, sftp, webdav, made):
    """Every kind of destination, each checked as its form's button does."""
    if not made:
        made.update(storage.make_all(world, s3.url, sftp, webdav))
    others = [destination for kind, destination in made.items() if kind != "local"]
    world.call("destination", "write", others, {"active": True})
    yield made
    world.call("destination", "write", others, {"active": False})


def copies_by_place(world, run, places):
    names = {destination: kind for kind, destination in places.items()}
    return {names[copy["destination_id"][0]]: copy for copy in world.copies(run)}


def test_an_archive_comes_to_rest_in_each_and_is_read_back_from_each(world, places, s3):
    run = world.back_up(destination_ids=[[6, 0, list(places.values())]])
    assert (run["status"], run["stored_copies"]) == ("verified", 4), run["log"]
    copies = copies_by_place(world, run["id"], places)
    assert {copy["sha256"] for copy in copies.values()} == {run["sha256"]}
    key = copies["s3"]["path"]
    content = s3.client().get_object(Bucket=servers_s3.BUCKET, Key=key)["Body"].read()
    assert hashlib.sha256(content).hexdigest() == run["sha256"]
    assert s3.uploads() == [], "No multipart upload is left open"

    read = read_again(world, run, timeout=120)
    assert (read["status"], read["verification_level"]) == ("verified", "3"), read["log"]
    assert all(copy["read_at"] for copy in world.copies(run["id"]))


def test_a_restore_takes_the_archive_from_the_bucket(world, places, cluster):
    run = world.back_up(destination_ids=[[6, 0, [places["s3"]]]])
    name = f"s3-{run['id']}"
    restore = world.call("run", "restore", [run["id"]], name)
    try:
        done = world.wait_until(lambda: ended(world, restore), 120, "the restore came to an end")
        assert done["status"] == "done", (done["error"], done["hint"])
        assert name in cluster.databases()
    finally:
        cluster.drop(name)


def test_a_destination_that_is_away_costs_the_others_nothing_and_gets_its_copy_later(
    world, places, sftp, s3
):
    wanted = [places["local"], places["sftp"]]
    sftp.stop()
    run = world.back_up(destination_ids=[[6, 0, wanted]])
    assert (run["status"], run["stored_copies"]) == ("verified", 1), run["log"]
    missed = copies_by_place(world, run["id"], places)["sftp"]
    assert missed["status"] == "failed"
    assert missed["error_code"] in ("connection_failed", "destination_failed"), missed
    assert missed["next_attempt_at"]

    sftp.start()
    world.call("copy", "retry", [missed["id"]])
    world.wait_until(
        lambda: copies_by_place(world, run["id"], places)["sftp"]["status"] == "stored",
        60, "the copy was made from the other one",
    )  # fmt: skip
    assert read_again(world, run, timeout=120)["status"] == "verified"


def test_a_destination_that_hangs_does_not_keep_an_archive_from_its_name(world, places, webdav):
    wanted = [[6, 0, [places["local"], places["rclone"]]]]
    webdav.stop()
    try:
        run = world.run_now(destination_ids=wanted)
        world.wait_until(
            lambda: copies_by_place(world, run, places)["local"]["status"] == "stored",
            SLOW_DEATH, "the archive is at rest in the folder",
        )  # fmt: skip
        assert copies_by_place(world, run, places)["rclone"]["status"] != "stored"
    finally:
        webdav.resume()
    done = world.wait_for(run, timeout=120)
    assert done["status"] == "verified"


def test_retention_deletes_in_each_kind(world, places, s3):
    job = world.create_job(
        world.create_instance(), retention_mode="keep_last_n", retention_value=1,
        destination_ids=[[6, 0, list(places.values())]],
    )  # fmt: skip
    runs = []
    for _time in range(2):
        (run,) = world.call("job", "run_now", [job])
        runs.append(world.wait_for(run, timeout=120))
    old, new = runs
    gone = copies_by_place(world, old["id"], places)["s3"]["path"]
    world.wait_until(
        lambda: {copy["status"] for copy in world.copies(old["id"])} == {"deleted"},
        90, "the older archive is gone everywhere",
    )  # fmt: skip
    keys = s3.objects()
    assert gone not in keys
    assert copies_by_place(world, new["id"], places)["s3"]["path"] in keys


def test_an_engine_that_is_killed_while_it_uploads_leaves_nothing_anywhere(
    world, places, s3, sftp, remote
):
    both = [places["s3"], places["sftp"]]
    before = s3.objects()
    # What does not come to its end is uploaded until it stops, and not published.
    with Proxy(remote.port, stall_at=30_000_000) as proxy:
        run = world.run_now(proxy.url, destination_ids=[[6, 0, both]])
        world.wait_until(s3.uploads, 90, "a multipart upload is open")
        os.kill(world.engine(), signal.SIGKILL)
        lost = world.wait_for(run, timeout=120)
    assert (lost["status"], lost["error_code"]) == ("failed", "worker_lost")
    world.wait_until(
        lambda: {copy["status"] for copy in world.copies(run)} == {"failed"},
        90, "what it left was removed",
    )  # fmt: skip
    assert s3.uploads() == []
    assert s3.objects() == before
    left = [path for path in pathlib.Path(sftp.home).rglob("*") if path.suffix == ".part"]
    assert left == []
