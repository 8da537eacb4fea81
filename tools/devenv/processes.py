"""Processes that the environment starts, and how to be sure that none of them stays.

Every process gets a mark in its environment, which its children inherit, also those that leave
its process group. So a server, a checkout, or a test can find all that is left of it.
"""

import os
import signal
import socket
import time
from pathlib import Path

from .fail import DevError
from .paths import ROOT

MARK = "BACKUP_SCHEDULER_DEV"
# The mark of a test runner stays on the servers that its tests start, beside their own.
RUNNER_MARK = "BACKUP_SCHEDULER_RUNNER"
FOREIGN = ("ODOO", "PG", "PYTHON", "OPENERP")
STOP_TIMEOUT = 15  # seconds that a process has to end by itself
EXEC_TIMEOUT = 5  # seconds until a process shows the program that it was started with
POLL = 0.05
# What keeps the ports of free_port() until this process ends: a server may start on one again.
KEPT_PORTS = []


def marked_environment(name, **more):
    """Return the environment for the processes of server `name` of this checkout.

    What configures the user's own Odoo, PostgreSQL and Python does not go in.
    """
    own = {key: os.environ[key] for key in os.environ if not key.startswith(FOREIGN)}
    return {**own, **more, MARK: f"{ROOT}:{name}"}


def marked_processes(name=None):
    """Return the ids of the running processes of `name` (a server or a test runner), or of all."""
    marks = tuple(f"{variable}={ROOT}:{name or ''}".encode() for variable in (MARK, RUNNER_MARK))
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = _shown(folder, "environ").split(b"\0")
            zombie = (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:  # it ended, or is another user's
            continue
        if not zombie and any(
            entry in marks or (not name and entry.startswith(marks)) for entry in environment
        ):
            found.append(int(folder.name))
    return found


def _shown(folder, name):
    """Return what the kernel shows of a process, from its folder in /proc.

    It shows nothing while another program takes the place of the one that is there (execve), which
    has not ended yet when subprocess.Popen returns. Raises OSError once the process has ended, and
    for a thread of the kernel.
    """
    contents = (folder / name).read_bytes()
    if not contents:

        def has_program():
            (folder / "exe").readlink()
            return (folder / "cmdline").read_bytes()

        wait_until(has_program, EXEC_TIMEOUT)
        contents = (folder / name).read_bytes()
    return contents


def end_marked(name=None, timeout=STOP_TIMEOUT):
    """End what is left of server `name`, or of the checkout: asked first, then killed."""
    for signum, patience in ((signal.SIGTERM, timeout), (signal.SIGKILL, timeout)):
        for pid in marked_processes(name):
            send(pid, signum)
        if wait_until(lambda: not marked_processes(name), patience):
            return
    raise DevError(f"processes {marked_processes(name)} do not end: end them by hand")


def children(pid):
    """Return the ids of the direct children of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def is_running(pid, word=""):
    """Whether the process lives, with `word` in its command line: ids are used again."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and word.encode() in _shown(Path(f"/proc/{pid}"), "cmdline")
    except OSError:
        return False


def send(pid, signum):
    """Send a signal; a process that is gone already is no error."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition, timeout):
    """Return whether the condition came true within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def free_port():
    """Return a TCP port of 127.0.0.1 for a server that this process starts, now or later.

    It stays bound here, without anybody listening: the system gives it to nobody else meanwhile, a
    connection to it is refused, and a server that sets SO_REUSEADDR (all of ours do) can have it.
    """
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    KEPT_PORTS.append(keeper)
    return keeper.getsockname()[1]
