"""Which damage of an Odoo zip is found, at which level, and that good ones pass."""

import hashlib
import io
import json
import os
import pathlib
import struct
import sys
import tracemalloc
import zipfile
import zlib

import pytest
from engine.archive import codec
from engine.archive.checkers import PlainDump
from engine.archive.verify import verify
from engine.errors import BackupError, Damaged, Inconsistent, NotAnArchive, Truncated

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import verify_archives as archives

GOOD = archives.odoo_zip()
CONTENT = archives.unzip(GOOD)
VARIANTS = {
    "as Odoo makes it": {},
    "streamed, with data descriptors": {"streamed": True},
    "with 64-bit headers": {"zip64": True},
    "streamed with 64-bit headers": {"streamed": True, "zip64": True},
    "stored": {"method": zipfile.ZIP_STORED},
    "with a comment": {"comment": b"weekly"},
}
BACKENDS = sorted({codec.backend, zlib}, key=lambda module: module.__name__)


@pytest.fixture(params=BACKENDS, ids=lambda module: module.__name__)
def backend(request, monkeypatch):
    monkeypatch.setattr(codec, "backend", request.param)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "archive"


def check(place, content, level=2, **options):
    place.write_bytes(content)
    return verify(place, "zip", level, **options)


def fault(place, content, level=2, **options):
    """Return the error that the verification ends with, or None."""
    try:
        check(place, content, level, **options)
    except BackupError as error:
        assert len(str(error)) > 15
        return error
    return None


# --- good archives ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.usefixtures("backend")
def test_a_good_zip_passes_both_levels(place, how):
    content = archives.odoo_zip(**how)
    for level in (1, 2):
        report = check(place, content, level, database=archives.DATABASE)
        assert (report.level, report.size, report.members) == (level, len(content), 4)
        assert report.filestore_files == 1
    assert report.manifest == archives.MANIFEST
    assert (report.database, report.odoo_version) == ("tiny", "19.0")
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()


def test_a_zip_without_filestore_and_in_another_order_passes(place):
    listed = dict(reversed(list(archives.members().items())[:2]))
    assert check(place, archives.odoo_zip(listed)).filestore_files == 0


def test_folders_are_members_but_no_files(place):
    content = archives.odoo_zip({"filestore/": b"", "filestore/7c/": b"", **archives.members()})
    report = check(place, content)
    assert (report.members, report.filestore_files) == (6, 1)


def test_a_directory_in_another_order_than_the_file_passes(place):
    assert check(place, with_directory(GOOD, list(reversed(directory(GOOD))))).level == 2


def test_a_stored_zip_within_the_zip_is_no_end_of_it(place):
    inner = {**archives.members(), "filestore/aa/aa": GOOD}
    content = archives.odoo_zip(inner, method=zipfile.ZIP_STORED)
    assert check(place, content).level == 2
    for length in range(content.index(GOOD), len(content)):
        error = fault(place, content[:length], level=1)
        # The very byte at which the inner zip ends looks like an end record with a wrong place.
        cut_at_inner_end = length == content.index(GOOD) + len(GOOD)
        assert isinstance(error, Damaged if cut_at_inner_end else Truncated), length


