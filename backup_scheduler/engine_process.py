"""One engine process, as its owner sees it."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time

ENGINE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "engine")
# What a process said outside the protocol, such as the interpreter's last words.
TAIL_LENGTH = 4000
# Seconds. An engine that was told to end cleans up within its own limit of 30.
END_LIMIT = 40


class EngineProcess:
    """Carries out one order in a process of its own.

    :param deliver: called with each event from a thread of this object; the last one is always
        ``done``, ``failed``, or ``lost`` when the process ended without a word
    """

    def __init__(self, order, deliver):
        self._deliver = deliver
        self._lock = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and package
            [sys.executable, ENGINE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        self.pid = self._process.pid
        self._send(order)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def publish(self):
        """Allow the archive to get its final name."""
        self._send({"command": "publish", "at": time.monotonic()})

    def cancel(self):
        """Tell the process to stop and to remove what it made."""
        self._send({"command": "cancel"})

    def abandon(self):
        """Let go of it: with the end of its input it stops and cleans up by itself."""
        # What an ended process did not take any more cannot be flushed: it is closed all the same.
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def end(self):
        """Wait until it has ended; kill it when it does not."""
        self.abandon()
        try:
            self._process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def _send(self, message):
        with self._lock:
            try:
                self._process.stdin.write(json.dumps(message) + "\n")
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError):
                # It is gone, or let go of: the reader hears of it.
                return

    def _read(self):
        tail, ended = "", False
        for line in self._process.stdout:
            event = parse(line)
            if event is None:
                tail = (tail + line)[-TAIL_LENGTH:]
                continue
            ended = ended or event["event"] in ("done", "failed")
            self._deliver(event)
        code = self._process.wait()
        if not ended:
            self._deliver({"event": "lost", "exit_code": code, "tail": tail})


def parse(line):
    """Return the event that a line of output holds, or None."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and "event" in event else None
