r"""Good archives of Odoo databases, made by code: what is in them is what pg_dump and Odoo write.

Statements and columns are those of a pg_dump 15 of an Odoo 19, cut down to the tables that matter.
"""

import hashlib
import json
import zipfile

import verify_archives as archives

DATABASE = "corpus"
HEAD = b"""--
-- PostgreSQL database dump
--

\\restrict HhwNIAJlCqga

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);

--
-- Name: pg_trgm; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;


"""
FOOT = b"""--
-- PostgreSQL database dump complete
--

\\unrestrict HhwNIAJlCqga

"""
SOME_TIME = "2025-03-30 02:30:00.000001"
ATTACHMENT = [
    "id", "name", "type", "store_fname", "checksum", "description", "index_content", "create_date",
    "db_datas", "write_date",
]  # fmt: skip
# What an Odoo database has: (columns, where an index is).
TABLES = {
    "ir_attachment": (ATTACHMENT, "store_fname"),
    "ir_module_module": (["id", "write_date", "name", "state", "latest_version"], "state"),
    "ir_sequence": (["id", "name"], "id"),
    "res_partner": (["id", "name", "comment"], "name"),
    "res_users": (["id", "partner_id", "login"], "login"),
    "zz_last": (["id", "partner_id", "body"], "partner_id"),
}
MODULES = {"base": "19.0.1.3", "web": "19.0.1.0", "mail": "19.0.1.19"}
# Rows that try to be taken for statements, marks and ends.
TRICKS = (
    "COPY public.ir_attachment (id, store_fname) FROM stdin;",
    "\\\\.",
    "\\\\.\\nCOPY public.res_users (id) FROM stdin;\\n1",
    "it's; a $$quote$$ -- of \"no\" /* end",
    "\\\\",
    "\\t\\n\\r\\\\N",
)


def stored_name(content):
    digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return f"{digest[:2]}/{digest}"


