from odoo import api, fields, models

from ...engine.control import Control
from ...engine.sources import KINDS, open_source
from ..backup_kind_mixin import kind_fields


class BackupSourceMixin(models.AbstractModel):
    """A server with the way to reach it: what an instance is, and its set-up asks for."""

    _name = "backup.source.mixin"
    _description = "Connection to a server"
    _inherit = ["backup.kind.mixin"]

    _kinds = KINDS
    _kind_field = "connection"
    _bare_kinds = ("http",)
    vars().update(kind_fields(KINDS, "http", bare=True))

    connection = fields.Selection(
        selection="_kind_selection",
        required=True,
        default="http",
        tracking=True,
        help="How the server is reached. “Database manager” needs nothing but the master password "
        "of the server, and its /web/database open to this machine.",
    )

    @api.onchange("url")
    def _onchange_url(self):
        if self.url and "://" not in self.url:
            self.url = f"https://{self.url.strip()}"

    def _source_order(self):
        """Return the connection with its secrets, for an engine order and for nothing else."""
        return {"connection": self.connection, **self._settings(), **self._kind_order()}

    def _open_kind(self):
        return open_source(self._source_order(), Control())
