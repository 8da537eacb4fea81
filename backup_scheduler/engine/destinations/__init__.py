"""The kinds of destination. A new kind is one module here and one line in this registry."""

from .local import LocalDestination

KINDS = {"local": LocalDestination}


def open_destination(kind, settings):
    """Return the destination of ``kind`` with ``settings``, the keywords of its class."""
    return KINDS[kind](**settings)
