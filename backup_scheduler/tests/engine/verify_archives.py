"""Archives for the tests of the verification, made by code, and two made by a real pg_dump."""

import base64
import io
import json
import os
import random
import struct
import zipfile
import zlib

from engine.archive import codec
from engine.archive.verify import verify
from engine.errors import BackupError

DATABASE = "tiny"
BACKENDS = sorted({codec.backend, zlib}, key=lambda module: module.__name__)


def verifier(archive_format):
    """Return ``check`` and ``fault``: to verify content, and to get what is wrong with it."""

    def check(place, content, level=2, **options):
        """Verify ``content``, or with None what is in the file ``place`` already."""
        if content is not None:
            place.write_bytes(content)
        return verify(place, archive_format, level, **options)

    def fault(place, content, level=2, **options):
        """Return the error that the verification ends with, or None."""
        try:
            check(place, content, level, **options)
        except BackupError as error:
            assert len(str(error)) > 15
            return error
        return None

    return check, fault


def dice(seed):
    """Return a source of chance that gives the same each time."""
    return random.Random(seed)  # noqa: S311


# --- damage, in place, because thousands of files would be slow -----------------------------------


def cuts(place, content):
    """Leave ever shorter beginnings of ``content`` in the file ``place``; yield their lengths."""
    place.write_bytes(content)
    for length in reversed(range(len(content))):
        os.truncate(place, length)
        yield length


def flips(place, content, positions, bits=range(8)):
    """Leave ``content`` with one bit flipped in the file ``place``; yield its position."""
    place.write_bytes(content)
    with place.open("r+b", buffering=0) as file:
        for position in positions:
            for bit in bits:
                os.pwrite(file.fileno(), bytes([content[position] ^ 1 << bit]), position)
                yield position
            os.pwrite(file.fileno(), content[position : position + 1], position)


# --- Odoo zips ----------------------------------------------------------------------------------

SQL = b"""--
-- PostgreSQL database dump
--

\\restrict kLhq1fXhUu5m

-- Dumped from database version 15.18

CREATE TABLE public.note (id integer, body text);

COPY public.ir_attachment (id, store_fname) FROM stdin;
1\t7c/7c211433f02071597741e6ff5a8ea34789abbf43
\\.

COPY public.ir_module_module (name, state, latest_version) FROM stdin;
base\tinstalled\t19.0.1.3
\\.

COPY public.note (id, body) FROM stdin;
1\tone
2\ttwo
\\.

COPY public.res_users (id, login) FROM stdin;
2\tadmin
\\.


--
-- PostgreSQL database dump complete
--

\\unrestrict kLhq1fXhUu5m

"""
MANIFEST = {
    "odoo_dump": "1",
    "db_name": DATABASE,
    "version": "19.0",
    "version_info": [19, 0, 0, "final", 0, ""],
    "major_version": "19.0",
    "pg_version": "15.18",
    "modules": {"base": "19.0.1.3"},
}
STORED_FILE = "filestore/7c/7c211433f02071597741e6ff5a8ea34789abbf43"


def members(**changes):
    """Return the members of a tiny Odoo zip; ``dump``, ``manifest`` replace or (None) drop one."""
    content = {"dump": SQL, "manifest": json.dumps(MANIFEST).encode(), **changes}
    listed = {
        "dump.sql": content["dump"],
        "manifest.json": content["manifest"],
        STORED_FILE: b"world",
        "filestore/checklist/7c/7c211433f02071597741e6ff5a8ea34789abbf43": b"",
    }
    return {name: value for name, value in listed.items() if value is not None}


class Pipe(io.RawIOBase):
    """A file that can only be written to, as a socket is."""

    def __init__(self, file):
        self._file = file

    def writable(self):
        return True

    def write(self, block):
        return self._file.write(block)


def odoo_zip(content=None, streamed=False, zip64=False, method=zipfile.ZIP_DEFLATED, comment=b""):
    """Return a zip, by default as Odoo makes it; streamed ones have data descriptors."""
    file = io.BytesIO()
    with zipfile.ZipFile(Pipe(file) if streamed else file, "w", method, allowZip64=True) as archive:
        for name, value in (members() if content is None else content).items():
            entry = zipfile.ZipInfo(name, (2025, 3, 30, 2, 30, 0))
            entry.compress_type = method
            with archive.open(entry, "w", force_zip64=zip64) as member:
                member.write(value)
        archive.comment = comment
    return file.getvalue()


