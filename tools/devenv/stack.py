"""The two servers of `make demo` and `make run`: a shop to be backed up, and who does it."""

import ast
import secrets
import shutil

from . import processes
from .fail import say
from .odoo import OdooServer
from .paths import ADDON
from .postgres import Cluster
from .seed import Seed

REMOTE_DATABASE = "shop"
BACKUP_DATABASE = "backups"
REMOTE_WORKERS = 2  # prefork, as in production
SHOP = Seed(modules=("base", "web"), attachments=320, megabytes=60)


def addon_dependencies():
    """Return the modules that the addon depends on, which a seed can have installed already."""
    manifest = ast.literal_eval((ADDON / "__manifest__.py").read_text())
    return tuple(dict.fromkeys(["base", *manifest.get("depends", ())]))


class Stack:
    """PostgreSQL, the remote and the backup server; leaving the context stops all of it.

    `addons` are folders with more modules for the backup server; none of them is installed.
    """

    def __init__(self, name, *, port=None, remote_port=None, addons=()):
        self.master_password = secrets.token_urlsafe(12)
        self.cluster = Cluster(name)
        self.remote = OdooServer(
            f"{name}-remote", self.cluster, role="remote", workers=REMOTE_WORKERS,
            master_password=self.master_password, port=remote_port,
        )
        self.backup = OdooServer(
            f"{name}-backup", self.cluster, role="backup", with_addon=True, addons=addons,
            port=port, master_password=secrets.token_urlsafe(12),
            dbfilter=f"^{BACKUP_DATABASE}$",
        )

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_error):
        self.stop()

    def stop(self):
        say("Stopping what was started")
        for part in (self.backup, self.remote, self.cluster):
            part.stop()

    def _start(self):
        for server in (self.remote, self.backup):
            # What an earlier one left that was killed, its archives, its log.
            processes.end_marked(server.mark)
            shutil.rmtree(server.folder, ignore_errors=True)
        say("Starting PostgreSQL and the remote Odoo (prefork)")
        self.cluster.start()
        for server in (self.remote, self.backup):
            self.cluster.ensure_role(server.role)
        self._fresh(self.remote, REMOTE_DATABASE, SHOP)
        self.remote.start()
        say("Installing backup_scheduler in the backup server")
        self._fresh(self.backup, BACKUP_DATABASE, Seed(modules=addon_dependencies()))
        self.backup.install(BACKUP_DATABASE, ADDON.name)
        self.backup.start()

    def _fresh(self, server, database, seed):
        self.cluster.drop(database)
        seed.create(server, database)
