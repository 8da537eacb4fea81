import os

from odoo import api, fields, models, release, tools

from ...engine.control import Control
from ...engine.sources import KINDS, open_source
from ..backup_kind_mixin import kind_fields

# The kind that has no settings: what it works with is Odoo's own.
LOCAL = "local"


class BackupSourceMixin(models.AbstractModel):
    """A server with the way to reach it: what an instance is, and its set-up asks for."""

    _name = "backup.source.mixin"
    _description = "Connection to a server"
    _inherit = ["backup.kind.mixin"]

    _kinds = KINDS
    _kind_field = "connection"
    _bare_kinds = ("http",)
    vars().update(kind_fields(KINDS, "http", bare=True) | kind_fields(KINDS, LOCAL))

    connection = fields.Selection(
        selection="_kind_selection",
        required=True,
        default="http",
        tracking=True,
        help="How the server is reached. “This server” backs up the databases of this very Odoo "
        "and needs nothing: its database manager may be switched off. “Database manager” needs "
        "nothing but the master password of the server, and its /web/database open to this "
        "machine.",
    )

    @api.onchange("url")
    def _onchange_url(self):
        if self.url and "://" not in self.url:
            self.url = f"https://{self.url.strip()}"

    def _source_order(self):
        """Return the connection with its secrets, for an engine order and for nothing else."""
        order = {"connection": self.connection, **self._settings(), **self._kind_order()}
        return {**order, **self._this_server()} if self.connection == LOCAL else order

    @api.model
    def _this_server(self):
        """Return how this Odoo reaches its databases and their files, as its source takes it."""
        config = tools.config
        # As odoo.service.db.list_dbs: with names and no filter, it serves these and no others.
        names = [] if config["dbfilter"] else list(config["db_name"] or ())
        return {
            "server": self.env["backup.restore"]._own_server(),
            "filestores": os.path.dirname(config.filestore("any")),
            "release": {
                "version": release.version,
                "version_info": list(release.version_info),
                "major_version": release.major_version,
            },
            "template": config["db_template"],
            "names": names,
            "programs": config["pg_path"] if config["pg_path"] not in (False, "None") else "",
        }

    def _open_kind(self):
        return open_source(self._source_order(), Control())
