"""The engine as a process: told, stopped, killed, orphaned, and what is left afterwards."""

import html
import json
import os
import signal
import subprocess
import sys
import urllib.parse
from pathlib import Path

import engine_process
import fake_odoo
import places
import pytest
from engine.control import moment
from fake_odoo import PASSWORD
from orders import (
    PATH,
    backup_order,
    carry_out,
    copy_order,
    discard_order,
    engine,
    left_in,
)
from waiting import PATIENCE, until

PARENT = """
import json, sys
from engine_process import EngineProcess
process = EngineProcess(json.loads(sys.argv[1]), lambda event: None)
print(process.pid, flush=True)
sys.stdin.read()
"""
HANGING = """
import os, sys, time
sys.path[:0] = [{addon!r}]
from engine import copies, transfer
from engine.destinations import local
import engine.__main__ as main
class Upload(local.LocalUpload):
    def _linked_to(self, spool_path, folder):
        return False
    def write(self, block):
        open({reached!r}, "w").close()
        time.sleep(600)
local.LocalUpload = Upload
main.CLEANUP_LIMIT = 0.3
copies.STOP_TIMEOUT = 600
sys.exit(main.Process(sys.stdin, sys.stdout).run())
"""
AT_REST = [f"first/{PATH}", f"first/{PATH}.json"]


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "here")


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def hold_the_first_byte(handler):
    handler.server.odoo.hold(handler)


def hold_at(odoo, where):
    """Let the server wait at a point of the conversation."""
    if where == "half-way":
        odoo.how = fake_odoo.stalling
        odoo.archive = fake_odoo.large_archive(3_000_000)
    else:
        odoo.answers[where] = hold_the_first_byte


HELD = pytest.mark.parametrize(
    "where", ["/web/webclient/version_info", "/web/database/backup", "half-way"]
)


# --- told ---------------------------------------------------------------------------------------


def test_a_backup_is_carried_out_by_a_process_of_its_own(odoo, folder):
    with engine(backup_order(odoo, folder)) as running:
        done = running.last()
        assert running.process._process.wait(PATIENCE) == 0
    assert done["event"] == "done"
    at_rest = {"size": done["size"], "sha256": done["sha256"], "encryption": ""}
    assert done["copies"] == [{"id": 1, "path": PATH, "stored": True, **at_rest}]
    assert left_in(folder) == AT_REST
    assert running.pid != os.getpid()


def test_one_bad_destination_of_two_is_told_by_its_own_error(odoo, folder):
    os.makedirs(folder)
    Path(folder, "file").write_bytes(b"")
    bad = copy_order(folder, "file/below", 2)
    done = carry_out(backup_order(odoo, folder, destinations=[copy_order(folder, "first"), bad]))
    assert done["event"] == "done"
    assert [copy["stored"] for copy in done["copies"]] == [True, False]
    assert "Not a directory" in done["copies"][1]["error"]
    assert left_in(folder) == ["file", *AT_REST]


def test_no_good_destination_at_all_is_a_failure(odoo, folder):
    os.makedirs(folder)
    Path(folder, "file").write_bytes(b"")
    failed = carry_out(backup_order(odoo, folder, ("file/a", "file/b")))
    assert (failed["event"], failed["error_code"]) == ("failed", "destination_failed")
    assert odoo.backup_forms() == []
    assert left_in(folder) == ["file"]


def test_a_failure_carries_all_that_a_run_records(odoo, folder):
    odoo.how = fake_odoo.prefork_cut
    failed = carry_out(backup_order(odoo, folder))
    assert (failed["error_code"], failed["retryable"]) == ("truncated", True)
    assert failed["hint"]
    assert "Truncated" in failed["traceback"]
    assert left_in(folder) == []


def test_a_defect_is_told_too(odoo, folder):
    failed = carry_out(backup_order(odoo, folder, archive_format="rar"))
    assert failed["error_code"] == "internal"
    assert "Traceback" in failed["traceback"]
    assert left_in(folder) == []


@pytest.mark.parametrize("separator", ["", "\n"])
def test_what_an_exception_quotes_is_bounded(odoo, folder, separator):
    quoted = f"{separator}x" * 100_000
    failed = carry_out({"action": f"backup {quoted}", "spool": folder})
    assert failed["error_code"] == "internal"
    assert len(failed["error"]) <= 4000
    assert len(failed["traceback"]) < 21_000
    assert "Error" in failed["traceback"]


def test_nothing_is_published_before_the_owner_says_so(odoo, folder):
    with engine(backup_order(odoo, folder)) as running:
        running.until("ready")
        assert not set(AT_REST) & set(left_in(folder))
        running.process.publish()
        assert running.last()["event"] == "done"
    assert left_in(folder) == AT_REST


