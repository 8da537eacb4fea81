"""make corpus: what each level of verification finds in damaged backups of a real server."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import environment
from .fail import DevError, say
from .odoo import OdooServer
from .paths import ADDON, DEV, PYTHON
from .postgres import Cluster
from .seed import Seed

# As the tests name the database of the archives that they make by code.
DATABASE = "corpus"
SEEDS = {
    "few": (DATABASE, Seed(attachments=40, megabytes=4)),
    "many": (f"{DATABASE}_many", Seed(attachments=3000, megabytes=6)),
}
TIMEOUT = 900  # seconds for the table
SCRIPT = """
from odoo.service.db import dump_db
for archive_format in ("zip", "dump"):
    with open({path!r} + "." + archive_format, "wb") as file:
        dump_db({database!r}, file, archive_format)
"""


def corpus():
    """Print the table; return 1 when something is not found, or found where nothing is."""
    environment.ensure()
    DEV.mkdir(exist_ok=True)
    with (
        environment.only_one("corpus"),
        tempfile.TemporaryDirectory(dir=DEV, prefix="corpus-") as folder,
    ):
        _back_up(Path(folder))
        return _table(folder)


def _back_up(folder):
    """Let a real Odoo make its backups of a small and of a larger database."""
    cluster = Cluster("corpus").start()
    server = OdooServer("corpus", cluster, role="corpus")
    try:
        cluster.ensure_role(server.role)
        for name, (database, seed) in SEEDS.items():
            cluster.drop(database)
            seed.create(server, database)
            say(f"Backing up {database}")
            script = SCRIPT.format(path=str(folder / name), database=database)
            server.run("shell", "-d", database, "--no-http", script=script)
    finally:
        server.stop()
        for database, _seed in SEEDS.values():
            cluster.drop(database)
            shutil.rmtree(server.filestore(database), ignore_errors=True)
        cluster.stop()


def _table(folder):
    tests = ADDON / "tests" / "engine"
    environ = {**os.environ, "PYTHONPATH": f"{ADDON}:{tests}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [PYTHON, "-m", "corpus_table", folder]
    try:
        return subprocess.run(command, check=False, timeout=TIMEOUT, env=environ).returncode
    except subprocess.TimeoutExpired:
        raise DevError(f"the corpus took more than {TIMEOUT} s") from None
