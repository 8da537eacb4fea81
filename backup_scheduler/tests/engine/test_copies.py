"""Several destinations at once: each at its own speed, none at the cost of the others."""

import threading
import time

import pytest
from engine import copies as copies_module
from engine import destinations
from engine import throttle as throttle_module
from engine.destinations.local import LocalDestination
from engine.errors import Cancelled, DestinationFailed, InternalError, Truncated
from engine.throttle import Throttle
from fake_odoo import ARCHIVE, prefork_cut
from orders import backup_order, copy_order, left_in
from orders import run_here as run
from waiting import PATIENCE, Clock, beside, joined


class SlowDestination(LocalDestination):
    """One that does not go on at ``step`` before it is let."""

    def __init__(self, path, step="flush"):
        super().__init__(path)
        self.step = step

    def begin(self, path, owner, token, spool=None):
        if self.step == "begin":
            gate.wait(PATIENCE)
        upload = super().begin(path, owner, token)
        flush = upload.flush

        def slow_flush():
            if self.step == "flush":
                gate.wait(PATIENCE)
            flush()

        upload.flush = slow_flush
        return upload


gate = threading.Event()


@pytest.fixture(autouse=True)
def slow(monkeypatch):
    monkeypatch.setitem(destinations.KINDS.targets, "slow", f"{__name__}:SlowDestination")
    gate.clear()
    yield
    gate.set()


def order_with_slow(odoo, folder, **settings):
    place = copy_order(folder, "second", 2, kind="slow")
    place["settings"].update(settings)
    return backup_order(odoo, folder, ["first", place])


def test_an_archive_gets_its_name_while_a_slower_copy_is_still_on_its_way(odoo, folder):
    order, events, seen = order_with_slow(odoo, folder), [], []

    def look(_control, event):
        events.append(event)
        if event["event"] == "stored":
            seen.extend(left_in(folder))
            gate.set()

    result = run(order, look)
    (stored,) = (event for event in events if event["event"] == "stored")
    assert [copy["id"] for copy in stored["copies"]] == [1]
    assert any(name.startswith("first/") and name.endswith(".zip") for name in seen)
    assert not [name for name in seen if name.startswith("second/") and name.endswith(".zip")]
    assert [copy["stored"] for copy in result["copies"]] == [True, True]


def test_the_right_to_publish_is_asked_for_each_time(odoo, folder):
    asked = []

    def permit(timeout):
        asked.append(time.monotonic())
        gate.set()
        return asked[-1]

    run(order_with_slow(odoo, folder), permission=permit)
    assert len(asked) == 2


def test_a_run_that_is_cancelled_meanwhile_keeps_what_has_its_name(odoo, folder):
    def cancel(control, event):
        if event["event"] == "stored":
            control.cancel()
            gate.set()

    with pytest.raises(Cancelled):
        run(order_with_slow(odoo, folder), cancel)
    left = left_in(folder)
    assert len([name for name in left if name.endswith(".zip")]) == 1
    assert all(name.startswith("first/") for name in left)


def test_a_place_that_does_not_answer_does_not_keep_the_server_waiting(odoo, folder):
    began = []

    def look(_control, event):
        if event.get("stage") == "download" and not began:
            began.append(gate.is_set())
            gate.set()

    result = run(order_with_slow(odoo, folder, step="begin"), look)
    assert began == [False]
    assert [copy["stored"] for copy in result["copies"]] == [True, True]


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(throttle_module, "time", clock)
    return clock


def limited(rate, clock):
    throttle = Throttle(rate)
    # Waiting is all that takes time here.
    throttle._lifted = clock
    return throttle


def test_bytes_pass_at_the_rate_that_was_set(clock):
    throttle, began = limited(1_000_000, clock), clock.now
    for _block in range(6):
        throttle.passed(300_000)
    assert clock.now - began == pytest.approx(1.8)


def test_what_was_not_used_is_made_up_for_within_bounds(clock):
    throttle = limited(1_000_000, clock)
    clock.now += 3600
    began = clock.now
    for _block in range(6):
        throttle.passed(300_000)
    assert clock.now - began == pytest.approx(1.8 - throttle_module.CREDIT)


def test_without_a_limit_nothing_waits(clock):
    throttle, began = limited(0, clock), clock.now
    for _block in range(1000):
        throttle.passed(1 << 30)
    assert clock.now == began


class Awaited(threading.Event):
    """An event that tells when somebody waits for it."""

    def __init__(self):
        super().__init__()
        self.waiting = threading.Event()

    def wait(self, timeout=None):
        self.waiting.set()
        return super().wait(timeout)


def test_a_limit_that_is_lifted_lets_go_of_whoever_waits():
    throttle = Throttle(1)
    throttle._lifted = Awaited()
    waiting = beside(throttle.passed, 1 << 20)
    assert throttle._lifted.waiting.wait(PATIENCE)
    assert waiting.is_alive()
    throttle.lift()
    assert not joined(waiting).is_alive()