def unzip(content):
    """Return what Python, which restores the archive, reads from it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


# --- custom dumps -------------------------------------------------------------------------------


class CustomDump:
    """A writer of pg_dump's custom format, versions 1.12 to 1.16, that knows where each field is.

    It follows WriteHead and WriteToc of PostgreSQL's pg_backup_archiver.c. ``spans`` lists (field,
    first byte, byte after) of all that stands before the data.
    """

    CODES = {"none": 0, "gzip": 1, "lz4": 2, "zstd": 3}

    def __init__(self, version=(1, 14), compression="gzip", seekable=False, database=DATABASE,
                 appended=False):  # fmt: skip
        self.version = version
        self.compression = compression
        self.seekable = seekable
        self.appended = appended
        self.database = database
        self.entries = [self.entry("ENCODING", "ENCODING", "SET client_encoding = 'UTF8';\n")]
        self.positions = {}
        self.spans = []
        self._out = bytearray()

    def entry(self, tag, description, definition="", **more):
        return {
            "tag": tag,
            "description": description,
            "definition": definition,
            "copy": None,
            "schema": None,
            "streams": None,
            **more,
        }

    def add_table(self, name, rows=b"1\tone\n\\.\n\n\n", chunk=4096):
        copy = f"COPY public.{name} (id, body) FROM stdin;\n"
        self.entries.append(
            self.entry(name, "TABLE DATA", copy=copy, schema="public", streams=rows, chunk=chunk)
        )
        return self

    def add_large_objects(self, contents):
        numbers = list(contents)
        if self.version >= (1, 16):
            definition = "".join(f"{number}\n" for number in numbers)
            self.entries.append(self.entry("16385..16399", "BLOB METADATA", definition))
        else:
            self.entries += [self.entry(str(number), "BLOB") for number in numbers]
        self.entries.append(self.entry("BLOBS", "BLOBS", streams=contents, chunk=4096))
        return self

    def build(self):
        """Return the dump; a seekable one is written again with the positions of its data.

        One that is appended to has them in a second table of contents, behind the data.
        """
        for _again in range(1 + self.seekable):
            self._out = bytearray()
            self.spans = []
            self._write_header()
            self._write_contents()
            self.data_start = len(self._out)
            for number, entry in enumerate(self.entries, 1):
                if entry["streams"] is not None:
                    self.positions[number] = len(self._out)
                    self._write_block(number, entry)
        self.data_end = len(self._out)
        if self.appended:
            self._write_contents(self.positions)
        return bytes(self._out)

    def _write_header(self):
        self._put("magic", b"PGDMP")
        self._put("version", bytes(self.version))
        self._put("revision", b"\0")
        self._put("sizes and format", bytes([4, 8, 1]))
        if self.version >= (1, 15):
            self._put("compression", bytes([self.CODES[self.compression]]))
        else:
            self._int("compression level", -1 if self.compression == "gzip" else 0)
        for value in (1, 30, 2, 30, 2, 125, 0):
            self._int("time", value)
        self._text("database", self.database)
        self._text("server version", "15.18 (Debian 15.18-0+deb12u1)")
        self._text("pg_dump version", "15.18")

    def _write_contents(self, positions=None):
        positions = positions or (self.positions if self.seekable else {})
        self._int("count", len(self.entries))
        for number, entry in enumerate(self.entries, 1):
            has_data = entry["streams"] is not None
            self._int("number", number)
            self._int("has data", int(has_data))
            self._text("catalog numbers", "1259")
            self._text("catalog numbers", str(16384 + number))
            self._text("tag", entry["tag"])
            self._text("description", entry["description"])
            self._int("section", 3 if has_data else 2)
            self._text("definition", entry["definition"])
            self._text("drop statement", "")
            self._text("copy statement", entry["copy"])
            self._text("schema", entry["schema"])
            self._text("tablespace", None)
            if self.version >= (1, 14):
                self._text("access method", None)
            if self.version >= (1, 16):
                self._int("kind of relation", 0)
            self._text("owner", "odoo")
            self._text("oids", "false")
            self._text("dependency", "1")
            self._int("end of dependencies", -1)
            self._write_position(positions.get(number, 0), has_data)

    def _write_position(self, position, has_data):
        state = (2 if position else 1) if has_data else 3
        self._put("data position", struct.pack("<BQ", state, position))

    def _write_block(self, number, entry):
        large = isinstance(entry["streams"], dict)
        self._out += bytes([3 if large else 1]) + integer(number)
        if not large:
            self._write_stream(entry["streams"], entry["chunk"])
            return
        for large_object, content in entry["streams"].items():
            self._out += integer(
                large_object if large_object < 1 << 31 else large_object - (1 << 32)
            )
            self._write_stream(content, entry["chunk"])
        self._out += integer(0)

    def _write_stream(self, content, chunk):
        if self.compression == "gzip":
            content = zlib.compress(content)
        content = FRAMES.get(self.compression, b"") + content
        for start in range(0, len(content), chunk):
            part = content[start : start + chunk]
            self._out += integer(len(part)) + part
        self._out += integer(0)

    def _put(self, field, content):
        self.spans.append((field, len(self._out), len(self._out) + len(content)))
        self._out += content

    def _int(self, field, value):
        self._put(field + ": number", integer(value))

    def _text(self, field, text):
        self._put(field + ": length", integer(-1 if text is None else len(text)))
        if text:
            self._put(field + ": text", text.encode())


# How streams of the other compressions begin; what follows is made up here.
FRAMES = {"lz4": bytes.fromhex("04224d18"), "zstd": bytes.fromhex("28b52ffd")}


def integer(value):
    return struct.pack("<BI", value < 0, abs(value))


def custom_dump(compression="gzip", **how):
    """Return a dump of two dozen tables, one of them empty, and three large objects."""
    dump = CustomDump(compression=compression, **how)
    dump.add_table("none", b"\\.\n\n\n")
    for number in range(23):
        dump.add_table(f"t{number}", b"%d\tsome text\n" % number * 50 + b"\\.\n\n\n", chunk=100)
    dump.add_large_objects({4242: b"large", 4243: b"", 3_000_000_000: bytes(9000)})
    return dump.build()


# --- dumps made by PostgreSQL 15 ----------------------------------------------------------------
#
# psql -d tiny <<'END'
#   CREATE TABLE note (id int, body text);
#   CREATE TABLE empty (id int);
#   INSERT INTO note SELECT i, 'note ' || i FROM generate_series(1, 8) i;
#   SELECT lo_from_bytea(4242, 'a large object');
#   SELECT lo_from_bytea(4243, '');
# END
# pg_dump -Fc --no-owner tiny | cat | python3 -c "import base64, sys, zlib
# print(base64.b64encode(zlib.compress(sys.stdin.buffer.read(), 9)).decode())"
#
# Into a pipe, as Odoo does it, and (without cat, > file) into a file, where pg_dump goes back to
# note the positions of the data.


def unpack(text):
    return zlib.decompress(base64.b64decode("".join(text.split())))


PIPED = unpack("""
    eNqtle9P00AYx7sNzBw/REHFN+aImI4w6toNhCgvxlZguNFlKxpfNV17jMbSLmtJ4I0v0HeQmOhb/gH/A15LTIjwxjf6HjH+
    G97d2v0oKyDY5J7ej+fuPt+75+4KC5l8IdBPdYUDgQCFvig2AJt+bIawiWDzlnK/LpRszdiiHqIMO8mw0yCagWVNNgApTcTH
    VVhmuQ127DIuPXjMu33u6Jgi7tgwsvxyWshklxfaC0Hsigcv8SJQdA0atgQNxVQ1owJmAb0izk/TzyJEk6+hulFalXULkmKo
    ofBeRxq8DCUxUxKLiKDkLQbd1cNEli0bqlxTJcU0Vs3aOqKSLLuGfhamM42rs933Z+NTxfRiISUueouEbZrU5fi0CKoVSZFt
    WTcrjAVtAqlVorQF5ZqyJlVle42OARolAjB2ZdbhvtaYYbkpjriyU0k20QwjvLGZlJiaS5X4OqqOUrrIp0QeuA0Au4JXWXER
    iHy+kMNts8CG61VdtmEcuJHR2HyQE9KpHC8VisLLbIYvogZdKytONXZLM8hxAocJCfNMUSi0T9dZN+GtmpZdqUHLV/pPql36
    5ExDej2HyO0tkkMz5hzhTFM4qQXVjbKuKQxxBtEIQJ+mAs2wYQXWImhnqAcu+tkODj91AwOT+ibRGpSrl1Pyw19JklQZpg29
    Qp77CMG+Z3TESLlsqltoQzdtImu4oyzc/f+oGmgLTW7KCcgkl+TaM3M5Ya6u6XHHA6SbklKDKAajNO5DY3hfzw1D14w3Tc+r
    x9dtX35P5t/4E5fmT1yP/1afc4M5F1inwxFxY4ocS9K5ZZpHOMSEwmvPGdHUMTBfFPLoDkaPARLTjJMLGckUHDtZd2yw9vuw
    toT/+ahRD2r9FGhqjAT9tXmTHt47Ht4mNQ6GUksudN617nvBB5ovENlGnDb3dr7/OjkJUsGv1GenkazbU9KYOD0+epJdiZ9y
    2/Hd/d2RXoUZDB+8Pxr6Ev/NvYsf7x+P9FpMT/hge3z+w85OD3UzMjhDhgnV5XwcwO8yGeuFeJiNLQkrh8K3pTwToEb/dI/W
    eT4NOEu1uRei2paE+guSsnf5
