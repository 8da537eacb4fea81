"""``odoo-bin backup``: what is done from a shell."""

import argparse
import json
import sys

from odoo import SUPERUSER_ID, api, netsvc
from odoo.cli import Command
from odoo.modules import initialize_sys_path
from odoo.modules.registry import Registry
from odoo.tools import config


class Backup(Command):
    """Work on the backups of Backup Scheduler"""

    def run(self, args):
        actions = self.parser.add_subparsers(dest="action", required=True)
        self._add_worker(actions)
        doctor = actions.add_parser("doctor", help="list what keeps backups from being made")
        doctor.add_argument("-d", "--database", help="the database that has Backup Scheduler")
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

    def _worker(self, options, odoo_arguments):
        if options.launched:
            database = take_over(json.load(sys.stdin))
        else:
            database = self._configure(options, odoo_arguments)
        # Only now is the addons path known; and absolute, since Odoo loads this file as odoo.cli's.
        # pylint: disable-next=odoo-addons-relative-import
        from odoo.addons.backup_scheduler.worker import Worker, lift_limits

        lift_limits()
        Worker(database, options.stay).run()

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

    def _configure(self, options, odoo_arguments):
        """Read Odoo's configuration; return the name of the database."""
        config.parse_config(odoo_arguments, setup_logging=True)
        database = options.database or ",".join(config["db_name"])
        if not database:
            self.parser.error("name the database: -d DATABASE")
        return database


def take_over(handed):
    """Take over the configuration of the Odoo that started us; return the name of the database."""
    config.parse_config([], setup_logging=False)
    for name, value in handed["options"].items():
        config[name] = value
    netsvc.init_logger()
    initialize_sys_path()
    return handed["database"]
