"""What S3 servers of the field do differently: what is optional is a warning of the check, and an
answer that lags behind is none."""

import contextlib
import hashlib
import itertools
import re
import uuid

import pytest
import servers_s3
from engine.destinations import s3_bucket, s3_listing, words
from engine.destinations.s3 import S3Destination
from engine.errors import ArchiveMissing, BackupError, DestinationFailed, NoSpace
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
    at,
    behind,
    canned,
    publish,
    put,
    state,
    when,
)

UPLOADS = r"[?&]uploads"
LIST_V2 = r"list-type=2"
NO_KEY = b"<Error><Code>NoSuchKey</Code><Message>No such key.</Message></Error>"
PLAIN = "The connection is not encrypted: others on the network can read the archives."
KEY = f"/{servers_s3.BUCKET}/{PATH}"


@pytest.fixture
def destination(proxy, monkeypatch):
    monkeypatch.setattr(s3_bucket, "ATTEMPTS", 2)
    return behind(proxy.url)


def check(destination):
    """Return the warnings of a check that finds every right."""
    found = destination.check()
    assert found["rights"] == dict.fromkeys(("write", "read", "list", "delete"), True)
    return [warning for warning in found["warnings"] if warning != PLAIN]


# --- what is optional ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"), [(501, "NotImplemented"), (405, "MethodNotAllowed"), (501, "")]
)
def test_a_server_that_lists_no_unfinished_uploads_is_told_once(
    server, proxy, destination, status, code
):
    proxy.fault = when("GET", UPLOADS, canned(status, code))
    (warning,) = check(destination)
    assert "does not list unfinished uploads" in warning
    publish(destination)
    assert state(server) == PUBLISHED
    destination.delete(PATH, OWNER)
    assert state(server) == NOTHING


ARCHIVES = 12


def by_pages(server):
    """Store archives that need several pages of :func:`small_page` to be listed."""
    for number in range(ARCHIVES):
        put(server, {"": b"z", ".json": b'{"run": "x"}'}, f"Old/db/{number:05d}.zip")


def small_page(handler):
    if handler.command == "GET" and "prefix=" in handler.path:
        handler.path += "&max-keys=5"
    return False


def as_v1(handler):
    """A server that does not know list-type=2, and answers what is left of the request."""
    handler.path = re.sub(r"list-type=2&?", "", handler.path)
    return small_page(handler)


@pytest.mark.parametrize(
    "unknown", [as_v1, when("GET", LIST_V2, canned(501, "NotImplemented"))], ids=["answers", "501"]
)
def test_a_server_with_the_first_listing_alone_is_listed_to_the_end(
    server, proxy, destination, unknown
):
    by_pages(server)
    proxy.fault = lambda handler: unknown(handler) or small_page(handler)
    assert len(list(destination.catalogues())) == ARCHIVES
    assert proxy.count("GET", "prefix=") > 2 * ARCHIVES // 5
    assert check(destination) == []


def test_a_listing_that_goes_on_after_its_first_page_by_the_other_request_misses_nothing(
    server, proxy, destination
):
    by_pages(server)
    unknown = when("GET", "continuation-token", canned(501, "NotImplemented"))
    proxy.fault = lambda handler: unknown(handler) or small_page(handler)
    assert len(list(destination.catalogues())) == ARCHIVES


@pytest.mark.parametrize("key", ["", "<Contents><Key>a.zip.%d</Key><Size>1</Size></Contents>"])
def test_pages_without_an_end_keep_no_deletion_busy(proxy, destination, monkeypatch, key):
    monkeypatch.setattr(s3_listing, "BESIDE", 200)
    asked = itertools.count()

    def page(handler):
        if "list-type=2" not in handler.path:
            return False
        number = next(asked)
        content = key % number if key else ""
        token = f"<NextContinuationToken>{number}</NextContinuationToken>"
        body = f"<ListBucketResult><IsTruncated>true</IsTruncated>{token}{content}"
        handler.answer(200, [], f"{body}</ListBucketResult>".encode())
        return True

    proxy.fault = page
    with contextlib.suppress(DestinationFailed):
        destination.delete("a.zip", "run-1")
    assert next(asked) <= 201


