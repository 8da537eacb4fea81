"""A bucket of an S3 server, spoken to through boto3: the few requests that archives need."""

import contextlib
import functools
import hashlib
import os
import ssl
import threading
import urllib.parse
from base64 import b64encode

from ..errors import ArchiveMissing, DestinationFailed
from ..messages import _
from ..naming import UNSHOWN
from .s3_errors import failures_named, require_boto3
from .s3_listing import objects

# Seconds. Servers that answer at all answer a connection at once; a part of some MB, or the
# completion of thousands of them, may take a busy one its time (AWS sends blanks meanwhile).
CONNECT_TIMEOUT = 10
READ_TIMEOUT = 60
# Of one request: the first and four more, after growing pauses of at most 1, 2, 4 and 8 seconds.
# A server that says nothing at all costs ATTEMPTS × READ_TIMEOUT.
ATTEMPTS = 5
# The same where somebody waits for the end of what has failed already.
HASTY_TIMEOUT = 5
HASTY_ATTEMPTS = 2
# Where AWS is asked without a region: it tells the right one.
DEFAULT_REGION = "us-east-1"
AWS = (".amazonaws.com", ".amazonaws.com.cn")
# Where Debian and its kin keep the authorities that the machine trusts, in one file.
SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
# What is used of the answers of an S3 server; those of any other server lack it.
NEEDED = {
    "create_multipart_upload": {"UploadId"},
    "upload_part": {"ETag"},
    "head_object": {"ContentLength"},
    "get_object": {"ContentLength", "Body"},
}


# Making clients of one session is no matter for several threads at a time.
SESSION = threading.Lock()


@functools.lru_cache(maxsize=1)
def session():
    """Return boto3's session: it keeps what every client is made of, and that takes its time."""
    return require_boto3().session.Session()


