"""Makes this package importable as ``backup_engine``, wherever it lies.

An engine process knows it by that name alone, Odoo by ``odoo.addons.backup_scheduler.engine``. A
kind of another addon runs in both, and has to find the same classes: of a second copy of a module,
no exception would be caught, and no class would be the base of anything.
"""

import importlib
import importlib.abc
import importlib.util
import sys

ALIAS = "backup_engine"


class AliasFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers imports of ``backup_engine…`` with the modules of ``package`` themselves."""

    def __init__(self, package):
        self._package = package

    def find_spec(self, fullname, path=None, target=None):
        if fullname != ALIAS and not fullname.startswith(f"{ALIAS}."):
            return None
        own = self._package + fullname[len(ALIAS) :]
        # Of what does not exist, Python says so itself.
        known = own in sys.modules or importlib.util.find_spec(own)
        return importlib.util.spec_from_loader(fullname, self) if known else None

    def create_module(self, spec):
        module = importlib.import_module(self._package + spec.name[len(ALIAS) :])
        # The import is about to replace it.
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module):
        alias, module.__spec__ = module.__spec__, module.__spec__.loader_state
        alias.loader_state = None


def install(package):
    """Let ``package`` be imported as ``backup_engine`` too."""
    if package != ALIAS:
        sys.meta_path.insert(0, AliasFinder(package))
