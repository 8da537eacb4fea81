import hashlib
import hmac
import json
import logging
import os
import socket
import tempfile

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from odoo import api, fields, models, tools
from odoo.exceptions import UserError

from ..engine import messages
from ..engine.errors import WrongSecretKey
from ..engine.sources.http_client import same_server
from .backup_message import reason_of

_logger = logging.getLogger(__name__)

# The keys themselves, newest first, separated by commas: for hosts without a lasting data folder.
KEY_VARIABLE = "BACKUP_SCHEDULER_KEY"
KEY_FILE = "secret.key"
# The names of fields with encrypted values end so.
SEALED = "_sealed"


class BackupSecretMixin(models.AbstractModel):
    """Keeps secrets encrypted in the database, under a key that is not in the database.

    A model declares a secret as two fields: the one that people write, computed to nothing and
    with an inverse that calls :meth:`_seal`, and the stored one beside it that only the superuser
    reaches. A dump of the database, or a look over RPC, never holds the secret.

    A secret goes only to the server that it was given for: whoever may change the address could
    have it sent to a host of theirs and read it there. So it is forgotten where one of the fields
    changes that name its server, unless a new one comes in the same write. The same holds for what
    proves that it is this server: a certificate that is not verified any more, another host key.
    The chatter says so; a model without one overrides :meth:`_tell_forgotten`.
    """

    _name = "backup.secret.mixin"
    _description = "Encrypted secrets"

    # The fields that name the server of a secret, by the field of the secret that people write.
    _servers_of_secrets = {}
    # Those by which the server proves to be the right one.
    _proofs_of_secrets = {}

    secrets_to_forget = fields.Char(
        compute="_compute_secrets_to_forget",
        compute_sudo=True,
        help="What is going to be forgotten when the form is saved.",
    )

    def write(self, vals):
        servers = {record: record._named_servers() for record in self}
        result = super().write(vals)
        for record in self if self._servers_of_secrets else ():
            elsewhere = record._secrets_of_others(servers[record])
            record._forget([name for name in elsewhere if not is_given(vals.get(name))])
        return result

    def _named_servers(self):
        """Return what names the server of each secret now, as a tuple of texts, and what proves
        that it is this one, as a tuple of values."""
        return {
            secret: (
                tuple(self._server_part(name) for name in names),
                tuple(self[name] for name in self._proofs_of_secrets.get(secret, ())),
            )
            for secret, names in self._servers_of_secrets.items()
        }

    def _server_part(self, name):
        """Return a field as it is used: where nothing is entered, that is its default."""
        # Not by default_get: there the default may come from whoever asks.
        default = self._fields[name].default
        return str(self[name] or (default and default(self)) or "").strip().lower()

    def _secrets_of_others(self, servers):
        """Return the secrets that lie here and were given for ``servers``, which are others now."""
        self.ensure_one()
        now, record = self._named_servers(), self.sudo()
        return [
            secret
            for secret, before in servers.items()
            if record[f"{secret}_sealed"] and not is_same_place(before, now[secret])
        ]

    def _forget(self, secrets):
        if not secrets:
            return
        self.sudo().write({f"{secret}_sealed": False for secret in secrets})
        self._tell_forgotten(secrets)

    def _tell_forgotten(self, secrets):
        self.message_post(
            body=self.env._(
                "Another server was entered, or what proves that it is the right one was changed: "
                "what was stored for it is forgotten (%(secrets)s), and has to be entered again.",
                secrets=self._labels_of(secrets),
            )
        )

    def _labels_of(self, secrets):
        names = [self._fields[secret]._description_string(self.env) for secret in secrets]
        return ", ".join(names)

    @api.depends(
        lambda self: {
            name
            for secret, names in self._servers_of_secrets.items()
            for name in (secret, *names, *self._proofs_of_secrets.get(secret, ()))
        }
    )
    def _compute_secrets_to_forget(self):
        for record in self:
            # What is in the form, against what is stored.
            kept = record._origin
            elsewhere = record._secrets_of_others(kept._named_servers()) if kept else ()
            record.secrets_to_forget = self._labels_of(
                name for name in elsewhere if not is_given(record[name])
            )

    def _seal(self, value):
        """Return ``value`` encrypted, as text; nothing stays nothing."""
        if not value:
            return False
        return self._cipher().encrypt(value.encode()).decode()

    def _unseal(self, sealed):
        """Return the secret that :meth:`_seal` was given.

        Raises :class:`SecretKeyError` when the key is not the one it was sealed with.
        """
        if not sealed:
            return ""
        try:
            return self._cipher().decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise SecretKeyError(
                self.env,
                messages._(
                    "A stored secret cannot be read: the secret key of this machine (%(host)s) is "
                    "not the one it was stored with.",
                    host=socket.gethostname(),
                ),
                messages._(
                    "Put that key back (%(variable)s or %(file)s): all machines that make backups "
                    "need the same one. Where it is lost, enter the secret again.",
                    variable=KEY_VARIABLE,
                    file=key_path(),
                ),
            ) from error

    def _seal_for(self, server, value):
        """Return ``value`` encrypted together with the server that it was entered for, so that it
        goes to no other one, whatever is changed beside it.

        :param server: a list of texts
        """
        return self._seal(json.dumps({"server": server, "secret": value})) if value else False

    def _unseal_for(self, server, sealed):
        """Return the secret that :meth:`_seal_for` was given for this server; nothing for others.

        Raises as :meth:`_unseal` does.
        """
        try:
            kept = json.loads(self._unseal(sealed) or "{}")
        except ValueError:
            # Of a version that kept no server beside it.
            return ""
        if not isinstance(kept, dict) or kept.get("server") != list(server):
            return ""
        return kept["secret"]

    def _cipher(self):
        try:
            return MultiFernet([Fernet(key) for key in load_keys()])
        except ValueError:
            # Without its cause, in which the key might be read.
            raise SecretKeyError(
                self.env,
                messages._(
                    "The secret key of this machine (%(host)s) cannot be used.",
                    host=socket.gethostname(),
                ),
                messages._(
                    "Fix %(variable)s or %(file)s: keys as Fernet.generate_key() makes them, "
                    "separated by commas.",
                    variable=KEY_VARIABLE,
                    file=key_path(),
                ),
            ) from None
        except OSError as error:
            raise SecretKeyError(
                self.env,
                messages._(
                    "The secret key of this machine (%(host)s) cannot be read: %(reason)s.",
                    host=socket.gethostname(),
                    reason=error.strerror,
                ),
                messages._(
                    "Give the user that runs Odoo, and nobody else, the right to read and write "
                    "%(file)s, or set %(variable)s.",
                    variable=KEY_VARIABLE,
                    file=key_path(),
                ),
            ) from error


class SecretKeyError(UserError):
    """:ivar failure: the same, as the engine's error"""

    def __init__(self, env, message, hint):
        self.failure = WrongSecretKey(message, hint=hint)
        super().__init__("{error} {hint}".format(**reason_of(self.failure, env.lang)))


def is_same_place(before, now):
    """Return whether what :meth:`_named_servers` says of a secret leads it to the same server, and
    makes as sure of that as before."""
    (servers, proofs), (servers_now, proofs_now) = before, now
    return all(map(same_name, servers, servers_now)) and all(
        not proof or proof == proof_now for proof, proof_now in zip(proofs, proofs_now, strict=True)
    )


def same_name(one, other):
    return one == other or same_server(one, other)


def is_given(secret):
    """Return whether something is there to store; spaces are nothing."""
    return bool((secret or "").strip())


def signing_keys():
    """Return the keys that sign what this installation writes outside, newest first.

    They are made of the secret keys, which are in no database and no backup: who reads the one or
    the other can sign nothing.
    """
    return [
        hmac.new(key.encode(), b"backup_scheduler catalogue", hashlib.sha256).hexdigest()
        for key in load_keys()
    ]


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
