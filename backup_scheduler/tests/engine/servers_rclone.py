"""Servers for rclone to reach, for tests and measurements, and configurations for them.

WebDAV is rclone's own ``serve webdav``. Debian's rclone comes without ``serve ftp``: FTP is
pyftpdlib, which can also keep single rights from an account. Object stores: see servers_s3.

Needs the Debian package rclone.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import traceback

from devenv.processes import free_port
from engine.destinations import rclone_options
from waiting import until

USER, PASSWORD = "archives", "right horse"
# In the environment of all that is started from here: others test beside. Of Odoo's environment
# rclone sees the locale's variables only.
MARK = f"LC_STARTED_BY_TESTS={os.getpid()}"
os.environ.update([MARK.split("=")])
# All that pyftpdlib lets an account do; see its documentation for the letters.
EVERYTHING = "elradfmwMT"
NO_DELETING, NO_READING = EVERYTHING.replace("d", ""), EVERYTHING.replace("r", "")
FTP = """
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
folder, port, user, password, rights = sys.argv[1:]
FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_user(user, password, folder, perm=rights)
FTPServer(("127.0.0.1", int(port)), FTPHandler).serve_forever()
"""


def installed():
    return bool(shutil.which("rclone"))


class Server:
    """A process that listens on ``port``."""

    def __init__(self, kind, port, command):
        self.kind = kind
        self.port = port
        self._command = command
        self._process = None
        self.start()

    def start(self):
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._answers, "the server does not answer")

    def _answers(self):
        assert self._process.poll() is None, "the server ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def kill(self):
        self._process.kill()
        self._process.wait()

    def stop(self):
        """Let it hang: it takes connections and says nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def configuration(self, name="there", password=PASSWORD, **options):
        """Return the section of an rclone.conf that reaches it; ``options`` change it."""
        login = {"user": USER, "pass": obscured(password)}
        if self.kind == "webdav":
            # ownCloud's servers take streams, as rclone's own does.
            address = {"url": f"http://127.0.0.1:{self.port}", "vendor": "owncloud"}
        else:
            # pyftpdlib answers 501 for a folder that is not there yet, which rclone does not know.
            address = {"host": "127.0.0.1", "port": self.port, "disable_mlsd": "true"}
        return section(name, type=self.kind, **{**address, **login, **options})


@contextlib.contextmanager
def webdav(folder, port=None):
    """Yield a WebDAV server of ``folder``."""
    port = port or free_port()
    command = ["rclone", "serve", "webdav", folder, "--addr", f"127.0.0.1:{port}"]
    command += ["--config", "", "--user", USER, "--pass", PASSWORD, "--dir-cache-time", "0s"]
    with running(Server("webdav", port, command)) as server:
        server.folder = folder
        yield server


@contextlib.contextmanager
def ftp(folder, rights=EVERYTHING):
    """Yield an FTP server of ``folder``."""
    port = free_port()
    command = [sys.executable, "-c", FTP, folder, str(port), USER, PASSWORD, rights]
    with running(Server("ftp", port, command)) as server:
        yield server


@contextlib.contextmanager
def running(server):
    try:
        yield server
    finally:
        server.kill()


def section(name, **options):
    """Return a section of an rclone.conf."""
    lines = (f"{option} = {value}\n" for option, value in options.items())
    return f"[{name}]\n{''.join(lines)}\n"


def folder_configuration(folder, name="there"):
    """Return a configuration whose remote is a folder of this machine; see folders_allowed()."""
    return section("disk", type="local") + section(name, type="alias", remote=f"disk:{folder}")


def folders_allowed(monkeypatch):
    """Let remotes of this machine pass: the quickest ones, which nobody else may have."""
    monkeypatch.setitem(rclone_options.TYPES, "local", "")


def obscured(password):
    """Return a password as an rclone.conf has it: readable for rclone, and for anybody else."""
    return subprocess.run(
        ["rclone", "obscure", "-"], input=password, capture_output=True, text=True, check=True
    ).stdout.strip()


def programs_running(word):
    """Return the numbers of the processes of rclone that were started from here, by whatever has
    ended since, and whose command line has ``word`` in it."""
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            line, environment = (contents_of(number, name) for name in ("cmdline", "environ"))
            if line[0].endswith(b"rclone") and any(word.encode() in part for part in line):
                found += [int(number)] if MARK.encode() in environment else []
    return found


def contents_of(number, name):
    with open(f"/proc/{number}/{name}", "rb") as file:
        return file.read().split(b"\0")


def killed_after(steps):
    """Take ``steps()`` in a process of its own, which is killed then, whatever came of them."""
    reader, writer = os.pipe()
    process = os.fork()
    if not process:
        try:
            # What they return lives until the end.
            _kept = steps()
            os.write(writer, b"taken")
        except Exception:  # noqa: BLE001 - told here: in a moment nobody can
            traceback.print_exc()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(writer)
    with open(reader, "rb") as told:
        assert told.read() == b"taken"
    os.waitpid(process, 0)
