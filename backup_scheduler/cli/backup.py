"""``odoo-bin backup``: what is done from a shell."""

import argparse
import json
import sys

from odoo import netsvc
from odoo.cli import Command
from odoo.modules import initialize_sys_path
from odoo.tools import config


class Backup(Command):
    """Work on the backups of Backup Scheduler"""

    def run(self, args):
        parser = self.parser
        actions = parser.add_subparsers(dest="action", required=True)
        worker = actions.add_parser("worker", help="execute the queued backups of one database")
        worker.add_argument("-d", "--database", help="the database that has Backup Scheduler")
        worker.add_argument(
            "--stay", action="store_true", help="wait for work for ever (for a service manager)"
        )
        worker.add_argument(
            "--launched", action="store_true", help=argparse.SUPPRESS
        )  # by Odoo itself, which hands its configuration over on standard input
        options, odoo_arguments = parser.parse_known_args(args)
        database = self._configure(options, odoo_arguments)
        # Only now is the addons path known; and absolute, since Odoo loads this file as odoo.cli's.
        # pylint: disable-next=odoo-addons-relative-import
        from odoo.addons.backup_scheduler.worker import Worker, lift_limits

        lift_limits()
        Worker(database, options.stay).run()

    def _configure(self, options, odoo_arguments):
        """Take over Odoo's configuration; return the name of the database."""
        if options.launched:
            handed = json.load(sys.stdin)
            config.parse_config([], setup_logging=False)
            for name, value in handed["options"].items():
                config[name] = value
            netsvc.init_logger()
            initialize_sys_path()
            return handed["database"]
        config.parse_config(odoo_arguments, setup_logging=True)
        database = options.database or ",".join(config["db_name"])
        if not database:
            self.parser.error("name the database: -d DATABASE")
        return database
