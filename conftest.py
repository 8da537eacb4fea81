"""Lets pytest collect the engine's tests without importing the addon, and with it Odoo."""

import pathlib

import pytest

ADDON = pathlib.Path(__file__).parent / "backup_scheduler"


def pytest_collect_directory(path, parent):
    """The addon's folders are plain folders here, not packages."""
    if path == ADDON or ADDON in path.parents:
        return pytest.Dir.from_parent(parent, path=path)
    return None
