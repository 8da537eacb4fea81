import logging
import os
import tempfile

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from odoo import models, tools
from odoo.exceptions import UserError

_logger = logging.getLogger(__name__)

# The keys themselves, newest first, separated by commas: for hosts without a lasting data folder.
KEY_VARIABLE = "BACKUP_SCHEDULER_KEY"
KEY_FILE = "secret.key"


class BackupSecretMixin(models.AbstractModel):
    """Keeps secrets encrypted in the database, under a key that is not in the database.

    A model declares a secret as two fields: the one that people write, computed to nothing and
    with an inverse that calls :meth:`_seal`, and the stored one beside it that only the superuser
    reaches. A dump of the database, or a look over RPC, never holds the secret.
    """

    _name = "backup.secret.mixin"
    _description = "Encrypted secrets"

    def _seal(self, value):
        """Return ``value`` encrypted, as text; nothing stays nothing."""
        if not value:
            return False
        return self._cipher().encrypt(value.encode()).decode()

    def _unseal(self, sealed):
        """Return the secret that :meth:`_seal` was given.

        Raises UserError when the key is not the one it was sealed with.
        """
        if not sealed:
            return ""
        try:
            return self._cipher().decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise UserError(
                self.env._(
                    "A stored secret cannot be read: the secret key of this server is not the one "
                    "it was stored with. Put the old key back (%(variable)s or %(file)s), or enter "
                    "the secret again.",
                    variable=KEY_VARIABLE,
                    file=key_path(),
                )
            ) from error

    def _cipher(self):
        try:
            return MultiFernet([Fernet(key) for key in load_keys()])
        except ValueError:
            # Without its cause, in which the key might be read.
            raise UserError(
                self.env._(
                    "The secret key of this server cannot be used. Mend %(variable)s or %(file)s: "
                    "keys as Fernet.generate_key() makes them, separated by commas.",
                    variable=KEY_VARIABLE,
                    file=key_path(),
                )
            ) from None


def key_path():
    """Return where the key lies: in Odoo's data folder, beside the filestore."""
    return os.path.join(tools.config["data_dir"], "backup_scheduler", KEY_FILE)


def load_keys():
    """Return the keys, newest first; make one on first use, readable for its owner only."""
    if configured := os.environ.get(KEY_VARIABLE):
        return configured.split(",")
    path = key_path()
    if not os.path.exists(path):
        create_key(path)
    with open(path, encoding="ascii") as file:
        return file.read().split()


def create_key(path):
    """Write a new key to ``path``. Of two processes that do so at once, the first wins."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    # A temporary file is made 0600, and link(2) never replaces a file.
    with tempfile.NamedTemporaryFile(dir=folder, prefix=KEY_FILE) as file:
        file.write(Fernet.generate_key())
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, path)
        except FileExistsError:
            return
    _logger.info("Backup Scheduler made its secret key: %s. Keep a copy of it.", path)
