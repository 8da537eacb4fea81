"""The fields of each kind of destination and source, made from what its class in the engine asks
for.

A new kind needs nothing here: its settings become fields, its secrets are sealed, and the form
shows them where the kind is chosen. One of another addon comes by :mod:`..kinds`.
"""

import json

from lxml import etree

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.http import request

from .. import engine_call
from ..engine.errors import BackupError, KindMissing
from ..engine.kinds import Registry, SettingRefused
from .backup_message import reason_of
from .backup_secret_mixin import SEALED

MANAGER = "backup_scheduler.group_backup_manager"
FIELD_TYPES = {
    "char": fields.Char,
    "text": fields.Text,
    "integer": fields.Integer,
    "boolean": fields.Boolean,
    "selection": fields.Selection,
}
EMPTY = {"char": "", "text": "", "integer": 0, "boolean": False, "selection": ""}


def _answers_of_request():
    """Return the answers of the engine that the request at hand has for its next try, by order."""
    if not request:
        return {}
    if not hasattr(request, "backup_engine_answers"):
        request.backup_engine_answers = {}
    return request.backup_engine_answers


def sealed_name(name):
    return f"{name}{SEALED}"


def kind_fields(registry, kind, bare=False, declared=()):
    """Return the attributes of a model's class that come from a kind.

    :param bare: whether the fields are called as the settings are; others begin with the kind
    :param declared: fields that the class declares itself
    """
    # Of the databases of a server, some may not have the addon of the kind.
    made = {f"_has_kind_{kind}": True}
    for setting in registry.load(kind).SETTINGS:
        name = setting.name if bare else f"{kind}_{setting.name}"
        if setting.secret:
            made[name] = secret_field(name, setting)
            made[sealed_name(name)] = fields.Char(groups=fields.NO_ACCESS, copy=False)
            made[f"has_{name}"] = fields.Boolean(
                f"{setting.label} Stored", compute="_compute_stored_secrets", compute_sudo=True
            )
        elif name not in declared:
            made[name] = plain_field(setting)
    return made


def plain_field(setting):
    options = {"string": setting.label, "help": setting.help or None, "tracking": True}
    if setting.default is not None:
        options["default"] = setting.default
    if setting.kind == "selection":
        options["selection"] = list(setting.choices)
    return FIELD_TYPES[setting.kind](**options)


def secret_field(name, setting):
    """Return the field that people write, of which nobody reads anything."""

    def inverse(records):
        for record in records:
            record._store_secret(name, record[name])
        # Otherwise whoever wrote it reads it back in the same request.
        records.invalidate_recordset([name], flush=False)
        # Of a new one, the other fields were checked before its secrets were there.
        records._check_settings()

    return FIELD_TYPES[setting.kind](
        string=setting.label,
        help=setting.help or None,
        compute="_compute_secrets",
        inverse=inverse,
        groups=MANAGER,
    )


