"""S3: AWS, and the many servers that speak like it."""

import contextlib
import datetime
import posixpath
import urllib.parse
import uuid

from ..errors import ArchiveMissing, DestinationFailed
from ..kinds import Setting
from ..messages import _
from ..naming import ARCHIVE, CATALOGUE, described_by
from ..spool import BLOCK
from .base import Destination
from .locations import parts_of
from .s3_bucket import Bucket, check_address
from .s3_check import try_rights, try_upload
from .s3_errors import Denied, NotKnown, failures_named
from .s3_listing import listed
from .s3_objects import (
    CATALOGUE_LIMIT,
    OWNER,
    TOKEN,
    NotOurs,
    end_uploads,
    not_shown,
    now,
    parsed,
    plain,
    remove_owned,
    remove_version,
    standing_at,
)
from .s3_upload import S3Upload

AWS = "amazonaws.com"
KMS = "aws:kms"
ENCRYPTIONS = ("", "AES256", KMS)
LOCKS = ("", "GOVERNANCE", "COMPLIANCE")


class S3Destination(Destination):
    """:param bucket: its name; it has to exist
    :param endpoint_url: the address of the server; empty: AWS
    :param region: empty: what the server takes for granted
    :param prefix: a folder inside the bucket; empty: its root
    :param access_key: with ``secret_key``; both empty: what boto3 finds, such as a machine's role
    :param path_style: the bucket is part of the path, and not of the host's name
    :param verify_tls: whether the server's certificate must be valid
    :param storage_class: of archives, as the server calls it; empty: the bucket's own
    :param sse: how the server is to encrypt: empty, ``AES256`` or ``aws:kms`` with ``kms_key``
    :param lock_mode: Object Lock: empty, ``GOVERNANCE`` or ``COMPLIANCE``, for ``lock_days`` days
    """

    LABEL = "S3 or compatible"
    SETTINGS = (
        Setting(
            "endpoint_url",
            "Address",
            server=True,
            placeholder="https://s3.example.com",
            help="The address of the S3 server; empty for AWS. Another server needs the secret key "
            "entered again: what is stored was given for this one alone.",
        ),
        Setting("region", "Region", placeholder="eu-central-1"),
        Setting("bucket", "Bucket", required=True, location=True, help="It has to exist."),
        Setting("prefix", "Folder in the Bucket", location=True, placeholder="odoo/backups"),
        Setting(
            "access_key",
            "Access Key",
            help="Empty, with the secret key: what the machine has by itself, such as a role.",
        ),
        Setting("secret_key", "Secret Key", secret=True),
        Setting(
            "path_style",
            "Bucket in the Path",
            kind="boolean",
            help="As most servers other than AWS want it.",
        ),
        Setting(
            "verify_tls",
            "Verify Certificate",
            kind="boolean",
            default=True,
            proof=True,
            advanced=True,
            help="Refuse a server whose certificate is not valid for its name. Where it is "
            "switched off, the secret key has to be entered again.",
        ),
        Setting(
            "storage_class",
            "Storage Class",
            placeholder="STANDARD_IA",
            advanced=True,
            help="Of archives, as the server calls it. What lies beside them stays readable.",
        ),
        Setting(
            "sse",
            "Encryption on the Server",
            kind="selection",
            choices=(("AES256", "AES-256"), (KMS, "AWS KMS")),
            advanced=True,
        ),
        Setting("kms_key", "KMS Key", advanced=True, help="Only with AWS KMS."),
        Setting(
            "lock_mode",
            "Object Lock",
            kind="selection",
            choices=(("GOVERNANCE", "Governance"), ("COMPLIANCE", "Compliance")),
            advanced=True,
            help="Nobody can delete an archive before its days are over; retention waits for it.",
        ),
        Setting("lock_days", "Days of the Lock", kind="integer", advanced=True),
    )

    def __init__(self, bucket, endpoint_url="", region="", prefix="", access_key="", secret_key="",
                 path_style=False, verify_tls=True, storage_class="", sse="", kms_key="",
                 lock_mode="", lock_days=0):  # fmt: skip
        check_address(endpoint_url or "")
        if not bucket:
            raise DestinationFailed(
                _("The bucket has no name."), hint=_("Enter the bucket's name.")
            )
        if sse not in ENCRYPTIONS or lock_mode not in LOCKS:
            raise DestinationFailed(
                _("%(choice)r is none of the known choices.", choice=sse or lock_mode)
            )
        if lock_mode and lock_days < 1:
            raise DestinationFailed(
                _("The lock has no length."), hint=_("Enter for how many days archives are locked.")
            )
        self._reach = {
            "name": bucket, "endpoint_url": endpoint_url or "", "region": region or "",
            "access_key": access_key or "", "secret_key": secret_key or "",
            "path_style": path_style, "verify_tls": verify_tls,
        }  # fmt: skip
        self._prefix = (prefix or "").strip("/")
        self._storage_class = storage_class
        self._encryption = {"ServerSideEncryption": sse} if sse else {}
        if sse == KMS and kms_key:
            self._encryption["SSEKMSKeyId"] = kms_key
        self._lock_mode = lock_mode
        self._lock_days = lock_days

    @property
    def host(self):
        return urllib.parse.urlsplit(self._reach["endpoint_url"]).hostname or ""

    def locations(self):
        address = urllib.parse.urlsplit(self._reach["endpoint_url"])
        host = address.hostname or AWS
        # Each region has an address of its own, and buckets are the same at all of them.
        port = address.port or (80 if address.scheme == "http" else 443)
        server = AWS if host.endswith(AWS) else f"{host}:{port}"
        return [(("s3", server), (self._reach["name"], *parts_of(self._prefix)))]

    def connect(self, connections=1, hasty=False):
        """Return the :class:`Bucket`, of which nothing is open yet; whoever has it closes it.

        :param hasty: give a server that does not answer seconds, and not minutes
        """
        return Bucket(**self._reach, connections=connections, hasty=hasty)

    # --- what is stored how ---

    def archive_options(self, owner, token):
        """Return how an archive that is begun now is to be stored."""
        return {
            **({"StorageClass": self._storage_class} if self._storage_class else {}),
            "Metadata": {OWNER: plain(owner), TOKEN: plain(token)},
            **self._encryption,
            **self._lock(),
        }

    def catalogue_options(self):
        """Return how a catalogue is to be stored: where it can always be read."""
        return {"ContentType": "application/json", **self._encryption}

    def _lock(self):
        if not self._lock_mode:
            return {}
        until = now() + datetime.timedelta(days=self._lock_days)
        return {"ObjectLockMode": self._lock_mode, "ObjectLockRetainUntilDate": until}

    # --- checking ---

    def check(self):
        """See :class:`Destination`. Returns ``free`` (None: S3 does not tell), ``rights`` (of
        writing, reading, listing and deleting) and ``warnings`` (sentences)."""
        key = self.key_of(f".check-{uuid.uuid4().hex}")
        with self.connect() as bucket:
            self._require_locks(bucket)
            options = self.archive_options("check", "check")
            warnings = [*self._warnings(), *try_upload(bucket, key, options)]
            rights, more = try_rights(bucket, key, self._encryption)
        return {"free": None, "rights": rights, "warnings": [*warnings, *more]}

    def _require_locks(self, bucket):
        """Raise where archives are to be locked and the bucket cannot; not all servers would say
        so when one is stored."""
        if self._lock_mode:
            with contextlib.suppress(Denied, NotKnown):
                bucket.ask(
                    "get_object_lock_configuration",
                    _("Archives cannot be locked in %(name)s", name=bucket.name),
                )

    def _warnings(self):
        if self._reach["endpoint_url"].startswith("http:"):
            yield _("The connection is not encrypted: others on the network can read the archives.")
        elif not self._reach["verify_tls"]:
            yield _("The server's certificate is not verified: it may be another server.")

    # --- bringing, removing ---

    def begin(self, path, owner, token, spool=None):
        """See :class:`Destination`. Whatever upload to this very path is still open is ended: only
        one attempt at a path is alive at a time, by the lease of its run, so it was abandoned."""
        key = self.key_of(path)
        with self.connect() as bucket:
            end_uploads(bucket, key)
            standing_at(bucket, key, owner)
        return S3Upload(self, key, owner, token, spool.path if spool else None)

    def delete(self, path, owner, version=""):
        """See :class:`Destination`. Raises :class:`~..errors.Immutable` for what is locked.

        :param version: what the copy was recorded under, where the bucket keeps versions; then it
            is found although somebody has hidden or overwritten it. Empty: the present ones
        """
        key = self.key_of(path)
        with self.connect() as bucket:
            end_uploads(bucket, key)
            if version:
                remove_version(bucket, key, version, owner)
            # What others have put on top of it since is theirs.
            with contextlib.suppress(*([NotOurs] if version else [])):
                remove_owned(bucket, key, owner)

    # --- reading ---

    def stat(self, path):
        key = self.key_of(path)
        with self.connect() as bucket:
            found = bucket.head(key)
            size = found["ContentLength"] if found else listed(bucket, key).get(key)
        if size is None:
            raise ArchiveMissing(_("%(path)s is not there any more.", path=path), hint=GONE)
        return size

    def read(self, path):
        what = _("%(path)s cannot be read", path=path)
        with self.connect() as bucket:
            try:
                found = bucket.ask("get_object", what, Key=self.key_of(path))
            except ArchiveMissing as error:
                if listed(bucket, self.key_of(path)):
                    raise not_shown(path) from error
                raise ArchiveMissing(
                    _("%(path)s is not there any more.", path=path), hint=GONE
                ) from error
            # boto3 compares the length, and raises when the connection ends before.
            with contextlib.closing(found["Body"]) as body:
                while block := read_block(body, what):
                    yield block

    def catalogues(self, known=frozenset()):
        with self.connect() as bucket:
            for key in self._described(bucket):
                path = self._path_of(key)
                if path in known:
                    continue
                content, found = bucket.content(key + CATALOGUE, CATALOGUE_LIMIT + 1)
                if found:
                    yield path, parsed(content)

    def _described(self, bucket):
        """Yield the keys of the archives that have a catalogue beside them."""
        # Keys come in the order of their bytes: an archive right before what its name begins.
        archives = []
        for key in bucket.keys(self._prefix and f"{self._prefix}/"):
            archives = [name for name in archives if key.startswith(name)]
            if described_by(key) in archives:
                yield described_by(key)
            elif ARCHIVE.search(key):
                archives.append(key)

    # --- names ---

    def key_of(self, path):
        """Return the key of ``path``, which never lies outside the prefix."""
        outside = path.startswith(("/", "../")) or path in ("", ".", "..")
        if outside or posixpath.normpath(path) != path:
            raise DestinationFailed(_("%(path)r leads out of the destination's folder.", path=path))
        return f"{self._prefix}/{path}" if self._prefix else path

    def _path_of(self, key):
        return key[len(self._prefix) + 1 :] if self._prefix else key


GONE = _(
    "Somebody deleted it, or a rule of the bucket (lifecycle) did. Look at the bucket's rules."
)


def read_block(body, what):
    with failures_named(what):
        return body.read(BLOCK)