class Bucket:
    """The requests to one bucket; each raises what is named in :mod:`.s3_errors`.

    Nothing is open before the first request; :meth:`close` ends what is. Any thread may call.
    """

    def __init__(self, name, endpoint_url="", region="", access_key="", secret_key="",
                 path_style=False, verify_tls=True, connections=1, hasty=False):  # fmt: skip
        self.name = name
        self._endpoint_url = endpoint_url
        self._region = region
        self._keys = (access_key, secret_key)
        self._path_style = path_style
        self._verify_tls = verify_tls
        self._connections = connections
        self._hasty = hasty
        self._lock = threading.Lock()
        self._opened = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.close()

    def close(self):
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @property
    def client(self):
        """boto3's client, made when it is first needed."""
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self):
        access_key, secret_key = self._keys
        if bool(access_key) != bool(secret_key):
            raise DestinationFailed(
                _("The bucket %(name)s cannot be used: the secret key is missing.", name=self.name)
                if access_key
                else _(
                    "The bucket %(name)s cannot be used: the access key is missing.", name=self.name
                ),
                hint=_(
                    "Enter both keys. After a change of the address the secret key has to be "
                    "entered again."
                ),
            )
        with failures_named(_("The bucket %(name)s cannot be used", name=self.name)), SESSION:
            client = session().client(
                "s3",
                endpoint_url=self._endpoint_url or None,
                region_name=self._region or DEFAULT_REGION,
                aws_access_key_id=access_key or None,
                aws_secret_access_key=secret_key or None,
                verify=authorities() if self._verify_tls else False,
                config=self._config(),
            )
        client.meta.events.register("before-call.s3.PutObjectRetention", with_md5)
        return client

    def _config(self):
        from botocore.config import Config

        s3 = {"addressing_style": "path" if self._path_style else "auto"}
        if self._is_encrypted():
            # TLS and a checksum guard the bytes: hashing them once more would only cost time.
            s3["payload_signing_enabled"] = False
        checksums = {}
        if not self._is_aws():
            # What boto3 adds by itself is refused by many servers, and by some stored inside the
            # object. Checksums are agreed on with the server instead (see s3_upload).
            names = ("request_checksum_calculation", "response_checksum_validation")
            checksums = dict.fromkeys(names, "when_required")
        return Config(
            s3=s3,
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=HASTY_TIMEOUT if self._hasty else READ_TIMEOUT,
            retries={
                "mode": "standard",
                "total_max_attempts": HASTY_ATTEMPTS if self._hasty else ATTEMPTS,
            },
            max_pool_connections=self._connections,
            ignore_configured_endpoint_urls=True,
            **checksums,
        )

    def _is_encrypted(self):
        return not self._endpoint_url or self._endpoint_url.startswith("https:")

    def _is_aws(self):
        host = urllib.parse.urlsplit(self._endpoint_url).hostname or ""
        return not self._endpoint_url or host.endswith(AWS)

    def ask(self, operation, what, **parameters):
        """Make one request; return the answer. A failure says ``what`` was tried."""
        client = self.client
        with failures_named(what):
            answer = getattr(client, operation)(Bucket=self.name, **parameters)
            if not answer.keys() >= NEEDED.get(operation, set()):
                raise KeyError(operation)
            return answer

    # --- objects ---

    def head(self, key, version=None):
        """Return what is known of the object, or None where there is none."""
        what, of = _("%(key)s cannot be examined", key=key), version_of(version)
        try:
            return self.ask("head_object", what, Key=key, **of)
        except ArchiveMissing:
            # A HEAD does not tell a missing object from a missing bucket; a GET does.
            return self._head_by_get(key, what, of)

    def _head_by_get(self, key, what, of):
        try:
            found = self.ask("get_object", what, Key=key, **of)
        except ArchiveMissing:
            return None
        found["Body"].close()
        return found

    def content(self, key, limit):
        """Return the first ``limit`` bytes of an object and what is known of it, or Nones."""
        what = _("%(key)s cannot be read", key=key)
        try:
            found = self.ask("get_object", what, Key=key)
        except ArchiveMissing:
            return None, None
        with contextlib.closing(found["Body"]) as body, failures_named(what):
            # The end is asked for too where it is near: boto3 then compares the length.
            return body.read() if found["ContentLength"] <= limit else body.read(limit), found

    def put(self, key, content, what, **options):
        """Store an object of some kB; return the answer."""
        digest = hashlib.md5(content, usedforsecurity=False).digest()
        options.update(Key=key, Body=content, ContentMD5=b64encode(digest).decode())
        return self.ask("put_object", what, **options)

    def remove(self, key, version=None):
        """Delete an object, for good where the bucket keeps versions and one is named."""
        self.ask(
            "delete_object",
            _("%(key)s cannot be deleted", key=key),
            Key=key,
            **version_of(version),
        )

    # --- listing ---

    def keys(self, prefix):
        """Yield every key that begins so, in the order of their bytes."""
        for found in objects(self, prefix):
            yield found["Key"]

    def uploads(self, key):
        """Return the ids of the open multipart uploads to exactly this key."""
        what, client = _("The uploads to %(key)s cannot be listed", key=key), self.client
        with failures_named(what):
            pages = client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.name, Prefix=key
            )
            found = [upload for page in pages for upload in page.get("Uploads", ())]
        return [upload["UploadId"] for upload in found if upload["Key"] == key]


def with_md5(params, **_event):
    """Add what AWS asks for in some requests, and boto3 has exchanged for other checksums, which
    many servers do not know."""
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = b64encode(digest).decode()


def version_of(version):
    return {"VersionId": version} if version else {}


def authorities():
    """Return the file of the authorities that this machine trusts; None: boto3's own."""
    if os.environ.get("AWS_CA_BUNDLE"):
        return None
    found = (ssl.get_default_verify_paths().cafile, SYSTEM_AUTHORITIES)
    return next((name for name in found if name and os.path.isfile(name)), None)


def check_address(endpoint_url):
    """Raise unless ``endpoint_url`` is empty or the address of a server."""
    try:
        parts = urllib.parse.urlsplit(endpoint_url)
        # That of the port, too, raises ValueError.
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        usable = usable and not UNSHOWN.search(endpoint_url)
    except ValueError:
        usable = False
    if endpoint_url and not usable:
        raise DestinationFailed(
            _("The address of the S3 server is not a valid one."),
            hint=_("Enter it as https://s3.example.com, or leave it empty for AWS."),
        )
    if parts.username or parts.password:
        raise DestinationFailed(
            _("The address of the S3 server contains a user name or password."),
            hint=_("Enter the access key and the secret key in their own fields."),
        )
