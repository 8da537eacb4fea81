"""The keys of SSH: which one the server must have, and which one opens the account."""

import base64
import binascii
import contextlib
import hashlib
import io
import logging
import struct

from ..errors import DestinationDenied, DestinationFailed, HostKeyUnknown, LibraryMissing
from ..messages import _

LOG = "backup_scheduler.sftp"
# Characters. An RSA key of 16,384 bits has some 13,000; what reads them is slow on longer texts.
KEY_LIMIT = 64 * 1024


def parse_host_key(text):
    """Return the pinned key as SSH spells it on the wire, or None without one.

    :param text: ``ssh-ed25519 AAAA…``, also as a line of ``known_hosts`` or of a ``.pub`` file
    """
    if not (text or "").strip():
        return None
    # Looked up in one step: a text has as many words as somebody cares to enter.
    words = dict.fromkeys(text.split())
    for word in words:
        with contextlib.suppress(binascii.Error, ValueError, struct.error):
            key = base64.b64decode(word, validate=True)
            if type_of(key) in words:
                return key
    raise HostKeyUnknown(
        _("The host key that is entered is none."),
        hint=_(
            "It is one line such as “ssh-ed25519 AAAA…”. Leave it empty to be shown the server's."
        ),
    )


def type_of(key):
    """Return the type that a key names itself, such as ``ssh-ed25519``."""
    (size,) = struct.unpack_from(">I", key)
    return key[4 : 4 + size].decode("ascii")


def host_key_text(key):
    """Return a key as it is entered and pinned."""
    return f"{type_of(key)} {base64.b64encode(key).decode()}"


def fingerprint(key):
    """Return the fingerprint as ``ssh-keygen -l`` prints it: ``SHA256:…``."""
    digest = hashlib.sha256(key).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def load_key(account):
    """Return the account's private key, or None without one; raise what is wrong with it.

    Takes what ssh-keygen and openssl write (OpenSSH's own format and PEM), RSA, ECDSA, Ed25519.
    """
    text = account.private_key.strip()
    if not text:
        if not account.password:
            raise DestinationFailed(
                _("The SFTP account has neither a password nor a key."),
                hint=_(
                    "Enter its password or its private key. After a change of the host or the port "
                    "they have to be entered again."
                ),
            )
        return None
    paramiko = library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as form

    if len(text) > KEY_LIMIT:
        raise key_failed(text, "", "")
    try:
        loaded = parse_key(text.encode() + b"\n", account.passphrase.encode() or None)
        plain = loaded.private_bytes(
            form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption()
        )
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise key_failed(text, account.passphrase, str(error)) from error
    for kind in (paramiko.Ed25519Key, paramiko.RSAKey, paramiko.ECDSAKey):
        with contextlib.suppress(paramiko.SSHException, ValueError):
            return kind.from_private_key(io.StringIO(plain.decode()))
    raise key_failed(text, "", _("it is of a type that is not known"))


def parse_key(text, passphrase):
    from cryptography.hazmat.primitives import serialization

    openssh = b"BEGIN OPENSSH PRIVATE KEY" in text
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    try:
        return load(text, passphrase)
    except TypeError:
        if passphrase is None:
            raise
        # It needs no passphrase: one that is entered does no harm.
        return load(text, None)


def key_failed(text, passphrase, words):
    """Return the failure of a private key that is no good. Quotes nothing of the key."""
    if text.startswith("PuTTY-User-Key-File"):
        message = _("The private key is one of PuTTY's, in its own format.")
        hint = _("Export it with PuTTYgen: Conversions → Export OpenSSH key.")
    elif text.startswith(("ssh-", "ecdsa-")):
        message = _("What is entered as the private key is a public one.")
        hint = _("Enter the content of the file without .pub at its end.")
    elif not passphrase and ("encrypted" in words or "password-protected" in words):
        message = _("The private key is protected by a passphrase.")
        hint = _("Enter its passphrase.")
    elif passphrase and "PRIVATE KEY" in text:
        message = _("The passphrase does not open the private key, or the key is damaged.")
        hint = _(
            "Check the passphrase, and that the whole key was pasted, with its first and last line."
        )
    else:
        message = _("The private key cannot be read.")
        hint = _(
            "Paste the whole key file, from -----BEGIN to the END line, as ssh-keygen writes it."
        )
    return DestinationDenied(message, hint=hint)


def library():
    """Return paramiko, which is needed only where there is an SFTP destination."""
    try:
        import paramiko
        import paramiko.ssh_exception
    except ImportError as error:
        raise LibraryMissing(
            _("SFTP needs the Python package paramiko, which is not installed."),
            hint=_("Install it where Odoo runs (pip install paramiko), and restart Odoo."),
        ) from error
    # What it has to say is in what it raises; unasked it would print tracebacks.
    log = logging.getLogger(LOG)
    log.propagate = False
    log.setLevel(logging.CRITICAL)
    return paramiko
