"""The quickest of rclone's remotes, a folder of this machine; and one that a server serves."""

import pytest
import servers_rclone
from engine.destinations.rclone import RcloneDestination


@pytest.fixture
def root(tmp_path):
    (tmp_path / "archives").mkdir()
    return str(tmp_path / "archives")


@pytest.fixture
def destination(root):
    return RcloneDestination(servers_rclone.folder_configuration(root), "there")


@pytest.fixture
def webdav(root):
    with servers_rclone.webdav(root) as server:
        yield server


@pytest.fixture(autouse=True)
def folders(monkeypatch):
    servers_rclone.folders_allowed(monkeypatch)
