"""What destinations cost: throughput beside their peers, memory, and how far an upload overlaps.

Each upload is a process of its own, which begins where the engine process does, and its peer is
another one in the same round: for S3 `upload_file` of s3transfer with a finished file of the same
size, against a server that reads and forgets; for SFTP OpenSSH's `sftp`, against OpenSSH's sshd;
for rclone its own `copyto`, against its own WebDAV server, for comparison only.
The file is a sparse one: no disk is measured where the bytes come from. The median of the rounds
counts.

Memory is the peak of an upload above what the engine has when idle, once from a spool and once from
a stream that is in no file (an encrypted one), where parts have to be kept until they are sent. A
child process that an upload starts counts with all that it has.

Overlap is a spool that is filled at a fixed pace while it is uploaded, beside the longer of the
two alone.

Usage: python benchmarks/destinations.py [--quick] [s3|sftp|rclone ...]
"""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import threading
import time

import common

sys.path.append(str(common.ROOT / "backup_scheduler" / "tests" / "engine"))

import servers_s3  # noqa: E402 - found on the path only now

PATH = "bench/bench/2026-11-20T02-00-00Z.zip"
OWNER = "bench"
CATALOGUE = json.dumps({"run": OWNER}).encode()
MEMORY_BOUND = 96e6
BOUNDS = {"s3": 0.9, "sftp": 0.8, "rclone": None}
OVERLAP_BOUND = 1.15
# Bytes: in full and --quick. What sshd and WebDAV receive lies on the disk.
SIZES = {
    "s3": (8 << 30, 1 << 30), "sftp": (2 << 30, 512 << 20), "rclone": (1 << 30, 256 << 20),
}  # fmt: skip
STREAM_SIZES = (8 << 30, 512 << 20)
OVERLAP_SIZES = (2 << 30, 512 << 20)
# Bytes a second: a source that is neither the fastest nor a slow one.
PACE = 200e6
ROUNDS = 5
BLOCK = 1 << 20
# Seconds.
LIMIT = 1200


# --- in a process of its own --------------------------------------------------------------------


def destination(kind, settings):
    """Return the destination as the engine opens it; nothing of it is imported before."""
    if kind == "s3":
        from engine.destinations.s3 import S3Destination

        return S3Destination(**settings)
    if kind == "rclone":
        from engine.destinations.rclone import RcloneDestination

        return RcloneDestination(**settings)
    from engine.destinations.sftp import SFTPDestination

    return SFTPDestination(**settings)


class Finished:
    """A file that is there already, as a spool that nobody writes to any more."""

    def __init__(self, path, _size):
        self.path = path

    def follow(self):
        buffer = memoryview(bytearray(BLOCK))
        with open(self.path, "rb", buffering=0) as file:
            while length := file.readinto(buffer):
                yield buffer[:length]


class Generated:
    """A stream of ``size`` bytes that is in no file."""

    path = None

    def __init__(self, _path, size):
        self._size = size

    def follow(self):
        block = memoryview(os.urandom(BLOCK))
        for begin in range(0, self._size, BLOCK):
            yield block[: self._size - begin]


def upload(kind, settings, spool):
    """Bring what a spool holds into a destination, as a copy does; return the seconds."""
    began = time.monotonic()
    place = destination(kind, settings)
    one = place.begin(PATH, OWNER, "bench", spool if spool.path else None)
    try:
        for block in spool.follow():
            one.write(block)
        one.flush()
        one.commit(CATALOGUE)
    finally:
        one.abort()
    return time.monotonic() - began


def upload_file(_kind, settings, path):
    """Bring a file to S3 by boto3's own way, with its own settings."""
    began = time.monotonic()
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3", endpoint_url=settings["endpoint_url"], region_name=servers_s3.REGION,
        aws_access_key_id=settings["access_key"], aws_secret_access_key=settings["secret_key"],
        config=Config(s3={"addressing_style": "path"}),
    )  # fmt: skip
    client.upload_file(path, settings["bucket"], f"peer/{PATH}")
    return time.monotonic() - began


