"""Another copy from one that is at rest: only what was stored, and only by who may read it."""

import json
import os

import ages
import fake_odoo
import pytest
from ages import OTHER_RECIPIENT, RECIPIENT
from engine import destinations as destinations_module
from engine.errors import (
    BackupError,
    Cancelled,
    DestinationFailed,
    HostKeyUnknown,
    KindMissing,
    LibraryMissing,
    WorkerLost,
)
from fake_odoo import ARCHIVE
from orders import (
    PATH,
    RUN,
    SEALED_PATH,
    backup_order,
    carry_out,
    copy_order,
    left_in,
    replicate_order,
    run_here,
    sealed_order,
    stored,
)

CHANGED = ARCHIVE[:-1] + bytes([ARCHIVE[-1] ^ 1])


@pytest.fixture(autouse=True)
def distant_kind(monkeypatch):
    monkeypatch.setitem(destinations_module.KINDS.targets, "distant", "kinds:DistantDestination")


def read(*parts):
    with open(os.path.join(*parts), "rb") as file:
        return file.read()


def overwrite(folder, name, content):
    with open(f"{folder}/{name}", "wb") as archive:
        archive.write(content)


def replication(odoo, folder, sources, targets, **changes):
    """Back up into the sources; return the order to copy it from there into the targets."""
    order = backup_order(odoo, folder, sources)
    return replicate_order(order, run_here(order), targets, **changes)


def target(folder, name, number=7, **changes):
    return copy_order(folder, name, number, **changes)


# --- what comes to rest -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["local", "distant"])
def test_a_copy_is_made_of_the_first_one_that_is_good(odoo, folder, kind):
    order = replication(
        odoo,
        folder,
        [copy_order(folder, "a", kind=kind)],
        [target(folder, "b"), target(folder, "c", 8)],
    )
    result = run_here(order)
    at_rest = {"size": len(ARCHIVE), "sha256": order["sha256"], "encryption": ""}
    assert result == {
        "copies": [{"id": n, "path": PATH, "stored": True, **at_rest} for n in (7, 8)],
    }
    for name in ("b", "c"):
        assert read(folder, name, PATH) == ARCHIVE
        catalogue = json.loads(read(folder, name, f"{PATH}.json"))
        assert (catalogue["run"], catalogue["sha256"]) == (RUN, order["sha256"])
    assert len(left_in(folder)) == 6


def test_each_copy_has_bytes_of_its_own(odoo, folder):
    run_here(replication(odoo, folder, ["a"], [target(folder, "b"), target(folder, "c", 8)]))
    assert len({os.stat(f"{folder}/{name}/{PATH}").st_ino for name in "abc"}) == 3


def test_a_damaged_copy_of_the_same_run_is_replaced(odoo, folder):
    order = replication(odoo, folder, ["a", "b"], [target(folder, "b")])
    overwrite(folder, f"b/{PATH}", CHANGED)
    order["candidates"] = order["candidates"][:1]
    assert run_here(order)["copies"][0]["stored"]
    assert read(folder, "b", PATH) == ARCHIVE


def test_what_another_run_wrote_is_not_replaced(odoo, folder):
    order = replication(odoo, folder, ["a"], [target(folder, "b")])
    order["catalogue"] = {**order["catalogue"], "run": "uuid/2"}
    run_here(backup_order(odoo, folder, ["b"]))
    with pytest.raises(DestinationFailed, match="not written by this run"):
        run_here(order)
    assert read(folder, "b", PATH) == ARCHIVE


# --- candidates that are no good ----------------------------------------------------------------

FAULTS = {
    "changed": (lambda folder: overwrite(folder, f"a/{PATH}", CHANGED), "damaged", True),
    "cut": (lambda folder: overwrite(folder, f"a/{PATH}", ARCHIVE[:-9]), "truncated", True),
    "gone": (lambda folder: os.unlink(f"{folder}/a/{PATH}"), "archive_missing", True),
    "unmounted": (
        lambda folder: os.rename(f"{folder}/a", f"{folder}/x"),
        "destination_failed",
        False,
    ),
}


@pytest.mark.parametrize(("fault", "code", "bad"), FAULTS.values(), ids=FAULTS)
def test_a_candidate_that_is_no_good_is_passed_over_and_told(odoo, folder, fault, code, bad):
    order = replication(odoo, folder, ["a", "b"], [target(folder, "c")])
    fault(folder)
    told = []
    result = run_here(order, lambda _control, event: told.append(event))
    assert result["copies"][0]["stored"]
    (unreadable,) = (event for event in told if event["event"] == "unreadable")
    assert (unreadable["id"], unreadable["error_code"], unreadable["bad"]) == (1, code, bad)
    assert read(folder, "c", PATH) == ARCHIVE


@pytest.mark.parametrize(("fault", "code", "bad"), FAULTS.values(), ids=FAULTS)
def test_without_a_good_candidate_nothing_is_published(odoo, folder, fault, code, bad):
    order = replication(odoo, folder, ["a"], [target(folder, "c")])
    fault(folder)
    before, told = left_in(folder), []
    with pytest.raises(BackupError) as raised:
        run_here(order, lambda _control, event: told.append(event))
    assert raised.value.code == code
    assert left_in(folder) == before
    (unreadable,) = (event for event in told if event["event"] == "unreadable")
    assert unreadable["bad"] == bad, "Also where nothing else was to be read from"