class BackupKindMixin(models.AbstractModel):
    """A record of one of several kinds, each a class of the engine with settings of its own."""

    _name = "backup.kind.mixin"
    _description = "Settings of a kind"
    _inherit = ["backup.secret.mixin", "backup.values.mixin"]

    # The kinds, the field that names one, and those whose fields are called as their settings are.
    _kinds = Registry("")
    _kind_field = "kind"
    _bare_kinds = ()

    stored_secrets = fields.Char(compute="_compute_stored_secrets", compute_sudo=True)
    kind_has_secrets = fields.Boolean(compute="_compute_kind")
    kind_error = fields.Char(
        compute="_compute_kind", help="Why nothing can be done with a record of this kind."
    )

    def _valid_field_parameter(self, field, name):
        # Models without a chatter have the same fields.
        return name == "tracking" or super()._valid_field_parameter(field, name)

    # --- the kinds and their settings -----------------------------------------------------------

    @api.model
    def _kind_names(self):
        """Return the names of the kinds whose addon this database has."""
        return [name for name in self._kinds.names() if getattr(self, f"_has_kind_{name}", False)]

    @api.model
    def _kind_selection(self):
        return [(name, self._kinds.load(name).LABEL) for name in self._kind_names()]

    @api.model
    def _settings_of(self, kind):
        """Return ``(field name, setting)`` for each setting of a kind; of a missing one nothing."""
        if kind not in self._kind_names():
            return []
        prefix = "" if kind in self._bare_kinds else f"{kind}_"
        return [(prefix + each.name, each) for each in self._kinds.load(kind).SETTINGS]

    @api.model
    def _all_settings(self):
        """Return ``(kind, field name, setting)`` for each setting of each kind."""
        return [(kind, *each) for kind in self._kind_names() for each in self._settings_of(kind)]

    @api.model
    def _secret_names(self):
        return [name for _kind, name, setting in self._all_settings() if setting.secret]

    @api.model
    def _plain_names(self):
        return [name for _kind, name, setting in self._all_settings() if not setting.secret]

    @property
    def _servers_of_secrets(self):
        return {
            name: tuple(other for other, each in self._settings_of(kind) if each.server)
            for kind, name, setting in self._all_settings()
            if setting.secret
        }

    @property
    def _proofs_of_secrets(self):
        return {
            name: tuple(other for other, each in self._settings_of(kind) if each.proof)
            for kind, name, setting in self._all_settings()
            if setting.secret
        }

    def _kind_class(self):
        """Return the engine's class of the record's kind; raise :class:`KindMissing`."""
        kind = self[self._kind_field]
        # This process may know kinds of addons that another database has.
        return self._kinds.load(kind, None if kind in self._kind_names() else {})

    def _settings(self, secrets=True):
        """Return the keywords of the engine's class of this kind, secrets included."""
        self.ensure_one()
        record, settings = self.sudo(), {}
        for name, setting in self._settings_of(self[self._kind_field]):
            if not setting.secret:
                settings[setting.name] = record[name] or EMPTY[setting.kind]
            elif secrets:
                settings[setting.name] = record._unseal(record[sealed_name(name)])
        return settings

    def _kind_order(self):
        """Return what an engine order says of the kind: its errors are those of the order."""
        kind = self[self._kind_field]
        return self._kinds.order(kind) if kind in self._kind_names() else {"code": {}}

    @api.model
    def _call_engine(self, order, time_limit):
        """Carry out an order of the engine while somebody waits; return its events, of which the
        last is ``done`` or ``failed``. Only hosts that forbid processes do it in this thread.

        A request that collides with another transaction is tried again by Odoo, from its
        beginning. It takes the answer that it has: to wait again, for a minute each time, would
        hold its thread for longer than Odoo allows.
        """
        key = json.dumps(order, sort_keys=True)
        here = self.env["backup.dispatcher"]._executor() == "inline"
        call = engine_call.carry_out_here if here else engine_call.carry_out
        events = _answers_of_request().pop(key, None) or call(order, time_limit)
        self.env.cr.postrollback.add(lambda: _answers_of_request().update({key: events}))
        return events

    def _open_kind(self):
        """Return the object of the engine's class; raise what is wrong with the settings."""
        raise NotImplementedError

    # --- fields ---------------------------------------------------------------------------------

    def _compute_secrets(self):
        for name in self._secret_names():
            self[name] = False

    def _store_secret(self, name, value):
        self.sudo()[sealed_name(name)] = self._seal(value)

    @api.depends(lambda self: [self._kind_field, *map(sealed_name, self._secret_names())])
    def _compute_stored_secrets(self):
        for record in self:
            labels = []
            for kind, name, setting in self._all_settings():
                if setting.secret:
                    record[f"has_{name}"] = bool(record[sealed_name(name)])
                    if record[f"has_{name}"] and kind == record[self._kind_field]:
                        labels.append(setting.label)
            record.stored_secrets = ", ".join(labels)

    @api.depends(lambda self: [self._kind_field])
    def _compute_kind(self):
        for record in self:
            record.kind_error = record.kind_has_secrets = False
            if not record[self._kind_field]:
                continue
            try:
                settings = record._kind_class().SETTINGS
                record.kind_has_secrets = any(setting.secret for setting in settings)
            except KindMissing as error:
                record.kind_error = f"{error.message} {error.hint}"

    @api.model
    def fields_get(self, allfields=None, attributes=None):
        """Name the kinds of records whose addon is gone, too: they would seem to have none."""
        described = super().fields_get(allfields, attributes)
        kind = described.get(self._kind_field, {})
        if "selection" in kind and not self._transient and self.has_access("read"):
            known = [(self._kind_field, "not in", self._kind_names())]
            gone = self.with_context(active_test=False)._read_group(known, [self._kind_field])
            kind["selection"] = kind["selection"] + [
                (name, self.env._("%(kind)s (not available)", kind=name)) for (name,) in gone
            ]
        return described

    # --- what may be stored ---------------------------------------------------------------------

    @api.constrains(lambda self: [self._kind_field, *self._plain_names()])
    def _check_settings(self):
        """Let the engine's class say what it does not like, with the name of the field."""
        for record in self:
            record._require_settings()
            if record._lacks_secrets():
                continue
            try:
                record._require_accepted()
                record._open_kind()
            except BackupError as error:
                reason = {"error": error.message, "hint": error.hint}
                message = self.env._("%(error)s %(hint)s", **reason)
                raise ValidationError(message) from error

    def _require_accepted(self):
        """Raise ValidationError that names the field whose value cannot be right."""
        for name, setting in self._settings_of(self[self._kind_field]):
            if not setting.secret:
                self._check_setting(name, setting)

    def _check_setting(self, name, setting):
        try:
            setting.check(self[name])
        except SettingRefused as error:
            told = {"field": self._fields[name]._description_string(self.env)}
            told.update(reason_of(error, self.env.lang))
            raise ValidationError(
                self.env._("%(field)s: %(error)s %(hint)s", **told).strip()
            ) from error

    def _require_settings(self):
        for name, setting in self._settings_of(self[self._kind_field]):
            if setting.required and not setting.secret and not self[name]:
                raise ValidationError(
                    self.env._("%(field)s: enter a value.", field=self._fields[name].string)
                )

    def _lacks_secrets(self):
        """Return whether a secret without which the kind is nothing has not been entered yet."""
        return any(
            setting.secret and setting.required and not self.sudo()[sealed_name(name)]
            for name, setting in self._settings_of(self[self._kind_field])
        )

    # --- the form -------------------------------------------------------------------------------

    @api.model
    def _get_view(self, view_id=None, view_type="form", **options):
        """Put the settings into the groups that are named for them."""
        arch, view = super()._get_view(view_id, view_type, **options)
        advanced = [each for each in self._all_settings() if each[2].advanced]
        for place in arch.xpath("//group[@name='advanced_settings']"):
            self._show_settings(place, advanced)
            # No heading over nothing, for kinds that have none of them.
            kinds = sorted({kind for kind, _name, _setting in advanced})
            place.set("invisible", f"{self._kind_field} not in {kinds}")
        for place in arch.xpath("//group[@name='kind_settings']"):
            self._show_settings(place, self._all_settings())
        return arch, view

    @api.model
    def _show_settings(self, place, settings):
        shown = {field.get("name") for field in place.getroottree().iter("field")}
        for kind, name, setting in settings:
            if name in shown:
                continue
            hidden = f"{self._kind_field} != '{kind}'"
            node = etree.SubElement(place, "field", name=name, invisible=hidden)
            placeholder = setting.placeholder
            if setting.secret and not placeholder:
                placeholder = self.env._("Enter it to store or replace it")
            if placeholder:
                node.set("placeholder", placeholder)
            if setting.required and not setting.secret:
                node.set("required", self._required_where(kind))
            if setting.secret:
                node.set("groups", MANAGER)
                if setting.kind == "char":
                    node.set("password", "True")

    @api.model
    def _required_where(self, kind):
        """Return when the form insists on what a kind requires, as an attribute of a view."""
        return f"{self._kind_field} == '{kind}'"