def follow(kind, settings, folder, size):
    """Fill a spool at PACE and upload it meanwhile; return the seconds of both together."""
    from engine.spool import Spool

    began = time.monotonic()
    with Spool(folder, "bench") as spool:
        filler = threading.Thread(target=fill, args=(spool, size), daemon=True)
        filler.start()
        upload(kind, settings, spool)
        filler.join()
    return time.monotonic() - began


def fill(spool, size):
    block, began = os.urandom(BLOCK), time.monotonic()
    for begin in range(0, size, BLOCK):
        time.sleep(max(0, began + begin / PACE - time.monotonic()))
        spool.write(block[: size - begin])
    spool.finish()


def child(order):
    """Carry out what the parent asks for; tell seconds and memory."""
    from engine import transfer  # noqa: F401 - what the engine process is when idle

    idle = common.memory(os.getpid(), "VmRSS")
    kind, settings, path, size = (order[name] for name in ("kind", "settings", "path", "size"))
    seconds = {
        "finished": lambda: upload(kind, settings, Finished(path, size)),
        "stream": lambda: upload(kind, settings, Generated(path, size)),
        "peer": lambda: upload_file(kind, settings, path),
        "follow": lambda: follow(kind, settings, path, size),
    }[order["how"]]()
    peak = common.memory(os.getpid(), "VmHWM")
    if kind == "rclone":
        peak += resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "above": peak - idle}))


# --- what is measured ---------------------------------------------------------------------------


def carry_out(how, kind, settings, path="", size=0):
    """Run a child; return its seconds and the bytes of its peak above idle."""
    order = {"how": how, "kind": kind, "settings": settings, "path": str(path), "size": size}
    command = [sys.executable, __file__, "--child"]
    done = subprocess.run(
        command, input=json.dumps(order), stdout=subprocess.PIPE, text=True, check=True,
        timeout=LIMIT,
    )  # fmt: skip
    found = json.loads(done.stdout)
    return found["seconds"], found["above"]


class S3:
    """S3 against a server that keeps nothing."""

    kind = "s3"
    peer_name = "upload_file"

    def __init__(self, _folder, stack):
        self.url = stack.enter_context(servers_s3.DiscardingServer()).url
        self.settings = {
            "endpoint_url": self.url, "bucket": servers_s3.BUCKET, "path_style": True,
            **servers_s3.KEYS,
        }  # fmt: skip

    def peer(self, path):
        return carry_out("peer", self.kind, self.settings, path)[0]

    def clear(self):
        """Nothing was kept."""


class SFTP:
    """SFTP against OpenSSH's server, which writes to the disk of the checkout."""

    kind = "sftp"
    peer_name = "sftp"

    def __init__(self, folder, stack):
        import servers_sftp

        self._server = stack.enter_context(servers_sftp.sftp_server(str(folder / "sshd")))
        self.settings = self._server.settings()

    def peer(self, path):
        """Put with OpenSSH's client; the seconds hold its start and its handshake too."""
        began = time.monotonic()
        options = (
            f"Port={self._server.port}", f"IdentityFile={self._server.key_path}", "BatchMode=yes",
            "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR",
        )  # fmt: skip
        command = ["sftp", "-q", "-b", "-", *(f"-o{option}" for option in options)]
        subprocess.run(
            [*command, f"{self._server.user}@127.0.0.1"], input=f"put {path} peer\n", text=True,
            stdout=subprocess.DEVNULL, check=True, timeout=LIMIT,
        )  # fmt: skip
        return time.monotonic() - began

    def clear(self):
        for name in ("peer", PATH, f"{PATH}.json"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._server.home, name))


