"""Object stores through rclone: the stream stays open, and the object appears with the commit."""


import pytest
import servers_rclone
import servers_s3
from engine.destinations.rclone import RcloneDestination
from engine.errors import DestinationFailed
from rclone_uploads import CATALOGUE, CONTENT, OWNER, PATH, begin, needs_rclone, send
from waiting import until

pytestmark = needs_rclone



@pytest.fixture(scope="module")
def object_store():
    """moto's server. Its bucket keeps versions: without, moto tells rclone of a version "null"
    that it does not know afterwards."""
    with servers_s3.S3Server() as server:
        server.make_bucket()
        server.client().put_bucket_versioning(
            Bucket=servers_s3.BUCKET, VersioningConfiguration={"Status": "Enabled"}
        )
        yield server


@pytest.fixture
def in_bucket(object_store):
    config = servers_rclone.section(
        "there",
        type="s3",
        provider="Other",
        endpoint=object_store.url,
        region=servers_s3.REGION,
        access_key_id=servers_s3.KEYS["access_key"],
        secret_access_key=servers_s3.KEYS["secret_key"],
        chunk_size="5Mi",
    )
    return RcloneDestination(config, "there", servers_s3.BUCKET)


def send_twelve(upload):
    send(upload, blocks=12)
    upload.flush()


def test_in_an_object_store_the_object_appears_with_the_commit(in_bucket, object_store):
    upload = begin(in_bucket)
    send_twelve(upload)
    assert object_store.objects() == {}
    assert object_store.uploads() == [PATH]
    upload.commit(CATALOGUE)
    upload.abort()
    assert object_store.objects() == {PATH: 12 * CONTENT, f"{PATH}.json": CATALOGUE}
    assert in_bucket.stat(PATH) == 12 * len(CONTENT)
    in_bucket.delete(PATH, OWNER)
    assert (object_store.objects(), object_store.uploads()) == ({}, [])


def test_an_abort_leaves_no_open_upload_in_an_object_store(in_bucket, object_store):
    upload = begin(in_bucket)
    send_twelve(upload)
    assert object_store.uploads() == [PATH]
    upload.abort()
    assert (object_store.objects(), object_store.uploads()) == ({}, [])


@pytest.mark.parametrize("step", ["begin", "delete"])
def test_the_open_upload_of_a_killed_rclone_is_ended_by_the_next(in_bucket, object_store, step):
    upload = begin(in_bucket)
    send_twelve(upload)
    upload._child._process.kill()
    upload._child._process.wait()
    assert object_store.uploads() == [PATH]
    if step == "begin":
        begin(in_bucket).abort()
    else:
        in_bucket.delete(PATH, OWNER)
    upload._ended = True
    upload.abort()
    assert (object_store.objects(), object_store.uploads()) == ({}, [])


def test_a_second_uploader_at_one_path_is_refused_and_leaves_nothing(in_bucket, object_store):
    first, second = begin(in_bucket), begin(in_bucket, owner="uuid/2")
    send(second, 1)
    second.commit(b'{"run": "uuid/2"}')
    second.abort()
    send(first, 1)
    with pytest.raises(DestinationFailed, match="not written by this run"):
        first.commit(CATALOGUE)
    first.abort()
    assert object_store.objects() == {PATH: CONTENT, f"{PATH}.json": b'{"run": "uuid/2"}'}
    assert object_store.uploads() == []
    in_bucket.delete(PATH, "uuid/2")


def test_a_process_that_is_killed_publishes_no_half_archive(in_bucket, object_store):
    """The end of rclone's input would be the end of an archive to it."""

    def work():
        upload = begin(in_bucket)
        send_twelve(upload)
        until(lambda: object_store.uploads() == [PATH])
        return upload

    servers_rclone.killed_after(work)
    until(lambda: not servers_rclone.programs_running(PATH))
    assert (object_store.objects(), object_store.uploads()) == ({}, [])


def test_a_commit_that_fails_leaves_nothing(in_bucket, object_store):
    upload = begin(in_bucket)
    send_twelve(upload)
    upload._child._process.kill()
    with pytest.raises(DestinationFailed):
        upload.commit(CATALOGUE)
    upload.abort()
    assert (object_store.objects(), object_store.uploads()) == ({}, [])
