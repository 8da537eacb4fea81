"""One engine process, as its owner sees it."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time

ENGINE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "engine")
# Why a process was killed.
TIME_LIMIT, CANCELLED = "time_limit", "cancelled"
# What a process said outside the protocol, such as the interpreter's last words.
TAIL_LENGTH = 4000
# Seconds. An engine that was told to end, or has reached its time limit, cleans up within 30.
END_LIMIT = 40


class EngineProcess:
    """Carries out one order in a process of its own.

    The process ends by itself when it is cancelled or its ``time_limit`` is up. It is killed where
    it does not: code that holds the interpreter's lock heeds nothing.

    :param deliver: called with each event from a thread of this object; the last one is always
        ``done``, ``failed``, or ``lost`` when the process ended without a word; of one that was
        killed here, ``killed`` says why (``time_limit`` or ``cancelled``)
    :param grace: seconds that it gets to end by itself
    :param shared: open file descriptors that it gets, under their numbers
    """

    def __init__(self, order, deliver, grace=None, shared=()):
        self._deliver = deliver
        self._grace = END_LIMIT if grace is None else grace
        self._lock = threading.Lock()
        # Why it was killed, and the timers that do so, by their reasons.
        self._killed = None
        self._timers = {}
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and package
            [sys.executable, ENGINE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=shared,
            encoding="utf-8",
            errors="replace",
        )
        self.pid = self._process.pid
        self._send(order)
        if limit := order.get("time_limit"):
            self._kill_after(limit + self._grace, TIME_LIMIT)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def publish(self):
        """Allow the archive to get its final name."""
        # As the engine's own control.moment(): this module is imported without the package, too.
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._send({"command": "publish", "at": now})

    def cancel(self):
        """Tell the process to stop and to remove what it made."""
        self._send({"command": "cancel"})
        self._kill_after(self._grace, CANCELLED)

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

    def _kill_after(self, seconds, reason):
        """Kill the process when it has not ended by then; the first call for a reason counts."""
        with self._lock:
            if reason in self._timers:
                return
            timer = threading.Timer(seconds, self._kill, [reason])
            timer.daemon = True
            self._timers[reason] = timer
        timer.start()

    def _kill(self, reason):
        if self._process.poll() is None:
            self._killed = self._killed or reason
            self._process.kill()

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
        with self._lock:
            for timer in self._timers.values():
                timer.cancel()
        if not ended:
            killed = {"killed": self._killed} if self._killed else {}
            self._deliver({"event": "lost", "exit_code": code, "tail": tail, **killed})


def parse(line):
    """Return the event that a line of output holds, or None."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and "event" in event else None
