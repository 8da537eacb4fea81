"""The corpus, good archives of legal databases that few have: no level may find fault with them.

The statements are those of pg_dump 15 for such databases.
"""

import verify_archives as archives
from corpus_samples import FOOT, TABLES, Sample

# The number of a large object, and what the database says of its attachment.
LARGE_OBJECT = 16425
LARGE_OBJECT_CREATED = f"SELECT pg_catalog.lo_create('{LARGE_OBJECT}');\n\n".encode()
LARGE_OBJECT_DATA = rf"""BEGIN;

SELECT pg_catalog.lo_open('{LARGE_OBJECT}', 131072);
SELECT pg_catalog.lowrite(0, '\x6c61726765206f626a656374');
SELECT pg_catalog.lo_close(0);

COMMIT;

""".encode()
CONTENTS = b"""CREATE TABLE public.ir_attachment_content (
    id integer NOT NULL,
    checksum character varying,
    db_datas bytea
);

"""
ADDRESSES = (
    "s3://bucket/0123", "azure_attachments://ab/cd/report-7-0.pdf", "code://ab/cd/tab\\tname.pdf",
)  # fmt: skip
EXTENSION = b"""CREATE EXTENSION IF NOT EXISTS bugs_cron WITH SCHEMA public;

"""
KEY_TO_EXTENSION = b"""ALTER TABLE ONLY public.zz_last
    ADD CONSTRAINT zz_last_job_fkey FOREIGN KEY (id) REFERENCES public.bugs_job(id);

"""
FORCED = b"""ALTER TABLE ONLY public.res_partner FORCE ROW LEVEL SECURITY;

"""
POLICY = b"""CREATE POLICY one_company ON public.res_partner TO bi USING
 ((id = (current_setting('app.company'::text))::integer));

ALTER TABLE public.res_partner ENABLE ROW LEVEL SECURITY;

"""
SCHEMA = "odoo_data"


def zipped(sample, script, without_files=False):
    """Return the zip of a sample with another dump.sql."""
    listed = {**sample.members(), "dump.sql": script}
    if without_files:
        listed = {name: listed[name] for name in ("dump.sql", "manifest.json")}
    return archives.odoo_zip(listed)


def parted(script, table, clause, link, whole="", rows=b""):
    """Return a script whose rows of ``table`` are in a table of its own, which belongs to it.

    ``clause`` is what ends the statement of the whole, ``whole`` what ends the one of the part.
    """
    create = f"CREATE TABLE public.{table} (".encode()
    start = script.index(create)
    end = script.index(b"\n);\n", start)
    part = script[start:end].replace(create, f"CREATE TABLE public.{table}_p1 (".encode())
    script = b"".join(
        [script[:end], b"\n)", clause, b";\n\n", part, b"\n)", whole.encode(), b";\n\n", link,
         script[end + 4 :]]
    )  # fmt: skip
    copy = f"\n\nCOPY public.{table} (".encode()
    return script.replace(copy, b"\n\n" + rows + f"COPY public.{table}_p1 (".encode())


def partitioned(table="ir_attachment"):
    """Odoo's attachments in a partition."""
    sample = Sample()
    link = (
        f"ALTER TABLE ONLY public.{table} ATTACH PARTITION public.{table}_p1 FOR VALUES FROM (1) "
        "TO (1000000);\n\n"
    ).encode()
    return sample, parted(sample.script(), table, b"\nPARTITION BY RANGE (id)", link)


def partitioned_by_old_pg_dump():
    """As pg_dump 10 wrote a partition."""
    sample = Sample()
    script = parted(sample.script(), "ir_attachment", b"\nPARTITION BY RANGE (id)", b"")
    return sample, script.replace(
        b"CREATE TABLE public.ir_attachment_p1 (",
        b"CREATE TABLE public.ir_attachment_p1 PARTITION OF public.ir_attachment (",
    )


def inherited(table="ir_attachment"):
    """Some attachments in a table that inherits from Odoo's, which itself is empty."""
    sample = Sample()
    columns = ", ".join(TABLES[table][0])
    empty = f"COPY public.{table} ({columns}) FROM stdin;\n\\.\n\n\n".encode()
    whole = f"\nINHERITS (public.zz_last, public.{table})"
    return sample, parted(sample.script(), table, b"", b"", whole, empty)


def large_objects():
    """An attachment that is a large object (attachment_large_object), one in a column of its own
    (muk_attachment_lobject), and addresses of other storages."""
    sample = Sample()
    sample.more_rows = [
        sample.attachment(90, str(LARGE_OBJECT)),
        *(sample.attachment(91 + n, address) for n, address in enumerate(ADDRESSES)),
    ]
    return sample


