"""Demo data: some servers, the runs of their last weeks, and every status that there is.

Nothing here ever happens. The servers have names that no resolver knows (RFC 2606), their jobs are
due on 29 February at the soonest, and no archive lies where the copies say.
"""

import datetime
import hashlib
import os
import uuid

from odoo import Command, api, fields, models, tools

from ..engine.archive.levels import COMPLETE, CONSISTENT, INTACT

DAYS = 30
NEVER_SOON = "0 2 29 2 *"
MEGABYTE = 10**6
FIRE_TIME = datetime.time(2)
LONG_AGO = datetime.timedelta(days=DAYS + 1)
# Until then a run that nobody makes counts as running; then the dispatcher takes it for lost.
DEMO_LEASE = datetime.timedelta(days=1)

# Name, version, databases with the megabytes of their archives, hours after which they are late.
SERVERS = (
    ("Shop", "shop.example", "19.0", {"shop": 840, "accounting": 310}, 0),
    ("Branch Office", "branch.example", "18.0", {"branch": 120}, 26),
    ("Old Website", "old.example", "17.0", {"website": 95}, 0),
    ("Test Server", "test.example", "19.0", {"playground": 12}, None),
)
# What is no good archive: days ago of a database.
EXCEPTIONS = {
    ("shop", 5): "failed",
    ("shop", 12): "skipped",
    ("accounting", 9): "cancelled",
    ("accounting", 17): "success",
    ("branch", 0): "failed",
    ("branch", 1): "failed",
    ("branch", 2): "failed",
    ("website", 8): "verify_failed",
    ("website", 21): "skipped",
}
ERRORS = {
    "failed": (
        "connection_failed",
        "No connection to the server: Connection refused.",
        "Check the address, the port, and that the server is up and reachable from here.",
    ),
    "skipped": ("overlap", "The run before it was not done yet.", False),
    "cancelled": ("cancelled", "Cancelled by Mitchell Admin.", False),
    "verify_failed": (
        "inconsistent",
        "3 attachments that the database lists are not in the filestore.",
        "The archive is a sound copy of what the server had, and it is stored. Look at that "
        "server: its filestore, and who else writes there while it is backed up.",
    ),
}
WRONG_PASSWORD = {
    "error_code": "wrong_master_password",
    "error": "The server does not accept the master password.",
    "hint": "Enter the master password (admin_passwd) of that server and test again.",
}
GOOD_LEVEL = {"verified": CONSISTENT, "success": COMPLETE, "verify_failed": INTACT}


