import datetime
import importlib.util
import os
import shutil
import stat

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ... import launcher
from ...engine.spool import free_space
from ..backup_message import all_translated, reason_of
from ..backup_secret_mixin import KEY_VARIABLE, SEALED, SecretKeyError, key_path
from ..restore.backup_restore import ROLE_PREFIX, SCRATCH_PREFIX
from ..task.kinds import ATTEMPTS

# The cron is due every minute; Odoo polls every 60 to 70 seconds.
LATE = datetime.timedelta(minutes=5)
# How far the clocks of this machine and of PostgreSQL may be apart.
CLOCK_TOLERANCE = 60
# Bytes. With less than this in the spool folder, not even a small company is backed up.
SPOOL_MINIMUM = 100_000_000
REQUIRED = ("boto3", "croniter", "pytz")
PROGRAMS = ("psql", "pg_restore")
EXECUTORS = ("process", "inline")
# The parameters whose values are sealed.
SEALED_PARAMETERS = (f"{SCRATCH_PREFIX}password", f"{ROLE_PREFIX}_password")


class BackupDoctor(models.AbstractModel):
    """Looks at everything that backups need but that no backup would tell of.

    A problem is a dict of plain values: ``check`` (which one), ``problem``, ``hint`` and ``record``
    (``{model, id, name}`` of what is to be mended, or False).
    """

    _name = "backup.doctor"
    _description = "Backup Doctor"

    @api.model
    def health(self):
        """Tell whether the dispatcher does its work, and what else people have to know of, in what
        a page can ask at every load.

        :return: ``{ok (the dispatcher is at work), last_dispatch_at (UTC, or False), problems}``
        """
        self.env["backup.job"].check_access("read")
        problems = self._examine_cron()
        last = self._dispatch_cron().lastcall
        return {
            "ok": not problems,
            "last_dispatch_at": fields.Datetime.to_string(last) if last else False,
            "problems": problems + self._shown_problems(),
        }

    @api.model
    def _shown_problems(self):
        """Return what else pages show: quickly found, and of what the user may see."""
        return self._examine_delivery() + self._examine_drills()

    @api.model
    def _examine(self):
        """Return all problems, missing extras apart. Writes and removes a marker in each local
        folder."""
        examinations = (
            # Without it, most of what follows cannot be found out.
            self._examine_key,
            self._examine_cron,
            self._examine_executor,
            self._examine_worker,
            self._examine_spool,
            self._examine_destinations,
            self._examine_libraries,
            self._examine_programs,
            self._examine_clock,
            self._examine_watch,
            self._examine_channels,
            self._examine_drills,
        )
        return [problem for examine in examinations for problem in examine()]

    @api.model
    def _dispatch_cron(self):
        return self.env["backup.dispatcher"]._scheduled_action("ir_cron_dispatch")

    @api.model
    def _examine_cron(self):
        cron = self._dispatch_cron()
        if not cron:
            return [
                problem(
                    "cron",
                    self.env._("The scheduled action of the dispatcher was deleted."),
                    self.env._("Upgrade the module Backup Scheduler to bring it back."),
                )
            ]
        if not cron.active:
            return [self._inactive(cron)]
        seen_at = max(cron.lastcall or cron.create_date, cron.create_date)
        late = fields.Datetime.now() - seen_at
        if late > LATE:
            return [
                problem(
                    "cron",
                    self.env._(
                        "The dispatcher has not run for %(minutes)s minutes: no backup is started.",
                        minutes=int(late.total_seconds() // 60),
                    ),
                    self.env._(
                        "See that Odoo runs scheduled actions (max_cron_threads above 0, this "
                        "database among those it serves), and its log."
                    ),
                )
            ]
        return []

    @api.model
    def _inactive(self, cron):
        if cron.failure_count:
            reason = self.env._("Odoo has switched the dispatcher off after repeated failures.")
        else:
            reason = self.env._("The dispatcher is switched off: no backup is started.")
        return problem(
            "cron",
            reason,
            self.env._(
                "Settings → Technical → Scheduled Actions → “%(name)s”: set it active.",
                name=cron.name,
            ),
        )

    @api.model
    def _examine_executor(self):
        executor = self.env["backup.dispatcher"]._executor()
        if executor == "inline":
            return self._examine_inline()
        if executor in self._executors():
            return []
        return [
            problem(
                "executor",
                self.env._("Nothing is known of the executor %(name)s.", name=executor),
                self.env._("Choose one in Settings → Backups."),
            )
        ]

    @api.model
    def _examine_inline(self):
        """The scheduled actions in whose threads backups are made and alerts are sent."""
        stopped = {
            "ir_cron_execute": self.env._("No backup is made"),
            "ir_cron_notify": self.env._("No alert is sent over the network"),
        }
        return [
            problem(
                "executor",
                self.env._("%(what)s: %(reason)s", what=what, reason=self._why_off(name)),
                self.env._("Set it active, or upgrade the module Backup Scheduler."),
            )
            for name, what in stopped.items()
            if not self.env["backup.dispatcher"]._scheduled_action(name).active
        ]

    @api.model
    def _why_off(self, name):
        action = self.env["backup.dispatcher"]._scheduled_action(name)
        if action:
            return self.env._("the scheduled action “%(name)s” is off.", name=action.name)
        return self.env._("its scheduled action was deleted.")

    @api.model
    def _executors(self):
        return EXECUTORS

    @api.model
    def _examine_worker(self):
        """A run that waits although it is due, and no worker to take it."""
        due = fields.Datetime.now() - LATE
        domain = [
            ("kind", "in", ATTEMPTS),
            ("lease_token", "=", False),
            ("requested_at", "<", due),
            ("due_at", "<", due),
        ]
        waiting = self.env["backup.task"].sudo().search_count(domain)
        if not waiting or self.env["backup.dispatcher"]._executor() != "process":
            return []
        with launcher.worker_seat(self.env.cr.dbname) as seat:
            if not seat:
                return []
        return [
            problem(
                "worker",
                self.env._("%(count)s runs wait, and no worker is at work.", count=waiting),
                self.env._("Odoo's log says why the worker did not start or ended."),
            )
        ]

    @api.model
    def _examine_spool(self):
        folder = self.env["backup.task"]._spool_folder()
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            writable = os.access(folder, os.W_OK | os.X_OK)
            free = free_space(folder)
        except OSError:
            writable, free = False, 0
        if not writable:
            return [
                problem(
                    "spool",
                    self.env._("The spool folder %(path)s cannot be written to.", path=folder),
                    self.env._("Give the user that runs Odoo the right to, or choose another."),
                )
            ]
        if free < SPOOL_MINIMUM:
            return [
                problem(
                    "spool",
                    self.env._("The spool folder %(path)s is all but full.", path=folder),
                    self.env._("Free some space, or choose another in Settings → Backups."),
                )
            ]
        return []

    @api.model
    def _examine_destinations(self):
        destinations = self.env["backup.destination"].sudo().search([("active", "=", True)])
        return [found for destination in destinations for found in self._examine_one(destination)]

    @api.model
    def _examine_one(self, destination):
        if self.env["backup.dispatcher"]._is_distributed():
            try:
                destination._require_on_all_machines()
            except ValidationError as error:
                return [problem("destination", str(error), "", destination)]
        try:
            _found, failure = destination._checked()
        except SecretKeyError:
            # _examine_key() says so.
            return []
        if not failure:
            return []
        reason = all_translated(failure, self.env.lang)
        what = self.env._(
            "Destination “%(name)s”: %(error)s", name=destination.name, error=reason["error"]
        )
        return [problem("destination", what, reason["hint"])]

    @api.model
    def _examine_key(self):
        """The key that all stored secrets need: there, right, and nobody else's."""
        try:
            self._open_secrets()
        except SecretKeyError as error:
            reason = reason_of(error.failure, self.env.lang)
            return [problem("key", reason["error"], reason["hint"])]
        path = key_path()
        if os.environ.get(KEY_VARIABLE) or not os.path.exists(path):
            return []
        if stat.S_IMODE(os.stat(path).st_mode) & 0o077:
            return [
                problem(
                    "key",
                    self.env._("Other users of this machine can read %(path)s.", path=path),
                    self.env._("chmod 600 %(path)s", path=path),
                )
            ]
        return []

    @api.model
    def _open_secrets(self):
        """Read all secrets that are stored; raise :class:`SecretKeyError` at the first that cannot
        be read with the key of this machine."""
        secrets = self.env["backup.secret.mixin"]
        for model, name in self._sealed_fields():
            records = model.sudo().with_context(active_test=False)
            for record in records.search_fetch([(name, "!=", False)], [name]):
                secrets._unseal(record[name])
        settings = self.env["ir.config_parameter"].sudo()
        for key in SEALED_PARAMETERS:
            secrets._unseal(settings.get_param(key))

    @api.model
    def _sealed_fields(self):
        """Return ``(model, name)`` of each stored field whose values are sealed."""
        return [
            (model, name)
            for model in map(self.env.get, self.env.registry)
            if not model._transient and not model._abstract
            for name, field in model._fields.items()
            if field.store and name.endswith(SEALED)
        ]

    @api.model
    def _examine_libraries(self):
        missing = [name for name in REQUIRED if not importlib.util.find_spec(name)]
        if not missing:
            return []
        names = " ".join(missing)
        return [
            problem(
                "library",
                self.env._("Python libraries are missing: %(names)s", names=names),
                self.env._("pip install %(names)s", names=names),
            )
        ]

    @api.model
    def _examine_programs(self):
        """The client programs of PostgreSQL, where jobs want restore drills."""
        if not self.env["backup.job"].sudo().search_count(
            [("enabled", "=", True), ("drill_interval", "!=", "never")], limit=1
        ):
            return []
        missing = [name for name in PROGRAMS if not shutil.which(name)]
        if not missing:
            return []
        return [
            problem(
                "program",
                self.env._(
                    "Restore drills need programs that are not here: %(names)s",
                    names=", ".join(missing),
                ),
                self.env._("Install PostgreSQL's client programs (postgresql-client)."),
            )
        ]

    @api.model
    def _missing_extras(self):
        """Return what optional libraries would add; without them everything works."""
        return [
            problem(
                "extra",
                self.env._("%(name)s is not installed: %(use)s.", name=name, use=use),
                self.env._("pip install %(names)s", names=name.replace("_", "-")),
            )
            for name, use in self._extras().items()
            if not importlib.util.find_spec(name)
        ]

    @api.model
    def _extras(self):
        return {
            "cron_descriptor": self.env._("schedules are not told in the user's language"),
            "isal": self.env._("archives are verified more slowly"),
            "pyrage": self.env._("archives cannot be encrypted, nor encrypted ones read"),
        }

    @api.model
    def _examine_clock(self):
        here = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        apart = abs((here - self.env["backup.task"]._clock()).total_seconds())
        if apart <= CLOCK_TOLERANCE:
            return []
        return [
            problem(
                "clock",
                self.env._(
                    "The clocks of this machine and of PostgreSQL are %(seconds)s s apart.",
                    seconds=int(apart),
                ),
                self.env._("Set both by NTP: schedules follow this one, leases the other."),
            )
        ]


def problem(check, text, hint, record=None):
    found = {"check": check, "problem": text, "hint": hint, "record": False}
    if record:
        found["record"] = {"model": record._name, "id": record.id, "name": record.display_name}
    return found
