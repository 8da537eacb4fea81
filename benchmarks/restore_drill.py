"""The restore drill beside plain psql, of the same dump, into the same PostgreSQL, in the same run.

The dump is that of a real Odoo database with much in it of what fills them: messages, entries of an
account with their indexes, attachments that lie in the database. psql gets it as a file, into a
database made by createdb, and nothing more; the drill reads it out of Odoo's zip, counts, and drops
its database again, which is measured too. PostgreSQL syncs as it does in production. Each round is
compared in itself, in turns, and the median of the rounds counts.

Usage: python benchmarks/restore_drill.py [--quick]
"""

import contextlib
import io
import json
import random
import subprocess
import sys
import time
import zipfile

import common

from devenv import environment  # isort: skip - found on the path only now
from devenv.postgres import Cluster, binaries  # isort: skip
from engine.archive.verify import verify  # isort: skip
from engine.control import Control  # isort: skip
from engine.restore.scratch import drill  # isort: skip

BOUND = 0.75
ROUNDS, QUICK_ROUNDS = 5, 3
MESSAGES, QUICK_MESSAGES = 80_000, 20_000
LINES_OF_EACH, MESSAGES_OF_EACH_FILE = 5, 250
MEAN_SENTENCES, FILE_SIZE = 40, 200_000
TABLES = """
    CREATE TABLE bench_message (id int PRIMARY KEY, partner_id int, date timestamp, body text);
    CREATE TABLE bench_line (id int PRIMARY KEY, message_id int REFERENCES bench_message,
        account_id int, date date, amount numeric, name text);
    CREATE TABLE bench_file (id int PRIMARY KEY, name text, db_datas bytea);
"""
INDEXES = """
    CREATE INDEX ON bench_message (partner_id);
    CREATE INDEX ON bench_message (date, id);
    CREATE INDEX ON bench_line (message_id);
    CREATE INDEX ON bench_line (account_id, date);
    CREATE INDEX ON bench_line (name);
"""


# --- the database -------------------------------------------------------------------------------


