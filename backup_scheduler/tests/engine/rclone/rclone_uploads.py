"""Uploads to remotes of rclone as their tests need them."""

import json
import os

import pytest
import servers_rclone
from engine.destinations.rclone import RcloneDestination
from engine.spool import BLOCK

needs_rclone = pytest.mark.skipif(not servers_rclone.installed(), reason="rclone is not installed")

PATH = "Shop/db/2026-11-20T02-00-00Z.zip"
OWNER = "uuid/1"
CATALOGUE = json.dumps({"run": OWNER, "size": 7}).encode()
CONTENT = os.urandom(BLOCK)


def reach(server, **options):
    return RcloneDestination(server.configuration(**options), "there")


def begin(destination, attempt="run-1-1", owner=OWNER):
    return destination.begin(PATH, owner, attempt)


def send(upload, blocks=4):
    for _block in range(blocks):
        upload.write(CONTENT)
