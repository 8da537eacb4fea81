"""What fits only one version: the SQL that neutralizes is that of one Odoo."""

import pytest
from engine.control import Control
from engine.errors import RestoreRefused
from engine.restore.postgres import require_version, restore

NEUTRALIZATION = {"base": "UPDATE ir_cron SET active = false"}
# A PostgreSQL that is not there: nothing is asked of it.
TARGET = {
    "server": {"host": "/nowhere"},
    "database": "sales-back",
    "filestore": "",
    "neutralization": NEUTRALIZATION,
    "version": "19.0",
}


def report(version):
    return {"manifest": {"major_version": version}}


@pytest.mark.parametrize("version", ["14.0", "17.0", "saas~18.2", "20.0"])
def test_a_copy_of_another_odoo_is_refused_before_anything_is_loaded(version):
    with pytest.raises(RestoreRefused) as caught:
        restore("/nowhere", "zip", report(version), TARGET, Control(), "run-1")
    assert version in caught.value.message
    assert "19.0" in caught.value.message
    assert version in caught.value.hint


@pytest.mark.parametrize(
    ("archived", "changes"),
    [
        ("19.0", {}),
        ("17.0", {"neutralization": None}),
        ("17.0", {"version": ""}),
        (None, {}),
    ],
)
def test_where_it_fits_or_is_not_run_nothing_is_refused(archived, changes):
    require_version(report(archived), {**TARGET, **changes})
