"""The writer of Odoo's zips: what comes out of it is a zip to everybody, in a stream."""

import io
import json
import os
import shutil
import subprocess
import tracemalloc
import zipfile

import pytest
from bounded import run_bounded
from engine.archive import codec, zip_writer
from engine.archive.manifest import make_manifest, release_of
from engine.archive.writer import WHOLE, Writer
from engine.archive.zip_writer import ZipWriter
from local_world import MODULES, RELEASE, stored_name

NOON = 1_796_040_000
TEXT, NOISE = b"a line of text\n" * 10_000, os.urandom(150_000)


class Stream(io.RawIOBase):
    """What can neither be read nor gone back in."""

    def __init__(self):
        self.content = bytearray()

    def write(self, block):
        self.content += block
        return len(block)


def made(fill):
    """Return the zip, as a zipfile, that ``fill(writer)`` makes."""
    stream = Stream()
    writer = ZipWriter(stream.write)
    fill(writer)
    writer.close()
    return zipfile.ZipFile(io.BytesIO(stream.content))


@pytest.mark.parametrize("content", [b"", b"x", TEXT, NOISE], ids=["empty", "x", "text", "noise"])
@pytest.mark.parametrize("way", ["whole", "compressed", "as it is"])
def test_each_way_of_writing_a_member_is_read_by_python(content, way):
    def fill(writer):
        blocks = [content[at : at + 1000] for at in range(0, len(content), 1000)]
        if way == "whole":
            writer.add("a member", content, NOON)
        else:
            writer.stream("a member", blocks, NOON, way == "compressed")

    with made(fill) as archive:
        assert archive.testzip() is None
        assert archive.read("a member") == content


def test_what_does_not_shrink_is_stored():
    def fill(writer):
        writer.add("text", TEXT, NOON)
        writer.add("noise", NOISE, NOON)
        writer.add("a header of text", TEXT[:9000] + NOISE, NOON)

    with made(fill) as archive:
        methods = {each.filename: each.compress_type for each in archive.infolist()}
        assert archive.getinfo("text").compress_size < len(TEXT) / 10
        assert archive.getinfo("noise").compress_size == len(NOISE)
    assert methods["text"] == methods["a header of text"] == zipfile.ZIP_DEFLATED
    assert methods["noise"] == zipfile.ZIP_STORED


def test_without_isal_the_same_is_made_by_zlib(monkeypatch):
    import zlib

    monkeypatch.setattr(codec, "backend", zlib)
    monkeypatch.setattr(codec, "LEVEL", zlib.Z_DEFAULT_COMPRESSION)
    with made(lambda writer: writer.add("text", TEXT, NOON)) as archive:
        assert archive.read("text") == TEXT
        assert archive.getinfo("text").compress_size < len(TEXT) / 10


def test_names_and_times_are_those_of_the_files():
    def fill(writer):
        writer.add("filestore/ab/ordinary", b"", NOON)
        writer.add("Größe", b"", 0)
        writer.add("later", b"", 2**40)

    with made(fill) as archive:
        assert archive.namelist() == ["filestore/ab/ordinary", "Größe", "later"]
        years = [each.date_time[0] for each in archive.infolist()]
    assert years == [2026, 1980, 2107]


def test_more_members_than_a_short_directory_can_tell_of():
    count = 65_537

    def fill(writer):
        for number in range(count):
            writer.add(f"{number:x}", b"", NOON)

    with made(fill) as archive:
        assert len(archive.infolist()) == count
        assert archive.read(f"{count - 1:x}") == b""


def test_what_lies_behind_four_gigabytes_is_read_by_python_and_unzip(monkeypatch, tmp_path):
    """The limit is 1 MB here: what is written past it is what is written past 4 GB."""
    monkeypatch.setattr(zip_writer, "_MAX32", 1_000_000)
    packed = []
    monkeypatch.setattr(zip_writer, "_ENTRY", Widened(zip_writer._ENTRY, packed))
    monkeypatch.setattr(zip_writer, "_END", Widened(zip_writer._END, packed))
    monkeypatch.setattr(zip_writer, "_LOCAL", Widened(zip_writer._LOCAL, packed))

    def fill(writer):
        writer.stream("large", [NOISE] * 10, NOON, False)
        writer.add("behind it", b"small", NOON)
        writer.stream("as large", [TEXT] * 10, NOON, True)

    with made(fill) as archive:
        assert packed, "no value was replaced"
        assert archive.testzip() is None
        assert archive.getinfo("behind it").header_offset > 1_000_000
        assert archive.read("as large") == TEXT * 10
        content = archive.fp.getvalue()
    if shutil.which("unzip"):
        (tmp_path / "a.zip").write_bytes(content)
        subprocess.run(["unzip", "-tq", tmp_path / "a.zip"], check=True)


