"""What an engine process may use at most, and how it ends when it heeds nothing."""

import subprocess
import sys

import engine_process
import places
import pytest
from orders import backup_order, carry_out, engine
from test_engine_process import is_running, other_program
from waiting import PATIENCE


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "here")


STUCK = """
import re, sys
sys.stdin.readline()
print('{"event": "stage", "stage": "connect"}', flush=True)
re.match("(a+)+$", "a" * 64 + "b")
"""


@pytest.mark.parametrize("reason", ["cancelled", "time_limit"])
def test_a_process_that_heeds_nothing_is_killed_after_its_grace(monkeypatch, tmp_path, reason):
    """Code that holds the interpreter's lock for ever: no other thread gets to run."""
    other_program(monkeypatch, tmp_path, STUCK)
    monkeypatch.setattr(engine_process, "END_LIMIT", 0.2)
    limit = 0.1 if reason == "time_limit" else PATIENCE * 10
    with engine({"action": "none", "time_limit": limit}) as running:
        if reason == "cancelled":
            running.until("stage")
            running.process.cancel()
            running.process.cancel()
        lost = running.last()
        assert (lost["event"], lost["killed"], lost["exit_code"]) == ("lost", reason, -9)
        assert not is_running(running.pid)


def test_an_engine_that_ends_by_itself_is_not_killed(odoo, folder):
    with engine(backup_order(odoo, folder)) as running:
        assert running.last()["event"] == "done"
        running.process._reader.join(PATIENCE)
        timers = running.process._timers.values()
        assert timers
        assert all(timer.finished.is_set() for timer in timers)


def test_a_process_whose_owner_is_gone_ends_although_it_is_stuck(tmp_path):
    code = (
        "import re, sys; sys.path[:0] = [sys.argv[1]]\n"
        "from engine.limits import end_when_stuck\n"
        "end_when_stuck(0.5)\n"
        're.match("(a+)+$", "a" * 64 + "b")'
    )
    command = [sys.executable, "-c", code, places.ADDON]
    ended = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 1
    assert b"Timeout" in ended.stderr


def test_a_task_that_needs_too_much_memory_fails_by_an_error_with_a_name(
    odoo, folder, monkeypatch, tmp_path
):
    other_program(
        monkeypatch,
        tmp_path,
        f"import sys; sys.path[:0] = [{places.ADDON!r}]\n"
        "from engine import limits, transfer\n"
        "import engine.__main__ as main\n"
        "transfer.ACTIONS['hoard'] = lambda order, control: {'all': 'x' * (1 << 30)}\n"
        "limits.limit_memory(256 << 20)\n"
        "sys.exit(main.Process(sys.stdin, sys.stdout).run())",
    )
    failed = carry_out({"action": "hoard"})
    assert (failed["event"], failed["error_code"]) == ("failed", "memory_limit")
    assert not failed["retryable"]


def test_an_engine_has_limits_of_its_own_and_not_those_of_requests(monkeypatch, tmp_path):
    program = (
        f"import json, resource, sys; sys.path[:0] = [{places.ADDON!r}]\n"
        "from engine.limits import MEMORY_LIMIT, limit_memory\n"
        "hard = resource.getrlimit(resource.RLIMIT_AS)[1]\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, hard))\n"
        "most = resource.getrlimit(resource.RLIMIT_CPU)[1]\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (100, most))\n"
        "limit_memory()\n"
        "soft = [resource.getrlimit(n)[0] for n in (resource.RLIMIT_AS, resource.RLIMIT_CPU)]\n"
        "assert soft == [hard, most], soft\n"
        "assert resource.getrlimit(resource.RLIMIT_DATA)[0] == MEMORY_LIMIT\n"
    )
    subprocess.run([sys.executable, "-c", program], timeout=PATIENCE, check=True)
