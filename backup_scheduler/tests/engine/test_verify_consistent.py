"""Level 3: the parts of an archive belong together, whatever the order and the cut of its bytes."""

import datetime
import hashlib
import json
import tracemalloc

import pytest
import verify_archives as archives
from corpus_good import SINCE, UNUSUAL, UNUSUAL_BEHIND
from corpus_samples import DATABASE, MODULES, TABLES, Sample, many, stored_name
from engine.archive.copytext import Rows, column_names, plain_name, unescape
from engine.archive.inventory import Inventory
from engine.archive.schema import Schema
from engine.archive.sqlscript import MAX_STATEMENT, Script
from engine.errors import Damaged, Inconsistent, NotConsistent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

check, fault = archives.verifier("zip")
check_dump, fault_in_dump = archives.verifier("dump")
OTHER = "aa/" + "a" * 40
# The same examples each time, and no measuring of how long it takes to think of them.
ALWAYS_THE_SAME = settings(
    derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "archive"


def with_missing(*attachments):
    """Return a sample whose dump lists files that are not there: (name, date of the row)."""
    sample = Sample()
    sample.more_rows = [
        sample.attachment(90 + number, name, created)
        for number, (name, created) in enumerate(attachments)
    ]
    return sample


# --- what the report says -----------------------------------------------------------------------


def test_the_report_counts_what_is_in_the_dump_and_the_filestore(place):
    report = check(place, many(300).zip(), 3, database=DATABASE, since=SINCE)
    assert report.level == 3
    assert (report.attachments, report.filestore_files) == (304, 300)
    assert (report.users, report.modules, report.tables) == (2, len(MODULES), len(TABLES))
    assert (report.missing_files, report.damaged_files) == (0, 0)
    assert (report.surplus_files, report.late_files) == (0, 0)
    assert datetime.datetime.fromisoformat(report.since) == SINCE
    assert report.notes == [
        "1 attachment is kept in the database, 1 outside of it and not in this archive."
    ]
    assert (report.attachments_in_database, report.attachments_elsewhere) == (1, 1)
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()


def test_a_custom_dump_is_counted_too_and_says_what_it_does_not_hold(place):
    report = check_dump(place, many(300).dump(), 3, database=DATABASE)
    assert (report.level, report.attachments, report.users) == (3, 304, 2)
    assert (report.modules, report.tables, report.since) == (len(MODULES), len(TABLES), "")
    assert "301 attachments" in report.notes[-1]
    assert "no part of a dump" in report.notes[-1]


def test_what_is_not_consistent_comes_with_a_report_of_level_2(place):
    sample = Sample()
    listed = sample.members()
    del listed[f"filestore/{sample.names[1]}"], listed[f"filestore/{sample.names[2]}"]
    listed[f"filestore/{sample.names[3]}"] = b"rotten"
    error = fault(place, archives.odoo_zip(listed), 3)
    assert type(error) is NotConsistent
    assert isinstance(error, Inconsistent)
    assert (error.code, error.retryable) == ("inconsistent", True)
    assert (error.report.level, error.report.database) == (2, DATABASE)
    assert (error.report.missing_files, error.report.damaged_files) == (2, 1)
    assert (error.report.attachments, error.report.users) == (12, 2)


def test_surplus_files_are_counted_and_no_fault(place):
    listed = {**Sample().members(), f"filestore/{stored_name(b'old')}": b"old"}
    report = check(place, archives.odoo_zip(listed), 3)
    assert (report.level, report.surplus_files) == (3, 1)
    assert "1 files of the filestore belong to no attachment" in report.notes[-1]


def test_a_surplus_file_that_is_damaged_is_a_fault(place):
    listed = {**Sample().members(), f"filestore/{OTHER}": b"what is this"}
    assert f"damaged (the content is another): {OTHER}" in str(
        fault(place, archives.odoo_zip(listed), 3)
    )


def test_changed_bytes_are_the_better_explanation(place):
    content = with_missing((OTHER, None)).zip()
    error = fault(place, content, 3, sha256=hashlib.sha256(b"").hexdigest())
    assert type(error) is Damaged
    assert type(fault(place, content, 3)) is NotConsistent


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_what_cannot_be_decompressed_is_not_called_consistent(place, compression):
    report = check_dump(place, Sample().dump(version=(1, 16), compression=compression), 3)
    assert report.level == 1
    assert compression in report.notes[0]


# --- Odoo's own race ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("created", "late"),
    [
        ("2025-03-30 02:15:00", True),
        ("2025-03-30 02:05:00.1", True),
        ("2025-03-30 02:04:59.9", False),
        ("2024-12-31 23:59:59", False),
        ("2025-03-31 00:00:00", True),
        # Nobody writes it while a backup is made: its file would be missing unnoticed for ever.
        ("2025-05-01 00:00:00", False),
        ("2099-12-31 23:59:59", False),
        ("\\N", False),
    ],
)
def test_a_file_of_a_younger_attachment_is_late_and_no_fault(place, created, late):
    content = with_missing((OTHER, created)).zip()
    if late:
        report = check(place, content, 3, since=SINCE)
        assert (report.late_files, report.missing_files) == (1, 0)
        assert "while the backup was made" in report.notes[-1]
    else:
        assert OTHER in str(fault(place, content, 3, since=SINCE))
    assert OTHER in str(fault(place, content, 3))


