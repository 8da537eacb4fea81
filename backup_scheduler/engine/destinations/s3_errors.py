"""What an S3 server or the way to it answered, as failures that people understand."""

import contextlib
import re

from ..errors import (
    ArchiveMissing,
    DestinationDenied,
    DestinationFailed,
    Immutable,
    LibraryMissing,
    NoSpace,
)
from ..messages import _, joined
from .words import is_full, quoted

# What people call the right that an operation needs, in a policy of AWS; others use its names.
RIGHTS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject (s3:DeleteObjectVersion where the bucket keeps versions)",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjects": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "PutObjectRetention": "s3:PutObjectRetention",
}
WRITING = "s3:PutObject"
# A HEAD has no body: only its status tells.
DENIED = ("AccessDenied", "AccessDeniedException", "AllAccessDisabled", "Forbidden", "403")
MISSING = ("NoSuchKey", "NoSuchVersion", "NotFound", "404")
# What a deleted object answers to those who ask for it; any other request is one that the server
# does not know.
NO_METHOD = ("MethodNotAllowed", "405")
READING = ("GetObject", "HeadObject")
# Requests about the bucket: nothing is missing there but the bucket itself.
LISTING = ("ListMultipartUploads", "ListObjects", "ListObjectsV2")
GONE_UPLOAD = ("NoSuchUpload",)
NOT_THE_STATE = ("PreconditionFailed", "412")
# What servers answer that do not know a header.
NOT_KNOWN = (
    "NotImplemented",
    "NotSupported",
    "UnsupportedOperation",
    "InvalidArgument",
    "InvalidRequest",
    "501",
    *NO_METHOD,
)
# Who asks is refused, whatever is asked.
REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken")
FULL = (
    "InsufficientStorage",
    "QuotaExceeded",
    "StorageFull",
    "XMinioStorageFull",
    "XMinioAdminBucketQuotaExceeded",
    "507",
)  # fmt: skip
# How servers say that a version is locked, apart from a right that is missing.
LOCKED = re.compile(r"object.?lock|\bWORM\b|retention|retain|legal hold", re.IGNORECASE)
BUSY = (_("the server is overloaded"), _("Nothing has to be done: it is tried again later."))
BROKEN = (_("the server has a defect or is being restarted"), _("It is tried again later."))
REGION = (
    _("the bucket lies in another region"),
    _("Enter the region of the bucket, and the address of that region if one is entered."),
)
REASONS = {
    "NoSuchBucket": (
        _("the bucket does not exist"),
        _(
            "Check the bucket's name, the address (without the bucket in it) and the region, or "
            "create the bucket."
        ),
    ),
    "InvalidBucketName": (
        _("the bucket's name is not a valid one"),
        _(
            "Enter the name alone, without an address or a folder: letters, digits, hyphens, dots "
            "and underscores."
        ),
    ),
    "InvalidAccessKeyId": (
        _("the access key is not known there"),
        _("Check the access key and the address: keys of one provider are unknown to others."),
    ),
    "SignatureDoesNotMatch": (
        _("the secret key is wrong"),
        _(
            "Enter the secret key that belongs to the access key. Where it is lost, create another "
            "pair of keys."
        ),
    ),
    "ExpiredToken": (_("the access key has expired"), _("Create another pair of keys.")),
    "ConditionalRequestConflict": (
        _("another request to the same name was at work"),
        _("Nothing has to be done: it is tried again later."),
    ),
    "RequestTimeTooSkewed": (
        _("the clock of this machine and the server's are more than a quarter of an hour apart"),
        _("Set the clock of this machine, and keep it right (for example with systemd-timesyncd)."),
    ),
    "PermanentRedirect": REGION,
    "AuthorizationHeaderMalformed": REGION,
    "IllegalLocationConstraintException": REGION,
    "301": REGION,
    "307": REGION,
    "SlowDown": BUSY,
    "ServiceUnavailable": BUSY,
    "TooManyRequests": BUSY,
    "RequestLimitExceeded": BUSY,
    "429": BUSY,
    "503": BUSY,
    "InternalError": BROKEN,
    "500": BROKEN,
    "502": BROKEN,
    "504": BROKEN,
    "NoSuchUpload": (
        _("somebody else ended the upload"),
        _(
            "Let no other backup server write to the same bucket under the same names, and let no "
            "rule of the bucket end uploads that are younger than a day."
        ),
    ),
    "InvalidStorageClass": (
        _("the server does not know the storage class"),
        _("Choose another storage class, or none."),
    ),
    "InvalidObjectState": (
        _("the archive lies in a storage class that has to be thawed before it can be read"),
        _("Restore the object in the provider's console first, and try again when that is done."),
    ),
    "BadDigest": (_("the bytes were changed on their way"), _("It is tried again later.")),
    "ObjectLockConfigurationNotFoundError": (
        _("the bucket has no Object Lock"),
        _("Object Lock is switched on when a bucket is created. Use such a bucket, or no lock."),
    ),
}


class Denied(DestinationDenied):
    """The key has not the ``right`` to do it: legal for all but writing."""

    def __init__(self, message, right):
        super().__init__(
            message,
            hint=_(
                "Allow the access key %(right)s on the bucket. %(note)s",
                right=right,
                note=PERHAPS,
            ),
        )
        self.right = right


PERHAPS = _(
    "Some servers answer the same to a bucket that is another's, and AWS to a key of an encryption "
    "that may not be used."
)


class NotTheState(DestinationFailed):
    """What stands at a key is not what a conditional request was made for."""


class NotKnown(DestinationFailed):
    """The server does not know something that was asked for."""


class UploadGone(DestinationFailed):
    """The multipart upload is not open any more."""


