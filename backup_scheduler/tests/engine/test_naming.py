"""Where archives lie: no name of a database leads anywhere else, or to another's place."""

import datetime
import itertools
import os
import posixpath
import re

import pytest
from engine.naming import archive_path, described_by, is_encrypted, one_line, safe_name

MOMENT = datetime.datetime(2026, 11, 20, 2, 0, 0, tzinfo=datetime.timezone.utc)
ODD = (
    "../x", "..", ".", "/", "/etc/passwd", "a/b", "a\\b", "a//b", "", " ", "  ", "\0", "a\0b",
    "a\nb", "a\n", ".hidden", "-rf", "--", "~", "~root", "$HOME", "`id`", "$(id)", "a;b", "a|b",
    "a b", "a?b", "a*b", "a:b", "a%2fb", "%2e%2e", "ü", "u\u0308", "日本語", "Ünïcode",
    "\u202etxt", "\udcff",
    "x" * 300, "x" * 299, "x" * 81, "../" * 100, "a.", "a..", "con ", "a b ", "😀", "&<>\"'",
)  # fmt: skip
PLAIN = ("shop", "Shop_2", "my-company.example.com", "db1", "x" * 80, "2024-11-20", "a_b")
COMPONENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_an_odd_name_is_one_harmless_component(name):
    safe = safe_name(name)
    assert COMPONENT.fullmatch(safe)
    assert not safe.endswith(".")
    assert os.path.basename(safe) == safe
    path = archive_path(name, name, MOMENT, "zip")
    assert posixpath.normpath(path) == path
    assert path.count("/") == 2
    assert not path.startswith("/")


def test_no_two_names_share_a_place():
    names = {*ODD, *PLAIN, *(safe_name(name) for name in ODD)}
    places = {name: safe_name(name) for name in names}
    clashes = [
        (one, other)
        for one, other in itertools.combinations(names, 2)
        if places[one] == places[other]
    ]
    assert not clashes


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_name_stays_as_it_is(name):
    assert safe_name(name) == name


def test_an_odd_name_can_still_be_recognised():
    assert safe_name("My Shop (2026)").startswith("My_Shop_2026")


@pytest.mark.parametrize(
    "moment",
    [
        MOMENT,
        MOMENT.replace(tzinfo=None),
        MOMENT.astimezone(datetime.timezone(datetime.timedelta(hours=-7))),
    ],
    ids=["UTC", "naive", "west"],
)
def test_the_time_in_a_path_is_utc(moment):
    assert archive_path("Shop", "db", moment, "zip") == "Shop/db/2026-11-20T02-00-00Z.zip"


def test_archives_of_one_second_get_numbers():
    paths = [archive_path("Shop", "db", MOMENT, "dump", number) for number in (1, 2, 3)]
    assert paths == [
        "Shop/db/2026-11-20T02-00-00Z.dump",
        "Shop/db/2026-11-20T02-00-00Z-2.dump",
        "Shop/db/2026-11-20T02-00-00Z-3.dump",
    ]


def test_the_name_of_an_encrypted_archive_says_so():
    path = archive_path("Shop", "db", MOMENT, "zip", 2, encrypted=True)
    assert path == "Shop/db/2026-11-20T02-00-00Z-2.zip.age"
    assert is_encrypted(path)
    assert not is_encrypted(path.removesuffix(".age"))


@pytest.mark.parametrize("path", ["a/b.zip", "b.dump", "b.zip.age", "b.dump.age"])
def test_a_catalogue_leads_to_its_archive(path):
    assert described_by(path + ".json") == path


@pytest.mark.parametrize("path", ["b.zip", "b.json", "b.zip.1.part.json", "b.age.json", ".json"])
def test_what_is_no_catalogue_leads_nowhere(path):
    assert described_by(path) == ""


@pytest.mark.parametrize(
    "odd",
    ["\n", "\r", "\0", "\t", "\v", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\u202e", "\u2066",
     "\u200f", "\ufeff", "\ud800", "\udcff"],
    ids=ascii,
)  # fmt: skip
def test_a_name_from_elsewhere_is_one_line_that_is_read_as_it_is_written(odd):
    told = one_line(f"shop{odd}Bcc: evil@example.com")
    assert told == "shop\ufffdBcc: evil@example.com"
    assert told.encode()
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("name", ["shop", "Müller & Söhne", "日本語", "a b", "😀", ""])
def test_a_name_of_one_line_stays_as_it_is(name):
    assert one_line(name) == name
