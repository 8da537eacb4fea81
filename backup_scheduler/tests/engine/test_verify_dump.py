"""Which damage of a custom dump is found, at which level, and that good ones pass."""

import hashlib
import struct
import tracemalloc
import zlib

import pytest
import verify_archives as archives
import verify_redirected
from engine.archive import codec
from engine.archive.verify import verify
from engine.errors import BackupError, Damaged, Inconsistent, NotAnArchive, Truncated
from verify_archives import CustomDump, custom_dump, integer

VERSIONS = [(1, minor) for minor in range(12, 17)]
check, fault = archives.verifier("dump")
REAL = {"into a pipe": archives.PIPED, "into a file": archives.FILED}
REAL_17 = {"into a pipe": verify_redirected.PIPED, "redirected": verify_redirected.REDIRECTED}


@pytest.fixture(params=archives.BACKENDS, ids=lambda module: module.__name__)
def backend(request, monkeypatch):
    monkeypatch.setattr(codec, "backend", request.param)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "archive"


def tiny(**how):
    """Return a writer of a dump that is as small as one of each kind of block allows."""
    return CustomDump(**how).add_table("note").add_large_objects({4242: b"large", 4243: b""})


# --- good archives ------------------------------------------------------------------------------


@pytest.mark.parametrize("content", REAL.values(), ids=REAL)
@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.usefixtures("backend")
def test_a_dump_made_by_postgresql_passes(place, content, level):
    report = check(place, content, level, database="tiny")
    assert (report.level, report.size) == (level, len(content))
    assert (report.tables, report.large_objects) == (2, 2)
    assert report.database == "tiny"
    assert report.pg_version.startswith("15.18")


@pytest.mark.parametrize("content", REAL_17.values(), ids=REAL_17)
@pytest.mark.parametrize("level", [1, 2])
def test_a_dump_made_by_postgresql_17_passes(place, content, level):
    report = check(place, content, level, database="tiny")
    assert (report.level, report.size) == (level, len(content))
    assert (report.tables, report.large_objects) == (2, 2)
    assert report.pg_version.startswith("17.")


@pytest.mark.parametrize(
    "how", [{}, {"seekable": True}, {"appended": True}], ids=["piped", "filed", "redirected"]
)
@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("version", VERSIONS, ids=str)
@pytest.mark.usefixtures("backend")
def test_every_version_of_the_format_passes(place, version, compression, how):
    content = custom_dump(compression, version=version, **how)
    for level in (1, 2):
        report = check(place, content, level, database="tiny")
        assert (report.level, report.tables, report.large_objects) == (level, 24, 3)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_what_cannot_be_decompressed_is_called_complete_and_no_more(place, compression):
    content = custom_dump(compression, version=(1, 16))
    report = check(place, content, 2)
    assert report.level == 1
    assert compression in report.notes[0]
    assert isinstance(fault(place, content[:-1]), Truncated)
    magic = archives.FRAMES[compression]
    assert isinstance(fault(place, content.replace(magic, magic[1:] + b"x")), Damaged)


def test_rows_dumped_as_inserts_need_no_end_mark(place):
    dump = CustomDump()
    dump.entries.append(
        dump.entry("note", "TABLE DATA", streams=b"INSERT INTO note VALUES (1);\n", chunk=9)
    )
    assert check(place, dump.build()).tables == 1


def test_a_dump_of_no_table_passes(place):
    assert check(place, CustomDump().build()).tables == 0


def test_names_that_are_no_ascii_pass(place):
    dump = CustomDump(database="dé")
    dump.entries[0]["definition"] = "SET client_encoding = 'UTF8';\n"
    content = dump.build().replace(integer(2) + "dé".encode(), integer(3) + "dé".encode())
    assert check(place, content, database="dé").database == "dé"


# --- cuts and surplus ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "level"), [("into a pipe", 1), ("into a file", 1), ("into a pipe", 2)]
)
def test_every_cut_is_found(place, name, level):
    content = REAL[name]
    for length in archives.cuts(place, content):
        assert isinstance(fault(place, None, level), Truncated), length


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_every_cut_of_every_version_is_found(place, version):
    content = tiny(version=version).build()
    for length in archives.cuts(place, content):
        assert isinstance(fault(place, None, 1), Truncated), length


