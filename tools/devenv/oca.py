"""OCA's addons, as wheels from PyPI: what the glue addons build on."""

import shutil

from . import python, stamps
from .fail import say
from .paths import DEV, ROOT, require_disk

REQUIREMENTS = ROOT / "tools" / "requirements-oca.txt"
FOLDER = DEV / "oca"
GIGABYTES_NEEDED = 0.1


def addons():
    """Return the folder to put on the addons path, installed again when the pins changed."""
    stamp = stamps.Stamp(FOLDER, REQUIREMENTS)
    if not stamp.is_current():
        require_disk(DEV, GIGABYTES_NEEDED)
        say("Installing OCA's addons (tools/requirements-oca.txt)")
        shutil.rmtree(FOLDER, ignore_errors=True)
        python.install("--no-deps", "--target", FOLDER, "--requirement", REQUIREMENTS)
        stamp.write()
    return FOLDER / "odoo" / "addons"
