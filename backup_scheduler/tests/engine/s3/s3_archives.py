"""An archive for an S3 destination, and what the server has of it."""

import json
import re

import pytest
import servers_s3
from engine.destinations.s3 import S3Destination
from engine.destinations.s3_parts import MIB
from engine.errors import DestinationFailed

PATH = "Shop/db/2026-11-20T02-00-00Z.zip"
OWNER = "uuid/1"
CATALOGUE = json.dumps({"run": OWNER, "size": 7}).encode()
CONTENT = b"archive"
# More than two parts, and not a whole number of them.
LARGE = bytes(range(256)) * (17 * MIB // 256) + b"end"
PUBLISHED = ({PATH: CONTENT, f"{PATH}.json": CATALOGUE}, [])
NOTHING = ({}, [])
BEGINNING = r"\?uploads$"
PART = r"partNumber="
COMPLETION = r"zip\?uploadId="


def at(server, **settings):
    settings = {**servers_s3.KEYS, "path_style": True, **settings}
    return S3Destination(servers_s3.BUCKET, endpoint_url=server.url, **settings)


def publish(destination, content=CONTENT, catalogue=CATALOGUE, owner=OWNER):
    upload = destination.begin(PATH, owner, "run-1-1")
    try:
        upload.write(content)
        upload.flush()
        upload.commit(catalogue)
    finally:
        upload.abort()
    return upload.details


def put(server, existing, path=PATH):
    for ending, content in existing.items():
        server.client().put_object(Bucket=servers_s3.BUCKET, Key=path + ending, Body=content)


def state(server):
    """Return what a fault has to leave as it was: the objects, and what is open."""
    return server.objects(), server.uploads()


# --- behind a proxy that makes faults ---


def behind(url, **settings):
    settings = {**servers_s3.KEYS, "path_style": True, **settings}
    return S3Destination(servers_s3.BUCKET, endpoint_url=url, **settings)


def when(method, pattern, deal, times=1000):
    """Return a fault that deals with the first ``times`` such requests."""
    left = [deal] * times

    def fault(handler):
        if handler.command != method or not re.search(pattern, handler.path):
            return False
        try:
            # At once: parts come side by side, each in a thread of its own.
            left.pop()
        except IndexError:
            return False
        deal(handler)
        return True

    return fault


def canned(status, code, message="Said by the server."):
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    return lambda handler: handler.answer(status, body=body)


def fails(destination, message, content=CONTENT):
    with pytest.raises(DestinationFailed, match=message):
        publish(destination, content)
