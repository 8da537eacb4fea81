"""Pairs of keys, and the ``age`` program, which says what the format is."""

import subprocess

import pyrage

IDENTITY = str(pyrage.x25519.Identity.generate())
OTHER_IDENTITY = str(pyrage.x25519.Identity.generate())


def recipient_of(identity):
    return str(pyrage.x25519.Identity.from_str(identity).to_public())


RECIPIENT, OTHER_RECIPIENT = recipient_of(IDENTITY), recipient_of(OTHER_IDENTITY)
# As age-keygen writes it.
KEY_FILE = f"# created: 2026-11-20T12:00:00Z\n# public key: {RECIPIENT}\n{IDENTITY}\n"


def opened_by_age(folder, content, key_file=KEY_FILE):
    """Decrypt ``content`` with the age program; return what it holds."""
    key = folder / "key.txt"
    key.write_text(key_file)
    command = ["age", "-d", "-i", key]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


def sealed(content, *recipients):
    """Return ``content`` encrypted by the library, in one go."""
    keys = [pyrage.x25519.Recipient.from_str(text) for text in recipients or (RECIPIENT,)]
    return pyrage.encrypt(content, keys)
