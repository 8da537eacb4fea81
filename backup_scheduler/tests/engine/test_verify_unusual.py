"""Level 3 of legal databases that few have: what is there is counted, what is missing is found."""

import corpus_unusual as unusual
import pytest
import verify_archives as archives
from corpus_good import SINCE
from corpus_samples import MODULES, TABLES, Sample, many
from engine.archive.report import OF_TABLES
from engine.archive.schema import MAX_TABLES, Schema
from engine.errors import Inconsistent

check, fault = archives.verifier("zip")
check_dump, fault_in_dump = archives.verifier("dump")
MAKERS = {(name, kind): make for name, kind, make in unusual.MAKERS}
FIRST = Sample().names[0]
LATE = "2025-03-30 02:20:00"


@pytest.fixture
def place(tmp_path):
    return tmp_path / "archive"


# --- rows of each table ---------------------------------------------------------------------------

ROWS = {
    "ir_attachment": 12, "ir_module_module": len(MODULES) + 1, "ir_sequence": 0, "res_partner": 6,
    "res_users": 2, "zz_last": 39,
}  # fmt: skip


@pytest.mark.parametrize("windows", [False, True], ids=["", "from Windows"])
def test_the_rows_of_each_table_of_a_zip_are_counted(place, windows):
    listed = Sample().members()
    if windows:
        listed["dump.sql"] = listed["dump.sql"].replace(b"\n", b"\r\n")
    report = check(place, archives.odoo_zip(listed), 3)
    assert report.rows == {f"public.{name}": count for name, count in ROWS.items()}
    assert (report.of_extensions, report.volatile) == ([], [])


@pytest.mark.parametrize("how", [{}, {"compression": "none"}, {"version": (1, 16)}])
def test_the_rows_of_each_table_of_a_dump_are_counted(place, how):
    report = check_dump(place, Sample().dump(**how), 3)
    assert report.rows == {f"public.{name}": count for name, count in ROWS.items()}


def test_rows_that_come_in_parts_are_counted_together(place):
    """pg_dump --load-via-partition-root writes the rows of each partition as those of the whole."""
    sample = Sample()
    again = sample.copy("ir_attachment") + sample.rows("ir_attachment").decode() + "\\.\n\n\n"
    sample.before = b""
    script = sample.script()
    at = script.rindex(b"--\n-- Data for Name: zz_last")
    report = check(place, unusual.zipped(sample, script[:at] + again.encode() + script[at:]), 3)
    assert (report.rows["public.ir_attachment"], report.attachments) == (24, 24)


@pytest.mark.parametrize(
    ("name", "codec", "table"),
    [
        ("UTF8", "utf-8", "élève"), ("LATIN1", "latin-1", "élève"), ("LATIN2", "latin2", "żółw"),
        ("WIN1252", "cp1252", "Œuvre"), ("KOI8R", "koi8-r", "счёт"), ("EUC_JP", "euc_jp", "表"),
        ("SQL_ASCII", "utf-8", "élève"),
    ],
)  # fmt: skip
def test_tables_are_named_as_any_other_dump_names_them(place, name, codec, table):
    report = check(place, unusual.of_encoding(name, codec, table), 3)
    assert report.rows[f"public.{table}"] == 1


@pytest.mark.parametrize("name", ["MULE_INTERNAL", "SQL_ASCII"])
def test_a_table_whose_name_cannot_be_read_is_not_looked_for(place, name):
    report = check(place, unusual.of_encoding(name, "latin-1", "élève"), 3)
    assert (report.level, report.tables) == (3, len(TABLES) + 1)
    assert len(report.rows) == len(TABLES)


def test_what_is_handed_on_and_kept_is_without_the_tables(place):
    report = check(place, Sample().zip(), 3)
    assert not set(OF_TABLES) & report.as_dict().keys()
    assert report.with_rows() == {
        **report.as_dict(), "rows": report.rows, "volatile": [], "of_extensions": [],
    }  # fmt: skip


def test_an_archive_that_lacks_something_has_its_rows_counted_too(place):
    listed = Sample().members()
    del listed[f"filestore/{FIRST}"]
    assert fault(place, archives.odoo_zip(listed), 3).report.rows["public.zz_last"] == 39


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_rows_that_cannot_be_read_are_not_counted(place, compression):
    report = check_dump(place, Sample().dump(version=(1, 16), compression=compression), 3)
    assert report.rows == {}


