"""make chaos: a long session of the test that kills everything (CHAOS_ROUNDS, CHAOS_SEED)."""

import os
import subprocess

from . import environment, processes
from .fail import DevError
from .paths import PYTHON, ROOT

ROUNDS = "30"
TIMEOUT = 3600  # seconds for all of it
MARK = "pytest-chaos"


def chaos():
    """Run the test with its rounds shown as they come; return its exit code."""
    environment.ensure()
    environ = {
        **processes.marked_environment(MARK),
        processes.RUNNER_MARK: f"{ROOT}:{MARK}",
        "CHAOS_ROUNDS": os.environ.get("CHAOS_ROUNDS") or ROUNDS,
    }
    test = ROOT / "e2e" / "test_chaos.py"
    command = [PYTHON, "-m", "pytest", "-s", test, f"--confcutdir={test.parent}",
               "--import-mode=prepend"]
    # It uses the servers of the tests.
    with environment.only_one("test"):
        try:
            return subprocess.run(command, cwd=ROOT, check=False, timeout=TIMEOUT,
                                  stdin=subprocess.DEVNULL, env=environ).returncode
        except subprocess.TimeoutExpired:
            raise DevError(f"chaos took more than {TIMEOUT} s") from None
        finally:
            processes.end_marked(MARK)
