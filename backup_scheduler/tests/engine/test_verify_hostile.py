"""Archives that are made to do harm cost little time and memory, and end with a verdict."""

import io
import json
import struct
import zipfile
import zlib

import pytest
import verify_archives as archives
from bounded import run_bounded
from engine import messages
from engine.archive.content import _name
from engine.archive.levels import COMPLETE
from engine.archive.zip_directory import read_directory
from engine.errors import Damaged

MEMORY = 256 << 20
END = b"--\n-- PostgreSQL database dump complete"
VERIFY = """
import sys
from engine.archive.verify import verify
from engine.errors import BackupError
try:
    print(verify(sys.argv[1], "zip", 3).level)
except BackupError as error:
    assert error.code != "internal", error
    print(error.code, str(error)[:200])
"""
check, fault = archives.verifier("zip")


@pytest.fixture
def place(tmp_path):
    return tmp_path / "archive.zip"


def verdict(place, content, memory=MEMORY):
    """Return what the verification says, within a budget of computing and memory."""
    place.write_bytes(content)
    return run_bounded(VERIFY, place, memory=memory)


def with_sql(*parts):
    """Return an archive whose dump has ``parts`` at its end."""
    assert END in archives.SQL
    sql = archives.SQL.replace(END, b"".join(parts) + END)
    return archives.odoo_zip(archives.members(dump=sql))


