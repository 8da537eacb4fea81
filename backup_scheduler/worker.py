"""The worker: one process a machine that executes the tasks of one database.

It claims tasks, starts an engine process for each, keeps their leases, and records what they
report. Nothing it holds in memory matters: killed at any moment, its engines end by themselves, its
leases run out, and the next worker goes on.
"""

import logging
import resource
import signal
import threading
import time

from odoo.modules.registry import Registry

from .executor import Executor
from .launcher import worker_seat
from .models.task.backup_task_execution import DATABASE_ERRORS
from .models.task.kinds import ASIDE, BACKUP, SPARE
from .runner import Runner, first_line

_logger = logging.getLogger(__name__)

# Seconds. How soon a queued task is seen, and how soon a stop is noticed.
POLL = 1
# Seconds between looks for lost tasks.
HOUSEKEEPING = 15
# Seconds without anything to do after which a worker ends; the dispatcher starts the next one.
IDLE_LIMIT = 600
# Seconds between tries while PostgreSQL is away.
DATABASE_PAUSE = 2


class Worker:
    """:param stay: wait for work for ever, instead of ending after an idle while
    :param seat: the descriptor of the seat, where the launcher has taken it for this process"""

    def __init__(self, dbname, stay=False, seat=None):
        self.dbname = dbname
        self.stay = stay
        self._inherited_seat = seat
        self.registry = Registry(dbname)
        self.executor = None
        self.runner = None
        self._stopping = False
        self._away = False
        self._is_new = True
        self._reap_at = 0

    def run(self):
        """Work until told to stop or idle for long. Where another worker is here, wait for its end
        (``stay``), or return at once."""
        # It has booted: see BOOT_LIMIT.
        signal.alarm(0)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        # Odoo's log names the database of each line by it.
        threading.current_thread().dbname = self.dbname
        if self._take_seat():
            return
        _logger.info("Another backup worker is at work on %s", self.dbname)
        while self.stay and not self._stopping and not self._take_seat():
            time.sleep(POLL)

    def _take_seat(self):
        """Work in the seat of this machine's worker; return whether it was free."""
        with worker_seat(self.dbname, self._inherited_seat) as seat:
            if not seat:
                return False
            self.executor = Executor(self.registry, seat)
            self.runner = Runner(self.executor)
            _logger.info("Backup worker of %s at work", self.dbname)
            try:
                self._loop()
            finally:
                self._end_all()
        _logger.info("Backup worker of %s ends", self.dbname)
        return True

    def _stop(self, number, frame):
        self._stopping = True

    def _loop(self):
        useful_at = available_at = time.monotonic()
        while not self._stopping:
            try:
                outdated = self._beat()
                available_at = time.monotonic()
            except DATABASE_ERRORS as error:
                if not self._away:
                    _logger.warning("The database is away: %s", first_line(error))
                self._away, outdated = True, False
                time.sleep(DATABASE_PAUSE)
            if self.runner.tasks:
                useful_at = time.monotonic()
            elif outdated or self._is_over(useful_at) or self._is_over(available_at):
                return
            self.runner.wait(POLL)

    def _beat(self):
        """Do what is due: record, keep leases, clean up, take on more.

        Returns whether modules were updated: then a new process, with the new code, takes over.
        """
        outdated = Registry(self.dbname).check_signaling() is not self.registry
        self._away = False
        self.runner.beat()
        if time.monotonic() >= self._reap_at:
            # At first also the attempts of whoever had this seat before.
            self.executor.reap(predecessors=self._is_new)
            self._is_new = False
            self._reap_at = time.monotonic() + HOUSEKEEPING
        if not outdated:
            self._take_on()
        return outdated

    def _is_over(self, since):
        return not self.stay and time.monotonic() - since > IDLE_LIMIT

    def _take_on(self):
        """Claim tasks while there is room for them."""
        limit = self.executor.parallel_runs()
        while places := self._free_places(limit):
            task = self.executor.claim(places)
            if not task or not task.kind:
                # Whatever comes of a broken one, the leases are renewed before the next.
                return
            self.runner.start(task)

    def _free_places(self, limit):
        """Return the places that are free, of ``limit`` for backups.

        What can wait never takes the last one of a backup. Alerts have one of their own: they
        neither wait for backups nor take a place of theirs.
        """
        taken = [task.place for task in self.runner.tasks.values()]
        places = [] if ASIDE in taken or not limit else [ASIDE]
        if len(taken) - taken.count(ASIDE) < limit:
            places.append(BACKUP)
            if taken.count(SPARE) < max(1, limit - 1):
                places.append(SPARE)
        return places

    def _end_all(self):
        """Stop the engines. Give their tasks back when we were told to stop.

        After a failure of our own they are found lost instead, which counts as an attempt: a task
        that brings down each worker that takes it must come to its end.
        """
        self.runner.stop()
        if self._stopping:
            self.runner.give_back()


def lift_limits():
    """Give this process, and the engines after it, what the machine allows.

    Odoo's limits are made for requests; a child inherits them, and SIGXCPU kills it after a minute
    of computing.
    """
    for limit in (resource.RLIMIT_CPU, resource.RLIMIT_AS):
        _soft, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (hard, hard))
