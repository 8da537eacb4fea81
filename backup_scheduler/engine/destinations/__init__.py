"""The kinds of destination. A new kind is one module here and one line in this registry."""

import contextlib

from .local import LocalDestination
from .rclone import RcloneDestination
from .s3 import S3Destination
from .sftp import SFTPDestination

KINDS = {
    "local": LocalDestination,
    "s3": S3Destination,
    "sftp": SFTPDestination,
    "rclone": RcloneDestination,
}


def open_destination(kind, settings):
    """Return the destination of ``kind`` with ``settings``, the keywords of its class."""
    return KINDS[kind](**settings)


@contextlib.contextmanager
def opened(copy, control):
    """Yield the destination of a copy (``id kind settings`` of an order); tell what it renews.

    The event ``renewed`` has the ``id`` of the copy and the ``changed_settings``, secrets among
    them: they are for the owner alone, also where an error ends the work. Whoever opens the
    destination of the same copy again has them already.
    """
    destination = open_destination(copy["kind"], copy["settings"])
    try:
        yield destination
    finally:
        if changed := destination.changed_settings:
            copy["settings"].update(changed)
            control.tell("renewed", id=copy["id"], changed_settings=changed)