""")
FILED = unpack("""
    eNqtle9P00AYx7sNzBw/REHFN+aImI4watsNhCgmYysw3OiyFY3xxdK1x2gs7dKWBN74An0HiYm+5ZXv/A94LTEhwhvf6HvE
    +G94d2vZD1ZE8JJ7ej+eu/t875675ufSuXygl+oIBwIBCqUoNgCbXmwGsIlg85ryUgfKjmZsUHdRgRtnuEkQTcOyJhuA1MbY
    URWWOX6NGzmPSxee82aPNzumYF0bRlZYTInpzOJccyWIXfHkRUECiq5BwylBQzFVzaiAaUAvSbOT9KMI0eRrqE6Ul2XdhqQa
    OlF4qy0N3oailC5KBURQbK0Gvd3DRLYjG6psqSXFNJZNaxVRlWzHQh8b05nGxdlu+7MJyUJqPp+U5lurhG2StGWFlASqlZIi
    O7JuVhgbOgRSq0RpG8qWslKqys4KHQM0ygRg5MKsgz2NMcPxEzxx5SYSXLweRvhg00kpOZMsCjVUHeVUQUhKAvA6AHYFzzPS
    PJCEXD6L+6aBA1eruuxAFniRcXL4ICumklmhlC+IzzJpoYA6dK2suM3YLcUgxzEcJiTM0wUx37xce92Et2raTsWCtq/0H1Sz
    9PGpE+m1EiJ3NkgJrZh1hTN14aQVVNfKuqYwxBlEIwAlTQWa4cAKtCLoZKg7HvrpAS4/dQUDk/Y60QqUq+dT8t1fSYI0GaYD
    W4U89hGCfU/piJF62VQ30IGuO0TWYFtZePj/UdXXFJr8hBuQCT7BNxdmsuJMTdP9thdIN0uKBVEMRmk8hsbwvp5rhq4Zr+qe
    F4+v6778LYV/44+fmz9+Of5rPe4L5j5g7S5HxIspci3J4IZl7uEQE/MvWu6Ipo6A2YKYQ28w+hkgMfU4+SsjWYLnxolP8EnY
    Ze31YW0I/7NRoy2otVugqTES9JfmTdR4X3q8N1p469Q4GIoNpdBZz7rvAx/8GPb+QOQYcV7f2fr28+goSAW/UJ/cTrJvD0ln
    /Pjw4EFmiT3mN9nt3e2hboXpD++9PRj4zP7i37CHu4dD3TbTFd7bHJ19t7XVRV2N9E+RaUI1Oe/78H+ZzPVU2s/EFsSlffHr
    Qo4JUMO/O4drPB/63K1a3wl58t30B/lseU8=
""")
