"""Odoo zips taken apart and put together wrongly, for the tests of the verification."""

import io
import struct
import zipfile

import pytest
import verify_archives as archives

GOOD = archives.odoo_zip()
VARIANTS = {
    "as Odoo makes it": {},
    "streamed, with data descriptors": {"streamed": True},
    "with 64-bit headers": {"zip64": True},
    "streamed with 64-bit headers": {"streamed": True, "zip64": True},
    "stored": {"method": zipfile.ZIP_STORED},
    "with a comment": {"comment": b"weekly"},
}


# --- the ends -------------------------------------------------------------------------------------


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
    end = end64(3, len(listing), at) + struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, 3, 3, len(listing), 0xFFFFFFFF, 0
    )
    with place.open("wb") as file:
        file.write(begin)
        file.seek(at)
        file.write(listing + end)
        return file.tell()


def end64(count, length, start):
    """Return the 64-bit end record of a directory, and its locator."""
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, start)
    return record + struct.pack("<4sLQL", b"PK\6\7", 0, start + length, 1)


# --- the directory --------------------------------------------------------------------------------


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


def encrypted():
    """Return an archive whose headers both call the last member encrypted."""
    content = bytearray(GOOD)
    content[content.rindex(b"PK\3\4") + 6] |= 1
    content[content.rindex(b"PK\1\2") + 8] |= 1
    return bytes(content)


def with_preamble(more=b"PK\3\4 and more"):
    """Return the archive behind other bytes, the offsets corrected."""
    start = struct.unpack("<L", GOOD[-6:-2])[0]
    moved = [
        entry[:42]
        + struct.pack("<L", struct.unpack_from("<L", entry, 42)[0] + len(more))
        + entry[46:]
        for entry in directory(GOOD)
    ]
    listing = b"".join(moved)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 4, 4, len(listing), len(more) + start, 0)
    return more + GOOD[:start] + listing + end


def twice(name):
    """Return an archive that holds two members of one name, the second one empty."""
    file = io.BytesIO(GOOD)
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(name, b"")
    return file.getvalue()


def swapped():
    """Return an archive whose two files have each other's content, under sound checksums."""
    listed = archives.members()
    listed["dump.sql"], listed["manifest.json"] = listed["manifest.json"], listed["dump.sql"]
    return archives.odoo_zip(listed)


def with_members(**changes):
    return archives.odoo_zip(archives.members(**changes))


# --- damage ---------------------------------------------------------------------------------------


def harmless_bytes(content):
    """Return the positions of what no reader needs, by the fields of APPNOTE 4.3.

    Local headers: version and time (the directory has them too). Directory: version, host and time
    of the maker, version needed (as long as Python reads it), attributes. 64-bit end record: its
    versions. The last byte of deflated data: the bits behind the end of the stream. A comment.
    Sizes and checksum before a streamed member, also in 64 bits: zeros, or the true ones.
    """
    comment = len(content) - content.rindex(b"PK\5\6") - 22
    found = set(range(len(content) - comment, len(content)))
    fields = {
        b"PK\3\4": (*range(4, 6), *range(10, 14)),
        b"PK\1\2": (*range(4, 8), *range(12, 16), *range(36, 42)),
        b"PK\6\6": range(12, 16),
    }
    streamed = content[6] & 8
    if streamed:
        fields[b"PK\3\4"] += (*range(14, 26),)
    for magic, offsets in fields.items():
        at = content.find(magic)
        while at >= 0:
            found.update(at + offset for offset in offsets)
            at = content.find(magic, at + 1)
    for info in zipfile.ZipFile(io.BytesIO(content)).infolist():
        names = struct.unpack_from("<2H", content, info.header_offset + 26)
        if streamed:
            data = info.header_offset + 30 + sum(names)
            found.update(range(data - names[1], data))
        if info.compress_type == zipfile.ZIP_DEFLATED:
            found.add(info.header_offset + 30 + sum(names) + info.compress_size - 1)
    return found


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
