"""Good Odoo zips pass, whatever wrote them, in bounded memory; and what a caller sees meanwhile."""

import hashlib
import json
import os
import tracemalloc
import zipfile
import zlib

import pytest
import verify_archives as archives
import verify_zips as zips
from engine.archive import codec
from engine.archive.verify import verify
from engine.errors import Damaged, Truncated
from verify_zips import GOOD, VARIANTS

check, fault = archives.verifier("zip")


@pytest.fixture(params=archives.BACKENDS, ids=lambda module: module.__name__)
def backend(request, monkeypatch):
    monkeypatch.setattr(codec, "backend", request.param)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "archive"


# --- good archives ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.usefixtures("backend")
def test_a_good_zip_passes_both_levels(place, how):
    content = archives.odoo_zip(**how)
    for level in (1, 2):
        report = check(place, content, level, database=archives.DATABASE)
        assert (report.level, report.size, report.members) == (level, len(content), 4)
        assert report.filestore_files == 1
    assert report.manifest == archives.MANIFEST
    assert (report.database, report.odoo_version) == ("tiny", "19.0")
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()


def test_a_zip_without_filestore_and_in_another_order_passes(place):
    listed = dict(reversed(list(archives.members().items())[:2]))
    assert check(place, archives.odoo_zip(listed)).filestore_files == 0


def test_folders_are_members_but_no_files(place):
    content = archives.odoo_zip({"filestore/": b"", "filestore/7c/": b"", **archives.members()})
    report = check(place, content)
    assert (report.members, report.filestore_files) == (6, 1)


def test_a_directory_in_another_order_than_the_file_passes(place):
    assert check(place, zips.with_directory(GOOD, list(reversed(zips.directory(GOOD))))).level == 2


def test_a_stored_zip_within_the_zip_is_no_end_of_it(place):
    inner = {**archives.members(), "filestore/aa/aa": GOOD}
    content = archives.odoo_zip(inner, method=zipfile.ZIP_STORED)
    assert check(place, content).level == 2
    for length in range(content.index(GOOD), len(content)):
        error = fault(place, content[:length], level=1)
        # The very byte at which the inner zip ends looks like an end record with a wrong place.
        cut_at_inner_end = length == content.index(GOOD) + len(GOOD)
        assert isinstance(error, Damaged if cut_at_inner_end else Truncated), length


def test_more_members_than_16_bits_count_pass(place):
    filestore = {f"filestore/00/{number:040x}": b"" for number in range(66_000)}
    content = archives.odoo_zip({**archives.members(), **filestore}, method=zipfile.ZIP_STORED)
    assert check(place, content).filestore_files == 66_001


def test_many_members_do_not_cost_memory(place):
    filestore = {f"filestore/00/{number:040x}": b"" for number in range(8_000)}
    content = archives.odoo_zip({**archives.members(), **filestore}, method=zipfile.ZIP_STORED)
    assert peak_of(place, content) < 1_000_000


@pytest.mark.usefixtures("backend")
def test_a_member_that_inflates_a_thousandfold_does_not_cost_memory(place):
    dump = archives.SQL.replace(b"1\tone", b"1\t" + b"x" * 50_000_000)
    assert peak_of(place, zips.with_members(dump=dump)) < 4_000_000


def peak_of(place, content):
    """Return how many bytes Python allocated at most while it verified the content at level 2."""
    place.write_bytes(content)
    tracemalloc.start()
    try:
        verify(place, "zip", 2)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_member_of_more_than_4_gib_passes_level_1_and_its_cut_is_found(place):
    content = zips.huge_zip(place)
    assert verify(place, "zip", 1).members == 3
    os.truncate(place, content - 1)
    with pytest.raises(Truncated):
        verify(place, "zip", 1)


@pytest.mark.usefixtures("backend")
def test_a_stream_is_inflated_to_its_last_byte_and_nothing_may_follow_it():
    plain = bytes(codec.PLAIN_BLOCK + 1)
    packed = zlib.compress(plain)
    decoder = codec.Inflater(codec.ZLIB, "it")
    assert b"".join(decoder.feed(packed)) == plain
    decoder.finish()
    with pytest.raises(Damaged, match="3 bytes follow"):
        list(decoder.feed(b"odd"))
    with pytest.raises(Damaged, match="3 bytes follow"):
        list(codec.Inflater(codec.ZLIB, "it").feed(packed + b"odd"))


# --- around it ----------------------------------------------------------------------------------


def test_progress_is_told_each_megabyte_and_ends_at_the_total(place):
    filestore = {f"filestore/0{n}/{n}": archives.dice(n).randbytes(700_000) for n in range(9)}
    content = archives.odoo_zip({**archives.members(), **filestore})
    told = []
    check(place, content, progress=lambda done, total: told.append((done, total)))
    steps = [done for done, _total in told]
    assert {total for _done, total in told} == {len(content)}
    assert steps == sorted(steps)
    assert steps[-1] == len(content)
    assert max(after - before for before, after in zip(steps, steps[1:], strict=False)) <= 1 << 20


@pytest.mark.parametrize("level", [1, 2])
def test_what_progress_raises_ends_the_verification(place, level):
    def stop(_done, _total):
        raise InterruptedError("cancelled")

    with pytest.raises(InterruptedError):
        check(place, GOOD, level, progress=stop)


@pytest.mark.parametrize("level", [1, 2])
def test_the_digest_finds_an_archive_that_is_sound_but_another(place, level):
    digest = hashlib.sha256(GOOD).hexdigest()
    assert check(place, GOOD, level, sha256=digest.upper()).level == level
    other = archives.odoo_zip(streamed=True)
    assert isinstance(fault(place, other, level, sha256=digest), Damaged)


@pytest.mark.parametrize(("archive_format", "level"), [("zip", 0), ("zip", 4), ("tar", 1)])
def test_what_does_not_exist_is_refused(place, archive_format, level):
    place.write_bytes(GOOD)
    with pytest.raises(ValueError, match="unsupported|unknown"):
        verify(place, archive_format, level)


def test_a_file_that_is_not_there_is_no_verdict(place):
    with pytest.raises(FileNotFoundError):
        verify(place, "zip", 1)
