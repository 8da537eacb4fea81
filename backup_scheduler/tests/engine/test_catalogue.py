"""Catalogues come from outside: read within bounds, taken apart by kind, signed by whom."""

import copy
import json

import pytest
from engine import catalogue as catalogue_module
from engine.catalogue import (
    COUNT_LIMIT,
    LIMIT,
    SIGNATURE,
    Catalogue,
    CatalogueError,
    is_signed,
    parsed,
    signed,
    written,
)

PATH = "Paris/books/2026-11-20T02-00-00Z.zip"
KEY, OTHER = "the key of this installation", "another's"
CONTENT = {
    "run": "uuid/17",
    "instance": "Paris",
    "url": "https://paris.example.com",
    "database": "books",
    "job": "Every night",
    "trigger": "schedule",
    "scheduled_at": "2026-11-20T02:00:00Z",
    "started_at": "2026-11-20T02:00:05Z",
    "stored_at": "2026-11-20T04:03:00.5+02:00",
    "archive_format": "zip",
    "include_filestore": True,
    "odoo_version": "19.0",
    "size": 1000.0,
    "sha256": "ab" * 32,
    "report": {
        "level": 3, "users": 5, "since": "2026-11-20T02:00:05Z", "manifest": {"db_name": "books"},
        "notes": ["Odd."], "unknown": [[1]],
    },
}  # fmt: skip
DEEP = [[]]
for _level in range(30):
    DEEP = [DEEP]


def nested(letters, count):
    return (letters[0] * count + letters[1] * count).encode()


# --- taking it apart ----------------------------------------------------------------------------


def test_what_is_of_its_kind_is_taken():
    found = Catalogue(PATH, CONTENT)
    assert (found.size, type(found.size), found.stored_size) == (1000, int, 1000)
    assert found.stored_at.isoformat() == "2026-11-20T02:03:00"
    assert found.report == {
        "level": 3, "users": 5, "since": "2026-11-20T02:00:05Z", "manifest": {"db_name": "books"},
        "notes": ["Odd."],
    }  # fmt: skip
    assert (found.encryption, found.finding) == ("", {})


WRONG = [
    None, True, False, -1, 1.5, 1e300, float("inf"), float("nan"), 10**400, "", " ", "x", "\0",
    "a\nb", "\ud800", "9" * 30_000, [], [[]], ["x"], {}, {"a": 1}, DEEP, "5", "2026-13-45",
    "0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00",
]  # fmt: skip
REQUIRED = [
    "run", "instance", "database", "scheduled_at", "started_at", "stored_at", "archive_format",
    "size", "sha256",
]  # fmt: skip


@pytest.mark.parametrize("field", [*CONTENT, "finding", "encryption"])
def test_a_value_of_another_kind_is_refused_with_the_name_of_its_field(field):
    """Or taken as what it is: nothing else leaves the parser."""
    for value in WRONG:
        refused = refusal_of({**CONTENT, field: value})
        if refused:
            assert refused.startswith(field), (field, value, refused)
            continue
        found = vars(Catalogue(PATH, {**CONTENT, field: value}))
        assert kinds_of(found) == kinds_of(vars(Catalogue(PATH, CONTENT))), (field, value)
        assert "\n" not in str(found.get(field, "")), (field, value)


def refusal_of(content):
    try:
        Catalogue(PATH, content)
    except CatalogueError as error:
        return str(error.message)
    return ""


def kinds_of(values):
    return {name: type(value) for name, value in values.items()}


@pytest.mark.parametrize("field", REQUIRED)
def test_what_is_missing_is_named(field):
    content = {name: value for name, value in CONTENT.items() if name != field}
    with pytest.raises(CatalogueError, match=f"^{field}: "):
        Catalogue(PATH, content)


@pytest.mark.parametrize(
    ("report", "field"),
    [
        ({"since": 5}, "since"),
        ({"since": "soon"}, "since"),
        ({"level": "3"}, "level"),
        ({"level": 9}, "level"),
        ({"level": [3]}, "level"),
        ({"users": "5"}, "users"),
        ({"users": True}, "users"),
        ({"tables": {"a": 1}}, "tables"),
        ({"manifest": []}, "manifest"),
        ({"notes": "x"}, "notes"),
        ({"notes": [5]}, "notes"),
        ({"pg_version": 17}, "pg_version"),
    ],
)
def test_a_report_of_odd_kinds_is_refused(report, field):
    with pytest.raises(CatalogueError, match=f"report.{field}: "):
        Catalogue(PATH, {**CONTENT, "report": report})


@pytest.mark.parametrize(
    "path",
    ["/etc/x.zip", "../x.zip", "..", "a//b.zip", "a/./b.zip", "a\nb.zip", "a\0.zip", "\udcff.zip",
     "x" * 2000 + ".zip", "a\u2028.zip"],
)  # fmt: skip
def test_a_path_that_is_none_of_ours_is_refused(path):
    with pytest.raises(CatalogueError, match="path"):
        Catalogue(path, CONTENT)


def test_a_list_without_end_is_refused():
    with pytest.raises(CatalogueError, match="too long"):
        Catalogue(PATH, {**CONTENT, "x": [0] * (COUNT_LIMIT + 1)})


# --- reading it ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"[]", b"5", b"{", b"\xff\xfe", b'{"a": NaN}', b'{"a": -Infinity}',
        b'{"a": ' + b"1" * 10_000 + b"}", nested("[]", 100_000), b'{"a":' * 100_000,
        b'{"a": "' + b"x" * LIMIT + b'"}',
    ],
    ids=range(12),
)  # fmt: skip
def test_bytes_that_are_no_catalogue_are_none(content):
    assert parsed(content) is None


def test_what_would_be_too_large_is_written_without_its_report():
    large = {**CONTENT, "report": {"notes": ["x" * LIMIT]}}
    found = parsed(written(large, KEY))
    assert found["run"] == CONTENT["run"]
    assert "report" not in found
    assert is_signed(found, [KEY])


# --- whose it is --------------------------------------------------------------------------------


def test_what_was_signed_is_known_again_by_its_key_after_a_round_trip():
    found = parsed(written(CONTENT, KEY))
    assert is_signed(found, [OTHER, KEY])
    assert not is_signed(found, [OTHER])
    assert not is_signed(found, [])
    assert Catalogue(PATH, found).owner == CONTENT["run"]


@pytest.mark.parametrize("field", [*CONTENT, "finding", "encryption"])
def test_any_change_breaks_the_signature(field):
    changed = copy.deepcopy(signed(CONTENT, KEY))
    changed[field] = "changed"
    assert not is_signed(changed, [KEY])


@pytest.mark.parametrize("value", [None, 5, [], {}, "", "é", "a" * 64, "\0"])
def test_an_odd_signature_is_none(value):
    assert not is_signed({**CONTENT, SIGNATURE: value}, [KEY])


def test_without_a_key_nothing_is_signed():
    assert SIGNATURE not in json.loads(written(CONTENT, ""))
    assert not is_signed(parsed(written(CONTENT, "")), [KEY])


def test_what_cannot_be_written_as_json_is_not_signed():
    assert not is_signed({**CONTENT, "x": float("inf"), SIGNATURE: "a" * 64}, [KEY])
    assert catalogue_module.LIMIT <= 16 << 20
