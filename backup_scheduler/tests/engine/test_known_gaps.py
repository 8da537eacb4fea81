"""Known gaps: what a database has lacked for long is no fault; what it lacks now is."""

import json
from pathlib import Path

import pytest
import verify_archives as archives
from corpus_good import SINCE
from corpus_samples import Sample, stored_name
from engine.archive import gaps, inventory
from orders import backup_order, run_here, verify_order
from test_reading import only
from verify_archives import STORED_FILE, members, odoo_zip

check, fault = archives.verifier("zip")
NAMES = Sample().names
LOST, ROTTEN, OTHER = NAMES[1], NAMES[2], NAMES[3]


@pytest.fixture
def place(tmp_path):
    return tmp_path / "archive"


def lacking(missing=(), damaged=()):
    """Return a zip without some files, and with other bytes in others."""
    listed = Sample().members()
    for name in missing:
        del listed[f"filestore/{name}"]
    for name in damaged:
        listed[f"filestore/{name}"] = b"rotten"
    return odoo_zip(listed)


def known(missing=(), damaged=()):
    return {"known_gaps": {"missing": list(missing), "damaged": list(damaged)}}


def test_what_is_missing_or_damaged_is_named(place):
    report = fault(place, lacking([LOST], [ROTTEN]), 3).report
    assert report.gaps == {"missing": [LOST], "damaged": [ROTTEN], "only": True}
    assert "gaps" not in report.as_dict(), "Names by the thousand are no part of what people read"


def test_the_hint_says_what_can_be_done_about_files_that_are_missing_for_long(place):
    assert "Accept Missing Files" in str(fault(place, lacking([LOST]), 3).hint)
    assert "Accept Missing Files" not in str(fault(place, lacking(NAMES), 3).hint)


def test_an_archive_without_gaps_names_none(place):
    assert check(place, Sample().zip(), 3).gaps == {}


def test_known_gaps_are_no_fault_and_are_counted(place):
    report = check(place, lacking([LOST], [ROTTEN]), 3, **known([LOST], [ROTTEN]))
    assert (report.level, report.known_gaps) == (3, 2)
    assert (report.missing_files, report.damaged_files) == (0, 0)
    assert report.gaps == {}
    assert "2 known gaps: files that are missing or damaged, and accepted as such." in report.notes


def test_one_known_gap_is_told_in_the_singular(place):
    report = check(place, lacking([LOST]), 3, **known([LOST]))
    assert "1 known gap: a file that is missing or damaged, and accepted as such." in report.notes


def test_only_what_is_new_is_a_fault(place):
    error = fault(place, lacking([LOST, OTHER]), 3, **known([LOST]))
    assert f"1 file of the filestore is missing: {OTHER}" in str(error)
    assert LOST not in str(error)
    assert error.report.gaps == {"missing": [OTHER], "damaged": [], "only": True}
    assert (error.report.missing_files, error.report.known_gaps) == (1, 1)


def test_what_was_accepted_as_missing_and_comes_back_damaged_is_new(place):
    error = fault(place, lacking(damaged=[LOST]), 3, **known([LOST]))
    assert error.report.gaps == {"missing": [], "damaged": [LOST], "only": True}


def test_what_was_accepted_as_damaged_and_is_missing_now_is_new(place):
    error = fault(place, lacking([ROTTEN]), 3, **known(damaged=[ROTTEN]))
    assert error.report.gaps == {"missing": [ROTTEN], "damaged": [], "only": True}


def test_files_that_are_back_and_files_that_nobody_lists_any_more_are_told_apart(place):
    gone = stored_name(b"deleted meanwhile")
    report = check(place, lacking([LOST]), 3, **known([LOST, gone], [ROTTEN]))
    assert report.gaps == {"back": [ROTTEN], "unlisted": [gone]}
    assert report.known_gaps == 1


def test_a_file_that_came_late_is_not_called_back(place):
    sample = Sample()
    late = stored_name(b"late")
    sample.more_rows = [sample.attachment(90, late, "2025-03-31 00:00:00")]
    report = check(place, sample.zip(), 3, since=SINCE, **known([late]))
    assert (report.late_files, report.gaps) == (1, {})


