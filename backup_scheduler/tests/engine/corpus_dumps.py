"""The corpus, custom dumps of pg_dump."""

import verify_archives as archives
from corpus_kinds import PAGE, Kind, flipped, without, zeroed
from corpus_samples import Sample
from engine import errors


def kinds(good_dump, good_zip):
    """Return the kinds of damage to a good dump (bytes); the zip is what may stand in its place.

    What changes lengths within is done to a dump made by code.
    """
    return [*transport(good_dump, good_zip), *changed_bytes(good_dump), *tables()]



def transport(content, good_zip):
    size = len(content)
    lost, other = errors.Truncated, errors.NotAnArchive

    def kind(name, error, says, build):
        return Kind(name, "dump", 1, error, says, build)

    return [
        kind("empty file", lost, "empty", lambda: b""),
        kind("cut within the header", lost, "ends at byte", lambda: content[:20]),
        kind("cut to a tenth", lost, "ends at byte", lambda: content[: size // 10]),
        kind("cut to a half", lost, "ends at byte", lambda: content[: size // 2]),
        kind("last byte missing", lost, "ends at byte", lambda: content[:-1]),
        kind("web page", other, "502 Bad Gateway", lambda: PAGE),
        kind("noise", other, "something else", lambda: archives.dice(4).randbytes(5000)),
        kind("zip", other, "zip archive", lambda: good_zip),
        kind("SQL script", other, "SQL", lambda: archives.SQL),
        kind("web page behind it", errors.Damaged, "follow the end", lambda: content + PAGE),
        kind("written twice", errors.Damaged, "follow the end", lambda: content + content),
        kind("bytes before it", other, "something else", lambda: b"\r\n" + content),
    ]


def changed_bytes(content):
    damaged = errors.Damaged
    # The last stream but its end: rows of some table, compressed.
    data = content.rindex(b"\x78\x9c") if b"\x78\x9c" in content else content.rindex(b"\x78")

    def kind(name, level, error, says, build):
        return Kind(name, "dump", level, error, says, build)

    return [
        kind("another database", 1, errors.Inconsistent, "of the database",
             lambda: renamed(content)),
        kind("flipped bit in the version", 1, errors.NotAnArchive, "version",
             lambda: flipped(content, 5)),
        kind("flipped bit in the sizes", 1, damaged, "numbers of",
             lambda: flipped(content, 8)),
        kind("flipped bit in a length of the contents", 1, damaged, "damaged before",
             lambda: flipped(content, content.index(b"ENCODING") - 1)),
        kind("flipped bit in rows", 2, damaged, "The compressed data",
             lambda: flipped(content, data + 12)),
        kind("zeros in rows", 2, damaged, "The compressed data",
             lambda: zeroed(content, data + 6, 10)),
        kind("a byte lost in rows", 1, (damaged, errors.Truncated), "damaged|ends at|negative",
             lambda: without(content, data + 12, data + 13)),
    ]  # fmt: skip


def renamed(content):
    """Return the dump under another name of the same length, where its header says it."""
    # Behind magic, version and sizes (11 bytes), the compression and seven numbers of the time.
    at = 11 + (1 if content[6] >= 15 else 5) + 7 * 5
    return flipped(content, at + 5)


def tables():
    """Dumps whose contents are not those of the tables; written anew, since lengths change."""
    lost, odd, damaged = errors.Truncated, errors.NotConsistent, errors.Damaged
    last = "zz_last"

    def kind(name, level, error, says, build):
        return Kind(name, "dump", level, error, says, build)

    return [
        kind("data of the last table missing", 1, lost, "before the data of public.zz_last",
             without_last_block),
        kind("last table without rows", 3, odd, "public.zz_last",
             lambda: sample(without_rows={last}).dump()),
        kind("last table missing but for its keys", 3, odd, "public.zz_last",
             lambda: sample(without_table={last}).dump()),
        kind("table of attachments missing", 3, odd, "public.ir_attachment",
             lambda: sample(without_table={"ir_attachment"}).dump()),
        kind("rows without their end mark", 2, damaged, "end mark",
             lambda: with_rows("zz_last", lambda rows: rows[:-20])),
        kind("half a row of attachments", 3, damaged, "Row 1 of public.ir_attachment",
             lambda: with_rows("ir_attachment", lambda rows: rows.partition(b"\t")[2])),
        kind("rows of two tables swapped", 3, damaged,
             "Row 1 of public.(res_users|ir_module_module) has", swapped_rows),
    ]  # fmt: skip


def sample(**changes):
    made = Sample()
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def without_last_block():
    dump = Sample().writer()
    content = dump.build()
    return content[: max(dump.positions.values())]


def with_rows(table, change):
    dump = Sample().writer()
    entry = next(entry for entry in dump.entries if entry["tag"] == table and entry["copy"])
    entry["streams"] = change(entry["streams"])
    return dump.build()


def swapped_rows():
    dump = Sample().writer()
    users, modules = (
        next(entry for entry in dump.entries if entry["tag"] == table and entry["copy"])
        for table in ("res_users", "ir_module_module")
    )
    users["streams"], modules["streams"] = modules["streams"], users["streams"]
    return dump.build()