class Rclone:
    """Whatever rclone reaches: here its own WebDAV server, on the disk of the checkout."""

    kind = "rclone"
    peer_name = "rclone copyto"

    def __init__(self, folder, stack):
        import servers_rclone

        self._folder = folder / "webdav"
        self._folder.mkdir()
        server = stack.enter_context(servers_rclone.webdav(str(self._folder)))
        self.settings = {"config": server.configuration("there"), "remote": "there", "path": ""}
        self._config = folder / "rclone.conf"
        self._config.write_text(self.settings["config"])

    def peer(self, path):
        began = time.monotonic()
        command = ["rclone", "--config", self._config, "copyto", path, "there:peer"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=LIMIT)
        return time.monotonic() - began

    def clear(self):
        for path in self._folder.rglob("*"):
            if path.is_file():
                path.unlink()


KINDS = {"s3": S3, "sftp": SFTP, "rclone": Rclone}


def throughput(place, path, size):
    """Return the seconds of ours and of the peer's, taken in turns, and the peak above idle."""
    ours, peers, peaks = [], [], []
    for number in range(ROUNDS):
        for name in ("ours", "peer") if number % 2 else ("peer", "ours"):
            place.clear()
            if name == "peer":
                peers.append(place.peer(path))
            else:
                seconds, above = carry_out("finished", place.kind, place.settings, path, size)
                ours.append(seconds)
                peaks.append(above)
    place.clear()
    return ours, peers, max(peaks)


def overlap(place, folder, size):
    """Return the seconds of download and upload together, and of each alone."""
    path = sparse(folder, size)
    alone = carry_out("finished", place.kind, place.settings, path, size)[0]
    place.clear()
    together = carry_out("follow", place.kind, place.settings, folder / "spool", size)[0]
    place.clear()
    return together, size / PACE, alone


def sparse(folder, size):
    path = folder / "finished"
    with path.open("wb") as file:
        file.truncate(size)
    return path


def measure(kind, quick):
    """Measure one kind and print it; return the exit code."""
    size, pause = SIZES[kind][quick], OVERLAP_SIZES[quick]
    with common.scratch() as folder, contextlib.ExitStack() as stack:
        place = KINDS[kind](folder, stack)
        ours, peers, above = throughput(place, sparse(folder, size), size)
        stream = STREAM_SIZES[quick]
        streamed, above_stream = carry_out("stream", kind, place.settings, size=stream)
        place.clear()
        together, download, alone = overlap(place, folder, pause)
    rows = [
        (f"{kind}, from a spool", size, common.median(ours), above),
        (f"{kind}, from a stream", stream, streamed, above_stream),
        (f"{kind}, {place.peer_name}", size, common.median(peers), None),
    ]
    common.table(
        ("", "MiB", "seconds", "MB/s", "above idle MB"),
        [
            (name, length >> 20, f"{seconds:.2f}", f"{length / seconds / 1e6:.0f}",
             common.megabytes(peak) if peak is not None else "")
            for name, length, seconds, peak in rows
        ],
    )  # fmt: skip
    ratio = common.median([peer / own for own, peer in zip(ours, peers, strict=True)])
    bound, whole = BOUNDS[kind], together / max(download, alone)
    peak = max(above, above_stream)
    return max(
        common.verdict(
            f"{kind}, throughput / {place.peer_name}", f"{ratio:.2f}",
            f">= {bound}" if bound else "none", not bound or ratio >= bound,
        ),
        common.verdict(
            f"{kind}, above idle", f"{common.megabytes(peak)} MB", "<= 96 MB", peak <= MEMORY_BOUND
        ),
        common.verdict(
            f"{kind}, download {download:.1f} s, upload {alone:.1f} s, together {together:.1f} s:",
            f"{whole:.2f}", f"<= {OVERLAP_BOUND}", whole <= OVERLAP_BOUND,
        ),
    )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller streams")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="which; all when left out")
    options = parser.parse_args()
    if options.child:
        return child(json.load(sys.stdin))
    with common.alone():
        return max(measure(kind, options.quick) for kind in options.kinds or KINDS)


if __name__ == "__main__":
    sys.exit(main())
