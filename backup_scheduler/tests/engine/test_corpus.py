"""Each kind of damage is found at the level that promises it, and no good archive is called bad."""

import corpus
import pytest
from corpus_samples import DATABASE, Sample

KINDS = corpus.kinds(Sample().zip(), Sample().dump())


def title(value):
    return f"{value.archive_format}: {value.name}"


@pytest.fixture
def place(tmp_path):
    return tmp_path / "archive"


@pytest.mark.parametrize("kind", KINDS, ids=title)
def test_damage_is_found_at_its_level_and_called_what_it_is(place, kind):
    looks = corpus.look_at_kind(kind, place, DATABASE)
    assert not corpus.wrong_with(kind, looks)


@pytest.mark.parametrize("kind", KINDS, ids=title)
def test_what_is_built_is_no_good_archive(kind):
    good = Sample().zip() if kind.archive_format == "zip" else Sample().dump()
    assert kind.build() != good


@pytest.mark.parametrize(
    ("name", "archive_format", "write", "options"),
    corpus.GOOD,
    ids=[f"{kind}: {name}" for name, kind, *_rest in corpus.GOOD],
)
def test_no_level_finds_fault_with_a_good_archive(place, name, archive_format, write, options):
    write(place)
    # Level 3 reads all that level 2 does; four GiB are not read twice.
    for level in (1, 3) if "4 GiB" in name else corpus.LEVELS:
        assert corpus.look(place, archive_format, level, database=DATABASE, **options).error is None


def test_the_corpus_covers_what_was_promised():
    names = {(kind.archive_format, kind.name) for kind in KINDS}
    assert len(names) == len(KINDS)
    assert len(KINDS) >= 30
    assert {kind.level for kind in KINDS if kind.archive_format == "zip"} == {1, 2, 3}
    assert {kind.level for kind in KINDS if kind.archive_format == "dump"} == {1, 2, 3}
