"""Where things are. Everything made lies in DEV, downloads worth keeping in CACHE."""

import os
import shutil
from pathlib import Path

from .fail import DevError

ROOT = Path(__file__).resolve().parents[2]
DEV = ROOT / ".dev"
SERVERS = DEV / "servers"
VENV = DEV / "venv"
PYTHON = VENV / "bin" / "python"
ADDON = ROOT / "backup_scheduler"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backup_scheduler"


def require_disk(folder, gigabytes):
    """Refuse to begin what would fill the disk half-way."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise DevError(
            f"{folder} has {free:.1f} GB free and the set-up needs {gigabytes} GB: free some space"
        )
