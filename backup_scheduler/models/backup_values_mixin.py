import math

from odoo import api, models
from odoo.exceptions import ValidationError

from ..engine.naming import UNSHOWN

TEXTS = ("char", "text", "html", "selection")
# Characters of a value that is quoted.
SHOWN = 60
# What PostgreSQL's type of an integer holds.
LARGEST = 2**31 - 1


class BackupValuesMixin(models.AbstractModel):
    """Says which field has a value that the database cannot store: scripts send what they like."""

    _name = "backup.values.mixin"
    _description = "Refuses what cannot be stored"

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            self._require_storable(vals)
        return super().create(vals_list)

    def write(self, vals):
        self._require_storable(vals)
        return super().write(vals)

    @api.model
    def _require_storable(self, vals):
        for name, value in vals.items():
            field = self._fields.get(name)
            if field is None or value is None or value is False:
                continue
            label = field._description_string(self.env)
            if field.type in TEXTS and not is_text(value):
                raise ValidationError(
                    self.env._("%(field)s: enter a text that can be stored.", field=label)
                )
            if field.type == "selection" and value not in field.get_values(self.env):
                raise ValidationError(
                    self.env._(
                        "%(field)s: %(value)s is not one of the choices.",
                        field=label,
                        value=ascii(value)[:SHOWN],
                    )
                )
            if field.type == "integer" and not is_whole(value):
                raise ValidationError(
                    self.env._(
                        "%(field)s: enter a whole number up to %(largest)s.",
                        field=label,
                        largest=LARGEST,
                    )
                )
            if field.type == "char" and name == "name" and UNSHOWN.search(value):
                raise ValidationError(
                    self.env._("%(field)s: enter one line, without control characters.",
                               field=label)
                )  # fmt: skip


def is_text(value):
    """Return whether it can be stored: other values are made texts, and NUL and half a character
    have no place there."""
    if not isinstance(value, str):
        return isinstance(value, (int, float))
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def is_whole(value):
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return math.isfinite(number) and abs(int(number)) <= LARGEST
