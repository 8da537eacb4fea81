import logging

from odoo import SUPERUSER_ID, api
from odoo.addons.backup_scheduler.models.restore.backup_restore import (
    SCRATCH_PREFIX,
    server_address,
)
from odoo.exceptions import UserError

_logger = logging.getLogger(__name__)


def migrate(cr, version):
    """Bind the password of the drill server to the server that it was entered for."""
    if not version:
        return
    env = api.Environment(cr, SUPERUSER_ID, {})
    parameters, secrets = env["ir.config_parameter"], env["backup.secret.mixin"]
    sealed = parameters.get_param(f"{SCRATCH_PREFIX}password")
    server = {key: parameters.get_param(SCRATCH_PREFIX + key) for key in ("host", "port")}
    if not (sealed and server["host"]):
        return
    try:
        password = secrets._unseal(sealed)
    except UserError:
        _logger.warning("The password of the drill server cannot be read: enter it again.")
        return
    if secrets._unseal_for(server_address(server), sealed):
        return
    bound = secrets._seal_for(server_address(server), password)
    parameters.set_param(f"{SCRATCH_PREFIX}password", bound)
