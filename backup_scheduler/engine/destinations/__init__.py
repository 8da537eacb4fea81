"""The kinds of destination. A new kind is one module here and one line in this registry."""

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
