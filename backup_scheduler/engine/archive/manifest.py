"""The ``manifest.json`` of an Odoo zip: of which database, version and modules it is."""

import json

from ..errors import Inconsistent
from ..messages import _

# Odoo lists the installed modules in it: tens of KB. Beyond this it is something else (bytes).
MAX_SIZE = 1024 * 1024
# Characters of a name or version in it.
MAX_TEXT = 255

# As ``odoo.service.db.dump_db_manifest`` writes them.
FIELDS = {
    "odoo_dump": str,
    "db_name": str,
    "version": str,
    "version_info": list,
    "major_version": str,
    "pg_version": str,
    "modules": dict,
}


def parse_manifest(content):
    """Return the manifest that the bytes hold, as a dict with all of :data:`FIELDS`.

    Raises :class:`Inconsistent` when it is not JSON, not an object, or lacks a field or has one of
    another kind: then this is no archive of Odoo's database manager.
    """
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Inconsistent(
            _("manifest.json is not readable JSON (%(error)s).", error=error)
        ) from error
    if not isinstance(manifest, dict):
        raise Inconsistent(_("manifest.json holds no JSON object."))
    for name, kind in FIELDS.items():
        value = manifest.get(name)
        if not isinstance(value, kind) or (kind is str and len(value) > MAX_TEXT):
            raise Inconsistent(_("manifest.json has no usable “%(name)s”.", name=name))
    # Whatever else is in it is kept nowhere.
    return {name: manifest[name] for name in FIELDS}


def check_manifest(manifest, database):
    """Raise :class:`Inconsistent` unless the manifest is that of ``database``."""
    if manifest["db_name"] != database:
        raise Inconsistent(
            _(
                "The archive is of the database %(db_name)r, not of %(database)r.",
                db_name=manifest["db_name"],
                database=database,
            )
        )
