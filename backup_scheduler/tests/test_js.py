"""The tests of the widgets (``static/tests/**/*.test.js``), each run as Odoo runs its own."""

import logging
import re
from pathlib import Path

from odoo.addons.web.tests.test_js import RE_FORBIDDEN_STATEMENTS, unit_test_error_checker
from odoo.tests import HttpCase, no_retry, tagged
from odoo.tools.misc import file_path

SUITE = "@backup_scheduler"
TIMEOUT = 600  # seconds for all of them; building the bundle of Odoo's own tests takes the most
# In single quotes where the name has double ones.
PASSED = re.compile(rf"""\[HOOT\] Test ["']?{SUITE}/.* passed""")


class _Heard(logging.Handler):
    """Keep what the browser's console says."""

    def __init__(self):
        super().__init__()
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


def hoot_id(name):
    """Return the identifier that hoot gives to the suite or test of this name."""
    number = 0
    for character in name:
        number = ((number << 5) - number + ord(character)) & 0xFFFFFFFF
    return f"{number:08x}"


def hoot_files():
    """Return the paths of all files of hoot tests of the addon."""
    return sorted(Path(file_path("backup_scheduler/static/tests")).rglob("*.test.js"))


class HootCase(HttpCase):
    """Runs all of the addon's hoot tests in Chromium, named in the log one by one."""

    def _run_suite(self, preset, options=""):
        heard = _Heard()
        console = self._logger.getChild("browser")
        console.addHandler(heard)
        self.addCleanup(console.removeHandler, heard)
        self.addCleanup(console.setLevel, console.level)
        console.setLevel(logging.INFO)  # the level at which hoot names the tests that pass
        self.browser_js(
            f"/web/tests?headless&loglevel=2&preset={preset}&timeout=15000"
            f"&id={hoot_id(SUITE)}{options}",
            "",
            login="admin",
            timeout=TIMEOUT,
            success_signal="[HOOT] Test suite succeeded",
            error_checker=unit_test_error_checker,
        )
        passed = [message for message in heard.messages if PASSED.search(message)]
        self._logger.info("hoot, %s: %d tests passed", preset, len(passed))
        # An unknown suite succeeds: hoot finds nothing to run.
        self.assertTrue(passed, "no hoot test of the addon ran")


@tagged("post_install", "-at_install")
class TestHootDesktop(HootCase):
    @no_retry
    def test_the_widgets_keep_their_promises_on_a_desktop(self):
        self._run_suite("desktop")

    def test_no_file_runs_a_part_of_its_tests_only(self):
        for path in hoot_files():
            with self.subTest(path.name):
                self.assertNotRegex(path.read_text(encoding="utf-8"), RE_FORBIDDEN_STATEMENTS)


@tagged("post_install", "-at_install")
class TestHootPhone(HootCase):
    browser_size = "375x667"
    touch_enabled = True

    @no_retry
    def test_the_widgets_keep_their_promises_on_a_phone(self):
        self._run_suite("mobile", "&tag=-headless")
