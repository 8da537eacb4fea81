"""One run, start to end, in this process: what comes to rest, and what is left when it does not."""

import hashlib
import json
import threading

import fake_odoo
import pytest
from engine import copies as copies_module
from engine import destinations as destinations_module
from engine.catalogue import is_signed, parsed
from engine.control import Control, moment
from engine.destinations.local import LocalDestination, LocalUpload
from engine.errors import (
    ArchiveTooLarge,
    BackupError,
    Cancelled,
    DestinationFailed,
    NoSpace,
    WorkerLost,
)
from fake_odoo import ARCHIVE
from orders import PATH, RUN, backup_order, copy_order, discard_order, left_in
from orders import run_here as run
from waiting import PATIENCE, beside

DAMAGED = ARCHIVE[:60] + b"\xff\xff" + ARCHIVE[62:]
STAGES = ("connect", "download", "verify", "store", "publish")


class BrokenDestination(LocalDestination):
    """A destination that fails at one step, as a disk or a network does."""

    def __init__(self, path, step, defect=False):
        super().__init__(path)
        self.step = step
        self.error = RuntimeError("a defect") if defect else DestinationFailed("It is broken.")

    def check_space(self, needed):
        if self.step == "check_space":
            raise NoSpace("It is full.")

    def begin(self, path, owner, token, spool=None):
        if self.step == "begin":
            raise self.error
        spooled = spool.path if spool else None
        upload = BrokenUpload(self.path, self._locate(path), owner, token, spooled)
        upload.step, upload.error = self.step, self.error
        return upload


class BrokenUpload(LocalUpload):
    def __init__(self, *arguments):
        self._ended = threading.Event()
        super().__init__(*arguments)

    def write(self, block):
        if self.step == "hang":
            self._ended.wait(PATIENCE)
            raise DestinationFailed("It was ended.")
        self._break_at("write")
        super().write(block)

    def flush(self):
        self._break_at("flush")
        super().flush()

    def commit(self, catalogue):
        self._break_at("commit")
        super().commit(catalogue)

    def abort(self):
        self._ended.set()
        super().abort()
        self._break_at("abort")

    def _break_at(self, step):
        if self.step == step:
            raise self.error


@pytest.fixture(autouse=True)
def broken_kind(monkeypatch):
    target = f"{__name__}:BrokenDestination"
    monkeypatch.setitem(destinations_module.KINDS.targets, "broken", target)


def broken(folder, name, number, step, **more):
    settings = {"path": f"{folder}/{name}", "step": step, **more}
    return copy_order(folder, name, number, kind="broken", settings=settings)


# --- at rest ------------------------------------------------------------------------------------


def test_a_backup_is_at_rest_in_each_destination_with_its_catalogue(odoo, folder):
    result = run(backup_order(odoo, folder, ("first", "second")))
    digest = hashlib.sha256(ARCHIVE).hexdigest()
    assert (result["size"], result["sha256"]) == (len(ARCHIVE), digest)
    assert result["report"]["level"] == 2
    at_rest = {"size": len(ARCHIVE), "sha256": digest, "encryption": ""}
    assert result["copies"] == [
        {"id": number, "path": PATH, "stored": True, **at_rest} for number in (1, 2)
    ]
    for name in ("first", "second"):
        with open(f"{folder}/{name}/{PATH}", "rb") as archive:
            assert archive.read() == ARCHIVE
        with open(f"{folder}/{name}/{PATH}.json", "rb") as file:
            catalogue = json.load(file)
        assert catalogue["run"] == RUN
        assert catalogue["sha256"] == digest
        assert catalogue["size"] == len(ARCHIVE)
        assert catalogue["stored_at"].endswith("+00:00")
    assert len(left_in(folder)) == 4


def test_catalogues_are_signed_with_the_key_of_the_order(odoo, folder):
    order = backup_order(odoo, folder, ("first", "second"))
    run({**order, "signature": {"secrets": ["key"], "settings": {"key": "the key"}}})
    for name in ("first", "second"):
        with open(f"{folder}/{name}/{PATH}.json", "rb") as file:
            content = file.read()
        assert is_signed(parsed(content), ["the key"])
        assert b"the key" not in content


def test_the_stages_are_told_in_their_order(odoo, folder):
    events = []
    run(backup_order(odoo, folder), lambda control, event: events.append(event))
    assert [event["stage"] for event in events if event["event"] == "stage"] == list(STAGES)
    names = [event["event"] for event in events]
    assert names.index("source") < names.index("ready")