def test_since_counts_in_any_time_zone(place):
    zone = datetime.timezone(datetime.timedelta(hours=9))
    content = with_missing((OTHER, "2025-03-30 02:20:00")).zip()
    assert check(place, content, 3, since=SINCE.astimezone(zone)).late_files == 1


def test_a_file_that_an_older_attachment_shares_is_missing_all_the_same(place):
    old, young = "2025-01-01 00:00:00", "2025-03-30 02:20:00"
    content = with_missing((OTHER, young), (OTHER, old), (OTHER, young)).zip()
    assert fault(place, content, 3, since=SINCE).report.missing_files == 1


def test_a_file_that_was_copied_while_it_was_written_is_late(place):
    listed = with_missing((OTHER, "2025-03-30 02:20:00")).members()
    content = archives.odoo_zip({**listed, f"filestore/{OTHER}": b"half of"})
    assert check(place, content, 3, since=SINCE).late_files == 1
    assert fault(place, content, 3).report.damaged_files == 1


def test_a_module_that_is_installed_meanwhile_is_no_fault(place):
    sample = Sample()
    listed = sample.members()
    listed["manifest.json"] = sample.manifest_json(modules={"base": "19.0.1.3"})
    content = archives.odoo_zip(listed)
    # All rows of the sample are of half past two.
    assert check(place, content, 3, since=SINCE).level == 3
    later = SINCE + datetime.timedelta(hours=1)
    assert "mail, web" in str(fault(place, content, 3, since=later))


def test_a_filestore_that_was_not_asked_for_is_not_missed(place):
    listed = Sample().members()
    content = archives.odoo_zip({name: listed[name] for name in ("dump.sql", "manifest.json")})
    report = check(place, content, 3, filestore=False)
    assert (report.level, report.missing_files) == (3, 12)
    assert "left out" in report.notes[-1]
    assert "no filestore" in str(fault(place, content, 3))


# --- messages -------------------------------------------------------------------------------------


def test_the_first_files_are_named_and_the_others_counted(place):
    names = sorted(stored_name(b"%d" % number) for number in range(9))
    error = fault(place, with_missing(*[(name, None) for name in names]).zip(), 3)
    assert str(error) == (
        f"9 files of the filestore are missing: {names[0]}, {names[1]}, {names[2]} and 6 more."
    )


def test_a_dump_of_another_program_is_told_apart(place):
    assert "no Odoo database: it lacks 3 tables" in str(fault_in_dump(place, archives.PIPED, 3))
    assert check_dump(place, archives.PIPED, 2).level == 2


# --- the script -----------------------------------------------------------------------------------


class Collected:
    """A reader of rows that keeps them."""

    def __init__(self):
        self.content = b""
        self.blocks = 0

    def feed(self, block):
        self.content += block
        self.blocks += 1

    def finish(self):
        self.content += b"[end]"


def read(script, blocks):
    """Return (the rows of each table, the tables without rows, those never created)."""
    found, schema = {}, Schema()

    def rows_of(table, columns):
        found[table] = (columns, Collected())
        return found[table][1]

    reader = Script(schema, rows_of)
    for block in blocks:
        reader.feed(block)
    reader.finish()
    rows = {name: (columns, rows.content) for name, (columns, rows) in found.items()}
    return rows, schema.without_rows(), schema.never_created()


def pieces(content, cuts):
    places = [0, *sorted(cuts), len(content)]
    return [content[a:b] for a, b in zip(places, places[1:], strict=False)]


def test_rows_are_found_where_they_are_and_nowhere_else():
    sample = Sample()
    rows, without, never = read(sample.script(), [sample.script()])
    assert list(rows) == [f"public.{name}" for name in TABLES]
    for name, (columns, content) in rows.items():
        assert columns == TABLES[name.partition(".")[2]][0]
        assert content == sample.rows(name.partition(".")[2]) + b"\\.\n[end]"
    assert (without, never) == ([], [])


@pytest.mark.parametrize("windows", [False, True], ids=["", "with CR LF"])
def test_a_script_reads_the_same_however_its_bytes_are_cut(windows):
    sample = Sample()
    sample.before, sample.behind = UNUSUAL, UNUSUAL_BEHIND
    script = sample.script()
    if windows:
        script = script.replace(b"\n", b"\r\n")
    whole = read(script, [script])
    assert whole == read(script, [script[at : at + 1] for at in range(len(script))])
    for size in (2, 3, 4, 5, 7, 64, 1000):
        assert whole == read(script, pieces(script, range(size, len(script), size))), size


