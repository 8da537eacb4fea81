"""What tests came to, read from what pytest and Odoo leave of them."""

import re
import textwrap
from dataclasses import dataclass
from xml.etree import ElementTree

LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ \d+ (?P<level>[A-Z]+) \S+ (?P<logger>\S+): ")
FAILED_TEST = re.compile(r": (?:FAIL|ERROR): (?P<name>.+)")
# Lines of what a failed test told that are said again at the end.
REASON_LINES = 25
RESULT = re.compile(r"(\d+) failed, (\d+) error\(s\) of (\d+) tests")


@dataclass
class Count:
    """What one runner did; a failure that is no test's own (a crash) counts as one."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    # What is said again at the very end, a failure each: of a long log, often only that is kept.
    reasons: tuple[str, ...] = ()

    def __add__(self, other):
        return Count(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.reasons + other.reasons,
        )

    def fail(self, reason):
        """Count one failure more."""
        self.failed += 1
        self.reasons += (reason,)


class OdooLog:
    """What Odoo's log tells of an installation and its tests, line by line."""

    def __init__(self, addon):
        self._addon, self._count = addon, Count()
        self._installing, self._failure = True, []

    def read(self, line):
        head = LOG_LINE.match(line)
        if not head:
            # The rest of what was logged last: the traceback of a failed test.
            if self._failure:
                self._failure.append(line)
            return
        self._close_failure()
        self._installing = self._installing and ": Starting " not in line
        if self._installing and head["level"] != "INFO" and self._addon in line:
            self._count.fail(f"the addon's own installation logs: {line.strip()}")
        if failed := FAILED_TEST.search(line):
            self._failure = [failed["name"]]
        result = RESULT.search(line)
        if result and head["logger"] == "odoo.tests.result":
            failed, errors, total = map(int, result.groups())
            self._count.failed += failed + errors
            self._count.passed += max(total - failed - errors, 0)

    def counted(self):
        """Return the :class:`Count` of all that was read."""
        self._close_failure()
        return self._count

    def _close_failure(self):
        if self._failure:
            name, *lines = self._failure
            self._count.reasons += (f"{name}\n{_end_of(''.join(lines))}",)
            self._failure = []


def junit_count(report):
    """Count pytest's tests by name: a subtest, and an error at the end, has an entry of its own."""
    results, reasons = {}, []
    # Our own pytest wrote it a moment ago.
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314
        name = f"{case.get('classname')}.{case.get('name')}"
        words = results.setdefault(name, set())
        for child in case:
            failure = child.tag in ("failure", "error")
            words.add("failed" if failure else child.tag)
            if failure:
                reasons.append(f"{name}\n{_end_of(child.text or child.get('message', ''))}")
    failed = sum("failed" in words for words in results.values())
    skipped = sum("skipped" in words and "failed" not in words for words in results.values())
    return Count(len(results) - failed - skipped, failed, skipped, tuple(reasons))


def _end_of(text):
    """Return the last lines of what a failed test told, indented."""
    return textwrap.indent("\n".join(text.splitlines()[-REASON_LINES:]), "    ")
