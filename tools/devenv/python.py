"""The virtual environment with Odoo's Python dependencies, the addon's and the tests' tools."""

import os
import shutil
import subprocess
import sys

from . import stamps
from .fail import DevError, say
from .paths import PYTHON, ROOT, VENV, require_disk

REQUIREMENTS = ROOT / "tools" / "requirements.txt"
INSTALL_TIMEOUT = 1200  # seconds for some 90 wheels over a slow line
GIGABYTES_NEEDED = 1


def virtual_environment():
    """Return the interpreter of the virtual environment, made again when its pins changed."""
    stamp = stamps.Stamp(VENV, REQUIREMENTS, sys.version)
    if not stamp.is_current():
        require_disk(VENV.parent, GIGABYTES_NEEDED)
        say("Installing Python packages (tools/requirements.txt)")
        shutil.rmtree(VENV, ignore_errors=True)
        _run([sys.executable, "-m", "venv", VENV])
        install("--requirement", REQUIREMENTS)
        stamp.write()
    return PYTHON


def install(*arguments):
    """Have the virtual environment's pip install something."""
    _run([PYTHON, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input",
          *arguments])


def _run(command):
    environment = {name: os.environ[name] for name in os.environ if name != "PYTHONPATH"}
    try:
        subprocess.run(command, check=True, env=environment, timeout=INSTALL_TIMEOUT,
                       stdin=subprocess.DEVNULL)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise DevError(
            "the Python packages of tools/requirements*.txt could not be installed (see above): "
            "check the network, then run the command again"
        ) from error
