"""``odoo-bin backup``: what is done from a shell."""

import argparse
import contextlib
import json
import signal
import sys
from pathlib import Path

from odoo import SUPERUSER_ID, api, netsvc
from odoo.cli import Command
from odoo.exceptions import UserError
from odoo.modules import initialize_sys_path
from odoo.modules.registry import Registry
from odoo.tools import config

# Seconds. A worker holds its seat while it boots: one that hangs is ended, for the next to try.
BOOT_LIMIT = 300
# The level of a restore drill, as engine.archive.levels has it: Odoo loads this file by itself.
RESTORED = 4


class Backup(Command):
    """Work on the backups of Backup Scheduler"""

    def run(self, args):
        actions = self.parser.add_subparsers(dest="action", required=True)
        self._add_worker(actions)
        doctor = actions.add_parser("doctor", help="list what keeps backups from being made")
        doctor.add_argument("-d", "--database", help="the database that has Backup Scheduler")
        self._add_archive_commands(actions)
        options, odoo_arguments = self.parser.parse_known_args(args)
        getattr(self, f"_{options.action}")(options, odoo_arguments)

    def _add_worker(self, actions):
        worker = actions.add_parser("worker", help="execute the queued backups of one database")
        worker.add_argument("-d", "--database", help="the database that has Backup Scheduler")
        worker.add_argument(
            "--stay", action="store_true", help="wait for work for ever (for a service manager)"
        )
        # By Odoo itself, which hands its configuration over on standard input.
        worker.add_argument("--launched", action="store_true", help=argparse.SUPPRESS)

    def _add_archive_commands(self, actions):
        archives = actions.add_parser("archives", help="list the stored archives, newest first")
        archives.add_argument("--of", metavar="NAME", help="only of the database of that name")
        verify = actions.add_parser("verify", help="read the stored copies of an archive again")
        verify.add_argument("--level", type=int, help="how far: from 1, complete, to 4, restored")
        restore = actions.add_parser("restore", help="restore an archive as a new database")
        restore.add_argument("--to", required=True, metavar="NAME", help="the new database")
        restore.add_argument(
            "--instance", metavar="NAME", help="the instance to restore to; default: this server"
        )
        restore.add_argument("--copy", type=int, metavar="ID", help="the copy to read first")
        restore.add_argument(
            "--no-neutralize", action="store_true", help="it takes the place of the lost database"
        )
        importing = actions.add_parser("import", help="find the archives that lie in a destination")
        importing.add_argument("destination", help="its name")
        importing.add_argument(
            "--accept-unsigned",
            action="store_true",
            help="import archives, too, that this installation has not signed: from another server "
            "or an older version, or this one's after the loss of its secret key. Only from a "
            "destination to which nobody else writes",
        )
        for command in (verify, restore):
            command.add_argument("run", type=int, help="the id of the run, as “archives” lists it")
            command.add_argument(
                "--identity", type=Path, metavar="FILE", help="the age identity of encrypted copies"
            )
        for command in (archives, verify, restore, importing):
            command.add_argument("-d", "--database", help="the database that has Backup Scheduler")

    def _worker(self, options, odoo_arguments):
        seat = None
        if options.launched:
            signal.alarm(BOOT_LIMIT)
            order = json.load(sys.stdin)
            database, seat = take_over(order), order["seat"]
        else:
            database = self._configure(options, odoo_arguments)
        # Only now is the addons path known; and absolute, since Odoo loads this file as odoo.cli's.
        # pylint: disable-next=odoo-addons-relative-import
        from odoo.addons.backup_scheduler.worker import Worker, lift_limits

        lift_limits()
        Worker(database, options.stay, seat).run()

    def _doctor(self, options, odoo_arguments):
        """Print what is wrong, a line each; exit with 1 when there is anything.

        Missing extras are told too, but nothing is wrong without them.
        """
        database = self._configure(options, [*odoo_arguments, "--log-level=warn"])
        with Registry(database).cursor() as cr:
            doctor = api.Environment(cr, SUPERUSER_ID, {})["backup.doctor"]
            problems, extras = doctor._examine(), doctor._missing_extras()
        for found in (*problems, *extras):
            sys.stdout.write(f"{found['check']}: {found['problem']} {found['hint']}\n")
        if problems:
            sys.exit(1)
        sys.stdout.write("All is well.\n")

    def _archives(self, options, odoo_arguments):
        with self._environment(options, odoo_arguments) as env:
            domain = [("stored_copies", ">", 0)]
            if options.of:
                domain.append(("database_name", "=", options.of))
            for run in env["backup.run"].search(domain):
                places = ", ".join(run.copy_ids._whole().destination_id.mapped("name"))
                sys.stdout.write(
                    f"{run.id:>6}  {run.scheduled_at} UTC  {run.instance_id.name}/"
                    f"{run.database_name}  {run.status}  {int(run.size)} bytes  in {places}\n"
                )

    def _verify(self, options, odoo_arguments):
        """Read the copies right here; exit with 1 unless each was read, and the archive is good."""
        with self._environment(options, odoo_arguments) as env:
            run = existing(env["backup.run"], options.run)
            run.verify(options.level, identity_of(options))
            asked = run.copy_ids.filtered("reading_requested")
            last_read, log = {copy.id: copy.read_at for copy in asked}, run.log
        self._execute(options, run.id)
        with self._environment(options, odoo_arguments) as env:
            run = env["backup.run"].browse(options.run)
            is_undetermined = options.level == RESTORED and run.undetermined
            if not tell_reading(run, last_read, log, sys.stdout) or is_undetermined:
                sys.exit(1)

    def _restore(self, options, odoo_arguments):
        """Restore right here; exit with 1 unless the new database is there and was checked."""
        with self._environment(options, odoo_arguments) as env:
            run = existing(env["backup.run"], options.run)
            instance = options.instance and named(env["backup.instance"], options.instance)
            restore_id = run.restore(
                options.to,
                instance.id if instance else None,
                options.copy,
                not options.no_neutralize,
                identity_of(options),
            )
        self._execute(options, run.id)
        with self._environment(options, odoo_arguments) as env:
            restore = env["backup.restore"].browse(restore_id)
            sys.stdout.write(f"{restore.database_name}: {restore.status}\n")
            for line in (restore.error, restore.hint, restore.notes):
                sys.stdout.write(f"{line}\n" if line else "")
            if restore.status != "done":
                sys.exit(1)

    def _import(self, options, odoo_arguments):
        """Import call by call, each of which has its time; exit with 1 when one gets nowhere."""
        complete = False
        while not complete:
            with self._environment(options, odoo_arguments) as env:
                destination = named(env["backup.destination"], options.destination)
                found = destination.import_archives(options.accept_unsigned)
            complete = found.pop("complete")
            sys.stdout.write(", ".join(f"{count} {name}" for name, count in found.items()) + "\n")
            if not complete and not found["imported"]:
                sys.stderr.write(
                    "There are more, behind those that are not readable: they were not reached in "
                    "the time that there is. Odoo's log names what is not readable: move it away.\n"
                )
                sys.exit(1)

    def _execute(self, options, run_id):
        """Do what was asked for of one run in this process, saying how far it is.

        A worker that was quicker does it in our place.
        """
        # pylint: disable-next=odoo-addons-relative-import
        from odoo.addons.backup_scheduler.inline import execute_here

        execute_here(Registry(options.database), run_id, sys.stdout)

    @contextlib.contextmanager
    def _environment(self, options, odoo_arguments):
        """Yield an environment; what people have to be told ends the command."""
        options.database = self._configure(options, [*odoo_arguments, "--log-level=warn"])
        with Registry(options.database).cursor() as cr:
            try:
                yield api.Environment(cr, SUPERUSER_ID, {})
            except UserError as error:
                sys.stderr.write(f"{error}\n")
                sys.exit(1)

    def _configure(self, options, odoo_arguments):
        """Read Odoo's configuration; return the name of the database."""
        config.parse_config(odoo_arguments, setup_logging=True)
        database = options.database or ",".join(config["db_name"])
        if not database:
            self.parser.error("name the database: -d DATABASE")
        return database