def test_many_members_do_not_cost_memory(place):
    filestore = {f"filestore/00/{number:040x}": b"" for number in range(70_000)}
    place.write_bytes(archives.odoo_zip({**archives.members(), **filestore}, method=0))
    tracemalloc.start()
    report = verify(place, "zip", 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.members == 70_004
    assert peak < 2_000_000


@pytest.mark.usefixtures("backend")
def test_a_member_that_inflates_a_thousandfold_does_not_cost_memory(place):
    dump = archives.SQL.replace(b"1\tone", b"1\t" + b"x" * 50_000_000)
    place.write_bytes(with_members(dump=dump))
    tracemalloc.start()
    assert verify(place, "zip", 2).level == 2
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


def test_a_member_of_more_than_4_gib_passes_level_1_and_its_cut_is_found(place):
    content = huge_zip(place)
    assert verify(place, "zip", 1).members == 3
    os.truncate(place, content - 1)
    with pytest.raises(Truncated):
        verify(place, "zip", 1)


def huge_zip(place, size=(4 << 30) + 5):
    """Write a zip whose last member is a hole of ``size`` zeros; return its length."""
    listed = {**archives.members(), "filestore/aa/aa": b""}
    del listed[archives.STORED_FILE], listed[list(listed)[2]]
    small = archives.odoo_zip(listed, method=zipfile.ZIP_STORED)
    entries, start = directory(small), struct.unpack("<L", small[-6:-2])[0]
    last = bytearray(entries[-1])
    offset = struct.unpack_from("<L", last, 42)[0]
    extra = struct.pack("<2H2Q", 1, 16, size, size)
    struct.pack_into("<2L", last, 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", last, 30, len(extra))
    local = bytearray(small[offset:start])
    struct.pack_into("<2L", local, 18, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", local, 28, len(extra))
    begin = small[:offset] + bytes(local) + extra
    listing = b"".join(entries[:-1]) + bytes(last) + extra
    at = len(begin) + size
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 3, 3, len(listing), at)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at + len(listing), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 3, 3, len(listing), 0xFFFFFFFF, 0)
    with place.open("wb") as file:
        file.write(begin)
        file.seek(at)
        file.write(listing + end64 + locator + end)
        return file.tell()


# --- cuts and surplus ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", VARIANTS.values(), ids=VARIANTS)
def test_every_cut_is_found_at_level_1(place, how):
    content = archives.odoo_zip(**how)
    for length in range(len(content)):
        assert isinstance(fault(place, content[:length], level=1), Truncated), length


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


@pytest.mark.parametrize("how", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.usefixtures("backend")
def test_every_flipped_bit_is_found_or_changes_nothing_that_is_restored(place, how):
    content = archives.odoo_zip(**how)
    plain = archives.unzip(content)
    harmless = harmless_bytes(content)
    for position in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            if not fault(place, bytes(flipped), database=archives.DATABASE):
                assert position in harmless, (position, bit)
                assert archives.unzip(bytes(flipped)) == plain, (position, bit)


def harmless_bytes(content):
    """Return the positions of what no reader needs, by the fields of APPNOTE 4.3.

    Local headers: version and time (the directory has them too). Directory: version, host and time
    of the maker, version needed (as long as Python reads it), attributes. 64-bit end record: its
    versions. The last byte of deflated data: the bits behind the end of the stream. A comment.
    """
    comment = len(content) - content.rindex(b"PK\5\6") - 22
    found = set(range(len(content) - comment, len(content)))
    fields = {
        b"PK\3\4": (*range(4, 6), *range(10, 14)),
        b"PK\1\2": (*range(4, 8), *range(12, 16), *range(36, 42)),
        b"PK\6\6": range(12, 16),
    }
    for magic, offsets in fields.items():
        at = content.find(magic)
        while at >= 0:
            found.update(at + offset for offset in offsets)
            at = content.find(magic, at + 1)
    for info in zipfile.ZipFile(io.BytesIO(content)).infolist():
        names = struct.unpack_from("<2H", content, info.header_offset + 26)
        if info.compress_type == zipfile.ZIP_DEFLATED:
            found.add(info.header_offset + 30 + sum(names) + info.compress_size - 1)
    return found


def test_random_damage_is_found_or_changes_nothing_that_is_restored(place):
    dice = archives.dice(20250330)
    for _round in range(1500):
        damaged = damage(dice, archives.odoo_zip(**dice.choice(list(VARIANTS.values()))))
        if not fault(place, damaged):
            assert archives.unzip(damaged) == CONTENT


def damage(dice, content):
    """Return the content with a part of it dropped, doubled, overwritten or moved."""
    start, stop, to = sorted(dice.randrange(len(content)) for _number in range(3))
    part = content[start:stop]
    return dice.choice(
        [
            content[:start] + content[stop:],
            content[:stop] + part + content[stop:],
            content[:start] + dice.randbytes(len(part)) + content[stop:],
            content[:start] + bytes(len(part)) + content[stop:],
            content[:start] + content[stop:to] + part + content[to:],
        ]
    )


# --- the structure ------------------------------------------------------------------------------


def directory(content):
    """Return the entries of the central directory, as bytes."""
    length, start = struct.unpack("<2L", content[-10:-2])
    parts = content[start : start + length].split(b"PK\1\2")[1:]
    return [b"PK\1\2" + part for part in parts]


def with_directory(content, entries, before=b""):
    """Return the archive with other entries, and ``before`` in front of its directory."""
    start = struct.unpack("<L", content[-6:-2])[0]
    listing = b"".join(entries)
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, len(entries), len(entries), len(listing),
        start + len(before), 0,
    )  # fmt: skip
    return content[:start] + before + listing + end


def with_gap():
    """Return the archive with three bytes between its first two members, the offsets corrected."""
    entries = directory(GOOD)
    second = struct.unpack_from("<L", entries[1], 42)[0]
    moved = [entries[0]]
    for entry in entries[1:]:
        offset = struct.unpack_from("<L", entry, 42)[0]
        moved.append(entry[:42] + struct.pack("<L", offset + 3) + entry[46:])
    start = struct.unpack("<L", GOOD[-6:-2])[0]
    spread = GOOD[:second] + b"\0\0\0" + GOOD[second:start]
    listing = b"".join(moved)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 4, 4, len(listing), len(spread), 0)
    return spread + listing + end


