"""What a verification found out about a good archive."""

import dataclasses

OF_TABLES = ("rows", "volatile", "of_extensions")


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
    """Tables whose rows are in the dump, none included; of a zip from level 3 on."""
    large_objects: int = 0
    attachments: int = 0
    """Rows of ``ir_attachment``, wherever their content is. This and what follows: level 3."""
    attachments_in_database: int = 0
    """Of these, the ones whose content is in the dump; counted once where they share it."""
    attachments_elsewhere: int = 0
    """Of these, the ones whose content is in another storage, and not in the archive."""
    users: int = 0
    """Rows of ``res_users``, inactive ones included."""
    modules: int = 0
    """Modules that are installed according to the dump."""
    missing_files: int = 0
    """Files of the filestore that the dump lists and the zip lacks, without known gaps."""
    damaged_files: int = 0
    """Files of the filestore whose content is not that of their name, without known gaps."""
    known_gaps: int = 0
    """Files that are missing or damaged, and known to be: see :mod:`.gaps`."""
    surplus_files: int = 0
    """Files of the filestore that the dump does not list."""
    late_files: int = 0
    """Files that are missing or damaged because they came while the backup was made."""
    since: str = ""
    """When the backup was asked for, ISO 8601: what is younger may be late."""
    gone: list = dataclasses.field(default_factory=list)
    """The names of files that were deleted, with their attachments, while the backup was made."""
    database: str = ""
    odoo_version: str = ""
    pg_version: str = ""
    manifest: dict = dataclasses.field(default_factory=dict)
    notes: list = dataclasses.field(default_factory=list)
    gaps: dict = dataclasses.field(default_factory=dict)
    """The result of :meth:`.gaps.Gaps.result`: many names, never shown to users."""
    rows: dict = dataclasses.field(default_factory=dict, repr=False)
    """The number of rows of each table of the dump, ``schema.table``; empty where not counted.
    This and what follows are for a restore right after: see :meth:`with_rows`."""
    volatile: list = dataclasses.field(default_factory=list, repr=False)
    """Those of these tables that Odoo empties by itself, see :mod:`.volatile`."""
    of_extensions: list = dataclasses.field(default_factory=list, repr=False)
    """Those of these tables that the dump does not create: an extension does."""

    def as_dict(self):
        """Return the report as plain values, as events and RPC answers carry it: a small one,
        without what is known of each table."""
        return without_rows(self.with_rows())

    def with_rows(self):
        """Return the report as plain values, with what is known of each table."""
        report = dataclasses.asdict(self)
        del report["gaps"]
        return report


def without_rows(report):
    """Return the plain values of a report without what is known of each table."""
    return {name: value for name, value in report.items() if name not in OF_TABLES}
