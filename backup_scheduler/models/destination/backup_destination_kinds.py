"""The fields of each kind of destination, made from what its class in the engine asks for.

A new kind needs nothing here: its settings become fields, its secrets are sealed, and the form
shows them where the kind is chosen.
"""

import contextlib

from lxml import etree

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from ...engine.destinations import KINDS, open_destination
from ...engine.errors import BackupError
from ..backup_message import reason_of

# What the model itself declares.
DECLARED = ("path",)
MANAGER = "backup_scheduler.group_backup_manager"
FIELD_TYPES = {
    "char": fields.Char,
    "text": fields.Text,
    "integer": fields.Integer,
    "boolean": fields.Boolean,
    "selection": fields.Selection,
}


def field_name(kind, setting):
    """Return the field of a setting. A folder's ``path`` was there before there were kinds."""
    return setting.name if kind == "local" else f"{kind}_{setting.name}"


def sealed_name(name):
    return f"{name}_sealed"


def all_settings():
    """Yield ``(kind, field name, setting)`` for each setting of each kind."""
    for kind, destination in KINDS.items():
        for setting in destination.SETTINGS:
            yield kind, field_name(kind, setting), setting


def plain_field(setting):
    options = {"string": setting.label, "help": setting.help or None, "tracking": True}
    if setting.default is not None:
        options["default"] = setting.default
    if setting.kind == "selection":
        options["selection"] = list(setting.choices)
    return FIELD_TYPES[setting.kind](**options)


def secret_field(name, setting):
    """Return the field that people write, of which nobody reads anything."""

    def inverse(destinations):
        for destination in destinations:
            sealed = destination._seal(destination[name])
            destination.sudo()[sealed_name(name)] = sealed
        destinations.invalidate_recordset([name], flush=False)
        # Of a new one, the other fields were checked before its secrets were there.
        destinations._check_settings()

    return FIELD_TYPES[setting.kind](
        string=setting.label,
        help=setting.help or None,
        compute="_compute_secrets",
        inverse=inverse,
        groups=MANAGER,
    )


def kind_fields():
    """Return the attributes of the class below that come from the engine's kinds."""
    made = {}
    for _kind, name, setting in all_settings():
        if name in DECLARED:
            continue
        if setting.secret:
            made[name] = secret_field(name, setting)
            made[sealed_name(name)] = fields.Char(groups=fields.NO_ACCESS, copy=False)
        else:
            made[name] = plain_field(setting)
    return made


def servers_of_secrets():
    """Return the fields that name the server of each secret, by the secret's field."""
    return {
        name: tuple(field_name(kind, other) for other in KINDS[kind].SETTINGS if other.server)
        for kind, name, setting in all_settings()
        if setting.secret
    }


LOCATION = {"kind"} | {
    field_name(kind, setting)
    for kind, destination in KINDS.items()
    for setting in destination.SETTINGS
    if setting.location
}
SEALED = tuple(sealed_name(name) for _kind, name, setting in all_settings() if setting.secret)
PLAIN = tuple(name for _kind, name, setting in all_settings() if not setting.secret)