def test_a_limit_may_be_lifted_at_any_moment(clock, monkeypatch):
    """As it is by the thread that cancels the run, while the uploading one computes its wait."""
    throttle, began = Throttle(1), clock.now
    now = clock.monotonic

    def lift_meanwhile():
        throttle.lift()
        return now()

    monkeypatch.setattr(clock, "monotonic", lift_meanwhile)
    throttle.passed(1 << 20)
    assert clock.now == began


def test_an_upload_with_a_limit_holds_up_neither_the_server_nor_the_end_of_a_cancelled_run(
    odoo, folder, monkeypatch
):
    monkeypatch.setattr(copies_module, "STOP_TIMEOUT", PATIENCE)
    really_abort, ended = copies_module.Copy._abort, []

    def abort(copy):
        ended.append(copy.is_through())
        really_abort(copy)

    monkeypatch.setattr(copies_module.Copy, "_abort", abort)
    place = copy_order(folder, "second", 2, bytes_per_second=len(ARCHIVE) // 1000 or 1)
    order = backup_order(odoo, folder, ["first", place])

    def cancel(control, event):
        if event["event"] == "stored":
            control.cancel()

    with pytest.raises(Cancelled):
        run(order, cancel)
    assert ended == [True, True], "the limit was lifted: no upload was ended under its follower"
    assert not [name for name in left_in(folder) if name.startswith("second/")]


class GoneDestination(LocalDestination):
    """One that breaks down at ``step``, and is away when it comes to tidying up."""

    def __init__(self, path, step="write"):
        super().__init__(path)
        self.step = step

    def begin(self, path, owner, token, spool=None):
        if self.step == "connect":
            raise DestinationFailed("It is away.")
        upload = super().begin(path, owner, token)
        if self.step == "begin":
            error = DestinationFailed("It went away before it answered.")
            error.in_order = False
            raise error
        setattr(upload, self.step, gone)
        if self.step != "commit":
            upload.abort = gone
        return upload


def gone(*_arguments):
    raise DestinationFailed("It went away.")


@pytest.mark.parametrize(
    ("step", "remains"),
    [("connect", False), ("begin", True), ("write", True), ("flush", True), ("commit", True)],
)
def test_a_failure_tells_whether_something_of_the_archive_may_be_left(
    odoo, folder, monkeypatch, step, remains
):
    monkeypatch.setitem(destinations.KINDS.targets, "gone", f"{__name__}:GoneDestination")
    place = copy_order(folder, "first", kind="gone")
    place["settings"]["step"] = step
    with pytest.raises(DestinationFailed) as failed:
        run(backup_order(odoo, folder, [place]))
    named = [{"id": 1, "path": place["archive_path"]}] if remains else None
    assert failed.value.as_dict().get("remains") == named


def test_a_run_that_fails_at_its_server_tells_what_a_destination_kept(odoo, folder, monkeypatch):
    monkeypatch.setitem(destinations.KINDS.targets, "gone", f"{__name__}:GoneDestination")
    odoo.how = prefork_cut
    place = copy_order(folder, "first", kind="gone")
    place["settings"]["step"] = "flush"
    with pytest.raises(Truncated) as failed:
        run(backup_order(odoo, folder, [place]))
    assert failed.value.as_dict()["remains"] == [{"id": 1, "path": place["archive_path"]}]


def test_a_defect_tells_of_it_too(odoo, folder, monkeypatch):
    """Whatever breaks, in the run or in the abort: what was not seen to be removed is named."""

    class Broken(GoneDestination):
        def begin(self, *arguments):
            upload = LocalDestination.begin(self, *arguments)
            upload.abort = lambda: {}["no such key"]
            return upload

    def break_down(_control, event):
        if event.get("stage") == "verify":
            raise ValueError("a defect")

    monkeypatch.setitem(destinations.KINDS.targets, "broken", f"{__name__}:Broken")
    monkeypatch.setitem(globals(), "Broken", Broken)
    place = copy_order(folder, "first", kind="broken")
    with pytest.raises(InternalError, match="ValueError: a defect") as failed:
        run(backup_order(odoo, folder, [place]), break_down)
    assert failed.value.as_dict()["remains"] == [{"id": 1, "path": place["archive_path"]}]


def test_a_failure_tells_of_each_copy_whether_something_may_be_left(odoo, folder, monkeypatch):
    monkeypatch.setitem(destinations.KINDS.targets, "gone", f"{__name__}:GoneDestination")
    odoo.how = prefork_cut
    second = copy_order(folder, "second", 2, kind="gone")
    second["settings"]["step"] = "flush"
    with pytest.raises(Truncated) as failed:
        run(backup_order(odoo, folder, ["first", second]))
    assert failed.value.as_dict()["remains"] == [{"id": 2, "path": second["archive_path"]}]
