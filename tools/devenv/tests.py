"""make test: every runner there is, their counts summed in one closing line.

Runners that wait most of the time run beside each other and beside the two that compute, which go
one after the other and let the waiting ones go first. The output of each is shown whole, when it
ends; that of a runner which ONLY names and which is one process, as it comes. What failed is said
again at the end, where whoever has only the end of a long log finds it.
"""

import contextlib
import os
import queue
import shutil
import sys
import tempfile
import threading
import time

from . import environment, processes
from .counting import Count
from .fail import DevError, say
from .runners import runners

COMPUTING = ("engine", "addon")
# How much the ones that compute step back: a test that waits has a clock to watch.
NICENESS = 5
# Seconds between two lines that say what still runs; and between two tries to end it.
STILL_THERE, AGAIN = 60, 0.5


def test():
    """Run all runners, or the one that ONLY names; return 0 when something ran and all passed."""
    chosen = runners()
    only = os.environ.get("ONLY")
    names = list(dict.fromkeys(runner.name for runner in chosen))
    if only and only not in names:
        raise DevError(f"ONLY={only} is no runner: one of {', '.join(names)}")
    chosen = [runner for runner in chosen if only in (None, "", runner.name)]
    environment.ensure()
    with environment.only_one("test"):
        say(f"Tests: {', '.join(runner.title for runner in chosen)}")
        if len(chosen) == 1:
            results = [(chosen[0], chosen[0].run(sys.stdout))]
        else:
            results = Together(chosen).run()
    return _tell(results, [name for name in names if only in (None, "", name)])


def _tell(results, names):
    total = Count()
    for name in names:
        count = sum((count for runner, count in results if runner.name == name), Count())
        for reason in count.reasons:
            sys.stdout.write(f"==> FAILED: {name}: {reason}\n")
        say(f"{name}: {count.passed} passed, {count.failed} failed, {count.skipped} skipped")
        total += count
    sys.stdout.write(f"{total.passed} passed, {total.failed} failed\n")
    sys.stdout.flush()
    return 1 if total.failed else 0


class Together:
    """Runners beside each other, each lane of them in a thread of its own."""

    def __init__(self, chosen):
        self._runners = chosen
        self._results = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._began = time.monotonic()
        computing = [runner for runner in chosen if runner.title in COMPUTING]
        lanes = [(runner,) for runner in chosen if runner.title not in COMPUTING]
        self._threads = [
            threading.Thread(target=self._lane, args=(lane,), daemon=True)
            for lane in (computing, *lanes)
            if lane
        ]

    def run(self):
        """Return (runner, its count) of each, its output shown; end all when interrupted."""
        results = []
        for thread in self._threads:
            thread.start()
        try:
            while len(results) < len(self._runners):
                runner, count, output, seconds = self._next(results)
                say(f"Tests: {runner.title}, {seconds:.0f} s")
                with output:
                    output.seek(0)
                    shutil.copyfileobj(output, sys.stdout)
                results.append((runner, count))
        except BaseException:
            self._stop()
            raise
        return results

    def _lane(self, lane):
        if lane[0].title in COMPUTING:
            # Linux: of this thread alone, and of the processes that it starts.
            os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
        for runner in lane:
            if self._stopped.is_set():
                return
            began = time.monotonic()
            output = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - reader closes
            try:
                count = runner.run(output)
            except Exception as error:  # noqa: BLE001 - told with the output, and counted
                output.write(f"==> FAILED: {type(error).__name__}: {error}\n")
                count = Count(failed=1, reasons=(f"{runner.title}: {error}",))
            self._results.put((runner, count, output, time.monotonic() - began))

    def _next(self, results):
        """Return the next result, and say now and then what is still waited for."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self._results.get(timeout=STILL_THERE)
            ended = [runner for runner, _count in results]
            titles = [runner.title for runner in self._runners if runner not in ended]
            seconds = time.monotonic() - self._began
            say(f"Still to come after {seconds:.0f} s: {', '.join(titles)}")

    def _stop(self):
        """End every process of every runner; the threads then clean up what they started."""
        self._stopped.set()
        while any(thread.is_alive() for thread in self._threads):
            for runner in self._runners:
                processes.end_marked(runner.mark)
            for thread in self._threads:
                thread.join(AGAIN)
