"""Throughput over HTTP: the engine process beside curl, of the same database, in the same run.

Both fetch Odoo's zip from the same real prefork Odoo and write it to the same disk, in turns. The
engine computes its SHA-256 meanwhile. Each round is compared in itself, and the median of the
rounds counts: what else the machine does changes from minute to minute. The bound holds for the
download, from the request to the last byte. Its two parts are shown apart: the time until the first
byte is the server's, which dumps; in the transfer, the reader has its share.

Usage: python benchmarks/http_source.py [--quick]
"""

import subprocess
import sys
import time
import urllib.parse

import common

BOUND = 0.95
ROUNDS, QUICK_ROUNDS = 7, 5
SEED = common.Seed(attachments=800, megabytes=600)
QUICK_SEED = common.Seed(attachments=200, megabytes=120)


def curl(url, folder):
    """Fetch with curl; return seconds to the first byte and in all, and the bytes."""
    form = {"master_pwd": common.MASTER_PASSWORD, "name": common.DATABASE, "backup_format": "zip"}
    target = folder / "curl.zip"
    command = ["curl", "-sS", "--fail", "-o", target, "--data", "@-",
               "-w", "%{time_starttransfer} %{time_total} %{size_download}",
               f"{url}/web/database/backup"]  # fmt: skip
    done = subprocess.run(
        command, input=urllib.parse.urlencode(form), capture_output=True, text=True, check=True
    )
    first, total, size = map(float, done.stdout.split())
    target.unlink()
    return first, total, int(size)


def engine(url, folder):
    """Fetch with the engine; return the same, and the seconds of the whole run."""
    began = time.monotonic()
    events = common.carry_out(common.backup_order(url, folder))
    asked = common.moment(events, "stage", stage="download")
    # The first block of 1 MB tells of itself at once.
    first = common.moment(events, "progress", stage="download") - asked
    total = common.moment(events, "stage", stage="verify") - asked
    return first, total, events[-1]["size"], events[-1]["at"] - began


def measure(url, folder, rounds):
    """Return the results of both, taken in turns so that the machine's moods hit both."""
    results = {"curl": [], "engine": []}
    curl(url, folder)
    for number in range(rounds):
        for name in ("curl", "engine") if number % 2 else ("engine", "curl"):
            results[name].append((curl if name == "curl" else engine)(url, folder))
    return results


def report(results):
    rows = []
    for name, rounds in results.items():
        first, total, size, *whole = map(common.median, zip(*rounds, strict=True))
        transfer = common.median([values[1] - values[0] for values in rounds])
        rows.append((
            name, common.megabytes(size), f"{first:.2f}", f"{transfer:.2f}", f"{total:.2f}",
            f"{size / transfer / 1e6:.0f}", f"{size / total / 1e6:.1f}",
            f"{whole[0]:.2f}" if whole else "",
        ))  # fmt: skip
    common.table(
        ("median of", "MB", "first byte s", "transfer s", "download s", "transfer MB/s",
         "download MB/s", "whole run s"),
        rows,
    )  # fmt: skip


def ratio(results, seconds):
    """Return the median over the rounds of curl's time divided by the engine's."""
    pairs = zip(results["curl"], results["engine"], strict=True)
    return common.median([seconds(*curl[:2]) / seconds(*engine[:2]) for curl, engine in pairs])


def main():
    quick = common.arguments(__doc__.splitlines()[0]).quick
    seed = QUICK_SEED if quick else SEED
    with common.alone(), common.remote(seed) as server, common.scratch() as folder:
        results = measure(server.url, folder, QUICK_ROUNDS if quick else ROUNDS)
    report(results)
    transfer = ratio(results, lambda first, total: total - first)
    common.say(f"transfer alone, engine / curl: {transfer:.3f}")
    download = ratio(results, lambda first, total: total)
    return common.verdict(
        "download, engine / curl", f"{download:.3f}", f">= {BOUND}", download >= BOUND
    )


if __name__ == "__main__":
    sys.exit(main())
