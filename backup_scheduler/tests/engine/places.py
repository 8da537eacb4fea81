"""Folders as tests need them: another file system, a full disk, somebody else's lock."""

import contextlib
import os
import subprocess
import sys

from waiting import PATIENCE

HOLDER = """
import sys
sys.path.insert(0, sys.argv[1])
from engine.spool import create_locked, write_all
descriptor = create_locked(sys.argv[2])
write_all(descriptor, b"half an archive")
print("locked", flush=True)
sys.stdin.read()
"""
ADDON = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def files(folder):
    """Return the files below ``folder``, as relative paths."""
    return sorted(
        os.path.relpath(os.path.join(place, name), folder)
        for place, _folders, names in os.walk(folder)
        for name in names
    )


def contents(folder):
    """Return the content of each file below ``folder``, by its relative path."""
    found = {}
    for name in files(folder):
        with open(os.path.join(folder, name), "rb") as file:
            found[name] = file.read()
    return found


@contextlib.contextmanager
def tmpfs(folder, size):
    """Make ``folder`` a file system of its own, of ``size`` bytes (for root only)."""
    os.makedirs(folder, exist_ok=True)
    options = f"size={size}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def can_mount():
    return (
        os.geteuid() == 0 and not subprocess.run(["unshare", "-m", "true"], check=False).returncode
    )


@contextlib.contextmanager
def held_by_another_process(path):
    """Let another process create and lock ``path``; yield it, to be killed or asked to end."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, ADDON, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"locked\n"
        try:
            yield process
        finally:
            process.stdin.close()


def run_python(script, *arguments):
    """Run a script that may import the engine; return what it printed."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": ADDON}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