def test_the_right_to_publish_is_asked_for_last(odoo, folder):
    def permission(timeout):
        assert [name for name in left_in(folder) if not name.endswith((".part", ".spool"))] == []
        return moment()

    run(backup_order(odoo, folder), permission=permission)
    assert len(left_in(folder)) == 2


# --- broken destinations ------------------------------------------------------------------------


@pytest.mark.parametrize("defect", [False, True], ids=["failure", "defect"])
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
@pytest.mark.parametrize("step", ["check_space", "begin", "write", "flush", "commit"])
def test_a_broken_destination_costs_the_other_nothing(odoo, folder, step, first, defect):
    good, bad = copy_order(folder, "good", 1), broken(folder, "bad", 2, step, defect=defect)
    order = backup_order(odoo, folder, destinations=[bad, good] if first else [good, bad])
    copies = {copy["id"]: copy for copy in run(order)["copies"]}
    assert copies[1]["stored"] is True
    assert copies[2]["stored"] is False
    assert copies[2]["error_code"] in ("destination_failed", "no_space")
    assert copies[2]["retryable"] is True
    assert left_in(folder) == [f"good/{PATH}", f"good/{PATH}.json"]


@pytest.mark.parametrize("step", ["check_space", "begin", "write", "flush", "commit"])
def test_without_any_good_destination_the_run_fails_and_leaves_nothing(odoo, folder, step):
    order = backup_order(odoo, folder)
    order["destinations"] = [broken(folder, "a", 1, step), broken(folder, "b", 2, step)]
    with pytest.raises(BackupError, match="It is"):
        run(order)
    assert left_in(folder) == []


@pytest.mark.parametrize("destinations", ["unusable", "none"])
def test_where_nothing_can_be_kept_the_server_is_not_asked_for_a_dump(odoo, folder, destinations):
    order = backup_order(odoo, folder, destinations=())
    if destinations == "unusable":
        order["destinations"] = [broken(folder, "a", 1, "begin")]
    with pytest.raises(DestinationFailed):
        run(order)
    assert odoo.backup_forms() == []
    assert left_in(folder) == []


def test_when_the_last_destination_breaks_the_transfer_ends_at_once(odoo, folder):
    order = backup_order(odoo, folder)
    order["destinations"] = [broken(folder, "a", 1, "write")]
    odoo.how = endless
    with pytest.raises(DestinationFailed):
        run(order)
    assert left_in(folder) == []


def endless(handler, content):
    fake_odoo.announce(handler)
    while not handler.server.odoo.released.is_set():
        handler.wfile.write(bytes(1 << 20))


def test_what_cannot_be_cleaned_up_does_not_change_what_became_of_the_run(odoo, folder):
    """A mount that turned read-only: the archive is at rest, and the part cannot be removed."""
    order = backup_order(odoo, folder)
    order["destinations"] = [broken(folder, "a", 1, "abort")]
    assert run(order)["copies"][0]["stored"] is True
    odoo.how = fake_odoo.prefork_cut
    with pytest.raises(BackupError) as raised:
        run({**order, "token": "run-1-2"})
    assert raised.value.code == "truncated"


def test_an_unknown_kind_of_destination_is_a_failure_of_that_copy(odoo, folder):
    bad = copy_order(folder, "bad", 2, kind="tape")
    result = run(backup_order(odoo, folder, destinations=[copy_order(folder, "good"), bad]))
    assert [copy["stored"] for copy in result["copies"]] == [True, False]


# --- stopped ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_is_cancelled_at_any_stage_leaves_nothing(odoo, folder, stage):
    def cancel(control, event):
        if event.get("stage") == stage:
            control.cancel()

    order = backup_order(odoo, folder, ("first", "second"))
    with pytest.raises(Cancelled):
        run(order, cancel, permission=lambda timeout: moment())
    assert left_in(folder) == []


@pytest.mark.parametrize("answer", [None, -3600], ids=["refused", "too old"])
def test_without_a_permission_that_is_fresh_nothing_is_published(odoo, folder, answer):
    def permission(timeout):
        return answer and moment() + answer

    with pytest.raises(WorkerLost):
        run(backup_order(odoo, folder, ("first", "second")), permission=permission)
    assert left_in(folder) == []


