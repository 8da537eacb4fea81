import contextlib

from odoo import api, fields, models
from odoo.exceptions import UserError

from ...engine.destinations import KINDS
from ...engine.errors import BackupError
from ..backup_kind_mixin import kind_fields, sealed_name

# The key of the context in which settings are written that the place has changed by itself.
RENEWAL = "backup_destination_renewal"


class BackupDestinationKinds(models.Model):
    """The settings of each kind, and what a change of them means for what is known of the place."""

    _inherit = "backup.destination"

    _kinds = KINDS
    # A folder's path was there before there were kinds.
    _bare_kinds = ("local",)
    for _kind in KINDS.names():
        vars().update(kind_fields(KINDS, _kind, _kind in _bare_kinds, declared=("path",)))
    del _kind

    kind = fields.Selection(
        selection="_kind_selection", required=True, default="local", tracking=True
    )
    kept_values = fields.Json(
        readonly=True,
        copy=False,
        help="Values that a check has found and that the kind receives from then on.",
    )
    folder_marker = fields.Char(
        compute="_compute_folder_marker",
        inverse="_inverse_folder_marker",
        help="By this the folder is known again: an empty one in the place of a disk that is not "
        "mounted is not written to.",
    )

    @api.depends("kept_values")
    def _compute_folder_marker(self):
        for destination in self:
            destination.folder_marker = (destination.kept_values or {}).get("marker")

    def _inverse_folder_marker(self):
        for destination in self:
            destination._keep_values({"marker": destination.folder_marker})

    def _keep_values(self, found):
        """Keep what of ``found`` the kind wants to be told again; nothing takes a value away."""
        kept = {**(self.kept_values or {}), **found}
        self.kept_values = {
            name: kept[name] for name in self._kind_class().KEPT if kept.get(name)
        } or False

    def _settings(self, secrets=True):
        settings = super()._settings(secrets)
        names = self._kind_class().KEPT if settings else ()
        kept = self.sudo().kept_values or {}
        return {**settings, **{name: kept[name] for name in names if name in kept}}

    def _open_kind(self):
        return self._kind_class()(**self._settings())

    def _engine_order(self):
        """Return the place as the order of a copy names it, with its secrets."""
        return {"kind": self.kind, "settings": self._settings(), **self._kind_order()}

    def write(self, vals):
        """Forget what was found there with other settings, and what was kept of another place."""
        if self.env.context.get(RENEWAL):
            return super().write(vals)
        location = self._location_names()
        if location & vals.keys():
            self._require_empty(vals)
        self._forget_checks({"kind", *self._plain_names(), *self._secret_names()}, vals)
        # Where there are archives, they are there too: see _require_empty().
        elsewhere = self.filtered(lambda one: one._changed(location, vals) and not one.copy_count)
        if elsewhere:
            elsewhere.write({"kept_values": False})
        return super().write(vals)

    def _location_names(self):
        settings = self._all_settings()
        return {"kind"} | {name for _kind, name, setting in settings if setting.location}

    def _require_empty(self, vals):
        """Refuse to look for archives elsewhere than where they are."""
        for destination in self:
            moved = destination._changed(self._location_names(), vals)
            stored = destination.copy_count and moved and not destination._has_lost_settings()
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

    def _has_lost_settings(self):
        """Return whether the kind's addon was uninstalled in between: they are entered again."""
        settings = self._settings_of(self.kind)
        return any(each.required and each.location and not self[name] for name, each in settings)

    def _is_same_folder(self, vals):
        """Return whether a folder that has another path now is known to be the same one."""
        if self.kind != "local" or "kind" in vals or not self.folder_marker:
            return False
        settings = {"path": vals["path"], "marker": self.folder_marker}
        with contextlib.suppress(BackupError):
            found = self._kind_class()(**settings).check()
            return found["marker"] == self.folder_marker
        return False

    def _keep_changed_settings(self, changed):
        """Store what the place has changed by itself, such as a token that was renewed.

        It is still the destination that was checked: nothing of the check is forgotten, as it is
        when somebody writes a setting.
        """
        values = {}
        for name, setting in self._settings_of(self.kind):
            if setting.name not in changed:
                continue
            value = changed[setting.name]
            if setting.secret:
                values[sealed_name(name)] = self._seal(value)
            else:
                values[name] = value
        if values:
            self.sudo().with_context(**{RENEWAL: True}).write(values)
