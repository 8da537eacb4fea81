"""The kinds of source. A new kind is one module here and one line in this registry."""

from ..kinds import Registry

KINDS = Registry("source")
KINDS.register("local", f"{__name__}.local:LocalSource")
KINDS.register("http", f"{__name__}.http:HttpSource")
# What an order says of a source beside its settings.
OF_THE_KIND = ("connection", "secrets", "code")


def open_source(order, control):
    """Return the source that ``order`` describes: ``{"connection": ..., **settings}``, with
    ``secrets`` and ``code`` as :meth:`~..kinds.Registry.order` has them."""
    settings = {key: value for key, value in order.items() if key not in OF_THE_KIND}
    return KINDS.load(order["connection"], order.get("code"))(control=control, **settings)
