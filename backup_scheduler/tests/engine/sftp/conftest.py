"""The SFTP server of these tests: one a file, with a folder of its own for each test."""

import os
import uuid

import pytest
import servers_sftp
from engine.destinations.sftp import SFTPDestination


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with servers_sftp.sftp_server(str(tmp_path_factory.mktemp("sftp"))) as server:
        yield server


@pytest.fixture
def folder():
    return f"archives-{uuid.uuid4().hex}"


@pytest.fixture
def destination(server, folder):
    return SFTPDestination(**server.settings(folder))


@pytest.fixture
def root(server, folder):
    return os.path.join(server.home, folder)
