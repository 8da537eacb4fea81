"""Odoo 19 out of Debian's packages, unpacked into a folder and not installed.

Debian carries Odoo 19 in sid only. A private apt state, whose one source is the machine's own
Debian source with the suites replaced, downloads it without touching the machine's set-up.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from . import apt_source, stamps
from .fail import DevError, say
from .paths import CACHE, DEV, require_disk

PACKAGES = (
    "odoo-19/sid",
    # The web assets that Debian strips from Odoo and links to other packages of its own:
    # without them /web answers 500.
    "libjs-jquery/sid",
    "libjs-jquery-form/sid",
    "libjs-underscore/sid",
    "fonts-roboto-unhinted/sid",
    "fonts-inconsolata/sid",
    "fonts-montserrat/sid",
    # sid's 7.x lacks the files that Odoo links to.
    "fonts-font-awesome/bookworm",
)
SUITES = ("sid", "bookworm")
# Stripped without a replacement; its absence is a console error that fails every browser test.
EMPTY_ASSET = "odoo/addons/mail/static/lib/selfie_segmentation/selfie_segmentation.js"
UNPACKED = DEV / "odoo"
DIST_PACKAGES = "usr/lib/python3/dist-packages"
GIGABYTES_NEEDED = 3
APT_TIMEOUT = 900  # seconds for 135 MB over a slow line


def unpacked_odoo():
    """Return the folder to put on PYTHONPATH, after downloading and unpacking where needed."""
    stamp = stamps.Stamp(UNPACKED, *PACKAGES, EMPTY_ASSET)
    if not stamp.is_current():
        require_disk(DEV, GIGABYTES_NEEDED)
        _unpack(_downloaded())
        stamp.write()
    return UNPACKED / DIST_PACKAGES


def _unpack(debs):
    say("Unpacking Odoo 19")
    part = UNPACKED.with_suffix(".part")
    for folder in (part, UNPACKED):
        shutil.rmtree(folder, ignore_errors=True)
    part.mkdir(parents=True)
    for deb in debs:
        _run(["dpkg-deb", "-x", deb, part], f"{deb} is damaged: delete it and try again")
    asset = part / DIST_PACKAGES / EMPTY_ASSET
    asset.parent.mkdir(parents=True, exist_ok=True)
    asset.touch()
    part.rename(UNPACKED)


def _downloaded():
    """Return the packages' files, from the cache when an earlier download left all of them."""
    kept = CACHE / "debian"
    stamp = stamps.Stamp(kept, *PACKAGES)
    if not stamp.is_current():
        require_disk(CACHE, 0.5)
        say("Downloading Odoo 19 from Debian (135 MB)")
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="apt-") as folder:
            archives = _download_into(Path(folder))
            shutil.rmtree(kept, ignore_errors=True)
            archives.rename(kept)
        stamp.write()
    return sorted(kept.glob("*.deb"))


def _download_into(folder):
    """Run apt on a state of its own in `folder`; return the folder with the packages."""
    for name in ("state/lists/partial", "cache/archives/partial", "debs"):
        (folder / name).mkdir(parents=True)
    file_name, content = apt_source.rewritten_source(SUITES)
    (folder / file_name).write_text(content)
    options = [
        f"Dir::State={folder}/state",
        f"Dir::Cache={folder}/cache",
        f"Dir::Etc::SourceList={folder}/{file_name}",
        "Dir::Etc::SourceParts=/dev/null",
        # Its unprivileged user cannot enter a private folder.
        "APT::Sandbox::User=root",
        "Acquire::Languages=none",
        "Acquire::Retries=3",
    ]
    apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    advice = "check the network and the Debian source in /etc/apt, or use ODOO=/path/to/odoo-19"
    _run([*apt, "update"], f"apt-get could not read Debian's package lists: {advice}")
    _run([*apt, "download", *PACKAGES], f"apt-get could not download Odoo 19: {advice}",
         cwd=folder / "debs")
    return folder / "debs"


def _run(command, advice, **options):
    try:
        subprocess.run(command, check=True, timeout=APT_TIMEOUT, stdin=subprocess.DEVNULL,
                       **options)
    except FileNotFoundError:
        raise DevError(
            f"{command[0]} is missing: use a Debian machine, or ODOO=/path/to/odoo-19"
        ) from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise DevError(advice) from error
