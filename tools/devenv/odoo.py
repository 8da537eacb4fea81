"""A real Odoo 19: where it is, one-shot commands, and servers of it."""

import contextlib
import http.client
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

from . import debian, processes
from .fail import DevError
from .paths import PYTHON, ROOT, SERVERS
from .postgres import ROLE, binaries
from .rpc import Rpc

START_TIMEOUT = 90
STOP_TIMEOUT = 20
RUN_TIMEOUT = 900  # seconds for one command, the longest being a whole test run
ODOO_BIN = ROOT / "tools" / "odoo-bin"
SERIES = "(19, 0"
# Where a user's own Odoo 19 may have its package `odoo`, below the path given.
PLACES = ("", debian.DIST_PACKAGES, "odoo")


def location():
    """Return the folder for PYTHONPATH: the user's own Odoo 19 (ODOO=path), or Debian's."""
    own = os.environ.get("ODOO")
    if not own:
        return debian.unpacked_odoo()
    for place in PLACES:
        folder = Path(own).expanduser().resolve() / place
        release = folder / "odoo" / "release.py"
        if release.is_file():
            found = re.search(r"version_info = (\(\d+, \d+)", release.read_text())
            if found and found[1] == SERIES:
                return folder
            raise DevError(f"ODOO={own} is another Odoo than 19.0: give the path of an Odoo 19")
    raise DevError(f"ODOO={own} holds no Odoo: give the folder that has odoo/release.py below it")


class OdooServer:
    """One Odoo with a configuration, a data folder and a log of its own, below .dev/servers.

    `role` is its user in PostgreSQL; `config` goes into the configuration file as it is.
    `with_addon` puts this checkout on the addons path. Without `master_password` it keeps the
    default of Odoo, `admin`, which anyone can use.
    """

    def __init__(self, name, cluster, *, workers=0, master_password=None, list_db=True,
                 dbfilter="", role=ROLE, with_addon=False, addons=(), config=None, port=None):
        self.name, self.cluster, self.role = name, cluster, role
        self.folder = SERVERS / name
        self.conf, self.log = self.folder / "odoo.conf", self.folder / "odoo.log"
        self.command_log = self.folder / "command.log"
        self.data_dir = self.folder / "data"
        self.port = port or processes.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        folders = [*([ROOT] if with_addon else []), *addons]
        self.options = {
            "addons_path": ",".join(map(str, folders)),
            "admin_passwd": master_password,
            "workers": workers,
            "list_db": list_db,
            "dbfilter": dbfilter,
            "http_port": self.port,
            "gevent_port": processes.free_port(),
            "http_interface": "127.0.0.1",
            "db_host": cluster.dsn()["host"],
            "db_port": cluster.dsn()["port"],
            "db_user": role,
            "data_dir": self.data_dir,
            **(config or {}),
        }

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self, timeout=START_TIMEOUT, **environment):
        """Start the server; return when it answers. Its configuration is written once."""
        self._prepare()
        with self.log.open("ab") as log:
            self.process = self._popen([], log, **environment)
        deadline = time.monotonic() + timeout
        while not self._answers():
            if not self.running:
                raise DevError(f"the Odoo '{self.name}' ended while it started: see {self.log}")
            if time.monotonic() > deadline:
                self.stop()
                raise DevError(f"the Odoo '{self.name}' did not answer in {timeout} s: "
                               f"see {self.log}")
            time.sleep(processes.POLL)
        return self

    def stop(self):
        """Stop it gracefully, then by force, with everything that it ever started."""
        if self.running:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_TIMEOUT)
        self.kill()
        processes.end_marked(self.mark)

    def kill(self, signum=signal.SIGKILL):
        """Kill its whole process group at once. What left the group lives on: a worker may."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signum)
        self.process.wait(STOP_TIMEOUT)

    def restart(self):
        self.stop()
        return self.start()

    def processes(self):
        """Return the ids of all that it started and that still runs, in its group or not."""
        return processes.marked_processes(self.mark)

    def run(self, *arguments, script="", timeout=RUN_TIMEOUT):
        """Run one command of Odoo with this configuration; return what it printed.

        `script` is given to its standard input (`shell`). DevError when it fails.
        """
        self._prepare()
        with self.command_log.open("wb") as output:
            process = self._popen(arguments, output, stdin=subprocess.PIPE)
            try:
                process.communicate(script.encode(), timeout=timeout)
            except subprocess.TimeoutExpired:
                raise DevError(f"Odoo did nothing more for {timeout} s: "
                               f"see {self.command_log}") from None
            finally:
                _end(process)
        if process.returncode:
            words = " ".join(map(str, arguments))
            raise DevError(f"Odoo failed at '{words}': see {self.command_log}")
        return self.command_log.read_text(errors="replace")

    def stream(self, *arguments, timeout=RUN_TIMEOUT):
        """Run one command of Odoo; yield its lines as they come, its exit code at the end."""
        self._prepare()
        process = self._popen(arguments, subprocess.PIPE)
        timer = threading.Timer(timeout, _end, [process])
        timer.start()
        try:
            for line in process.stdout:
                yield line.decode(errors="replace")
        finally:
            timer.cancel()
            # With the output closed it has seconds to end by itself, and no more.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT)
            _end(process)
        yield process.returncode

    def spawn(self, *arguments, stdin=subprocess.DEVNULL):
        """Start one command of Odoo beside the server and return its process; its log is ours."""
        self._prepare()
        with self.log.open("ab") as log:
            return self._popen(arguments, log, stdin=stdin)

    def install(self, database, *modules):
        """Create a database, or complete one, with modules."""
        self.run("-d", database, "-i", ",".join(modules), "--stop-after-init", "--no-http")

    def rpc(self, database, login="admin", password="admin"):  # noqa: S107
        return Rpc(self.url, database, login, password)

    def filestore(self, database):
        return self.data_dir / "filestore" / database

    def log_lines(self, *levels):
        """Return the log's lines of these levels, such as WARNING and ERROR; all without any."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return [line for line in text.splitlines()
                if not levels or any(f" {level} " in line[:60] for level in levels)]

    @property
    def mark(self):
        return f"server-{self.name}"

    def _prepare(self):
        self.cluster.ensure_role(self.role)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if self.process is None:
            self.log.unlink(missing_ok=True)
            lines = [f"{key} = {value}" for key, value in self.options.items()
                     if value not in (None, "")]
            self.conf.unlink(missing_ok=True)
            descriptor = os.open(self.conf, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as conf:
                conf.write("\n".join(["[options]", *lines, ""]))

    def _popen(self, arguments, log, stdin=subprocess.DEVNULL, **more):
        command = [PYTHON, ODOO_BIN, *map(str, arguments), "-c", str(self.conf)]
        environment = processes.marked_environment(
            self.mark, PYTHONPATH=str(location()), PYTHONUNBUFFERED="1",
            PATH=f"{binaries()}:{os.environ['PATH']}", **more,
        )
        return subprocess.Popen(command, stdin=stdin, stdout=log, stderr=subprocess.STDOUT,
                                cwd=self.folder, env=environment, start_new_session=True)

    def _answers(self):
        try:
            with urllib.request.urlopen(f"{self.url}/web/health", timeout=5) as answer:  # noqa: S310
                return answer.status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False


def _end(process):
    """Kill what is left of a command's process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_TIMEOUT)
