"""What the model of alert channels has from its kinds; and the kinds that are records of Odoo.

A kind of those is one class here, one line that registers it, and two methods of ``backup.alert``:
``_make_<kind>()`` makes the next records of a message and returns whether more are to follow, and
``_made_<kind>()`` returns what *Send Test* says when they are made.
"""

from odoo import fields

from ...engine.channels import KINDS
from ...engine.channels.base import Address
from ...engine.channels.post import ADDRESS
from ..backup_kind_mixin import kind_fields


class RecordChannel:
    """A kind whose messages are made here, as records of Odoo: nothing is sent by an engine."""

    LABEL = ""
    SETTINGS = ()
    NOTE = ""
    OVER_NETWORK = False

    def place(self):
        return ""


class ActivityChannel(RecordChannel):
    LABEL = "Odoo activity"


class MailChannel(RecordChannel):
    LABEL = "E-mail"


KINDS.register("activity", f"{__name__}:ActivityChannel")
KINDS.register("mail", f"{__name__}:MailChannel")


def field_of(kind, setting):
    """Return the name of a setting's field. Kinds with the common address share its field."""
    return setting.name if setting == ADDRESS else f"{kind}_{setting.name}"


def host_name(name):
    """Return the field that says where an address leads, as people may read it."""
    return f"{name}_host"


def channel_fields(registry, kind):
    """Return the attributes of the model's class that come from a kind."""
    made = kind_fields(registry, kind)
    for setting in registry.load(kind).SETTINGS:
        name = f"{kind}_{setting.name}"
        if setting == ADDRESS:
            for shared in (name, f"{name}_sealed", f"has_{name}"):
                del made[shared]
        elif isinstance(setting, Address):
            made[host_name(name)] = host_field(setting)
    return made


def host_field(setting):
    return fields.Char(f"{setting.label} Host", readonly=True, copy=False)
