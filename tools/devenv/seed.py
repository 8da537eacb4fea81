"""Databases with real content, made once and copied in a second.

A seed is an Odoo database with some modules and with attachments in its filestore. Its dump and
filestore are kept below .dev/seeds; in a cluster it becomes a template database.
"""

import fcntl
import hashlib
import shutil
from contextlib import contextmanager
from dataclasses import dataclass

from .fail import say
from .paths import DEV

SEEDS = DEV / "seeds"
SCRIPT_VERSION = 1
# Half of the files are noise, which no archive shrinks, and half text, which it does.
SCRIPT = """
import random
dice = random.Random({random})
weights = [dice.expovariate(1) + 0.05 for _ in range({attachments})]
scale = {megabytes} * 1_000_000 / sum(weights)
for number, weight in enumerate(weights):
    size = int(weight * scale) + 1
    if number % 2:
        line = b"Line of attachment %d, %d bytes\\n" % (number, size)
        content = (line * (size // len(line) + 1))[:size]
    else:
        content = dice.randbytes(size)
    env["ir.attachment"].create({{"name": "seed-%04d.bin" % number, "raw": content}})
env.cr.commit()
print("seeded")
"""


@dataclass(frozen=True)
class Seed:
    """What a database holds: modules, and attachments of random sizes, the same every time."""

    modules: tuple = ("base", "web")
    attachments: int = 0
    megabytes: int = 0
    random: int = 1

    @property
    def key(self):
        return hashlib.sha256(f"{self}{SCRIPT_VERSION}".encode()).hexdigest()[:10]

    @property
    def folder(self):
        return SEEDS / self.key

    def create(self, server, database):
        """Create `database` with this content for a server, running or not."""
        template = f"seed_{self.key}_{server.role}"
        with _lock(f"{server.cluster.name}-{template}"):
            if not server.cluster.psql(f"SELECT 1 FROM pg_database WHERE datname = '{template}'"):
                self._make_template(server, template)
        words = ("--template", template, "--owner", server.role, database)
        server.cluster.tool("createdb", *words)
        shutil.rmtree(server.filestore(database), ignore_errors=True)
        if (self.folder / "filestore").is_dir():
            shutil.copytree(self.folder / "filestore", server.filestore(database))

    def _make_template(self, server, template):
        """Restore the kept dump as a template database of the server's role."""
        with _lock(self.key):
            if not (self.folder / "dump.sql").exists():
                self._make_dump(server)
        cluster, part = server.cluster, f"{template}_part"
        cluster.drop(part)
        cluster.tool("createdb", "--owner", server.role, part)
        dump = self.folder / "dump.sql"
        cluster.tool("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-d", part,
                     "-f", dump, role=server.role)
        # Neither Odoo nor Cluster.databases() shows templates.
        cluster.psql(f'ALTER DATABASE "{part}" RENAME TO "{template}"; '
                     f'ALTER DATABASE "{template}" IS_TEMPLATE true')

    def _make_dump(self, server):
        """Let Odoo make the database for real, and keep its dump and its filestore."""
        say(f"Creating an Odoo database: {', '.join(self.modules)}; "
            f"{self.attachments} attachments, {self.megabytes} MB")
        database = f"making_{self.key}"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        server.cluster.drop(database)
        server.install(database, *self.modules)
        if self.attachments:
            script = SCRIPT.format(random=self.random, attachments=self.attachments,
                                   megabytes=self.megabytes)
            server.run("shell", "-d", database, "--no-http", script=script)
        if server.filestore(database).is_dir():
            shutil.move(server.filestore(database), self.folder / "filestore")
        part = self.folder / "dump.part"
        server.cluster.tool("pg_dump", "--no-owner", "-f", part, database)
        server.cluster.drop(database)
        part.rename(self.folder / "dump.sql")


@contextmanager
def _lock(name):
    """Hold a lock between processes: two test runs make one seed."""
    SEEDS.mkdir(parents=True, exist_ok=True)
    with (SEEDS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
