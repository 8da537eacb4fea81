"""The kinds of destination. A new kind is one module here and one line in this registry."""

import contextlib

from ..kinds import Registry

KINDS = Registry("destination")
KINDS.register("local", f"{__name__}.local:LocalDestination")
KINDS.register("s3", f"{__name__}.s3:S3Destination")
KINDS.register("sftp", f"{__name__}.sftp:SFTPDestination")
KINDS.register("rclone", f"{__name__}.rclone:RcloneDestination")


def open_destination(kind, settings, code=None):
    """Return the destination of ``kind`` with ``settings``, the keywords of its class.

    :param code: of an order, where the class is found (see :meth:`~..kinds.Registry.order`)
    """
    return KINDS.load(kind, code)(**settings)


def destination_of(copy):
    """Return the destination that a copy's order describes: ``kind settings``, and ``code``."""
    return open_destination(copy["kind"], copy["settings"], copy.get("code"))


@contextlib.contextmanager
def opened(copy, control):
    """Yield the destination of a copy (``id kind settings`` of an order); tell what it renews.

    The event ``renewed`` has the ``id`` of the copy and the ``changed_settings``, secrets among
    them: they are for the owner alone. It is sent also when an error ends the work. The settings of
    the copy are updated, so that opening its destination again uses them.
    """
    destination = destination_of(copy)
    try:
        yield destination
    finally:
        if changed := destination.changed_settings:
            copy["settings"].update(changed)
            control.tell("renewed", id=copy["id"], changed_settings=changed)