def test_a_listing_without_an_end_is_a_failure(server, proxy, destination):
    by_pages(server)

    def first_page(handler):
        handler.path = re.sub(r"(list-type=2|marker=[^&]*)&?", "", handler.path)
        return small_page(handler)

    proxy.fault = first_page
    with pytest.raises(DestinationFailed, match="again and again"):
        list(destination.catalogues())


def test_a_lock_is_asked_for_with_the_checksum_that_servers_know(server, proxy, monkeypatch):
    server.make_bucket("locking", lock=True)
    settings = {**servers_s3.KEYS, "path_style": True, "lock_mode": "GOVERNANCE", "lock_days": 1}
    destination = S3Destination("locking", endpoint_url=proxy.url, **settings)

    def forget(handler):
        """Some forget the lock by the end of the upload, and take no other checksum than MD5."""
        if handler.command == "POST" and handler.path.endswith("?uploads"):
            for name in [name for name in handler.headers if "object-lock" in name.lower()]:
                del handler.headers[name]
        if "retention" in handler.path and not handler.headers.get("Content-MD5"):
            canned(400, "MissingContentMD5")(handler)
            return True
        return False

    proxy.fault = forget
    details = publish(destination)
    assert details["immutable_until"]
    assert "notes" not in details


# --- ETags ---------------------------------------------------------------------------------------


@pytest.fixture
def odd_tags(proxy, monkeypatch):
    """Give parts ETags that are no MD5, made by ``make`` of the true one."""
    made, make = {}, {"of": lambda _tag: uuid.uuid4().hex}
    hand_on = servers_s3.ProxyHandler.hand_on

    def odd(handler, content):
        if re.search(BEGINNING, handler.path):
            del handler.headers["x-amz-checksum-algorithm"]
        for ours, true in made.items():
            content = content.replace(ours.encode(), true.encode())
        status, headers, body = hand_on(handler, content)
        if handler.command == "PUT" and re.search(PART, handler.path):
            headers = [(name, renamed(value) if name.lower() == "etag" else value)
                       for name, value in headers]  # fmt: skip
        return status, headers, body

    def renamed(tag):
        tag = tag.strip('"')
        ours = make["of"](tag)
        made[ours] = tag
        return f'"{ours}"'

    monkeypatch.setattr(servers_s3.ProxyHandler, "hand_on", odd)
    return make


@pytest.mark.parametrize(
    "of",
    [lambda _tag: uuid.uuid4().hex, lambda tag: hashlib.sha256(tag.encode()).hexdigest()[:32]],
    ids=["random", "of something else"],
)
def test_an_etag_that_is_no_md5_proves_nothing_and_is_told_once(
    server, destination, odd_tags, of
):
    odd_tags["of"] = of
    (warning,) = check(destination)
    assert "no checksum to compare" in warning
    publish(destination, LARGE)
    assert state(server) == ({PATH: LARGE, f"{PATH}.json": CATALOGUE}, [])


def test_a_part_that_arrived_with_other_bytes_fails_where_etags_are_md5(
    server, proxy, destination, odd_tags
):
    odd_tags["of"] = lambda tag: tag
    spoilt = []

    def spoil(handler, content):
        if handler.command == "PUT" and re.search(PART, handler.path) and content:
            del handler.headers["Content-MD5"]
            spoilt.append(handler.path)
            return b"X" + content[1:]
        return content

    proxy.change = spoil
    with pytest.raises(DestinationFailed, match="other bytes than were sent"):
        publish(destination)
    assert spoilt
    assert state(server) == NOTHING


# --- answers that lag behind --------------------------------------------------------------------


