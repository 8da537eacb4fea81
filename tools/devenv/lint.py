"""make lint: ruff on everything, pylint with Odoo's rules on the addons."""

import re
import subprocess

from . import environment
from .fail import say
from .paths import PYTHON, ROOT
from .python import REQUIREMENTS

TIMEOUT = 600
README_IS_AT_ROOT = "--disable=missing-readme"
HOOKS = ROOT / ".pre-commit-config.yaml"
PIN = re.compile(r"[\w-]+==[\w.]+")


def lint():
    environment.ensure()
    manifests = [*ROOT.glob("*/__manifest__.py"), *ROOT.glob("examples/*/__manifest__.py")]
    addons = sorted(str(path.parent.relative_to(ROOT)) for path in manifests)
    failed = [
        name
        for name, arguments in (("ruff", ["check", "."]), ("pylint", [README_IS_AT_ROOT, *addons]))
        if not _clean(name, arguments)
    ]
    pinned = set(PIN.findall(REQUIREMENTS.read_text()))
    if others := set(PIN.findall(HOOKS.read_text())) - pinned:
        say(f"{HOOKS.name} has other versions than {REQUIREMENTS.name}: {', '.join(others)}")
        failed.append(HOOKS.name)
    say(f"Not clean: {', '.join(failed)}" if failed else "All clean")
    return 1 if failed else 0


def _clean(name, arguments):
    say(name)
    command = [PYTHON, "-m", name, *arguments]
    return subprocess.run(command, cwd=ROOT, check=False, timeout=TIMEOUT).returncode == 0