# --- where Odoo has its tables --------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["partitioned attachments", "partitioned attachments, pg_dump 10",
             "attachments in a table that inherits"],
)  # fmt: skip
def test_attachments_of_partitions_are_attachments(place, name):
    report = check(place, MAKERS[name, "zip"](), 3)
    assert (report.attachments, report.filestore_files, report.surplus_files) == (12, 12, 0)


@pytest.mark.parametrize("maker", [unusual.partitioned, unusual.inherited])
def test_a_missing_file_of_a_partition_is_found(place, maker):
    sample, script = maker()
    listed = {**sample.members(), "dump.sql": script}
    del listed[f"filestore/{FIRST}"]
    assert f"1 file of the filestore is missing: {FIRST}" in str(
        fault(place, archives.odoo_zip(listed), 3)
    )


def test_users_and_modules_of_partitions_are_counted(place):
    assert check(place, MAKERS["partitioned users", "zip"](), 3).users == 2
    assert check(place, MAKERS["partitioned modules", "zip"](), 3).modules == len(MODULES)


def test_a_partitioned_table_without_partitions_is_a_table(place):
    sample, script = unusual.partitioned()
    start = script.index(b"CREATE TABLE public.ir_attachment_p1")
    script = script[:start] + script[script.index(b"\n\n\n", script.index(b"ALTER")) :]
    start = script.index(b"\n\nCOPY public.ir_attachment_p1")
    script = script[:start] + script[script.index(b"\\.\n", start) + 3 :]
    report = check(place, unusual.zipped(sample, script), 3, filestore=False)
    assert (report.level, report.attachments) == (3, 0)


@pytest.mark.parametrize("kind", ["zip", "dump"])
def test_odoo_is_found_in_another_schema(place, kind):
    look = check if kind == "zip" else check_dump
    report = look(place, MAKERS["Odoo in another schema", kind](), 3)
    assert (report.attachments, report.users, report.modules) == (12, 2, len(MODULES))
    assert report.rows["odoo_data.zz_last"] == 39
    assert any("schema “odoo_data”" in note and "search_path" in note for note in report.notes)


def test_a_missing_file_of_odoo_in_another_schema_is_found(place):
    content = unusual.of_schema()
    listed = archives.unzip(content)
    del listed[f"filestore/{FIRST}"]
    assert FIRST in str(fault(place, archives.odoo_zip(listed), 3))


def test_what_the_dump_of_another_schema_lacks_is_named_there(place):
    listed = archives.unzip(unusual.of_schema())
    script = listed["dump.sql"]
    start = script.index(b"CREATE TABLE odoo_data.zz_last")
    script = script[:start] + script[script.index(b";\n", start) + 2 :]
    start = script.index(b"\n\nCOPY odoo_data.zz_last")
    script = script[:start] + script[script.index(b"\\.\n", start) + 3 :]
    listed["dump.sql"] = script
    assert "odoo_data.zz_last" in str(fault(place, archives.odoo_zip(listed), 3))


def test_odoo_in_public_is_not_taken_for_a_copy_of_it_elsewhere(place):
    sample = Sample()
    script = sample.script()
    at, rows_at = script.index(b"CREATE TABLE "), script.index(b"--\n-- Data for Name")
    ids = [f"CREATE TABLE archive.{name} (\n    id integer\n);\n\n".encode() for name in TABLES]
    rows = [f"COPY archive.{name} (id) FROM stdin;\n\\.\n\n\n".encode() for name in TABLES]
    script = b"".join([script[:at], *ids, script[at:rows_at], *rows, script[rows_at:]])
    report = check(place, unusual.zipped(sample, script), 3)
    assert (report.attachments, report.users) == (12, 2)


# --- extensions -----------------------------------------------------------------------------------


def test_a_key_to_a_table_that_nobody_creates_is_a_note_where_an_extension_may(place):
    report = check(place, unusual.of_extension(), 3)
    assert any("public.bugs_job" in note and "extension" in note for note in report.notes)


@pytest.mark.parametrize("extension", [b"", b'CREATE EXTENSION IF NOT EXISTS "uuid-ossp";\n\n'])
def test_a_key_to_a_table_that_nobody_creates_is_a_finding_otherwise(place, extension):
    sample = Sample()
    sample.before, sample.behind = extension, unusual.KEY_TO_EXTENSION
    assert "lacks 1 table (public.bugs_job)" in str(fault(place, sample.zip(), 3))


def test_a_table_with_an_index_and_no_creation_is_a_finding_whatever_the_extensions(place):
    sample = Sample()
    sample.before, sample.without_table = unusual.EXTENSION, {"zz_last"}
    assert "lacks 1 table (public.zz_last)" in str(fault(place, sample.zip(), 3))


