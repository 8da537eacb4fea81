"""Encryption: what age makes of it, what it says of keys, and that no secret is repeated."""

import io
import os
import subprocess
import sys
import tracemalloc

import ages
import places
import pytest
from ages import IDENTITY, KEY_FILE, OTHER_IDENTITY, OTHER_RECIPIENT, RECIPIENT
from engine.encryption import BLOCK, check_recipients, decrypt, encrypt
from engine.errors import (
    BackupError,
    Damaged,
    EncryptionFailed,
    LibraryMissing,
    NoSpace,
    Truncated,
    WrongIdentity,
)
from engine.masking import masked, secrets_of

# Around age's chunks of 64 KiB and our blocks of 1 MiB.
SIZES = (0, 1, 65_535, 65_536, 65_537, 2 * BLOCK, 3 * BLOCK + 1)


def encrypted(content, recipients=(RECIPIENT,), step=100_000):
    written = io.BytesIO()
    blocks = (content[start : start + step] for start in range(0, len(content), step))
    encrypt(blocks, written.write, recipients)
    return written.getvalue()


def decrypted(content, identity=IDENTITY):
    written = io.BytesIO()
    decrypt([content], written.write, identity)
    return written.getvalue()


# --- the format ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_the_age_program_opens_what_we_encrypt(tmp_path, size):
    content = os.urandom(size)
    assert ages.opened_by_age(tmp_path, encrypted(content)) == content


@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_the_age_program_encrypts(size):
    content = os.urandom(size)
    command = ["age", "-r", RECIPIENT]
    made = subprocess.run(command, input=content, capture_output=True, check=True).stdout
    assert decrypted(made) == content


def test_any_of_the_recipients_opens_it():
    content = encrypted(b"archive", (RECIPIENT, OTHER_RECIPIENT))
    assert decrypted(content, IDENTITY) == decrypted(content, OTHER_IDENTITY) == b"archive"


def test_the_same_archive_is_never_encrypted_to_the_same_bytes():
    assert encrypted(b"archive") != encrypted(b"archive")


def test_bytes_are_handed_on_in_large_blocks():
    """A request to a store for every 64 KiB would cost more than the encryption."""
    content, lengths = os.urandom(5 * BLOCK), []
    encrypt([content], lambda block: lengths.append(len(block)), [RECIPIENT])
    assert sum(lengths) > len(content)
    assert max(lengths) <= BLOCK
    assert min(lengths[:-1]) > 0.9 * BLOCK
    sealed, lengths = encrypted(content), []
    decrypt([sealed], lambda block: lengths.append(len(block)), IDENTITY)
    decrypt([ages.sealed(b"")], lambda block: lengths.append(len(block)), IDENTITY)
    assert set(lengths) == {BLOCK}


def test_memory_does_not_grow_with_the_archive():
    block = os.urandom(BLOCK)
    tracemalloc.start()
    encrypt((block for _number in range(64)), lambda block: None, [RECIPIENT])
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * BLOCK


# --- damage -------------------------------------------------------------------------------------

SEALED = ages.sealed(os.urandom(200_000))


@pytest.mark.parametrize("length", [0, 10, 150, 250, 65_000, 65_803, 131_355, len(SEALED) - 1])
def test_an_archive_that_was_cut_is_never_taken_for_a_whole_one(length):
    with pytest.raises((Truncated, Damaged)):
        decrypted(SEALED[:length])


@pytest.mark.parametrize("position", [*range(0, 230, 7), 300, 65_900, 199_000, len(SEALED) - 1])
def test_a_changed_byte_is_never_taken_for_the_right_one(position):
    changed = bytearray(SEALED)
    changed[position] ^= 1
    with pytest.raises((Damaged, Truncated, WrongIdentity)):
        decrypted(bytes(changed))


@pytest.mark.parametrize("content", [SEALED + b"x", b"PK\3\4" + bytes(500), b"<html>" * 50])
def test_other_content_is_damaged(content):
    with pytest.raises(Damaged):
        decrypted(content)


# --- what goes wrong on either side -------------------------------------------------------------


@pytest.mark.parametrize("error", [NoSpace("It is full."), OSError(5, "I/O"), KeyError("defect")])
@pytest.mark.parametrize("action", ["encrypt", "decrypt"])
@pytest.mark.parametrize("side", ["read", "write"])
def test_a_failure_of_either_side_stays_what_it_is(action, side, error):
    def failing(*_arguments):
        raise error

    def blocks():
        yield SEALED[:150_000]
        yield failing()

    work, key = (encrypt, [RECIPIENT]) if action == "encrypt" else (decrypt, IDENTITY)
    with pytest.raises(type(error)) as raised:
        if side == "read":
            work(blocks(), len, key)
        else:
            work([SEALED], failing, key)
    assert raised.value is error