def test_every_hole_of_one_byte_is_found(place):
    for position in range(len(archives.PIPED)):
        assert fault(place, archives.PIPED[:position] + archives.PIPED[position + 1 :]), position


def test_the_message_says_whose_data_are_missing(place):
    content = archives.PIPED[:-200]
    assert "byte 2081" in str(fault(place, content, 1))
    dump = CustomDump().add_table("first").add_table("second").add_table("third")
    content = dump.build()[: dump.positions[3]]
    assert "public.second and 1 more" in str(fault(place, content, 1))


@pytest.mark.parametrize("more", [b"\0", b"\1", archives.PIPED, b"<html>"])
def test_bytes_behind_the_end_are_found_at_level_1(place, more):
    assert isinstance(fault(place, archives.PIPED + more, 1), Damaged)


def test_every_cut_of_a_second_table_of_contents_is_found(place):
    content, end = verify_redirected.REDIRECTED, verify_redirected.END_OF_DATA
    for length in archives.cuts(place, content):
        if length == end:
            # As pg_dump writes it into a pipe: nothing that a restore needs is missing.
            assert fault(place, None, 1) is None
            break
        # A few bytes may be anything.
        kinds = Truncated if length > end + 200 else (Truncated, Damaged)
        assert isinstance(fault(place, None, 1), kinds), length


def appended():
    """Return a dump whose table of contents stands behind the data again, and where that is."""
    dump = tiny(version=(1, 16), appended=True)
    return dump.build(), dump.data_start, dump.data_end


def behind(change):
    """Return the dump with its second table of contents changed."""
    content, _start, end = appended()
    changed = change(content[end:])
    assert changed != content[end:]
    return content[:end] + changed


def at_another_position(contents):
    """Have it say that the data of the table begin a byte later than they do."""
    _content, start, _end = appended()
    return contents.replace(struct.pack("<BQ", 2, start), struct.pack("<BQ", 2, start + 1))


def without_positions(contents):
    content, start, _end = appended()
    return content[start - len(contents) : start]


OTHER_CONTENTS = {
    "of another table": lambda: behind(lambda contents: contents.replace(b"note", b"mote")),
    "with one entry more": lambda: behind(lambda contents: integer(6) + contents[5:]),
    "with another position": lambda: behind(at_another_position),
    "without positions": lambda: behind(without_positions),
    "with a byte more": lambda: behind(lambda contents: contents + b"\0"),
    "twice": lambda: behind(lambda contents: contents * 2),
    "after positions were noted": lambda: tiny(seekable=True, appended=True).build(),
}


@pytest.mark.parametrize("build", OTHER_CONTENTS.values(), ids=OTHER_CONTENTS)
@pytest.mark.parametrize("level", [1, 2])
def test_a_second_table_of_contents_that_pg_dump_does_not_write_is_found(place, build, level):
    error = fault(place, build(), level)
    assert isinstance(error, (Damaged, Truncated))
    assert "follow the end" in str(error) or "ends at byte" in str(error)


# --- changed bytes ------------------------------------------------------------------------------

# Fields in which a changed bit can stay within what pg_dump writes. Nothing is lost with these:
# pg_restore shows them, or not even that.
HARMLESS = {
    "revision",
    "compression level: number",
    "time: number",
    "server version: text",
    "pg_dump version: text",
    "catalog numbers: text",
}
# And these the format does not protect, for there is no checksum over the table of contents: only
# the digest of the whole file tells.
UNPROTECTED = {
    "database: text",
    "number: number",
    "tag: text",
    "description: text",
    "section: number",
    "definition: text",
    "copy statement: text",
    "schema: text",
    "kind of relation: number",
    "owner: text",
    "dependency: text",
}