def filled(unit, size):
    return unit * (size // len(unit))


MB = 1_000_000
KEY = b"ALTER TABLE ONLY public.a ADD CONSTRAINT x "
ROWS = b"COPY public.ir_attachment (id, store_fname) FROM stdin;\n"
STATEMENTS = {
    "foreign keys without end": KEY + filled(b" FOREIGN KEY (", 6 * MB) + b";\n",
    "references without end": KEY + filled(b" FOREIGN KEY () REFERENCES ", 6 * MB) + b";\n",
    "a name without end": b'CREATE TABLE "' + filled(b"a", 6 * MB) + b'";\n',
    "a name of quotes": b'CREATE TABLE "' + filled(b'""', 6 * MB) + b'";\n',
    "columns": b"COPY public.ir_attachment (" + filled(b'"', 6 * MB) + b") FROM stdin;\n",
    "brackets": b'COPY public.a ("' + filled(b") FROM stdin; ", 6 * MB) + b'") FROM stdin;\n',
    "comments": filled(b"--\n", 6 * MB) + b";\n",
    "commands": filled(b"\\a\n", 6 * MB),
    "dollars": filled(b"$a$", 6 * MB) + b";\n",
    "a quote without end": b"SELECT '" + filled(b"x", 40 * MB),
    "an empty line, often": filled(b"\n", 40 * MB),
    "a statement of nothing, often": filled(b";", 2 * MB),
    "tables": b"".join(b"CREATE TABLE public.t%08d ();\n" % n for n in range(250_000)),
    "used tables": b"".join(b"CREATE INDEX i ON public.t%08d (a);\n" % n for n in range(450_000)),
    "values without end": ROWS + filled(b"\t", 40 * MB) + b"\n\\.\n",
    "a value without end": ROWS + b"1\t" + filled(b"x", 40 * MB) + b"\n\\.\n",
    "backslashes": ROWS + b"1\t" + filled(b"\\", 40 * MB) + b"\n\\.\n",
    "the rows of a table, often": filled(ROWS + b"\\.\n", 5 * MB),
    "modules": b"COPY public.ir_module_module (name, state, latest_version) FROM stdin;\n"
    + b"".join(b"%b%d\tinstalled\t1\n" % (b"m" * 2000, n) for n in range(50_000)) + b"\\.\n",
    "columns of a table": b"COPY public.ir_attachment (%s) FROM stdin;\n"
    % b", ".join(b"c%d" % n for n in range(20_000)) + b"\\.\n",
}  # fmt: skip


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_costs_more_than_its_length(place, name):
    assert verdict(place, with_sql(STATEMENTS[name]))


def test_a_foreign_key_is_still_followed(place):
    """To a table that the dump does not create."""
    error = fault(place, with_sql(KEY + b"FOREIGN KEY (b, c) REFERENCES public.gone(id);\n"), 3)
    assert "public.gone" in str(error)


def test_names_in_any_order_cost_some_bytes_each(place):
    """The directory of a zip may list its members in another order than they stand in."""
    content = {**archives.members(), **{f"filestore/{n:x}": b"" for n in range(150_000)}}
    place.write_bytes(archives.odoo_zip(content, method=0))
    code = """
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "a") as archive:
    archive.filelist.reverse()
    archive._didModify = True
"""
    run_bounded(code, place)
    assert verdict(place, place.read_bytes(), memory=40 << 20)
    assert len(list(entries(place))) > 150_000


def test_the_same_name_many_times_is_kept_a_few_times():
    code = """
from engine.archive.inventory import Inventory
inventory = Inventory()
for _time in range(2_000_000):
    inventory.listed(b"7c/7c211433f02071597741e6ff5a8ea34789abbf43", late=False)
inventory.held(b"7c/7c211433f02071597741e6ff5a8ea34789abbf43")
print(inventory.compare().missing)
"""
    assert run_bounded(code, memory=30 << 20) == "0\n"


def entries(place):
    from engine.archive.source import Source
    from engine.archive.zip_directory import find_end

    with place.open("rb") as file:
        source = Source(file)
        yield from read_directory(source, find_end(source))


def test_an_extra_field_of_many_empty_fields_is_read_once(place):
    code = """
from engine.archive.zip_directory import _zip64_extra
for _time in range(1000):
    assert _zip64_extra(b"\\7\\0\\0\\0" * 16_000, b"name") == b""
"""
    run_bounded(code)


@pytest.mark.parametrize("unit", [b" ", b"<title", b"<title>", b"</titl", b"\n"])
def test_the_title_of_a_page_is_found_in_linear_time(unit):
    code = """
import sys
from engine import messages
from engine.archive.content import _name
from engine.archive.levels import COMPLETE
for _time in range(1000):
    _name(b"<html><title>" + sys.argv[1].encode() * (4096 // len(sys.argv[1])))
"""
    run_bounded(code, unit.decode())


def test_a_page_is_told_by_its_title():
    assert "502 Bad" in _name(b'<html><TITLE lang="en">\n 502 Bad\n</Title>')
    assert _name(b"<html><title>none") == "a web page"


def test_a_number_of_a_large_object_that_is_none_is_damage_and_no_defect():
    from engine.archive.dump import _number

    assert [_number("7"), _number("9" * 5000), _number("x"), _number("")] == [7, 0, 0, 0]


def test_a_manifest_of_endless_texts_or_depth_is_none(place):
    manifest = archives.MANIFEST
    for content in (
        json.dumps({**manifest, "version": "1" * 300}).encode(),
        b"[" * 500_000, b'{"a":' * 100_000, b'{"a":' + b"9" * 5000 + b"}", b"\xff\xfe",
    ):  # fmt: skip
        error = fault(place, archives.odoo_zip(archives.members(manifest=content)))
        assert error.code == "inconsistent"
    manifest = json.dumps({**manifest, "more": "x" * 10_000}).encode()
    report = check(place, archives.odoo_zip(archives.members(manifest=manifest)))
    assert "more" not in report.manifest


def test_a_message_quotes_a_long_name_in_part(place):
    name = "filestore/" + "a" * 60_000
    content = archives.odoo_zip({**archives.members(), name: b"x"}, method=zipfile.ZIP_BZIP2)
    error = fault(place, content)
    told = error.as_dict()
    assert len(told["error"]) <= messages.MESSAGE_LIMIT
    long = Damaged(messages._("The file %(name)s is damaged.", name=name))
    assert long.as_dict()["error"].startswith("The file filestore/aaa")
    assert long.as_dict()["error"].endswith("a is damaged.")
    assert isinstance(long.as_dict()["error"], messages.Message), "It can be translated"
    assert len(Damaged("x" * 60_000).as_dict()["error"]) == messages.MESSAGE_LIMIT


@pytest.mark.parametrize(("other", "is_good"), [(b"dump.sql", False), (b"filestore/x", True)])
def test_a_member_has_one_name_for_every_python(place, other, is_good):
    """Python 3.12 and later take the name from the Unicode path field: the last "dump.sql" would
    be one that nobody has read."""
    member = zipfile.ZipInfo("filestore/x")
    field = struct.pack("<BL", 1, zlib.crc32(b"filestore/x")) + other
    member.extra = struct.pack("<2H", 0x7075, len(field)) + field
    content = io.BytesIO(archives.odoo_zip(archives.members()))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(member, b"\\! id\n")
    if is_good:
        assert check(place, content.getvalue(), COMPLETE).level == COMPLETE
    else:
        with pytest.raises(Damaged, match="another name"):
            check(place, content.getvalue(), COMPLETE)
