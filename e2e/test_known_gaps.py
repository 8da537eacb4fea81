"""A server that has lacked files for years: it gets good archives once somebody accepts that."""

import pytest
from devenv.seed import Seed
from world import good

DATABASE = "gaps"
CONTENT = Seed(modules=("base", "web"), attachments=40, megabytes=1)


@pytest.fixture
def files(cluster, remote):
    """Return the files of the filestore of a database whose attachments are a year old."""
    cluster.drop(DATABASE)
    CONTENT.create(remote, DATABASE)
    cluster.psql(
        "UPDATE ir_attachment SET create_date = create_date - interval '1 year', "
        "write_date = write_date - interval '1 year'",
        DATABASE,
    )
    yield sorted(remote.filestore(DATABASE).glob("[0-9a-f][0-9a-f]/*"))
    cluster.drop(DATABASE)


def job_on(world, instance):
    world.call("instance", "test_connection", [instance])
    database = world.call(
        "database", "search", [["instance_id", "=", instance], ["name", "=", DATABASE]]
    )
    values = {"database_scope": "selected", "database_ids": [[6, 0, database]]}
    return world.create_job(instance, **values), database


def run_again(world, job):
    (run,) = world.call("job", "run_now", [job])
    return world.wait_for(run)


def known_gaps(world, database):
    found = world.call("known.gap", "search_read", [["database_id", "in", database]])
    return sorted((gap["name"], gap["kind"]) for gap in found)


def name_of(file):
    return f"{file.parent.name}/{file.name}"


def test_known_gaps_from_the_run_that_finds_them_to_the_file_that_is_back(world, files):
    lost, rotten, other = files[:3]
    content = lost.read_bytes()
    lost.unlink()
    rotten.write_bytes(b"rotten")
    job, database = job_on(world, world.create_instance())

    found = run_again(world, job)
    assert (found["status"], found["error_code"]) == ("verify_failed", "inconsistent")
    assert found["gap_count"] == 2
    assert found["is_first_archive"]
    done = world.call("run", "accept_gaps", [found["id"]])
    assert done == {"missing": 1, "damaged": 1, "good_run_ids": [found["id"]]}
    good(world.run(found["id"]))
    expected = sorted([(name_of(lost), "missing"), (name_of(rotten), "damaged")])
    assert known_gaps(world, database) == expected

    run = good(run_again(world, job))
    assert run["known_gap_count"] == 2
    assert any("2 known gaps" in note for note in run["verification_report"]["notes"])
    world.call("run", "verify", [run["id"]])
    again = world.wait_for(run["id"], work=False, verification_requested_at=False)
    assert good(again)["known_gap_count"] == 2

    other.unlink()
    worse = run_again(world, job)
    assert (worse["status"], worse["gap_count"]) == ("verify_failed", 1)
    assert name_of(other) in worse["error"]
    assert name_of(lost) not in worse["error"]

    lost.write_bytes(content)
    world.call("run", "accept_gaps", [worse["id"]])
    good(run_again(world, job))
    expected = sorted([(name_of(rotten), "damaged"), (name_of(other), "missing")])
    assert known_gaps(world, database) == expected
