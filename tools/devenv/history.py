"""A month of backups as it would look: rows beside the runs that were really made.

Nobody waits thirty days for a picture. What is seeded has no archives.
"""

SCRIPT = '''
import datetime
import random

from odoo import fields

DAYS = 30
dice = random.Random(7)
now = fields.Datetime.now()
today = now.replace(hour=0, minute=0, second=0)
place = env["backup.destination"].search([("kind", "=", "local")], limit=1)
MEGABYTE = 1_000_000


def databases(instance, names):
    known = set(instance.database_ids.mapped("name"))
    missing = [{"instance_id": instance.id, "name": name} for name in names if name not in known]
    env["backup.database"].create(missing)


def run_of(job, name, due, status, size, code="", error="", hint=""):
    """A run that began when it was due, at some 30 MB/s."""
    good = status in ("verified", "success")
    seconds = max(size / 30 / MEGABYTE * dice.uniform(0.8, 1.3), 1)
    began = due + datetime.timedelta(seconds=dice.uniform(1, 20))
    kept = (now - due).days < 14
    copy = {
        "destination_id": place.id,
        "status": ("stored" if kept else "deleted") if good else "failed",
        "path": f"{job.instance_id.name}/{name}/{due:%Y-%m-%d_%H%M%S}.zip",
        "size": size if good else 0,
    }
    return {
        "job_id": job.id, "job_name": job.name, "instance_id": job.instance_id.id,
        "database_name": name, "trigger": "schedule", "scheduled_at": due,
        "started_at": began if status != "skipped" else False,
        "finished_at": began + datetime.timedelta(seconds=seconds),
        "duration": seconds if status != "skipped" else 0,
        "status": status, "attempt": 1, "max_attempts": 3, "archive_format": "zip",
        "size": size if good else 0, "sha256": f"{dice.getrandbits(256):064x}" if good else False,
        "verification_level": "3" if status == "verified" else False,
        "verified_at": began + datetime.timedelta(seconds=seconds) if good else False,
        "odoo_version": "19.0", "error_code": code, "error": error, "hint": hint,
        "copy_ids": [(0, 0, copy)] if good else [],
    }


REFUSED = ("wrong_master_password", "The server refused the master password.",
           "Enter the master password of that server on the instance.")
DOWN = ("connection_failed", "The server did not answer: connection refused.",
        "Look whether the server runs, and whether a firewall is between.")
FULL = ("no_space", "No space left on the device of the destination.",
        "Free space there, or let the job keep fewer archives.")
DAMAGED = ("damaged", "filestore/3f/3f91c0 does not have the content its name stands for.",
           "Verify the disk of the destination, and make a new backup.")
MISSED = ("missed", "2 fires were missed while the scheduler was not running.", "")


def status_of(instance, name, age):
    """What happened so many days ago."""
    if instance == "Old CRM" and age < 4:
        return ("failed", *REFUSED)
    if instance == "Branch office" and age < 9:
        return ("failed", *DOWN)
    if name == "warehouse" and age == 11:
        return ("failed", *FULL)
    if name == "webshop" and age == 6:
        return ("verify_failed", *DAMAGED)
    if age == 17:
        return ("skipped", *MISSED)
    return ("success" if name == "crm" and age % 9 == 5 else "verified", "", "", "")


# Those of the server that is real grow to what its last backups really have.
SIZES = {"accounting": 11.1, "warehouse": 11.0, "webshop": 10.9, "crm": 260, "branch": 120}
for (instance_name, names) in (("Shop", ("accounting", "warehouse", "webshop")),
                               ("Old CRM", ("crm",)), ("Branch office", ("branch",))):
    instance = env["backup.instance"].search([("name", "=", instance_name)])
    job = instance.job_ids.sorted("id")[:1]
    databases(instance, names)
    zone = datetime.timezone.utc
    schedule = job._schedule()
    fires = schedule.fires_between(
        (today - datetime.timedelta(days=DAYS)).replace(tzinfo=zone), now.replace(tzinfo=zone), 999
    )
    values = []
    for fire in fires:
        due = fire.replace(tzinfo=None)
        age = (today.date() - due.date()).days
        for name in names:
            size = SIZES[name] * MEGABYTE * (1 + (DAYS - age) * 0.008) * dice.uniform(0.99, 1.01)
            values.append(run_of(job, name, due, *status_of(instance_name, name, age)[:1],
                                 int(size), *status_of(instance_name, name, age)[1:]))
    env["backup.run"].create(values)

# What runs right now. Nobody executes it: its lease is long enough for all pictures.
shop = env["backup.instance"].search([("name", "=", "Shop")])
job = shop.job_ids.sorted("id")[:1]
began = now - datetime.timedelta(seconds=41)
running = env["backup.run"].create({
    **run_of(job, "webshop", began, "running", 0), "trigger": "manual", "scheduled_at": began,
    "started_at": began, "finished_at": False, "duration": 0, "wanted_level": "3",
    "log": f"{began:%H:%M:%S} Attempt 1 of 3.",
    "copy_ids": [(0, 0, {"destination_id": place.id, "status": "uploading"})],
})
env["backup.task"]._plan(
    "backup", now + datetime.timedelta(days=1), running, stage="download", stage_at=began,
    progress=62, received=8.5 * MEGABYTE, attempt=1, begun_at=began, worker="picture",
    lease_token="picture", lease_until=now + datetime.timedelta(days=1),
)
# The promises are as old as the history: what is late is late.
env.flush_all()
past = now - datetime.timedelta(days=DAYS + 1)
env.cr.execute("UPDATE backup_job SET promised_since = %s", [past])
env.cr.execute("UPDATE backup_database SET create_date = %s", [past])
env.cr.commit()
print("seeded")
'''


def seed(server, database):
    """Give the jobs of :mod:`.screenshots` a past."""
    server.run("shell", "-d", database, "--no-http", script=SCRIPT)
