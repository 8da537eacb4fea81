"""The S3 server of these tests: one a file, with an empty bucket for each test."""

import pytest
import servers_s3
from s3_archives import at


@pytest.fixture(scope="module")
def running():
    with servers_s3.S3Server() as server:
        yield server


@pytest.fixture
def server(running):
    running.reset()
    running.make_bucket()
    return running


@pytest.fixture
def proxy(server):
    with servers_s3.FaultyProxy(server) as proxy:
        yield proxy


@pytest.fixture
def destination(server):
    return at(server)
