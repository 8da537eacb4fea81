"""What people do while everything is killed: they ask for backups, verifications and restores, try
again what failed, delete by hand, and connect new servers."""

import collections
import contextlib
import http.client
import shutil
import xmlrpc.client

from world import BACKUPS

GOOD = ("success", "verified")
MAX_ATTEMPTS = 4
KEPT = 2
# Seconds that a killed server may take to answer, and what was asked for to begin or to end.
ANSWER, BEGIN = 120, 240
# What a server says that is down, or whose database is.
UNAVAILABLE = (OSError, http.client.HTTPException, xmlrpc.client.Error)
# What Odoo's faults are numbered that tell people what they did wrong.
REFUSED = (2, 3, 4)
ALL = "all"


class User:
    """Somebody at the backup server.

    :ivar manual: the runs that were asked for
    :ivar retried: the runs that were tried again
    :ivar deleted: the runs whose archives were deleted by hand
    :ivar ended: what is remembered of runs that have ended
    :ivar restores: ``{database: id of its restore}``
    :ivar asked: how often what was asked for
    :ivar faults: what the server answered that nobody should read
    """

    def __init__(self, world, cluster, dice, storages, recorder):
        self.world, self.cluster, self.dice = world, cluster, dice
        self.storages, self.recorder = storages, recorder
        self.manual, self.retried, self.deleted, self.restores = [], set(), set(), {}
        self.ended, self.asked, self.faults = {}, collections.Counter(), []
        self._new = 0
        self._actions = {
            "verification": self.verify,
            "restore": self.restore,
            "retry of a run": self.retry_run,
            "retry of a copy": self.retry_copies,
            "deletion": self.delete,
            "new server": self.connect_new_server,
        }

    # --- setting up -----------------------------------------------------------------------------

    def set_up(self, slow_url):
        """Make an alert channel, a server on a slow line and one on a quick one, with jobs into all
        destinations together and into each alone; return the ids of those with a schedule."""
        hook = f"{self.recorder.url}/hook/hush-hush"
        values = {"name": "Recorder", "kind": "webhook", "url": hook}
        self.world.call("alert.channel", "create", [values])
        self.slow = self._connect("Slow line", slow_url, max_parallel_runs=2)
        self.quick = self._connect("Quick line", self.world.remote.url)
        every_minute = {"cron_expression": "* * * * *", "max_attempts": MAX_ATTEMPTS}
        jobs = [
            self._job(self.slow, "Catches up", ALL, catch_up=True, **every_minute),
            self._job(self.slow, "Does not", "s3", "sftp", catch_up=False, **every_minute),
        ]
        self.by_hand = {
            instance: {kind: self._job(instance, f"By hand: {kind}", kind)
                       for kind in (ALL, *self.storages)}
            for instance in (self.slow, self.quick)
        }  # fmt: skip
        return jobs

    def _connect(self, name, url, **values):
        instance = self.world.create_instance(url, name=name, **values)
        assert self.world.call("instance", "test_connection", [instance])["ok"]
        return instance

    def _job(self, instance, name, *kinds, **values):
        kinds = tuple(self.storages) if kinds == (ALL,) else kinds
        values = {
            "name": name,
            "destination_ids": [[6, 0, [self.storages[kind].id for kind in kinds]]],
            "retention_mode": "keep_last_n",
            "retention_value": KEPT,
            "ping_url": f"{self.recorder.url}/ping/hush-hush",
            **values,
        }
        return self.world.create_job(instance, **values)

    # --- asking ---------------------------------------------------------------------------------

    def ask(self, model, method, *arguments, **named):
        """Call, again and again while the server or its database is not there."""

        def answer():
            with contextlib.suppress(*UNAVAILABLE):
                return (self.world.call(model, method, *arguments, **named),)
            return None

        return self.world.wait_until(answer, ANSWER, f"an answer to {model}.{method}")[0]

    def try_to(self, what, model, method, *arguments):
        """Ask once, for what may be refused; return the answer, or None."""
        try:
            answer = self.world.call(model, method, *arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode not in REFUSED:
                self.faults.append(f"{model}.{method}{arguments}: {fault.faultString}")
            return None
        self.asked[what] += 1
        return answer

    def rows(self, sql):
        """Return what a query finds, as lists of texts."""
        return [line.split("|") for line in self.cluster.psql(sql, BACKUPS).splitlines()]

    def ids(self, sql):
        return [int(row[0]) for row in self.rows(sql)]

    def run_now(self, instance, kind):
        (run,) = self.ask("job", "run_now", [self.by_hand[instance][kind]])
        self.manual.append(run)
        return run

    def good_run(self, kind):
        """Return a good run with a copy in the destination, on its quick line, at which nobody is
        at work; make one where there is none."""
        for _time in range(5):
            if found := self._idle(f"run.job_id = {self.by_hand[self.quick][kind]}"):
                return found[-1]
            self.wait_for_end(self.run_now(self.quick, kind))
        raise AssertionError(f"no backup into {kind} ends well")

    def superfluous_run(self, kind):
        """Return a good run with a copy in the destination which is not the last one."""
        for _time in range(5):
            found = self._idle(f"run.job_id = {self.by_hand[self.quick][kind]}")
            if found[:-1]:
                return found[0]
            self.wait_for_end(self.run_now(self.quick, kind))
        raise AssertionError(f"no two backups into {kind} end well")

    def wait_for_end(self, run):
        return self.world.wait_until(
            lambda: self.rows(
                f"SELECT status FROM backup_run WHERE id = {run} AND finished_at IS NOT NULL "
                "AND status NOT IN ('queued', 'running')"
            ),
            BEGIN, f"run {run} came to an end",
        )[0][0]  # fmt: skip

    def _idle(self, condition="TRUE"):
        """Return the good runs, oldest first, that have no task and an archive which is to stay."""
        return self.ids(
            f"""
            SELECT run.id FROM backup_run run
             WHERE run.status IN {GOOD} AND run.stored_copies > 0 AND {condition}
               AND NOT EXISTS (SELECT FROM backup_task WHERE run_id = run.id)
               AND NOT EXISTS (SELECT FROM backup_copy WHERE run_id = run.id
                                AND (status <> 'stored' OR deletion_requested_at IS NOT NULL))
             ORDER BY run.id
            """
        )

    def hurry(self, kind):
        """Let the time of a task that waits be come."""
        assert self.rows(f"SELECT 1 FROM backup_task WHERE kind = '{kind}'"), kind
        self.cluster.psql(
            "UPDATE backup_task SET due_at = now() AT TIME ZONE 'UTC' "
            f"WHERE kind = '{kind}' AND lease_token IS NULL",
            BACKUPS,
        )

    # --- what may happen at any time ------------------------------------------------------------

    def act(self, times):
        for name in self.dice.sample(list(self._actions), times):
            self._actions[name]()
        self.tidy()

    def verify(self):
        if copies := self.ids("SELECT id FROM backup_copy WHERE status = 'stored' ORDER BY id"):
            level = self.dice.choice((2, 3, 4))
            copy = self.dice.choice(copies)
            self.try_to(f"verification, level {level}", "copy", "verify", [copy], level)

    def restore(self):
        if runs := self._idle():
            self.restore_run(self.dice.choice(runs))

    def restore_run(self, run):
        name = f"restored-{len(self.restores) + 1}"
        if restore := self.try_to("restore", "run", "restore", [run], name):
            self.restores[name] = restore

    def retry_run(self):
        for run in self.ids("SELECT id FROM backup_run WHERE status = 'failed' ORDER BY id")[-1:]:
            if self.try_to("retry of a run", "run", "retry", [run]):
                self.retried.add(run)
                self.ended.pop(run, None)

    def retry_copies(self):
        failed = [["status", "=", "failed"], ["run_id.stored_copies", ">", 0]]
        for copy in self.ask("copy", "search", failed)[:3]:
            self.try_to("retry of a copy", "copy", "retry", [copy])

    def delete(self):
        if runs := self._idle()[:-1]:
            self.delete_archives(self.dice.choice(runs))

    def delete_archives(self, run):
        if self.try_to("deletion", "run", "delete_archives", [run]):
            self.deleted.add(run)

    def connect_new_server(self):
        """Back up a server of which nobody knows yet what databases it has."""
        self._new += 1
        instance = self.world.create_instance(name=f"New server {self._new}")
        kind = self.dice.choice(list(self.storages))
        job = self._job(instance, "First backup", kind, max_attempts=2)
        self.manual += self.ask("job", "run_now", [job])
        self.asked["new server"] += 1

    def tidy(self):
        """Drop what was restored."""
        for name in self.restored():
            self.cluster.drop(name)
            shutil.rmtree(self.world.server.filestore(name), ignore_errors=True)

    def restored(self):
        """Return the names of the databases that are there because of a restore."""
        done = self.rows("SELECT database_name FROM backup_restore WHERE status = 'done'")
        databases = self.cluster.databases()
        return [name for (name,) in done if name in databases]
