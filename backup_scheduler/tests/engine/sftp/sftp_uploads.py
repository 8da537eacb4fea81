"""Uploads to an SFTP server as tests need them, and what lies on the server then."""

import contextlib
import json

import places
import pytest

MB = 1 << 20
PATH = "Shop/db/2026-11-20T02-00-00Z.zip"
OWNER = "uuid/1"
CATALOGUE = json.dumps({"run": OWNER}).encode()
CONTENT = b"archive"
# The requests that OpenSSH adds to the standard; other servers lack them.
EXTENSIONS = "posix-rename,fsync,statvfs,limits"
EVERY_METHOD = pytest.mark.parametrize(
    "touch",
    [
        lambda destination: destination.begin(PATH, OWNER, "1"),
        lambda destination: destination.delete(PATH, OWNER),
        lambda destination: destination.stat(PATH),
        lambda destination: next(destination.read(PATH)),
        lambda destination: list(destination.catalogues()),
        lambda destination: destination.check(),
        lambda destination: destination.check_space(1),
    ],
    ids=["begin", "delete", "stat", "read", "catalogues", "check", "check_space"],
)


@contextlib.contextmanager
def uploading(destination, attempt="run-1", path=PATH):
    """Begin an upload; abort it at the end, as whoever begins one does in any case."""
    upload = destination.begin(path, OWNER, attempt)
    try:
        yield upload
    finally:
        upload.abort()


def store(destination, content=CONTENT, attempt="run-1", path=PATH):
    with uploading(destination, attempt, path) as upload:
        for start in range(0, len(content), MB):
            upload.write(memoryview(content)[start : start + MB])
        upload.flush()
        upload.commit(CATALOGUE)


def is_part(root, attempt="run-1"):
    """Return whether there is nothing but one part, by the name of its attempt."""
    (name,) = places.files(root)
    return name.startswith(f"{PATH}.{attempt}-") and name.endswith(".part")
