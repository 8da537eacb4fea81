"""Every benchmark begins with nothing of an earlier one, and beside no other one."""

import contextlib
import subprocess
from pathlib import Path

import pytest
from devenv import processes
from devenv.paths import PYTHON, ROOT
from world import SOON

FOLDER = ROOT / "benchmarks"
BENCHMARKS = sorted(
    path.name for path in FOLDER.glob("*.py") if '__name__ == "__main__"' in path.read_text()
)
# A benchmark at work: with a folder, a PostgreSQL and a process of its own, until its input ends.
AT_WORK = """
import subprocess, sys
import common
with common.alone(), common.scratch() as folder:
    cluster = common.Cluster("bench-test").start()
    cluster.tool("createdb", "left")
    child = subprocess.Popen(["sleep", "3600"])
    print("at work:", folder, child.pid, flush=True)
    sys.stdin.read()
    child.kill()
    child.wait()
    cluster.remove()
"""


@contextlib.contextmanager
def at_work():
    """Yield a benchmark that runs, its folder, and the id of a process of its own."""
    with subprocess.Popen(
        [PYTHON, "-c", AT_WORK], cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        line = next(line for line in process.stdout if line.startswith("at work:"))
        _at, _work, folder, child = line.split()
        try:
            yield process, Path(folder), int(child)
        finally:
            process.stdin.close()
            process.wait(SOON)


def test_what_an_interrupted_benchmark_left_is_removed_by_the_next():
    with at_work() as (process, folder, child):
        process.kill()
        process.wait()
    assert folder.exists()
    assert processes.is_running(child, "sleep")
    with at_work() as (process, other, _child):
        assert not folder.exists()
        assert not processes.is_running(child, "sleep")
        assert other.exists()
    assert process.returncode == 0
    assert not other.exists()


def test_every_benchmark_is_looked_at():
    assert len(BENCHMARKS) >= 8


@pytest.fixture(scope="module")
def first():
    with at_work() as running:
        yield running


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_beside_another_one_says_so_and_disturbs_nothing(first, name):
    process, folder, child = first
    command = [PYTHON, FOLDER / name, "--quick"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=SOON, check=False)
    assert second.returncode == 1
    assert second.stderr.startswith("another benchmark runs in this checkout")
    assert f"process {process.pid}" in second.stderr
    assert folder.exists()
    assert processes.is_running(child, "sleep")
