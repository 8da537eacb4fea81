"""The corpus, Odoo zips: what can be wrong, from the network to a file of the filestore."""

import io
import json
import struct
import zipfile

import verify_archives as archives
from corpus_kinds import PAGE, Kind, flipped, without, zeroed
from engine import errors


def kinds(good_zip):
    """Return the kinds of damage to a good zip (bytes)."""
    good = Zip(good_zip)
    return [
        *transport(good), *changed_bytes(good), *parts(good), *database(good), *filestore(good),
    ]  # fmt: skip


class Zip:
    """A good zip, to be taken apart and put together wrongly."""

    def __init__(self, content):
        self.content = content
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            self.entries = archive.infolist()
            self.members = {name: archive.read(name) for name in archive.namelist()}
            self.start = archive.start_dir
        files = [name for name in self.members if len(name.split("/")) == 3]
        # Not the last one of the archive, and long enough to have a middle.
        self.files = sorted(files, key=lambda name: -len(self.members[name]))
        self.script = self.members["dump.sql"]
        self.manifest = json.loads(self.members["manifest.json"])

    def data_of(self, name):
        """Return where the compressed data of a member are."""
        entry = next(entry for entry in self.entries if entry.filename == name)
        names = struct.unpack_from("<2H", self.content, entry.header_offset + 26)
        start = entry.header_offset + 30 + sum(names)
        return start, start + entry.compress_size

    def rebuilt(self, **changes):
        """Return a sound zip with other members; None drops one."""
        listed = {**self.members, **changes}
        return archives.odoo_zip({k: v for k, v in listed.items() if v is not None})

    def with_script(self, script):
        return self.rebuilt(**{"dump.sql": script})

    def with_manifest(self, **changes):
        content = json.dumps({**self.manifest, **changes}).encode()
        return self.rebuilt(**{"manifest.json": content})

    def flipped(self, name):
        """Return the zip with one bit changed in the middle of a member's data."""
        start, stop = self.data_of(name)
        return flipped(self.content, (start + stop) // 2)

    def with_files(self, count, content_of):
        """Return a sound zip in which ``count`` files of the filestore have other contents."""
        return self.rebuilt(**{name: content_of(name) for name in self.files[:count]})

    def last_table(self):
        """Return where the rows of the last table stand in the script, with their COPY."""
        start = self.script.rindex(b"\n\nCOPY public.") + 2
        return start, self.script.index(b"\n\\.\n", start) + 4


def transport(good):
    """What networks, proxies and disks make of an archive."""
    content, size = good.content, len(good.content)

    def kind(name, error, says, build):
        return Kind(name, "zip", 1, error, says, build)

    lost, other = errors.Truncated, errors.NotAnArchive
    return [
        kind("empty file", lost, "empty", lambda: b""),
        kind("cut after its first byte", lost, "ends after", lambda: content[:1]),
        kind("cut to a tenth", lost, "without the directory", lambda: content[: size // 10]),
        kind("cut to a half", lost, "without the directory", lambda: content[: size // 2]),
        kind("cut at the directory", lost, "without", lambda: content[: good.start]),
        kind("cut within the directory", lost, "without", lambda: content[: good.start + 60]),
        kind("cut before the end record", lost, "without", lambda: content[:-22]),
        kind("last byte missing", lost, "without", lambda: content[:-1]),
        kind("web page", other, "502 Bad Gateway", lambda: PAGE),
        kind("JSON", other, "JSON", lambda: b'{"error": {"code": 200}}'),
        kind("noise", other, "something else", lambda: archives.dice(3).randbytes(5000)),
        kind("zeros", other, "something else", lambda: bytes(size)),
        kind("SQL script", other, "SQL", lambda: good.script),
        kind("custom dump", other, "pg_dump custom", lambda: archives.PIPED),
        kind("web page behind it", errors.Damaged, "follow", lambda: content + PAGE),
        kind("written twice", errors.Damaged, "directory|belong", lambda: content + content),
        kind("bytes before it", other, "something else", lambda: b"\r\n" + content),
        kind("1 KB lost in the middle", errors.Damaged, "directory is not where",
             lambda: without(content, good.start // 2, good.start // 2 + 1024)),
        kind("1 KB twice in the middle", errors.Damaged, "directory is not where",
             lambda: content[: good.start // 2 + 1024] + content[good.start // 2 :]),
    ]  # fmt: skip


def changed_bytes(good):
    """Changed bytes in each region."""
    content, damaged = good.content, errors.Damaged
    a_file = good.files[0]
    entry = next(entry for entry in good.entries if entry.filename == a_file)
    listed = content.index(b"PK\1\2", good.start + 1)

    def kind(name, level, says, build):
        return Kind(f"flipped bit in {name}", "zip", level, damaged, says, build)

    return [
        kind("the dump", 2, "dump.sql", lambda: good.flipped("dump.sql")),
        kind("the manifest", 2, "manifest.json", lambda: good.flipped("manifest.json")),
        kind("a file", 2, a_file, lambda: good.flipped(a_file)),
        kind("a member's header", 2, "contradicts",
             lambda: flipped(content, entry.header_offset + 14)),
        kind("a member's name", 2, "contradicts",
             lambda: flipped(content, entry.header_offset + 35)),
        kind("a listed checksum", 2, "contradicts|checksum",
             lambda: flipped(content, listed + 16)),
        kind("a listed offset", 2, "byte", lambda: flipped(content, listed + 42)),
        kind("a directory mark", 1, "no sound", lambda: flipped(content, listed)),
        kind("the end record", 1, "directory is not where",
             lambda: flipped(content, len(content) - 6)),
        Kind("zeros in the dump", "zip", 2, damaged, "dump.sql",
             lambda: zeroed(content, sum(good.data_of("dump.sql")) // 2, 500)),
        Kind("zeros in a file", "zip", 2, damaged, a_file,
             lambda: zeroed(content, good.data_of(a_file)[0] + 20, 100)),
    ]  # fmt: skip


def parts(good):
    """Sound zips of wrong parts."""
    odd, cut = errors.Inconsistent, errors.Truncated
    script, members = good.script, good.members
    swapped = {"dump.sql": members["manifest.json"], "manifest.json": script}

    def kind(name, level, error, says, build):
        return Kind(name, "zip", level, error, says, build)

    return [
        kind("a readme in a zip", 1, odd, "no dump.sql",
             lambda: archives.odoo_zip({"README.txt": b"Nothing to see\n"})),
        kind("dump missing", 1, odd, "no dump.sql", lambda: good.rebuilt(**{"dump.sql": None})),
        kind("manifest missing", 1, odd, "no manifest.json",
             lambda: good.rebuilt(**{"manifest.json": None})),
        kind("dump there twice", 1, odd, "2 dump.sql", lambda: twice(good.content)),
        kind("dump and manifest swapped", 2, odd, "not an SQL script",
             lambda: good.rebuilt(**swapped)),
        kind("empty dump", 2, cut, "dump.sql is empty", lambda: good.with_script(b"")),
        kind("dump of one line", 2, cut, "first line", lambda: good.with_script(script[:5])),
        kind("dump cut in the middle", 2, cut, "stops before",
             lambda: good.with_script(script[: len(script) // 2])),
        kind("dump without its end", 2, cut, "stops before",
             lambda: good.with_script(script[: script.rindex(b"-- PostgreSQL database dump c")])),
        kind("error text for a dump", 2, odd, "not an SQL script",
             lambda: good.with_script(b"pg_dump: error: connection to server failed\n")),
        kind("web page for a dump", 2, odd, "not an SQL script", lambda: good.with_script(PAGE)),
        kind("manifest of another database", 2, odd, "of the database 'other'",
             lambda: good.with_manifest(db_name="other")),
        kind("cut manifest", 2, odd, "not readable JSON",
             lambda: good.rebuilt(**{"manifest.json": members["manifest.json"][:99]})),
        kind("empty manifest", 2, odd, "not readable JSON",
             lambda: good.rebuilt(**{"manifest.json": b""})),
        kind("manifest without modules", 2, odd, "modules",
             lambda: good.with_manifest(modules=None)),
    ]  # fmt: skip


def database(good):
    """Dumps that are whole by their ends, and lack something."""
    script, odd, damaged = good.script, errors.NotConsistent, errors.Damaged
    modules = good.manifest["modules"]
    start, stop = good.last_table()
    last = script[start:].split(b" ", 2)[1].decode()
    attachments = script.index(b"\n\nCOPY public.ir_attachment (") + 2
    first_row = script.index(b"\n", attachments) + 1
    second_value = script.index(b"\t", first_row) + 1
    no_rows = script.index(b"\n\\.\n", attachments)

    def kind(name, error, says, build, level=3):
        return Kind(name, "zip", level, error, says, build)

    def other_modules(**changes):
        left = {**modules, **changes}
        return good.with_manifest(modules={k: v for k, v in left.items() if v is not None})

    return [
        kind("rows of the last table missing", odd, last,
             lambda: good.with_script(without(script, start, stop))),
        kind("last table missing but for its keys", odd, last,
             lambda: good.with_script(without_table(without(script, start, stop), last))),
        kind("all behind the first rows missing", odd, "lacks the rows of",
             lambda: good.with_script(only_first_rows(script))),
        kind("rows without their end mark", damaged, f"{last} have no end|{last} has",
             lambda: good.with_script(without(script, stop - 3, stop)), level=2),
        kind("a command for psql", errors.UnsafeDump, "the psql command",
             lambda: good.with_script(script[:start] + b"\\! id\n" + script[start:]), level=2),
        kind("table of attachments missing", odd, "public.ir_attachment",
             lambda: good.with_script(without(script, attachments, no_rows + 4))),
        kind("half a row of attachments", damaged, "Row 1 of public.ir_attachment",
             lambda: good.with_script(without(script, first_row, second_value))),
        kind("manifest of fewer modules", odd, "manifest is of another",
             lambda: other_modules(base=None)),
        kind("manifest of more modules", odd, "manifest is of another.*enterprise",
             lambda: other_modules(web_enterprise="19.0.1.0")),
        kind("manifest of other versions", odd, "manifest is of another.*base",
             lambda: other_modules(base="18.0.1.3")),
    ]  # fmt: skip


def filestore(good):
    """Filestores that are not what the dump lists."""
    first, second = good.files[:2]
    odd = errors.NotConsistent
    files = len(good.files)

    def kind(name, says, build):
        return Kind(name, "zip", 3, odd, says, build)

    def name_of(member):
        return member.removeprefix("filestore/")

    def wrong(name):
        return good.members[name][:-1] + b"?"

    return [
        kind("an attachment missing", f"1 file .* is missing: {name_of(first)}",
             lambda: good.rebuilt(**{first: None})),
        kind("five attachments missing", "5 files .* are missing: .* and 2 more",
             lambda: good.with_files(5, lambda _name: None)),
        kind("the whole filestore missing", f"no filestore.* {files} files",
             lambda: good.with_files(files, lambda _name: None)),
        kind("an attachment with wrong content", f"1 file .* damaged.*: {name_of(first)}",
             lambda: good.with_files(1, wrong)),
        kind("an empty attachment", f"1 file .* damaged.*: {name_of(first)}",
             lambda: good.with_files(1, lambda _name: b"")),
        kind("a cut attachment", f"1 file .* damaged.*: {name_of(first)}",
             lambda: good.with_files(1, lambda name: good.members[name][:-9])),
        kind("two attachments swapped", "2 files .* damaged",
             lambda: good.rebuilt(**{first: good.members[second], second: good.members[first]})),
        kind("an attachment under another name", "missing",
             lambda: good.rebuilt(**{first: None, f"{first[:-1]}x": good.members[first]})),
        kind("missing and damaged ones", "2 files .* missing.*; 1 file .* damaged",
             lambda: good.rebuilt(
                 **{first: None, second: None, good.files[2]: wrong(good.files[2])})),
    ]  # fmt: skip


def twice(content):
    """Return the zip with a second dump.sql at its end."""
    entry = zipfile.ZipInfo("dump.two")
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(entry, b"second")
    return file.getvalue().replace(b"dump.two", b"dump.sql")


def without_table(script, name):
    """Return the script without the CREATE TABLE of a table."""
    start = script.index(f"CREATE TABLE {name} (".encode())
    return without(script, start, script.index(b");\n", start) + 3)


def only_first_rows(script):
    """Return the script without what stands between its first rows and its end."""
    first = script.index(b"\n\\.\n") + 4
    return without(script, first, script.rindex(b"--\n-- PostgreSQL database dump complete"))
