"""The S3 destination and servers, networks and neighbours that fail: what is left each time."""

import threading

import pytest
import servers_s3
from devenv.processes import free_port
from engine.destinations import s3_bucket, s3_parts
from engine.errors import BackupError, DestinationFailed, Immutable, NoSpace
from s3_archives import (
    BEGINNING,
    CATALOGUE,
    COMPLETION,
    CONTENT,
    LARGE,
    NOTHING,
    OWNER,
    PART,
    PATH,
    PUBLISHED,
    behind,
    canned,
    fails,
    publish,
    state,
    when,
)
from waiting import PATIENCE, beside, joined, until


@pytest.fixture
def destination(proxy, monkeypatch):
    monkeypatch.setattr(s3_bucket, "ATTEMPTS", 3)
    # What has to work may take its time: only who waits for a server that hangs is in a hurry.
    monkeypatch.setattr(s3_bucket, "HASTY_TIMEOUT", PATIENCE)
    return behind(proxy.url)


# --- on the way ---------------------------------------------------------------------------------


def test_a_short_storm_of_503_is_sat_out(server, proxy, destination):
    proxy.fault = when("PUT", PART, canned(503, "SlowDown"), times=2)
    publish(destination)
    assert state(server) == PUBLISHED


def test_a_long_storm_of_503_is_a_failure_that_says_so_and_leaves_nothing(
    server, proxy, destination
):
    proxy.fault = when("PUT", PART, canned(503, "SlowDown"))
    fails(destination, "overloaded", LARGE)
    assert state(server) == NOTHING


def test_a_part_whose_connection_broke_is_sent_again(server, proxy, destination):
    def break_off(handler):
        handler.rfile.read(100_000)
        handler.break_off()

    proxy.early = when("PUT", PART, break_off, times=1)
    publish(destination, LARGE)
    assert state(server) == ({PATH: LARGE, f"{PATH}.json": CATALOGUE}, [])
    assert proxy.count("PUT", PART) == 4


def test_a_server_that_says_nothing_is_a_failure(server, proxy, destination, monkeypatch):
    proxy.early = when("PUT", PART, servers_s3.ProxyHandler.hang)
    upload = destination.begin(PATH, OWNER, "token")
    # From now on, and for the parts alone.
    monkeypatch.setattr(s3_bucket, "READ_TIMEOUT", 0.5)
    upload._bucket.close()
    upload.write(CONTENT)
    with pytest.raises(DestinationFailed, match="stopped answering"):
        upload.flush()
    upload.abort()
    assert state(server) == NOTHING


@pytest.mark.parametrize("waits_in", ["write", "flush"])
def test_an_abort_ends_a_write_that_hangs(
    server, proxy, destination, monkeypatch, waits_in
):
    monkeypatch.setattr(s3_parts, "ENDING", 0.5)
    proxy.early = when("PUT", PART, servers_s3.ProxyHandler.hang)
    upload, errors = destination.begin(PATH, OWNER, "token"), []

    def bring():
        try:
            for _part in range(s3_parts.StreamSource.parallel + 2 if waits_in == "write" else 1):
                upload.write(bytes(s3_parts.FIRST_PART))
            upload.flush()
        except BackupError as error:
            errors.append(error)

    follower = beside(bring)
    until(lambda: proxy.count("PUT", PART))
    upload.abort()
    joined(follower)
    assert "was ended" in errors[0].message
    assert state(server) == NOTHING


def test_after_an_abort_nothing_more_is_sent(server, proxy, destination, monkeypatch):
    """boto3 would try again for seconds."""
    monkeypatch.setattr(s3_parts, "ENDING", PATIENCE)
    asked, ended, before = threading.Event(), threading.Event(), threads_of_parts()

    def refuse(handler):
        asked.set()
        ended.wait(PATIENCE)
        canned(503, "SlowDown")(handler)

    proxy.fault = when("PUT", PART, refuse)
    upload = destination.begin(PATH, OWNER, "token")
    upload.write(bytes(s3_parts.FIRST_PART))
    assert asked.wait(PATIENCE)
    ending = beside(upload.abort)
    until(upload._parts._ended.is_set)
    ended.set()
    joined(ending)
    # Those of other tests may still wait for what hangs.
    assert threads_of_parts() <= before
    # The second try comes to nothing, and a third is not made.
    assert proxy.count("PUT", PART) < 3
    assert state(server) == NOTHING


def threads_of_parts():
    return {each for each in threading.enumerate() if each.name == s3_parts.THREAD}


def test_an_abort_is_not_held_up_by_a_server_that_is_gone(server, proxy, destination, monkeypatch):
    upload = destination.begin(PATH, OWNER, "token")
    proxy.early = when("DELETE", "", servers_s3.ProxyHandler.hang)
    monkeypatch.setattr(s3_bucket, "HASTY_TIMEOUT", 0.5)
    with pytest.raises(DestinationFailed, match="stopped answering"):
        upload.abort()
    monkeypatch.setattr(s3_bucket, "HASTY_TIMEOUT", PATIENCE)
    # What is left is found by the next one.
    proxy.early = None
    destination.delete(PATH, OWNER)
    assert state(server) == NOTHING


def test_a_server_that_is_killed_is_a_failure_and_no_hang(monkeypatch):
    monkeypatch.setattr(s3_bucket, "ATTEMPTS", 2)
    with servers_s3.S3Server() as server:
        server.make_bucket()
        upload = behind(server.url).begin(PATH, OWNER, "token")
        upload.write(bytes(s3_parts.FIRST_PART))
        server.kill()
        with pytest.raises(DestinationFailed, match="cannot be reached|connection broke"):
            upload.write(LARGE)
            upload.flush()
        with pytest.raises(DestinationFailed, match="cannot be reached"):
            upload.abort()


