"""The S3 destination: what the server allows, locks and keeps, and what it is told apart from."""

import sys

import pytest
import servers_s3
from engine.destinations import s3_bucket
from engine.destinations.s3 import S3Destination
from engine.errors import ArchiveMissing, DestinationFailed, Immutable, LibraryMissing
from s3_archives import CATALOGUE, CONTENT, OWNER, PATH, at, publish, put, state

# --- versions and locks -------------------------------------------------------------------------


def test_where_the_bucket_keeps_versions_what_is_deleted_is_gone(server, destination):
    configuration = {"Status": "Enabled"}
    server.client().put_bucket_versioning(
        Bucket=servers_s3.BUCKET, VersioningConfiguration=configuration
    )
    publish(destination, b"first attempt")
    details = publish(destination)
    assert details["version"]
    destination.delete(PATH, OWNER, details["version"])
    assert PATH not in server.versions()
    assert server.objects() == {}


def test_what_is_locked_says_until_when_and_stays(server):
    server.reset()
    server.make_bucket(lock=True)
    destination = at(server, lock_mode="COMPLIANCE", lock_days=3)
    destination.check()
    details = publish(destination)
    head = server.client().head_object(Bucket=servers_s3.BUCKET, Key=PATH)
    until = head["ObjectLockRetainUntilDate"]
    assert details["immutable_until"] == until.isoformat(timespec="seconds")
    # Hidden by somebody, it is still there: the recorded version tells.
    for hide in (False, True):
        if hide:
            server.client().delete_object(Bucket=servers_s3.BUCKET, Key=PATH)
        with pytest.raises(Immutable, match=until.strftime("%Y-%m-%d")):
            destination.delete(PATH, OWNER, details["version"])
    assert {PATH, f"{PATH}.json"} <= set(server.versions())
    assert server.uploads() == []


def test_where_the_bucket_locks_everything_a_catalogue_without_archive_is_hidden(server):
    server.reset()
    server.make_bucket(lock=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    server.client().put_object_lock_configuration(
        Bucket=servers_s3.BUCKET,
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
    )
    put(server, {".json": CATALOGUE})
    at(server).delete(PATH, OWNER)
    assert server.objects() == {}
    assert server.versions() == [f"{PATH}.json"]
    found = at(server).check()
    assert any("only hidden" in warning for warning in found["warnings"])


def test_a_bucket_without_locks_is_told_and_an_archive_there_is_not_called_immutable(server):
    destination = at(server, lock_mode="GOVERNANCE", lock_days=1)
    with pytest.raises(DestinationFailed, match="has no Object Lock"):
        destination.check()
    details = publish(destination)
    assert "immutable_until" not in details
    assert "is not locked" in details["notes"][0]


# --- rights -------------------------------------------------------------------------------------


def test_the_check_leaves_nothing(server, destination):
    found = destination.check()
    assert found["rights"] == dict.fromkeys(("write", "read", "list", "delete"), True)
    assert found["free"] is None
    assert state(server) == ({}, [])


def test_a_key_that_may_only_write_stores_and_never_overwrites(server):
    keys = server.key_with("s3:PutObject", "s3:AbortMultipartUpload")
    put(server, {"": b"somebody's"}, f"{PATH}2")
    server.require_keys()
    destination = at(server, **keys)
    found = destination.check()
    assert found["rights"] == {"write": True, "read": False, "list": False, "delete": False}
    assert any("retention is off" in warning for warning in found["warnings"])
    publish(destination)
    upload = destination.begin(f"{PATH}2", OWNER, "token")
    upload.write(CONTENT)
    upload.flush()
    with pytest.raises(DestinationFailed, match="not written by this run"):
        upload.commit(CATALOGUE)
    upload.abort()
    with pytest.raises(DestinationFailed, match="may not look"):
        destination.delete(PATH, OWNER)
    server.require_nothing()
    objects = server.objects()
    assert (objects[PATH], objects[f"{PATH}2"]) == (CONTENT, b"somebody's")
    assert server.uploads() == []


def test_without_the_right_to_delete_the_archive_stays_and_the_right_is_named(server):
    keys = server.key_with("s3:PutObject", "s3:GetObject", "s3:ListBucket*", "s3:Abort*")
    server.require_keys()
    destination = at(server, **keys)
    publish(destination)
    assert destination.check()["rights"]["delete"] is False
    with pytest.raises(DestinationFailed, match="may not do that") as caught:
        destination.delete(PATH, OWNER)
    assert "s3:DeleteObject" in caught.value.hint
    assert destination.stat(PATH) == len(CONTENT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"secret_key": "wr0ng-secret"}, "the secret key is wrong"),
        ({"access_key": "AKIAUNKNOWNUNKNOWN00"}, "the access key is not known"),
    ],
)
def test_wrong_keys_are_told_apart_and_not_repeated(server, changes, message):
    keys = server.key_with("s3:*")
    server.require_keys()
    destination = at(server, **{**keys, **changes})
    for attempt in (destination.check, lambda: destination.begin(PATH, OWNER, "token")):
        with pytest.raises(DestinationFailed) as caught:
            attempt()
        told = f"{caught.value.message} {caught.value.hint}"
        assert not any(key in told for key in (*keys.values(), *changes.values()))
    with pytest.raises(DestinationFailed, match=message):
        destination.check()


def test_without_a_bucket_nothing_is_said_about_its_archives(server):
    gone = S3Destination("no-such", endpoint_url=server.url, path_style=True, **servers_s3.KEYS)
    for attempt in (
        gone.check,
        lambda: gone.begin(PATH, OWNER, "token"),
        lambda: gone.stat(PATH),
        lambda: list(gone.read(PATH)),
        lambda: gone.delete(PATH, OWNER),
        lambda: list(gone.catalogues()),
    ):
        with pytest.raises(DestinationFailed, match="the bucket does not exist"):
            attempt()


def test_an_archive_that_is_gone_is_told(server, destination):
    for attempt in (lambda: destination.stat(PATH), lambda: list(destination.read(PATH))):
        with pytest.raises(ArchiveMissing, match="not there any more"):
            attempt()
    assert destination.path_of(PATH) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"endpoint_url": "s3.example.com"},
        {"endpoint_url": "https://user:pass@s3.example.com"},
        {"bucket": ""},
        {"sse": "DES"},
        {"lock_mode": "COMPLIANCE"},
        {"lock_mode": "STRICT", "lock_days": 1},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings):
    with pytest.raises(DestinationFailed) as caught:
        S3Destination(**{"bucket": "b", **settings})
    assert "pass@" not in caught.value.message


def test_without_boto3_it_is_told_what_to_install(monkeypatch):
    for name in ("boto3", "botocore"):
        monkeypatch.setitem(sys.modules, name, None)
    s3_bucket.session.cache_clear()
    with pytest.raises(LibraryMissing, match="boto3") as caught:
        S3Destination("b").check()
    assert "pip install boto3" in caught.value.hint
