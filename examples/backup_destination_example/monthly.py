"""A folder with one subfolder a month, for disks and tapes that leave the house month by month."""

import posixpath

from backup_engine.destinations.base import Destination
from backup_engine.destinations.local import LocalDestination
from backup_engine.kinds import Setting


def monthly(path):
    """Return where an archive is stored: ``Shop/sales/2026-11-20T….zip`` below ``2026-11``."""
    return f"{posixpath.basename(path)[:7]}/{path}"


class Monthly(Destination):
    LABEL = "Folder of each month"
    SETTINGS = (Setting("path", "Folder", required=True, location=True),)
    KEPT = ("marker",)

    def __init__(self, path, marker=""):
        self._folder = LocalDestination(path, marker)

    def locations(self):
        return self._folder.locations()

    def check(self):
        return self._folder.check()

    def begin(self, path, owner, token, spool=None):
        return self._folder.begin(monthly(path), owner, token, spool)

    def delete(self, path, owner, version=""):
        self._folder.delete(monthly(path), owner)

    def read(self, path):
        return self._folder.read(monthly(path))

    def stat(self, path):
        return self._folder.stat(monthly(path))

    def catalogues(self, known=frozenset()):
        for path, catalogue in self._folder.catalogues(frozenset(map(monthly, known))):
            yield path.partition("/")[2], catalogue