class Widened:
    """A structure of the zip in which the lowered limit stands for the real one."""

    def __init__(self, layout, packed):
        self._layout = layout
        self._packed = packed
        self.size = layout.size

    def pack(self, *values):
        changed = [0xFFFFFFFF if value == 1_000_000 else value for value in values]
        self._packed += [value for value in values if value == 1_000_000]
        return self._layout.pack(*changed)


def test_memory_is_that_of_the_directory(tmp_path):
    members = 20_000
    with open(os.devnull, "wb") as sink:
        writer = ZipWriter(sink.write)
        tracemalloc.start()
        for number in range(members):
            writer.add(f"filestore/ab/{number:040x}", b"small", NOON)
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        writer.close()
    assert peak < 400 * members


def test_a_large_file_takes_no_more_memory_than_a_small_one(tmp_path):
    """It is a hole: nothing is on the disk."""
    with open(tmp_path / "hole", "wb") as file:
        file.truncate(256 << 20)
    code = """
import os, sys
from engine.archive.writer import Writer
sink = open(os.devnull, "wb")
writer = Writer(sink.write)
file = os.open(sys.argv[1], os.O_RDONLY)
assert not writer.file("ab/" + "ab" * 20, file, os.fstat(file), lambda block: None)
writer.close()
"""
    run_bounded(code, tmp_path / "hole", memory=96 << 20)


# --- Odoo's own zip -------------------------------------------------------------------------------


def test_an_archive_begins_with_its_dump_and_holds_the_manifest_as_odoo_writes_it(tmp_path):
    stream = Stream()
    writer = Writer(stream.write)
    writer.dump([b"-- one\n", b"-- two\n"])
    manifest = make_manifest("shop", 150_018, MODULES, RELEASE)
    writer.manifest(manifest)
    writer.close()
    with zipfile.ZipFile(io.BytesIO(stream.content)) as archive:
        assert archive.namelist() == ["dump.sql", "manifest.json"]
        assert archive.read("dump.sql") == b"-- one\n-- two\n"
        text = archive.read("manifest.json").decode()
    assert text == json.dumps(manifest, indent=4)
    assert list(manifest) == [
        "odoo_dump", "db_name", "version", "version_info", "major_version", "pg_version", "modules"
    ]  # fmt: skip
    assert manifest["pg_version"] == "15.0", "as Odoo divides it"


@pytest.mark.parametrize("size", [0, 10, WHOLE - 1, WHOLE, WHOLE + 1, 2 * WHOLE + 7])
@pytest.mark.parametrize("begin", [b"text" * 10, NOISE], ids=["text", "noise"])
def test_a_file_of_any_size_is_whole_and_compared_with_its_name(tmp_path, size, begin):
    content = (begin * (size // len(begin) + 1))[:size]
    (tmp_path / "file").write_bytes(content)
    stream = Stream()
    writer = Writer(stream.write)
    blocks = []
    for name in (stored_name(content), stored_name(b"another"), "no/checksum"):
        with open(tmp_path / "file", "rb") as file:
            status = os.fstat(file.fileno())
            right = writer.file(name, file.fileno(), status, blocks.append)
        assert right == (name != stored_name(b"another"))
    writer.close()
    with zipfile.ZipFile(io.BytesIO(stream.content)) as archive:
        assert archive.testzip() is None
        assert archive.read(f"filestore/{stored_name(content)}") == content


def test_a_file_that_grows_while_it_is_read_is_read_to_its_end(tmp_path):
    (tmp_path / "file").write_bytes(b"begin")
    stream = Stream()
    writer = Writer(stream.write)
    with open(tmp_path / "file", "rb") as file:
        status = os.fstat(file.fileno())
        with open(tmp_path / "file", "ab") as more:
            more.write(b" and end" * 1000)
        assert writer.file(
            stored_name(b"begin" + b" and end" * 1000), file.fileno(), status, lambda block: None
        )


@pytest.mark.parametrize(
    ("base", "version", "info"),
    [
        ("19.0.1.3", "19.0", [19, 0, 0, "final", 0, ""]),
        ("17.0.1.3", "17.0", [17, 0, 0, "final", 0, ""]),
        ("saas~18.2.1.3", "saas~18.2", ["saas~18", 2, 0, "final", 0, ""]),
        ("1.3", "19.0", [19, 0, 0, "final", 0, ""]),
        (None, "19.0", [19, 0, 0, "final", 0, ""]),
    ],
)
def test_a_database_of_another_series_is_told_as_one(base, version, info):
    release = release_of({"base": base}, RELEASE)
    assert release == {"version": version, "version_info": info, "major_version": version}
