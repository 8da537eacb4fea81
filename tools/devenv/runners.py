"""The runners of make test: what each one starts, where its output goes, and what it counts."""

import subprocess

from . import oca, processes
from .counting import Count, OdooLog, junit_count
from .fail import DevError
from .odoo import OdooServer
from .paths import ADDON, DEV, PYTHON, ROOT
from .postgres import Cluster
from .seed import Seed
from .stack import addon_dependencies

# Seconds for one runner that hangs. All of them together are meant to take 15 minutes on two quiet
# cores; on slower ones they compute for longer, which is no failure.
TIMEOUT = 1800
DATABASE = "tests"
# In the order in which they are installed: each is tested before the next one adds to it.
ADDONS = (ADDON.name, f"{ADDON.name}_queue_job", "backup_channel_example")
ENGINE = ADDON / "tests" / "engine"
# Of the engine's tests, those that wait for servers of destinations.
WAITING = tuple(ENGINE / name for name in ("rclone", "s3", "sftp"))
E2E = ROOT / "e2e"
# End-to-end tests wait most of their time, so parts of them run beside each other, each with
# servers of its own. A file that no part names belongs to the last one.
E2E_PARTS = {
    "kills": ("test_kills.py", "test_alerts.py"),
    "queue": ("test_queue_job.py",),
    "chaos": ("test_chaos.py", "test_first_setup.py", "test_dispatch_scale.py"),
    "archives": ("test_archives.py", "test_disaster.py", "test_recovery.py"),
    "rest": (),
}


class Runner:
    """One process that runs tests.

    :param name: the runner that it belongs to, as ONLY names it
    :param part: which part of that one, where there are several
    """

    def __init__(self, name, part=""):
        self.name, self.part = name, part
        self.title = f"{name} ({part})" if part else name

    @property
    def mark(self):
        """What all processes that it starts are marked with."""
        return f"pytest-{self.name}{'-' if self.part else ''}{self.part}"

    def run(self, out):
        """Run the tests, their output into the open file ``out``; return the :class:`Count`."""
        try:
            count = self._run(out)
        except DevError as error:
            return crash(out, error)
        if not count.passed and not count.failed:
            return crash(out, "no test ran")
        return count

    def _run(self, out):
        raise NotImplementedError


class Pytest(Runner):
    """:param paths: folder or files to be collected; ``folder`` is the outermost conftest's"""

    def __init__(self, name, folder, paths=(), part=""):
        super().__init__(name, part)
        self._folder, self._paths = folder, paths or (folder,)

    def _run(self, out):
        report = DEV / "reports" / f"{self.mark.removeprefix('pytest-')}.xml"
        report.parent.mkdir(exist_ok=True)
        report.unlink(missing_ok=True)
        environ = {
            # Unbuffered: what is ended by force has shown what it did.
            **processes.marked_environment(self.mark, E2E_PART=self.part, PYTHONUNBUFFERED="1"),
            processes.RUNNER_MARK: f"{ROOT}:{self.mark}",
        }
        command = [PYTHON, "-m", "pytest", *self._paths, f"--junit-xml={report}",
                   # Otherwise the engine's tests would import the addon, and with it Odoo.
                   f"--confcutdir={self._folder}", "--import-mode=prepend", "--durations=5"]
        try:
            done = subprocess.run(command, cwd=ROOT, check=False, timeout=TIMEOUT, env=environ,
                                  stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        except subprocess.TimeoutExpired:
            return crash(out, f"{self.title} took more than {TIMEOUT} s")
        finally:
            processes.end_marked(self.mark)
        if not report.exists():
            return crash(out, f"pytest ended with exit code {done.returncode} and no report")
        count = junit_count(report)
        if done.returncode and not count.failed:
            return crash(out, f"pytest ended with exit code {done.returncode}")
        return count


class Addon(Runner):
    """Installs the addons in a new database and runs their tests there."""

    mark = "server-tests"

    def _run(self, out):
        cluster = Cluster("tests").start()
        addons = [oca.addons(), ROOT / "examples"]
        server = OdooServer("tests", cluster, with_addon=True, addons=addons)
        try:
            cluster.drop(DATABASE)
            Seed(modules=addon_dependencies()).create(server, DATABASE)
            return sum((_odoo_count(server, addon, out) for addon in ADDONS), Count())
        finally:
            server.stop()
            cluster.stop()


def runners():
    """Return all there are, in the order in which they are told about."""
    return [
        Pytest("engine", ENGINE, sorted(ENGINE.glob("test_*.py"))),
        Pytest("engine", ENGINE, WAITING, "destinations"),
        Addon("addon"),
        *(Pytest("e2e", E2E, _files(part), part) for part in E2E_PARTS),
    ]


def _files(part):
    """Return the files of a part of the end-to-end tests, in the order in which they are named."""
    named = [name for names in E2E_PARTS.values() for name in names]
    others = sorted(file.name for file in E2E.glob("test_*.py") if file.name not in named)
    return [E2E / name for name in E2E_PARTS[part] or others]


def crash(out, why):
    """Count a failure that is no test's own, and say why."""
    _tell(out, f"==> FAILED: {why}\n")
    return Count(failed=1, reasons=(str(why),))


def _tell(out, text):
    out.write(text)
    out.flush()


def _odoo_count(server, addon, out):
    # Quiet but for what the addon and its tests say; warnings of everything are shown.
    levels = [f"--log-handler={level}" for level in
              (":WARNING", "odoo.tests:INFO", f"odoo.addons.{addon}:INFO")]
    log, exit_code = OdooLog(addon), None
    for item in server.stream("-d", DATABASE, "-i", addon, "--stop-after-init",
                              "--test-tags", f"/{addon}", *levels, timeout=TIMEOUT):
        if isinstance(item, int):
            exit_code = item
            break
        _tell(out, item)
        log.read(item)
    count = log.counted()
    if exit_code and not count.failed:
        return crash(out, f"Odoo ended with exit code {exit_code}")
    return count