def test_a_refusal_to_publish_leaves_nothing(odoo, folder):
    with engine(backup_order(odoo, folder)) as running:
        running.until("ready")
        running.process.cancel()
        assert running.last()["error_code"] == "cancelled"
    assert left_in(folder) == []


def test_a_word_that_was_given_long_ago_is_not_acted_on(odoo, folder):
    """The process was stopped while the word lay in its pipe."""
    with engine(backup_order(odoo, folder)) as running:
        running.until("ready")
        running.process._send({"command": "publish", "at": moment() - 60})
        failed = running.last(publish=False)
    assert (failed["error_code"], failed["retryable"]) == ("worker_lost", True)
    assert left_in(folder) == []


# --- stopped ------------------------------------------------------------------------------------


@HELD
@pytest.mark.parametrize("how", ["cancel", signal.SIGTERM, signal.SIGINT], ids=str)
def test_a_run_is_stopped_at_once_wherever_it_waits(odoo, folder, where, how):
    hold_at(odoo, where)
    with engine(backup_order(odoo, folder, ("first", "second"))) as running:
        assert odoo.reached.wait(PATIENCE)
        if how == "cancel":
            running.process.cancel()
        else:
            os.kill(running.pid, how)
        assert running.last()["error_code"] == "cancelled"
    assert left_in(folder) == []


@HELD
def test_an_engine_that_is_let_go_of_ends_and_cleans_up(odoo, folder, where):
    hold_at(odoo, where)
    with engine(backup_order(odoo, folder)) as running:
        assert odoo.reached.wait(PATIENCE)
        running.process.abandon()
        assert running.last()["error_code"] == "cancelled"
    assert left_in(folder) == []


@HELD
def test_an_engine_whose_parent_was_killed_ends_and_cleans_up(odoo, folder, where):
    hold_at(odoo, where)
    order = json.dumps(backup_order(odoo, folder))
    command = [sys.executable, "-c", PARENT, order]
    environment = {**os.environ, "PYTHONPATH": places.ADDON}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        pid = int(parent.stdout.readline())
        assert odoo.reached.wait(PATIENCE)
        assert is_running(pid)
        parent.kill()
        parent.wait()
        until(lambda: not is_running(pid))
    assert left_in(folder) == []


def test_a_time_limit_stops_the_run(odoo, folder):
    hold_at(odoo, "half-way")
    failed = carry_out(backup_order(odoo, folder, time_limit=0.5))
    assert failed["error_code"] == "time_limit"
    assert left_in(folder) == []


def test_cleaning_up_that_hangs_is_left_after_a_while(odoo, folder, tmp_path, monkeypatch):
    """A write to a network mount whose server is gone returns never."""
    script, reached = tmp_path / "hanging.py", tmp_path / "reached"
    script.write_text(HANGING.format(addon=places.ADDON, reached=str(reached)))
    monkeypatch.setattr(engine_process, "ENGINE", str(script))
    odoo.archive = fake_odoo.large_archive(3_000_000)
    order = backup_order(odoo, folder)
    with engine(order) as running:
        until(reached.exists)
        running.process.cancel()
        assert running.last()["event"] == "lost"
    assert len(left_in(folder)) == 2
    monkeypatch.undo()
    assert carry_out(discard_order(order))["copies"] == [{"id": 1, "ok": True}]
    assert left_in(folder) == []


# --- killed -------------------------------------------------------------------------------------


@pytest.fixture
def killed(odoo, folder):
    """The order of an attempt that was killed half-way, its remains where they were."""
    hold_at(odoo, "half-way")
    order = backup_order(odoo, folder, ("first", "second"))
    with engine(order) as running:
        running.until("progress")
        assert odoo.reached.wait(PATIENCE)
        # The second destination need not have begun when the first bytes come.
        until(lambda: len(left_in(folder)) == 3)
        os.kill(running.pid, signal.SIGKILL)
        lost = running.last()
    assert (lost["event"], lost["exit_code"]) == ("lost", -signal.SIGKILL)
    assert len(left_in(folder)) == 3
    assert not set(AT_REST) & set(left_in(folder))
    odoo.how = fake_odoo.chunked
    return order


def test_what_a_killed_attempt_left_goes_with_the_next_one(odoo, folder, killed):
    odoo.archive = fake_odoo.ARCHIVE
    assert carry_out({**killed, "token": "run-1-2"})["event"] == "done"
    assert left_in(folder) == [*AT_REST, *(name.replace("first", "second") for name in AT_REST)]


def test_what_a_killed_attempt_left_is_discarded(folder, killed):
    assert carry_out(discard_order(killed))["event"] == "done"
    assert left_in(folder) == []


