"""The S3 destination: what has the final name is complete, ours, and what the server says it is."""

import contextlib
import json
import subprocess
import sys
import tempfile

import places
import pytest
import servers_s3
from engine.destinations import s3_bucket, s3_parts
from engine.destinations.s3 import S3Destination
from engine.destinations.s3_parts import MIB, part_size
from engine.errors import DestinationFailed
from engine.spool import Spool
from s3_archives import CATALOGUE, CONTENT, LARGE, OWNER, PATH, at, publish, put, state

NEITHER_OBJECT = pytest.mark.parametrize(
    "existing",
    [
        {"": b"somebody's"},
        {"": b"somebody's", ".json": b'{"run": "uuid/2"}'},
        {".json": b'{"run": "uuid/2"}'},
        {"": b"somebody's", ".json": b"\xff\xfe"},
    ],
    ids=["no catalogue", "another's", "its catalogue alone", "not text"],
)
KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from engine.destinations.s3 import S3Destination
upload = S3Destination("backups", endpoint_url=sys.argv[2], path_style=True, access_key="a",
                       secret_key="b").begin(sys.argv[3], sys.argv[4], "killed")
upload.write(bytes(9 << 20))
print("sent", flush=True)
sys.stdin.read()
"""


# --- the way of an archive ----------------------------------------------------------------------


@pytest.mark.parametrize("where", ["spool", "memory"])
def test_a_commit_publishes_the_archive_and_before_it_there_is_no_name(
    server, destination, tmp_path, where
):
    with contextlib.ExitStack() as stack:
        spool = stack.enter_context(Spool(str(tmp_path), "x")) if where == "spool" else None
        upload = destination.begin(PATH, OWNER, "run-1-1", spool)
        for begin in range(0, len(LARGE), 3 * MIB):
            block = LARGE[begin : begin + 3 * MIB]
            if spool:
                spool.write(block)
            upload.write(memoryview(block))
        upload.flush()
        assert state(server) == ({}, [PATH])
        upload.commit(CATALOGUE)
        upload.abort()
    assert state(server) == ({PATH: LARGE, f"{PATH}.json": CATALOGUE}, [])
    assert destination.stat(PATH) == len(LARGE)
    assert b"".join(bytes(block) for block in destination.read(PATH)) == LARGE
    assert list(destination.catalogues()) == [(PATH, json.loads(CATALOGUE))]


def test_large_parts_of_a_stream_wait_in_files_and_not_in_memory(server, destination, monkeypatch):
    made, real = [], tempfile.TemporaryFile

    def make_file():
        made.append(real())
        return made[-1]

    monkeypatch.setattr(s3_parts, "MEMORY_PART", MIB)
    monkeypatch.setattr(s3_parts.tempfile, "TemporaryFile", make_file)
    publish(destination, LARGE)
    assert server.objects()[PATH] == LARGE
    assert len(made) == 3
    assert all(file.closed for file in made)


def test_an_abort_leaves_nothing_and_may_come_twice(server, destination):
    upload = destination.begin(PATH, OWNER, "run-1-1")
    upload.write(LARGE)
    upload.flush()
    upload.abort()
    upload.abort()
    assert state(server) == ({}, [])
    with pytest.raises(Exception, match="was ended"):
        upload.write(LARGE)


def test_an_archive_without_a_byte_is_one_too(server, destination):
    publish(destination, b"")
    assert state(server) == ({PATH: b"", f"{PATH}.json": CATALOGUE}, [])
    assert list(destination.read(PATH)) == []


def test_everything_lies_below_the_prefix(server):
    destination = at(server, prefix="/odoo/backups/")
    put(server, {"": b"", ".json": b"{}"}, "odoo/backups-2/x.zip")
    publish(destination)
    assert f"odoo/backups/{PATH}" in server.objects()
    assert [path for path, _catalogue in destination.catalogues()] == [PATH]
    destination.delete(PATH, OWNER)
    assert set(server.objects()) == {"odoo/backups-2/x.zip", "odoo/backups-2/x.zip.json"}


def test_a_commit_replaces_what_an_earlier_attempt_of_the_run_published(server, destination):
    put(server, {"": b"lost attempt's", ".json": CATALOGUE})
    publish(destination)
    assert server.objects()[PATH] == CONTENT


def test_it_speaks_as_aws_wants_it_where_that_is_the_server(server, monkeypatch):
    monkeypatch.setattr(s3_bucket.Bucket, "_is_aws", lambda _self: True)
    publish(at(server), LARGE)
    assert state(server) == ({PATH: LARGE, f"{PATH}.json": CATALOGUE}, [])


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_over_tls_the_certificate_is_verified_unless_that_is_switched_off():
    with servers_s3.S3Server(tls=True) as server:
        server.make_bucket()
        with pytest.raises(DestinationFailed, match="certificate of the server is not valid"):
            at(server).check()
        destination = at(server, verify_tls=False)
        assert "not verified" in destination.check()["warnings"][0]
        publish(destination, LARGE)
        assert b"".join(destination.read(PATH)) == LARGE


def test_class_and_encryption_are_the_chosen_ones_and_the_catalogue_can_be_read(server):
    destination = at(server, storage_class="STANDARD_IA", sse="aws:kms", kms_key="alias/x")
    publish(destination)
    archive = server.client().head_object(Bucket=servers_s3.BUCKET, Key=PATH)
    catalogue = server.client().head_object(Bucket=servers_s3.BUCKET, Key=f"{PATH}.json")
    assert archive["StorageClass"] == "STANDARD_IA"
    assert "StorageClass" not in catalogue
    assert catalogue["ServerSideEncryption"] == "aws:kms"
    assert catalogue["SSEKMSKeyId"] == "alias/x"


@pytest.mark.parametrize("host", ["", "x.r2.cloudflarestorage.com"])
def test_parts_are_such_that_5_tib_are_reached(host):
    """R2 wants parts of one size: it ends at 1 TB there."""
    sent, sizes, last = 0, [], (5 << 40) if not host else 10**12
    while sent < last:
        sizes.append(min(part_size(sent, host), last - sent))
        sent += sizes[-1]
    assert len(sizes) <= 10000
    assert 5 * MIB <= max(sizes) <= 5 << 30
    assert not host or len(set(sizes[:-1])) == 1


# --- what is not ours ---------------------------------------------------------------------------


@NEITHER_OBJECT
def test_what_another_wrote_is_neither_replaced_nor_deleted(server, destination, existing):
    upload = destination.begin(PATH, OWNER, "run-1-1")
    upload.write(CONTENT)
    upload.flush()
    put(server, existing)
    before = server.objects()
    for attempt in (
        lambda: upload.commit(CATALOGUE),
        lambda: destination.begin(PATH, OWNER, "run-1-2"),
        lambda: destination.delete(PATH, OWNER),
    ):
        with pytest.raises(DestinationFailed, match="not written by this run"):
            attempt()
    upload.abort()
    assert state(server) == (before, [])


def test_of_two_uploaders_that_looked_before_either_wrote_only_one_publishes(
    server, destination, monkeypatch
):
    """The server itself compares: here the second one looks before the first one writes."""
    upload = destination.begin(PATH, OWNER, "run-1-1")
    upload.write(CONTENT)
    upload.flush()
    monkeypatch.setattr("engine.destinations.s3_upload.standing_at", lambda *_: ("", ""))
    for existing in ({"": b"x", ".json": b'{"run": "uuid/2"}'}, {"": b"x"}):
        put(server, existing)
        before = server.objects()
        with pytest.raises(DestinationFailed, match="not written by this run"):
            upload.commit(CATALOGUE)
        assert server.objects() == before
        for key in before:
            server.client().delete_object(Bucket=servers_s3.BUCKET, Key=key)
    upload.abort()


def test_of_two_uploads_to_one_key_the_first_is_told_and_the_second_gets_there(server, destination):
    first = destination.begin(PATH, "uuid/2", "run-2-1")
    publish(destination)
    # Where others say NoSuchUpload, moto says 500.
    with pytest.raises(DestinationFailed, match=r"Part \d+ of .* cannot be uploaded"):
        first.write(LARGE)
        first.flush()
    first.abort()
    assert state(server) == ({PATH: CONTENT, f"{PATH}.json": CATALOGUE}, [])


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", ".", "", "a/..", "a//x"])
def test_no_path_leads_out_of_the_prefix(path):
    destination = S3Destination("b", prefix="x")
    for attempt in (
        lambda: destination.begin(path, OWNER, "token"),
        lambda: destination.delete(path, OWNER),
        lambda: destination.stat(path),
    ):
        with pytest.raises(DestinationFailed, match="leads out"):
            attempt()


# --- deleting, and what killed attempts left ----------------------------------------------------


def test_deleting_leaves_the_neighbours_and_may_come_twice(server, destination):
    neighbours = {f"{PATH}2": b"2", PATH[:-4] + "-2.zip": b"3", f"{PATH}.age": b"4"}
    for key, content in neighbours.items():
        put(server, {"": content}, key)
    put(server, {"": CONTENT, ".json": CATALOGUE})
    neighbour = server.client().create_multipart_upload(Bucket=servers_s3.BUCKET, Key=f"{PATH}2")
    for _time in range(2):
        destination.delete(PATH, OWNER)
        assert state(server) == (neighbours, [f"{PATH}2"])
    assert neighbour["UploadId"]


def test_a_catalogue_that_a_killed_deletion_left_is_no_archive_and_goes(server, destination):
    put(server, {".json": CATALOGUE})
    assert list(destination.catalogues()) == []
    destination.delete(PATH, OWNER)
    assert server.objects() == {}


def test_a_catalogue_that_is_none_is_told_as_none(server, destination):
    put(server, {"": CONTENT, ".json": b"[]"})
    put(server, {"": CONTENT}, "Shop/db/without.zip")
    assert list(destination.catalogues()) == [(PATH, None)]


@pytest.mark.parametrize("step", ["begin", "delete"])
def test_the_upload_of_a_killed_process_goes(server, destination, step):
    command = [sys.executable, "-c", KILLED, places.ADDON, server.url, PATH, OWNER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"sent\n"
        process.kill()
    assert state(server) == ({}, [PATH])
    if step == "begin":
        publish(destination)
        assert state(server) == ({PATH: CONTENT, f"{PATH}.json": CATALOGUE}, [])
    else:
        destination.delete(PATH, OWNER)
        assert state(server) == ({}, [])
