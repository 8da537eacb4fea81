"""The S3 destination and bytes that are not the ones that were sent: what is left each time."""

import base64
import re
import zlib

import pytest
import servers_s3
from engine.destinations import s3_bucket
from engine.errors import DestinationFailed
from s3_archives import (
    CATALOGUE,
    COMPLETION,
    LARGE,
    NOTHING,
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


@pytest.fixture
def destination(proxy, monkeypatch):
    monkeypatch.setattr(s3_bucket, "ATTEMPTS", 3)
    return behind(proxy.url)


# --- other bytes --------------------------------------------------------------------------------


@pytest.mark.parametrize("agrees", [True, False], ids=["agrees, and tells nothing", "does not"])
def test_a_part_that_arrived_with_other_bytes_fails_the_copy(server, proxy, destination, agrees):
    """moto stores whatever comes; others would refuse it."""
    if not agrees:
        proxy.early = refuse_checksums
    proxy.change = lambda handler, content: (
        b"X" + content[1:] if re.search(PART, handler.path) else content
    )
    fails(destination, "received other bytes")
    assert state(server) == NOTHING


@pytest.mark.parametrize("agrees", [True, False], ids=["CRC-32", "MD5"])
@pytest.mark.parametrize("right", [True, False])
def test_the_checksum_of_the_whole_has_to_be_the_one_of_what_was_sent(
    server, proxy, destination, agrees, right
):
    """As AWS makes it: the checksum of those of the parts. moto tells it by MD5 only."""
    parts = [LARGE[begin : begin + (8 << 20)] for begin in range(0, len(LARGE), 8 << 20)]
    of_parts = b"".join(zlib.crc32(part).to_bytes(4, "big") for part in parts)
    crc = base64.b64encode(zlib.crc32(of_parts).to_bytes(4, "big")).decode()
    told = f"<ChecksumCRC32>{crc if right else 'AAAAAA=='}-3</ChecksumCRC32><ETag>".encode()

    def tell(handler):
        if not agrees and refuse_checksums(handler):
            return True
        if handler.command == "POST" and re.search(COMPLETION, handler.path):
            _status, _headers, body = handler.hand_on(handler.body())
            changed = re.sub(rb"[0-9a-f]{32}-3", b"0" * 32 + b"-3", body)
            handler.answer(200, body=body.replace(b"<ETag>", told) if agrees else changed)
        elif agrees and re.search(PART, handler.path):
            status, headers, body = handler.hand_on(handler.body())
            name = "x-amz-checksum-crc32"
            handler.answer(status, [*headers, (name, handler.headers[name])], body)
        else:
            return False
        return True

    proxy.early = tell if agrees or not right else refuse_checksums
    if right:
        publish(destination, LARGE)
        assert state(server) == ({PATH: LARGE, f"{PATH}.json": CATALOGUE}, [])
    else:
        fails(destination, "stored with another checksum", LARGE)
        assert state(server) == NOTHING


def refuse_checksums(handler):
    """Answer as servers do that do not know them."""
    if not handler.headers.get("x-amz-checksum-algorithm"):
        return False
    canned(501, "NotImplemented")(handler)
    return True


def test_a_server_without_checksums_gets_none_and_is_compared_by_md5(server, proxy, destination):
    proxy.early = refuse_checksums
    publish(destination, LARGE)
    assert state(server) == ({PATH: LARGE, f"{PATH}.json": CATALOGUE}, [])


def test_a_server_without_conditions_is_asked_without(server, proxy, destination):
    def refuse(handler):
        known = not (handler.headers.get("If-None-Match") or handler.headers.get("If-Match"))
        return not known and (canned(501, "NotImplemented")(handler) or True)

    proxy.fault = refuse
    publish(destination)
    assert state(server) == PUBLISHED


def test_where_nobody_can_tell_what_stands_there_nothing_is_stored(server, proxy, destination):
    """No right to look, and a server that does not know conditions either."""

    def refuse(handler):
        if handler.command in ("GET", "HEAD"):
            canned(403, "AccessDenied")(handler)
        elif handler.headers.get("If-None-Match"):
            canned(501, "NotImplemented")(handler)
        else:
            return False
        return True

    server.client().put_object(Bucket=servers_s3.BUCKET, Key=PATH, Body=b"somebody's")
    proxy.fault = refuse
    fails(destination, "cannot be stored")
    assert state(server) == ({PATH: b"somebody's"}, [])


def test_an_object_of_another_size_is_no_copy_and_goes(server, proxy, destination):
    def lie(handler):
        status, headers, body = handler.hand_on(b"")
        headers = [(n, "3" if n.lower() == "content-length" else v) for n, v in headers]
        handler.answer(status, headers, body)

    completed = []

    def fault(handler):
        completed.extend([1] if re.search(COMPLETION, handler.path) else [])
        return bool(completed) and when("HEAD", r"zip$", lie)(handler)

    proxy.fault = fault
    fails(destination, "has 3 bytes and not 7")
    assert state(server) == NOTHING


@pytest.mark.parametrize("how", ["cut", "short"])
def test_a_reading_that_ends_early_is_a_failure(proxy, destination, how):
    publish(destination, LARGE)

    def shorten(handler):
        status, headers, body = handler.hand_on(b"")
        handler.answer(status, headers, body, cut=9 << 20 if how == "cut" else len(body) - 1)

    proxy.fault = when("GET", r"zip$", shorten)
    size = 0
    with pytest.raises(DestinationFailed, match="cannot be read"):
        for block in destination.read(PATH):
            size += len(block)
    assert size < len(LARGE)


def test_a_part_of_which_the_server_tells_another_checksum_fails_the_copy(
    server, proxy, destination
):
    def tell(handler):
        status, headers, body = handler.hand_on(handler.body())
        handler.answer(status, [*headers, ("x-amz-checksum-crc32", "AAAAAA==")], body)

    proxy.early = when("PUT", PART, tell)
    fails(destination, "received other bytes")
    assert state(server) == NOTHING
