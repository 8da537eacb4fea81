"""Where a destination's archives lie, so that two destinations can be compared.

A location is a pair: what names a storage (any plain value), and the parts of a path in it. A
destination may have several, each of which says the same place in another way.
"""

import contextlib
import os
import posixpath


def overlap(ones, others):
    """Return whether one of the locations is, contains, or lies in one of the others."""
    return any(
        storage == other_storage and is_prefix(parts, other_parts)
        for storage, parts in ones
        for other_storage, other_parts in others
    )


def is_prefix(parts, others):
    """Return whether one of two paths begins with the other."""
    length = min(len(parts), len(others))
    return parts[:length] == others[:length]


def parts_of(path):
    """Return the parts of a path with slashes, without what changes nothing."""
    plain = posixpath.normpath(path or ".").strip("/")
    return tuple(part for part in plain.split("/") if part != ".")


def folder_locations(path):
    """Return the locations of a folder of this machine.

    Each folder above it that exists is one, by the numbers that the system has for it: by these, a
    folder is the same under another name too (links, bind mounts, other letter case).
    """
    found, below, folder = [], (), os.path.realpath(path)
    while True:
        with contextlib.suppress(OSError):
            status = os.stat(folder)
            found.append((("folder", status.st_dev, status.st_ino), below))
        parent, name = os.path.split(folder)
        if not name:
            return found
        below, folder = (name, *below), parent
