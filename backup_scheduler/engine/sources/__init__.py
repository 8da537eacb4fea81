"""The kinds of source. A new kind is one module here and one line in this registry."""

from .http import HttpSource

KINDS = {"http": HttpSource}


def open_source(order, control):
    """Return the source that ``order`` describes: ``{"connection": ..., **settings}``."""
    settings = {key: value for key, value in order.items() if key != "connection"}
    return KINDS[order["connection"]](control=control, **settings)
