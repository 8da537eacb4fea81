"""Which damage of an Odoo zip is found, and at which level."""

import json
import struct

import pytest
import verify_archives as archives
import verify_zips as zips
from engine.archive import codec
from engine.archive.checkers import PlainDump
from engine.errors import Damaged, Inconsistent, NotAnArchive, Truncated
from verify_zips import GOOD, VARIANTS, with_members

CONTENT = archives.unzip(GOOD)
check, fault = archives.verifier("zip")


@pytest.fixture(params=archives.BACKENDS, ids=lambda module: module.__name__)
def backend(request, monkeypatch):
    monkeypatch.setattr(codec, "backend", request.param)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "archive"


# --- cuts and surplus ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", VARIANTS.values(), ids=VARIANTS)
def test_every_cut_is_found_at_level_1(place, how):
    content = archives.odoo_zip(**how)
    for length in archives.cuts(place, content):
        assert isinstance(fault(place, None, level=1), Truncated), length


def test_every_missing_first_byte_and_every_hole_is_found(place):
    for length in range(1, len(GOOD)):
        assert fault(place, GOOD[length:], level=1), length
        assert fault(place, GOOD[: length - 1] + GOOD[length:], level=2), length


SURPLUS = {
    "one byte more": GOOD + b"\0",
    "a page of an error behind it": GOOD + b"<html>Internal Server Error</html>",
    "a byte before it": b"P" + GOOD,
    "two archives in one file": GOOD + GOOD,
    "an archive behind a cut one": GOOD[:300] + GOOD,
}


@pytest.mark.parametrize("name", SURPLUS)
def test_bytes_that_belong_to_nothing_are_found_at_level_1(place, name):
    assert isinstance(fault(place, SURPLUS[name], level=1), Damaged | NotAnArchive)


# --- changed bytes ------------------------------------------------------------------------------


@pytest.mark.usefixtures("backend")
def test_every_flipped_bit_is_found_or_changes_nothing_that_is_restored(place):
    require_flips_found(place, GOOD, range(8))


@pytest.mark.parametrize("how", VARIANTS.values(), ids=VARIANTS)
def test_a_flipped_bit_of_each_byte_is_found_in_every_variant(place, how):
    require_flips_found(place, archives.odoo_zip(**how), (1, 6))


def require_flips_found(place, content, bits):
    plain = archives.unzip(content)
    harmless = zips.harmless_bytes(content)
    for position in archives.flips(place, content, range(len(content)), bits):
        if not fault(place, None, database=archives.DATABASE):
            assert position in harmless
            assert archives.unzip(place.read_bytes()) == plain, position


def test_a_flipped_bit_in_either_end_record_is_found(place):
    length, start = struct.unpack("<2L", GOOD[-10:-2])
    content = GOOD[:-22] + zips.end64(4, length, start) + GOOD[-22:]
    assert check(place, content).members == 4
    # Python's zipfile asks for at most one disk, so 0 of them are no fault either.
    harmless = {*range(start + length + 12, start + length + 16), len(content) - 22 - 4}
    for position in archives.flips(place, content, range(start + length, len(content))):
        assert fault(place, None, 1) or position in harmless, position


def test_random_damage_is_found_or_changes_nothing_that_is_restored(place):
    dice = archives.dice(20250330)
    for _round in range(1500):
        damaged = zips.damage(dice, archives.odoo_zip(**dice.choice(list(VARIANTS.values()))))
        if not fault(place, damaged):
            assert archives.unzip(damaged) == CONTENT


# --- the structure ------------------------------------------------------------------------------


