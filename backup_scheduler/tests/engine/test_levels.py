"""One table of the levels of verification, and what is said of them elsewhere."""

import re
from pathlib import Path

import pytest
from engine.archive import levels, verify
from engine.archive.levels import BY_READING, LEVELS, level_of_finding
from engine.errors import NotConsistent, RestoreFailed

ADDON = Path(__file__).parents[2]


def test_reading_finds_each_level_that_the_table_says_it_finds():
    assert set(verify.CHECKS) == set(BY_READING)


def test_a_finding_belongs_to_the_level_that_makes_it():
    assert level_of_finding(NotConsistent.code) == levels.CONSISTENT
    assert level_of_finding(RestoreFailed.code) == levels.RESTORED


def test_levels_are_numbered_from_1_and_each_asks_for_more():
    assert list(LEVELS) == [1, 2, 3, 4]
    assert LEVELS.keys() >= {levels.DEFAULT, *BY_READING}
    assert max(BY_READING) < levels.RESTORED


def test_the_screens_know_the_numbers_of_the_table():
    script = (ADDON / "static/src/levels.js").read_text()
    known = {name: int(number) for name, number in re.findall(r"const (\w+) = (\d+);", script)}
    assert known == {str(level.name).upper(): number for number, level in LEVELS.items()}


@pytest.mark.parametrize("number", LEVELS)
def test_the_documentation_says_of_each_level_what_the_table_says(number):
    said = " ".join((ADDON.parent / "docs/how-it-works.md").read_text().split())
    level = LEVELS[number]
    assert f"Level {number}, *{level.name.lower()}*. {level.meaning} " in said