@settings(ALWAYS_THE_SAME, max_examples=30)
@given(st.data())
def test_a_script_reads_the_same_cut_anywhere(data):
    script = Sample().script()
    cuts = data.draw(st.lists(st.integers(0, len(script)), max_size=40))
    assert read(script, pieces(script, cuts)) == read(script, [script])


@settings(ALWAYS_THE_SAME, max_examples=40)
@given(st.lists(st.lists(st.text(max_size=30), min_size=2, max_size=2), max_size=8), st.data())
def test_rows_of_any_text_are_read_as_they_were(texts, data):
    """The escapes are those of COPY: backslash, tab, line ends."""

    def escaped(text):
        for plain, code in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
            text = text.replace(plain, code)
        return text.replace("\0", "")

    rows = "".join("\t".join(map(escaped, row)) + "\n" for row in texts).encode()
    taken = []
    reader = Rows("it", ["a", "b"], ["b", "a", "c"], lambda *values: taken.append(values))
    script = b"COPY it (a, b) FROM stdin;\n" + rows + b"\\.\n\n\nCREATE TABLE public.x (a int);\n"
    schema = Schema()
    checker = Script(schema, lambda _table, _columns: reader)
    for block in pieces(script, data.draw(st.lists(st.integers(0, len(script)), max_size=9))):
        checker.feed(block)
    checker.finish()
    plain = [[text.replace("\0", "") for text in row] for row in texts]
    assert [[unescape(a), unescape(b)] for b, a, _c in taken] == plain
    assert {unescape(c) for _b, _a, c in taken} <= {None}
    assert schema.without_rows() == ["public.x"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 5000, 20_000, 100_000])
def test_long_rows_and_what_follows_their_end_mark_are_read_in_any_pieces(size):
    rows = [(str(n), "x" * n * 9000, f"name {n}", "y" * 30_000, "z") for n in range(6)]
    content = "".join("\t".join(row) + "\n" for row in rows).encode() + b"\\.\n\n\n"
    taken = []
    reader = Rows("it", list("abcde"), ["a", "c", "e"], lambda *values: taken.append(values))
    for block in pieces(content, range(size, len(content), size)):
        reader.feed(block)
    reader.finish()
    assert taken == [(row[0].encode(), row[2].encode(), b"z") for row in rows]
    assert reader.count == 6


def test_the_first_row_that_is_none_is_named_whatever_follows_it():
    reader = Rows("it", ["a", "b"], ["a", "b"], lambda *_values: None)
    reader.feed(b"1\n" + b"2\tx\n" * 10_000)
    with pytest.raises(Damaged, match="Row 1 of it has 1 values"):
        reader.finish()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (b"COPY public.a (b) FROM stdin;\n1\n2\n", "rows of public.a have no end"),
        (b"CREATE TABLE public.a (b text);\nSELECT 'open", "last statement"),
        (b"CREATE TABLE public.a (", "last statement"),
    ],
)
def test_a_script_that_ends_within_something_is_damaged(script, says):
    with pytest.raises(Damaged, match=says):
        read(script, [script])


def test_a_text_without_end_does_not_fill_the_memory():
    reader, filler = Script(), b"-- nothing to see here, only length\n" * 10_000
    reader.feed(b"SELECT 'open;\n" + filler)
    tracemalloc.start()
    for _block in range(100):
        reader.feed(filler)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * MAX_STATEMENT
    with pytest.raises(Damaged, match="last statement"):
        reader.finish()


def test_names_are_read_without_their_quotes():
    assert plain_name(b'public."a ""b"".c"', "x") == 'public.a "b".c'
    assert plain_name(b"plain", "public") == "public.plain"
    assert column_names(b'id, "order", "a, b"') == ["id", "order", "a, b"]


def test_names_without_schema_are_those_of_the_search_path():
    script = b"SET search_path = odoo, pg_catalog;\nCOPY a (id) FROM stdin;\n1\n\\.\n"
    assert list(read(script, [script])[0]) == ["odoo.a"]


# --- memory ---------------------------------------------------------------------------------------


def peak(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_attachment_costs_some_forty_bytes():
    count = 30_000
    names = [hashlib.sha1(b"%d" % n, usedforsecurity=False).hexdigest() for n in range(count)]

    def work():
        inventory = Inventory()
        for name in names:
            path = f"{name[:2]}/{name}".encode()
            inventory.listed(path, late=False)
            inventory.held(path)
        assert inventory.compare().missing == 0

    assert peak(work) < 55 * count


def test_an_attachment_of_many_megabytes_in_its_row_does_not_cost_memory(place):
    sample = Sample()
    sample.more_rows = [sample.attachment(90, content="\\\\x" + "0a" * 20_000_000)]
    place.write_bytes(sample.zip())
    report = []
    assert peak(lambda: report.append(check(place, None, 3))) < 12_000_000
    assert (report[0].level, report[0].attachments) == (3, 13)