def zip_of_large_objects():
    sample = large_objects()
    sample.before = LARGE_OBJECT_CREATED
    script = sample.script().replace(FOOT, LARGE_OBJECT_DATA + FOOT)
    return zipped(sample, script)


def dump_of_large_objects(version):
    writer = large_objects().writer(version=version)
    return writer.add_large_objects({LARGE_OBJECT: b"large object"}).build()


def rows_of_contents(names):
    """Return the table of attachment_db_by_checksum with the contents of these files."""
    rows = "".join(f"{n}\t{name}\t\\\\x6279746573\n" for n, name in enumerate(names, 1))
    copy = b"COPY public.ir_attachment_content (id, checksum, db_datas) FROM stdin;\n"
    return copy + rows.encode() + b"\\.\n\n\n"


def by_checksum(count=None):
    """The contents of the first files are in a table; there is no file of these."""
    sample = Sample()
    names = sample.names[:count]
    sample.before = CONTENTS + rows_of_contents(names)
    listed = sample.members()
    for name in names:
        del listed[f"filestore/{name}"]
    return archives.odoo_zip(listed)


def of_schema():
    """Odoo in another schema than ``public``, which has an old copy of one of its tables."""
    sample = Sample()
    script = sample.script().replace(b" public.", f" {SCHEMA}.".encode())
    old = b"CREATE TABLE public.ir_attachment (\n    id integer,\n    store_fname text\n);\n\n"
    rows = (
        b"COPY public.ir_attachment (id, store_fname) FROM stdin;\n"
        b"1\t00/0000000000000000000000000000000000000000\n\\.\n\n\n"
    )
    at = script.index(b"--\n-- Data for Name")
    create = script.index(b"CREATE TABLE ")
    return zipped(sample, script[:create] + old + script[create:at] + rows + script[at:])


def dump_of_schema():
    writer = Sample().writer()
    for entry in writer.entries:
        if entry["schema"]:
            entry["schema"] = SCHEMA
            for text in ("definition", "copy"):
                entry[text] = (entry[text] or "").replace(" public.", f" {SCHEMA}.") or None
            entry["definition"] = entry["definition"] or ""
    return writer.build()


def of_extension():
    """A table of an extension that a foreign key leads to, and that the dump has no rows of."""
    sample = Sample()
    sample.before, sample.behind = EXTENSION, KEY_TO_EXTENSION
    return sample.zip()


def of_forced_security():
    sample = Sample()
    sample.before, sample.behind = FORCED, POLICY
    return sample.zip()


def only_in_the_database():
    """All attachments have their content in their rows: ir_attachment.location = db."""
    sample = Sample([])
    sample.more_rows = [sample.attachment(n, content="\\\\x6279746573") for n in range(1, 5)]
    return sample.zip()


def of_encoding(name="LATIN1", codec="latin-1", table="élève"):
    """A dump in the encoding of its database, with a table whose name shows it."""
    sample = Sample()
    quoted = f'"{table}"'
    sample.before = (
        f"CREATE TABLE public.{quoted} (\n    a integer\n);\n\n"
        f"COPY public.{quoted} (a) FROM stdin;\n3\n\\.\n\n\n"
    ).encode(codec)
    return zipped(sample, sample.script().replace(b"'UTF8'", f"'{name}'".encode()))


MAKERS = [
    ("partitioned attachments", "zip", lambda: zipped(*partitioned())),
    ("partitioned attachments, pg_dump 10", "zip", lambda: zipped(*partitioned_by_old_pg_dump())),
    ("partitioned users", "zip", lambda: zipped(*partitioned("res_users"))),
    ("partitioned modules", "zip", lambda: zipped(*partitioned("ir_module_module"))),
    ("attachments in a table that inherits", "zip", lambda: zipped(*inherited())),
    ("large objects and other storages", "zip", zip_of_large_objects),
    ("large objects and other storages", "dump", lambda: dump_of_large_objects((1, 14))),
    ("large objects of PostgreSQL 17", "dump", lambda: dump_of_large_objects((1, 16))),
    ("contents by checksum", "zip", by_checksum),
    ("contents by checksum, some", "zip", lambda: by_checksum(5)),
    ("Odoo in another schema", "zip", of_schema),
    ("Odoo in another schema", "dump", dump_of_schema),
    ("a key to a table of an extension", "zip", of_extension),
    ("a database in LATIN1", "zip", of_encoding),
    ("forced row-level security", "zip", of_forced_security),
    ("attachments in the database alone", "zip", only_in_the_database),
]
