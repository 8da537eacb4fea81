"""The kinds of task: what each is about, when it may begin, and what comes first.

A kind is one entry here and a few methods of the model that it is about, each named after it:

- ``_order_<kind>(task)`` returns what an engine process is told to do, secrets included;
- ``_record_<kind>(task, event)`` writes down one event of the engine. The last one is ``done``,
  ``failed`` or ``lost``; after it the task is gone, unless the method made it wait again;
- ``_begin_<kind>(task)``, where a beginning is to be seen;
- ``_give_back_<kind>(task)``, where more is to be done than waiting for the next executor;
- ``_withdraw_<kind>(task)``, where people may withdraw one that waits;
- ``_plan_tasks()`` plans what follows from the end of a task.
"""

import dataclasses

from odoo.tools import SQL, LazyTranslate

_lt = LazyTranslate(__name__)

# Where an executor has room for a task. One of the backups' places; one of them that is never the
# last; or a place of its own, beside them.
BACKUP, SPARE, ASIDE = "backup", "spare", "aside"

# An instance limits its parallel backups, and a job may want its runs one after the other.
MAY_BACK_UP = SQL(
    """
    EXISTS (
        SELECT 1
          FROM backup_instance instance
         WHERE instance.id = task.instance_id
           AND (
                COALESCE(instance.max_parallel_runs, 0) = 0
                OR instance.max_parallel_runs > (
                    SELECT count(*)
                      FROM backup_task other
                     WHERE other.instance_id = task.instance_id
                       AND other.kind IN ('backup', 'discover')
                       AND other.lease_token IS NOT NULL
                )
           )
    )
    AND NOT EXISTS (
        SELECT 1
          FROM backup_run run
          JOIN backup_run before ON before.instance_id = run.instance_id
           AND before.job_id = run.job_id
           AND before.database_name = run.database_name
           AND before.id < run.id
           AND before.status IN ('queued', 'running')
         WHERE run.id = task.run_id AND run.in_order
    )
    """
)


@dataclasses.dataclass(frozen=True)
class Kind:
    """What is general about the tasks of one kind.

    :ivar label: what people call it
    :ivar model: the model that has its methods
    :ivar subject: the field of the task that names the record it is about; empty: none
    :ivar priority: lower comes first
    :ivar place: ``BACKUP``, ``SPARE`` or ``ASIDE``
    :ivar may_begin: SQL that is true of a row ``task`` that may begin now
    :ivar leaves: whether a process that is killed at it leaves files on its machine, or a database
    """

    label: object
    model: str
    subject: str
    priority: int
    place: str = SPARE
    may_begin: SQL = dataclasses.field(default_factory=lambda: SQL("TRUE"))
    leaves: bool = False


# What somebody waits for comes before the schedule, and what can wait after it.
NOTIFY, RESTORE, MANUAL, SCHEDULE, REQUESTED, LATER = 0, 10, 20, 21, 30, 40

KINDS = {
    "notify": Kind(_lt("Alerts"), "backup.alert", "", NOTIFY, ASIDE),
    "restore": Kind(
        _lt("Restore"), "backup.restore", "restore_id", RESTORE, BACKUP, leaves=True
    ),
    "backup": Kind(
        _lt("Backup"), "backup.run", "run_id", SCHEDULE, BACKUP, MAY_BACK_UP, leaves=True
    ),
    "discover": Kind(_lt("Discovery"), "backup.run", "run_id", SCHEDULE, BACKUP, MAY_BACK_UP),
    "verify": Kind(_lt("Verification"), "backup.run", "run_id", LATER, leaves=True),
    "delete": Kind(_lt("Deletion"), "backup.run", "run_id", LATER),
    "replicate": Kind(_lt("Replication"), "backup.run", "run_id", LATER, leaves=True),
    "discard": Kind(_lt("Clean-Up"), "backup.run", "run_id", LATER),
    "sweep": Kind(_lt("Clean-Up of This Server"), "backup.restore", "", LATER),
}
# An attempt at a run.
ATTEMPTS = ("backup", "discover")


def may_begin():
    """Return the SQL that is true of each row ``task`` whose kind lets it begin now."""
    cases = [
        SQL("WHEN %s THEN %s", name, kind.may_begin)
        for name, kind in KINDS.items()
        if kind.may_begin.code != "TRUE"
    ]
    return SQL("CASE task.kind %s ELSE TRUE END", SQL(" ").join(cases))


def in_places(places):
    """Return the names of the kinds that go into one of the places."""
    return [name for name, kind in KINDS.items() if kind.place in places]