def existing(runs, run_id):
    """Return the run; UserError when there is none."""
    if not (run := runs.browse(run_id).exists()):
        raise UserError(
            runs.env._("There is no run %(run)s; “backup archives” lists them.", run=run_id)
        )
    return run


def named(records, name):
    """Return the one record of a name; UserError when there is none, or more of them."""
    found = records.search([("name", "=", name)])
    if len(found) != 1:
        raise UserError(
            records.env._(
                "%(kind)s: %(count)s have the name %(name)s.",
                kind=records._description,
                count=len(found),
                name=name,
            )
        )
    return found


def tell_reading(run, last_read, log, output):
    """Write what has become of copies that were to be read; return whether all is well: each of
    them was read to its end and is what was stored, and the archive is good.

    :param last_read: when each had been read before, by its id
    :param log: the run's log of before
    """
    copies = run.env["backup.copy"].browse(last_read).exists()
    unread = [copy for copy in copies if not was_read(copy, last_read[copy.id])]
    for copy in copies:
        missed = "not read" if copy.status == "stored" else copy.status
        said = missed if copy in unread else "read, and what was stored"
        # The place may be away, or the archive another one.
        reason = f": {copy.error_code}: {copy.error}" if copy.error else ""
        output.write(f"{copy.destination_id.name}: {said}{reason}\n")
    told = (log or "").splitlines()
    for line in (run.log or "").splitlines():
        output.write(f"  {line}\n" if line not in told else "")
    if len(unread) == len(last_read) and all(copy.status == "stored" for copy in unread):
        output.write("Nothing was read. What follows is what was known before:\n")
    levels = dict(run._fields["verification_level"]._description_selection(run.env))
    output.write(f"{run.status}, level {levels.get(run.verification_level, 'unknown')}\n")
    for line in (run.error, run.hint):
        output.write(f"{line}\n" if line else "")
    is_done = len(copies) == len(last_read) and not unread and not run.verification_requested_at
    return is_done and run.status in ("success", "verified")


def was_read(copy, last_read):
    """Return whether the copy was read since, and is good."""
    return copy.status == "stored" and bool(copy.read_at) and copy.read_at != last_read


def identity_of(options):
    return options.identity.read_text() if options.identity else None


def take_over(handed):
    """Take over the configuration of the Odoo that started us; return the name of the database."""
    config.parse_config([], setup_logging=False)
    for name, value in handed["options"].items():
        config[name] = value
    netsvc.init_logger()
    initialize_sys_path()
    return handed["database"]