@pytest.mark.parametrize(("version", "seekable"), [((1, 14), False), ((1, 16), True)], ids=str)
def test_flipped_bits_before_the_data_are_found_where_the_format_allows_it(
    place, version, seekable
):
    dump = tiny(version=version, seekable=seekable)
    content = dump.build()
    unnoticed = set()
    for field, start, stop in dump.spans:
        for _position in archives.flips(place, content, range(start, stop)):
            if not fault(place, None):
                unnoticed.add(field)
    assert unnoticed <= HARMLESS | UNPROTECTED


def test_the_digest_finds_what_the_format_does_not_protect(place):
    dump = tiny()
    content = dump.build()
    digest = hashlib.sha256(content).hexdigest()
    unnoticed = 0
    for level in (1, 2):
        assert check(place, content, level, sha256=digest).level == level
        for field, start, _stop in dump.spans:
            if field in HARMLESS | UNPROTECTED:
                for _position in archives.flips(place, content, [start]):
                    assert fault(place, None, level, sha256=digest)
                    unnoticed += 1
    assert unnoticed > 300


# The byte at which the data of the real dumps begin.
START_OF_DATA = 2110


@pytest.mark.usefixtures("backend")
def test_every_flipped_bit_of_the_data_is_found_or_changes_no_row(place):
    content, start = archives.PIPED, START_OF_DATA
    rows = streams(content, start)
    unnoticed = set()
    for position in archives.flips(place, content, range(start, len(content))):
        if not fault(place, None):
            assert streams(place.read_bytes(), start) == rows
            unnoticed.add(position)
    # The bits between the end of a deflate stream and its checksum, at most once a stream.
    assert len(unnoticed) <= len(rows)


def streams(content, position):
    """Return what all streams of the blocks from ``position`` on decompress to, a reader apart."""
    found = []
    while position < len(content):
        kind = content[position]
        position += 6
        if kind == 1:
            position = stream(content, position, found)
            continue
        while any(content[position + 1 : position + 5]):
            position = stream(content, position + 5, found)
        position += 5
    return found


def stream(content, position, found):
    packed = b""
    while length := struct.unpack_from("<xI", content, position)[0]:
        packed += content[position + 5 : position + 5 + length]
        position += 5 + length
    found.append(zlib.decompress(packed))
    return position + 5


def test_rows_without_their_end_mark_are_found_although_their_stream_is_sound(place):
    for compression in ("gzip", "none"):
        content = CustomDump(compression=compression).add_table("note", b"1\tone\n2\tt").build()
        error = fault(place, content)
        assert isinstance(error, Damaged)
        assert "public.note" in str(error)
        assert fault(place, content, 1) is None


# --- the structure ------------------------------------------------------------------------------


def without_block(dump, number):
    """Return the dump without the data of one entry."""
    content = dump.build()
    starts = sorted([*dump.positions.values(), len(content)])
    start = dump.positions[number]
    return content[:start] + content[starts[starts.index(start) + 1] :]


def with_block_twice():
    dump = CustomDump().add_table("first").add_table("second")
    content = dump.build()
    return content[: dump.positions[3]] + content[dump.positions[2] :]


def changed(old, new, **how):
    content = tiny(**how).build()
    assert content.count(old) == 1
    return content.replace(old, new)


def header(content=b"", **changes):
    values = {"magic": b"PGDMP", "version": (1, 14, 0), "sizes": (4, 8), "kind": 1, **changes}
    return values["magic"] + bytes([*values["version"], *values["sizes"], values["kind"]]) + content