def late(handler, absent):
    """Answer that an object is not there for as long as somebody has seen it so."""
    key = handler.path.partition("?")[0]
    is_read = "?" not in handler.path or "x-id=GetObject" in handler.path
    if handler.command not in ("GET", "HEAD") or not is_read:
        return False
    status, headers, body = (404, [], NO_KEY) if key in absent else handler.hand_on(b"")
    if status == 404:
        absent.add(key)
    handler.answer(status, headers, b"" if handler.command == "HEAD" else body)
    return True


def test_a_server_that_remembers_what_was_not_there_stores_the_archive(
    server, proxy, destination
):
    proxy.fault = lambda handler: late(handler, absent)
    absent = set()
    publish(destination)
    assert destination.stat(PATH) == len(CONTENT)
    with pytest.raises(DestinationFailed, match="does not show yet") as read:
        list(destination.read(PATH))
    assert not isinstance(read.value, ArchiveMissing)
    # What it hides is not believed to be gone.
    with pytest.raises(DestinationFailed, match="does not show yet"):
        destination.delete(PATH, OWNER)
    assert state(server) == PUBLISHED
    absent.clear()
    destination.delete(PATH, OWNER)
    assert state(server) == NOTHING


def test_an_archive_of_ours_whose_catalogue_is_not_shown_is_replaced(server, proxy, destination):
    publish(destination)
    absent = {f"{KEY}.json"}
    proxy.fault = lambda handler: late(handler, absent)
    publish(destination, LARGE)
    proxy.fault = None
    assert state(server) == ({PATH: LARGE, f"{PATH}.json": CATALOGUE}, [])


@pytest.mark.parametrize("owner", ["uuid/2", OWNER])
def test_what_stands_there_unseen_is_not_replaced(server, proxy, destination, owner):
    publish(at(server), owner=owner, catalogue=b'{"run": "uuid/2"}')
    before = state(server)
    absent = {KEY, f"{KEY}.json"}
    proxy.fault = lambda handler: late(handler, absent)
    with pytest.raises(DestinationFailed, match="does not show yet"):
        publish(destination)
    assert state(server) == before


def test_without_its_catalogue_an_archive_of_others_is_not_ours(server, destination):
    publish(destination, owner="uuid/2")
    server.client().delete_object(Bucket=servers_s3.BUCKET, Key=f"{PATH}.json")
    for act in (lambda: publish(destination), lambda: destination.delete(PATH, OWNER)):
        with pytest.raises(DestinationFailed, match="not written by this run"):
            act()
    destination.delete(PATH, "uuid/2")
    assert state(server) == NOTHING


EMPTY = (
    b"<ListBucketResult><Name>backups</Name><KeyCount>0</KeyCount>"
    b"<IsTruncated>false</IsTruncated></ListBucketResult>"
)


def test_a_listing_that_is_behind_is_a_warning_of_the_check(server, proxy, destination):
    proxy.fault = when("GET", LIST_V2, lambda handler: handler.answer(200, body=EMPTY))
    (warning,) = check(destination)
    assert "answers lag behind" in warning
    publish(destination)
    assert state(server) == PUBLISHED


def test_an_archive_that_neither_a_look_nor_the_listing_shows_is_not_stored(
    server, proxy, destination
):
    absent = set()

    def hide(handler):
        if handler.command == "GET" and re.search(LIST_V2, handler.path):
            handler.answer(200, body=EMPTY)
            return True
        return late(handler, absent)

    proxy.fault = hide
    with pytest.raises(DestinationFailed, match="not there although it was stored"):
        publish(destination)
    proxy.fault = None
    # The copy is in doubt: a clean-up is planned, which finds it by what it says of itself.
    destination.delete(PATH, OWNER)
    assert state(server) == NOTHING


# --- few words, and many ------------------------------------------------------------------------


def bare(status, code):
    """An error with nothing but its code, as Ceph gives them."""
    body = f"<Error><Code>{code}</Code><RequestId>tx1</RequestId></Error>".encode()
    return lambda handler: handler.answer(status, body=body)


