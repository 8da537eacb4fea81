"""Objects of an S3 bucket as archives need them: whose they are, what is locked, what has to go."""

import base64
import contextlib
import datetime
import hashlib

from ..catalogue import LIMIT as CATALOGUE_LIMIT
from ..catalogue import parsed
from ..errors import ArchiveMissing, DestinationFailed, Immutable
from ..messages import _
from ..naming import CATALOGUE
from .s3_errors import Denied, NotKnown, UploadGone
from .s3_listing import listed

# The archive's own note of whose it is: it stays with each version of it.
OWNER, TOKEN = "run", "attempt"
# Of the same key; more of them is not what we made.
VERSIONS_LIMIT = 100
CRC32 = "CRC32"
NO_BYTES = hashlib.md5(usedforsecurity=False)


class NotOurs(DestinationFailed):
    """Somebody else wrote what stands there."""

    hint = _("Let no other backup server write to the same bucket under the same names.")


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def plain(text):
    """Return ``text`` as a header can carry it."""
    return text.encode("ascii", "backslashreplace").decode()


# --- what stands at a key -----------------------------------------------------------------------


def standing_at(bucket, key, owner):
    """Return what stands at ``key`` and at its catalogue's: ``(ETag or "", ETag or "")``.

    An archive of which a server does not show the catalogue yet is known by what it says itself.
    Raises :class:`DestinationFailed` when it is anybody else's: what we did not write is not ours
    to replace or delete. None where the access key may not look: then only a server that stores on
    condition keeps apart what is not ours.
    """
    try:
        content, catalogue = bucket.content(key + CATALOGUE, CATALOGUE_LIMIT)
        archive = bucket.head(key)
    except Denied:
        return None
    is_ours = run_of(content) == owner if catalogue else archive and is_owned(archive, owner)
    if (catalogue or archive) and not is_ours:
        raise not_ours(key)
    return tuple(found["ETag"] if found else "" for found in (archive, catalogue))


def not_ours(key):
    return NotOurs(_("%(key)s exists and was not written by this run.", key=key))


def not_shown(key):
    """What to say where a server lists, or refuses to replace, what it says is not there."""
    return DestinationFailed(
        _("%(key)s: something stands there that the server does not show yet.", key=key),
        hint=_("Its answers lag behind what is stored. It is tried again later."),
    )


def create_upload(bucket, key, what, options):
    """Begin an upload; return the answer. Parts are compared by CRC-32 where the server takes part
    in that."""
    options = {"Key": key, **options}
    try:
        return bucket.ask("create_multipart_upload", what, ChecksumAlgorithm=CRC32, **options)
    except NotKnown:
        return bucket.ask("create_multipart_upload", what, **options)


def tells_md5(bucket, key, upload, what):
    """Return whether the ETag of a part is its MD5: of one without a byte, which nothing on the
    way can change."""
    options = {"Key": key, "UploadId": upload, "PartNumber": 1, "Body": b""}
    answer = bucket.ask("upload_part", what, ContentMD5=encoded(NO_BYTES.digest()), **options)
    return answer["ETag"].strip('"') == NO_BYTES.hexdigest()


def encoded(digest):
    return base64.b64encode(digest).decode()


def end_uploads(bucket, key, but=None):
    """End what uploads to ``key`` killed attempts have left open; all ``but`` one."""
    try:
        for upload in bucket.uploads(key):
            if upload != but:
                end_upload(bucket, key, upload)
    except (Denied, NotKnown):
        # The check of the destination tells: it costs money, and nothing else.
        return


def end_upload(bucket, key, upload):
    what = _("An unfinished upload to %(key)s cannot be ended", key=key)
    with contextlib.suppress(ArchiveMissing, UploadGone):
        bucket.ask("abort_multipart_upload", what, Key=key, UploadId=upload)


# --- removing -----------------------------------------------------------------------------------


def remove_owned(bucket, key, owner):
    """Remove the archive of ``owner`` at ``key``, then its catalogue; nothing there is no error."""
    standing = standing_at(bucket, key, owner)
    if standing is None:
        what = _("%(key)s cannot be deleted: the access key may not look whose it is.", key=key)
        raise Denied(what, right="s3:GetObject and s3:ListBucket")
    if not any(standing) and listed(bucket, key, key + CATALOGUE):
        raise not_shown(key)
    for number in range(VERSIONS_LIMIT):
        found = bucket.head(key)
        # The catalogue speaks for what stands beside it; what appears below has to say it itself.
        if found is None or not is_owned(found, owner, unknown=not number):
            break
        remove_found(bucket, key, found)
    remove_catalogue(bucket, key, owner)


def remove_version(bucket, key, version, owner):
    """Remove one version of an archive, by what it says of itself."""
    found = bucket.head(key, version)
    if found is None:
        return
    if not is_owned(found, owner):
        raise not_ours(key)
    remove_found(bucket, key, found)


def is_owned(found, owner, unknown=False):
    """Return whether an archive says that it is of ``owner``; ``unknown``: if it says nothing."""
    run = found.get("Metadata", {}).get(OWNER)
    return unknown if run is None else run == plain(owner)


def remove_found(bucket, key, found):
    """Remove the very version that was found; raise :class:`Immutable` where it is locked."""
    try:
        bucket.remove(key, found.get("VersionId"))
    except (Denied, Immutable) as error:
        until = locked_until(found)
        if until or isinstance(error, Immutable):
            told = _("%(key)s is locked until %(until)s.", key=key, until=until)
            raise Immutable(told if until else _("%(key)s is locked.", key=key)) from error
        raise


def locked_until(found):
    """Return until when the object is locked, as ISO text in UTC; empty: it is not, or not told."""
    if found.get("ObjectLockLegalHoldStatus") == "ON":
        return _("its legal hold is lifted")
    until = found.get("ObjectLockRetainUntilDate")
    return until.isoformat(timespec="seconds") if until and until > now() else ""


def remove_catalogue(bucket, key, owner):
    """Remove the catalogue beside ``key``, and what appears below it and is of ``owner`` too."""
    for _version in range(VERSIONS_LIMIT):
        content, found = bucket.content(key + CATALOGUE, CATALOGUE_LIMIT)
        if found is None or run_of(content) != owner:
            return
        try:
            remove_found(bucket, key + CATALOGUE, found)
        except Immutable:
            # The archive is gone: what tells of it stays for as long as it is locked, but hidden.
            bucket.remove(key + CATALOGUE)
            return


def run_of(content):
    """Return the owner that a catalogue names."""
    return (parsed(content) or {}).get("run")