def require_boto3():
    """Return the module boto3; it is imported here only, because that takes its time."""
    try:
        import boto3
    except ImportError as error:
        raise LibraryMissing(
            _("S3 needs the Python package boto3."),
            hint=_("Install it where Odoo runs (pip install boto3), and restart Odoo."),
        ) from error
    return boto3


@contextlib.contextmanager
def failures_named(what):
    """Turn what boto3 raises inside into a failure of the destination that says ``what`` was tried.

    ``what`` is the beginning of a sentence: ``x.zip cannot be read``.
    """
    require_boto3()
    from botocore import exceptions, parsers

    try:
        yield
    except exceptions.ClientError as error:
        raise refusal(what, error) from error
    except (exceptions.BotoCoreError, exceptions.HTTPClientError) as error:
        raise disruption(what, error, exceptions) from error
    except (KeyError, parsers.ResponseParserError) as error:
        # Without its cause, which quotes the answer: that of any server somebody cares to enter.
        raise DestinationFailed(
            _("%(what)s: what answers there is not an S3 server.", what=what),
            hint=_("Check the address."),
        ) from (error if isinstance(error, KeyError) else None)
    except ValueError as error:
        # What boto3 says to an address or a name that it cannot make a request of.
        raise DestinationFailed(
            _("%(what)s: %(error)s.", what=what, error=quoted(error))
        ) from error


def code_of(error):
    """Return the code of an answer, or the number of its status where it has no body."""
    return quoted(error.response.get("Error", {}).get("Code") or status_of(error))


def message_of(error):
    """Return what a server says of a failure; some say nothing but a code."""
    return error.response.get("Error", {}).get("Message") or ""


def is_refusal(failure):
    """Return whether a server has said no, at once: else it may have done what it was asked for,
    and its answer was lost, or a proxy or a part of it gave up waiting."""
    from botocore.exceptions import ClientError

    error = failure.__cause__
    if not isinstance(error, ClientError):
        return False
    retried = error.response.get("ResponseMetadata", {}).get("RetryAttempts")
    return not retried and 400 <= status_of(error) < 500


def status_of(error):
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def refusal(what, error):
    """Return the failure that a server's answer stands for."""
    code, message = code_of(error), message_of(error)
    if code in DENIED:
        return denial(what, error, message)
    if code in MISSING and error.operation_name in LISTING:
        code = "NoSuchBucket"
    if code in MISSING or (code in NO_METHOD and error.operation_name in READING):
        return ArchiveMissing(_("%(what)s: it is not there any more.", what=what))
    if code in FULL or is_full(message):
        return NoSpace(_("%(what)s: the destination is full (%(code)s).", what=what, code=code))
    if code in NOT_THE_STATE:
        return NotTheState(_("%(what)s: something else stands there meanwhile.", what=what))
    if code in NOT_KNOWN and LOCKED.search(message):
        code = "ObjectLockConfigurationNotFoundError"
    kind = kind_of(code)
    known = REASONS.get(code) or REASONS.get(str(status_of(error)))
    if known is None:
        return kind(joined(": ", filter(None, (what, code, quoted(message)))), hint=OTHER)
    reason, hint = known
    if known in (BUSY, BROKEN):
        reason = _("%(reason)s (%(code)s)", reason=reason, code=code)
    return kind(_("%(what)s: %(reason)s.", what=what, reason=reason), hint=hint)


def kind_of(code):
    """Return the kind of failure that has no reason of its own."""
    if code in GONE_UPLOAD:
        return UploadGone
    if code in NOT_KNOWN:
        return NotKnown
    return DestinationDenied if code in REFUSED else DestinationFailed


OTHER = _("The message is the server's own; its documentation says more.")


def denial(what, error, message):
    if error.operation_name == "DeleteObject" and LOCKED.search(message):
        return Immutable(_("%(what)s: it is locked.", what=what))
    right = RIGHTS.get(error.operation_name, WRITING)
    return Denied(_("%(what)s: the access key may not do that.", what=what), right)


def disruption(what, error, exceptions):
    """Return the failure of a way that did not get as far as an answer."""
    if isinstance(error, exceptions.ParamValidationError) and "bucket name" in str(error).lower():
        reason, hint = REASONS["InvalidBucketName"]
        return DestinationFailed(_("%(what)s: %(reason)s.", what=what, reason=reason), hint=hint)
    if isinstance(error, exceptions.SSLError):
        return DestinationFailed(
            _(
                "%(what)s: the certificate of the server is not valid, or it does not speak TLS.",
                what=what,
            ),
            hint=_("Renew the server's certificate, or install its authority on this machine."),
        )
    if isinstance(error, exceptions.NoCredentialsError):
        return DestinationFailed(
            _("%(what)s: there is no access key.", what=what),
            hint=_("Enter the access key and the secret key."),
        )
    if isinstance(error, (exceptions.ConnectTimeoutError, exceptions.ReadTimeoutError)):
        return DestinationFailed(
            _("%(what)s: the server stopped answering.", what=what),
            hint=_("Check the server, and the network between here and there."),
        )
    if isinstance(error, exceptions.EndpointConnectionError):
        return DestinationFailed(
            _("%(what)s: the server cannot be reached.", what=what),
            hint=_("Check the address and the port, and that the server is up."),
        )
    if isinstance(error, (exceptions.HTTPClientError, exceptions.IncompleteReadError)):
        return DestinationFailed(
            _("%(what)s: the connection broke.", what=what),
            hint=_("Check the server, and the network between here and there."),
        )
    return DestinationFailed(_("%(what)s: %(error)s.", what=what, error=quoted(error)))