def test_where_more_is_wrong_than_files_the_gaps_are_not_all(place):
    sample = Sample()
    listed = sample.members()
    del listed[f"filestore/{LOST}"]
    manifest = json.loads(listed["manifest.json"])
    manifest["modules"] = {"another": "19.0.1.0"}
    listed["manifest.json"] = json.dumps(manifest).encode()
    gone = stored_name(b"deleted meanwhile")
    report = fault(place, odoo_zip(listed), 3, **known([gone], [ROTTEN])).report
    assert report.gaps == {"missing": [LOST], "damaged": [], "only": False, "back": [ROTTEN]}


def test_an_archive_without_any_file_has_no_gaps_but_no_filestore(place):
    content = lacking(NAMES)
    error = fault(place, content, 3, **known(NAMES))
    assert "holds no filestore" in str(error)
    assert error.report.gaps == {}


def test_a_filestore_that_is_left_out_as_asked_for_has_no_gaps(place):
    report = check(place, lacking([LOST]), 3, filestore=False, **known([ROTTEN]))
    assert (report.known_gaps, report.gaps) == (0, {})


def test_more_gaps_than_can_be_accepted_are_counted_and_not_listed(place, monkeypatch):
    monkeypatch.setattr(gaps, "LIMIT", 2)
    assert fault(place, lacking(NAMES[1:4]), 3).report.gaps == {}
    assert fault(place, lacking(NAMES[1:4]), 3, **known(NAMES[1:2])).report.gaps["missing"]


def test_more_gaps_than_are_listed_all_count_as_new(place, monkeypatch):
    monkeypatch.setattr(gaps, "LIMIT", 1)
    monkeypatch.setattr(inventory, "LISTED", 2)
    error = fault(place, lacking(NAMES[1:5]), 3, **known(NAMES[1:3]))
    assert (error.report.missing_files, error.report.known_gaps) == (4, 0)
    assert error.report.gaps == {}


@pytest.mark.parametrize(
    ("name", "is_offered"),
    [("odd/name", True), ("odd/" + "x" * 2000, False), ("odd/na\u202eme", False)],
    ids=["short", "long", "bidirectional"],
)
def test_a_file_of_another_name_is_offered_where_it_can_be_known_again(place, name, is_offered):
    sample = Sample()
    sample.more_rows = [sample.attachment(90, name, None)]
    offered = fault(place, sample.zip(), 3).report.gaps
    assert bool(offered) is is_offered
    if is_offered:
        assert check(place, sample.zip(), 3, **known(offered["missing"])).known_gaps == 1


# --- the orders -----------------------------------------------------------------------------------


def without_its_file():
    listed = members()
    listed["filestore/" + stored_name(b"surplus")] = b"surplus"
    del listed[STORED_FILE]
    return odoo_zip(listed)


def test_a_backup_and_a_verification_take_the_gaps_that_are_known(odoo, folder):
    odoo.archive = without_its_file()
    name = STORED_FILE.removeprefix("filestore/")
    order = backup_order(odoo, folder, verify_level=3)
    found = run_here(order)
    assert found["finding"]["error_code"] == "inconsistent"
    assert found["gaps"] == {"missing": [name], "damaged": [], "only": True}
    good = run_here({**order, **known([name]), "token": "again"})
    assert "finding" not in good
    assert (good["report"]["level"], good["report"]["known_gaps"]) == (3, 1)
    assert "finding" in only(run_here(verify_order(order, good)))
    again = only(run_here(verify_order(order, good, **known([name]))))
    assert "finding" not in again
    assert again["report"]["known_gaps"] == 1


def test_the_names_of_gaps_do_not_lie_beside_the_archive(odoo, folder):
    odoo.archive = without_its_file()
    order = backup_order(odoo, folder, verify_level=3)
    run_here(order)
    (catalogue,) = Path(folder).rglob("*.json")
    beside = json.loads(catalogue.read_text())
    assert "gaps" not in beside
    assert "gaps" not in beside["report"]
