"""The ``manifest.json`` of an Odoo zip: of which database, version and modules it is."""

import json
import re

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

# The series of Odoo that begins the version of a module: "19.0.1.3", "saas~18.2.1.3".
SERIES = re.compile(r"((?:saas~)?(\d+))\.(\d+)\.")


def make_manifest(database, pg_version, modules, release):
    """Return the manifest of an archive, as :func:`odoo.service.db.dump_db_manifest` makes it.

    :param pg_version: of the server, as PostgreSQL numbers them: 150018
    :param modules: the version of each installed module, by name
    :param release: ``version``, ``version_info`` and ``major_version`` of the Odoo that serves it
    """
    major, minor = divmod(pg_version // 100, 100)
    return {
        "odoo_dump": "1",
        "db_name": database,
        **release_of(modules, release),
        "pg_version": f"{major}.{minor}",
        "modules": modules,
    }


def release_of(modules, release):
    """Return the release that a database is of: ``release``, unless its modules are of another
    series. A PostgreSQL may hold the databases of several Odoos."""
    found = SERIES.match(modules.get("base") or "")
    if not found or f"{found[1]}.{found[3]}" == release["major_version"]:
        return {name: release[name] for name in ("version", "version_info", "major_version")}
    first = int(found[2]) if found[1] == found[2] else found[1]
    series = f"{found[1]}.{found[3]}"
    info = [first, int(found[3]), 0, "final", 0, ""]
    return {"version": series, "version_info": info, "major_version": series}


def written_manifest(manifest):
    """Return the bytes of ``manifest.json``, as Odoo writes them."""
    return json.dumps(manifest, indent=4).encode()


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