def test_rows_of_a_table_that_the_dump_does_not_create_are_those_of_an_extension(place):
    sample = Sample()
    sample.before = b"COPY public.spatial_ref_sys (srid) FROM stdin;\n4326\n\\.\n\n\n"
    report = check(place, sample.zip(), 3)
    assert report.of_extensions == ["public.spatial_ref_sys"]
    assert report.rows["public.spatial_ref_sys"] == 1


@pytest.mark.parametrize("kind", ["", "UNLOGGED "])
def test_a_table_that_the_dump_creates_is_none_of_an_extension(place, kind):
    sample = Sample()
    sample.before = (
        f"CREATE {kind}TABLE public.cache (\n    id integer\n);\n\n"
        "COPY public.cache (id) FROM stdin;\n1\n\\.\n\n\n"
    ).encode()
    report = check(place, sample.zip(), 3)
    assert (report.of_extensions, report.rows["public.cache"]) == ([], 1)


# --- what Odoo empties by itself ------------------------------------------------------------------


def test_wizards_and_what_goes_with_their_rows_are_known(place):
    sample = Sample()
    tables = ("a_wizard", "a_wizard_rel", "bus_bus", "ir_model", "kept")
    for name in tables:
        sample.tables[name] = (["id", "model", "transient"], "id")
    rows = {"a_wizard": "1\tx\t\\N\n", "ir_model": "1\ta.wizard\tt\n2\tkept\tf\n3\tno.table\tt\n"}
    sample.rows = lambda table: rows.get(table, "").encode() or Sample.rows(sample, table)
    sample.behind = b"".join(
        f"ALTER TABLE ONLY public.{name}\n    ADD CONSTRAINT {name}_w FOREIGN KEY (id) REFERENCES "
        f"public.a_wizard(id) ON DELETE {action};\n\n".encode()
        for name, action in (("a_wizard_rel", "CASCADE"), ("kept", "SET NULL"))
    )
    report = check(place, sample.zip(), 3)
    assert report.volatile == ["public.a_wizard", "public.a_wizard_rel", "public.bus_bus"]


# --- where attachments are ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "inside", "outside"),
    [
        ("large objects and other storages", "zip", 1, 3),
        ("large objects and other storages", "dump", 1, 3),
        ("large objects of PostgreSQL 17", "dump", 1, 3),
        ("contents by checksum", "zip", 12, 0),
        ("contents by checksum, some", "zip", 5, 0),
        ("attachments in the database alone", "zip", 4, 0),
    ],
)
def test_attachments_that_are_no_files_are_counted(place, name, kind, inside, outside):
    look = check if kind == "zip" else check_dump
    report = look(place, MAKERS[name, kind](), 3)
    assert (report.attachments_in_database, report.attachments_elsewhere) == (inside, outside)
    assert (report.missing_files, report.surplus_files) == (0, 0)


def test_the_note_says_how_many_are_where(place):
    sample = many(5)
    sample.more_rows += [
        sample.attachment(90 + n, content="\\\\x00") for n in range(1203)
    ] + [sample.attachment(2000 + n, f"s3://bucket/{n}") for n in range(2)]
    assert check(place, sample.zip(), 3).notes == [
        "1204 attachments are kept in the database, 3 outside of it and not in this archive."
    ]


@pytest.mark.parametrize(
    ("values", "inside", "outside"),
    [
        ({"type": "url"}, 0, 0),
        ({"db_datas": "\\\\x"}, 0, 0),
        ({"db_datas": "\\\\x00"}, 1, 0),
        ({"type": "cloud_storage"}, 0, 1),
        ({"store_lobject": "0"}, 0, 0),
        ({"store_lobject": str(unusual.LARGE_OBJECT)}, 1, 0),
    ],
)
def test_a_row_without_a_file_is_what_its_columns_say(place, values, inside, outside):
    sample = Sample()
    columns, index = TABLES["ir_attachment"]
    sample.tables["ir_attachment"] = ([*columns, "store_lobject"], index)
    sample.attachment = lambda number, name="\\N", **_: (
        *Sample.attachment(sample, number, name), "\\N",
    )  # fmt: skip
    row = dict(zip(sample.tables["ir_attachment"][0], sample.attachment(90), strict=True))
    sample.more_rows = [tuple({**row, **values}.values())]
    sample.before = unusual.LARGE_OBJECT_CREATED
    report = check(place, sample.zip(), 3)
    assert (report.attachments_in_database, report.attachments_elsewhere) == (inside, outside)


