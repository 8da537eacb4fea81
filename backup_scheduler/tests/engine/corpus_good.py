"""The corpus, good archives: what Odoo and PostgreSQL write, and no level may find fault with."""

import datetime

import corpus_unusual
import verify_archives as archives
from corpus_samples import Sample, huge_zip, many

# A quarter of an hour before the rows of a late sample.
SINCE = datetime.datetime(2025, 3, 30, 2, 15, tzinfo=datetime.timezone.utc)
UNUSUAL = b"""CREATE SCHEMA archive;

CREATE TABLE archive.ir_attachment (
    id integer,
    store_fname text
);

CREATE TABLE public.part (
    id integer,
    day date
)
PARTITION BY RANGE (day);

CREATE TABLE public.part_2025 (
    id integer,
    day date
);

CREATE UNLOGGED TABLE public.cache (
    id integer
);

CREATE FOREIGN TABLE public.far (
    id integer
)
SERVER elsewhere;

CREATE TABLE public.child (
    more text
)
INHERITS (public.res_partner);

CREATE TABLE public."Odd ""name"";" (
    "a, column" text
);

CREATE TABLE public.nothing (
);

CREATE MATERIALIZED VIEW public.summary AS
 SELECT 'COPY public.ir_attachment (id) FROM stdin;'::text AS a
  WITH NO DATA;

CREATE FUNCTION public.trap() RETURNS void
    LANGUAGE plpgsql
    AS $_$
BEGIN
  -- It's; no "end
COPY public.ir_attachment (id, store_fname) FROM stdin;
1	00/0000000000000000000000000000000000000000
\\.
CREATE TABLE public.never (id integer);
  PERFORM $1;
END
$_$;

CREATE FUNCTION public.atomic() RETURNS integer
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT 1;
 SELECT 2;
END;

COPY archive.ir_attachment (id, store_fname) FROM stdin;
1	11/1111111111111111111111111111111111111111
\\.

COPY public.part_2025 (id, day) FROM stdin;
\\.

COPY public.child (id, name, comment, more) FROM stdin;
\\.

COPY public."Odd ""name"";" ("a, column") FROM stdin;
it's; COPY public.ir_attachment (id) FROM stdin;
\\.

COPY public.nothing  FROM stdin;
\\.

COPY public.spatial_ref_sys (srid) FROM stdin;
4326
\\.

"""
UNUSUAL_BEHIND = b"""ALTER TABLE ONLY public.part ATTACH PARTITION public.part_2025 FOR VALUES FROM
 ('2025-01-01') TO ('2026-01-01');

ALTER TABLE ONLY public.part
    ADD CONSTRAINT part_pkey PRIMARY KEY (id, day);

CREATE INDEX summary_index ON public.summary USING btree (a);

CREATE INDEX far_index ON archive.ir_attachment USING btree (id);

CREATE INDEX hyper_index ON timescale.chunk USING btree (id);

ALTER TABLE ONLY public.child
    ADD CONSTRAINT child_fkey FOREIGN KEY (id) REFERENCES public.spatial_ref_sys(srid);

REFRESH MATERIALIZED VIEW public.summary;

"""


def written(make):
    """Return the function that writes what ``make()`` returns."""
    return lambda place: place.write_bytes(make())


def unusual():
    sample = Sample()
    sample.before, sample.behind = UNUSUAL, UNUSUAL_BEHIND
    return sample.zip()


def of_windows():
    sample = many(200)
    listed = sample.members()
    listed["dump.sql"] = listed["dump.sql"].replace(b"\n", b"\r\n")
    return archives.odoo_zip(listed)


def backwards():
    listed = Sample().members()
    return archives.odoo_zip(dict(reversed(listed.items())))


def with_folders_and_surplus():
    listed = {"filestore/": b"", "filestore/ab/": b"", **Sample().members()}
    surplus = {f"filestore/{name}": content for name, content in zip(
        Sample([b"old", b"older"]).names, [b"old", b"older"], strict=True)}  # fmt: skip
    return archives.odoo_zip({**listed, **surplus, "filestore/readme": b"by hand"})


def late():
    """Two attachments that came behind the copy of the filestore; one shares an older file."""
    sample = Sample()
    sample.more_rows = [
        sample.attachment(90, "aa/" + "a" * 40, "2025-03-30 02:20:00"),
        sample.attachment(91, sample.names[0], "2025-03-30 02:20:00"),
    ]
    return sample.zip()


def without_filestore():
    listed = Sample().members()
    return archives.odoo_zip({name: listed[name] for name in ("dump.sql", "manifest.json")})


def of_legacy_names():
    """An attachment of Odoo 8, in a folder of three letters."""
    sample = Sample()
    listed = sample.members()
    old = sample.names[3]
    sample.names[3] = f"{old[3:6]}/{old[3:]}"
    listed[f"filestore/{sample.names[3]}"] = listed.pop(f"filestore/{old}")
    return archives.odoo_zip({**listed, "dump.sql": sample.script()})


ARCHIVES = [
    ("few attachments", "zip", written(lambda: Sample().zip()), {}),
    ("no attachments", "zip", written(lambda: Sample([]).zip()), {}),
    ("many attachments", "zip", written(lambda: many().zip()), {}),
    ("a member over 4 GiB", "zip", huge_zip, {}),
    ("streamed, 64-bit headers", "zip", written(lambda: Sample().zip(streamed=True, zip64=True)),
     {}),
    ("from Windows", "zip", written(of_windows), {}),
    ("filestore before the dump", "zip", written(backwards), {}),
    ("folders and surplus files", "zip", written(with_folders_and_surplus), {}),
    ("files of an old Odoo", "zip", written(of_legacy_names), {}),
    ("unusual tables and functions", "zip", written(unusual), {}),
    ("written while it was made", "zip", written(late), {"since": SINCE}),
    ("filestore not asked for", "zip", written(without_filestore), {"filestore": False}),
    ("few attachments", "dump", written(lambda: Sample().dump()), {}),
    ("many attachments", "dump", written(lambda: many().dump()), {}),
    ("positions noted", "dump", written(lambda: Sample().dump(seekable=True)), {}),
    ("of PostgreSQL 17", "dump", written(lambda: Sample().dump(version=(1, 16))), {}),
    ("of pg_dump 17, its output redirected", "dump",
     written(lambda: Sample().dump(version=(1, 16), appended=True)), {}),
    ("uncompressed", "dump", written(lambda: Sample().dump(compression="none")), {}),
    *((name, kind, written(make), {}) for name, kind, make in corpus_unusual.MAKERS),
]  # fmt: skip
