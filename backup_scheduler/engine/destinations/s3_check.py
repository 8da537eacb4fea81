"""What an access key may do in a bucket, and what its server lacks, found out by trying."""

import contextlib

from ..errors import BackupError, DestinationFailed, Immutable
from ..messages import _, joined
from .s3_errors import Denied, NotKnown
from .s3_objects import create_upload, end_upload, tells_md5

CONTENT = b"backup_scheduler"
UNLISTED = _(
    "The server does not list unfinished uploads: what a killed backup leaves cannot be found and "
    "removed. Have a rule of the bucket (lifecycle) end uploads that are some days old."
)
NO_CHECKSUM = _(
    "The server reports no checksum to compare after an upload: only the size is compared."
)


def try_upload(bucket, key, options):
    """Begin an upload as archives are uploaded, and end it: no lock is left behind by that. Yield
    sentences about what is missing."""
    what = _("The bucket %(name)s cannot be written to", name=bucket.name)
    begun = create_upload(bucket, key, what, options)
    try:
        is_compared = has_checksum(bucket, key, begun, what, options)
    finally:
        unended = list(end_and_look(bucket, key, begun["UploadId"]))
    return [*unended, *([] if is_compared else [NO_CHECKSUM])]


def has_checksum(bucket, key, begun, what, options):
    if begun.get("ChecksumAlgorithm") or "ServerSideEncryption" in options:
        return True
    try:
        return tells_md5(bucket, key, begun["UploadId"], what)
    except NotKnown:
        return False


def end_and_look(bucket, key, upload):
    try:
        end_upload(bucket, key, upload)
        bucket.uploads(key)
    except Denied as error:
        yield _(
            "What a killed backup leaves unfinished cannot be removed, and costs money. It "
            "needs %(right)s.",
            right=error.right,
        )
    except NotKnown:
        yield UNLISTED


def try_rights(bucket, key, options):
    """Write, read, list and delete a marker at ``key``; return ``rights`` and ``warnings``."""
    what, version = _("The bucket %(name)s cannot be written to", name=bucket.name), None
    try:
        version = bucket.put(key, CONTENT, what, **options).get("VersionId")
        marker = (bucket, key, version)
        found = {
            "read": try_right("read", read_back, *marker),
            "list": try_right("list", list_it, *marker),
        }
    except BaseException:
        # The failure is what is reported; the marker is removed if possible.
        with contextlib.suppress(BackupError):
            delete_it(bucket, key, version)
        raise
    found["delete"] = try_right("delete", delete_it, *marker)
    rights = {"write": True, **{right: allowed for right, (allowed, _said) in found.items()}}
    return rights, [sentence for _allowed, said in found.values() for sentence in said]


def try_right(right, attempt, *arguments):
    """Return whether it is allowed, and sentences about that."""
    try:
        return True, attempt(*arguments)
    except Denied as error:
        needed = _("It needs %(right)s.", right=error.right)
        return False, [joined(" ", (WITHOUT[right], needed))]


WITHOUT = {
    "read": _(
        "Archives cannot be read: verification of stored copies and restore are off."
    ),
    "list": _(
        "Archives cannot be listed: no import of what is there, and no removal of remains."
    ),
    "delete": _("Archives cannot be deleted: retention is off, and the test left a small file."),
}


def read_back(bucket, key, _version):
    content, found = bucket.content(key, len(CONTENT) + 1)
    if found is None:
        return (lagging(_("reading")),)
    if content != CONTENT:
        raise DestinationFailed(_("The bucket %(name)s gives back other bytes.", name=bucket.name))
    return ()


def list_it(bucket, key, _version):
    return () if list(bucket.keys(key)) == [key] else (lagging(_("listing")),)


def lagging(what):
    return _(
        "The server does not show at once what was stored (%(what)s): its answers lag behind.",
        what=what,
    )


def delete_it(bucket, key, version):
    try:
        bucket.remove(key, version)
    except (Denied, Immutable):
        if not version:
            raise
        bucket.remove(key)
        return (
            _(
                "Deleted archives are only hidden, and go on to need space: the bucket locks all "
                "that is stored in it, or the access key lacks s3:DeleteObjectVersion."
            ),
        )
    return ()