def test_a_permission_that_runs_out_between_two_copies_does_not_hide_the_first(
    odoo, folder, monkeypatch
):
    """The first archive has its name: the result must say so, or nobody would ever remove it."""
    good = Control.check_permission
    asked = []

    def check_permission(control):
        asked.append(True)
        if len(asked) > 1:
            raise WorkerLost("held up")
        good(control)

    monkeypatch.setattr(Control, "check_permission", check_permission)
    result = run(backup_order(odoo, folder, ("first", "second")))
    assert [copy["stored"] for copy in result["copies"]] == [True, False]
    assert left_in(folder) == [f"first/{PATH}", f"first/{PATH}.json"]


def test_a_run_that_waits_for_a_slow_destination_can_be_cancelled(odoo, folder, monkeypatch):
    monkeypatch.setattr(copies_module, "STOP_TIMEOUT", 0)
    order = backup_order(odoo, folder)
    order["destinations"] = [broken(folder, "slow", 1, "hang")]

    def cancel(control, event):
        if event.get("stage") == "store":
            beside(control.cancel)

    with pytest.raises(Cancelled):
        run(order, cancel)
    assert left_in(folder) == []


# --- bad archives -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("archive", "code"),
    [
        (ARCHIVE[:-30], "truncated"),
        (b"", "truncated"),
        (b"<html>not an archive</html>" * 10, "not_an_archive"),
        (DAMAGED, "damaged"),
    ],
    ids=["cut", "empty", "a page", "damaged"],
)
def test_an_archive_that_is_not_good_is_not_published(odoo, folder, archive, code):
    odoo.archive = archive
    with pytest.raises(BackupError) as raised:
        run(backup_order(odoo, folder, ("first", "second")))
    assert raised.value.code == code
    assert left_in(folder) == []


def test_the_archive_of_another_database_is_not_published(odoo, folder):
    odoo.databases = ["other"]
    with pytest.raises(BackupError) as raised:
        run(backup_order(odoo, folder, database="other"))
    assert raised.value.code == "inconsistent"
    assert left_in(folder) == []


# --- before anything begins ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("databases", "code"), [((), "databases_unavailable"), (("shop",), "unknown_database")]
)
def test_a_database_that_is_not_there_is_told_before_anything_is_asked(
    odoo, folder, databases, code
):
    odoo.databases = list(databases)
    with pytest.raises(BackupError) as raised:
        run(backup_order(odoo, folder))
    assert raised.value.code == code
    assert odoo.backup_forms() == []
    assert left_in(folder) == []


def test_a_backup_that_would_not_fit_is_refused_before_the_server_dumps(odoo, folder):
    with pytest.raises(NoSpace):
        run(backup_order(odoo, folder, expected_size=10**18))
    assert odoo.backup_forms() == []
    assert left_in(folder) == []


def test_discovering_tells_version_and_databases(odoo):
    odoo.databases = ["b", "a"]
    order = {"action": "discover", "source": {"connection": "http", **odoo.settings()}}
    assert run(order) == {"version": "19.0", "databases": ["a", "b"], "confirmed": True}
    odoo.databases = ["b\nBcc: x", "a\u202e"]
    assert run(order)["databases"] == ["a\ufffd", "b\ufffdBcc: x"]


# --- afterwards ---------------------------------------------------------------------------------


def test_discarding_removes_what_is_ours_and_nothing_else(odoo, folder):
    order = backup_order(odoo, folder, ("first", "second"))
    run(order)
    result = run(discard_order(order, owner="uuid/2"))
    assert [copy["ok"] for copy in result["copies"]] == [False, False]
    assert len(left_in(folder)) == 4
    result = run(discard_order(order))
    assert result == {"copies": [{"id": 1, "ok": True}, {"id": 2, "ok": True}]}
    assert left_in(folder) == []
    assert run(discard_order(order)) == result


def test_a_server_that_sends_without_end_is_cut_off_and_nothing_is_left(odoo, folder):
    sent = []

    def endless(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "application/octet-stream")
        handler.end_headers()
        handler.close_connection = True
        block = bytes(1 << 20)
        while len(sent) < 10_000:
            handler.wfile.write(block)
            sent.append(len(block))

    odoo.answers["/web/database/backup"] = endless
    with pytest.raises(ArchiveTooLarge):
        run(backup_order(odoo, folder, size_limit=5 << 20))
    assert left_in(folder) == []
    # What the kernel holds between the two comes on top.
    assert sum(sent) < 64 << 20
