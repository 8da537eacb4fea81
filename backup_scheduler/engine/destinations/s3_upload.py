"""One archive on its way into an S3 bucket: a multipart upload that is completed last."""

import contextlib
import hashlib
import re

from ..errors import BackupError, DestinationFailed
from ..messages import _
from ..naming import CATALOGUE
from .base import Upload
from .s3_bucket import version_of
from .s3_errors import Denied, NotKnown, NotTheState, is_refusal
from .s3_listing import listed
from .s3_objects import (
    CATALOGUE_LIMIT,
    CRC32,
    TOKEN,
    create_upload,
    encoded,
    end_upload,
    end_uploads,
    is_owned,
    locked_until,
    not_ours,
    not_shown,
    plain,
    remove_catalogue,
    remove_found,
    standing_at,
    tells_md5,
)
from .s3_parts import FileSource, Parts, StreamSource, crc32

# An ETag that may be the MD5 of the bytes, and one that may be made of those of the parts. Servers
# that encrypt, and some others, tell something else.
MD5 = re.compile(r"[0-9a-f]{32}")
MULTIPART_MD5 = re.compile(r"[0-9a-f]{32}-\d+")


class S3Upload(Upload):
    """The upload of one attempt, to the archive's own key: that appears when it is completed.

    Each part's bytes are compared with what the server received: by CRC-32 where the server takes
    part in that, else by MD5. ``details`` tells after the commit, of a bucket that keeps versions,
    the ``version``, and of one that locks them ``immutable_until`` (ISO text, UTC); and ``notes``.
    """

    def __init__(self, place, key, owner, token, spool_path=None):
        self.details = {}
        self._place = place
        self._bucket = place.connect(connections=FileSource.parallel)
        self._key = key
        self._owner = owner
        self._token = plain(token)
        self._options = place.archive_options(owner, token)
        self._committed = False
        self._digests = {}
        self._probes = []
        source = open_source(spool_path)
        try:
            self._upload, self._has_crc = self._begin()
        except BaseException:
            source.close()
            self._bucket.close()
            raise
        self._parts = Parts(self._send, source, place.host)

    def _begin(self):
        """Return the upload's id, and whether the server takes part in comparing CRC-32."""
        what = _("The upload of %(key)s cannot begin", key=self._key)
        try:
            answer = create_upload(self._bucket, self._key, what, self._options)
        except BackupError as error:
            error.in_order = is_refusal(error)
            raise
        if answer["ResponseMetadata"].get("RetryAttempts"):
            self._end_others(answer["UploadId"])
        return answer["UploadId"], answer.get("ChecksumAlgorithm") == CRC32

    def _end_others(self, upload):
        """The server may have begun an upload at each try."""
        try:
            end_uploads(self._bucket, self._key, but=upload)
        except BackupError as error:
            error.in_order = False
            raise

    def _ask(self, operation, what, **options):
        return self._bucket.ask(operation, what, **options)

    # --- parts ---

    def write(self, block):
        self._parts.write(block)

    def flush(self):
        self._parts.flush()

    def _send(self, part):
        """Send a part; return what the completion has to name it by."""
        digest = part.crc32() if self._has_crc else part.md5()
        name = "ChecksumCRC32" if self._has_crc else "ContentMD5"
        answer = self._ask(
            "upload_part",
            _("Part %(number)s of %(key)s cannot be uploaded", number=part.number, key=self._key),
            Key=self._key,
            UploadId=self._upload,
            PartNumber=part.number,
            Body=part,
            **{name: encoded(digest)},
        )
        sent = {"PartNumber": part.number, "ETag": answer["ETag"]}
        if self._has_crc and answer.get(name):
            require_same(part, answer[name] == encoded(digest))
            sent[name] = encoded(digest)
        else:
            digest = self._compared(part, answer, part.md5() if self._has_crc else digest)
        self._digests[part.number] = digest
        return sent

    def _compared(self, part, answer, digest):
        """Return the MD5 of a part if the ETag in the answer proves it, and None where it says
        nothing: some servers make it of something else, such as of encrypted bytes."""
        if not is_md5(answer, MD5):
            return None
        if bare(answer) != digest.hex():
            require_same(part, not self._tells_md5())
            return None
        return digest

    def _tells_md5(self):
        """Return whether the ETags of this server are MD5: asked once one of them is not what it
        would have to be, by an upload of its own."""
        what = _("The checksum of %(key)s cannot be compared", key=self._key)
        upload = create_upload(self._bucket, self._key, what, self._options)["UploadId"]
        self._probes.append(upload)
        try:
            return tells_md5(self._bucket, self._key, upload, what)
        finally:
            end_upload(self._bucket, self._key, upload)
            self._probes.remove(upload)

    # --- the end ---

    def commit(self, catalogue):
        """The catalogue goes first: the archive's own name is the last thing to appear, and what
        has that name can always be told to be ours."""
        standing = standing_at(self._bucket, self._key, self._owner)
        try:
            version = self._put_catalogue(catalogue, standing)
            completed = self._complete(standing)
            found = self._compare(completed)
        except BaseException:
            self._withdraw()
            raise
        self._committed = True
        self._tell(completed, found)
        self._lock_catalogue(version)

    def _put_catalogue(self, catalogue, standing):
        key = self._key + CATALOGUE
        digest = hashlib.md5(catalogue, usedforsecurity=False).digest()
        options = {**self._place.catalogue_options(), "ContentMD5": encoded(digest)}
        try:
            answer = self._if_still(
                "put_object", standing and standing[1], Key=key, Body=catalogue, **options
            )
        except NotTheState as error:
            # An answer that was lost on its way, or somebody else.
            content, answer = self._bucket.content(key, CATALOGUE_LIMIT)
            if content is None and standing and standing[0]:
                # It is not shown yet, and the archive that it stands beside is ours.
                what = _("%(key)s cannot be stored", key=key)
                answer = self._ask("put_object", what, Key=key, Body=catalogue, **options)
            elif content != catalogue:
                refused = not_ours if content is not None else not_shown
                raise refused(self._key) from error
        return answer.get("VersionId")

    def _complete(self, standing):
        """Give the archive its name; return the server's answer."""
        etag = standing and standing[0]
        parts = sorted(self._parts.sent, key=lambda part: part["PartNumber"])
        try:
            if not parts:
                # An upload has one part at least. Nothing is an archive, too.
                return self._if_still(
                    "put_object", etag, Key=self._key, Body=b"", **self._options,
                    ContentMD5=encoded(hashlib.md5(usedforsecurity=False).digest()),
                )  # fmt: skip
            return self._if_still(
                "complete_multipart_upload",
                etag,
                Key=self._key,
                UploadId=self._upload,
                MultipartUpload={"Parts": parts},
            )
        except BackupError as error:
            # The answer may have been lost on its way, and then a second try finds no upload.
            found = self._published()
            if found is None and isinstance(error, NotTheState):
                raise self._refusal() from error
            if found is None:
                raise
            return found

    def _refusal(self):
        """Return why the name could not be given: somebody else's archive has it, as far as is
        shown."""
        try:
            is_shown = self._bucket.head(self._key) is not None
        except Denied:
            is_shown = True
        return not_ours(self._key) if is_shown else not_shown(self._key)

    def _if_still(self, operation, etag, **options):
        """Make a request that is only carried out while ``etag`` stands at its key; empty: nothing.

        Servers that do not know conditions are asked without, where we could look before (``etag``
        is not None): two who look at the same moment are not told apart there.
        """
        what = _("%(key)s cannot be stored", key=self._key)
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        try:
            return self._ask(operation, what, **condition, **options)
        except NotKnown:
            if etag is None:
                raise
            return self._ask(operation, what, **options)

    def _published(self):
        """Return what stands at the key if it is what this attempt has sent, else None."""
        with contextlib.suppress(BackupError):
            found = self._bucket.head(self._key)
            if found and found.get("Metadata", {}).get(TOKEN) == self._token:
                return found
        return None

    def _compare(self, completed):
        """Raise unless the server has what was sent; return what it knows of it."""
        try:
            found = self._bucket.head(self._key)
        except Denied:
            found = {"ContentLength": self._parts.size}
        if found is None and (size := listed(self._bucket, self._key).get(self._key)) is not None:
            # The server answers by what it knew when somebody looked before the upload.
            found = {"ContentLength": size}
        if found is None:
            raise DestinationFailed(
                _("%(key)s is not there although it was stored.", key=self._key)
            )
        if found["ContentLength"] != self._parts.size:
            raise DestinationFailed(
                _(
                    "%(key)s has %(found)s bytes and not %(size)s.",
                    key=self._key,
                    found=found["ContentLength"],
                    size=self._parts.size,
                )
            )
        told, expected = self._checksums(completed)
        if told != expected:
            raise DestinationFailed(
                _("%(key)s was stored with another checksum: %(told)s.", key=self._key, told=told)
            )
        return found

    def _checksums(self, completed):
        """Return the checksum of the whole that the server tells, and what it has to be."""
        digests = [self._digests[number] for number in sorted(self._digests)]
        if not digests or None in digests:
            return None, None
        together, count = b"".join(digests), len(digests)
        told = completed.get("ChecksumCRC32")
        if len(digests[0]) == 4 and told and completed.get("ChecksumType") != "FULL_OBJECT":
            return told.split("-")[0], encoded(crc32(together).to_bytes(4, "big"))
        if len(digests[0]) == 16 and is_md5(completed, MULTIPART_MD5):
            md5 = hashlib.md5(together, usedforsecurity=False).hexdigest()
            return bare(completed), f"{md5}-{count}"
        return None, None

    def _tell(self, completed, found):
        version = completed.get("VersionId") or found.get("VersionId")
        # What "null" is called is the only version that there is.
        if version and version != "null":
            self.details["version"] = version
        until = locked_until(found) or self._lock_archive(version)
        if until:
            self.details["immutable_until"] = until

    def _lock_archive(self, version):
        """Lock an archive whose lock is not told; return until when. A server may not tell, and
        some forget by the end of an upload what they were told at its beginning."""
        if "ObjectLockMode" in self._options and self._retain(self._key, version):
            return locked_until(self._options)
        return ""

    def _lock_catalogue(self, version):
        """Lock the catalogue as the archive is: only now, for it goes if that does not come."""
        if "immutable_until" in self.details and "ObjectLockMode" in self._options:
            self._retain(self._key + CATALOGUE, version)

    def _retain(self, key, version):
        """Lock a version; return whether that was done. The archive is at rest in any case: what
        could not be locked is told in ``details``."""
        names = {"Mode": "ObjectLockMode", "RetainUntilDate": "ObjectLockRetainUntilDate"}
        retention = {name: self._options[option] for name, option in names.items()}
        options = {"Key": key, "Retention": retention, **version_of(version)}
        try:
            self._ask("put_object_retention", _("%(key)s is not locked", key=key), **options)
        except BackupError as error:
            self.details.setdefault("notes", []).append(error.message)
            return False
        return True

    def _withdraw(self):
        """Remove what a commit that failed may have left."""
        with contextlib.suppress(BackupError), self._place.connect(hasty=True) as bucket:
            # From then on it cannot appear any more, however slow the server is.
            end_upload(bucket, self._key, self._upload)
            found = bucket.head(self._key)
            if found and is_owned(found, self._owner):
                remove_found(bucket, self._key, found)
            remove_catalogue(bucket, self._key, self._owner)

    def abort(self):
        """See :class:`Upload`. May come from another thread: who writes gets an error at once."""
        self._parts.end()
        self._bucket.close()
        is_done = self._committed and self._parts.sent
        left = [*self._probes, *(() if is_done or self._upload is None else (self._upload,))]
        if not left:
            return
        with self._place.connect(hasty=True) as bucket:
            for upload in left:
                end_upload(bucket, self._key, upload)
        self._upload, self._probes = None, []


def open_source(spool_path):
    if not spool_path:
        return StreamSource()
    try:
        return FileSource(spool_path)
    except OSError as error:
        raise DestinationFailed(
            _(
                "%(path)s cannot be read: %(reason)s.",
                path=spool_path,
                reason=error.strerror,
            )
        ) from error


def require_same(part, same):
    if not same:
        raise DestinationFailed(
            _(
                "The server received other bytes than were sent (part %(number)s).",
                number=part.number,
            )
        )


def is_md5(answer, pattern):
    """Return whether the ETag of an answer is made of MD5 as far as one can see."""
    encryption = answer.get("ServerSideEncryption") or ""
    return not encryption.startswith("aws:kms") and bool(pattern.fullmatch(bare(answer)))


def bare(answer):
    return answer.get("ETag", "").strip('"')