@pytest.mark.parametrize(
    "name", [str(unusual.LARGE_OBJECT), "12", "s3:/bucket/key", "s3/bucket/key", "ab/" + "a" * 40]
)
def test_a_name_that_the_dump_has_no_content_of_is_a_missing_file(place, name):
    """A wrong guess would hide it: only what cannot be a file, or is in the dump, is none."""
    sample = Sample()
    sample.more_rows = [sample.attachment(90, name)]
    sample.before = b"SELECT pg_catalog.lo_create('77');\n\n"
    error = fault(place, sample.zip(), 3)
    assert error.report.missing_files == 1
    assert error.report.attachments_in_database == 0


def test_contents_by_checksum_are_known_as_the_first_versions_named_them(place):
    sample = Sample()
    rows = unusual.rows_of_contents([name.partition("/")[2] for name in sample.names])
    sample.before = unusual.CONTENTS + rows
    listed = sample.members()
    for name in sample.names:
        del listed[f"filestore/{name}"]
    assert check(place, archives.odoo_zip(listed), 3).attachments_in_database == 12


def test_half_a_row_of_users_is_damage(place):
    sample = Sample()
    script = sample.script().replace(b"\n1\t1\t__system__\n", b"\n1\t__system__\n")
    assert "Row 1 of public.res_users" in str(fault(place, unusual.zipped(sample, script), 3))


def test_a_content_by_checksum_that_is_empty_is_a_missing_file(place):
    sample = Sample()
    rows = unusual.rows_of_contents(sample.names).replace(b"\\\\x6279746573", b"\\N", 1)
    sample.before = unusual.CONTENTS + rows
    listed = sample.members()
    for name in sample.names:
        del listed[f"filestore/{name}"]
    assert fault(place, archives.odoo_zip(listed), 3).report.missing_files == 1


def test_a_dump_whose_contents_are_by_checksum_has_none_in_the_filestore(place):
    writer = Sample().writer()
    rows = unusual.rows_of_contents(Sample().names)
    copy, _line, content = rows.partition(b"\n")
    writer.entries.append(writer.entry(
        "ir_attachment_content", "TABLE DATA", copy=copy.decode() + "\n", schema="public",
        streams=content, chunk=200,
    ))  # fmt: skip
    report = check_dump(place, writer.build(), 3)
    assert report.attachments_in_database == 12
    assert not any("no part of a dump" in note for note in report.notes)


# --- no file at all -------------------------------------------------------------------------------


def test_an_archive_without_any_file_is_a_finding_however_young_its_attachments(place):
    sample = Sample()
    sample.created = LATE
    listed = sample.members()
    content = archives.odoo_zip({name: listed[name] for name in ("dump.sql", "manifest.json")})
    error = fault(place, content, 3, since=SINCE)
    assert "holds no filestore, although attachments of the dump have 12 files there" in str(error)
    assert (error.report.missing_files, error.report.late_files) == (12, 0)
    assert not any("while the backup was made" in note for note in error.report.notes)


def test_one_file_is_enough_for_the_others_to_be_late(place):
    sample = Sample()
    sample.created = LATE
    listed = sample.members()
    kept = ("dump.sql", "manifest.json", f"filestore/{FIRST}")
    content = archives.odoo_zip({name: listed[name] for name in kept})
    assert check(place, content, 3, since=SINCE).late_files == 11


def test_no_file_is_missed_where_none_was_asked_for(place):
    sample = Sample()
    sample.created = LATE
    listed = sample.members()
    content = archives.odoo_zip({name: listed[name] for name in ("dump.sql", "manifest.json")})
    assert check(place, content, 3, since=SINCE, filestore=False).level == 3


# --- bounds ---------------------------------------------------------------------------------------


def test_links_between_tables_are_bounded():
    schema = Schema()
    statement = (
        "ALTER TABLE ONLY public.t{}\n    ADD CONSTRAINT c FOREIGN KEY (id) "
        "REFERENCES public.x(id) ON DELETE CASCADE;"
    )
    with pytest.raises(Inconsistent, match="more than"):
        for number in range(MAX_TABLES + 1):
            schema.see(statement.format(number % 10).encode())


def test_tables_that_inherit_in_a_circle_have_an_end():
    schema = Schema()
    for child, parent in (("a", "b"), ("b", "a")):
        schema.see(f"CREATE TABLE public.{child} (\n)\nINHERITS (public.{parent});".encode())
    assert schema.odoo_table("public.a") in ("a", "b")
