"""What has to be true once nothing moves any more: rows, files, processes, databases, messages."""

import collections
import datetime
import re

from chaos_user import GOOD, KEPT, MAX_ATTEMPTS
from world import BACKUPS, ENDED

MINUTE = datetime.timedelta(minutes=1)
SCRATCH = "SELECT datname FROM pg_database WHERE datname LIKE 'backup\\_%'"
# A message is sent again once when whoever sent it was killed, and is given up after that.
LOST_LIMIT = 1
FAILURE = re.compile(r"^.{19} Attempt \d+ failed:", re.MULTILINE)


class Promises:
    """:param user: whose runs they are
    :param runs: all of them, oldest first
    """

    def __init__(self, user, runs):
        self.user, self.world, self.cluster = user, user.world, user.cluster
        self.runs = runs
        self.good = [run for run in runs if run["status"] in GOOD]
        found = self.world.call("copy", "search_read", [], order="id")
        self.copies = collections.defaultdict(list)
        for copy in found:
            self.copies[copy["run_id"][0]].append(copy)

    def check(self, firsts, last):
        """:param firsts: the first fire of each job with a schedule
        :param last: the last minute that has a fire
        """
        for job, first in firsts.items():
            runs = [run for run in self.runs if run["job_id"] and run["job_id"][0] == job]
            every_fire_left_one_row(runs, first, last)
        self.every_run_ended()
        self.each_failure_cost_one_attempt()
        self.every_status_is_true()
        for storage in self.user.storages.values():
            self.holds_what_is_recorded(storage)
        self.retention_kept_what_it_should()
        self.no_database_is_left_bare()
        self.every_restore_is_whole_or_gone()
        self.every_message_arrived()
        self.nothing_is_left_behind()

    # --- runs -----------------------------------------------------------------------------------

    def every_run_ended(self):
        assert {run["status"] for run in self.runs} <= set(ENDED)
        assert all(run["attempt"] <= MAX_ATTEMPTS for run in self.runs)
        manual = [run["id"] for run in self.runs if run["trigger"] == "manual"]
        assert sorted(self.user.manual) == manual

    def each_failure_cost_one_attempt(self):
        for run in self.runs:
            if run["id"] in self.user.retried or run["status"] == "skipped":
                continue
            failures = len(FAILURE.findall(run["log"] or ""))
            assert run["attempt"] == failures + (run["status"] in GOOD), (run, run["log"])

    def every_status_is_true(self):
        """A good run has its archive, unless that was deleted; no other one has any."""
        for run in self.runs:
            copies = self.copies[run["id"]]
            assert run["status"] != "verify_failed", (run, "nobody has damaged anything")
            if run["status"] not in GOOD:
                assert not [copy for copy in copies if not is_nothing(copy)], (run, copies)
                continue
            stored = [copy for copy in copies if copy["status"] == "stored"]
            gone = [copy for copy in copies if is_nothing(copy)]
            assert len(stored) + len(gone) == len(copies), (run, copies)
            assert not stored or not gone or run["id"] in self.user.deleted, (run, copies)
            for copy in stored:
                assert (copy["size"], copy["sha256"]) == (run["size"], run["sha256"]), (run, copy)

    # --- archives -------------------------------------------------------------------------------

    def holds_what_is_recorded(self, storage):
        """The copies that are called stored are there, with their bytes, and nothing else is."""
        recorded = {
            copy["path"]: (copy["size"], copy["sha256"])
            for copies in self.copies.values()
            for copy in copies
            if copy["status"] == "stored" and copy["destination_id"][0] == storage.id
        }
        assert storage.archives() == recorded, storage.kind
        assert storage.leftovers() == [], storage.kind

    def retention_kept_what_it_should(self):
        """The newest of each job and database are there, but for what was deleted by hand."""
        by_job = collections.defaultdict(list)
        for run in self.good:
            by_job[run["job_id"] and run["job_id"][0], run["database_name"]].append(run)
        for runs in by_job.values():
            runs.sort(key=lambda run: (run["started_at"], run["id"]))
            for run in runs[-KEPT:]:
                if run["id"] not in self.user.deleted:
                    copies = self.copies[run["id"]]
                    assert {copy["status"] for copy in copies} == {"stored"}, (run, copies)

    def no_database_is_left_bare(self):
        backed_up = {(run["instance_id"][0], run["database_name"]) for run in self.good}
        there = {
            (run["instance_id"][0], run["database_name"])
            for run in self.good
            if any(copy["status"] == "stored" for copy in self.copies[run["id"]])
        }
        assert there == backed_up

    # --- the rest of the world ------------------------------------------------------------------

    def every_restore_is_whole_or_gone(self):
        restores = self.world.call("restore", "search_read", [])
        assert sorted(self.user.restores.values()) == sorted(one["id"] for one in restores)
        assert {one["status"] for one in restores} <= {"done", "failed"}, restores
        self.user.tidy()
        assert self.cluster.psql(SCRATCH) == ""
        assert self.cluster.databases() == [BACKUPS]
        filestores = self.world.server.filestore(BACKUPS).parent
        assert [path.name for path in filestores.iterdir()] == [BACKUPS]

    def every_message_arrived(self):
        received = collections.Counter(self.user.recorder.keys)
        alerts = self.world.call(
            "alert", "search_read", [],
            ["key", "state", "sending", "lost", "attempts", "over_network", "event", "error"],
        )  # fmt: skip
        for alert in alerts:
            assert not alert["sending"], alert
            assert alert["state"] != "pending", alert
            assert received[alert["key"]] <= alert["attempts"], alert
            if alert["state"] == "sent" and alert["over_network"]:
                assert received[alert["key"]], alert
            elif alert["state"] == "failed":
                assert alert["lost"] > LOST_LIMIT, alert

    def nothing_is_left_behind(self):
        assert self.world.leftovers() == []
        assert self.world.engines() == []
        assert self.world.children_of_engines() == []
        assert self.cluster.psql("SELECT kind, run_id FROM backup_task", BACKUPS) == ""
        waiting = "state LIKE 'idle in transaction%' AND now() - state_change > interval '5 s'"
        assert self.cluster.psql(f"SELECT pid FROM pg_stat_activity WHERE {waiting}") == ""


def is_nothing(copy):
    """Return whether the copy says that nothing of it is in its destination."""
    return copy["status"] in ("failed", "deleted") and not copy["path"]


def every_fire_left_one_row(runs, first, last):
    """Each minute from the first to the last one has a row of its own, or one that counts it."""
    minutes = collections.Counter()
    for run in runs:
        if run["trigger"] == "schedule":
            assert run["database_name"] == "shop" or run["status"] == "skipped", run
            minutes.update(moment(run["scheduled_at"]) - n * MINUTE for n in range(stands_for(run)))
    assert first <= last, (first, last)
    expected, minute = [], first
    while minute <= last:
        expected.append(minute)
        minute += MINUTE
    assert sorted(minutes.elements()) == expected


def stands_for(run):
    """Return how many fires the run stands for, its own included."""
    if run["error_code"] == "missed":
        return int(re.match(r"(\d+) fires", run["error"])[1])
    earlier = re.search(r"stands for (\d+) fires", run["log"] or "")
    return 1 + int(earlier[1] if earlier else 0)


def moment(text):
    """Return the minute that one of Odoo's datetimes lies in."""
    return datetime.datetime.fromisoformat(f"{text}+00:00").replace(second=0, microsecond=0)
