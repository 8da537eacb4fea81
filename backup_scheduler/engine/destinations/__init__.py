"""The kinds of destination. A new kind is one module here and one line in this registry."""

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