def test_without_the_library_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyrage", None)
    for attempt in (
        lambda: check_recipients([RECIPIENT]),
        lambda: encrypt([], len, [RECIPIENT]),
        lambda: decrypt([], len, IDENTITY),
    ):
        with pytest.raises(LibraryMissing) as raised:
            attempt()
        assert "pip install pyrage" in raised.value.hint


def test_the_library_is_loaded_only_where_something_is_encrypted():
    script = "import sys\nimport engine.transfer\nprint('pyrage' in sys.modules)"
    assert places.run_python(script) == "False\n"


# --- keys ---------------------------------------------------------------------------------------


def test_good_recipients_pass():
    check_recipients([])
    check_recipients([RECIPIENT, f" {OTHER_RECIPIENT}\n"])


@pytest.mark.parametrize(
    "wrong",
    [RECIPIENT[:-1], RECIPIENT + "x", RECIPIENT.replace("1", "1q", 1), "age1", "age1yubikey1q"],
)
def test_a_recipient_that_is_mistyped_is_named(wrong):
    with pytest.raises(EncryptionFailed) as raised:
        check_recipients([RECIPIENT, wrong])
    assert f"Recipient 2 ({wrong})" in raised.value.message


@pytest.mark.parametrize("wrong", ["", "alice@example.com", "ssh-ed25519 AAAA", "hunter2"])
def test_what_is_no_age_recipient_at_all_is_counted_and_not_repeated(wrong):
    with pytest.raises(EncryptionFailed) as raised:
        check_recipients([wrong])
    assert raised.value.message == "Recipient 1 does not begin with age1."


@pytest.mark.parametrize(
    "secret",
    [IDENTITY, IDENTITY.lower(), f"  {IDENTITY[:40]}", "-----BEGIN OPENSSH PRIVATE KEY-----"],
    ids=["identity", "in small letters", "cut", "of ssh"],
)
def test_an_identity_among_the_recipients_is_refused_loudly_and_not_repeated(secret):
    with pytest.raises(EncryptionFailed, match="is a secret key. It must not be kept") as raised:
        check_recipients([secret])
    assert "age-keygen -y" in raised.value.hint
    assert secret.strip() not in str(raised.value.as_dict())


def test_an_archive_is_not_encrypted_for_nobody():
    with pytest.raises(EncryptionFailed):
        encrypt([b"archive"], len, [])


@pytest.mark.parametrize(
    "text",
    [IDENTITY, f"\n {IDENTITY} \r\n", KEY_FILE, f"{OTHER_IDENTITY}\n{IDENTITY}\n"],
    ids=["alone", "with space", "key file", "the second of two"],
)
def test_an_identity_is_taken_as_people_have_it(text):
    assert decrypted(ages.sealed(b"archive"), text) == b"archive"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OTHER_IDENTITY, "does not open this archive"),
        (RECIPIENT, "Line 1 of the identity is a recipient"),
        (f"# mine\n{IDENTITY[:-1]}x", "Line 2 of the identity is no secret key"),
        ("correct horse battery staple", "Line 1 of the identity is no secret key"),
        ("", "No identity was given"),
        ("# nothing\n", "No identity was given"),
        (None, "No identity was given"),
    ],
)
def test_an_identity_that_does_not_do_is_told_and_not_repeated(text, message):
    with pytest.raises(WrongIdentity, match=message) as raised:
        decrypted(ages.sealed(b"archive"), text)
    told = str(raised.value.as_dict())
    assert not [line for line in (text or "").split("\n") if line and line in told]


# --- in what is told ----------------------------------------------------------------------------


@pytest.mark.parametrize("order", [{"identity": KEY_FILE}, {"copies": [{"identity": KEY_FILE}]}])
def test_identities_of_an_order_are_blotted_out_of_what_is_told(order):
    secrets = secrets_of({**order, "database": "shop"})
    event = {"error": f"cannot read {IDENTITY}", "hint": f"{KEY_FILE!r}", "path": "shop"}
    told = masked(event, secrets)
    assert IDENTITY not in str(told)
    assert told["error"] == "cannot read ********"


def test_identities_are_blotted_out_of_the_sentences_of_notes_too():
    secrets = secrets_of({"identity": IDENTITY})
    event = {"notes": [f"{IDENTITY} was tried.", "2 files."], "report": {"notes": [IDENTITY]}}
    told = masked(event, secrets)
    assert told == {"notes": ["******** was tried.", "2 files."], "report": {"notes": ["********"]}}


def test_comments_and_short_lines_of_a_key_file_are_no_secrets():
    secrets = secrets_of({"identity": f"# shop\nabc\n{IDENTITY}\n"})
    assert masked({"error": "abc # shop"}, secrets) == {"error": "abc # shop"}


def test_errors_are_of_the_kinds_that_people_are_told():
    """Nothing of pyrage's own comes out, whatever the bytes."""
    for length in range(0, 230, 3):
        with pytest.raises(BackupError):
            decrypted(SEALED[:length] + os.urandom(40))