def contents(count, size=300, seed=7):
    """Return the contents of ``count`` different files, half of them text."""
    dice = archives.dice(seed)
    texts = [b"Line of attachment %d\n" % number * (size // 20) for number in range(count)]
    return [dice.randbytes(size) if n % 2 else text for n, text in enumerate(texts)]


class Sample:
    """An Odoo database, to be written as a zip or as a custom dump."""

    def __init__(self, files=None, modules=None):
        self.files = contents(12) if files is None else files
        self.names = [stored_name(content) for content in self.files]
        self.modules = dict(MODULES if modules is None else modules)
        self.created = SOME_TIME
        self.more_rows = []
        self.before, self.behind = b"", b""
        # The names of tables that are left out of the dump: their rows, or all but their keys.
        self.without_rows, self.without_table = set(), set()
        self.tables = dict(TABLES)

    # --- rows -----------------------------------------------------------------------------------

    def rows(self, table):
        """Return the rows of a table as COPY writes them, with their line ends."""
        values = {
            "ir_attachment": self._attachments,
            "ir_module_module": self._modules,
            "res_partner": lambda: [(n, trick, "\\N") for n, trick in enumerate(TRICKS, 1)],
            "res_users": lambda: [(1, 1, "__system__"), (2, 3, "admin")],
            "zz_last": lambda: [(n, 1, f"body {n}") for n in range(1, 40)],
        }.get(table, list)()
        return "".join("\t".join(map(str, row)) + "\n" for row in values).encode()

    def _attachments(self):
        rows = [self.attachment(number, name) for number, name in enumerate(self.names, 1)]
        return rows + self.more_rows

    def attachment(self, number, store_fname="\\N", created=None, content="\\N"):
        created = created or self.created
        return (number, f"file {number}", "binary", store_fname, "\\N",
                TRICKS[number % len(TRICKS)], "some\\ntext", created, content, created)  # fmt: skip

    def _modules(self):
        rows = [
            (number, SOME_TIME, name, "installed", version)
            for number, (name, version) in enumerate(self.modules.items(), 1)
        ]
        return [*rows, (99, SOME_TIME, "hr", "uninstalled", "\\N")]

    # --- statements -----------------------------------------------------------------------------

    def create(self, table):
        columns = ",\n    ".join(f"{name} text" for name in self.tables[table][0])
        return (
            f"CREATE TABLE public.{table} (\n    {columns}\n);\n\n\n"
            f"COMMENT ON COLUMN public.{table}.id IS 'It''s; not the\nCOPY public.{table} (id) "
            "FROM stdin;';\n\n\n"
        )

    def copy(self, table):
        return f"COPY public.{table} ({', '.join(self.tables[table][0])}) FROM stdin;\n"

    def keys(self, table):
        """Return (kind of entry, name, statement) of what stands behind the rows."""
        indexed = self.tables[table][1]
        yield "CONSTRAINT", f"{table}_pkey", (
            f"ALTER TABLE ONLY public.{table}\n"
            f"    ADD CONSTRAINT {table}_pkey PRIMARY KEY (id);\n"
        )  # fmt: skip
        yield "INDEX", f"{table}_index", (
            f"CREATE INDEX {table}_index ON public.{table} USING btree ({indexed});\n"
        )
        if "partner_id" in self.tables[table][0]:
            yield "FK CONSTRAINT", f"{table}_fkey", (
                f"ALTER TABLE ONLY public.{table}\n    ADD CONSTRAINT {table}_fkey "
                "FOREIGN KEY (partner_id) REFERENCES public.res_partner(id) ON DELETE CASCADE;\n"
            )

    # --- archives -------------------------------------------------------------------------------

    def script(self):
        """Return dump.sql."""
        there = [name for name in self.tables if name not in self.without_table]
        parts = [HEAD, self.before, *(self.create(name).encode() for name in there)]
        for name in there:
            if name not in self.without_rows:
                title = f"--\n-- Data for Name: {name}; Type: TABLE DATA; Schema: public\n--\n\n"
                parts += [(title + self.copy(name)).encode(), self.rows(name), b"\\.\n\n\n"]
        keys = [text for name in self.tables for _kind, _name, text in self.keys(name)]
        return b"".join([*parts, self.behind, "\n\n".join(keys).encode(), b"\n\n", FOOT])

    def manifest(self, **changes):
        return {**archives.MANIFEST, "db_name": DATABASE, "modules": self.modules, **changes}

    def members(self):
        """Return the members of the zip by name, in Odoo's order."""
        listed = {"dump.sql": self.script(), "manifest.json": self.manifest_json()}
        for name, content in zip(self.names, self.files, strict=True):
            listed[f"filestore/{name}"] = content
        listed[f"filestore/checklist/{self.names[0] if self.names else '00/00'}"] = b""
        return listed

    def manifest_json(self, **changes):
        return json.dumps(self.manifest(**changes), indent=4).encode()

    def zip(self, **how):
        return archives.odoo_zip(self.members(), **how)

    def writer(self, **how):
        """Return the writer of the custom dump."""
        dump = archives.CustomDump(database=DATABASE, **how)
        there = [name for name in self.tables if name not in self.without_table]
        for name in there:
            dump.entries.append(dump.entry(name, "TABLE", self.create(name), schema="public"))
        for name in there:
            if name not in self.without_rows:
                rows = self.rows(name) + b"\\.\n\n\n"
                dump.entries.append(dump.entry(
                    name, "TABLE DATA", copy=self.copy(name), schema="public", streams=rows,
                    chunk=200,
                ))  # fmt: skip
        for name in self.tables:
            for kind, key, text in self.keys(name):
                dump.entries.append(dump.entry(f"{name} {key}", kind, text, schema="public"))
        return dump

    def dump(self, **how):
        return self.writer(**how).build()


def many(count=3000):
    """Return a sample of many attachments, in every way in which Odoo keeps one."""
    sample = Sample(contents(count, size=40))
    shared = sample.names[0]
    sample.more_rows = [
        sample.attachment(count + 1, shared),
        sample.attachment(count + 2, "s3://bucket/a/key"),
        sample.attachment(count + 3, "\\N", content="\\\\x" + "00" * 400_000),
        sample.attachment(count + 4, ""),
    ]
    return sample


# A member of 4 GiB + 5 bytes, all zero.
HUGE = (1 << 32) + 5
HUGE_CRC = 0xB1C2A1A3
HUGE_NAME = "7c/7ce9d83c5eacca17b354408ce637473229a7d5e2"


def huge_zip(place):
    """Write a good zip whose last member is :data:`HUGE`, as a hole in the file."""
    sample = Sample()
    sample.more_rows = [sample.attachment(90, HUGE_NAME)]
    with zipfile.ZipFile(place, "w") as archive:
        for name, content in sample.members().items():
            archive.writestr(name, content)
        info = zipfile.ZipInfo(f"filestore/{HUGE_NAME}")
        info.CRC, info.file_size, info.compress_size = HUGE_CRC, HUGE, HUGE
        info.header_offset = archive.fp.tell()
        archive.fp.write(info.FileHeader(zip64=True))
        archive.fp.seek(HUGE, 1)
        archive.start_dir = archive.fp.tell()
        archive.filelist.append(info)
        archive.NameToInfo[info.filename] = info
        archive._didModify = True
