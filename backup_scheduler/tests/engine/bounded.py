"""Reading hostile input within a budget of computing and memory.

The budget is far above what a linear reader takes on any machine, and far below what a quadratic
one takes: it counts the CPU time of a child, which no other load on the machine uses up.
"""

import pathlib
import resource
import subprocess
import sys

# Seconds of the processor.
CPU = 60
ADDON = pathlib.Path(__file__).resolve().parents[2]


def run_bounded(code, *arguments, memory=0, cpu=CPU):
    """Run Python code, with the engine importable, in a child; return its output.

    AssertionError where it fails, or needs more than ``cpu`` seconds or ``memory`` bytes.
    """

    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
        if memory:
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))

    child = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ADDON, preexec_fn=limit, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert child.returncode == 0, (child.returncode, child.stderr[-2000:])
    return child.stdout