@pytest.mark.parametrize(
    ("method", "path", "settings", "deal", "code", "message"),
    [
        ("POST", UPLOADS, {"storage_class": "COLD"}, bare(400, "InvalidStorageClass"),
         "destination_failed", "does not know the storage class"),
        ("POST", UPLOADS, {"storage_class": "COLD"}, bare(400, "InvalidArgument"),
         "destination_failed", "InvalidArgument"),
        ("POST", UPLOADS, {"sse": "AES256"}, bare(501, "NotImplemented"),
         "destination_failed", "NotImplemented"),
        ("PUT", r"check-", {}, bare(403, "AccessDenied"), "destination_denied", "may not do"),
        ("POST", UPLOADS, {}, bare(403, "InvalidAccessKeyId"), "destination_denied",
         "key is not known"),
        ("POST", UPLOADS, {}, bare(403, "SignatureDoesNotMatch"), "destination_denied",
         "secret key is wrong"),
        ("GET", LIST_V2, {}, bare(400, "Odd"), "destination_failed", "Odd"),
        ("GET", r"check-[0-9a-f]+$", {}, bare(400, "Odd"), "destination_failed", "Odd"),
    ],
)  # fmt: skip
def test_an_error_without_a_message_is_told_by_its_code_and_the_check_leaves_nothing(
    server, proxy, monkeypatch, method, path, settings, deal, code, message
):
    monkeypatch.setattr(s3_bucket, "ATTEMPTS", 1)
    proxy.fault = when(method, path, deal)
    with pytest.raises(BackupError, match=message) as raised:
        behind(proxy.url, **settings).check()
    assert raised.value.as_dict()["error_code"] == code
    assert "None" not in raised.value.message
    assert state(server) == NOTHING


def test_a_key_without_the_right_to_delete_is_told_where_the_refusal_has_no_message(
    server, proxy, destination
):
    proxy.fault = when("DELETE", r"check-[0-9a-f]+$", bare(403, "AccessDenied"))
    found = destination.check()
    assert found["rights"]["delete"] is False
    assert any("retention is off" in warning for warning in found["warnings"])


@pytest.mark.parametrize("code", ["InternalError", "AccessForbidden", "UnknownError"])
def test_no_space_left_is_known_by_its_words(server, proxy, destination, code):
    words = "write /data/x: No space left on device"
    proxy.fault = when("PUT", PART, canned(500, code, words))
    with pytest.raises(NoSpace, match="destination is full"):
        publish(destination)
    assert state(server) == NOTHING


def test_what_a_server_says_is_bounded(server, proxy, destination):
    proxy.fault = when("PUT", PART, canned(418, "T" * 22_000, "\n\x1b[31m" + "x" * 22_000))
    with pytest.raises(DestinationFailed) as raised:
        publish(destination)
    assert len(raised.value.message) < 3 * words.QUOTED
    assert raised.value.message.isprintable()


@pytest.mark.parametrize("name", ["two words", "https://s3.example.com", "a/b", "b" * 300])
def test_a_bad_name_of_a_bucket_is_told_without_a_regular_expression(server, name):
    destination = S3Destination(name, endpoint_url=server.url, **servers_s3.KEYS)
    with pytest.raises(DestinationFailed, match="bucket's name is not a valid one") as raised:
        destination.check()
    assert "regex" not in raised.value.message
    assert "Enter the name alone" in raised.value.hint


def test_an_address_with_the_bucket_in_it_is_no_missing_archive(server):
    destination = behind(f"{server.url}/{servers_s3.BUCKET}")
    with pytest.raises(DestinationFailed, match="bucket does not exist") as raised:
        destination.check()
    assert "without the bucket in it" in raised.value.hint


def test_a_name_that_somebody_else_is_about_to_take_is_tried_again(server, proxy, destination):
    proxy.fault = when("POST", COMPLETION, canned(409, "ConditionalRequestConflict"), times=1)
    with pytest.raises(DestinationFailed, match="at work"):
        publish(destination)
    publish(destination)
    assert state(server) == PUBLISHED