class BackupDemo(models.AbstractModel):
    _name = "backup.demo"
    _description = "Demo Data of Backups"

    @api.model
    def _make(self):
        """Make the demo data, once."""
        known = self.env["backup.instance"].with_context(active_test=False)
        if known.search_count([("url", "=", f"https://{SERVERS[0][1]}")]):
            return
        places = self._make_destinations()
        for name, host, version, databases, max_age in SERVERS:
            instance = self._make_instance(name, host, version, databases)
            if max_age is not None:
                job = self._make_job(instance, places, max_age)
                self._make_history(job, databases)
        self._make_extras(places)

    @api.model
    def _make_destinations(self):
        root = os.path.join(tools.config["data_dir"], "backup_scheduler", "demo")
        return self.env["backup.destination"].create(
            [
                # Nothing is read again of what is not there.
                {"name": name, "path": os.path.join(root, folder), "reread_interval": 0}
                for name, folder in (("Vault (demo)", "vault"), ("Second Disk (demo)", "second"))
            ]
        )

    @api.model
    def _make_instance(self, name, host, version, databases):
        instance = self.env["backup.instance"].create(
            {"name": name, "url": f"https://{host}", "odoo_version": version}
        )
        instance._record_server(version, list(databases))
        # What is promised of a database counts from the day it was found.
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE backup_database SET create_date = %s WHERE instance_id = %s",
            (fields.Datetime.now() - LONG_AGO, instance.id),
        )
        instance.invalidate_recordset()
        return instance

    @api.model
    def _make_job(self, instance, places, max_age, **values):
        job = self.env["backup.job"].create(
            {
                "name": "Every night (demo)",
                "instance_id": instance.id,
                "cron_expression": NEVER_SOON,
                "destination_ids": [Command.set(places.ids)],
                "retention_mode": "keep_all",
                "max_age": max_age,
                "max_attempts": 1,
                **values,
            }
        )
        job.promised_since = fields.Datetime.now() - LONG_AGO
        return job

    @api.model
    def _make_history(self, job, databases):
        today = datetime.datetime.combine(fields.Date.today(), FIRE_TIME)
        now = fields.Datetime.now()
        for day in range(DAYS):
            fire = today - datetime.timedelta(days=day)
            for name, megabytes in databases.items():
                status = EXCEPTIONS.get((name, day), "verified")
                if fire < now:
                    self._make_run(job, name, fire, status, self._size(megabytes, day))

    @api.model
    def _size(self, megabytes, day):
        """Return the bytes of an archive that was made some days ago: databases grow."""
        return round(megabytes * MEGABYTE * (1 - day / 200 + (day % 5) / 1000))

    @api.model
    def _make_run(self, job, name, fire, status, size, **values):
        good = status in GOOD_LEVEL
        seconds = size / MEGABYTE / 8 if good else 3
        finished = fire + datetime.timedelta(seconds=round(seconds))
        code, error, hint = ERRORS.get(status, (False, False, False))
        run = self.env["backup.run"].create(
            {
                **self.env["backup.run"]._policy_of(job),
                "database_name": name,
                "trigger": "schedule",
                "scheduled_at": fire,
                "started_at": fire,
                "finished_at": finished,
                "duration": seconds,
                "attempt": 1,
                "status": status,
                "size": size if good else 0,
                "sha256": good and hashlib.sha256(f"{name} {fire}".encode()).hexdigest(),
                "verification_level": good and str(GOOD_LEVEL[status]),
                "verified_at": good and finished,
                "error_code": code,
                "error": error,
                "hint": hint,
                "odoo_version": job.instance_id.odoo_version,
                **values,
            }
        )
        self._make_copies(run, job.destination_ids if good else job.destination_ids.browse())
        return run

    @api.model
    def _make_copies(self, run, places):
        server = run.instance_id.name.replace(" ", "_")
        path = f"{server}/{run.database_name}/{run.scheduled_at:%Y-%m-%dT%H-%M-%SZ}.zip"
        for number, place in enumerate(places):
            copy = {"run_id": run.id, "destination_id": place.id, "path": path}
            if number and run.scheduled_at.day % 11 == 0:
                copy.update(
                    status="failed",
                    error_code="no_space",
                    error="The disk is full.",
                    # Tried as often as a copy is.
                    attempt=99,
                )
            else:
                copy.update(
                    status="stored",
                    size=run.size,
                    sha256=run.sha256,
                    stored_at=run.finished_at,
                    checked_at=run.finished_at,
                )
            self.env["backup.copy"].create(copy)

    @api.model
    def _make_extras(self, places):
        """Add what no history has: what is paused, runs now, and waits."""
        instances = self.env["backup.instance"]
        instance = instances.search([("url", "=", "https://shop.example")])
        failing = instances.search([("url", "=", "https://old.example")])
        failing._record_failed_check(WRONG_PASSWORD)
        paused = self._make_job(
            instance,
            places[0],
            0,
            name="Every hour (demo, paused)",
            cron_expression="0 * * * *",
            enabled=False,
        )
        now = fields.Datetime.now()
        running = self._make_run(
            paused,
            "shop",
            now - datetime.timedelta(minutes=4),
            "running",
            0,
            trigger="manual",
            finished_at=False,
            duration=0,
        )
        self.env["backup.task"]._plan(
            "backup",
            now + LONG_AGO,
            running,
            begun_at=now - datetime.timedelta(minutes=4),
            stage="download",
            progress=43,
            received=361 * MEGABYTE,
            worker="demo",
            attempt=1,
            lease_token=str(uuid.uuid4()),
            lease_until=now + DEMO_LEASE,
        )
        waiting = self._make_run(
            paused,
            "accounting",
            now - datetime.timedelta(minutes=4),
            "queued",
            0,
            trigger="manual",
            started_at=False,
            finished_at=False,
            duration=0,
            attempt=0,
        )
        self.env["backup.task"]._plan("backup", now + LONG_AGO, waiting)
