"""Being stopped, and the permission to publish."""

import threading

import pytest
from engine import control as control_module
from engine.control import Control
from engine.errors import Cancelled, TimeLimit, WorkerLost
from waiting import PATIENCE, Clock, beside


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(control_module, "time", clock)
    return clock


def test_cancelling_from_another_thread_ends_a_blocked_wait():
    control, wait = Control(), threading.Event()
    with control.interrupted_by(wait.set):
        beside(control.cancel)
        assert wait.wait(PATIENCE)
    with pytest.raises(Cancelled):
        control.check()


def test_a_wait_that_begins_after_the_cancelling_is_not_begun():
    control = Control()
    control.cancel()
    with pytest.raises(Cancelled), control.interrupted_by(lambda: None):
        pytest.fail("the wait was entered")


def test_what_waits_no_more_is_not_interrupted():
    control, interrupted = Control(), []
    with control.interrupted_by(lambda: interrupted.append(True)):
        pass
    control.cancel()
    assert not interrupted


def test_the_first_reason_to_stop_stays():
    control = Control()
    control.cancel(TimeLimit("first"))
    control.cancel(Cancelled("second"))
    with pytest.raises(TimeLimit, match="first"):
        control.check()


def test_a_run_stops_at_its_time_limit(clock):
    control = Control(time_limit=5)
    clock.now += 5
    control.check()
    clock.now += 0.1
    with pytest.raises(TimeLimit):
        control.progress(1)


def test_the_time_limit_ends_a_wait_that_never_looks_at_the_clock(clock):
    control, wait = Control(time_limit=0.05), threading.Event()
    with control.interrupted_by(wait.set):
        assert wait.wait(PATIENCE)
    with pytest.raises(TimeLimit):
        control.check()


def test_a_wait_is_bounded_by_the_time_that_is_left(clock):
    unlimited, limited = Control(), Control(time_limit=10)
    clock.now += 3
    assert unlimited.remaining(60) == 60
    assert limited.remaining(60) == 7
    assert limited.remaining(5) == 5


def test_progress_is_told_now_and_then_with_the_size_that_is_expected(clock):
    events = []
    control = Control(events.append)
    control.enter("download", expected=100)
    for done in range(50):
        control.progress(done)
    clock.now += control_module.PROGRESS_INTERVAL
    control.progress(50)
    assert events == [
        {"event": "stage", "stage": "download"},
        {"event": "progress", "stage": "download", "done": 0, "total": 100},
        {"event": "progress", "stage": "download", "done": 50, "total": 100},
    ]


def test_the_owner_is_told_what_it_is_asked_for(clock):
    events = []
    Control(events.append, permission=lambda timeout: clock.now).ask_permission(size=7)
    assert events == [{"event": "ready", "size": 7}]


def test_a_permission_is_good_for_a_while(clock):
    control = Control(permission=lambda timeout: clock.now)
    control.ask_permission()
    clock.now += control_module.PERMISSION_LASTS
    control.check_permission()


def test_a_permission_that_was_refused_ends_the_run_in_a_way_that_is_tried_again():
    control = Control(permission=lambda timeout: None)
    with pytest.raises(WorkerLost) as raised:
        control.ask_permission()
    assert raised.value.retryable


def test_without_having_asked_there_is_no_permission(clock):
    with pytest.raises(WorkerLost):
        Control(permission=lambda timeout: clock.now).check_permission()


def test_a_permission_grows_old(clock):
    control = Control(permission=lambda timeout: clock.now)
    control.ask_permission()
    clock.now += control_module.PERMISSION_LASTS + 0.1
    with pytest.raises(WorkerLost):
        control.check_permission()


def test_a_permission_does_not_outlive_the_sleep_of_the_machine(clock, monkeypatch):
    control = Control(permission=lambda timeout: control_module.moment())
    control.ask_permission()
    # Nothing of it is seen by the monotonic clock.
    monkeypatch.setattr(clock, "clock_gettime", lambda which: clock.now + 3600)
    with pytest.raises(WorkerLost):
        control.check_permission()


def test_the_age_of_a_permission_counts_from_when_it_was_given_and_not_received(clock):
    """A process that is stopped (SIGSTOP) finds an old word of its owner in the pipe."""
    control = Control(permission=lambda timeout: clock.now - 3600)
    control.ask_permission()
    with pytest.raises(WorkerLost):
        control.check_permission()


def test_a_run_that_is_cancelled_while_it_asks_says_cancelled():
    control = Control(permission=lambda timeout: control.cancel())
    with pytest.raises(Cancelled):
        control.ask_permission()


def test_nobody_needs_to_be_asked_when_there_is_no_owner():
    control = Control()
    control.ask_permission()
    control.check_permission()
