"""docs/security.md names the test that holds each line: each of them exists."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parents[1] / "docs" / "security.md"
NAMED = re.compile(r"`(test_[a-z_0-9*]+\.py)(?:: (test_\w+))?`")
THREATS = 22


def test_each_threat_names_tests_and_each_of_these_exists():
    page = PAGE.read_text("utf-8")
    rows = [line for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    assert len(rows) == THREATS
    assert all(NAMED.search(row) for row in rows)
    for name, test in NAMED.findall(page):
        files = list(TESTS.rglob(name))
        assert files, name
        assert not test or f"def {test}(" in files[0].read_text("utf-8"), (name, test)
