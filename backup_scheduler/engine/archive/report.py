"""What a verification found out about a good archive."""

import dataclasses


@dataclasses.dataclass
class Report:
    """The verdict on an archive that passed, as plain values.

    ``level`` is the level that was *reached*: it is lower than the one asked for when the archive
    is sound as far as it can be read here, and ``notes`` then says why (a dump compressed by a
    method that this program cannot undo). Sizes are bytes. A count that the level does not reach,
    or the format does not have, is 0; a text is empty.
    """

    archive_format: str
    level: int
    size: int
    members: int = 0
    """Entries of the zip, folders included."""
    filestore_files: int = 0
    """Files of the filestore, without Odoo's ``checklist`` marks."""
    tables: int = 0
    """Tables whose rows are in the custom dump."""
    large_objects: int = 0
    database: str = ""
    odoo_version: str = ""
    pg_version: str = ""
    manifest: dict = dataclasses.field(default_factory=dict)
    notes: list = dataclasses.field(default_factory=list)

    def as_dict(self):
        """Return the report as plain values, as events and RPC answers carry it."""
        return dataclasses.asdict(self)