CUT_DUMP = archives.SQL[: archives.SQL.index(b"2\ttwo")]
CUT_BEHIND_END = (
    archives.SQL[: archives.SQL.index(b"\\unrestrict")] + b"CREATE TABLE public.more (\n"
)
FAKE_END = (
    archives.SQL[: archives.SQL.index(b"\\.\n")] + b"3\t-- PostgreSQL database dump complete\n"
)
DAMAGED = {
    # name: (the archive, the level that finds it, the kind)
    "an empty file": (b"", 1, Truncated),
    "a web page": (b"<!DOCTYPE html><title>Odoo</title>Access Denied", 1, NotAnArchive),
    "a web page behind spaces": (b"\n\n  <html><body>502</body></html>", 1, NotAnArchive),
    "garbage": (archives.dice(1).randbytes(5000), 1, NotAnArchive),
    "a dump": (archives.PIPED, 1, NotAnArchive),
    "SQL": (archives.SQL, 1, NotAnArchive),
    "gzip": (b"\x1f\x8b\x08" + bytes(50), 1, NotAnArchive),
    "JSON": (b'{"error": {"code": 200}}', 1, NotAnArchive),
    "zeros": (bytes(5000), 1, NotAnArchive),
    "a zip of zeros but for its magic": (b"PK\3\4" + bytes(5000), 1, Truncated),
    "an empty zip": (archives.odoo_zip({}), 1, Inconsistent),
    "a zip of a readme": (archives.odoo_zip({"README": b"hello"}), 1, Inconsistent),
    "no dump.sql": (with_members(dump=None), 1, Inconsistent),
    "no manifest": (with_members(manifest=None), 1, Inconsistent),
    "dump.sql in a folder": (
        archives.odoo_zip({"x/" + name: value for name, value in CONTENT.items()}),
        1,
        Inconsistent,
    ),
    "a member listed twice": (zips.with_twin(), 2, Damaged),
    "a member past the end": (zips.with_offset(1 << 30), 1, Damaged),
    "a member within another": (zips.with_offset(5), 1, Damaged),
    "bytes between two members": (zips.with_gap(), 2, Damaged),
    "bytes behind the last member": (
        zips.with_directory(GOOD, zips.directory(GOOD), b"\0"),
        1,
        Damaged,
    ),
    "a member that the directory lacks": (
        zips.with_directory(GOOD, zips.directory(GOOD)[:-1]),
        1,
        Damaged,
    ),
    "bytes before the first member": (zips.with_preamble(), 1, Damaged),
    "an encrypted member": (zips.encrypted(), 1, Damaged),
    "two dumps": (zips.twice("dump.sql"), 1, Inconsistent),
    "two manifests": (zips.twice("manifest.json"), 1, Inconsistent),
    "swapped contents": (zips.swapped(), 2, Inconsistent),
    "an empty dump": (with_members(dump=b""), 2, Truncated),
    "a dump cut in its first line": (with_members(dump=b"--\n"), 2, Truncated),
    "a dump cut in a table": (with_members(dump=CUT_DUMP), 2, Truncated),
    "a dump cut behind a row that fakes its end": (
        with_members(dump=FAKE_END),
        2,
        Truncated,
    ),
    "a dump cut behind a comment that is its end": (
        with_members(dump=CUT_BEHIND_END),
        2,
        Truncated,
    ),
    "an error message for a dump": (
        with_members(dump=b"pg_dump: error: server version mismatch\n"),
        2,
        Inconsistent,
    ),
    "a manifest that is no JSON": (
        with_members(manifest=b'{"odoo_dump": '),
        2,
        Inconsistent,
    ),
    "a manifest that is a list": (with_members(manifest=b"[]"), 2, Inconsistent),
    "a manifest nested without end": (
        with_members(manifest=b"[" * 200_000),
        2,
        Inconsistent,
    ),
    "a manifest of 5 MB": (
        with_members(manifest=b" " * 5_000_000),
        2,
        Inconsistent,
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.usefixtures("backend")
def test_a_bad_archive_is_found_at_its_level_with_its_kind(place, name):
    content, level, kind = DAMAGED[name]
    assert type(fault(place, content, level)) is kind
    assert type(fault(place, content, 2)) is kind
    if level == 2:
        assert fault(place, content, 1) is None


def test_the_message_names_the_title_of_a_web_page(place):
    page = b"<html><head><title>\n 502 Bad Gateway </title></head></html>"
    assert "502 Bad Gateway" in str(fault(place, page))


def test_the_message_says_that_members_overlap(place):
    assert "runs into what follows" in str(fault(place, zips.with_twin()))


def test_the_message_names_the_damaged_member(place):
    at = GOOD.index(archives.STORED_FILE.encode()) + len(archives.STORED_FILE)
    damaged = GOOD[:at] + b"\xff" + GOOD[at + 1 :]
    assert archives.STORED_FILE in str(fault(place, damaged))


@pytest.mark.parametrize("field", archives.MANIFEST)
def test_a_manifest_that_lacks_a_field_is_found(place, field):
    manifest = {name: value for name, value in archives.MANIFEST.items() if name != field}
    content = with_members(manifest=json.dumps(manifest).encode())
    error = fault(place, content)
    assert isinstance(error, Inconsistent)
    assert field in str(error)


def test_a_manifest_of_another_database_is_found(place):
    error = fault(place, GOOD, database="other")
    assert isinstance(error, Inconsistent)
    assert "'tiny'" in str(error)
    assert "'other'" in str(error)


def test_every_cut_of_the_dump_within_a_sound_zip_is_found():
    for length in range(archives.SQL.index(b"complete") + len("complete")):
        checker = PlainDump()
        checker.feed(archives.SQL[:length])
        with pytest.raises(Truncated):
            checker.finish()


@pytest.mark.parametrize("size", [1, 3, 4096])
@pytest.mark.parametrize(
    "script",
    [
        archives.SQL,
        archives.SQL.replace(b"\n", b"\r\n"),
        archives.SQL[: archives.SQL.index(b"\\unrestrict")],
        archives.SQL + b"\n",
    ],
    ids=["with unrestrict", "of Windows", "of older pg_dump", "with an empty line more"],
)
def test_the_end_of_every_kind_of_dump_is_recognised_in_blocks_of_any_size(script, size):
    checker = PlainDump()
    for start in range(0, len(script), size):
        checker.feed(script[start : start + size])
    checker.finish()
