"""What an S3 server or the way to it answered, as failures that people understand."""

import contextlib
import re

from ..errors import ArchiveMissing, DestinationFailed, Immutable, LibraryMissing, NoSpace

# Characters of a server's own words that are passed on.
QUOTED = 200
# What people call the right that an operation needs, in a policy of AWS; others use its names.
RIGHTS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject (s3:DeleteObjectVersion where the bucket keeps versions)",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectsV2": "s3:ListBucket",
    "PutObjectRetention": "s3:PutObjectRetention",
}
WRITING = "s3:PutObject"
# A HEAD has no body: only its status tells.
DENIED = ("AccessDenied", "AccessDeniedException", "AllAccessDisabled", "Forbidden", "403")
MISSING = ("NoSuchKey", "NoSuchVersion", "NotFound", "404", "MethodNotAllowed")
GONE_UPLOAD = ("NoSuchUpload",)
NOT_THE_STATE = ("PreconditionFailed", "412")
# What servers answer that do not know a header.
NOT_KNOWN = ("NotImplemented", "InvalidArgument", "InvalidRequest", "501")
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
BUSY = ("the server is overloaded (%s)", "Nothing has to be done: it is tried again later.")
BROKEN = ("the server has a defect or is being restarted (%s)", "It is tried again later.")
REGION = (
    "the bucket lies in another region",
    "Enter the region of the bucket, and the address of that region if one is entered.",
)
REASONS = {
    "NoSuchBucket": (
        "the bucket does not exist",
        "Check the bucket's name, the address and the region, or create the bucket.",
    ),
    "InvalidBucketName": ("the bucket's name is not a valid one", "Check the bucket's name."),
    "InvalidAccessKeyId": (
        "the access key is not known there",
        "Check the access key and the address: keys of one provider are unknown to others.",
    ),
    "SignatureDoesNotMatch": (
        "the secret key is wrong",
        "Enter the secret key that belongs to the access key. Where it is lost, create another "
        "pair of keys.",
    ),
    "ExpiredToken": ("the access key has expired", "Create another pair of keys."),
    "RequestTimeTooSkewed": (
        "the clock of this machine and the server's are more than a quarter of an hour apart",
        "Set the clock of this machine, and keep it right (for example with systemd-timesyncd).",
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
        "somebody else ended the upload",
        "Let no other backup server write to the same bucket under the same names, and let no rule "
        "of the bucket end uploads that are younger than a day.",
    ),
    "InvalidStorageClass": (
        "the server does not know the storage class",
        "Choose another storage class, or none.",
    ),
    "InvalidObjectState": (
        "the archive lies in a storage class that has to be thawed before it can be read",
        "Restore the object in the provider's console first, and try again when that is done.",
    ),
    "BadDigest": ("the bytes were changed on their way", "It is tried again later."),
    "ObjectLockConfigurationNotFoundError": (
        "the bucket has no Object Lock",
        "Object Lock is switched on when a bucket is created. Use such a bucket, or no lock.",
    ),
}


class Denied(DestinationFailed):
    """The key has not the ``right`` to do it: legal for all but writing."""

    def __init__(self, message, right):
        super().__init__(message, hint=f"Allow the access key {right} on the bucket. {PERHAPS}")
        self.right = right


PERHAPS = (
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
            "S3 needs the Python package boto3.",
            hint="Install it where Odoo runs (pip install boto3), and restart Odoo.",
        ) from error
    return boto3


@contextlib.contextmanager
def failures_named(what):
    """Turn what boto3 raises inside into a failure of the destination that says ``what`` was tried.

    ``what`` is the beginning of a sentence: ``x.zip cannot be read``.
    """
    require_boto3()
    from botocore import exceptions

    try:
        yield
    except exceptions.ClientError as error:
        raise refusal(what, error) from error
    except (exceptions.BotoCoreError, exceptions.HTTPClientError) as error:
        raise disruption(what, error, exceptions) from error
    except ValueError as error:
        # What boto3 says to an address or a name that it cannot make a request of.
        raise DestinationFailed(f"{what}: {quoted(error)}.") from error


def code_of(error):
    """Return the code of an answer, or the number of its status where it has no body."""
    return str(error.response.get("Error", {}).get("Code") or status_of(error))


def status_of(error):
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def refusal(what, error):
    """Return the failure that a server's answer stands for."""
    code, message = code_of(error), error.response.get("Error", {}).get("Message", "")
    if code in DENIED:
        return denial(what, error, message)
    if code in MISSING:
        return ArchiveMissing(f"{what}: it is not there any more.")
    if code in FULL:
        return NoSpace(f"{what}: the destination is full ({code}).")
    if code in NOT_THE_STATE:
        return NotTheState(f"{what}: something else stands there meanwhile.")
    if code in NOT_KNOWN and LOCKED.search(message):
        code = "ObjectLockConfigurationNotFoundError"
    kind = UploadGone if code in GONE_UPLOAD else NotKnown if code in NOT_KNOWN else None
    reason, hint = REASONS.get(code) or REASONS.get(str(status_of(error))) or (None, None)
    if reason is None:
        return (kind or DestinationFailed)(f"{what}: {code}: {quoted(message)}", hint=OTHER)
    reason = reason % code if "%s" in reason else reason
    return (kind or DestinationFailed)(f"{what}: {reason}.", hint=hint)


OTHER = "The message is the server's own; its documentation says more."


def denial(what, error, message):
    if error.operation_name == "DeleteObject" and LOCKED.search(message):
        return Immutable(f"{what}: it is locked.")
    right = RIGHTS.get(error.operation_name, WRITING)
    return Denied(f"{what}: the access key may not do that.", right)


def disruption(what, error, exceptions):
    """Return the failure of a way that did not get as far as an answer."""
    failure = disruption_named(what, error, exceptions)
    # Of a server that was reached, and may have carried out what it was asked for.
    failure.in_order = not isinstance(error, exceptions.HTTPClientError)
    return failure


def disruption_named(what, error, exceptions):
    if isinstance(error, exceptions.SSLError):
        return DestinationFailed(
            f"{what}: the certificate of the server is not valid, or it does not speak TLS.",
            hint="Renew the server's certificate, or install its authority on this machine.",
        )
    if isinstance(error, exceptions.NoCredentialsError):
        return DestinationFailed(
            f"{what}: there is no access key.", hint="Enter the access key and the secret key."
        )
    if isinstance(error, (exceptions.ConnectTimeoutError, exceptions.ReadTimeoutError)):
        return DestinationFailed(
            f"{what}: the server stopped answering.",
            hint="Check the server, and the network between here and there.",
        )
    if isinstance(error, exceptions.EndpointConnectionError):
        return DestinationFailed(
            f"{what}: the server cannot be reached.",
            hint="Check the address and the port, and that the server is up.",
        )
    if isinstance(error, (exceptions.HTTPClientError, exceptions.IncompleteReadError)):
        return DestinationFailed(
            f"{what}: the connection broke.",
            hint="Check the server, and the network between here and there.",
        )
    return DestinationFailed(f"{what}: {quoted(error)}.")


def quoted(message):
    return str(message).strip().rstrip(".")[:QUOTED]