def with_twin():
    """Return an archive whose directory lists its last member twice (an overlap)."""
    entries = directory(GOOD)
    return with_directory(GOOD, [*entries, entries[-1]])


def with_offset(offset):
    entries = directory(GOOD)
    entries[-1] = entries[-1][:42] + struct.pack("<L", offset) + entries[-1][46:]
    return with_directory(GOOD, entries)


def swapped():
    """Return an archive whose two files have each other's content, under sound checksums."""
    listed = archives.members()
    listed["dump.sql"], listed["manifest.json"] = listed["manifest.json"], listed["dump.sql"]
    return archives.odoo_zip(listed)


def with_members(**changes):
    return archives.odoo_zip(archives.members(**changes))


CUT_DUMP = archives.SQL[: archives.SQL.index(b"2\ttwo")]
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
    "a member listed twice": (with_twin(), 2, Damaged),
    "a member past the end": (with_offset(1 << 30), 1, Damaged),
    "a member within another": (with_offset(5), 1, Damaged),
    "bytes between two members": (with_gap(), 2, Damaged),
    "bytes behind the last member": (with_directory(GOOD, directory(GOOD), b"\0"), 1, Damaged),
    "a member that the directory lacks": (with_directory(GOOD, directory(GOOD)[:-1]), 1, Damaged),
    "swapped contents": (swapped(), 2, Inconsistent),
    "an empty dump": (with_members(dump=b""), 2, Truncated),
    "a dump cut in its first line": (with_members(dump=b"--\n"), 2, Truncated),
    "a dump cut in a table": (with_members(dump=CUT_DUMP), 2, Truncated),
    "a dump cut behind a row that fakes its end": (
        with_members(dump=FAKE_END),
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


# --- around it ----------------------------------------------------------------------------------


def test_progress_is_told_each_megabyte_and_ends_at_the_total(place):
    filestore = {f"filestore/0{n}/{n}": archives.dice(n).randbytes(700_000) for n in range(9)}
    content = archives.odoo_zip({**archives.members(), **filestore})
    told = []
    check(place, content, progress=lambda done, total: told.append((done, total)))
    steps = [done for done, _total in told]
    assert {total for _done, total in told} == {len(content)}
    assert steps == sorted(steps)
    assert steps[-1] == len(content)
    assert max(after - before for before, after in zip(steps, steps[1:], strict=False)) <= 1 << 20


@pytest.mark.parametrize("level", [1, 2])
def test_what_progress_raises_ends_the_verification(place, level):
    def stop(_done, _total):
        raise InterruptedError("cancelled")

    with pytest.raises(InterruptedError):
        check(place, GOOD, level, progress=stop)


@pytest.mark.parametrize("level", [1, 2])
def test_the_digest_finds_an_archive_that_is_sound_but_another(place, level):
    digest = hashlib.sha256(GOOD).hexdigest()
    assert check(place, GOOD, level, sha256=digest.upper()).level == level
    other = archives.odoo_zip(streamed=True)
    assert isinstance(fault(place, other, level, sha256=digest), Damaged)


@pytest.mark.parametrize(("archive_format", "level"), [("zip", 0), ("zip", 3), ("tar", 1)])
def test_what_does_not_exist_is_refused(place, archive_format, level):
    place.write_bytes(GOOD)
    with pytest.raises(ValueError, match="unsupported|unknown"):
        verify(place, archive_format, level)


def test_a_file_that_is_not_there_is_no_verdict(place):
    with pytest.raises(FileNotFoundError):
        verify(place, "zip", 1)
