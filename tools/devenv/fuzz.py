"""make fuzz: hostile inputs for every parser, as many as are wanted, and others each time."""

import os
import subprocess

from . import environment
from .paths import ADDON, PYTHON, ROOT

EXAMPLES = "3000"


def fuzz():
    """Run the fuzz tests of the engine; return 0 when every parser stood all of it."""
    environment.ensure()
    tests = sorted((ADDON / "tests" / "engine").glob("test_fuzz*.py"))
    environ = {**os.environ, "FUZZ_EXAMPLES": os.environ.get("FUZZ_EXAMPLES") or EXAMPLES}
    command = [PYTHON, "-m", "pytest", "-q", *tests]
    return subprocess.run(command, check=False, cwd=ROOT, env=environ).returncode
