"""The bytes of a backup over HTTP: forms, ends, cuts, waits."""

import time

import fake_odoo
import pytest
from engine.archive.verify import verify
from engine.control import Control
from engine.errors import BackupError, Cancelled, NoSpace, SourceTimeout, TimeLimit, Truncated
from engine.sources import http as http_module
from engine.sources import http_client, open_source
from fake_odoo import ARCHIVE, PASSWORD
from waiting import PATIENCE, beside

CUTS = (fake_odoo.chunked_cut, fake_odoo.prefork_cut, fake_odoo.length_cut, fake_odoo.reset)


@pytest.fixture
def received():
    return bytearray()


def fetch(odoo, received, control=None, database="tiny", archive_format="zip", filestore=True):
    order = {"connection": "http", **odoo.settings()}
    source = open_source(order, control or Control())
    source.fetch(database, archive_format, filestore, received.extend)


def when_reached(odoo, action):
    """Do something as soon as the server has come to its point of waiting."""

    def wait():
        odoo.reached.wait(PATIENCE)
        action()

    beside(wait)


def hold_the_first_byte(handler):
    """A zip: nothing comes before the whole dump is made."""
    handler.server.odoo.hold(handler)


# --- good ones ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [fake_odoo.chunked, fake_odoo.prefork, fake_odoo.length_cut],
    ids=lambda how: how.__name__,
)
def test_all_bytes_arrive_however_the_server_marks_their_end(odoo, received, how):
    odoo.how = how if how is not fake_odoo.length_cut else with_length
    odoo.archive = ARCHIVE * 5000
    fetch(odoo, received)
    assert received == odoo.archive


def with_length(handler, content):
    fake_odoo.announce(handler, Content_Length=str(len(content)))
    handler.wfile.write(content)


@pytest.mark.parametrize(
    "database", ["tiny", "My Shop", "größe", "a&b=c", "a+b", "x%2fy", "日本", "q'uote\"", "name;x"]
)
def test_the_form_carries_any_name_and_password(odoo, received, database):
    odoo.databases = [database]
    fetch(odoo, received, database=database)
    assert odoo.backup_forms() == [
        {"master_pwd": PASSWORD, "name": database, "backup_format": "zip"}
    ]


@pytest.mark.parametrize(
    ("archive_format", "filestore", "expected"),
    [("zip", True, None), ("zip", False, "false"), ("dump", True, None)],
)
def test_the_form_says_what_is_wanted(odoo, received, archive_format, filestore, expected):
    fetch(odoo, received, archive_format=archive_format, filestore=filestore)
    (form,) = odoo.backup_forms()
    assert (form["backup_format"], form.get("filestore")) == (archive_format, expected)


def test_progress_is_told_while_bytes_come(odoo, received):
    events = []
    control = Control(events.append)
    control.enter("download", expected=len(ARCHIVE))
    fetch(odoo, received, control)
    assert events[-1] == {
        "event": "progress", "stage": "download", "done": len(ARCHIVE), "total": len(ARCHIVE)
    }  # fmt: skip


def test_what_the_spool_says_is_not_taken_for_a_failure_of_the_server(odoo):
    def full(block):
        raise NoSpace("The disk is full.")

    with pytest.raises(NoSpace):
        open_source({"connection": "http", **odoo.settings()}, Control()).fetch(
            "tiny", "zip", True, full
        )


# --- cuts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", CUTS, ids=lambda how: how.__name__)
@pytest.mark.parametrize("size", [1, 5_000_000], ids=["small", "large"])
def test_a_cut_is_found_by_the_transfer_or_else_by_the_archive(odoo, tmp_path, how, size):
    """Measured: a killed prefork server gives status 200, half the bytes, and no exception."""
    odoo.how = how
    odoo.archive = fake_odoo.large_archive(size)
    received = bytearray()
    with pytest.raises(Truncated):
        fetch(odoo, received)
        (tmp_path / "archive").write_bytes(received)
        verify(tmp_path / "archive", "zip", 1)


@pytest.mark.parametrize("how", [fake_odoo.chunked_cut, fake_odoo.reset], ids=["chunks", "reset"])
def test_a_cut_that_can_be_seen_says_so(odoo, received, how):
    odoo.how = how
    with pytest.raises(Truncated, match="broke after") as raised:
        fetch(odoo, received)
    assert raised.value.retryable


def test_an_answer_without_a_byte_is_found_by_the_archive(odoo, tmp_path):
    odoo.how = lambda handler, content: with_length(handler, b"")
    received = bytearray()
    fetch(odoo, received)
    (tmp_path / "archive").write_bytes(received)
    with pytest.raises(BackupError):
        verify(tmp_path / "archive", "zip", 1)


# --- waits --------------------------------------------------------------------------------------


def test_a_server_that_stops_in_the_middle_is_given_up(odoo, received, monkeypatch):
    monkeypatch.setattr(http_module, "NEXT_BYTE_TIMEOUT", 0.2)
    odoo.how = fake_odoo.stalling
    with pytest.raises(SourceTimeout, match="sent nothing for") as raised:
        fetch(odoo, received)
    assert raised.value.retryable


def test_a_server_that_never_begins_is_given_up(odoo, received, monkeypatch):
    monkeypatch.setattr(http_module, "FIRST_BYTE_TIMEOUT", 0.2)
    odoo.answers["/web/database/backup"] = hold_the_first_byte
    with pytest.raises(SourceTimeout, match="did not answer in time"):
        fetch(odoo, received)


def test_a_first_byte_may_take_longer_than_the_next_ones(odoo, received, monkeypatch):
    monkeypatch.setattr(http_module, "NEXT_BYTE_TIMEOUT", 0.1)
    normal, bounds = fake_odoo.ROUTES["/web/database/backup"], []

    def slow(handler):
        time.sleep(0.3)
        normal(handler)

    # Told, and not kept: the bytes of a busy machine come with pauses.
    monkeypatch.setattr(
        http_client.Answer, "set_timeout", lambda answer, seconds: bounds.append(seconds)
    )
    odoo.answers["/web/database/backup"] = slow
    fetch(odoo, received)
    assert received == ARCHIVE
    assert bounds == [0.1]


@pytest.mark.parametrize("how", [None, fake_odoo.stalling, fake_odoo.trickling])
def test_cancelling_ends_every_wait_at_once(odoo, received, how):
    odoo.how = how
    if how is None:
        odoo.answers["/web/database/backup"] = hold_the_first_byte
    control = Control()
    when_reached(odoo, control.cancel)
    with pytest.raises(Cancelled):
        fetch(odoo, received, control)


@pytest.mark.parametrize("how", [None, fake_odoo.stalling, fake_odoo.trickling])
def test_the_time_limit_ends_every_wait(odoo, received, how):
    odoo.how = how
    if how is None:
        odoo.answers["/web/database/backup"] = hold_the_first_byte
    with pytest.raises(TimeLimit):
        fetch(odoo, received, Control(time_limit=0.3))