# The number of the entry and the length of its only chunk, uncompressed.
BLOCK = integer(2) + integer(11)
# How the entry of the second large object begins.
FOURTH = integer(4) + integer(0) + integer(4) + b"1259"
TWO = CustomDump().add_table("first").add_table("second")
BAD = {
    "an empty file": (b"", Truncated),
    "half a magic": (b"PGD", Truncated),
    "a web page": (b"<html><title>Odoo</title></html>", NotAnArchive),
    "garbage": (archives.dice(2).randbytes(5000), NotAnArchive),
    "an Odoo zip": (archives.odoo_zip(), NotAnArchive),
    "an SQL script": (archives.SQL, NotAnArchive),
    "zeros behind a sound prefix": (header(bytes(5000)), Damaged),
    "a dump of pg_dump 8.4": (header(bytes(500), version=(1, 11, 0)), NotAnArchive),
    "a dump of the future": (header(bytes(500), version=(1, 17, 0)), NotAnArchive),
    "a tar": (header(bytes(500), kind=3), NotAnArchive),
    "numbers of 32 bytes": (header(bytes(500), sizes=(32, 8)), Damaged),
    "a table whose data are missing, in the middle": (without_block(TWO, 2), Truncated),
    "a table whose data are missing, at the end": (without_block(TWO, 3), Truncated),
    "a table that is there twice": (with_block_twice(), Damaged),
    "a block of another kind": (changed(b"\1" + BLOCK, b"\2" + BLOCK, compression="none"), Damaged),
    "rows where large objects belong": (changed(b"\3" + integer(5), b"\1" + integer(5)), Damaged),
    "large objects of another number": (changed(integer(4242), integer(4241)), Damaged),
    "a block before its noted place": (
        without_block(CustomDump(seekable=True).add_table("first").add_table("second"), 2),
        Damaged,
    ),
    "an entry that is there twice": (changed(FOURTH, integer(3) + FOURTH[5:]), Damaged),
    "a text that is no UTF-8": (changed(b"public.note", b"public.not\xff"), Damaged),
    "a text with a NUL": (changed(b"public.note", b"public.not\0"), Damaged),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("level", [1, 2])
def test_a_bad_dump_is_found_at_level_1_with_its_kind(place, name, level):
    content, kind = BAD[name]
    assert type(fault(place, content, level)) is kind


def test_a_dump_of_another_database_is_found(place):
    error = fault(place, archives.PIPED, 1, database="other")
    assert isinstance(error, Inconsistent)
    assert "'tiny'" in str(error)


TIME = (1, 30, 2, 30, 2, 125, 0)
BEFORE_TEXTS = integer(-1) + b"".join(map(integer, TIME))
ABSURD = {
    "a database name of 2 GB": header(BEFORE_TEXTS + integer(2**31 - 1)),
    "a database name of 60 MB": header(BEFORE_TEXTS + integer(60_000_000)),
    "contents without end": changed(
        b"15.18" + integer(5), b"15.18" + integer(2**31 - 1)
    ),
    "a chunk of 2 GB": changed(BLOCK, integer(2) + integer(2**31 - 1), compression="none"),
}  # fmt: skip


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_lengths_allocate_nothing(place, name):
    place.write_bytes(ABSURD[name])
    tracemalloc.start()
    with pytest.raises(BackupError):
        verify(place, "dump", 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_text_longer_than_any_definition_is_refused_unread(place):
    with place.open("wb") as file:
        file.write(header(BEFORE_TEXTS + integer(2**30)))
        file.truncate(2**31)
    tracemalloc.start()
    with pytest.raises(Damaged):
        verify(place, "dump", 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_long_rows_do_not_cost_memory(place, compression):
    rows = b"1\t" + b"x" * 20_000_000 + b"\n\\.\n\n\n"
    place.write_bytes(
        CustomDump(compression=compression).add_table("note", rows, chunk=1 << 30).build()
    )
    tracemalloc.start()
    assert verify(place, "dump", 2).level == 2
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


# --- around it ----------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("digest", [False, True], ids=["", "with a digest"])
def test_progress_is_told_each_megabyte_and_ends_at_the_total(place, level, digest):
    rows = archives.dice(3).randbytes(5_000_000).replace(b"\\", b"/") + b"\n\\.\n\n\n"
    content = CustomDump().add_table("note", rows).build()
    told = []
    check(
        place,
        content,
        level,
        sha256=hashlib.sha256(content).hexdigest() if digest else None,
        progress=lambda done, total: told.append((done, total)),
    )
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
        check(place, archives.PIPED, level, progress=stop)
