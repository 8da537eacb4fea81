"""Fuzzing of what reads archives: zips, manifests, SQL scripts, custom dumps, catalogues, age."""

import json

import pytest
import verify_archives as archives
from engine import encryption
from engine.archive.verify import verify
from engine.destinations.local import LocalDestination
from engine.errors import BackupError
from engine.restore.members import Members
from fuzzing import LONG, TOKENS, damaged, ends_in_time, fuzzed, outcome, plain, texts
from hypothesis import example, given
from hypothesis import strategies as st

ZIPS = [
    archives.odoo_zip(),
    archives.odoo_zip(streamed=True),
    archives.odoo_zip(zip64=True),
    archives.odoo_zip(method=0),
]
DUMPS = [archives.PIPED, archives.FILED, archives.custom_dump(compression="none")]
SCRIPTS = [archives.SQL]
MANIFEST = json.dumps(archives.MANIFEST).encode()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a path for the archive at hand."""
    return tmp_path_factory.mktemp("fuzz") / "archive"


def verified(place, content, archive_format):
    place.write_bytes(content)
    return outcome(lambda: verify(place, archive_format, 3), size=len(content))


def read_members(place):
    with Members(place) as members:
        for entry in members.entries():
            for _block in members.blocks(entry):
                pass


@fuzzed(few=80)
@given(content=damaged(ZIPS))
def test_a_zip_is_good_or_refused(place, content):
    verified(place, content, "zip")
    outcome(lambda: read_members(place), size=len(content))


@fuzzed(few=80)
@given(content=damaged(DUMPS))
def test_a_custom_dump_is_good_or_refused(place, content):
    verified(place, content, "dump")


objects = plain.map(lambda node: json.dumps(node).encode())
# An archive that the owner "me" has made elsewhere.
FOREIGN = {"foreign.zip": b"foreign", "foreign.zip.json": b'{"run": "me", "size": 7}'}
parts = st.sampled_from(["..", ".", "", "vault", "foreign.zip", "a.zip", "x"])
scripts = st.one_of(
    damaged(SCRIPTS), texts.map(lambda text: archives.SQL + text.encode("utf-8", "replace"))
)


@fuzzed()
@given(
    dump=scripts,
    manifest=st.one_of(damaged([MANIFEST]), objects),
    name=texts,
)
def test_a_zip_with_hostile_members_is_good_or_refused(place, dump, manifest, name):
    content = {
        **archives.members(dump=dump, manifest=manifest),
        f"filestore/{name}".replace("\0", "").encode("utf-8", "replace").decode(): b"x",
    }
    verified(place, archives.odoo_zip(content), "zip")


@pytest.mark.parametrize("where", ["in a statement", "in rows", "in a row"])
def test_the_reading_of_a_script_is_linear(place, where):
    def read(unit):
        long = (unit * (LONG // len(unit))).encode("utf-8", "replace")
        inserted = {
            "in a statement": (b"CREATE TABLE public.note", long + b"\nCREATE TABLE public.note"),
            "in rows": (b"1\tone\n", b"1\tone\n" + long + b"\n"),
            "in a row": (b"1\tone\n", b"1\tone" + long + b"\n"),
        }[where]
        content = archives.members(dump=archives.SQL.replace(*inserted))
        place.write_bytes(archives.odoo_zip(content, method=0))
        verify(place, "zip", 3)

    ends_in_time(read, TOKENS)


# --- catalogues ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    """Return the folder of a destination, beside which there is somebody else's archive."""
    folder = tmp_path_factory.mktemp("places") / "vault"
    folder.mkdir()
    (folder / "a.zip").write_bytes(b"archive")
    for name, content in FOREIGN.items():
        (folder.parent / name).write_bytes(content)
    return folder


def catalogue_of(vault, content):
    (vault / "a.zip.json").write_bytes(content)
    listed = LocalDestination(str(vault)).catalogues()
    return outcome(lambda: dict(listed), size=len(content), refuses=())["a.zip"]


@fuzzed()
@given(content=st.one_of(st.binary(max_size=200), objects))
def test_a_catalogue_is_an_object_or_none(vault, content):
    found = catalogue_of(vault, content)
    assert found is None or isinstance(found, dict)


@pytest.mark.parametrize("unit", ["[", '{"a":', '"\\ud800', "1", "-", " "])
def test_a_deep_or_long_catalogue_is_none(vault, unit):
    content = (unit * (LONG // len(unit))).encode()
    assert catalogue_of(vault, content) is None


@fuzzed(few=50)
@given(path=st.one_of(texts, st.lists(parts, max_size=6).map("/".join)))
@example(path="../foreign.zip")
def test_no_path_leads_out_of_the_folder(vault, path):
    place = LocalDestination(str(vault))
    read = outcome(lambda: b"".join(place.read(path)), size=0, refuses=(BackupError, ValueError))
    assert read not in FOREIGN.values()
    outcome(lambda: place.delete(path, "me"), size=0, refuses=(BackupError, ValueError))
    for name, content in FOREIGN.items():
        assert (vault.parent / name).read_bytes() == content


# --- age ----------------------------------------------------------------------------------------

pyrage = pytest.importorskip("pyrage")
KEY = pyrage.x25519.Identity.generate()
LOCKED = pyrage.encrypt(archives.odoo_zip(), [KEY.to_public()])


@fuzzed()
@given(content=damaged([LOCKED]))
def test_an_encrypted_archive_opens_or_is_refused(content):
    def opened():
        plain_blocks = []
        encryption.decrypt([content], plain_blocks.append, str(KEY))
        return b"".join(plain_blocks)

    found = outcome(opened, size=len(content))
    assert isinstance(found, BackupError) or found == archives.odoo_zip()
