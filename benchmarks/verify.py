"""python benchmarks/verify.py: what level 3 costs beside `unzip -t` on the same archive.

Both read a backup that a real Odoo made of a database with many files, in turns, each in a process
of its own; the time is that of the process, its start included.
"""

import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import common

SEED = common.Seed(attachments=800, megabytes=600)
QUICK_SEED = common.Seed(attachments=200, megabytes=120)
ROUNDS, QUICK_ROUNDS = 7, 3
# Level 3 against `unzip -t`, and the most memory of its process (bytes).
TIME_RATIO, MEMORY = 0.6, 64_000_000
TIMEOUT = 900
BLOCK = 1 << 20
# Prints what was read, and the peak of the memory.
CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from engine.archive.verify import verify
report = verify(sys.argv[2], "zip", 3)
assert report.level == 3
print(report.attachments, report.filestore_files, report.tables)
print(*(line.strip() for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def main():
    quick = common.arguments(__doc__.splitlines()[0]).quick
    unzip = shutil.which("unzip")
    if not unzip:
        raise SystemExit("there is no unzip to compare with: apt-get install unzip")
    seed = QUICK_SEED if quick else SEED
    with common.alone(), common.scratch() as folder, common.remote(seed) as remote:
        archive = folder / "archive.zip"
        download(remote.url, archive)
        commands = {
            "unzip -t": [unzip, "-tq", archive],
            "level 3": [sys.executable, "-c", CHILD, common.ROOT / "backup_scheduler", archive],
        }
        times, output = measure(commands, QUICK_ROUNDS if quick else ROUNDS)
        size = archive.stat().st_size
    return tell(times, output, size)


def download(url, archive):
    """Let the database manager make the archive, as any backup over HTTP does."""
    fields = {"master_pwd": common.MASTER_PASSWORD, "name": common.DATABASE,
              "backup_format": "zip"}  # fmt: skip
    request = urllib.request.Request(  # noqa: S310 - a server of our own
        f"{url}/web/database/backup", urllib.parse.urlencode(fields).encode()
    )
    with (
        urllib.request.urlopen(request, timeout=TIMEOUT) as answer,  # noqa: S310
        archive.open("wb") as file,
    ):
        shutil.copyfileobj(answer, file, BLOCK)


def measure(commands, rounds):
    """Return the seconds of each command, round by round, and what the last one printed."""
    times = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            done = subprocess.run(
                command, check=True, timeout=TIMEOUT, stdout=subprocess.PIPE, text=True
            )
            # The first round brings the archive into the cache of the system.
            if number:
                times[name].append(time.perf_counter() - start)
    return times, done.stdout


def tell(times, output, size):
    """Print the table and the verdicts; return the exit code."""
    counts, peak = output.splitlines()
    attachments, files, tables = counts.split()
    memory = int(peak.split()[1]) * 1024
    common.say(
        f"A backup of {common.megabytes(size)} MB: {attachments} attachments, {files} files, "
        f"{tables} tables"
    )
    medians = {name: common.median(values) for name, values in times.items()}
    rows = [
        (name, f"{middle:.2f}", f"{min(times[name]):.2f}", f"{size / middle / 1e6:.0f}")
        for name, middle in medians.items()
    ]
    common.table(("", "median s", "least s", "MB/s"), rows)
    ratio = medians["level 3"] / medians["unzip -t"]
    common.say()
    return (
        common.verdict("level 3 / unzip -t", f"{ratio:.2f}", TIME_RATIO, ratio <= TIME_RATIO)
        | common.verdict("peak memory (MB)", common.megabytes(memory), MEMORY / 1e6,
                         memory <= MEMORY)
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
