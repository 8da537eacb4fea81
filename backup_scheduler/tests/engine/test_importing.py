"""What an engine process tells of the archives that lie in a destination."""

import json

import pytest
from engine import importing
from engine.catalogue import signed
from engine.control import Control
from engine.errors import Cancelled
from test_catalogue import CONTENT as GOOD
from test_catalogue import KEY

CONTENT = {**GOOD, "size": 3}


def lay(folder, name, content, archive=b"abc"):
    path = folder / f"Paris/books/{name}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(archive)
    path.with_name(path.name + ".json").write_text(json.dumps(content))


def listed(folder, control=None, accept_unsigned=False, known=()):
    events = []
    order = {
        "destination": {"id": 1, "kind": "local", "settings": {"path": str(folder)}},
        "known": list(known),
        "signature": {"secrets": ["keys"], "settings": {"keys": f"other\n{KEY}"}},
        "accept_unsigned": accept_unsigned,
    }
    result = importing.list_archives(order, control or Control(events.append))
    told = [(event["event"], event["path"]) for event in events if "path" in event]
    return told, result


def test_what_is_signed_is_told_and_the_rest_is_counted(tmp_path):
    lay(tmp_path, 1, signed(CONTENT, KEY))
    lay(tmp_path, 2, CONTENT)
    lay(tmp_path, 3, signed({**CONTENT, "size": "3"}, KEY))
    lay(tmp_path, 4, signed(CONTENT, KEY), archive=b"cut"[:2])
    told, result = listed(tmp_path)
    assert told == [
        ("archive", "Paris/books/1.zip"), ("unreadable", "Paris/books/3.zip"),
        ("unreadable", "Paris/books/4.zip"),
    ]  # fmt: skip
    assert result == {"unsigned": 1, "unreadable": 2, "complete": True}


def test_what_was_accepted_is_told_without_a_signature(tmp_path):
    lay(tmp_path, 1, CONTENT)
    told, result = listed(tmp_path, accept_unsigned=True)
    assert told == [("archive", "Paris/books/1.zip")]
    assert result["unsigned"] == 0


@pytest.mark.parametrize("limit", ["TIME_LIMIT", "COUNT_LIMIT", "BYTES_LIMIT"])
def test_one_order_tells_so_much_and_the_next_one_the_rest(tmp_path, monkeypatch, limit):
    for name in (1, 2):
        lay(tmp_path, name, signed(CONTENT, KEY))
    monkeypatch.setattr(importing, limit, -1)
    told, result = listed(tmp_path)
    assert (len(told), result["complete"]) == (1, False)
    monkeypatch.undo()
    more, result = listed(tmp_path, known=[told[0][1]])
    assert (len(more), result["complete"]) == (1, True)
    assert more != told


def test_a_listing_can_be_cancelled(tmp_path):
    lay(tmp_path, 1, signed(CONTENT, KEY))
    control = Control()
    control.cancel()
    with pytest.raises(Cancelled):
        listed(tmp_path, control)
