"""How another addon adds a kind of destination, source or alert channel: with one class, and one of
these calls.

See ``docs/extending.md``. The class lies in a module of the addon that imports nothing of Odoo.
"""

import re

from odoo import models

from .engine.channels import KINDS as CHANNELS
from .engine.destinations import KINDS as DESTINATIONS
from .engine.sources import KINDS as SOURCES
from .models.alert.backup_alert_channel_kinds import channel_fields
from .models.backup_kind_mixin import kind_fields

# A part of the names of fields.
NAME = re.compile(r"[a-z][a-z0-9]*")
ADDONS = "odoo.addons."


def register_destination(name, target):
    """Add a kind of destination, to be called when the addon is imported.

    :param name: of the kind, lower-case letters and digits; its fields begin with it
    :param target: its class, a subclass of ``backup_engine.destinations.base.Destination``, as
        ``odoo.addons.ADDON.MODULE:CLASS``
    """
    _register(DESTINATIONS, "backup.destination", models.Model, name, target)


def register_source(name, target):
    """Add a kind of source, as :func:`register_destination` does; its class is a subclass of
    ``backup_engine.sources.base.Source``."""
    _register(SOURCES, "backup.source.mixin", models.AbstractModel, name, target)


def register_channel(name, target):
    """Add a kind of alert channel, as :func:`register_destination` does; its class is a subclass of
    ``backup_engine.channels.base.Channel``."""
    _register(CHANNELS, "backup.alert.channel", models.Model, name, target, channel_fields)


def _register(registry, model, base, name, target, make=kind_fields):  # noqa: PLR0913
    if not NAME.fullmatch(name) or not target.startswith(ADDONS):
        raise ValueError(f"{name!r}, {target!r}: a kind is registered as name, {ADDONS}…:Class")
    registry.register(name, target)
    # As if the addon had written it: only databases with the addon have the fields.
    attributes = {"_inherit": model, "__module__": registry.module(name)}
    type(base)(f"Kind{name.title()}", (base,), {**attributes, **make(registry, name)})