def lose(handler):
    """The server does what it is asked for, and its answer gets lost."""
    handler.hand_on(handler.body())
    handler.break_off()


def test_an_upload_that_is_begun_twice_is_open_once(server, proxy, destination):
    proxy.early = when("POST", BEGINNING, lose, times=1)
    publish(destination)
    assert state(server) == PUBLISHED


def test_an_upload_whose_beginning_was_never_answered_may_be_open(server, proxy, destination):
    proxy.early = when("POST", BEGINNING, lose)
    with pytest.raises(DestinationFailed, match="connection broke") as failed:
        destination.begin(PATH, OWNER, "token")
    assert server.uploads()
    assert failed.value.in_order is False


# --- the completion -----------------------------------------------------------------------------


@pytest.mark.parametrize("step", [COMPLETION, r"json$"], ids=["archive", "catalogue"])
def test_an_answer_that_was_lost_is_no_failure(server, proxy, destination, step):
    """The server has done it; asked again, it says that there is no upload, or something else."""
    method = "POST" if step == COMPLETION else "PUT"
    proxy.early = when(method, step, lose, times=1)
    proxy.fault = when("POST", COMPLETION, canned(404, "NoSuchUpload"))
    if step != COMPLETION:
        proxy.fault = None
    publish(destination)
    assert state(server) == PUBLISHED


@pytest.mark.parametrize(
    ("method", "step"), [("POST", COMPLETION), ("PUT", r"json$")], ids=["archive", "catalogue"]
)
def test_a_commit_that_fails_leaves_nothing(server, proxy, destination, method, step):
    proxy.fault = when(method, step, canned(500, "InternalError"))
    fails(destination, "cannot be stored")
    assert state(server) == NOTHING


def test_without_leave_to_delete_uploads_a_copy_is_stored_all_the_same(server, proxy, destination):
    proxy.fault = when("GET", r"\?uploads", canned(403, "AccessDenied"))
    publish(destination)
    assert state(server) == PUBLISHED


# --- what servers say ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "RequestTimeTooSkewed", "clock of this machine"),
        (301, "PermanentRedirect", "another region"),
        (400, "AuthorizationHeaderMalformed", "another region"),
        (400, "InvalidStorageClass", "storage class"),
        (403, "AccessDenied", "may not do that"),
        (404, "NoSuchUpload", "somebody else ended the upload"),
        (400, "BadDigest", "changed on their way"),
        (418, "Teapot", "Teapot: Said by the server"),
    ],
)
def test_what_a_server_says_is_told_with_what_to_do(
    server, proxy, destination, status, code, message
):
    proxy.fault = when("PUT", PART, canned(status, code))
    with pytest.raises(DestinationFailed, match=message) as caught:
        publish(destination)
    assert caught.value.hint
    assert caught.value.retryable
    assert state(server) == NOTHING


def test_a_lock_that_only_the_refusal_tells_of_is_told_as_one(server, proxy, destination):
    publish(destination)
    message = "Object is WORM protected and cannot be overwritten"
    proxy.fault = when("DELETE", r"zip$", canned(403, "AccessDenied", message))
    with pytest.raises(Immutable, match="is locked"):
        destination.delete(PATH, OWNER)
    assert state(server) == PUBLISHED


def test_a_full_server_is_told_as_one(server, proxy, destination):
    proxy.fault = when("PUT", PART, canned(507, "XMinioStorageFull"))
    with pytest.raises(NoSpace, match="destination is full"):
        publish(destination)
    assert state(server) == NOTHING


def test_a_lock_that_the_bucket_cannot_keep_is_told_before_anything_is_sent(proxy, monkeypatch):
    message = "Bucket is missing Object Lock Configuration"
    proxy.fault = when("POST", r"\?uploads", canned(400, "InvalidRequest", message))
    destination = behind(proxy.url, lock_mode="COMPLIANCE", lock_days=1)
    with pytest.raises(DestinationFailed, match="has no Object Lock"):
        destination.begin(PATH, OWNER, "token")


def test_a_server_that_does_not_speak_tls_is_told(server, monkeypatch):
    monkeypatch.setattr(s3_bucket, "ATTEMPTS", 1)
    with pytest.raises(DestinationFailed, match="certificate|TLS|connection broke"):
        behind(server.url.replace("http:", "https:")).check()


def test_a_server_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(s3_bucket, "ATTEMPTS", 1)
    with pytest.raises(DestinationFailed, match="cannot be reached"):
        behind(f"http://127.0.0.1:{free_port()}").check()


# --- what is no S3 server -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 206, 400, 403, 404, 418])
@pytest.mark.parametrize(
    "body",
    [b"internal-token", b"<html><p>internal-token</p></html>", b"<html>internal-token",
     b'{"key": "internal-token"}', b"<r><RequestId>1</RequestId><a>internal-token</a></r>"],
)  # fmt: skip
def test_what_another_server_says_is_read_by_nobody(proxy, destination, status, body):
    """Whoever enters an address is not to read what answers there, behind the firewall perhaps."""
    proxy.fault = lambda handler: handler.answer(status, body=body) or True
    for act in (destination.check, lambda: publish(destination)):
        with pytest.raises(BackupError) as raised:
            act()
        assert "internal-token" not in str(raised.value.as_dict())
