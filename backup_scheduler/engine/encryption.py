"""Archives that only the owner of a key can read: age, through ``pyrage``.

Only recipients (public keys) are needed to encrypt, so whoever steals this server reads nothing.
What is written is the format of the ``age`` program (age-encryption.org/v1), which opens it.
"""

import contextlib

from .errors import BackupError, Damaged, EncryptionFailed, LibraryMissing, Truncated, WrongIdentity
from .messages import _

METHOD = "age"
# What pyrage writes comes in pieces of 8 or 64 KiB; whoever takes it gets it in blocks up to this.
BLOCK = 1 << 20
RECIPIENT = "age1"
# What marks a text as a secret, whatever else it is. Such a text is never repeated.
SECRET_MARKS = ("AGE-SECRET-KEY", "AGE-PLUGIN-", "PRIVATE KEY")


def check_recipients(recipients):
    """Raise :class:`EncryptionFailed` that names the first of the texts that is no recipient.

    What does not look like a public key is not repeated: it may be a secret in the wrong field.
    Raises :class:`LibraryMissing` where there is no pyrage.
    """
    parse_recipients(recipients)


def encrypt(blocks, write, recipients):
    """Encrypt what ``blocks`` yields for any of ``recipients``; hand it to ``write(block)``.

    In constant memory. What ``blocks`` or ``write`` raise is passed on as it is.
    """
    pyrage = library()
    keys = parse_recipients(recipients)
    if not keys:
        raise EncryptionFailed(_("There is no recipient to encrypt for."))
    reader, writer = Reader(blocks), Writer(write)
    with errors_of(reader, writer):
        try:
            pyrage.encrypt_io(reader, writer, keys)
            writer.flush_out()
        except pyrage.EncryptError as error:
            raise EncryptionFailed(
                _("The archive could not be encrypted: %(error)s", error=error)
            ) from error


def decrypt(blocks, write, identity):
    """Decrypt what ``blocks`` yields with ``identity``; hand it to ``write(block)``.

    :param identity: one secret key or several, a line each, as ``age-keygen`` writes its file

    Raises :class:`WrongIdentity` where none of them opens it (which is also what a file looks like
    whose header was changed), :class:`Damaged` and :class:`Truncated` for other bytes than those
    that were written. What was written until then is then of no use.
    """
    pyrage = library()
    keys = parse_identity(identity)
    reader, writer = Reader(blocks), Writer(write)
    with errors_of(reader, writer):
        try:
            pyrage.decrypt_io(reader, writer, keys)
            writer.flush_out()
        except pyrage.DecryptError as error:
            raise refusal(str(error)) from error
        except OSError as error:
            raise Damaged(_("The encrypted archive was changed or cut.")) from error


def refusal(text):
    """Return the error for what pyrage says of the header of an encrypted file."""
    if "No matching keys" in text:
        return WrongIdentity(_("The identity does not open this archive."))
    if "Incomplete header" in text or "whole buffer" in text:
        return Truncated(_("The encrypted archive ends before its content begins."))
    return Damaged(
        _("The file was not written by age, or its beginning was changed: %(text)s.", text=text)
    )


def library():
    """Return pyrage, which is needed only where something is encrypted."""
    try:
        import pyrage
    except ImportError as error:
        raise LibraryMissing(
            _("Encryption needs the Python package pyrage, which is not installed."),
            hint=_("Install it where Odoo runs (pip install pyrage), and restart Odoo."),
        ) from error
    return pyrage


# --- keys ---------------------------------------------------------------------------------------


def parse_recipients(recipients):
    return [parse_recipient(text, number) for number, text in enumerate(recipients, 1)]


def parse_recipient(text, number):
    pyrage = library()
    text = text.strip()
    if is_secret(text):
        raise EncryptionFailed(
            _(
                "Recipient %(number)s is a secret key. It must not be kept here: anyone who has it "
                "can read the archives.",
                number=number,
            ),
            hint=_(
                "Enter the public key that belongs to it, which begins with age1 (age-keygen -y "
                "prints it). Were others able to see the secret key, make a new pair of keys."
            ),
        )
    if not text.lower().startswith(RECIPIENT):
        raise EncryptionFailed(
            _(
                "Recipient %(number)s does not begin with %(recipient)s.",
                number=number,
                recipient=RECIPIENT,
            )
        )
    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError as error:
        raise EncryptionFailed(
            _(
                "Recipient %(number)s (%(text)s) is no public key as age-keygen makes them: it is "
                "mistyped, incomplete, or of another kind.",
                number=number,
                text=text,
            )
        ) from error


def parse_identity(text):
    """Return the secret keys that stand in ``text``; :class:`WrongIdentity` repeats none of it."""
    pyrage = library()
    keys = []
    for number, line in identity_lines(text):
        if line.lower().startswith(RECIPIENT):
            raise WrongIdentity(
                _(
                    "Line %(number)s of the identity is a recipient: a public key opens nothing.",
                    number=number,
                )
            )
        try:
            keys.append(pyrage.x25519.Identity.from_str(line))
        except pyrage.IdentityError as error:
            raise WrongIdentity(
                _(
                    "Line %(number)s of the identity is no secret key as age-keygen makes them.",
                    number=number,
                )
            ) from error
    if not keys:
        raise WrongIdentity(_("No identity was given; the archive is encrypted."))
    return keys


def identity_lines(text):
    """Yield (number, line) of what is neither empty nor a comment."""
    for number, line in enumerate((text or "").splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def is_secret(text):
    return any(mark in text.upper() for mark in SECRET_MARKS)


# --- between pyrage and us ----------------------------------------------------------------------


class Reader:
    """The blocks of an iterator as a file that is read in pieces.

    pyrage turns what is raised in here into a text, so it is kept in ``error`` too.
    """

    def __init__(self, blocks):
        self.error = None
        self._blocks = iter(blocks)
        self._block = memoryview(b"")

    def read(self, length):
        try:
            while not self._block:
                self._block = memoryview(next(self._blocks))
        except StopIteration:
            return b""
        except Exception as error:
            self.error = error
            raise
        piece, self._block = self._block[:length], self._block[length:]
        return bytes(piece)


class Writer:
    """A file that collects pieces and hands them on in blocks."""

    def __init__(self, write):
        self.error = None
        self._write = write
        self._pieces = []
        self._size = 0

    def write(self, piece):
        if self._size + len(piece) > BLOCK:
            self.flush_out()
        self._pieces.append(piece)
        self._size += len(piece)
        return len(piece)

    def flush(self):
        """What pyrage asks for at the end is left to :meth:`flush_out`."""

    def flush_out(self):
        if not self._pieces:
            return
        block = b"".join(self._pieces)
        self._pieces, self._size = [], 0
        try:
            self._write(block)
        except Exception as error:
            self.error = error
            raise


@contextlib.contextmanager
def errors_of(reader, writer):
    """Raise what went wrong on either side of pyrage as what it was there."""
    try:
        yield
    except (BackupError, OSError) as error:
        cause = reader.error or writer.error
        if cause is None or cause is error:
            raise
        raise cause from None
