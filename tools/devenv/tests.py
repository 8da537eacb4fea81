"""make test: every runner there is, their counts summed in one closing line."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from xml.etree import ElementTree

from . import environment, oca, processes
from .fail import DevError, say
from .odoo import OdooServer
from .paths import ADDON, DEV, PYTHON, ROOT
from .postgres import Cluster
from .seed import Seed
from .stack import addon_dependencies

TIMEOUT = 900  # seconds for one runner; all of them together are meant to stay below it
DATABASE = "tests"
LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ \d+ (?P<level>[A-Z]+) \S+ (?P<logger>\S+): ")
RESULT = re.compile(r"(\d+) failed, (\d+) error\(s\) of (\d+) tests")
# In the order in which they are installed: each is tested before the next one adds to it.
ADDONS = (ADDON.name, f"{ADDON.name}_queue_job")


@dataclass
class Count:
    """What one runner did; a failure that is no test's own (a crash) counts as one."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    @classmethod
    def crash(cls, why):
        say(f"FAILED: {why}")
        return cls(failed=1)


def test():
    """Run all runners, or the one that ONLY names; return 0 when something ran and all passed."""
    runners = {"engine": _engine, "addon": _addon, "e2e": _e2e}
    only = os.environ.get("ONLY")
    if only and only not in runners:
        raise DevError(f"ONLY={only} is no runner: one of {', '.join(runners)}")
    environment.ensure()
    counts = {}
    with environment.only_one("test"):
        for name in [only] if only else runners:
            say(f"Tests: {name}")
            counts[name] = _run(runners[name])
    for name, count in counts.items():
        say(f"{name}: {count.passed} passed, {count.failed} failed, {count.skipped} skipped")
    passed = sum(count.passed for count in counts.values())
    failed = sum(count.failed for count in counts.values())
    sys.stdout.write(f"{passed} passed, {failed} failed\n")
    sys.stdout.flush()
    return 1 if failed else 0


def _run(runner):
    try:
        count = runner()
    except DevError as error:
        return Count.crash(error)
    if not count.passed and not count.failed:
        return Count.crash("no test ran")
    return count


def _engine():
    return _pytest("engine", ADDON / "tests" / "engine")


def _e2e():
    return _pytest("e2e", ROOT / "e2e")


def _pytest(name, folder):
    report = DEV / "reports" / f"{name}.xml"
    report.parent.mkdir(exist_ok=True)
    report.unlink(missing_ok=True)
    mark = f"pytest-{name}"
    environ = {**processes.marked_environment(mark), processes.RUNNER_MARK: f"{ROOT}:{mark}"}
    command = [PYTHON, "-m", "pytest", folder, f"--junit-xml={report}",
               # Otherwise the engine's tests would import the addon, and with it Odoo.
               f"--confcutdir={folder}", "--import-mode=prepend"]
    try:
        done = subprocess.run(command, cwd=ROOT, check=False, timeout=TIMEOUT,
                              stdin=subprocess.DEVNULL, env=environ)
    except subprocess.TimeoutExpired:
        return Count.crash(f"{name} took more than {TIMEOUT} s")
    finally:
        processes.end_marked(mark)
    if not report.exists():
        return Count.crash(f"pytest ended with exit code {done.returncode} and no report")
    count = _junit_count(report)
    if done.returncode and not count.failed:
        return Count.crash(f"pytest ended with exit code {done.returncode}")
    return count


def _junit_count(report):
    """Count tests by name: each subtest has an entry of its own, as has an error at the end."""
    results = {}
    # Our own pytest wrote it a moment ago.
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314
        words = {"failed" if child.tag in ("failure", "error") else child.tag for child in case}
        results.setdefault((case.get("classname"), case.get("name")), set()).update(words)
    failed = sum("failed" in words for words in results.values())
    skipped = sum("skipped" in words and "failed" not in words for words in results.values())
    return Count(passed=len(results) - failed - skipped, failed=failed, skipped=skipped)


def _addon():
    """Install the addons in a new database and run their tests there."""
    cluster = Cluster("tests").start()
    server = OdooServer("tests", cluster, with_addon=True, addons=[oca.addons()])
    try:
        cluster.drop(DATABASE)
        Seed(modules=addon_dependencies()).create(server, DATABASE)
        counts = [_odoo_count(server, addon) for addon in ADDONS]
        return Count(
            passed=sum(count.passed for count in counts),
            failed=sum(count.failed for count in counts),
        )
    finally:
        server.stop()
        cluster.stop()


def _odoo_count(server, addon):
    # Quiet but for what the addon and its tests say; warnings of everything are shown.
    levels = [f"--log-handler={level}" for level in
              (":WARNING", "odoo.tests:INFO", f"odoo.addons.{addon}:INFO")]
    count, exit_code, installing = Count(), None, True
    for item in server.stream("-d", DATABASE, "-i", addon, "--stop-after-init",
                              "--test-tags", f"/{addon}", *levels, timeout=TIMEOUT):
        if isinstance(item, int):
            exit_code = item
            break
        sys.stdout.write(item)
        sys.stdout.flush()
        line = LOG_LINE.match(item)
        installing = installing and ": Starting " not in item
        if installing and line and line["level"] != "INFO" and addon in item:
            say("FAILED: the addon's own installation logs the line above")
            count.failed += 1
        result = RESULT.search(item)
        if result and line and line["logger"] == "odoo.tests.result":
            failed, errors, total = map(int, result.groups())
            count.failed += failed + errors
            count.passed += max(total - failed - errors, 0)
    if exit_code and not count.failed:
        return Count.crash(f"Odoo ended with exit code {exit_code}")
    return count