class BackupDestinationKinds(models.Model):
    _inherit = "backup.destination"

    vars().update(kind_fields())
    _servers_of_secrets = servers_of_secrets()

    stored_secrets = fields.Char(compute="_compute_stored_secrets", compute_sudo=True)

    def _compute_secrets(self):
        for _kind, name, setting in all_settings():
            if setting.secret:
                self[name] = False

    @api.depends("kind", *SEALED)
    def _compute_stored_secrets(self):
        for destination in self:
            labels = [
                setting.label
                for kind, name, setting in all_settings()
                if kind == destination.kind and setting.secret and destination[sealed_name(name)]
            ]
            destination.stored_secrets = ", ".join(labels)

    @api.constrains("kind", *PLAIN)
    def _check_settings(self):
        """Let the engine's class say what it does not like, with the name of the field."""
        for destination in self:
            destination._require_settings()
            if destination.kind == "local" or destination._lacks_secrets():
                continue
            try:
                open_destination(destination.kind, destination._settings())
            except BackupError as error:
                reason = reason_of(error, self.env.lang)
                message = self.env._("%(error)s %(hint)s", **reason)
                raise ValidationError(message) from error

    def _lacks_secrets(self):
        """Return whether a secret without which the kind is nothing has not been entered yet."""
        return any(
            setting.secret and setting.required and not self.sudo()[sealed_name(name)]
            for kind, name, setting in all_settings()
            if kind == self.kind
        )

    def _require_settings(self):
        for kind, name, setting in all_settings():
            missing = setting.required and not setting.secret and not self[name]
            if kind == self.kind and missing:
                raise ValidationError(
                    self.env._("%(field)s: enter a value.", field=self._fields[name].string)
                )

    def write(self, vals):
        changed = {name for _kind, name, _setting in all_settings()} | {"kind"}
        if LOCATION & vals.keys():
            self._require_empty(vals)
        if changed & vals.keys():
            vals = {"check_status": False, "check_error": False, "folder_marker": False, **vals}
        return super().write(vals)

    def _require_empty(self, vals):
        """Refuse to look for archives elsewhere than where they are."""
        for destination in self:
            moved = [
                name
                for name in LOCATION & vals.keys()
                if (destination[name] or False) != (vals[name] or False)
            ]
            stored = destination.copy_count and moved
            if stored and not destination._is_same_folder(vals):
                raise UserError(
                    self.env._(
                        "%(field)s: %(count)s archives are stored in %(name)s, and would be "
                        "looked for elsewhere. Make another destination; if they were moved, "
                        "import them there.",
                        field=destination._fields[moved[0]].string,
                        count=destination.copy_count,
                        name=destination.name,
                    )
                )

    def _is_same_folder(self, vals):
        """Return whether a folder that has another path now is known to be the same one."""
        if self.kind != "local" or "kind" in vals or not self.folder_marker:
            return False
        with contextlib.suppress(BackupError):
            found = KINDS["local"](vals["path"], self.folder_marker).check()
            return found["marker"] == self.folder_marker
        return False

    def _settings(self):
        """Return the keywords of the engine's class of this kind, secrets included."""
        self.ensure_one()
        record = self.sudo()
        settings = {}
        for kind, name, setting in all_settings():
            if kind != record.kind:
                continue
            if setting.secret:
                settings[setting.name] = record._unseal(record[sealed_name(name)])
            else:
                settings[setting.name] = record[name] or FIELD_DEFAULTS[setting.kind]
        if "marker" in KINDS[record.kind].KEPT:
            settings["marker"] = record.folder_marker or ""
        return settings

    def _keep_changed_settings(self, changed):
        """Store what the place has changed by itself, such as a token that was renewed."""
        for kind, name, setting in all_settings():
            if kind == self.kind and setting.name in changed:
                self.sudo()[name] = changed[setting.name]

    # --- the form -------------------------------------------------------------------------------

    @api.model
    def _get_view(self, view_id=None, view_type="form", **options):
        arch, view = super()._get_view(view_id, view_type, **options)
        for place in arch.xpath("//group[@name='kind_settings']"):
            self._show_settings(place, advanced=False)
        for place in arch.xpath("//group[@name='advanced_settings']"):
            self._show_settings(place, advanced=True)
            # No heading over nothing, for kinds that have none of them.
            kinds = {kind for kind, _name, setting in all_settings() if setting.advanced}
            place.set("invisible", f"kind not in {sorted(kinds)}")
        return arch, view

    @api.model
    def _show_settings(self, place, advanced):
        shown = {field.get("name") for field in place.getroottree().iter("field")}
        for kind, name, setting in all_settings():
            if setting.advanced != advanced or name in shown:
                continue
            hidden = f"kind != '{kind}'"
            node = etree.SubElement(place, "field", name=name, invisible=hidden)
            placeholder = setting.placeholder
            if setting.secret and not placeholder:
                placeholder = self.env._("Enter it to store or replace it")
            if placeholder:
                node.set("placeholder", placeholder)
            if setting.required and not setting.secret:
                node.set("required", f"kind == '{kind}'")
            if setting.secret:
                node.set("groups", MANAGER)
                if setting.kind == "char":
                    node.set("password", "True")


FIELD_DEFAULTS = {"char": "", "text": "", "integer": 0, "boolean": False, "selection": ""}
