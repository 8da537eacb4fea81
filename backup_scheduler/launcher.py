"""Starts the worker process from inside Odoo, when this machine has none."""

import contextlib
import fcntl
import json
import logging
import os
import subprocess
import sys
import uuid

from odoo.tools import config

_logger = logging.getLogger(__name__)

# Options that make an Odoo process do something else than ours, once, at its start.
NOT_HANDED_ON = (
    "config", "dev_mode", "i18n_export", "i18n_import", "init", "limit_time_cpu", "load_language",
    "pidfile", "save", "screencasts", "screenshots", "stop_after_init", "test_enable", "test_file",
    "test_tags", "translate_in", "translate_out", "update",
)  # fmt: skip
# Children of this process, kept so that an ended one does not stay a zombie.
_children = []


def ensure_worker(dbname):
    """See to it that a worker of this machine is at work on ``dbname``, or boots; return at once.

    The seat is taken here and inherited by the worker, which holds it from before its first
    instruction to its end: while one boots, nobody starts another. However it ends, the seat is
    free then; the end of this process leaves it to the worker.
    """
    forget_ended()
    with locked_seat(dbname) as file:
        if not file:
            return
        _logger.info("Starting the backup worker for database %s", dbname)
        child = subprocess.Popen(  # noqa: S603 - our own interpreter, a fixed command
            worker_command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
            pass_fds=(file.fileno(),),
        )
        _children.append(child)
        order = {"database": dbname, "options": options(), "seat": file.fileno()}
        with contextlib.suppress(BrokenPipeError), child.stdin:
            child.stdin.write(json.dumps(order).encode())


def forget_ended():
    """Collect the workers that have ended, and tell of those that did not end as they should."""
    for child in [child for child in _children if child.poll() is not None]:
        if child.returncode:
            _logger.warning("A backup worker ended with code %s", child.returncode)
        _children.remove(child)


def worker_command():
    """Return the command line: nothing secret, since every user of the machine can read it."""
    addons_path = ",".join(config["addons_path"])
    return [sys.executable, "-m", "odoo", f"--addons-path={addons_path}", "backup", "worker",
            "--launched"]  # fmt: skip


def options():
    """Return the options that are in force here, from file, environment and command line alike."""
    return {
        name: value
        for name, value in config.options.items()
        if name not in NOT_HANDED_ON and is_plain(value)
    }


def is_plain(value):
    if isinstance(value, list | tuple):
        return all(is_plain(item) for item in value)
    return value is None or isinstance(value, str | int | float | bool)


@contextlib.contextmanager
def worker_seat(dbname, inherited=None):
    """Take the seat of this machine's worker; yield its name, or None when it is taken.

    The seat is a locked file with a name of its own in it: whoever sits there may be sure that all
    who sat there before are gone.

    :param inherited: the descriptor of the file, where the launcher has taken the seat for us
    """
    if inherited is None:
        with locked_seat(dbname) as file:
            yield file and seat_name(file)
        return
    # What a worker starts may outlive it, and must not sit there then.
    os.set_inheritable(inherited, False)
    with open(inherited, "a+", encoding="ascii") as file:
        yield seat_name(file)


@contextlib.contextmanager
def locked_seat(dbname):
    """Yield the file of the seat, locked for as long as it is open in whatever process; or None."""
    folder = os.path.join(config["data_dir"], "backup_scheduler")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with open(os.path.join(folder, f"{dbname}.worker"), "a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield file


def seat_name(file):
    """Return the name in the file; write one where there is none."""
    file.seek(0)
    name = file.read().strip()
    if not name:
        name = uuid.uuid4().hex[:8]
        file.write(name)
        file.flush()
    return name