def test_an_archive_that_was_published_by_an_attempt_that_was_lost_is_replaced(odoo, folder):
    order = backup_order(odoo, folder)
    assert carry_out(order)["event"] == "done"
    odoo.archive = fake_odoo.large_archive(1000)
    done = carry_out({**order, "token": "run-1-2"})
    assert done["event"] == "done"
    assert Path(folder, AT_REST[0]).read_bytes() == odoo.archive
    assert json.loads(Path(folder, AT_REST[1]).read_text())["sha256"] == done["sha256"]


# --- secrets ------------------------------------------------------------------------------------

SECRET = "p&ss <wörd/'\"\\ x"
PASSWORDS = pytest.mark.parametrize("password", [PASSWORD, SECRET], ids=["plain", "odd"])


@PASSWORDS
def test_a_password_stands_in_no_argument_and_no_environment_of_the_process(odoo, folder, password):
    odoo.master_password = password
    hold_at(odoo, "/web/database/backup")
    order = backup_order(odoo, folder)
    order["source"]["master_password"] = password
    with engine(order) as running:
        assert odoo.reached.wait(PATIENCE)
        for name in ("cmdline", "environ"):
            assert password.encode() not in Path(f"/proc/{running.pid}/{name}").read_bytes()


ECHOES = {
    "as it is": lambda password: password,
    "in HTML": lambda password: html.escape(password),
    "in an address": lambda password: "/?" + urllib.parse.urlencode({"p": password}),
    "as Python": repr,
    "as JSON": json.dumps,
}


@PASSWORDS
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_a_server_that_repeats_the_password_does_not_make_us_repeat_it(
    odoo, folder, password, echo
):
    odoo.master_password = password
    text = f"bad request: {echo(password)}"
    odoo.answers["/web/database/backup"] = lambda handler: handler.reply(fake_odoo.error_page(text))
    order = backup_order(odoo, folder)
    order["source"]["master_password"] = password
    with engine(order) as running:
        failed = running.last()
    assert failed["error_code"] == "remote_error"
    assert "********" in failed["error"]
    told = json.dumps(running.events, ensure_ascii=False)
    spellings = (password, repr(password)[1:-1], json.dumps(password)[1:-1])
    assert not [spelling for spelling in spellings if spelling in told]


def test_names_stay_readable_though_they_are_spelled_like_a_password(odoo, folder):
    odoo.master_password = "tiny"
    order = backup_order(odoo, folder)
    order["source"]["master_password"] = "tiny"
    done = carry_out(order)
    assert done["copies"][0]["path"] == PATH
    assert left_in(folder) == AT_REST


# --- as its owner sees it -----------------------------------------------------------------------


def other_program(monkeypatch, tmp_path, script):
    (tmp_path / "program.py").write_text(script)
    monkeypatch.setattr(engine_process, "ENGINE", str(tmp_path / "program.py"))


def test_the_last_words_of_a_process_are_kept_whatever_bytes_they_are(monkeypatch, tmp_path):
    other_program(
        monkeypatch,
        tmp_path,
        "import os; os.write(2, b'Fatal: \\xff\\xfe\\n' + b'x' * 9000 + b' end\\n'); os._exit(3)",
    )
    lost = carry_out({"action": "none"})
    assert (lost["event"], lost["exit_code"]) == ("lost", 3)
    assert lost["tail"].endswith(" end\n")
    assert len(lost["tail"]) == engine_process.TAIL_LENGTH


def test_what_is_said_to_a_process_that_has_ended_harms_nobody(monkeypatch, tmp_path):
    other_program(monkeypatch, tmp_path, "import os; os.close(0); os._exit(1)")
    with engine({"action": "none", "filling": "x" * 200_000}) as running:
        assert running.last()["event"] == "lost"
        running.process.cancel()
        running.process.publish()
        running.process.abandon()


def test_a_process_that_does_not_end_is_killed(monkeypatch, tmp_path):
    other_program(
        monkeypatch,
        tmp_path,
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        'print(\'{"event": "stage", "stage": "connect"}\', flush=True); time.sleep(600)',
    )
    monkeypatch.setattr(engine_process, "END_LIMIT", 0.2)
    with engine({"action": "none"}) as running:
        running.until("stage")
        running.process.end()
        assert not is_running(running.pid)
        assert running.last()["event"] == "lost"


def test_the_engine_needs_nothing_but_the_standard_library(odoo, folder):
    """It starts in a fraction of a second, and never with Odoo."""
    script = (
        "import sys, runpy; sys.argv = [sys.argv[1]]\n"
        "sys.stdin = open('/dev/null')\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except ValueError: print('odoo' in sys.modules, 'boto3' in sys.modules)"
    )
    command = [sys.executable, "-I", "-c", script, engine_process.ENGINE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == "False False\n"