@pytest.mark.parametrize("error", [KindMissing, LibraryMissing, HostKeyUnknown])
def test_a_candidate_whose_kind_cannot_be_used_here_is_passed_over(
    odoo, folder, monkeypatch, error
):
    order = replication(odoo, folder, ["a", "b"], [target(folder, "c")])
    order["candidates"][0]["kind"] = "distant"

    def refuse(self, path):
        raise error("Not here.")

    monkeypatch.setattr("kinds.DistantDestination.read", refuse)
    told = []
    result = run_here(order, lambda _control, event: told.append(event))
    assert result["copies"][0]["stored"]
    (unreadable,) = (event for event in told if event["event"] == "unreadable")
    assert (unreadable["error_code"], unreadable["bad"]) == (error.code, False)


def test_a_connection_that_is_lost_half_way_is_no_end_of_the_archive(odoo, folder):
    odoo.archive = fake_odoo.large_archive(3_000_000)
    settings = {"path": f"{folder}/a", "fault": "lost"}
    order = replication(
        odoo,
        folder,
        [copy_order(folder, "a", kind="distant", settings=settings)],
        [target(folder, "b")],
    )
    before = left_in(folder)
    with pytest.raises(DestinationFailed, match="was lost"):
        run_here(order)
    assert left_in(folder) == before


def test_without_candidates_it_is_said(odoo, folder):
    order = replication(odoo, folder, ["a"], [target(folder, "b")], candidates=[])
    with pytest.raises(DestinationFailed, match="no copy to read from"):
        run_here(order)


# --- targets that are no good -------------------------------------------------------------------


def test_a_target_that_fails_costs_the_other_nothing(odoo, folder):
    overwrite(folder, "file", b"")
    targets = [target(folder, "file/below"), target(folder, "c", 8)]
    bad, good = run_here(replication(odoo, folder, ["a"], targets))["copies"]
    assert (bad["stored"], bad["error_code"]) == (False, "destination_failed")
    assert good["stored"]


def test_when_every_target_fails_the_candidates_are_not_blamed(odoo, folder):
    overwrite(folder, "file", b"")
    order = replication(odoo, folder, ["a", "b"], [target(folder, "file/below")])
    with pytest.raises(DestinationFailed, match="Not a directory"):
        run_here(order)


# --- encrypted ----------------------------------------------------------------------------------


def test_a_plain_copy_is_encrypted_on_its_way(odoo, folder, tmp_path):
    order = replication(odoo, folder, ["a"], [sealed_order(folder, "b", 7)])
    (copy,) = run_here(order)["copies"]
    content = read(folder, "b", SEALED_PATH)
    assert (copy["encryption"], copy["size"]) == ("age", len(content))
    assert ages.opened_by_age(tmp_path, content) == ARCHIVE


def test_an_encrypted_copy_is_passed_on_as_it_is(odoo, folder):
    """Nobody here can open it: whoever could read it, still can."""
    targets = [sealed_order(folder, "b", 7, recipients=[OTHER_RECIPIENT])]
    order = replication(odoo, folder, [sealed_order(folder, "a")], targets)
    (copy,) = run_here(order)["copies"]
    assert read(folder, "b", SEALED_PATH) == read(folder, "a", SEALED_PATH)
    candidate = order["candidates"][0]
    assert (copy["size"], copy["sha256"], copy["encryption"]) == (
        candidate["stored_size"],
        candidate["stored_sha256"],
        "age",
    )
    first, second = (json.loads(read(folder, name, f"{SEALED_PATH}.json")) for name in "ab")
    assert second["recipients"] == [RECIPIENT]
    assert {**first, "stored_at": "", "report": ""} == {**second, "stored_at": "", "report": ""}


def test_an_encrypted_copy_that_was_changed_is_not_passed_on(odoo, folder):
    order = replication(odoo, folder, [sealed_order(folder, "a")], [sealed_order(folder, "b", 7)])
    sealed = read(folder, "a", SEALED_PATH)
    overwrite(folder, f"a/{SEALED_PATH}", sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(BackupError) as raised:
        run_here(order)
    assert raised.value.code in ("damaged", "truncated")
    assert not [name for name in left_in(folder) if name.startswith("b/")]


def test_an_encrypted_copy_cannot_become_a_plain_one(odoo, folder):
    targets = [target(folder, "b", 7), sealed_order(folder, "c", 8)]
    plain, sealed = run_here(replication(odoo, folder, [sealed_order(folder, "a")], targets))[
        "copies"
    ]
    assert (plain["stored"], plain["error_code"]) == (False, "encryption_failed")
    assert "can only be read from a copy that is encrypted" in plain["error"]
    assert sealed["stored"]
    assert not [name for name in left_in(folder) if name.startswith("b/")]


# --- stopped ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["read", "store", "publish"])
def test_a_replication_that_is_cancelled_leaves_nothing(odoo, folder, stage):
    order = replication(odoo, folder, ["a", "b"], [target(folder, "c")])
    before = left_in(folder)

    def cancel(control, event):
        if event.get("stage") == stage:
            control.cancel()

    with pytest.raises(Cancelled):
        run_here(order, cancel, permission=lambda timeout: 10**12)
    assert left_in(folder) == before


def test_without_leave_to_publish_nothing_is_published(odoo, folder):
    order = replication(odoo, folder, ["a"], [target(folder, "b")])
    before = left_in(folder)
    with pytest.raises(WorkerLost):
        run_here(order, permission=lambda timeout: None)
    assert left_in(folder) == before


def test_a_process_of_its_own_replicates(odoo, folder):
    order = replication(odoo, folder, ["a"], [target(folder, "b")])
    done = carry_out(order)
    assert (done["event"], done["copies"][0]["stored"]) == ("done", True)
    assert read(folder, "b", PATH) == ARCHIVE
    assert stored(order, done)[0]["stored_sha256"] == order["sha256"]