def fill(cluster, database, messages):
    """Make the tables, with the same content every time."""
    dice = random.Random(1)  # noqa: S311
    cluster.psql(TABLES, database)
    copy(cluster, database, "bench_message", message_rows(dice, messages))
    copy(cluster, database, "bench_line", line_rows(dice, messages))
    copy(cluster, database, "bench_file", file_rows(dice, messages // MESSAGES_OF_EACH_FILE))
    cluster.psql(INDEXES, database)


def message_rows(dice, count):
    """Yield messages of random lengths, 3 KB in the mean, whose words come again as in letters."""
    letters = "eeetaoinshrdlu"
    words = ["".join(dice.choices(letters, k=dice.randint(2, 9))) for _word in range(3000)]
    sentences = [f"<p>{' '.join(dice.choices(words, k=12))}.</p>" for _sentence in range(20_000)]
    for number in range(count):
        length = int(dice.expovariate(1 / MEAN_SENTENCES)) + 1
        body = "".join(dice.choices(sentences, k=length))
        yield f"{number}\t{dice.randrange(5000)}\t{moment(dice)}\t{body}\n"


def line_rows(dice, messages):
    for number in range(messages * LINES_OF_EACH):
        amount = f"{dice.uniform(-9999, 9999):.2f}"
        yield (
            f"{number}\t{dice.randrange(messages)}\t{dice.randrange(300)}\t{moment(dice)[:10]}\t"
            f"{amount}\tINV/2026/{dice.randrange(10**6):06d}\n"
        )


def file_rows(dice, count):
    for number in range(count):
        yield f"{number}\tfile {number}\t\\\\x{dice.randbytes(FILE_SIZE).hex()}\n"


def moment(dice):
    return f"2026-{dice.randint(1, 12):02d}-{dice.randint(1, 28):02d} {dice.randrange(24):02d}:00"


def copy(cluster, database, table, rows):
    command = [binaries() / "psql", "-Xqd", database, "-c", f"COPY {table} FROM STDIN"]
    process = subprocess.Popen(command, env=cluster.environment("postgres"), stdin=subprocess.PIPE)
    with io.TextIOWrapper(process.stdin) as pipe:
        pipe.writelines(rows)
    if process.wait():
        raise SystemExit(f"{table} could not be filled")


@contextlib.contextmanager
def dumped(messages, folder):
    """Yield a PostgreSQL, and the dump of such a database as a file and in Odoo's zip."""
    environment.ensure()
    cluster = Cluster(f"{common.PREFIX}restore", fsync=True).start()
    try:
        name = f"{common.PREFIX}restore"
        server = common.OdooServer(name, cluster, role="odoo", master_password="")
        common.Seed().create(server, common.DATABASE)
        fill(cluster, common.DATABASE, messages)
        dump = folder / "dump.sql"
        cluster.tool("pg_dump", "--no-owner", "-f", dump, common.DATABASE)
        archive = zipped(cluster, dump, folder / "archive.zip")
        cluster.drop(common.DATABASE)
        yield cluster, dump, archive
    finally:
        cluster.remove()


def zipped(cluster, dump, path):
    """Write Odoo's zip of the dump; return its path."""
    query = "SELECT json_object_agg(name, latest_version) FROM ir_module_module "
    modules = cluster.psql(query + "WHERE state = 'installed'", common.DATABASE)
    texts = dict.fromkeys(("odoo_dump", "version", "major_version", "pg_version"), "1")
    manifest = {**texts, "db_name": common.DATABASE, "version_info": [], **{
        "modules": json.loads(modules)}}  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(dump, "dump.sql")
        archive.writestr("manifest.json", json.dumps(manifest))
    return path


# --- the figures --------------------------------------------------------------------------------


def plain(cluster, dump):
    """Restore with createdb and psql; return the seconds."""
    cluster.psql("CHECKPOINT")
    began = time.monotonic()
    cluster.tool("createdb", "-T", "template0", "plain", role="odoo")
    words = ("-X", "-q", "-o", "/dev/null", "-d", "plain", "-f", dump)
    cluster.tool("psql", *words, role="odoo")
    seconds = time.monotonic() - began
    cluster.drop("plain")
    return seconds


def drilled(cluster, archive, report):
    """Restore with the drill; return the seconds."""
    cluster.psql("CHECKPOINT")
    began = time.monotonic()
    drill(archive, "zip", report, cluster.dsn(), Control(), "bench")
    return time.monotonic() - began


def measure(cluster, dump, archive, rounds):
    report = verify(archive, "zip", 2, database=common.DATABASE).as_dict()
    results = {"psql -f": [], "drill": []}
    for number in range(rounds):
        for name in sorted(results, reverse=bool(number % 2)):
            seconds = (
                drilled(cluster, archive, report) if name == "drill" else plain(cluster, dump)
            )
            results[name].append(seconds)
    return results


def main():
    quick = common.arguments(__doc__.splitlines()[0]).quick
    messages = QUICK_MESSAGES if quick else MESSAGES
    with (
        common.alone(),
        common.scratch() as folder,
        dumped(messages, folder) as (cluster, dump, archive),
    ):
        size = dump.stat().st_size
        results = measure(cluster, dump, archive, QUICK_ROUNDS if quick else ROUNDS)
    rows = [
        (name, common.megabytes(size), *(f"{bound(seconds):.2f}" for bound in (min, common.median)))
        for name, seconds in results.items()
    ]
    common.table(("", "MB of SQL", "best s", "median s"), rows)
    pairs = zip(results["drill"], results["psql -f"], strict=True)
    ratio = common.median([drill / psql for drill, psql in pairs])
    return common.verdict("drill / psql -f", f"{ratio:.3f}", f"<= {BOUND}", ratio <= BOUND)


if __name__ == "__main__":
    sys.exit(main())
