"""What a kind of source, destination or alert channel declares, and how it is found by its name.

A kind is one class in one module. It is registered by name, and its module is imported when the
kind is used first: what nobody uses costs nothing, and what cannot be imported (a library that is
missing, an addon that was removed) is an error of those records alone that use it.

A kind of another addon imports from this package by the name ``backup_engine`` (see
:mod:`.alias`), and nothing of Odoo: an engine process loads its module by itself.
"""

import importlib
import importlib.machinery
import importlib.util
import ipaddress
import os
import re
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import BackupError, KindMissing
from .messages import _
from .naming import UNSHOWN

OWN = f"{__name__.rpartition('.')[0]}."
LARGEST_PORT = 65_535
# A name as DNS has it, or as some networks do.
HOST_NAME = re.compile(r"(?!-)[\w.-]{1,253}")


class SettingRefused(BackupError):
    """A value that a setting cannot have; the message does not name the setting."""

    code = "invalid_setting"


def port(value):
    """Refuse what is no number of a port; 0 stands for the default."""
    if not 0 <= value <= LARGEST_PORT:
        raise SettingRefused(_("enter a port, 1 to %(largest)s.", largest=LARGEST_PORT))


def host(value):
    """Refuse what is neither the name of a machine nor an IP address."""
    value = value.strip()
    if HOST_NAME.fullmatch(value):
        return
    try:
        ipaddress.ip_address(value.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise SettingRefused(
            _("enter the name of a machine or its IP address, without a port.")
        ) from None


def one_line(value):
    """Refuse a text with characters that no form can enter and nobody can see."""
    if UNSHOWN.search(value):
        raise SettingRefused(_("enter one line, without control characters."))


@dataclass(frozen=True)
class Setting:
    """One keyword of a kind's class, as the form of the kind asks for it.

    :ivar name: the keyword
    :ivar label: what people call it
    :ivar kind: ``char``, ``text``, ``integer``, ``boolean`` or ``selection``
    :ivar secret: it is kept encrypted, can be replaced, is never read back, and is masked in
        whatever is written for people
    :ivar server: it says whose server the secrets are for: those of the kind are forgotten where it
        changes
    :ivar proof: by it the server proves to be the right one: the secrets of the kind are forgotten
        where it is switched off, removed or replaced, too
    :ivar required: the form insists on it
    :ivar location: it says where the archives are: another one is another place
    :ivar advanced: few need it: the form has it further down
    :ivar choices: of a selection, as pairs of value and label; the empty value is left out
    :ivar accepts: raises :class:`SettingRefused` for a value that cannot be right, such as
        :func:`port` and :func:`host` here; an empty value is not looked at
    """

    name: str
    label: str
    kind: str = "char"
    help: str = ""
    placeholder: str = ""
    secret: bool = False
    server: bool = False
    proof: bool = False
    required: bool = False
    location: bool = False
    advanced: bool = False
    default: Any = None
    choices: tuple = ()
    accepts: Callable | None = None

    def check(self, value):
        """Raise :class:`SettingRefused` where the value cannot be one of this setting."""
        if not value:
            return
        if self.kind == "char":
            one_line(value)
        if self.accepts:
            self.accepts(value)


class Registry:
    """The kinds of one thing, by name.

    :param label: what they are kinds of, such as ``destination``

    ``targets`` are the classes by name of the kind, as they were registered.
    """

    def __init__(self, label):
        self.label = label
        self.targets = {}

    def register(self, name, target):
        """Make a kind known; ``target`` is its class, as ``package.module:Class``.

        The same again changes nothing; ValueError for a name that another class has.
        """
        if self.targets.setdefault(name, target) != target:
            raise ValueError(f"The {self.label} kind {name!r} is {self.targets[name]} already.")

    def names(self):
        """Return the names of the kinds, in the order of their registration."""
        return list(self.targets)

    def module(self, name):
        """Return the name of the module that has the class of a registered kind."""
        return self.targets[name].partition(":")[0]

    def load(self, name, code=None):
        """Return the class of a kind; raise :class:`KindMissing` where there is none.

        :param code: the result of :meth:`order`, for a process in which it is not registered;
            empty where the order was made without its addon
        """
        if not code and (code is not None or name not in self.targets):
            raise KindMissing(
                _(
                    "The %(label)s kind “%(name)s” is not available: no installed addon provides "
                    "it.",
                    label=self.label,
                    name=name,
                )
            )
        try:
            if name in self.targets:
                module, _colon, attribute = self.targets[name].partition(":")
                return getattr(importlib.import_module(module), attribute)
            return getattr(import_from(code["folder"], code["module"]), code["class"])
        except Exception as error:  # noqa: BLE001 - whatever an addon does, it is told as its own
            raise KindMissing(
                _(
                    "The %(label)s kind “%(name)s” cannot be loaded: %(error)s.",
                    label=self.label,
                    name=name,
                    error=f"{type(error).__name__}: {error}",
                ),
                hint=_("Install what its addon needs, or update the addon."),
            ) from error

    def order(self, name):
        """Return what an order tells of a kind beside its settings, as plain values.

        ``secrets``: which of the settings are secret; and, of a kind of another addon, ``code``:
        where a process in which it is not registered finds it.
        """
        kind = self.load(name)
        order = {"secrets": [setting.name for setting in kind.SETTINGS if setting.secret]}
        module = self.module(name)
        if not module.startswith(OWN):
            spec = importlib.util.find_spec(module)
            # Of a package, its own folder.
            path = os.path.dirname(spec.origin) if spec.submodule_search_locations else spec.origin
            order["code"] = {
                "folder": os.path.dirname(os.path.abspath(path)),
                "module": module.rpartition(".")[2],
                "class": kind.__name__,
            }
        return order


def import_from(folder, module):
    """Import a module from a folder without its package, whose ``__init__`` may import Odoo.

    The modules beside it can be imported relatively, and those of other folders keep their names.
    """
    package = f"backup_kinds_{zlib.crc32(folder.encode()):08x}"
    if package not in sys.modules:
        spec = importlib.machinery.ModuleSpec(package, None, is_package=True)
        spec.submodule_search_locations = [folder]
        sys.modules[package] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"{package}.{module}")
