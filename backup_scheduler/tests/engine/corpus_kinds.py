"""What a kind of damage is, and the plain ways to change bytes."""

from collections.abc import Callable
from typing import NamedTuple

PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>\n"


class Kind(NamedTuple):
    """One kind of damage: an ``error`` and a message with ``says`` in it, from ``level`` on.

    ``error`` is the exact class, or several where the archive at hand decides; ``says`` a regular
    expression.
    """

    name: str
    archive_format: str
    level: int
    error: type | tuple
    says: str
    build: Callable


def flipped(content, position):
    return content[:position] + bytes([content[position] ^ 16]) + content[position + 1 :]


def without(content, start, stop, instead=b""):
    return content[:start] + instead + content[stop:]


def zeroed(content, start, length):
    return without(content, start, start + length, bytes(length))
