"""What a place renews while it is asked something is told, whatever it was asked."""

import pytest
from engine import destinations as destinations_module
from engine import transfer
from engine.control import Control
from fake_odoo import ARCHIVE
from orders import (
    PATH,
    backup_order,
    copy_order,
    discard_order,
    replicate_order,
    run_here,
    verify_order,
)


@pytest.fixture(autouse=True)
def renewing_kind(monkeypatch):
    target = "kinds:RenewingDestination"
    monkeypatch.setitem(destinations_module.KINDS.targets, "renewing", target)


@pytest.fixture
def valid():
    return ["t"]


@pytest.fixture
def order(odoo, folder):
    return backup_order(odoo, folder, ["drive"])


def in_drive(copies, folder, valid):
    """Let the copies lie in the place that renews its token."""
    for copy in copies:
        copy["kind"] = "renewing"
        copy["settings"] = {"path": f"{folder}/drive", "token": "t", "valid": valid}


def told(order):
    """Carry the order out; return the result, and the last token that was told of each copy."""
    events = []
    result = transfer.ACTIONS[order["action"]](order, Control(events.append))
    renewed = [event for event in events if event["event"] == "renewed"]
    return result, {event["id"]: event["changed_settings"]["token"] for event in renewed}


def test_verifying_tells_the_newest_token_and_reads_with_it(order, folder, valid):
    verify = verify_order(order, run_here(order))
    in_drive(verify["copies"], folder, valid)
    result, tokens = told(verify)
    assert result["copies"][0]["ok"], result
    assert [tokens[1]] == valid


def test_a_copy_is_made_from_a_place_that_renews_its_token(order, folder, valid):
    destination = {**copy_order(folder, "b"), "id": 7}
    replicate = replicate_order(order, run_here(order), [destination])
    in_drive(replicate["candidates"], folder, valid)
    result, tokens = told(replicate)
    assert result["copies"][0]["stored"], result
    assert [tokens[1]] == valid
    with open(f"{folder}/b/{PATH}", "rb") as file:
        assert file.read() == ARCHIVE


def test_deleting_tells_it_also_where_it_fails(order, folder, valid):
    run_here(order)
    discard = discard_order(order)
    in_drive(discard["copies"], folder, valid)
    result, tokens = told(discard)
    assert not result["copies"][0]["ok"]
    assert [tokens[1]] == valid


def test_a_place_that_renews_nothing_tells_nothing(order):
    assert told(verify_order(order, run_here(order)))[1] == {}
